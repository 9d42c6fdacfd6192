//! Finds the answer in a text: which piece, and by which rule.
//!
//! It does not parse or repair; what stands in the chosen piece is compared as it is, and a piece
//! that does not parse is undecided. The ranking (box, `####`, "final answer is", formula, number)
//! joins what the published graders do, without their silent fallbacks.

mod anchors;
pub(crate) mod boxes;
mod environments;
mod groups;
mod numbers;
mod prose;

use std::borrow::Cow;
use std::ops::Range;

pub(crate) use anchors::{last_anchor, stated_tail};
use numbers::last_number;

/// Longest text that is searched as a whole; of a longer one, the end.
const FULL_SEARCH: usize = 1 << 20;
/// Bytes at the end of a longer text that are searched for anchors.
const TAIL_SEARCH: usize = 64 << 10;
/// Bytes at the end in which formulas and loose numbers are looked for.
const LOOSE_SEARCH: usize = 16 << 10;

/// Longest text that can be an answer as a whole, in bytes.
const MAX_BARE: usize = 4096;
/// Longest unit behind a formula, in bytes.
const MAX_UNIT: usize = 24;
/// From here on letters are of scripts that formulas do not use (Arabic, Chinese and others).
const FOREIGN: u32 = 0x590;

/// A piece of a text, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// Behind the last byte.
    pub end: usize,
}

impl Span {
    /// As a range for slicing.
    #[must_use]
    pub fn range(self) -> Range<usize> {
        self.start..self.end
    }
}

/// Which rule found the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The last `\boxed{...}` or `\fbox{...}`, or several joined ones.
    Boxed,
    /// What follows the last `####`.
    Hashes,
    /// What follows "final answer is", "the answer is" or "answer:".
    Anchor,
    /// The whole text is the answer.
    Whole,
    /// The last formula.
    Formula,
    /// The last number, or the last bracket of numbers.
    Number,
    /// The last emphasised words.
    Emphasis,
    /// The text has no answer.
    Nothing,
}

impl Source {
    /// Stable name for reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Boxed => "boxed",
            Self::Hashes => "hashes",
            Self::Anchor => "anchor",
            Self::Whole => "whole",
            Self::Formula => "formula",
            Self::Number => "number",
            Self::Emphasis => "emphasis",
            Self::Nothing => "nothing",
        }
    }
}

/// An answer found in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extracted<'a> {
    /// The answer: a slice of the text, or several boxes joined with commas.
    pub text: Cow<'a, str>,
    /// The rule.
    pub source: Source,
}

impl<'a> Extracted<'a> {
    fn new(text: &'a str, source: Source) -> Self {
        Self { text: Cow::Borrowed(text.trim()), source }
    }
}

/// Finds the answer that a text states.
#[must_use]
pub fn extract(text: &str) -> Extracted<'_> {
    let text = spoken(text);
    if let Some(boxed) = boxed(text) {
        return boxed;
    }
    let text = tail(text, if text.len() > FULL_SEARCH { TAIL_SEARCH } else { FULL_SEARCH });
    if let Some(tagged) = tagged(text) {
        return Extracted::new(tagged, Source::Anchor);
    }
    if let Some(hashes) = hashes(text) {
        return Extracted::new(hashes, Source::Hashes);
    }
    if let Some(anchor) = last_anchor(text)
        && let Some(found) = stated(&text[anchor.end..], Source::Anchor)
    {
        return found;
    }
    if let Some(found) = labelled_line(text).and_then(|line| stated(line, Source::Anchor)) {
        return found;
    }
    let text = tail(text, LOOSE_SEARCH).trim().trim_start_matches(['#', ' ']);
    if text.is_empty() {
        return Extracted::new("", Source::Nothing);
    }
    if is_bare(text) {
        return Extracted::new(text, Source::Whole);
    }
    loose(text)
}

/// A bare answer: the text itself, or what its box holds.
#[must_use]
pub fn bare(text: &str) -> Extracted<'_> {
    let trimmed = text.trim();
    if trimmed.contains("\\boxed") || trimmed.contains("\\fbox") {
        return extract(trimmed);
    }
    Extracted::new(prose::main_clause(trimmed), Source::Whole)
}

/// The text without closed reasoning blocks before it and without what follows a chat marker.
pub(crate) fn spoken(text: &str) -> &str {
    let after = match text.rfind("</think>") {
        Some(at) if !text[at + 8..].trim().is_empty() => &text[at + 8..],
        _ => text,
    };
    let markers = ["<|im_end|>", "<|im_start|>", "<|endoftext|>", "<|eot_id|>", "</s>"];
    let end = markers
        .iter()
        .filter_map(|m| after.find(m).filter(|at| !after[..*at].trim().is_empty()))
        .min()
        .unwrap_or(after.len());
    &after[..end]
}

/// The last `bytes` bytes of a text, from a character boundary.
pub(crate) fn tail(text: &str, bytes: usize) -> &str {
    let mut start = text.len().saturating_sub(bytes);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}

fn boxed(text: &str) -> Option<Extracted<'_>> {
    let boxes = boxes::last_boxes(text);
    match boxes.as_slice() {
        [] => None,
        [one] => Some(Extracted::new(&text[one.content.range()], Source::Boxed)),
        many => {
            let contents: Vec<&str> = many.iter().map(|b| text[b.content.range()].trim()).collect();
            Some(Extracted { text: Cow::Owned(contents.join(" ; ")), source: Source::Boxed })
        }
    }
}

/// Content of the last `<answer>...</answer>`.
pub(crate) fn tagged(text: &str) -> Option<&str> {
    let end = text.rfind("</answer>")?;
    let start = text[..end].rfind("<answer>")? + "<answer>".len();
    let content = text[start..end].trim();
    (!content.is_empty()).then_some(content)
}

/// What follows the last `####`, up to the end of its line.
pub(crate) fn hashes(text: &str) -> Option<&str> {
    let at = text.rfind("####")?;
    let line = text[at + 4..].trim_start_matches(['#', ' ']).lines().next()?.trim();
    let line = line.trim_end_matches('.');
    (!line.is_empty()).then_some(line)
}

/// What follows `A:` at the start of the last line.
fn labelled_line(text: &str) -> Option<&str> {
    text.trim_end().lines().next_back()?.trim_start().strip_prefix("A:")
}

/// The answer in the text behind an anchor.
fn stated(after: &str, source: Source) -> Option<Extracted<'_>> {
    let sentence = stated_tail(after);
    if sentence.is_empty() {
        return None;
    }
    if prose::plain_words(sentence, 2) == 2
        && let Some(clause) = prose::after_link(sentence)
        && !prose::is_sentence(clause)
        && (is_counted(clause) || !is_counted(sentence))
    {
        return Some(Extracted::new(clause, source));
    }
    if !prose::is_sentence(sentence) {
        return Some(Extracted::new(sentence, source));
    }
    let found = loose(sentence);
    if found.source == Source::Nothing {
        return Some(Extracted::new(sentence, source));
    }
    Some(Extracted { text: found.text, source })
}

/// Whether digits or a formula stand in a text.
fn is_counted(text: &str) -> bool {
    text.contains(|c: char| c.is_ascii_digit() || matches!(c, '$' | '\\'))
}

/// Whether the whole text is an answer: no sentence, no word before a number or formula, at most a
/// unit behind a formula.
fn is_bare(text: &str) -> bool {
    if text.len() > MAX_BARE || prose::is_sentence(text) {
        return false;
    }
    if let Some(span) = environments::last_joined(text) {
        let after = &text[span.end..];
        return text[..span.start].trim().is_empty()
            && after.len() <= MAX_UNIT
            && prose::is_unit(after);
    }
    let counted = text.bytes().any(|b| b.is_ascii_digit());
    let foreign = text.chars().any(|c| c.is_alphabetic() && c as u32 >= FOREIGN);
    let said = prose::starts_with_word(text)
        || prose::plain_words(text, 1) == 1 && prose::after_link(text).is_some();
    !(counted && (foreign || said)) && prose::plain_words(text, 3) < 3
}

/// The last formula, or the last number or bracket of numbers where it stands later, or the last
/// emphasised words of a text without any.
fn loose(text: &str) -> Extracted<'_> {
    let formula = environments::last_joined(text);
    let number = last_number(text);
    let group = groups::last_group(text).filter(|g| number.is_none_or(|n| n.end <= g.end));
    if formula.is_none()
        && group.is_none()
        && let Some(expression) = prose::last_expression(text)
    {
        return Extracted::new(expression, Source::Formula);
    }
    match (formula, group.or(number)) {
        (Some(f), Some(n)) if n.start >= f.end => Extracted::new(&text[n.range()], Source::Number),
        (Some(f), _) => Extracted::new(&text[f.range()], Source::Formula),
        (None, Some(n)) => Extracted::new(&text[n.range()], Source::Number),
        (None, None) => match prose::last_emphasised(text) {
            Some(words) => Extracted::new(words, Source::Emphasis),
            None => Extracted::new("", Source::Nothing),
        },
    }
}
