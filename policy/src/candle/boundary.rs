//! Where a sampled step ends.

use regrowth_datasets::TokenId;

use super::tokenizer::Tokenizer;
use crate::{Boundary, PolicyError};

/// Whether the step `ids` is complete with its last id (EOS and budgets are looked at elsewhere).
///
/// Boundaries are looked for in decoded text, so they may lie across token borders; the token that
/// completes one belongs to the step.
pub(super) fn is_complete(
    boundary: &Boundary,
    ids: &[TokenId],
    tokenizer: &Tokenizer,
) -> Result<bool, PolicyError> {
    if matches!(boundary, Boundary::End) {
        return Ok(false);
    }
    if let Boundary::Tokens(n) = boundary
        && ids.len() < *n
    {
        return Ok(false);
    }
    let text = tokenizer.decode(ids)?;
    Ok(ends_at(boundary, &text))
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
