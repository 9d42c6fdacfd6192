//! Reads the chosen label out of a multiple-choice answer: `A`, `(B)`, `C.`, `D: text`, `\boxed{E}`,
//! labels `1` to `5`, or the text of an option.
//!
//! It does not know the right label; it returns what the text chooses. A negated letter ("not D") is
//! no choice, and the article "A" is one only where the sentence chooses.

mod standing;
#[cfg(test)]
mod tests;
mod wording;

use crate::extract::{self, Source};
use standing::{concluded, mentioned, standing};
use wording::{ascii, plain, strip_noun, unwrap_markup};

/// What a text chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chosen<'a> {
    /// One label, by a rule.
    Label(&'a str, Source),
    /// The text names a label and the text of another option.
    Conflict,
    /// Nothing is chosen, or several labels at once.
    None,
}

/// One option: its label and its text, which may be empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChoiceOption<'a> {
    /// Label as published.
    pub label: &'a str,
    /// Option text; empty where only labels are known.
    pub text: &'a str,
}

/// Bytes at the end of a text that are searched.
const SEARCHED: usize = 64 << 10;
/// Announcements that are tried, from the last one on.
const MAX_ANCHORS: usize = 16;

/// The label that `text` chooses among `options`.
#[must_use]
pub fn choose<'a>(text: &str, options: &[ChoiceOption<'a>]) -> Chosen<'a> {
    let folded = ascii(text);
    choose_in(&folded, options)
}

fn choose_in<'a>(text: &str, options: &[ChoiceOption<'a>]) -> Chosen<'a> {
    let text = extract::spoken(text);
    let boxes = extract::boxes::last_boxes(text);
    if let Some(last) = boxes.last() {
        return named(statement(&text[last.content.range()], options, true), Source::Boxed);
    }
    let text = extract::tail(text, SEARCHED).trim();
    if let Some(tagged) = extract::tagged(text)
        && let Some(chosen) = found(statement(tagged, options, true), Source::Anchor)
    {
        return chosen;
    }
    if let Some(hashes) = extract::hashes(text)
        && let Some(chosen) = found(statement(hashes, options, true), Source::Hashes)
    {
        return chosen;
    }
    if let Some(chosen) = announced(text, options) {
        return chosen;
    }
    if let Some(chosen) = found(statement(text, options, false), Source::Whole) {
        return chosen;
    }
    match standing(text, options).or_else(|| concluded(text, options)) {
        Some(option) => Chosen::Label(option.label, Source::Number),
        None => Chosen::None,
    }
}

/// The option whose text equals `text`, whatever case and punctuation.
pub(crate) fn by_text<'a>(text: &str, options: &[ChoiceOption<'a>]) -> Option<ChoiceOption<'a>> {
    let wanted = plain(text);
    if wanted.is_empty() {
        return None;
    }
    let mut equal = options.iter().filter(|o| plain(o.text) == wanted);
    let first = equal.next()?;
    equal.next().is_none().then_some(*first)
}

/// What a statement chooses; the label stands at its front or it is an option's text.
enum Statement<'a> {
    Label(ChoiceOption<'a>),
    Conflict,
    Several,
    Silent,
}

fn named<'a>(statement: Statement<'a>, source: Source) -> Chosen<'a> {
    found(statement, source).unwrap_or(Chosen::None)
}

fn found<'a>(statement: Statement<'a>, source: Source) -> Option<Chosen<'a>> {
    match statement {
        Statement::Label(option) => Some(Chosen::Label(option.label, source)),
        Statement::Conflict => Some(Chosen::Conflict),
        Statement::Several => Some(Chosen::None),
        Statement::Silent => None,
    }
}

/// The last announcement that names a label or an option.
fn announced<'a>(text: &str, options: &[ChoiceOption<'a>]) -> Option<Chosen<'a>> {
    let mut end = text.len();
    for _ in 0..MAX_ANCHORS {
        let anchor = extract::last_anchor(&text[..end])?;
        let tail = extract::stated_tail(&text[anchor.end..]);
        if let Some(chosen) = found(statement(tail, options, true), Source::Anchor) {
            return Some(chosen);
        }
        if let Some(option) = standing(tail, options).or_else(|| mentioned(tail, options)) {
            return Some(Chosen::Label(option.label, Source::Anchor));
        }
        end = anchor.start;
    }
    None
}

/// Reads a statement. After an announcement (`announced`) a label may be followed by anything that
/// is not another label; elsewhere it must be marked as a label or stand alone.
fn statement<'a>(text: &str, options: &[ChoiceOption<'a>], announced: bool) -> Statement<'a> {
    let text = unwrap_markup(text);
    let text = text.trim();
    if let Some(option) = by_text(text, options) {
        return Statement::Label(option);
    }
    let text = strip_noun(text);
    for option in options {
        let Some(front) = front_label(text, option.label) else { continue };
        let rest = front.rest.trim();
        if names_another(rest, option.label, options) {
            return Statement::Several;
        }
        let body = rest.trim_start_matches([':', '.', ')', ',', '-', ' ', '\u{2013}', '\u{2014}']);
        if let Some(other) = by_text(body, options)
            && other.label != option.label
        {
            return Statement::Conflict;
        }
        let alone = body.is_empty() || ["because ", "since "].iter().any(|w| body.starts_with(w));
        let same_text = !option.text.is_empty() && plain(body) == plain(option.text);
        if alone || same_text || announced && (front.marked || ends_label(rest)) {
            return Statement::Label(*option);
        }
    }
    Statement::Silent
}

/// A label at the front of a statement.
struct Front<'t> {
    /// Whether brackets or a closing mark say that it is a label.
    marked: bool,
    rest: &'t str,
}

fn front_label<'t>(text: &'t str, label: &str) -> Option<Front<'t>> {
    let open = text.trim_start_matches(['(', '[', '{']);
    let bracketed = open.len() != text.len();
    let same = open
        .get(..label.len())
        .is_some_and(|head| head == label || bracketed && head.eq_ignore_ascii_case(label));
    if !same {
        return None;
    }
    let rest = &open[label.len()..];
    if bracketed {
        let closed = rest.trim_start().strip_prefix([')', ']', '}'])?;
        return Some(Front { marked: true, rest: closed });
    }
    if rest.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '\'' | '\u{2019}' | '_'))
        || is_number_part(label, rest)
    {
        return None;
    }
    let marked = rest.starts_with([')', ':'])
        || rest.starts_with('.') && !rest[1..].starts_with(|c: char| c.is_ascii_digit());
    Some(Front { marked, rest })
}

/// `2.5`, `2/3` and `2:30` do not start with the label 2.
fn is_number_part(label: &str, rest: &str) -> bool {
    let mut next = rest.chars();
    label.ends_with(|c: char| c.is_ascii_digit())
        && next.next().is_some_and(|c| ".,/:%^*+-".contains(c))
        && next.next().is_some_and(|c| c.is_ascii_digit())
}

/// After an unmarked label the sentence must end or pause: "A dry palm" is no choice of A.
fn ends_label(rest: &str) -> bool {
    rest.is_empty()
        || rest.starts_with([',', ';', '.', '!', '-', '\u{2014}', '\u{3002}', '\u{ff0c}'])
        || ["because", "since", "as ", "which", "for ", "("].iter().any(|w| rest.starts_with(w))
}

/// "A and B", "A or C", "A, C": more than one label.
fn names_another(rest: &str, label: &str, options: &[ChoiceOption<'_>]) -> bool {
    let separators = ["and ", "or ", ", and ", ", or ", ",", "/", "&"];
    separators.iter().filter_map(|s| rest.strip_prefix(s)).any(|next| {
        options.iter().any(|o| {
            o.label != label
                && front_label(next.trim(), o.label).is_some_and(|f| {
                    let after = f.rest.trim();
                    f.marked || after.is_empty() || after.starts_with([',', '.'])
                })
        })
    })
}
