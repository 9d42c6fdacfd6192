//! The `regrowth` binary.

/// Training allocates and frees large buffers all the time; mimalloc keeps their pages: 6 % less wall
/// time and half the system time in SFT of the bundled model (benches/README.md, "Runs and
/// builds").
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    regrowth_trainer::pages::keep();
    // candle shares elementwise loops through a pool that spins at its barriers; here threads work
    // on whole micro-batches and shards instead.
    // SAFETY: nothing else runs yet that could read the environment at the same time.
    unsafe { std::env::set_var("CANDLE_NUM_THREADS", "1") };
    regrowth_trainer::cli::main()
}
