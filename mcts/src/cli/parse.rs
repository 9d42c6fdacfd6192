//! Parsers for flag values whose types have no parser elsewhere.

use crate::config::Selection;
use crate::pairs::Rejected;

pub(super) fn selection(text: &str) -> Result<Selection, String> {
    match text {
        "puct" => Ok(Selection::Puct),
        "uct" => Ok(Selection::Uct),
        _ => Err("expected puct or uct".to_owned()),
    }
}

pub(super) fn rejected(text: &str) -> Result<Rejected, String> {
    match text {
        "lowest" => Ok(Rejected::Lowest),
        "second" => Ok(Rejected::Second),
        "random" => Ok(Rejected::Random),
        "all" => Ok(Rejected::All),
        _ => Err("expected lowest, second, random or all".to_owned()),
    }
}

/// Overrides `place` if the flag was given.
pub(super) fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}
