//! Finds where a step ends, from its text and number of tokens.
//!
//! Engines in this process check after every token. Servers are given stop strings, and the text at which
//! they stopped is checked here. Only the step's own text so far and its number of tokens count, never the
//! following text, so a step always ends on a token that was sampled. A step of [`Boundary::Paragraph`] or
//! [`Boundary::Lines`] that reaches the token limit is truncated to its last [`Cut`].

#[cfg(any(feature = "candle", feature = "http"))]
use regrowth_datasets::Finish;

use crate::Boundary;
#[cfg(any(feature = "candle", feature = "http"))]
use crate::Propose;
use crate::content::{has_content, has_relation, is_planned, leads_on};

/// From this many tokens on, a line that states a relation ends a paragraph's step without a blank line.
/// Solutions written line by line have lines of 10 to 30 tokens.
const SHORT_LINE: usize = 16;
/// From this many tokens on, any line ends a paragraph's step, unless it introduces the lines after it
/// (`leads_on`). So a plan, which models write as a list of 40 to 80 tokens, is not split.
const LONG_LINE: usize = 96;
/// From this many tokens on, a sentence ends a paragraph's step: for models that write no line breaks.
const LONG_SENTENCE: usize = 128;

/// Delimiters of text that is not split: display mathematics and code.
const FENCES: [(&str, &str); 4] =
    [("\\[", "\\]"), ("$$", "$$"), ("```", "```"), ("\\begin{", "\\end{")];

/// Returns the finish reason if a step with this many tokens ends with its text. A stop string takes
/// precedence over a boundary.
#[cfg(any(feature = "candle", feature = "http"))]
pub(crate) fn finish_of(propose: &Propose, tokens: usize, text: &str) -> Option<Finish> {
    let stopped = propose.stop_at.strings.iter().any(|s| text.contains(s.as_str()));
    match stopped {
        true => Some(Finish::Stop),
        false => completes(&propose.boundary, tokens, text).then_some(Finish::Boundary),
    }
}

/// Whether the text of a step with this many tokens must be checked: it may end the step, or mark a place
/// for truncation.
#[cfg(feature = "candle")]
pub(crate) fn is_read(propose: &Propose, tokens: usize) -> bool {
    !propose.stop_at.strings.is_empty()
        || can_end(&propose.boundary, tokens)
        || propose.boundary == Boundary::Lines
}

/// Whether the checked text includes special tokens, because users may name them in strings.
#[cfg(feature = "candle")]
pub(crate) fn reads_special(propose: &Propose) -> bool {
    matches!(propose.boundary, Boundary::Marker(_)) || !propose.stop_at.strings.is_empty()
}

/// Returns the stop strings for a server after `drawn` tokens with this text. Whether the step really ends
/// at a stop string is decided from the text.
#[cfg(feature = "http")]
pub(crate) fn stops(propose: &Propose, drawn: usize, text: &str) -> Vec<String> {
    const SENTENCE: &[&str] = &["\n", ".", "!", "?"];
    let whole = matches!(propose.boundary, Boundary::Paragraph | Boundary::Lines);
    let open = open_fence(text).filter(|_| whole);
    let boundary: &[&str] = match &propose.boundary {
        Boundary::End => &[],
        Boundary::Marker(marker) if marker.is_empty() => &[],
        Boundary::Marker(marker) => &[marker],
        Boundary::Tokens(least) if drawn + 1 < *least => &[],
        _ if open.is_some() => open.as_slice(),
        Boundary::Newline => &["\n"],
        Boundary::Paragraph if drawn + 1 < LONG_SENTENCE => &["\n"],
        Boundary::Lines if text.trim_start().contains('\n') => &["\n"],
        _ => SENTENCE,
    };
    let all = boundary.iter().map(|s| (*s).to_owned());
    all.chain(propose.stop_at.strings.iter().cloned()).collect()
}

/// Returns the maximum number of tokens that a server should sample next. Below the number of tokens at
/// which a sentence can end a step, sampling pauses just before that number, because the stop strings
/// change there.
#[cfg(feature = "http")]
pub(crate) fn part_tokens(propose: &Propose, drawn: usize) -> usize {
    let left = propose.max_tokens.saturating_sub(drawn).max(1);
    let least = match propose.boundary {
        Boundary::Tokens(least) => least,
        Boundary::Paragraph => LONG_SENTENCE,
        _ => return left,
    };
    if drawn + 1 < least { left.min(least - 1 - drawn) } else { left }
}

/// The last places, in tokens, at which a step that reaches the token limit can be truncated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cut {
    line: Option<usize>,
    sentence: Option<usize>,
}

impl Cut {
    /// Records the end of the step's text, of this many tokens, if it is such a place.
    pub(crate) fn note(&mut self, boundary: &Boundary, tokens: usize, text: &str) {
        if !matches!(boundary, Boundary::Lines | Boundary::Paragraph) || open_fence(text).is_some()
        {
            return;
        }
        let body = text.trim_end();
        if text[body.len()..].contains('\n') && !body.is_empty() {
            self.line = Some(tokens);
        } else if ends_sentence(body) {
            self.sentence = Some(tokens);
        }
    }

    /// Returns the number of tokens to keep of a step that has reached the token limit: complete lines, or
    /// else complete sentences. `None` if there are neither.
    pub(crate) fn kept(self) -> Option<usize> {
        self.line.or(self.sentence)
    }
}

/// Splits a solution into steps of at most `max_tokens` tokens, as an engine would while sampling; steps of
/// [`Boundary::End`] have no limit. `pieces` are the texts of the solution's tokens. Returns the number of
/// tokens of each step.
#[must_use]
pub fn step_lengths(boundary: &Boundary, max_tokens: usize, pieces: &[String]) -> Vec<usize> {
    let (mut lengths, mut from) = (Vec::new(), 0);
    while from < pieces.len() {
        let (mut text, mut cut) = (String::new(), Cut::default());
        let mut length = 0;
        for piece in &pieces[from..] {
            text.push_str(piece);
            length += 1;
            if completes(boundary, length, &text) {
                break;
            }
            cut.note(boundary, length, &text);
            if length >= max_tokens && *boundary != Boundary::End {
                length = cut.kept().unwrap_or(length);
                break;
            }
        }
        lengths.push(length);
        from += length;
    }
    lengths
}

/// Whether a step with this many tokens ends with its text.
fn completes(boundary: &Boundary, tokens: usize, text: &str) -> bool {
    can_end(boundary, tokens) && ends_at(boundary, tokens, text)
}

/// Whether a step with this many tokens may end at `boundary` at all.
fn can_end(boundary: &Boundary, tokens: usize) -> bool {
    match boundary {
        Boundary::End | Boundary::Lines => false,
        Boundary::Tokens(least) => tokens >= *least,
        _ => true,
    }
}

/// Whether `text` has a boundary after its first visible character.
fn ends_at(boundary: &Boundary, tokens: usize, text: &str) -> bool {
    let visible = text.trim_start();
    match boundary {
        Boundary::End | Boundary::Lines => false,
        Boundary::Newline => visible.contains('\n'),
        Boundary::Sentence => visible.contains('\n') || ends_sentence(visible.trim_end()),
        // The step may have line breaks and sentence ends before its minimum length, so only its end counts.
        Boundary::Tokens(_) => ends_line(visible) || ends_sentence(visible.trim_end()),
        Boundary::Marker(marker) => !marker.is_empty() && visible.contains(marker.as_str()),
        Boundary::Paragraph => ends_part(tokens, visible),
    }
}

/// Whether only white space follows the last line break.
fn ends_line(text: &str) -> bool {
    text[text.trim_end().len()..].contains('\n')
}

/// Whether a self-contained part of a solution ends with `text`: a paragraph, or lines that are long
/// enough, with content and without an open fence or an announcement at the end.
fn ends_part(tokens: usize, text: &str) -> bool {
    let body = text.trim_end();
    let last = body.lines().next_back().unwrap_or_default();
    let breaks = text[body.len()..].matches('\n').count();
    let complete = match breaks {
        0 => tokens >= LONG_SENTENCE && ends_sentence(body),
        1 => tokens >= LONG_LINE || tokens >= SHORT_LINE && has_relation(body) && !is_planned(last),
        _ => true,
    };
    complete && open_fence(body).is_none() && !leads_on(last) && has_content(body)
}

/// Returns the closing delimiter if a fence is open at the end of `text`.
fn open_fence(text: &str) -> Option<&'static str> {
    let (mut rest, mut open) = (text, 0usize);
    loop {
        let found = FENCES.iter().filter_map(|fence| Some((rest.find(fence.0)?, fence)));
        let (at, (begin, end)) = found.min_by_key(|(at, _)| *at)?;
        open += at + begin.len();
        rest = &text[open..];
        let Some(at) = rest.find(end) else { return Some(end) };
        open += at + end.len();
        rest = &text[open..];
    }
}

/// Whether the last character ends a sentence. A point after a digit may be a decimal point and does not.
fn ends_sentence(text: &str) -> bool {
    let mut last = text.chars().rev();
    match last.next() {
        Some('!' | '?') => true,
        Some('.') => !last.next().is_some_and(|c| c.is_ascii_digit()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_lines_do_not_end_a_step_before_it_begins() {
        assert!(!completes(&Boundary::Newline, 1, "\n\n"));
        assert!(completes(&Boundary::Newline, 1, "\n1 + 1 = 2\n"));
    }

    #[test]
    fn decimal_points_do_not_end_a_sentence() {
        assert!(!completes(&Boundary::Sentence, 1, "It costs 3."));
        assert!(completes(&Boundary::Sentence, 1, "It costs three."));
        assert!(completes(&Boundary::Sentence, 1, "It costs 3.\n"));
    }

    #[test]
    fn markers_may_hold_any_text() {
        let marker = Boundary::Marker("</step>".into());
        assert!(completes(&marker, 1, "a</step>") && !completes(&marker, 1, "a</ste"));
    }

    /// Splits a text into steps. A token is a word with the white space before it, or a run of line breaks.
    fn steps(boundary: &Boundary, max_tokens: usize, text: &str) -> Vec<String> {
        let mut pieces: Vec<String> = Vec::new();
        for c in text.chars() {
            let last = pieces.last().and_then(|piece| piece.chars().next_back());
            let joins = last.is_some_and(|last| match c {
                '\n' => last == '\n',
                ' ' => last == ' ',
                _ => last != '\n',
            });
            match pieces.last_mut().filter(|_| joins) {
                Some(piece) => piece.push(c),
                None => pieces.push(c.into()),
            }
        }
        let mut at = 0;
        let step = |length: usize| {
            at += length;
            pieces[at - length..at].concat()
        };
        step_lengths(boundary, max_tokens, &pieces).into_iter().map(step).collect()
    }

    /// Checks that the steps of the text are the parts of `marked` between vertical bars.
    fn check_steps(boundary: &Boundary, max_tokens: usize, marked: &str) {
        let found = steps(boundary, max_tokens, &marked.replace('|', ""));
        assert_eq!(found.join("|"), marked, "{max_tokens} tokens");
    }

    #[test]
    fn a_paragraph_keeps_plans_and_mathematics_whole() {
        check_steps(
            &Boundary::Paragraph,
            256,
            "To solve this problem, we need to follow these steps:\n\n\
             1. Calculate the cost \\(c = 4 x\\) of all the pairs of socks that she buys there now.\n\
             2. Subtract it from $20.\n\n|\
             Step 1: Calculate the cost of the socks.\nPenny buys 4 pairs at $2 each:\n\
             \\[\n4 \\times 2 = 8\n\n\\]\n\n|\
             ### Step 2: Subtract\n\n**Result**\n\n$$20 - 8 = 12$$\n\n|\
             Let's check it with Python:\n\n```python\nx = 20 - 8\n\nprint(x)\n```\n\n|\
             The answer is \\boxed{12}.",
        );
    }

    #[test]
    fn a_paragraph_ends_at_lines_that_stand_for_themselves() {
        let line = "She sells the other 16 - 3 - 4 = 9 eggs of the day at the market there";
        check_steps(&Boundary::Paragraph, 256, &format!("{line}\n|{line}\n|#### 9"));
        // Short lines are joined, and sentences end steps of text without line breaks.
        check_steps(&Boundary::Paragraph, 256, "16 - 3 = 13\n13 - 4 = 9\n#### 9");
        // A line that introduces the following lines is joined to them, and so is a line without content.
        check_steps(
            &Boundary::Paragraph,
            256,
            "Let's begin.\n\nHe eats four.\n### Next\n\nHe has none.\n\n|So it is 0.",
        );
        let long = "It grows very slowly there. ".repeat(60);
        let found = steps(&Boundary::Paragraph, 256, &long);
        assert!(found.len() == 3 && found[0].ends_with("there."), "{found:?}");
    }

    #[test]
    fn what_runs_out_of_tokens_is_cut_back_to_whole_lines_or_sentences() {
        check_steps(&Boundary::Lines, 8, "a b c\nd e\n|f g h i j k\n|l");
        check_steps(
            &Boundary::Lines,
            8,
            "One two three. Four five six.| Seven eight nine ten. One",
        );
        check_steps(&Boundary::Lines, 6, "a b c\n|One. Two. and so on");
        check_steps(&Boundary::Lines, 3, "a b c| d e f| g");
        check_steps(
            &Boundary::Paragraph,
            12,
            "We calculate:\nthe first of all\n|of the numbers that\nwe",
        );
    }

    #[test]
    fn a_step_with_a_minimum_of_tokens_ends_where_a_line_or_sentence_ends() {
        // The line break before the minimum does not end the step in the middle of a sentence.
        check_steps(&Boundary::Tokens(4), 64, "a\nb c d e f.| g h i j k\n|l");
    }

    #[test]
    fn the_tokens_of_the_steps_are_those_of_the_solution() {
        let text = "First, we add:\n\n\\[ 3 + 4 = 7 \\]\n\nSo x. It is 7! Now\n- a\n- b = 3\n\n";
        for boundary in [Boundary::Paragraph, Boundary::Lines, Boundary::Sentence, Boundary::End] {
            for max_tokens in 1..12 {
                assert_eq!(steps(&boundary, max_tokens, text).concat(), text, "{boundary:?}");
            }
        }
    }

    #[cfg(feature = "http")]
    #[test]
    fn servers_stop_where_a_step_may_end() {
        let propose = |boundary: Boundary| Propose {
            prefix: vec![1].into(),
            keys: vec![0],
            sampling: crate::Sampling::default(),
            greedy_first: false,
            boundary,
            stop_at: crate::StopAt::default(),
            max_tokens: 256,
        };
        let paragraph = propose(Boundary::Paragraph);
        assert_eq!(stops(&paragraph, 0, ""), ["\n"]);
        assert_eq!(stops(&paragraph, 9, "We add:\n\\[\n"), ["\\]"]);
        assert_eq!(stops(&paragraph, 127, "It"), ["\n", ".", "!", "?"]);
        assert_eq!((part_tokens(&paragraph, 27), part_tokens(&paragraph, 127)), (100, 129));
        let lines = propose(Boundary::Lines);
        assert_eq!(stops(&lines, 3, "One. Two"), ["\n", ".", "!", "?"]);
        assert_eq!(stops(&lines, 5, "One. Two\n"), ["\n"]);
        assert_eq!(part_tokens(&lines, 6), 250);
    }
}
