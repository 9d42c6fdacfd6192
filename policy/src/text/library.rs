//! Calls into the `tokenizers` library, which may index or unwrap values from a file unchecked.
//!
//! Here a panic of the library becomes an error about the file or the text and does not end the process.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs a call and turns its error or panic into an error message.
///
/// Only caches are behind the library's locks, and the library ignores a cache after a panic. So no later
/// call sees half-finished state.
///
/// # Errors
/// The library's error, or the message of its panic.
pub(super) fn called<T>(call: impl FnOnce() -> tokenizers::Result<T>) -> Result<T, String> {
    sound(call)?.map_err(|e| e.to_string())
}

/// Runs a call that may return a value or an error, and turns a panic into an error message.
///
/// # Errors
/// The message of the panic.
pub(super) fn sound<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(call))
        .map_err(|payload| format!("the tokenizer panicked: {}", said(&*payload)))
}

/// Returns the message of a panic.
fn said(payload: &(dyn Any + Send)) -> &str {
    let owned = || payload.downcast_ref::<String>().map(String::as_str);
    payload.downcast_ref::<&str>().copied().or_else(owned).unwrap_or("no message")
}
