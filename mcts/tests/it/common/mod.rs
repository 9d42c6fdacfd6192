//! What the tests share: problems, a policy that notices everything, a tree driven by hand, the binary.

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
