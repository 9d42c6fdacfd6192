//! Finds the answer in a text: which piece, and by which rule.
//!
//! It does not parse or repair; what stands in the chosen piece is compared as it is, and a piece
//! that does not parse is undecided. The ranking (box, `####`, "final answer is", formula, number)
//! joins what the published graders do, without their silent fallbacks.

mod anchors;
mod asides;
mod assertion;
pub(crate) mod boxes;
mod environments;
mod groups;
mod hashes;
mod loose;
mod numbers;
mod prose;
pub(crate) mod stance;
pub(crate) mod tags;
mod thought;
mod told;
pub(crate) mod tongues;

use std::borrow::Cow;
use std::ops::Range;

pub(crate) use anchors::{announced, last_anchor, stated_tail};
pub(crate) use hashes::{hashes, states_after_hashes};
use stance::Stance;
pub use thought::{is_thinking, whole_turn};

use crate::fuel::Reason;

/// Longest text that is searched as a whole; of a longer one, the end.
const FULL_SEARCH: usize = 128 << 10;
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

/// What is found: an answer, or why there is none.
pub(crate) type Found<'a> = Result<Extracted<'a>, Reason>;

/// Finds the answer that a text states; empty, with [`Source::Nothing`], where it states none.
#[must_use]
pub fn extract(text: &str) -> Extracted<'_> {
    find(text).unwrap_or_else(|_| Extracted::new("", Source::Nothing))
}

/// The answer that a text states, or why it states none.
pub(crate) fn find(text: &str) -> Found<'_> {
    let found = search(text)?;
    if found.text.is_empty() { Err(Reason::NoAnswer) } else { Ok(found) }
}

/// As [`find`], in a text that its token budget ended: an answer that reaches the end of the text
/// without anything that closes it is not stated.
pub(crate) fn find_closed(text: &str) -> Found<'_> {
    let found = find(text)?;
    if is_open(text, &found) { Err(Reason::Truncated) } else { Ok(found) }
}

/// Whether nothing closes the answer before the text ends.
fn is_open(text: &str, found: &Extracted<'_>) -> bool {
    let Cow::Borrowed(answer) = found.text else { return false };
    let closed = ["$", "\\)", "\\]"].iter().any(|close| answer.ends_with(close));
    if closed || found.source == Source::Boxed && text.trim_end().ends_with('}') {
        return false;
    }
    // The answer is a slice of the text; only its place in it is of interest.
    let start = (answer.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
    let after = text.get(start + answer.len()..).unwrap_or_default();
    after.trim_matches([' ', ',', ':', ';', '(']).is_empty()
}

fn search(text: &str) -> Found<'_> {
    // What a program that reads the text afterwards makes of a NUL cannot be known.
    if text.contains('\0') {
        return Err(Reason::Unparsed);
    }
    let mut text = spoken(text);
    if let Some(boxes) = boxed(text) {
        match boxes {
            Boxes::Stated(answer) => return Ok(answer),
            Boxes::Truncated => return Err(Reason::Truncated),
            Boxes::Denied(end) => text = &text[end..],
        }
    }
    text = tail(text, if text.len() > FULL_SEARCH { TAIL_SEARCH } else { FULL_SEARCH });
    if let Some(tagged) = tags::last(text) {
        return tagged.map(|content| {
            Extracted::new(told::value_of_sentence(content).unwrap_or(content), Source::Anchor)
        });
    }
    if let Some(hashes) = hashes(text) {
        return stated_line(hashes);
    }
    let announced = announced(text);
    if let Some(anchor) = announced.stated
        && let Some(found) = stated(&text[anchor.end..], Source::Anchor)
    {
        let same = |answer: &Extracted<'_>| {
            announced.denied.is_some_and(|d| plainly(d) == plainly(&answer.text))
        };
        return found
            .and_then(|answer| if same(&answer) { Err(Reason::NoAnswer) } else { Ok(answer) });
    }
    let text = match announced.unsure_to {
        0 => text,
        at => text[at..].trim_start_matches(['.', ',', ';', '!', '?', '*', ' ']),
    };
    if let Some(found) = labelled_line(text).and_then(|line| stated(line, Source::Anchor)) {
        return found;
    }
    let text = without_qed(tail(text, LOOSE_SEARCH).trim());
    if hashes::ends_with_heading(text) {
        return Err(Reason::NoAnswer);
    }
    let text = text.trim_start_matches(['#', ' ']);
    let text = if text.contains('\n') { text } else { unlabelled(implied(text)) };
    let silent = announced.unsure_to > 0 && !text.contains(char::is_alphanumeric);
    if silent || stance::declines(text) {
        return Err(Reason::NoAnswer);
    }
    if is_bare(text) {
        return Ok(Extracted::new(asides::main_clause(text), Source::Whole));
    }
    if let Some(word) = told::polar(text) {
        return Ok(Extracted::new(word, Source::Whole));
    }
    loose::last(text)
}

/// What follows the last arrow of a line: `x = 7` of "x² = 49 ⟹ x = 7".
fn implied(line: &str) -> &str {
    let arrows = ["⟹", "⇒", "=>"];
    let after = arrows.iter().filter_map(|a| Some(line.rfind(a)? + a.len())).max();
    let rest = after.map_or("", |at| line[at..].trim());
    if rest.is_empty() || !prose::closed_formula(rest) { line } else { rest }
}

/// A text without the marks that end a proof.
fn without_qed(text: &str) -> &str {
    let marks = ['□', '■', '∎', '◻', '◼', '\n', ' '];
    let bare = text.trim_end_matches(marks);
    if bare.is_empty() { text } else { bare }
}

/// An answer without what never matters, to tell whether two are the same words.
fn plainly(answer: &str) -> String {
    answer.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '.' | '/')).collect()
}

/// A bare answer: the text itself, or what its box holds.
#[must_use]
pub fn bare(text: &str) -> Extracted<'_> {
    let trimmed = text.trim();
    if trimmed.contains("\\boxed") || trimmed.contains("\\fbox") {
        return extract(trimmed);
    }
    Extracted::new(asides::main_clause(trimmed), Source::Whole)
}

/// Marks of chat templates behind which the answer is over.
const CHAT_MARKS: [&str; 10] = [
    "<|im_end|>",
    "<|im_start|>",
    "<|endoftext|>",
    "<|eot_id|>",
    "</s>",
    "<end_of_turn>",
    "<|end|>",
    "<|return|>",
    "<eos>",
    "<|end_of_solution|>",
];

/// What a text says: without its thoughts, and without what follows a chat marker.
pub(crate) fn spoken(text: &str) -> &str {
    if !thought::is_marked(text) {
        return text;
    }
    let after = thought::behind_thoughts(text);
    &after[..chat_mark(after).unwrap_or(after.len())]
}

/// Where the first chat marker stands behind some words.
fn chat_mark(text: &str) -> Option<usize> {
    let spoken = text.len() - text.trim_start().len();
    let bytes = text.as_bytes();
    // All marks start with "<" and one of few letters; one pass over the text finds them.
    let starts =
        |at: usize| bytes[at] == b'<' && matches!(bytes.get(at + 1), Some(b'|' | b'/' | b'e'));
    (spoken + 1..bytes.len())
        .filter(|&at| starts(at))
        .find(|&at| CHAT_MARKS.iter().any(|mark| bytes[at..].starts_with(mark.as_bytes())))
}

/// The first `bytes` bytes of a text, up to a character boundary.
pub(crate) fn head(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The last `bytes` bytes of a text, from a character boundary.
pub(crate) fn tail(text: &str, bytes: usize) -> &str {
    let mut start = text.len().saturating_sub(bytes);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}

/// What the boxes of a text are worth.
enum Boxes<'a> {
    Stated(Extracted<'a>),
    /// The last one is cut off by the end of the text.
    Truncated,
    /// Its sentence denies the last one; what is behind this place may state another answer.
    Denied(usize),
}

fn boxed(text: &str) -> Option<Boxes<'_>> {
    let boxes = boxes::last_boxes(text);
    if boxes::is_cut_off(text, &boxes) {
        return Some(Boxes::Truncated);
    }
    let last = boxes.last()?;
    if is_denied(text, &boxes) {
        return Some(Boxes::Denied(last.whole.end));
    }
    let content = |b: &boxes::Box| {
        let content = text[b.content.range()].trim();
        asides::without_remark(told::value_of_sentence(content).unwrap_or(content))
    };
    let answer = match boxes.as_slice() {
        [one] => content(one),
        many => Cow::Owned(many.iter().map(content).collect::<Vec<_>>().join(" ; ")),
    };
    Some(Boxes::Stated(Extracted { text: answer, source: Source::Boxed }))
}

/// Whether the words around the boxes deny or withdraw what is in them.
pub(crate) fn is_denied(text: &str, boxes: &[boxes::Box]) -> bool {
    let (Some(first), Some(last)) = (boxes.first(), boxes.last()) else { return false };
    let (before, after) = (&text[..first.whole.start], &text[last.whole.end..]);
    let behind = after.trim_start_matches(['$', ')', ']', '\\', '*']);
    stance::denies_box(before)
        || stance::rejected_behind(behind)
        || stance::withdrawn(behind)
        || is_conditional_predicate(behind)
}

/// Whether words behind a box make it the subject of a condition: "is what you get if you forget the tax".
fn is_conditional_predicate(behind: &str) -> bool {
    let sentence = prose::first_sentence(head(behind, 256)).trim_start();
    let predicate =
        ["is ", "was ", "would ", "will ", "comes "].iter().any(|verb| sentence.starts_with(verb));
    predicate
        && [" if ", " unless ", " without ", " when you ", " by mist"]
            .iter()
            .any(|w| sentence.contains(w))
}

/// The line without a label such as "Final answer:" or "answer" in front of its value.
pub(crate) fn unlabelled(line: &str) -> &str {
    let mut rest = line.trim_start_matches(['*', '_', ' ']);
    let mut labelled = false;
    for word in ["the", "my", "final", "correct", "answer", "answers", "ans", "result", "is"] {
        if stance::starts_with_phrase(rest, word) {
            labelled |= matches!(word, "answer" | "answers" | "ans" | "result");
            rest = rest[word.len()..].trim_start_matches([' ', '*', ':', '.', '=', '_']);
        }
    }
    if labelled { rest } else { line }
}

/// The answer in a line that is set apart as the answer, whether or not it announces it again.
fn stated_line(line: &str) -> Found<'_> {
    let announced = announced(line);
    let statement = match announced.stated {
        Some(anchor) => &line[anchor.end..],
        None if announced.unsure_to > 0 => return Err(Reason::NoAnswer),
        None => unlabelled(line),
    };
    stated(statement, Source::Hashes).unwrap_or(Err(Reason::NoAnswer))
}

/// What follows `A:` at the start of the last line.
fn labelled_line(text: &str) -> Option<&str> {
    text.trim_end().lines().next_back()?.trim_start().strip_prefix("A:")
}

/// The answer in the text behind an announcement; nothing where there is no text.
fn stated(after: &str, source: Source) -> Option<Found<'_>> {
    let sentence = stated_tail(after);
    if sentence.is_empty() {
        return None;
    }
    if stance::stance(sentence) == Stance::Bounded {
        return Some(Err(Reason::Unparsed));
    }
    if prose::plain_words(sentence, 2) == 2
        && let Some(clause) = prose::after_link(sentence)
        && !is_believed(&sentence[..sentence.len() - clause.len()])
        && !prose::is_sentence(clause)
        && (is_counted(clause) || !is_counted(sentence))
        && !(is_counted(clause)
            && prose::starts_with_word(clause)
            && prose::plain_words(clause, 2) == 2)
    {
        return Some(Ok(Extracted::new(clause, source)));
    }
    let lead = prose::after_link(sentence).map_or(0, |clause| sentence.len() - clause.len());
    if is_believed(&sentence[..lead]) {
        return Some(Err(Reason::NoAnswer));
    }
    if goes_on_in_words(sentence) {
        return Some(Err(Reason::Unparsed));
    }
    if tongues::tells_a_number(sentence) {
        return Some(loose::within(sentence).map(|found| Extracted { text: found.text, source }));
    }
    if !prose::is_sentence(sentence) && !prose::tells_a_number(sentence) {
        let text = asides::without_remark(sentence);
        return Some(Ok(Extracted { text, source }));
    }
    Some(match loose::within(sentence) {
        Err(Reason::NoAnswer) => Ok(Extracted::new(sentence, source)),
        found => found.map(|found| Extracted { text: found.text, source }),
    })
}

/// Whether the words behind an announcement only report what somebody took the answer to be: "thought to be".
fn is_believed(lead: &str) -> bool {
    let believed = lead.trim_end().strip_suffix(" to be").unwrap_or_default();
    believed.ends_with("ed") || believed.ends_with("thought") || believed.ends_with("said")
}

/// Whether a number at the start of a statement is calculated with in words: "4 minus x", "4 more than x".
fn goes_on_in_words(sentence: &str) -> bool {
    let rest = sentence.trim_start_matches(|c: char| c.is_ascii_digit() || ",.$".contains(c));
    let Some(rest) = rest.strip_prefix(' ').filter(|_| rest.len() < sentence.len()) else {
        return false;
    };
    let compared = ["more than ", "less than ", "fewer than ", "times "].iter().any(|words| {
        let other = rest.strip_prefix(words).unwrap_or_default();
        let name = other.split([' ', '.', ',']).next().unwrap_or_default();
        other.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '$' | '\\'))
            || name.len() == 1 && name != "a"
    });
    compared
        || [
            "minus ",
            "plus ",
            "less the ",
            "less a ",
            "times the ",
            "divided by ",
            "multiplied by ",
            "to the power ",
        ]
        .iter()
        .any(|words| rest.starts_with(words))
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
