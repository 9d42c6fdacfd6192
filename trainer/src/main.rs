//! The `regrowth` binary.

/// Training allocates and frees large buffers all the time; mimalloc keeps their pages: 6 % less wall
/// time and half the system time in SFT of the embedded model (README, "Speed").
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` of mimalloc's list of options, versions 2 and 3.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// How long freed pages are kept, in milliseconds. Every step takes the same buffers again; with
/// mimalloc's own 10 ms the system zeroes them anew, 15 % of the time of a training.
const KEEP_PAGES: std::ffi::c_long = 10_000;

fn main() -> std::process::ExitCode {
    // SAFETY: sets one number of the allocator; the option exists in both of its versions.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, KEEP_PAGES) };
    // candle shares elementwise loops through a pool that spins at its barriers; here threads work
    // on whole micro-batches and shards instead.
    // SAFETY: nothing else runs yet that could read the environment at the same time.
    unsafe { std::env::set_var("CANDLE_NUM_THREADS", "1") };
    regrowth_trainer::cli::main()
}
