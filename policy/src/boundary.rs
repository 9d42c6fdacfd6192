//! Where a step ends, in its text.
//!
//! It knows nothing of tokens but their number. Engines in this process look after every token,
//! servers are given strings to stop at and what they stopped at is looked at here.

use regrowth_datasets::Finish;

use crate::{Boundary, Propose};

/// Why a step of this many tokens ends with its text, if it does: a stop string ends more than a
/// boundary.
pub(crate) fn finish_of(propose: &Propose, tokens: usize, text: &str) -> Option<Finish> {
    let stopped = propose.stop_at.strings.iter().any(|s| text.contains(s.as_str()));
    let complete = || can_end(&propose.boundary, tokens) && ends_at(&propose.boundary, text);
    match stopped {
        true => Some(Finish::Stop),
        false => complete().then_some(Finish::Boundary),
    }
}

/// Whether the text of a step of this many tokens can end it.
#[cfg(feature = "candle")]
pub(crate) fn is_read(propose: &Propose, tokens: usize) -> bool {
    !propose.stop_at.strings.is_empty() || can_end(&propose.boundary, tokens)
}

/// Whether special tokens are part of the text that strings are looked for in: users name them.
#[cfg(feature = "candle")]
pub(crate) fn reads_special(propose: &Propose) -> bool {
    matches!(propose.boundary, Boundary::Marker(_)) || !propose.stop_at.strings.is_empty()
}

/// Whether a step of this many tokens may end at `boundary` at all.
fn can_end(boundary: &Boundary, tokens: usize) -> bool {
    match boundary {
        Boundary::End => false,
        Boundary::Tokens(least) => tokens >= *least,
        _ => true,
    }
}

/// Whether `text` has a boundary after its first visible character.
fn ends_at(boundary: &Boundary, text: &str) -> bool {
    let visible = text.trim_start();
    match boundary {
        Boundary::End => false,
        Boundary::Newline => visible.contains('\n'),
        Boundary::Sentence | Boundary::Tokens(_) => {
            visible.contains('\n') || ends_sentence(visible.trim_end())
        }
        Boundary::Marker(marker) => !marker.is_empty() && visible.contains(marker.as_str()),
    }
}

/// Whether the last character ends a sentence; a point after a digit may be a decimal point.
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
        assert!(!ends_at(&Boundary::Newline, "\n\n"));
        assert!(ends_at(&Boundary::Newline, "\n1 + 1 = 2\n"));
    }

    #[test]
    fn decimal_points_do_not_end_a_sentence() {
        assert!(!ends_at(&Boundary::Sentence, "It costs 3."));
        assert!(ends_at(&Boundary::Sentence, "It costs three."));
        assert!(ends_at(&Boundary::Sentence, "It costs 3.\n"));
    }

    #[test]
    fn markers_may_hold_any_text() {
        let marker = Boundary::Marker("</step>".into());
        assert!(ends_at(&marker, "a</step>") && !ends_at(&marker, "a</ste"));
    }
}
