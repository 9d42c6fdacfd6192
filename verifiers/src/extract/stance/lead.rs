//! Whether the clause before an answer allows it to count as asserted. "The wrong answer is", "suppose
//! the answer is" and "it would be a mistake to think the answer is" do not.

use super::{MAX_CLAUSE, RESTARTS, clause_words, is_sentence_end};
use crate::extract::tongues::unspaced;

/// Words of a clause that denies, doubts, supposes or examines the following value.
const DOUBTS: [&str; 84] = [
    "not",
    "never",
    "no",
    "nobody",
    "none",
    "neither",
    "nor",
    "cannot",
    "without",
    "hardly",
    "non",
    "wrong",
    "incorrect",
    "false",
    "invalid",
    "bad",
    "erroneous",
    "mistaken",
    "faulty",
    "tempting",
    "trap",
    "naive",
    "misleading",
    "rejected",
    "inadmissible",
    "untrue",
    "flawed",
    "impossible",
    "unlikely",
    "worst",
    "fake",
    "bogus",
    "absurd",
    "eliminated",
    "excluded",
    "initial",
    "previous",
    "earlier",
    "old",
    "preliminary",
    "tentative",
    "provisional",
    "candidate",
    "potential",
    "plausible",
    "doubt",
    "doubtful",
    "deny",
    "unsure",
    "unclear",
    "uncertain",
    "unknown",
    "wonder",
    "whether",
    "if",
    "unless",
    "suppose",
    "supposing",
    "assume",
    "assuming",
    "imagine",
    "pretend",
    "hypothetically",
    "check",
    "verify",
    "test",
    "examine",
    "consider",
    "ensure",
    "perhaps",
    "maybe",
    "possibly",
    "claims",
    "claimed",
    "distractor",
    "hope",
    "wish",
    "contrary",
    "reject",
    "rejects",
    "disagree",
    "refuse",
    "refuses",
    "decline",
];

/// Words that call the belief in a value mistaken or rash.
const MISBELIEFS: [&str; 36] = [
    "mistakenly",
    "wrongly",
    "incorrectly",
    "erroneously",
    "falsely",
    "naively",
    "hastily",
    "supposedly",
    "allegedly",
    "false",
    "untrue",
    "wrong",
    "incorrect",
    "foolish",
    "silly",
    "rash",
    "hasty",
    "premature",
    "unwise",
    "careless",
    "misguided",
    "ridiculous",
    "tempting",
    "tempted",
    "temptation",
    "misconception",
    "fallacy",
    "illusion",
    "myth",
    "misled",
    "fooled",
    "refute",
    "disprove",
    "disproves",
    "dispute",
    "doubt",
];

/// Nouns that call a belief mistaken if a verb of belief or "to" follows them: "it is a mistake to
/// think".
const MISTAKES: [&str; 5] = ["mistake", "error", "trap", "pitfall", "blunder"];
/// Words after these nouns.
const BELIEVING: [&str; 12] = [
    "to",
    "that",
    "thinking",
    "saying",
    "believing",
    "assuming",
    "concluding",
    "claiming",
    "answering",
    "supposing",
    "writing",
    "stating",
];

/// Openers before a comma that take the following clause back in advance.
const DISTANCED: [&str; 17] = [
    "naively",
    "hypothetically",
    "wrongly",
    "mistakenly",
    "incorrectly",
    "at first glance",
    "at first sight",
    "at first",
    "initially",
    "on the surface",
    "superficially",
    "tempting as it is",
    "otherwise",
    "in a different world",
    "theoretically speaking",
    "according to some",
    "contrary to fact",
];

/// Subjects for which "says" is a conclusion and not an opinion.
const SOURCES: [&str; 12] = [
    "this",
    "that",
    "which",
    "it",
    "formula",
    "theorem",
    "equation",
    "rule",
    "calculation",
    "problem",
    "law",
    "table",
];

/// Words of doubt in other languages; in scripts without blanks, they are parts of the clause.
const FOREIGN_DOUBTS: [&str; 40] = [
    "nicht",
    "pas",
    "não",
    "nao",
    "не",
    "falsche",
    "falsch",
    "incorrecta",
    "incorrecte",
    "falsa",
    "fausse",
    "mauvaise",
    "errada",
    "sbagliata",
    "неправильный",
    "неверный",
    "supongamos",
    "suponha",
    "supposons",
    "angenommen",
    "supponiamo",
    "предположим",
    "если",
    "si",
    "wenn",
    "falls",
    "ob",
    "错误",
    "不正确",
    "不对",
    "假设",
    "假如",
    "如果",
    "是否",
    "可能",
    "不是",
    "若",
    "間違",
    "もし",
    "틀린",
];

/// Verbs that report an opinion, and (below) words that make it the opinion of somebody else.
const OPINIONS: [&str; 20] = [
    "think",
    "thought",
    "say",
    "said",
    "believe",
    "believed",
    "guess",
    "guessed",
    "claim",
    "argue",
    "argued",
    "conclude",
    "concluded",
    "assumed",
    "answered",
    "choose",
    "chose",
    "pick",
    "picked",
    "select",
];
/// Verbs that always report somebody else's opinion.
const REPORTS: [&str; 8] =
    ["thinks", "says", "believes", "guesses", "insists", "argues", "concludes", "alleges"];
const OTHERS: [&str; 26] = [
    "might",
    "everyone",
    "everybody",
    "most",
    "nobody",
    "may",
    "could",
    "some",
    "people",
    "students",
    "many",
    "others",
    "someone",
    "one",
    "you",
    "he",
    "she",
    "they",
    "who",
    "let's",
    "us",
    "let",
    "been",
    "is",
    "was",
    "were",
];

/// Whether the clause that ends at the end of `before` allows the following value to count as asserted:
/// no denial, doubt, supposition or examination governs it.
pub(crate) fn asserts(before: &str) -> bool {
    let words = clause_words(before);
    if is_doubted_abroad(before) {
        return false;
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let end = words.iter().enumerate().position(|(at, _)| restarts(&words, at));
    let clause = &words[..end.unwrap_or(words.len())];
    !(distanced(before) || misbelieved(clause) || doubted(clause))
}

/// Whether the clause before a position denies or supposes the following value in another language than
/// English.
pub(crate) fn is_doubted_abroad(before: &str) -> bool {
    let foreign = |word: &String| {
        FOREIGN_DOUBTS.iter().any(|doubt| match doubt.starts_with(unspaced) {
            true => word.contains(doubt),
            false => word == doubt,
        })
    };
    clause_words(before).iter().any(foreign)
}

/// Whether the clause before a position calls the belief in the following value mistaken.
pub(super) fn is_misbelieved(before: &str) -> bool {
    let words = clause_words(before);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let end = words.iter().enumerate().position(|(at, _)| restarts(&words, at));
    misbelieved(&words[..end.unwrap_or(words.len())])
}

/// Whether a new clause starts at a word. Words are in reverse order here and below. "And conclude"
/// continues the clause before it.
fn restarts(words: &[&str], at: usize) -> bool {
    let next = at.checked_sub(1).map_or("", |next| words[next]);
    let goes_on = words[at] == "and" && (OPINIONS.contains(&next) || REPORTS.contains(&next));
    let no_doubt = words[at] == "doubt" && matches!(words.get(at + 1), Some(&("no" | "without")));
    no_doubt || RESTARTS.contains(&words[at]) && !goes_on
}

/// Whether a clause calls a belief mistaken. A mistake that is corrected does not count.
fn misbelieved(clause: &[&str]) -> bool {
    let mistake = |at: usize| {
        MISTAKES.contains(&clause[at]) && clause[..at].iter().any(|w| BELIEVING.contains(w))
    };
    let mended = ["correct", "fix", "avoid", "undo", "mend", "without"];
    (0..clause.len()).any(|at| MISBELIEFS.contains(&clause[at]) || mistake(at))
        && !clause.iter().any(|w| mended.iter().any(|m| w.starts_with(m)))
}

/// Whether a clause denies, doubts, supposes, examines or only reports the following value.
fn doubted(clause: &[&str]) -> bool {
    clause.iter().enumerate().any(|(at, &word)| {
        let earlier = clause.get(at + 1).copied().unwrap_or_default();
        let possible = word == "possible" && !matches!(earlier, "only" | "best" | "closest");
        let made_sure = word == "sure" && matches!(earlier, "make" | "be" | "quite" | "not");
        possible || made_sure || denies(word) || reported(clause, at)
    })
}

/// Whether the verb at a position reports somebody else's opinion, or one that is no longer held.
fn reported(clause: &[&str], at: usize) -> bool {
    let word = |back: usize| clause.get(at + back).copied().unwrap_or_default();
    if REPORTS.contains(&word(0)) {
        return !SOURCES.contains(&word(1));
    }
    let given_up = word(1) == "have" && matches!(word(2), "would" | "might" | "could" | "i'd")
        || word(1) == "to" && word(2) == "used"
        || word(1) == "would" && !matches!(word(2), "i" | "we");
    let past = word(0).ends_with("ed") || word(0) == "thought";
    let earlier = ["initially", "first", "originally", "once", "previously"];
    let outdated = past && clause.iter().any(|w| earlier.contains(w));
    OPINIONS.contains(&word(0)) && (given_up || outdated || OTHERS.contains(&word(1)))
}

/// Whether a comma and words that take the clause back come before it: "At first glance, the".
fn distanced(before: &str) -> bool {
    let tail = crate::extract::tail(before, MAX_CLAUSE);
    let sentence = tail.rsplit(is_sentence_end).next().unwrap_or(tail);
    let Some((opener, _)) = sentence.rsplit_once(',') else { return false };
    let opener = opener.trim().trim_start_matches(['*', '_']).to_lowercase();
    DISTANCED.contains(&opener.as_str())
        || opener.starts_with("according to ") && !opener.contains("the ")
}

/// Whether a word calls its noun or statement wrong, old or uncertain.
pub(crate) fn is_doubt(word: &str) -> bool {
    denies(word) || MISBELIEFS.contains(&word)
}

/// Whether a word denies or doubts the words after it in its clause.
fn denies(word: &str) -> bool {
    DOUBTS.contains(&word) || word.ends_with("n't")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clauses_that_assert() {
        for lead in [
            "The ",
            "So the final ",
            "I think the ",
            "It can't be 12, so the ",
            "We checked 5 and the ",
            "It is not 5 but the ",
            "The only possible ",
            "If we add them, the ",
            "Correcting this mistake the ",
            "There is no doubt that the ",
            "The formula says the ",
            "According to the table, the ",
        ] {
            assert!(asserts(lead), "{lead}");
        }
        for lead in [
            "The wrong ",
            "A common wrong ",
            "Suppose the ",
            "I am not sure whether the ",
            "Check that the ",
            "If the ",
            "I don't think the ",
            "You might think the ",
            "It is impossible that the ",
            "A possible ",
            "Let's say the ",
            "It would be a mistake to think the ",
            "It is an error to stop here and conclude the ",
            "Bob thinks the ",
            "I would have said the ",
            "One would think that the ",
            "I used to believe that the ",
            "Naively, the ",
            "At first glance, the ",
            "He mistakenly concludes that the ",
        ] {
            assert!(!asserts(lead), "{lead}");
        }
    }
}
