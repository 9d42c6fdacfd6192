//! Calls into `tokenizers`, whose parts index and unwrap on what a file of theirs says.
//!
//! A panic there is an error of the file or of the text, not the end of the process; it knows
//! nothing of either.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a call gives; its error and a panic alike are a sentence.
///
/// What the library keeps behind locks are caches, which it leaves alone once a panic has broken
/// them: nothing half done is seen later.
///
/// # Errors
/// What the library says, or that it panicked and with what.
pub(super) fn called<T>(call: impl FnOnce() -> tokenizers::Result<T>) -> Result<T, String> {
    sound(call)?.map_err(|e| e.to_string())
}

/// Whether a call returns at all, with a value or with an error.
///
/// # Errors
/// That it panicked, and with what.
pub(super) fn sound<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(call))
        .map_err(|payload| format!("the tokenizer panicked: {}", said(&*payload)))
}

/// The message of a panic.
fn said(payload: &(dyn Any + Send)) -> &str {
    let owned = || payload.downcast_ref::<String>().map(String::as_str);
    payload.downcast_ref::<&str>().copied().or_else(owned).unwrap_or("no message")
}
