//! Finds the answer in a text, and reports the rule that found it.
//!
//! This module only finds the answer's text and does not change it. The grader parses it later; text that
//! does not parse gets the verdict undecided. The places are tried in this order: box, answer tags, `####`,
//! "final answer is" and the like, an `A:` line, a text that is nothing but an answer, formula, number.
//! Unlike published graders, this module does not replace a found answer that cannot be read by the next
//! candidate.

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

/// Longest text that is searched completely, in bytes; of a longer text, only the end is searched.
const FULL_SEARCH: usize = 128 << 10;
/// Number of bytes at the end of a longer text that are searched for announcements.
const TAIL_SEARCH: usize = 64 << 10;
/// Number of bytes at the end of a text that are searched for formulas and numbers that no words
/// announce.
const LOOSE_SEARCH: usize = 16 << 10;

/// Longest text that can be an answer as a whole, in bytes.
const MAX_BARE: usize = 4096;
/// Longest unit after a formula, in bytes.
const MAX_UNIT: usize = 24;
/// First code point of the scripts that formulas do not use (Arabic, Chinese and others).
const FOREIGN: u32 = 0x590;

/// A part of a text, as byte positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// Position after the last byte.
    pub end: usize,
}

impl Span {
    /// The span as a range for slicing.
    #[must_use]
    pub fn range(self) -> Range<usize> {
        self.start..self.end
    }
}

/// The rule that found an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The last `\boxed{...}` or `\fbox{...}`, or several joined ones.
    Boxed,
    /// The rest of the line after the last `####`.
    Hashes,
    /// The statement after "final answer is", "the answer is" or "answer:", in answer tags, or on an `A:` line.
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

/// An answer, or the reason why there is none.
pub(crate) type Found<'a> = Result<Extracted<'a>, Reason>;

/// Finds the answer that a text states. If it states none, the result is empty with [`Source::Nothing`].
#[must_use]
pub fn extract(text: &str) -> Extracted<'_> {
    find(text).unwrap_or_else(|_| Extracted::new("", Source::Nothing))
}

/// The answer that a text states, or the reason why it states none.
pub(crate) fn find(text: &str) -> Found<'_> {
    let found = search(text)?;
    if found.text.is_empty() { Err(Reason::NoAnswer) } else { Ok(found) }
}

/// As [`find`], for a text that was ended by its token budget: an unterminated answer at the end of the text
/// does not count.
pub(crate) fn find_closed(text: &str) -> Found<'_> {
    let found = find(text)?;
    if is_open(text, &found) { Err(Reason::Truncated) } else { Ok(found) }
}

/// Whether the answer is unterminated: nothing in or after it shows that it is complete.
fn is_open(text: &str, found: &Extracted<'_>) -> bool {
    let Cow::Borrowed(answer) = found.text else { return false };
    let closed = ["$", "\\)", "\\]"].iter().any(|close| answer.ends_with(close));
    if closed || found.source == Source::Boxed && text.trim_end().ends_with('}') {
        return false;
    }
    // The answer is a slice of the text; only its position matters.
    let start = (answer.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
    let after = text.get(start + answer.len()..).unwrap_or_default();
    after.trim_matches([' ', ',', ':', ';', '(']).is_empty()
}

fn search(text: &str) -> Found<'_> {
    // Programs that read the text later may treat a NUL in different ways, so such a text is not graded.
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
    unannounced(text, announced.unsure_to)
}

/// The answer of a text that neither marks nor announces one. `unsure_to` is the end of the last sentence
/// that mentions an answer without asserting one, 0 if there is none.
fn unannounced(text: &str, unsure_to: usize) -> Found<'_> {
    let text = match unsure_to {
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
    let silent = unsure_to > 0 && !text.contains(char::is_alphanumeric);
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

/// The text after the last arrow of a line: `x = 7` for "x² = 49 ⟹ x = 7".
fn implied(line: &str) -> &str {
    let arrows = ["⟹", "⇒", "=>"];
    let after = arrows.iter().filter_map(|a| Some(line.rfind(a)? + a.len())).max();
    let rest = after.map_or("", |at| line[at..].trim());
    if rest.is_empty() || !prose::closed_formula(rest) { line } else { rest }
}

/// A text without end-of-proof marks at its end.
fn without_qed(text: &str) -> &str {
    let marks = ['□', '■', '∎', '◻', '◼', '\n', ' '];
    let bare = text.trim_end_matches(marks);
    if bare.is_empty() { text } else { bare }
}

/// An answer without characters that never matter, to compare two answers as words.
fn plainly(answer: &str) -> String {
    answer.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '.' | '/')).collect()
}

/// A bare answer: the text itself, or the content of its box.
#[must_use]
pub fn bare(text: &str) -> Extracted<'_> {
    let trimmed = text.trim();
    if trimmed.contains("\\boxed") || trimmed.contains("\\fbox") {
        return extract(trimmed);
    }
    Extracted::new(asides::main_clause(trimmed), Source::Whole)
}

/// Marks of chat templates that end the answer.
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

/// The text without thinking sections, and without the part after a chat mark.
pub(crate) fn spoken(text: &str) -> &str {
    if !thought::is_marked(text) {
        return text;
    }
    let after = thought::behind_thoughts(text);
    &after[..chat_mark(after).unwrap_or(after.len())]
}

/// Position of the first chat mark after some text.
fn chat_mark(text: &str) -> Option<usize> {
    let spoken = text.len() - text.trim_start().len();
    let bytes = text.as_bytes();
    // All marks begin with "<" and one of three characters, so one pass over the text finds them.
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

/// Result of reading the boxes of a text.
enum Boxes<'a> {
    Stated(Extracted<'a>),
    /// The last box is cut off by the end of the text.
    Truncated,
    /// The last box is denied by its sentence; the text after this position may state another answer.
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

/// Whether the words around the boxes deny or withdraw their content.
pub(crate) fn is_denied(text: &str, boxes: &[boxes::Box]) -> bool {
    let (Some(first), Some(last)) = (boxes.first(), boxes.last()) else { return false };
    let (before, after) = (&text[..first.whole.start], &text[last.whole.end..]);
    let behind = after.trim_start_matches(['$', ')', ']', '\\', '*']);
    stance::denies_box(before)
        || stance::rejected_behind(behind)
        || stance::withdrawn(behind)
        || is_conditional_predicate(behind)
}

/// Whether the words after a box make it hypothetical: "is what you get if you forget the tax".
fn is_conditional_predicate(behind: &str) -> bool {
    let sentence = prose::first_sentence(head(behind, 256)).trim_start();
    let predicate =
        ["is ", "was ", "would ", "will ", "comes "].iter().any(|verb| sentence.starts_with(verb));
    predicate
        && [" if ", " unless ", " without ", " when you ", " by mist"]
            .iter()
            .any(|w| sentence.contains(w))
}

/// The line without a label such as "Final answer:" or "answer" before its value.
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

/// The answer in a line that is marked as the answer, whether or not the line announces it again.
fn stated_line(line: &str) -> Found<'_> {
    let announced = announced(line);
    let statement = match announced.stated {
        Some(anchor) => &line[anchor.end..],
        None if announced.unsure_to > 0 => return Err(Reason::NoAnswer),
        None => unlabelled(line),
    };
    stated(statement, Source::Hashes).unwrap_or(Err(Reason::NoAnswer))
}

/// The text after `A:` at the beginning of the last line.
fn labelled_line(text: &str) -> Option<&str> {
    text.trim_end().lines().next_back()?.trim_start().strip_prefix("A:")
}

/// The answer in the text after an announcement; `None` if there is no text.
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
    if tongues::cjk_tells_a_number(sentence) {
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

/// Whether the words after an announcement only report what somebody believed the answer to be: "thought
/// to be".
fn is_believed(lead: &str) -> bool {
    let believed = lead.trim_end().strip_suffix(" to be").unwrap_or_default();
    believed.ends_with("ed") || believed.ends_with("thought") || believed.ends_with("said")
}

/// Whether the words after a number at the beginning of a statement calculate with it: "4 minus x", "4
/// more than x".
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

/// Whether a text contains digits or a formula.
fn is_counted(text: &str) -> bool {
    text.contains(|c: char| c.is_ascii_digit() || matches!(c, '$' | '\\'))
}

/// Whether the whole text is an answer: not a sentence, no word before a number or formula, at most a
/// unit after a formula.
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
