//! The standalone search: `mcts search`, `mcts pairs`, `mcts show`.

// A tree makes many small allocations from several threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` of mimalloc's list of options, versions 2 and 3.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

fn main() -> std::process::ExitCode {
    // Return freed pages at once: while a policy is loaded, each tensor is freed when its packed form is
    // made. This does not slow down a search compared with mimalloc's own delay.
    // SAFETY: sets one number of the allocator; the option exists in both of its versions.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, 0) };
    regrowth_mcts::cli::main()
}
