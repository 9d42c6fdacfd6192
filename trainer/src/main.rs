//! The `regrowth` binary.

/// Training constantly allocates and frees large buffers. mimalloc keeps their pages: 6 % less wall time and
/// half the system time in SFT of the bundled model (benches/README.md, "Runs and builds").
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    regrowth_trainer::pages::keep();
    // candle parallelises elementwise loops with a pool whose threads spin at barriers. Here parallelism is
    // over micro-batches and shards instead.
    // SAFETY: no other thread is running yet that could read the environment.
    unsafe { std::env::set_var("CANDLE_NUM_THREADS", "1") };
    regrowth_trainer::cli::main()
}
