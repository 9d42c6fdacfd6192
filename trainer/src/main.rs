//! The `regrowth` binary.

/// Training allocates and frees large buffers all the time; mimalloc keeps their pages.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    regrowth_trainer::cli::main()
}
