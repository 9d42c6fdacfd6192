//! The words directly before a box, or before a value that no words announce: "not", "let x =", "we can
//! rule out", "it might be".

use super::lead::{asserts, is_misbelieved};
use super::{RESTARTS, clause_words};

/// Whether the words directly before a box deny it: "not", "cannot be", "the wrong answer is".
pub(crate) fn denies_box(before: &str) -> bool {
    let before = before.trim_end_matches(['$', '(', '[', '\\', ' ', '*', '\n', '=']);
    let words = clause_words(before);
    let filler = |w: &&String| {
        matches!(
            w.as_str(),
            "be" | "is"
                | "are"
                | "equal"
                | "equals"
                | "to"
                | "the"
                | "a"
                | "an"
                | "necessarily"
                | "answer"
                | "value"
                | "actually"
                | "really"
                | "would"
                | "was"
        )
    };
    if is_misbelieved(before) || eliminates(&words) {
        return true;
    }
    let Some(word) = words.iter().find(|w| !filler(w)) else { return false };
    word.ends_with("n't")
        || matches!(
            word.as_str(),
            "not" | "cannot" | "never" | "wrong" | "incorrect" | "unlikely" | "suppose" | "whether"
        )
}

/// Whether the words directly before a value only call it possible: "it might be".
pub(crate) fn is_guess(before: &str) -> bool {
    let words = clause_words(before);
    let word = |at: usize| words.get(at).map_or("", String::as_str);
    word(0) == "be" && matches!(word(1), "might" | "may" | "could")
}

/// Whether the words directly before a value exclude it: "we can rule out", "so we reject".
fn eliminates(words: &[String]) -> bool {
    let word = |at: usize| words.get(at).map_or("", String::as_str);
    let at = usize::from(matches!(word(0), "x" | "answer" | "value" | "solution" | "root"));
    let at = at + usize::from(at > 0 && word(at) == "the");
    let ruled = word(at) == "out" && matches!(word(at + 1), "rule" | "ruled" | "rules" | "ruling");
    let forbidden =
        matches!(word(at), "write" | "say" | "answer" | "choose" | "pick" | "put" | "enter")
            && (word(at + 1).ends_with("n't") || matches!(word(at + 1), "not" | "never"));
    ruled
        || forbidden
        || matches!(
            word(at),
            "eliminate"
                | "reject"
                | "rejecting"
                | "exclude"
                | "excluding"
                | "discard"
                | "discarding"
                | "dismiss"
                | "disregard"
        )
}

/// First words of clauses that suppose, propose or examine a value.
const SUPPOSING: [&str; 18] = [
    "suppose",
    "supposing",
    "assume",
    "assuming",
    "consider",
    "check",
    "verify",
    "test",
    "try",
    "imagine",
    "let",
    "if",
    "whether",
    "guess",
    "say",
    "unless",
    "perhaps",
    "maybe",
];

/// Verbs after which a value is only tried: "Let's test 17".
const EXAMINING: [&str; 8] =
    ["test", "try", "check", "verify", "consider", "suppose", "assume", "examine"];

/// Whether the words directly before a value use it to describe other numbers: "any multiple of",
/// "divisible by".
pub(crate) fn names_others(before: &str) -> bool {
    let words = clause_words(before);
    let word = |at: usize| words.get(at).map_or("", String::as_str);
    let kinds = ["multiple", "multiples", "divisor", "divisors", "factors", "powers", "neighbours"];
    word(0) == "of" && kinds.contains(&word(1)) || word(0) == "by" && word(1) == "divisible"
}

/// Whether the clause before a value only supposes or examines it: "Let x =", "if it is".
pub(crate) fn supposes(before: &str) -> bool {
    let words = clause_words(before);
    let restart = words.iter().position(|w| RESTARTS.contains(&w.as_str())).unwrap_or(words.len());
    let clause = &words[..restart];
    let opener =
        |w: &&String| matches!(w.as_str(), "let's" | "let" | "us" | "we" | "now" | "first");
    let first = clause.iter().rev().find(|w| !opener(w));
    clause.last().is_some_and(|w| SUPPOSING.contains(&w.as_str()))
        || first.is_some_and(|w| EXAMINING.contains(&w.as_str()))
        || clause.iter().any(|w| w == "whether")
        || is_misbelieved(before)
        || clause.iter().any(|w| w == "answer") && !asserts(before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_right_before_a_value() {
        for before in ["so it is not ", "we can rule out ", "Don't write ", "It is false that x = "]
        {
            assert!(denies_box(before), "{before}");
        }
        for before in ["so it is ", "not 5 but ", "this leaves "] {
            assert!(!denies_box(before), "{before}");
        }
        assert!(supposes("Let x = ") && supposes("Let's test ") && !supposes("If so, it is "));
        assert!(is_guess("but it might be ") && !is_guess("so it must be "));
        assert!(names_others("Any multiple of ") && !names_others("a total of "));
    }
}
