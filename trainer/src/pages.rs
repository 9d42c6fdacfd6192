//! How long the allocator keeps pages that were freed.
//!
//! Training takes the same buffers at every step and wants to keep them; loading a policy frees
//! each tensor when its rearranged form is made, and those pages should go back. In programs that
//! have another allocator it does nothing.

/// `mi_option_purge_delay` of mimalloc's list of options, versions 2 and 3.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// How long freed pages are kept, in milliseconds. Every step takes the same buffers again; with
/// mimalloc's own 10 ms the system zeroes them anew, 15 % of the time of a training.
const KEPT: std::ffi::c_long = 10_000;

/// Freed pages are kept from now on.
pub fn keep() {
    purge_after(KEPT);
}

/// Runs `work`, during which freed pages go back to the system at once.
pub fn giving_back<T>(work: impl FnOnce() -> T) -> T {
    // SAFETY: reads one number of the allocator.
    let before = unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) };
    purge_after(0);
    let result = work();
    purge_after(before);
    result
}

fn purge_after(milliseconds: std::ffi::c_long) {
    // SAFETY: sets one number of the allocator; the option exists in both of its versions.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, milliseconds) };
}
