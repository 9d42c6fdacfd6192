//! Meaning of the words after a value: the value counts something ("29 people attended"), it is the
//! answer ("29 is the answer"), or something else is said about it ("29 is too many").

use super::super::stance;
use super::is_qualifier;

/// Verbs at the beginning of a predicate about the value itself: "29 is ...", "29 would ...".
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

/// Words after a verb in the third person that distinguish it from a plural noun.
const DETERMINERS: [&str; 21] = [
    "the", "a", "an", "our", "my", "your", "this", "these", "those", "both", "all", "every",
    "each", "too", "to", "no", "neither", "what", "one", "it", "them",
];

/// Nouns for the quantity that a question asks for.
const ASKED: [&str; 17] = [
    "answer", "answers", "total", "solution", "result", "value", "number", "sum", "one", "least",
    "most", "smallest", "largest", "greatest", "maximum", "minimum", "final",
];

/// Whether the words after a value at the beginning of a sentence count something ("people attended") or
/// call it the answer. Without words, the value is all of its line.
pub(super) fn counts(value: &str, behind: &[String]) -> bool {
    let measured = value.contains(char::is_alphabetic) && is_passive(behind);
    praises(behind) || measured || !is_predicate(behind) && behind.len() <= 12
}

/// Whether the words call the value the answer: "is the answer", "is our final answer", "is the smallest
/// such number".
pub(super) fn praises(behind: &[String]) -> bool {
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

/// Whether the words after a value form a predicate about it: a verb, or a word in the third person with
/// its object ("fails the check", but not "boys passed the test").
pub(super) fn is_predicate(behind: &[String]) -> bool {
    let word = |at: usize| behind.get(at).map_or("", String::as_str);
    let transitive = word(0).ends_with('s') && DETERMINERS.contains(&word(1)) && behind.len() > 2;
    PREDICATES.contains(&word(0)) || transitive || word(0).ends_with("ed")
}

/// Whether the predicate of a result rejects it: "is not what we want", "is too many".
pub(super) fn is_refused(behind: &[String]) -> bool {
    let refuses = |w: &String| is_qualifier(w) || stance::is_doubt(w);
    is_predicate(behind) && behind.iter().take(4).any(refuses)
}

/// Whether the words are a passive: "are needed", "were sold".
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
