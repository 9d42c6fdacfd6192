//! Extracts the value from a sentence in a place that holds the answer: between tags, in a box, or at the
//! beginning of a text that answers with yes or no.

use std::borrow::Cow;

use super::{asides, assertion, is_counted, loose, prose, stance};

/// The value of a sentence between tags or in a box: `42` for "The total is 42" and "Total: 42".
pub(super) fn value_of_sentence(content: &str) -> Option<&str> {
    if let Some((lead, value)) = content.strip_prefix("\\text{").and_then(|c| c.split_once('}')) {
        let told = is_counted(value) && prose::starts_with_word(lead) && !is_counted(lead);
        return (told && assertion::asserts_value(lead, value, "")).then_some(value.trim());
    }
    if !prose::starts_with_word(content) {
        return None;
    }
    let ended = content.trim_end_matches(['.', ' ']);
    let Some(value) = prose::after_link(ended) else { return value_in_words(content) };
    let lead = &ended[..ended.len() - value.len()];
    let figures =
        value.starts_with(|c: char| c.is_ascii_digit() || "$\\-\u{2212}.({€£".contains(c));
    let plain = !is_counted(lead) && !lead.contains(['(', '=', '{']) && !prose::is_sentence(value);
    (figures && plain && assertion::asserts_value(lead, value, "")).then_some(value)
}

/// The only number of a sentence without a linking verb: `54` for "He needs 54 boards".
fn value_in_words(sentence: &str) -> Option<&str> {
    let numbers = sentence.split(' ').filter(|w| w.contains(|c: char| c.is_ascii_digit())).count();
    let told = numbers == 1
        && prose::plain_words(sentence, 3) == 3
        && !sentence.contains(['$', '\\', '=']);
    match loose::last(sentence).ok().filter(|_| told)?.text {
        Cow::Borrowed(value) => Some(value),
        Cow::Owned(_) => None,
    }
}

/// The yes or no at the beginning of a one-line text that then explains it. "No, it is 5" gives a number
/// instead.
pub(super) fn polar(text: &str) -> Option<&str> {
    let word = asides::polar(text).filter(|_| !text.contains('\n'))?;
    let rest = text[word.len()..].trim_start_matches([',', ';', ' ', '\u{2014}', '\u{2013}', '-']);
    let reasoned =
        ["because", "since", "as", "for"].iter().any(|w| stance::starts_with_phrase(rest, w));
    let asked = text.contains('?') || stance::withdrawn(rest);
    (!asked && (reasoned || !is_counted(rest))).then_some(word)
}
