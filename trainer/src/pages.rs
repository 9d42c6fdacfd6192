//! Controls how long the allocator keeps freed pages.
//!
//! Training reuses the same buffers at every step, so freed pages should be kept. Loading a policy frees each
//! tensor after packing it, and those pages should be returned to the system. In programs with another
//! allocator these functions have no effect.

/// Index of `mi_option_purge_delay` in mimalloc's options, versions 2 and 3.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// How long freed pages are kept, in milliseconds. Every step uses the same buffers again. With mimalloc's
/// default of 10 ms the system zeroes the pages again each time, which takes 15 % of a training's time.
const KEPT: std::ffi::c_long = 10_000;

/// Keeps freed pages from now on.
pub fn keep() {
    purge_after(KEPT);
}

/// Runs `work`, during which freed pages are returned to the system at once.
pub fn giving_back<T>(work: impl FnOnce() -> T) -> T {
    // SAFETY: only reads an option of the allocator.
    let before = unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) };
    purge_after(0);
    let result = work();
    purge_after(before);
    result
}

fn purge_after(milliseconds: std::ffi::c_long) {
    // SAFETY: only sets an option of the allocator; the option exists in both versions.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, milliseconds) };
}
