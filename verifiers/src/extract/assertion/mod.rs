//! Decides, from the form of a sentence, whether it asserts a value that no words announce.
//!
//! Called by [`loose`](super::loose). A value counts if it is all of its line, the right side of an equation,
//! the complement of a linking verb, the object of a verb that counts something, or the subject of a sentence
//! that counts. Every other position ("exceeds 29", "rule 29 out", "29 was my first idea") asserts nothing.
//! The lists in these files are allow-lists: a value in a form that they do not contain is not asserted.

mod equation;
mod predicate;
mod verb;

use super::stance;
use super::tongues::unspaced;

/// Longest sentence around a value that is read, in bytes.
const MAX_SENTENCE: usize = 512;

/// Maximum number of words after a comma that form an aside and not a clause: ", as we wanted".
const MAX_ASIDE: usize = 3;

/// Words that make a statement conditional, tentative or denied, at any position in it.
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

/// Labels of values that are not results.
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

/// Whether the sentence around `value` asserts it; `before` and `after` are the texts around the value.
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
    if equation::is_calculated(lead) {
        return equation::is_made(lead, tail, &behind);
    }
    if behind.iter().any(|w| is_qualifier(w)) {
        return false;
    }
    if lead.trim().is_empty() || opens(lead) {
        return predicate::counts(value, &behind);
    }
    if equation::is_equation(lead, value) {
        return equation::is_result(lead, &behind);
    }
    if has_clause(tail) {
        return false;
    }
    if is_label(lead, value, &behind) || restates(lead, value) {
        return true;
    }
    let noun = behind.first().is_some_and(|w| w != "as") && tail.starts_with(' ');
    let counted = noun || verb::is_measured(value);
    verb::is_governed(before, lead, value, counted)
}

/// The part of a sentence before its value, without the marks around the value.
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

/// The rest of a sentence after its value, and the text after the sentence.
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

/// Whether a full stop ends a title or an abbreviation: a lower-case letter or a known title shows it.
fn is_abbreviated(before: &str, next: &str) -> bool {
    let word = before.rsplit(|c: char| !c.is_alphabetic()).next().unwrap_or_default();
    let goes_on = next.trim_start_matches(' ').starts_with(|c: char| c.is_lowercase());
    goes_on && next.starts_with(' ') || matches!(word, "Mr" | "Mrs" | "Ms" | "Dr" | "St")
}

/// Whether the text after the sentence of a value says nothing about the value: it has no words, or is a
/// closing formula.
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

/// Whether the text before is an opener of one to three words and a comma: "Overall, ".
fn opens(lead: &str) -> bool {
    let Some(opener) = lead.trim_end().strip_suffix(',') else { return false };
    let said = words(opener);
    said.len() <= 3
        && !opener.contains(|c: char| c.is_ascii_digit() || c == ',')
        && !said.iter().any(|w| is_qualifier(w) || stance::is_doubt(w))
}

/// Whether the text before is a label of a few words, such as "Final:" or "Redoing it:", or one word
/// before a formula, such as "center".
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

/// Whether the text before says that the value repeats the previous one ("that is,", "$...$ radians, or")
/// or replaces it ("wait, no,").
fn restates(lead: &str, value: &str) -> bool {
    let repeats = [", that is,", ", i.e.,", ", i.e."].iter().any(|mark| lead.ends_with(mark));
    let replaces = ["wait, no,", "no, wait,", "rather,", "sorry,"];
    let formula = value.starts_with('$') && lead.ends_with(", or") && lead.contains('$');
    repeats || formula || replaces.iter().any(|mark| lead.to_lowercase().ends_with(mark))
}

/// Whether a comma and a separate clause follow a value: ", which overlooks the corner tiles".
fn has_clause(tail: &str) -> bool {
    tail.split_once(',').is_some_and(|(_, clause)| words(clause).len() > MAX_ASIDE)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a sentence asserts its only "29".
    fn asserts(sentence: &str) -> bool {
        let at = sentence.find("29").unwrap();
        asserts_value(&sentence[..at], "29", &sentence[at + 2..])
    }

    #[test]
    fn sentences_that_assert_their_value() {
        for sentence in [
            "29",
            "Total: 29",
            "So 24 + 5 = 29 apples are left.",
            "Hence x = 29.",
            "The sum is therefore 29.",
            "It comes to 29 in all.",
            "She still needs 29 boards.",
            "Overall, 29 people attended.",
            "29 is the answer.",
            "This means that there are 29 of them.",
        ] {
            assert!(asserts(sentence), "{sentence}");
        }
    }

    #[test]
    fn sentences_that_do_not() {
        for sentence in [
            "The value exceeds 29.",
            "I can rule 29 out.",
            "29 was my first idea.",
            "29 fails the check.",
            "It was thought to be 29.",
            "There are more than 29.",
            "I once believed it was 29.",
            "This contradicts the assumption that there are 29 chairs.",
            "For x = 29 the equation has no root.",
            "One might compute 24 + 5 = 29.",
            "The bus holds almost 29 people.",
            "Without the discount it costs 29.",
            "It is 29. I doubt that.",
        ] {
            assert!(!asserts(sentence), "{sentence}");
        }
    }
}
