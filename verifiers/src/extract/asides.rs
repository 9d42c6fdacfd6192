//! Removes text next to a stated value that is not part of it: reasons, remarks in brackets, rounded
//! values that repeat an exact one, checks.
//!
//! The text is cut at words and punctuation; mathematics is not parsed. Text that is cut off never
//! becomes an answer.

use std::borrow::Cow;

use super::prose::{after_link, alphabetic, closed_braces, closed_formula, plain_words};
use crate::syntax::names;

/// Words that begin a clause explaining the answer before it.
const ASIDES: [&str; 34] = [
    " as there ",
    " as we ",
    " as it ",
    " as she ",
    " as he ",
    " as they ",
    ", since ",
    ", because ",
    " because ",
    ", which ",
    ", as ",
    ", where ",
    ", so ",
    ", not ",
    ", i.e.",
    ", that is",
    ", for ",
    " rather than ",
    " instead of ",
    " since ",
    " which ",
    " as required",
    " as desired",
    " as expected",
    " and not ",
    " for all ",
    " for every ",
    " for any ",
    " for each ",
    "\u{ff0c}\u{56e0}",
    "\u{ff0c}\u{6240}",
    "\u{ff0c}\u{5373}",
    "\u{ff0c}\u{800c}",
    "\u{ff0c}\u{5171}",
];

/// Statements longer than this, in bytes, are left unchanged, because they are too long to be compared.
const MAX_READ: usize = 32 << 10;
/// Longest statement that is searched for asides and remarks, in bytes.
const MAX_STATEMENT: usize = 1024;

/// Marks after a value at which an aside in words can begin.
const BREAKS: [&str; 6] = [", ", " \u{2013} ", " \u{2014} ", " - ", "\u{2014}", "; "];

/// Start of an aside in words after a value: ", in total", ", altogether", " \u{2013} not 74". If a
/// number, a formula or a letter follows, it is another item of a list and not an aside.
fn aside_in_words(sentence: &str) -> Option<usize> {
    let sentence = super::head(sentence, MAX_STATEMENT);
    let breaks = BREAKS.iter().flat_map(|mark| sentence.match_indices(mark));
    let starts = breaks.filter(|(at, mark)| {
        let (head, rest) = (&sentence[..*at], &sentence[at + mark.len()..]);
        let last_item = head.rsplit(", ").next().unwrap_or(head);
        let value = last_item.contains(|c: char| c.is_ascii_digit() || "$\\√πXx½¼¾".contains(c));
        value && is_aside(rest) && closed_formula(head) && closed_braces(head)
    });
    starts.map(|(at, _)| at).min()
}

/// Asides whose first words could be answers themselves.
const ASIDES_OF_AMOUNT: [&str; 9] = [
    "all told",
    "all in all",
    "all together",
    "all of ",
    "no more",
    "no less",
    "no fewer",
    "none of ",
    "half of ",
];

/// Whether words follow and not another item: "in total", "and we are done", but not "and 3" or "y = 2".
fn is_aside(rest: &str) -> bool {
    let mut rest = rest;
    if rest.starts_with("or ") && rest.contains("% of ") {
        return true;
    }
    for joiner in ["and ", "or "] {
        if let Some(after) = rest.strip_prefix(joiner) {
            let item = after.split([',', ' ']).next().unwrap_or(after);
            if !item.bytes().all(|b| b.is_ascii_alphabetic()) || item.len() < 2 {
                return false;
            }
            // "and nothing else" is an aside, "or six" is another value.
            rest = after;
        }
    }
    if ASIDES_OF_AMOUNT.iter().any(|aside| rest.starts_with(aside)) {
        return true;
    }
    // "a round number" is an aside, "a" alone is a value.
    let rest = ["a ", "an "].iter().find_map(|article| rest.strip_prefix(article)).unwrap_or(rest);
    let length = alphabetic(rest);
    let word = &rest[..length];
    length >= 2
        && !rest[length..].starts_with(['(', '_', '^', '=', '\\'])
        && !rest[length..].trim_start().starts_with('=')
        && names::function(word).is_none()
        && names::number_word(word).is_none()
        && !matches!(
            word.to_ascii_lowercase().as_str(),
            "infinity"
                | "inf"
                | "pi"
                | "sqrt"
                | "frac"
                | "undefined"
                | "none"
                | "no"
                | "infinitely"
                | "all"
                | "any"
                | "half"
        )
}

/// Whether a statement cannot contain an aside, because it has no word and no bracket after a blank. This
/// holds for most answers and saves them the search for every kind of aside.
fn is_wordless(sentence: &str) -> bool {
    sentence.is_ascii()
        && plain_words(sentence, 1) == 0
        && !sentence.contains(" (")
        && !sentence.contains("i.e")
        && !sentence.contains("% of ")
}

/// A stated answer without the clause or bracket after it that explains it: `5` for "5, since 2 + 3 = 5"
/// and for "5 (five)".
pub(crate) fn main_clause(sentence: &str) -> &str {
    if sentence.len() > MAX_READ || is_wordless(sentence) {
        return sentence;
    }
    if let Some(word) = polar(sentence) {
        return word;
    }
    if let Some(figures) = figures_behind_word(sentence) {
        return figures;
    }
    let clause = ASIDES
        .iter()
        .filter_map(|aside| sentence.find(aside))
        .filter(|at| {
            let head = &sentence[..*at];
            !head.trim().is_empty() && closed_formula(head) && closed_braces(head)
        })
        .chain(aside_in_words(sentence))
        .chain(value_of_variable(sentence, &[" when ", " at "]))
        .chain(spelled_out(sentence))
        .chain(reason_in_figures(sentence))
        .chain(apposition(sentence))
        .min()
        .map_or(sentence, |at| &sentence[..at]);
    let Some((head, aside)) = clause.strip_suffix(')').and_then(|c| c.rsplit_once(" (")) else {
        return clause;
    };
    let unit = names::unit_word(aside);
    let explains = unit
        || plain_words(aside, 1) == 1
        || aside.starts_with("or ")
        || aside.contains("% of ")
        || aside.contains(" = ");
    let stands = !head.trim().is_empty() && closed_formula(head) && !aside.contains(')');
    if explains && stands { head.trim_end() } else { clause }
}

/// Yes or no at the beginning of a statement that then explains it: `No` for "No, it is not".
pub(super) fn polar(sentence: &str) -> Option<&str> {
    let word = &sentence[..alphabetic(sentence)];
    let known = ["yes", "no", "true", "false"].iter().any(|w| w.eq_ignore_ascii_case(word));
    let rest = &sentence[word.len()..];
    let explained = rest.starts_with([',', ';', '\u{2014}'])
        || ["because ", "since ", "as ", "- ", "\u{2013} ", "\u{2014} "]
            .iter()
            .any(|start| rest.strip_prefix(' ').is_some_and(|rest| rest.starts_with(start)));
    let other = if word.eq_ignore_ascii_case("yes") { "no" } else { "yes" };
    let retracted = ["wait", "but", "or", other, "maybe"].iter().any(|turn| {
        rest.trim_start_matches([',', ';', ' ']).to_ascii_lowercase().starts_with(turn)
    });
    (known && explained && !retracted).then_some(word)
}

/// Figures after the word for the same number: `2` for "two (2)".
fn figures_behind_word(sentence: &str) -> Option<&str> {
    let (word, rest) = sentence.split_once(" (")?;
    let (figures, after) = rest.split_once(')')?;
    let value = names::number_word(&word.to_ascii_lowercase())?;
    (figures.parse() == Ok(value) && plain_words(after, 2) < 2).then_some(figures)
}

/// Start of a description after a name: ", the capital of France".
fn apposition(sentence: &str) -> Option<usize> {
    let (name, rest) = sentence.split_once(", ")?;
    let described = ["the ", "a ", "an ", "who ", "our ", "his ", "her ", "its "];
    let named = name.starts_with(|c: char| c.is_ascii_uppercase())
        && plain_words(name, 4) < 4
        && !name.contains(|c: char| c.is_ascii_digit() || matches!(c, '$' | '\\' | '='));
    let single = plain_words(rest, 2) == 2 && !rest.contains(", ") && !rest.contains(" and the ");
    (named && single && described.iter().any(|start| rest.starts_with(start))).then_some(name.len())
}

/// Start of the spelled-out form after a number: " (four)" in "4 (four) apples".
fn spelled_out(sentence: &str) -> Option<usize> {
    let at = sentence.find(" (")?;
    let (word, _) = sentence[at + 2..].split_once(')')?;
    let number = sentence[..at].ends_with(|c: char| c.is_ascii_digit());
    (number && names::number_word(word).is_some()).then_some(at)
}

/// Start of a clause at the end of a sentence that only gives the value of a variable: " when x = 3".
fn value_of_variable(sentence: &str, joiners: &[&str]) -> Option<usize> {
    let sentence = super::head(sentence, MAX_STATEMENT);
    let (at, joiner) = joiners.iter().filter_map(|j| Some((sentence.find(j)?, j))).min()?;
    let clause = sentence[at + joiner.len()..].trim_start_matches(['$', '\\', '(']);
    let (name, value) = clause.split_once('=')?;
    let one = name.trim().len() == 1 && !value.contains([',', ';']);
    let joined = value.contains(" and ") || value.contains(" or ") || value.contains(" when ");
    (one && !joined && !sentence[..at].trim().is_empty() && closed_formula(&sentence[..at]))
        .then_some(at)
}

/// Start of a reason in figures after a value: " as 2+2=4".
fn reason_in_figures(sentence: &str) -> Option<usize> {
    let at = sentence.find(" as ")?;
    let formula = |c: char| c.is_ascii_digit() || matches!(c, '$' | '\\');
    let reason = &sentence[at + " as ".len()..];
    (sentence.starts_with(formula) && reason.starts_with(formula) && reason.contains('='))
        .then_some(at)
        .filter(|at| closed_formula(&sentence[..*at]))
}

/// Spacing commands between a value and a remark.
const BLANKS: [&str; 10] =
    ["\\quad", "\\qquad", "\\;", "\\,", "\\:", "\\ ", "\\!", "~", "\\left", "\\big"];

/// Text commands around a remark.
const WRAPS: [&str; 6] = ["\\text{", "\\textrm{", "\\mathrm{", "\\mbox{", "\\textit{", "\\text {"];

/// Words that begin a remark after a value without brackets.
const REMARKS: [&str; 12] = [
    "since ",
    "because ",
    "which ",
    "where ",
    "approximately ",
    "approx",
    "i.e.",
    "that is",
    "so that",
    "as required",
    "or about ",
    "as desired",
];

/// A value without the remark after it, in brackets or after a comma: `\frac{737}{39}` for
/// `\frac{737}{39}\;\text{(about }18.9\text{ cards)}`.
pub(crate) fn without_remark(value: &str) -> Cow<'_, str> {
    if value.len() > MAX_STATEMENT {
        return Cow::Borrowed(value);
    }
    let texts = WRAPS.iter().flat_map(|wrap| value.match_indices(wrap));
    let brackets = value.match_indices('(').map(|(at, _)| (at, "("));
    let starts = texts.chain(brackets).filter(|(at, wrap)| {
        let opened = value[..*at].bytes().filter(|b| *b == b'{').count();
        let closed = value[..*at].bytes().filter(|b| *b == b'}').count();
        opened == closed && (*wrap == "(" || !value[..*at].trim().is_empty())
    });
    let cut = starts.filter(|(at, wrap)| is_remark(&value[*at..], wrap)).map(|(at, _)| at).min();
    let Some(at) = cut else { return Cow::Borrowed(value) };
    let mut head = value[..at].trim_end();
    while let Some(shorter) = BLANKS.iter().find_map(|b| head.strip_suffix(b)) {
        head = shorter.trim_end();
    }
    let head = head.trim_end_matches([',', ';', ' ']);
    if head.is_empty() { Cow::Borrowed(value) } else { Cow::Borrowed(head) }
}

/// Whether the rest of a value, which begins with `wrap`, is a remark.
fn is_remark(rest: &str, wrap: &str) -> bool {
    let mut plain = rest.to_owned();
    for command in WRAPS.iter().chain(&BLANKS) {
        plain = plain.replace(command, " ");
    }
    let plain = plain.replace(['}', '{', '$'], " ");
    let plain = plain.trim().trim_start_matches([',', ' ', ';']);
    let bracketed = plain.starts_with('(')
        && plain.trim_end_matches(['.', ' ']).ends_with(')')
        && plain.matches('(').count() == plain.matches(')').count();
    let inner = plain.trim_start_matches('(').trim_start();
    let wordy = inner.starts_with("\\approx")
        || inner.starts_with('≈')
        || inner.starts_with("i.e.")
        || plain_words(inner, 1) == 1 && inner.starts_with(|c: char| c.is_ascii_alphabetic());
    bracketed && wordy && !names::unit_word(inner.trim_end_matches(['.', ' ', ')']))
        || wrap != "(" && REMARKS.iter().any(|word| plain.starts_with(word))
}

/// First words of a closing sentence that checks the answer before it.
const CHECKS: [&str; 8] =
    ["Check", "Checking", "Verify", "Verification", "Verifying", "To check", "To verify", "Indeed"];

/// A text without a last sentence that checks the answer: "Check: 7 - 2 = 5".
pub(super) fn without_check(text: &str) -> &str {
    let sentence = text.trim_end().trim_end_matches(['.', '!', '✓', '✔', '✅', ' ']);
    let start = [". ", "\n", ".\n"]
        .iter()
        .filter_map(|end| Some(sentence.rfind(end)? + end.len()))
        .max()
        .unwrap_or(0);
    let (before, last) = text.split_at(start);
    let last = last.trim_start_matches(['*', '#', ' ', '(']);
    let checks = CHECKS.iter().any(|word| {
        last.strip_prefix(word).is_some_and(|rest| rest.starts_with([':', ' ', ',', '*']))
    });
    let counted = before.contains(|c: char| c.is_ascii_digit() || c == '$');
    if checks && counted { before.trim_end() } else { text }
}

/// Words before a rounded value that only repeats the exact one before it.
const APPROXIMATIONS: [&str; 6] = [
    ", or about ",
    ", or approximately ",
    ", or roughly ",
    ", which is about ",
    ", which is approximately ",
    ", approximately ",
];

/// Words before a reason at the end of a sentence.
const REASONS: [&str; 4] = [", since ", ", because ", " because ", ", as there "];

/// Words before the point at which a value is attained.
const PLACES: [&str; 7] = [
    ", attained ",
    " attained at ",
    ", achieved ",
    ", which is attained ",
    ", which occurs ",
    ", occurring ",
    ", reached ",
];

/// Whether a text states a value and ends with it: "The minimum is 12".
fn ends_with_linked_value(text: &str) -> bool {
    let text = text.trim_end();
    let linked = after_link(text).is_some_and(|value| value.contains(|c: char| c.is_ascii_digit()));
    linked && text.ends_with(|c: char| c.is_ascii_digit() || matches!(c, '$' | ')' | '}' | '%'))
}

/// Start of a remark in brackets after the value at the end of a sentence: " (a 20% discount)".
fn remark_in_brackets(sentence: &str) -> Option<usize> {
    let at = sentence.strip_suffix(')')?.rfind(" (")?;
    let (head, inner) = (sentence[..at].trim_end(), &sentence[at + 2..sentence.len() - 1]);
    let valued = head.ends_with(|c: char| c.is_ascii_digit() || matches!(c, '$' | '%'));
    let worded = inner.starts_with(|c: char| c.is_ascii_alphabetic()) && plain_words(inner, 1) == 1;
    (valued && worded && !inner.contains(')')).then_some(at)
}

/// Start of the time or number at the end of a sentence to which its price or result refers: " after 9
/// months" after "$1,350", " in 7 days" after "20 + 42 = 62 pies".
fn reference_behind_result(sentence: &str) -> Option<usize> {
    let (at, words) =
        [" after ", " in ", " for ", " over ", " within ", " during ", " out of the ", " to "]
            .iter()
            .filter_map(|words| Some((sentence.rfind(words)?, words)))
            .max()?;
    let (head, phrase) = (&sentence[..at], &sentence[at + words.len()..]);
    let (count, unit) = phrase.split_once(' ')?;
    let counted = !count.is_empty() && count.bytes().all(|b| b.is_ascii_digit());
    let timed = names::unit(unit).is_some_and(|u| matches!(u.dimension, "time" | "calendar"));
    let figures = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    let priced = head
        .rsplit(' ')
        .next()
        .and_then(|word| word.strip_prefix(['$', '€', '£']))
        .is_some_and(figures);
    let result = head.rsplit(['=', '>']).next().unwrap_or_default().trim_start_matches([' ', '$']);
    let calculated = head.contains('=') && figures(result) && plain_words(unit, 1) == 1;
    (counted && (timed && priced || calculated)).then_some(at)
}

/// A text without the part after the value of its last sentence, such as a rounded value that repeats it
/// or a reason: "It is 9π, or about 28.27", "It is 5/36, since there are 36 outcomes".
pub(super) fn without_aside(text: &str) -> &str {
    let ended = text.trim_end_matches(['.', ' ', '\n']);
    let starts = [ended.rfind('\n').map(|at| at + 1), ended.rfind(". ").map(|at| at + 2)];
    let start = starts.into_iter().flatten().max().unwrap_or(0);
    let sentence = super::head(&ended[start..], MAX_STATEMENT);
    let reasons = REASONS.iter().filter_map(|words| {
        let at = sentence.find(words)?;
        // After a further comma the sentence may state its result.
        (!sentence[at + words.len()..].contains([',', ';'])).then_some(at)
    });
    let places = PLACES
        .iter()
        .filter_map(|words| sentence.find(words))
        .chain(value_of_variable(sentence, &[" for ", " when ", " at "]));
    let places = places.filter(|at| ends_with_linked_value(&sentence[..*at]));
    let approximated = APPROXIMATIONS.iter().filter_map(|words| sentence.find(words));
    let ends = approximated.chain(reasons).chain(places).chain(remark_in_brackets(sentence));
    let Some(at) = ends.chain(reference_behind_result(sentence)).min() else { return text };
    let head = &sentence[..at];
    let exact = head.contains(|c: char| c.is_ascii_digit() || "$\\√π".contains(c));
    // The dollar sign of a price does not open a formula.
    let priced = head.rsplit('$').next().is_some_and(|price| {
        head.contains('$') && price.bytes().all(|b| b.is_ascii_digit() || matches!(b, b',' | b'.'))
    });
    if exact && (closed_formula(head) || priced) { &text[..start + at] } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_explanations_out() {
        assert_eq!(main_clause("5, since 2 + 3 = 5"), "5");
        assert_eq!(main_clause("$\\sqrt2$, which is about 1.4"), "$\\sqrt2$");
        assert_eq!(main_clause("$0.5$ (or $\\frac12$)"), "$0.5$");
        assert_eq!(main_clause("f (x)"), "f (x)");
        assert_eq!(main_clause("(1, 2)"), "(1, 2)");
    }

    #[test]
    fn leaves_out_what_only_repeats_or_checks() {
        assert_eq!(without_check("So x = 7. Check: 7 + 5 = 12."), "So x = 7.");
        assert_eq!(without_check("Check 7."), "Check 7.");
        assert_eq!(without_aside("It is 9π, or about 28.27."), "It is 9π");
        assert_eq!(without_aside("It costs $24 (a 20% discount)."), "It costs $24");
        assert_eq!(
            without_aside("She has 12, because 3 * 4 = 12, so 10."),
            "She has 12, because 3 * 4 = 12, so 10."
        );
        assert_eq!(
            without_aside("They bake 21 + 42 = 63 pies in 7 days."),
            "They bake 21 + 42 = 63 pies"
        );
        assert_eq!(without_aside("They need 3 days."), "They need 3 days.");
    }
}
