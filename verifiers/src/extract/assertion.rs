//! Whether a sentence asserts a value that nothing announces, told by the shape of the sentence.
//!
//! [`loose`](super::loose) asks here. A value counts where it is all of its line, the right side of an
//! equation, the complement of a linking verb, the object of a verb that counts something, or the subject
//! of a sentence that counts. Every other place ("exceeds 29", "rule 29 out", "29 was my first idea")
//! asserts nothing: the lists below say what is taken, and what they lack is left undecided.

use super::stance::{self, clause_words};
use super::tongues::unspaced;
use crate::syntax::names;

/// Longest sentence around a value that is read, in bytes.
const MAX_SENTENCE: usize = 512;

/// Adverbs and articles that may stand between a verb and its value.
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

/// Verbs whose object or complement right behind them is a result, whatever their subject.
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

/// Verbs by which somebody or something has, needs or moves an amount; their object may be a bare number.
const AMOUNTS: [&str; 42] = [
    "needs", "need", "needed", "costs", "cost", "pays", "pay", "paid", "earns", "earn", "earned",
    "spends", "spend", "spent", "takes", "take", "took", "saves", "save", "saved", "uses", "used",
    "sells", "sold", "buys", "bought", "eats", "ate", "wins", "won", "scored", "scores", "weighs",
    "weighed", "receives", "received", "contains", "holds", "raised", "owes", "measures", "lasts",
];

/// Verbs of result that are commands where nothing stands before them: "Find 5 numbers".
const IMPERATIVES: [&str; 8] = ["get", "give", "make", "leave", "find", "have", "count", "yield"];

/// Words in front of "to" that make what follows a result: "comes to", "simplifies to".
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

/// Verbs of a change that ends at the value behind "to".
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

/// Words in front of "be" that leave no doubt.
const SETTLED: [&str; 4] = ["will", "must", "should", "therefore"];

/// Words that are no verbs and so never take a value as their object.
const FUNCTION_WORDS: [&str; 60] = [
    "than", "over", "under", "above", "below", "from", "to", "with", "by", "between", "of", "at",
    "in", "on", "least", "most", "almost", "nearly", "maybe", "or", "and", "not", "out", "off",
    "nor", "but", "as", "if", "when", "while", "until", "till", "before", "after", "per", "near",
    "beyond", "within", "past", "toward", "towards", "through", "an", "this", "that", "these",
    "those", "his", "her", "its", "my", "our", "your", "their", "be", "some", "any", "every", "no",
    "say",
];

/// Verbs about statements; their object is named and not asserted.
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

/// Subjects of the calculation rather than of the story: only a verb of result asserts their value.
const ABSTRACT: [&str; 28] = [
    "it", "this", "that", "which", "what", "answer", "value", "result", "total", "number",
    "solution", "sum", "x", "n", "i", "we", "you", "one", "nobody", "anyone", "somebody",
    "someone", "students", "people", "estimate", "guess", "limit", "bound",
];

/// Words that make a statement conditional, tentative or denied, wherever in it they stand.
const QUALIFIERS: [&str; 24] = [
    "but",
    "not",
    "never",
    "if",
    "unless",
    "until",
    "though",
    "although",
    "however",
    "except",
    "maybe",
    "perhaps",
    "wrong",
    "incorrect",
    "impossible",
    "instead",
    "cannot",
    "doubtful",
    "or",
    "too",
    "provided",
    "assuming",
    "supposing",
    "yet",
];

/// Words behind a calculation that take its result back; conditions and denials there speak of what is counted.
const RETREATS: [&str; 6] = ["but", "wrong", "however", "impossible", "although", "though"];

/// Verbs with which a predicate about a value itself starts: "29 is ...", "29 would ...".
const PREDICATES: [&str; 31] = [
    "is",
    "was",
    "are",
    "were",
    "be",
    "would",
    "will",
    "can",
    "cannot",
    "can't",
    "could",
    "should",
    "might",
    "may",
    "must",
    "seems",
    "seemed",
    "looks",
    "looked",
    "fails",
    "failed",
    "violates",
    "contradicts",
    "does",
    "doesn't",
    "isn't",
    "wasn't",
    "has",
    "had",
    "gives",
    "makes",
];

/// Words behind a verb in the third person, by which it is told from a noun in the plural.
const DETERMINERS: [&str; 21] = [
    "the", "a", "an", "our", "my", "your", "this", "these", "those", "both", "all", "every",
    "each", "too", "to", "no", "neither", "what", "one", "it", "them",
];

/// Nouns that what is asked for goes by.
const ASKED: [&str; 17] = [
    "answer", "answers", "total", "solution", "result", "value", "number", "sum", "one", "least",
    "most", "smallest", "largest", "greatest", "maximum", "minimum", "final",
];

/// Whether the sentence around `value` asserts it; `before` and `after` are the texts around it.
pub(super) fn asserts_value(before: &str, value: &str, after: &str) -> bool {
    let lead = lead(before);
    let (tail, later) = sentence(after);
    if !is_closing(later) {
        return false;
    }
    if lead.contains(unspaced) || tail.contains(unspaced) {
        return true;
    }
    let behind = words(tail);
    if is_calculated(lead) {
        let retreats = behind.iter().any(|w| RETREATS.contains(&w.as_str()));
        return !(retreats || is_refused(&behind) || is_unmade(lead) || goes_on(tail));
    }
    if behind.iter().any(|w| is_qualifier(w)) {
        return false;
    }
    if lead.trim().is_empty() || opens(lead) {
        return counts(value, &behind);
    }
    if is_equation(lead, value) {
        let works = behind.first().is_some_and(|w| w == "works" || w == "holds");
        let assigned =
            (works || behind.len() <= MAX_ASIDE) && !is_predicate(&behind) && !is_subordinate(lead);
        return assigned || praises(&behind);
    }
    if has_clause(tail) {
        return false;
    }
    if is_label(lead, value, &behind) || restates(lead, value) {
        return true;
    }
    let counted = !behind.is_empty() && tail.starts_with(' ') || is_measured(value);
    is_governed(before, lead, value, counted)
}

/// The part of a sentence in front of its value, without the marks around the value.
fn lead(before: &str) -> &str {
    let before = super::tail(before, MAX_SENTENCE);
    let starts = before.match_indices(['.', '!', '?', '\n', '。']).filter_map(|(at, mark)| {
        let end = at + mark.len();
        (mark == "\n" || before[end..].starts_with([' ', '\n', '*'])).then_some(end)
    });
    let start = starts.max().unwrap_or(0);
    let marks = ['*', ' ', '$', '(', '[', '\\', '{', '_', '€', '£', '¥', '"', '~', '-', '\u{2013}'];
    before[start..].trim_start_matches(['*', '#', ' ', '_', '>', '"']).trim_end_matches(marks)
}

/// The rest of a sentence behind its value, and what follows it.
fn sentence(after: &str) -> (&str, &str) {
    let after = super::head(after, MAX_SENTENCE);
    let end = after.char_indices().find(|&(at, c)| {
        let next = &after[at + c.len_utf8()..];
        let stop =
            next.is_empty() || next.starts_with(|c: char| c.is_whitespace() || "*\"".contains(c));
        matches!(c, '\n' | '。' | ';')
            || ".!?".contains(c) && stop && !is_abbreviated(&after[..at], next)
    });
    end.map_or((after, ""), |(at, _)| after.split_at(at))
}

/// Whether a full stop ends a title or an abbreviation: a small letter or a figure follows.
fn is_abbreviated(before: &str, next: &str) -> bool {
    let word = before.rsplit(|c: char| !c.is_alphabetic()).next().unwrap_or_default();
    let goes_on = next.trim_start_matches(' ').starts_with(|c: char| c.is_lowercase());
    goes_on && next.starts_with(' ') || matches!(word, "Mr" | "Mrs" | "Ms" | "Dr" | "St")
}

/// Whether what follows the sentence of a value says nothing of it: no words, or a closing formula.
fn is_closing(later: &str) -> bool {
    let said = words(later);
    let closing =
        [["i", "hope"], ["let", "me"], ["hope", "this"], ["thank", "you"], ["good", "luck"]];
    said.is_empty() || closing.iter().any(|start| said.starts_with(&start.map(String::from)))
}

fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric() && c != '\'' && c != '\u{2019}' && c != '\\')
        .filter(|w| w.starts_with(char::is_alphabetic))
        .map(|w| w.to_lowercase().replace('\u{2019}', "'"))
        .collect()
}

fn is_qualifier(word: &str) -> bool {
    QUALIFIERS.contains(&word) || word.ends_with("n't")
}

/// Whether a lead is one to three words and a comma in front of the sentence: "Overall, ".
fn opens(lead: &str) -> bool {
    let Some(opener) = lead.trim_end().strip_suffix(',') else { return false };
    let said = words(opener);
    said.len() <= 3
        && !opener.contains(|c: char| c.is_ascii_digit() || c == ',')
        && !said.iter().any(|w| is_qualifier(w) || stance::is_doubt(w))
}

/// Whether the words behind a value at the start of a sentence count something: "people attended", or
/// call it the answer. Without words the value is all of its line.
fn counts(value: &str, behind: &[String]) -> bool {
    let measured = value.contains(char::is_alphabetic) && is_passive(behind);
    praises(behind) || measured || !is_predicate(behind) && behind.len() <= 12
}

/// "are needed", "were sold": what happens to an amount.
fn is_passive(behind: &[String]) -> bool {
    match behind {
        [verb, what, ..] => {
            matches!(verb.as_str(), "is" | "are" | "was" | "were")
                && (what.ends_with("ed") || matches!(what.as_str(), "left" | "sold" | "taken"))
                && !stance::is_doubt(what)
        }
        _ => false,
    }
}

/// "is the answer", "is our final answer", "is the smallest such number".
fn praises(behind: &[String]) -> bool {
    match behind {
        [verb, article, rest @ ..] => {
            matches!(verb.as_str(), "is" | "was" | "are")
                && matches!(article.as_str(), "the" | "our" | "my")
                && rest.iter().any(|w| ASKED.contains(&w.as_str()))
                && !rest.iter().any(|w| stance::is_doubt(w))
        }
        _ => false,
    }
}

/// Whether the words behind a value say something about it: a verb, or a word in the third person with its
/// object ("fails the check", but not "boys passed the test").
fn is_predicate(behind: &[String]) -> bool {
    let word = |at: usize| behind.get(at).map_or("", String::as_str);
    let transitive = word(0).ends_with('s') && DETERMINERS.contains(&word(1)) && behind.len() > 2;
    PREDICATES.contains(&word(0)) || transitive || word(0).ends_with("ed")
}

/// Whether a value is the right side of an equation or holds one itself.
fn is_equation(lead: &str, value: &str) -> bool {
    let signs =
        ["=", "≈", ">>", "⟹", "⇒", "→", "\\approx", "\\Rightarrow", "\\implies", "=>", "\\to"];
    signs.iter().any(|sign| lead.trim_end().ends_with(sign))
        || ["=", "<", ">", "≤", "≥", "\\le", "\\ge", "\\in", "\\lt", "\\gt"]
            .iter()
            .any(|s| value.contains(s))
}

/// Whether the predicate of a result refuses it: "is not what we want", "is too many".
fn is_refused(behind: &[String]) -> bool {
    let refuses = |w: &String| is_qualifier(w) || stance::is_doubt(w);
    is_predicate(behind) && behind.iter().take(4).any(refuses)
}

/// Whether the words in front of a calculation say that it is not made: "one might compute", "we cannot use".
fn is_unmade(lead: &str) -> bool {
    let clause = lead.rsplit([',', ';', ':']).next().unwrap_or(lead);
    let said = words(clause);
    let counterfactual =
        words(lead).iter().any(|w| w == "had") && said.iter().any(|w| w == "would");
    counterfactual
        || said.iter().any(|w| matches!(w.as_str(), "might" | "cannot" | "can't" | "wrongly"))
}

/// Whether a sentence goes on behind its result with a clause that needs it: ", and we still need the price",
/// ", which ignores the tax".
fn goes_on(tail: &str) -> bool {
    let Some((_, clause)) = tail.split_once(", ") else { return false };
    let clause = words(clause);
    let first = clause.first().map_or("", String::as_str);
    clause.len() > MAX_ASIDE
        && matches!(first, "which" | "and" | "so" | "then")
        && clause.iter().any(|w| {
            matches!(
                w.as_str(),
                "still" | "need" | "next" | "ignores" | "forgets" | "overlooks" | "misses"
            )
        })
}

/// Whether a lead ends with a calculation: "24 + 5 =", or its annotation `<<24+5=29>>`.
fn is_calculated(lead: &str) -> bool {
    let lead = lead.trim_end();
    let left = lead.trim_end_matches(['=', '≈']).trim_end();
    lead.ends_with(">>") || left.len() < lead.len() && has_digit(left)
}

fn has_digit(text: &str) -> bool {
    text.contains(|c: char| c.is_ascii_digit())
}

/// Whether a lead makes an equation a premise and no result: "when x =", "given that".
fn is_subordinate(lead: &str) -> bool {
    let clause = lead.rsplit([',', ';', ':']).next().unwrap_or(lead);
    let premises = [
        "for", "when", "where", "given", "if", "since", "because", "while", "whenever", "once",
        "as",
    ];
    let said = words(clause);
    let opens = said.first().is_some_and(|w| premises.contains(&w.as_str()));
    opens || said.iter().any(|w| matches!(w.as_str(), "when" | "given" | "if" | "where"))
}

/// Words of labels in front of what is no result.
const OTHER_LABELS: [&str; 14] = [
    "given",
    "hint",
    "example",
    "estimate",
    "guess",
    "note",
    "step",
    "bound",
    "check",
    "before",
    "excluding",
    "without",
    "known",
    "remember",
];

/// Whether a lead is a label of a few words: "Final:", "Redoing it:", or one word in front of a formula: "center".
fn is_label(lead: &str, value: &str, behind: &[String]) -> bool {
    let said = words(lead.rsplit(", ").next().unwrap_or(lead));
    let sure = !said
        .iter()
        .any(|w| is_qualifier(w) || stance::is_doubt(w) || OTHER_LABELS.contains(&w.as_str()));
    let marked = lead.trim_end().ends_with(':');
    let named = value.starts_with(['$', '\\'])
        && behind.is_empty()
        && matches!(said.as_slice(), [noun] if noun.len() > 3);
    sure && (marked || named)
}

/// Whether a lead says that the value behind it repeats the one before: "that is,", "$...$ radians, or", or
/// puts another in its place: "wait, no,".
fn restates(lead: &str, value: &str) -> bool {
    let repeats = [", that is,", ", i.e.,", ", i.e."].iter().any(|mark| lead.ends_with(mark));
    let replaces = ["wait, no,", "no, wait,", "rather,", "sorry,"];
    let formula = value.starts_with('$') && lead.ends_with(", or") && lead.contains('$');
    repeats || formula || replaces.iter().any(|mark| lead.to_lowercase().ends_with(mark))
}

/// Whether a comma and a clause of its own stand behind a value: ", which overlooks the corner tiles".
fn has_clause(tail: &str) -> bool {
    tail.split_once(',').is_some_and(|(_, clause)| words(clause).len() > MAX_ASIDE)
}

/// Most words behind a comma that are an aside and no clause: ", as we wanted".
const MAX_ASIDE: usize = 3;

/// Whether a verb in front of a value takes it as its complement or object; `counted` says that a unit or a
/// noun goes with the value.
fn is_governed(before: &str, lead: &str, value: &str, counted: bool) -> bool {
    let all = clause_words(&before[..end_of(before, lead)]);
    // "five (5)" says its number twice.
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
    let story = !clause.iter().any(|w| ABSTRACT.contains(w) || is_modal(w));
    AMOUNTS.contains(&word(0)) && clause.len() > 1 || story && counted && takes_object(clause)
}

/// Whether a sentence starts with a condition: "If there were twice as many, it would be".
fn is_supposed(lead: &str) -> bool {
    words(lead).iter().any(|w| matches!(w.as_str(), "if" | "had" | "were" | "without" | "unless"))
}

/// Whether a sentence starts by speaking of another case than the one asked about: "Without the discount".
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
    ];
    words(lead).first().is_some_and(|w| others.contains(&w.as_str()))
}

/// The words of a clause, its last word first, behind the conjunction that starts it anew: "so".
fn main_clause<'c, 'w>(clause: &'c [&'w str]) -> &'c [&'w str] {
    let starts = ["so", "but", "hence", "thus", "because", "and"];
    let end = clause.iter().skip(1).position(|w| starts.contains(w)).map(|at| at + 1);
    &clause[..end.unwrap_or(clause.len())]
}

/// Whether the statement of a clause, its last word first, is the object of a verb that does not conclude it:
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

/// Words that may stand before a statement without taking it back: "this means that there are".
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

/// First words of a statement behind "that"; behind others, "that" opens a relative clause.
const OPENERS: [&str; 9] = ["the", "there", "it", "this", "our", "his", "her", "its", "their"];

/// Where a lead, a slice of `before`, ends in it.
fn end_of(before: &str, lead: &str) -> usize {
    (lead.as_ptr() as usize + lead.len()).saturating_sub(before.as_ptr() as usize)
}

/// A clause, its last word first, without the person whom a verb gives its value: "gives us", "took him".
fn without_pronoun<'c, 'w>(clause: &'c [&'w str]) -> &'c [&'w str] {
    match clause {
        ["us" | "you" | "him" | "her" | "them" | "me", rest @ ..] if !rest.is_empty() => rest,
        all => all,
    }
}

/// Whether "to be" follows words that settle it: "turns out", "has".
fn leads_to(clause: &[&str]) -> bool {
    let word = clause.first().copied().unwrap_or_default();
    matches!(
        word,
        "out" | "has" | "have" | "had" | "seems" | "appears" | "going" | "found" | "needs"
    )
}

/// Whether a verb in front of "by" tells of a change: "increases", "expanded".
fn changes(verb: &str) -> bool {
    let others =
        ["divided", "multiplied", "followed", "given", "replaced", "divides", "plus", "is"];
    (verb.ends_with('s') || verb.ends_with("ed")) && !others.contains(&verb)
}

/// "a total of", "has a length of".
fn measures(clause: &[&str]) -> bool {
    let word = |at: usize| clause.get(at).copied().unwrap_or_default();
    let article = (2..5).find(|at| matches!(word(*at), "a" | "an" | "the"));
    let held = |at: usize| RESULTS.contains(&word(at)) || matches!(word(at), "for" | "with");
    word(1) == "total" || article.is_some_and(|at| held(at + 1))
}

fn is_modal(word: &str) -> bool {
    matches!(word, "might" | "may" | "could" | "almost" | "nearly" | "hardly" | "barely")
        || word.ends_with("n't")
        || matches!(word, "not" | "never" | "cannot")
}

/// Whether a clause about the calculation has a word of doubt in it.
fn is_tentative(clause: &[&str]) -> bool {
    let another = |at: usize| {
        clause[at] == "guess" && !matches!(clause.get(at + 1), Some(&("my" | "best" | "final")))
    };
    let mentions = |w: &&str| MENTIONS.contains(w) && !matches!(*w, "guess" | "answer");
    (0..clause.len()).any(another)
        || clause
            .iter()
            .any(|w| is_modal(w) || stance::is_doubt(w) || mentions(w) || TENTATIVE.contains(w))
}

/// Words of a subject that is another value than the one asked for: "the upper bound", "our first attempt".
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

/// Whether a unit or a currency belongs to a value.
fn is_measured(value: &str) -> bool {
    value.contains(|c: char| c.is_alphabetic() || "$€£¥%°".contains(c))
}

/// Whether the last word of a clause can be a verb with an object, behind a subject.
fn takes_object(clause: &[&str]) -> bool {
    let [verb, subject, ..] = clause else { return false };
    let verbal = verb.chars().all(char::is_alphabetic);
    verbal && !FUNCTION_WORDS.contains(verb) && !MENTIONS.contains(verb) && !subject.is_empty()
}
