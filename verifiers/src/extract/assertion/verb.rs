//! Verbs before a value that have it as their complement ("the total is 29") or object ("she needs 29").

use super::super::stance::{self, clause_words};
use super::words;
use crate::syntax::names;

/// Adverbs and articles that may come between a verb and its value.
const ADVERBS: [&str; 32] = [
    "therefore",
    "thus",
    "then",
    "now",
    "also",
    "only",
    "exactly",
    "precisely",
    "just",
    "simply",
    "indeed",
    "clearly",
    "finally",
    "still",
    "altogether",
    "about",
    "approximately",
    "roughly",
    "around",
    "actually",
    "the",
    "hence",
    "additional",
    "an",
    "another",
    "together",
    "all",
    "positive",
    "currently",
    "both",
    "already",
    "a",
];

/// Verbs whose object or complement directly after them is a result, with any subject.
const RESULTS: [&str; 53] = [
    "is",
    "are",
    "was",
    "were",
    "it's",
    "that's",
    "equals",
    "equal",
    "get",
    "gets",
    "got",
    "gives",
    "give",
    "gave",
    "giving",
    "yields",
    "yield",
    "yielding",
    "makes",
    "make",
    "made",
    "making",
    "leaves",
    "leave",
    "left",
    "leaving",
    "totals",
    "totaling",
    "totalling",
    "becomes",
    "remains",
    "obtain",
    "obtains",
    "find",
    "found",
    "so",
    "have",
    "has",
    "had",
    "having",
    "being",
    "means",
    "count",
    "counts",
    "counted",
    "meant",
    "ist",
    "sind",
    "est",
    "es",
    "son",
    "è",
    "é",
];

/// Verbs of having, needing or moving an amount; their object may be a bare number.
const AMOUNTS: [&str; 42] = [
    "needs", "need", "needed", "costs", "cost", "pays", "pay", "paid", "earns", "earn", "earned",
    "spends", "spend", "spent", "takes", "take", "took", "saves", "save", "saved", "uses", "used",
    "sells", "sold", "buys", "bought", "eats", "ate", "wins", "won", "scored", "scores", "weighs",
    "weighed", "receives", "received", "contains", "holds", "raised", "owes", "measures", "lasts",
];

/// Verbs of result that are commands at the beginning of a clause: "Find 5 numbers".
const IMPERATIVES: [&str; 8] = ["get", "give", "make", "leave", "find", "have", "count", "yield"];

/// Words before "to" that make the following value a result: "comes to", "simplifies to".
const RESULTING: [&str; 18] = [
    "comes",
    "come",
    "came",
    "amounts",
    "amount",
    "out",
    "simplifies",
    "evaluates",
    "reduces",
    "equal",
    "sums",
    "sum",
    "rounds",
    "equates",
    "down",
    "converts",
    "back",
    "corresponds",
];

/// Verbs of a change that ends at the value after "to".
const MOVING: [&str; 12] = [
    "dropped",
    "drops",
    "rose",
    "rises",
    "fell",
    "falls",
    "grew",
    "grows",
    "increased",
    "increases",
    "decreased",
    "decreases",
];

/// Words before "be" that leave no doubt.
const SETTLED: [&str; 4] = ["will", "must", "should", "therefore"];

/// Verbs before "to" that make the following action a fact: "needs to sell".
const OBLIGING: [&str; 11] =
    ["needs", "need", "needed", "has", "have", "had", "able", "going", "takes", "take", "took"];

/// Words that are not verbs and so never have a value as their object.
const FUNCTION_WORDS: [&str; 60] = [
    "than", "over", "under", "above", "below", "from", "to", "with", "by", "between", "of", "at",
    "in", "on", "least", "most", "almost", "nearly", "maybe", "or", "and", "not", "out", "off",
    "nor", "but", "as", "if", "when", "while", "until", "till", "before", "after", "per", "near",
    "beyond", "within", "past", "toward", "towards", "through", "an", "this", "that", "these",
    "those", "his", "her", "its", "my", "our", "your", "their", "be", "some", "any", "every", "no",
    "say",
];

/// Verbs about statements; their object is mentioned and not asserted.
const MENTIONS: [&str; 57] = [
    "think",
    "thinks",
    "thought",
    "guess",
    "guesses",
    "guessed",
    "claim",
    "claims",
    "claimed",
    "says",
    "said",
    "answer",
    "answers",
    "answered",
    "accept",
    "accepts",
    "accepted",
    "expect",
    "expects",
    "expected",
    "estimate",
    "estimates",
    "estimated",
    "try",
    "tries",
    "tried",
    "test",
    "tests",
    "tested",
    "consider",
    "considers",
    "considered",
    "reject",
    "rejects",
    "rejected",
    "exclude",
    "excludes",
    "excluded",
    "rule",
    "rules",
    "ruled",
    "doubt",
    "doubts",
    "suggest",
    "suggests",
    "suggested",
    "avoid",
    "avoids",
    "exceed",
    "exceeds",
    "exceeded",
    "assume",
    "assumes",
    "assumed",
    "suspect",
    "suspects",
    "suspected",
];

/// Subjects that belong to the calculation and not to the story of a word problem: only a verb of result
/// asserts their value.
const ABSTRACT: [&str; 28] = [
    "it", "this", "that", "which", "what", "answer", "value", "result", "total", "number",
    "solution", "sum", "x", "n", "i", "we", "you", "one", "nobody", "anyone", "somebody",
    "someone", "students", "people", "estimate", "guess", "limit", "bound",
];

/// Words of a subject that is another value than the answer: "the upper bound", "our first attempt".
const TENTATIVE: [&str; 12] = [
    "bound",
    "original",
    "attempt",
    "approximation",
    "starting",
    "wrongly",
    "briefly",
    "rough",
    "seemingly",
    "target",
    "given",
    "before",
];

/// Words before a statement that do not take it back: "this means that there are".
const CONCLUDING: [&str; 27] = [
    "means",
    "mean",
    "see",
    "find",
    "finds",
    "know",
    "conclude",
    "shows",
    "show",
    "follows",
    "gives",
    "implies",
    "think",
    "believe",
    "sure",
    "says",
    "now",
    "total",
    "today",
    "year",
    "that",
    "which",
    "when",
    "altogether",
    "day",
    "tells",
    "confirms",
];

/// First words of a statement after "that"; before other words, "that" begins a relative clause.
const OPENERS: [&str; 9] = ["the", "there", "it", "this", "our", "his", "her", "its", "their"];

/// Whether a verb before a value has it as its complement or object; `counted`: whether the value has a
/// unit or a noun.
pub(super) fn is_governed(before: &str, lead: &str, value: &str, counted: bool) -> bool {
    let all = clause_words(&before[..end_of(before, lead)]);
    // "five (5)" states its number twice.
    let filler = |w: &&String| ADVERBS.contains(&w.as_str()) || names::number_word(w).is_some();
    let skipped = all.iter().take_while(filler).count();
    let clause: Vec<&str> = all[skipped..].iter().map(String::as_str).collect();
    let clause = without_pronoun(main_clause(&clause));
    let word = |at: usize| clause.get(at).copied().unwrap_or_default();
    let linked = |at: usize| RESULTS.contains(&word(at));
    let result = match word(0) {
        "" => skipped > 0,
        "be" if word(1) == "would" => !is_supposed(lead),
        "be" => {
            word(1).ends_with("'ll")
                || SETTLED.contains(&word(1))
                || word(1) == "to" && leads_to(&clause[2..])
        }
        "to" => {
            word(1) == "up" && word(2).starts_with("add")
                || clause.iter().any(|w| w.starts_with("bring"))
                || RESULTING.contains(&word(1))
                || MOVING.contains(&word(1))
        }
        "of" => measures(clause),
        "by" => changes(word(1)),
        "but" => clause.contains(&"not"),
        "with" => matches!(word(1), "go" | "left" | "up"),
        "worth" => linked(1),
        "total" => matches!(word(1), "" | "in"),
        "answer" | "value" | "result" | "number" => word(1) == "the" && linked(2),
        "at" | "on" => linked(1) || word(1).ends_with("ing") || value.contains(':'),
        verb => RESULTS.contains(&verb) && (clause.len() > 1 || !IMPERATIVES.contains(&verb)),
    };
    if is_distanced(lead) {
        return false;
    }
    if result {
        return word(0) == "but" || !is_tentative(clause) && !is_embedded(clause);
    }
    // "She planned to sell 63 cards."
    let intended = word(1) == "to" && !OBLIGING.contains(&word(2));
    let story = !clause.iter().any(|w| ABSTRACT.contains(w) || is_modal(w));
    let amount = AMOUNTS.contains(&word(0)) && clause.len() > 1;
    !intended && (amount || story && counted && takes_object(clause))
}

/// End of `lead`, a slice of `before`, as a position in `before`.
fn end_of(before: &str, lead: &str) -> usize {
    (lead.as_ptr() as usize + lead.len()).saturating_sub(before.as_ptr() as usize)
}

/// A clause, last word first, without the indirect object between verb and value: "gives us", "took him".
fn without_pronoun<'c, 'w>(clause: &'c [&'w str]) -> &'c [&'w str] {
    match clause {
        ["us" | "you" | "him" | "her" | "them" | "me", rest @ ..] if !rest.is_empty() => rest,
        all => all,
    }
}

/// The words of a clause, last word first, after a conjunction that starts it anew, such as "so".
fn main_clause<'c, 'w>(clause: &'c [&'w str]) -> &'c [&'w str] {
    let starts = ["so", "but", "hence", "thus", "because", "and"];
    let end = clause.iter().skip(1).position(|w| starts.contains(w)).map(|at| at + 1);
    &clause[..end.unwrap_or(clause.len())]
}

/// Whether "to be" follows words that make it a fact: "turns out", "has".
fn leads_to(clause: &[&str]) -> bool {
    let word = clause.first().copied().unwrap_or_default();
    matches!(
        word,
        "out" | "has" | "have" | "had" | "seems" | "appears" | "going" | "found" | "needs"
    )
}

/// Whether the verb before "by" describes a change: "increases", "expanded".
fn changes(verb: &str) -> bool {
    let others =
        ["divided", "multiplied", "followed", "given", "replaced", "divides", "plus", "is"];
    (verb.ends_with('s') || verb.ends_with("ed")) && !others.contains(&verb)
}

/// Whether the words before "of" measure something: "a total of", "has a length of".
fn measures(clause: &[&str]) -> bool {
    let word = |at: usize| clause.get(at).copied().unwrap_or_default();
    let article = (2..5).find(|at| matches!(word(*at), "a" | "an" | "the"));
    let held = |at: usize| RESULTS.contains(&word(at)) || matches!(word(at), "for" | "with");
    word(1) == "total" || article.is_some_and(|at| held(at + 1))
}

/// Whether the sentence contains a condition: "If there were twice as many, it would be".
fn is_supposed(lead: &str) -> bool {
    words(lead).iter().any(|w| matches!(w.as_str(), "if" | "had" | "were" | "without" | "unless"))
}

/// Whether a sentence begins with another case than the one in question: "Without the discount".
fn is_distanced(lead: &str) -> bool {
    let others = [
        "without",
        "unless",
        "otherwise",
        "suppose",
        "originally",
        "initially",
        "previously",
        "assuming",
        "ignoring",
        "neglecting",
        "excluding",
        "forgetting",
        "omitting",
        "overlooking",
        "had",
        "were",
    ];
    let said = words(lead);
    let said: Vec<&str> = said.iter().map(String::as_str).collect();
    // "If we forget the last row, we count" is a hypothetical case; "one of" is not all of them.
    said.first().is_some_and(|w| others.contains(w))
        || matches!(said.as_slice(), ["if", "we" | "you" | "i" | "one", ..] | ["one", "of", ..])
}

fn is_modal(word: &str) -> bool {
    matches!(word, "might" | "may" | "could" | "almost" | "nearly" | "hardly" | "barely")
        || word.ends_with("n't")
        || matches!(word, "not" | "never" | "cannot")
}

/// Whether a clause about the calculation contains a word of doubt.
fn is_tentative(clause: &[&str]) -> bool {
    let another = |at: usize| {
        clause[at] == "guess" && !matches!(clause.get(at + 1), Some(&("my" | "best" | "final")))
    };
    let mentions = |w: &&str| MENTIONS.contains(w) && !matches!(*w, "guess" | "answer");
    (0..clause.len()).any(another)
        || clause.last().is_some_and(|w| matches!(*w, "some" | "many" | "few"))
        || clause
            .iter()
            .any(|w| is_modal(w) || stance::is_doubt(w) || mentions(w) || TENTATIVE.contains(w))
}

/// Whether the statement of a clause, last word first, is the object of a verb that does not conclude it:
/// "I once believed it was", "the assumption that there are".
fn is_embedded(clause: &[&str]) -> bool {
    let pronoun = clause.iter().skip(1).take(2).position(|w| matches!(*w, "it" | "there"));
    let that = clause.iter().position(|w| *w == "that").filter(|at| *at > 0);
    let governs = |at: usize| match clause.get(at + 1) {
        Some(&"that") => clause.get(at + 2).is_some_and(|w| !CONCLUDING.contains(w)),
        word => word.is_some_and(|w| !CONCLUDING.contains(w)),
    };
    let stated = |at: usize| OPENERS.contains(&clause[at - 1]);
    let concluded = |at: usize| clause.get(at + 1).is_none_or(|w| CONCLUDING.contains(w));
    pronoun.is_some_and(|at| governs(at + 1)) || that.is_some_and(|at| stated(at) && !concluded(at))
}

/// Whether a value has a unit or a currency.
pub(super) fn is_measured(value: &str) -> bool {
    value.contains(|c: char| c.is_alphabetic() || "$€£¥%°".contains(c))
}

/// Whether the last word of a clause can be a verb with an object, after a subject.
fn takes_object(clause: &[&str]) -> bool {
    let [verb, subject, ..] = clause else { return false };
    let verbal = verb.chars().all(char::is_alphabetic);
    verbal && !FUNCTION_WORDS.contains(verb) && !MENTIONS.contains(verb) && !subject.is_empty()
}
