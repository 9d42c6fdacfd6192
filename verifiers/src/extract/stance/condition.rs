//! Answers under a condition: "9 only if x is positive" and "had we added, the answer would be 9" mention
//! a value without stating that it is the answer.

use super::{MAX_CLAUSE, is_sentence_end, starts_with_phrase, words};
use crate::extract::prose;

/// Words after a value that make it conditional.
const CONDITIONS: [&str; 13] = [
    "only if",
    "only when",
    "only where",
    "only for",
    "if and only if",
    "iff",
    "unless",
    "except when",
    "except if",
    "in case",
    "on condition",
    "on the condition",
    "if",
];

/// Words that make a value conditional unless a comma precedes them; after a comma they state what the
/// answer assumes.
const RESERVATIONS: [&str; 6] =
    ["provided", "as long as", "so long as", "assuming", "supposing", "but only"];

/// Words after "if" that do not make the answer conditional: "9 if rounded".
const HARMLESS: [&str; 19] = [
    "rounded",
    "we round",
    "you round",
    "rounding",
    "simplified",
    "we simplify",
    "written",
    "we write",
    "expressed",
    "we express",
    "needed",
    "necessary",
    "desired",
    "required",
    "any",
    "preferred",
    "you prefer",
    "i",
    "my",
];

/// Whether the words of a statement make its value conditional: "9 only if x is positive".
pub(crate) fn is_conditional(statement: &str) -> bool {
    let depends =
        |at: usize| prose::closed_formula(&statement[..at]) && !is_harmless(&statement[at..]);
    let set_off = |at: usize| statement[..at].trim_end().ends_with(',');
    CONDITIONS.iter().any(|c| places(statement, c).any(depends))
        || RESERVATIONS.iter().any(|r| places(statement, r).any(|at| depends(at) && !set_off(at)))
}

/// Whether the words directly after a value make it conditional: ", but only if x is positive", "(only
/// when x > 0)".
pub(crate) fn is_conditional_behind(after: &str) -> bool {
    let mut rest = after.trim_start_matches([' ', ',', ';', '(', '\u{2014}', '\u{2013}', '-']);
    for joiner in ["but", "and", "though", "that is", "this holds"] {
        if starts_with_phrase(rest, joiner) {
            rest = rest[joiner.len()..].trim_start_matches([' ', ',']);
        }
    }
    CONDITIONS.iter().any(|c| starts_with_phrase(rest, c)) && !is_harmless(rest)
}

/// As [`is_conditional_behind`], for a value that no words announce. Word problems ask what somebody
/// earns "if" something happens, so a plain "if" directly after the value is not a restriction.
pub(crate) fn is_restricted(after: &str) -> bool {
    is_conditional_behind(after) && !starts_with_phrase(after.trim_start(), "if")
}

/// Whether the sentence that ends at the end of `before` is about a result that the solver would get but
/// does not: "had we added, we would get". In contrast, the amount that a person in a word problem would
/// earn is an answer.
pub(crate) fn imagines(before: &str) -> bool {
    let tail = crate::extract::tail(before, 2 * MAX_CLAUSE);
    let sentence = tail.rsplit(is_sentence_end).next().unwrap_or(tail);
    let all: Vec<String> = words(sentence).collect();
    let solver = |pair: &[String]| {
        matches!(pair[0].as_str(), "we" | "i" | "you" | "one" | "had" | "were")
            && matches!(pair[1].as_str(), "would" | "might" | "we" | "i" | "you")
    };
    let lower = sentence.to_lowercase();
    if [", were ", ", had "].iter().any(|aside| lower.contains(aside))
        && (lower.contains("answer") || lower.trim_start().starts_with(','))
    {
        return true;
    }
    let unreal = all.iter().any(|w| matches!(w.as_str(), "we'd" | "you'd" | "i'd"));
    (unreal || all.windows(2).any(solver)) && is_counterfactual(before, false)
}

/// Positions of a phrase of complete words after a blank.
fn places<'t>(text: &'t str, phrase: &'t str) -> impl Iterator<Item = usize> + 't {
    text.match_indices(phrase)
        .map(|(at, _)| at)
        .filter(move |&at| text[..at].ends_with(' ') && starts_with_phrase(&text[at..], phrase))
}

/// Whether a condition is harmless, such as "if rounded".
fn is_harmless(condition: &str) -> bool {
    condition
        .strip_prefix("if ")
        .is_some_and(|rest| HARMLESS.iter().any(|word| starts_with_phrase(rest, word)))
}

/// First words of counterfactual sentences: "Had we added, ...".
const INVERTED: [&str; 5] = ["had", "were", "should", "if only", "otherwise"];

/// Words of a counterfactual if-clause.
const UNREAL: [&str; 10] = [
    "had",
    "were",
    "hadn't",
    "weren't",
    "didn't",
    "instead",
    "forgot",
    "ignored",
    "mistakenly",
    "wrongly",
];

/// Whether the sentence that ends at the end of `before` is counterfactual, under a condition that does
/// not hold; `would`: whether the verb of the announcement after it is "would".
pub(crate) fn is_counterfactual(before: &str, would: bool) -> bool {
    let tail = crate::extract::tail(before, 2 * MAX_CLAUSE);
    let mut sentence = tail.rsplit(is_sentence_end).next().unwrap_or(tail).trim_start();
    if starts_with_phrase(sentence, "but for") {
        return true;
    }
    for opener in ["so", "and", "but", "then", "also", "now"] {
        if starts_with_phrase(sentence, opener) {
            sentence = sentence[opener.len()..].trim_start_matches([' ', ',']);
        }
    }
    if INVERTED.iter().any(|first| starts_with_phrase(sentence, first)) || is_case(sentence) {
        return true;
    }
    let all: Vec<String> = words(sentence).collect();
    let has = |wanted: &[&str]| all.iter().any(|w| wanted.contains(&w.as_str()));
    let conditional = has(&[
        "if",
        "without",
        "suppose",
        "imagine",
        "ignoring",
        "neglecting",
        "omitting",
        "forgetting",
    ]);
    would && conditional || has(&["if"]) && has(&UNREAL) && has(&["would"])
}

/// Whether a sentence begins with a case of a variable: "If x is positive, ...".
fn is_case(sentence: &str) -> bool {
    let all: Vec<String> = words(sentence).take(4).collect();
    let word = |at: usize| all.get(at).map_or("", String::as_str);
    matches!(word(0), "if" | "when" | "unless")
        && word(1).len() == 1
        && word(2) == "is"
        && matches!(word(3), "positive" | "negative" | "even" | "odd" | "zero" | "nonzero" | "real")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_under_a_condition() {
        for text in
            ["9 only if x is positive", "9 unless x = 0", "9 if x > 0", "9 provided that x is even"]
        {
            assert!(is_conditional(text), "{text}");
        }
        for text in ["9 if rounded", "9, provided x is even", "9 gifts", "9", "$9 \\text{ if } x$"]
        {
            assert!(!is_conditional(text), "{text}");
        }
        assert!(is_conditional_behind(", but only if x is positive"));
        assert!(!is_conditional_behind(", since x is positive"));
    }

    #[test]
    fn sentences_about_what_is_not_the_case() {
        for (before, would) in [
            ("Had we added, the ", true),
            ("If we had added, we would get ", true),
            ("But were x negative, the ", true),
            ("If x is even, the ", false),
            ("Otherwise, the ", false),
            ("Without the discount, the ", true),
        ] {
            assert!(is_counterfactual(before, would), "{before}");
        }
        for (before, would) in [
            ("So the ", true),
            ("She had 12. The ", false),
            ("If we add them, the ", false),
            ("Since she had 12, the ", true),
        ] {
            assert!(!is_counterfactual(before, would), "{before}");
        }
    }
}
