//! Extracts an answer that no words announce: the last formula, number, bracket of numbers or emphasised
//! words of a text.
//!
//! Only the last candidate is considered. If it is a number that is part of something larger, or if its
//! clause denies or supposes it, there is no answer; earlier candidates are not tried.

use super::numbers::{self, last_number};
use super::stance;
use super::{Extracted, Found, Source, Span, asides, assertion, environments, groups, prose};
use crate::fuel::Reason;

/// The last value of a text without an announcement, if its sentence [asserts](assertion) it.
pub(super) fn last(text: &str) -> Found<'_> {
    let checked = asides::without_check(text);
    let found = within(checked)?;
    let read = asides::without_aside(checked);
    let (before, after) = around(read, &found.text);
    let reason = &checked[read.len()..];
    if is_calculated_behind(reason, &found.text)
        || assertion::asserts_value(before, &found.text, after)
    {
        return Ok(found);
    }
    Err(Reason::NoAnswer)
}

/// Whether a reason at the end of a sentence calculates the value: ", because 60 + 1 = 61" after 61.
fn is_calculated_behind(reason: &str, value: &str) -> bool {
    let ended = reason.trim_end_matches(['.', ' ', '\n']);
    let figures = value.trim_start_matches(['$', '\\']);
    let number = figures.find(|c: char| !c.is_ascii_digit()).map_or(figures, |at| &figures[..at]);
    let left = ended.strip_suffix(number).filter(|_| !number.is_empty());
    left.is_some_and(|left| left.trim_end_matches([' ', '$']).ends_with(['=', '>']))
}

/// The texts before and after `piece`, a slice of `text`.
fn around<'t>(text: &'t str, piece: &str) -> (&'t str, &'t str) {
    let start = (piece.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
    (&text[..start], &text[start + piece.len()..])
}

/// The last formula; or the last number or bracket of numbers, if it comes later; or the emphasised words
/// at the end of the text. The caller knows that the text states an answer.
pub(super) fn within(text: &str) -> Found<'_> {
    let text = asides::without_aside(asides::without_check(text));
    if let Some(words) = prose::closing_emphasis(text) {
        let told = words.contains(|c: char| c.is_ascii_digit()) && prose::starts_with_word(words);
        let value = prose::after_link(words).filter(|_| told).unwrap_or(words);
        return asserted(text, value, Source::Emphasis);
    }
    let formula = environments::last_joined(text);
    let number = last_number(text);
    let group = groups::last_group(text).filter(|g| number.is_none_or(|n| n.end <= g.end));
    if formula.is_none_or(|f| number.is_some_and(|n| n.start >= f.end))
        && group.is_none()
        && let Some(expression) = prose::last_expression(text)
    {
        return asserted(text, expression, Source::Formula);
    }
    match (formula, group, number) {
        (Some(f), g, n) if g.or(n).is_none_or(|n| n.start < f.end) => {
            asserted(text, &text[f.range()], Source::Formula)
        }
        (_, Some(group), _) => asserted(text, &text[group.range()], Source::Number),
        (_, None, Some(number)) => counted(text, number),
        (_, None, None) => match prose::last_emphasised(text) {
            Some(words) => asserted(text, words, Source::Emphasis),
            None => complement(text)
                .map_or(Err(Reason::NoAnswer), |words| asserted(text, words, Source::Emphasis)),
        },
    }
}

/// The word or name after the verb at the end of a text without figures: `valid` for "The argument is
/// valid."
fn complement(text: &str) -> Option<&str> {
    let ended = text.trim_end().strip_suffix('.')?;
    let sentence = ended.rsplit(['\n', '.', '?', '!', ':']).next().unwrap_or(ended);
    let (subject, words) = [" is ", " are ", " was ", " were "]
        .iter()
        .filter_map(|verb| sentence.rsplit_once(verb))
        .min_by_key(|s| s.1.len())?;
    let named = words.split(' ').count() <= MAX_NAME
        && words.chars().all(|c| c.is_alphabetic() || matches!(c, ' ' | '-' | '\''));
    let told = subject.trim_start().starts_with(char::is_uppercase) && !subject.contains('"');
    (named && told && !words.starts_with("not ")).then_some(words)
}

/// Longest name at the end of a sentence, in words.
const MAX_NAME: usize = 3;

/// A number with its unit, unless it is part of something larger.
fn counted(text: &str, number: Span) -> Found<'_> {
    if numbers::is_whole(text, number) {
        let span = numbers::with_unit(text, number);
        return asserted(text, &text[span.range()], Source::Number);
    }
    let rest = text[number.end..].trim();
    let open = !rest.is_empty() && !rest.contains(char::is_alphanumeric);
    Err(if open { Reason::Truncated } else { Reason::Unparsed })
}

/// The piece, unless the clause around it denies it, supposes it or asks about it.
fn asserted<'t>(text: &'t str, piece: &'t str, source: Source) -> Found<'t> {
    let (before, after) = around(text, piece);
    let behind = after.trim_start_matches(['$', ')', ']', '\\', '*']);
    if stance::denies_box(before)
        || stance::supposes(before)
        || stance::is_guess(before)
        || stance::is_doubted_abroad(before)
        || stance::names_others(before)
        || stance::imagines(before)
        || stance::is_restricted(behind.split(['.', '\n']).next().unwrap_or(behind))
        || struck(before, after)
        || stance::rejected_behind(behind)
        || stance::withdrawn(behind)
    {
        return Err(Reason::NoAnswer);
    }
    Ok(Extracted::new(piece, source))
}

/// Whether `~~` around a piece strikes it through.
fn struck(before: &str, after: &str) -> bool {
    let opened = before.rsplit('\n').next().unwrap_or(before).matches("~~").count() % 2 == 1;
    opened && after.split('\n').next().unwrap_or(after).contains("~~")
}
