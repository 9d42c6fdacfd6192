//! The standalone search: `mcts search`, `mcts pairs`, `mcts show`.

mod cli;

// A tree makes many small allocations from several threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    cli::main()
}
