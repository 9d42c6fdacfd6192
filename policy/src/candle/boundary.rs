//! Where a sampled step ends.

use regrowth_datasets::TokenId;

use crate::boundary::{can_end, ends_at};
use crate::text::Tokenizer;
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
    if !can_end(boundary, ids.len()) {
        return Ok(false);
    }
    let text = match boundary {
        // A marker may be a special token.
        Boundary::Marker(_) => tokenizer.decode_all(ids)?,
        _ => tokenizer.decode(ids)?,
    };
    Ok(ends_at(boundary, &text))
}
