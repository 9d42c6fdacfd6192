//! Code shared by the tests: problems, a policy that considers every part of a request, a tree without a
//! driver, the binary.

mod attentive;
#[cfg(feature = "cli")]
mod binary;
mod drive;
mod problems;

pub use attentive::Attentive;
#[cfg(feature = "cli")]
pub use binary::{assert_code, mcts, mcts_args, read, trees};
pub use drive::drive;
pub use problems::{problems, verifier};
