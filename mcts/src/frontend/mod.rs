//! What the command lines of `mcts` and `regrowth` share: help in two lengths, `--set`, the settings
//! file as it is documented, exit codes, completions and man pages.
//!
//! Both binaries describe their flags with clap; here these descriptions become one front end.

mod entry;
mod help;
mod manual;
mod set;
mod tree;

pub use entry::{EXIT_CODES, Exit, run};
pub use help::{
    MOST_FLAGS, described, hide_group, parse, unhidden, version, version_text, with_default,
    with_defaults, with_help,
};
pub use manual::{CompletionArgs, ManualArgs};
pub use set::{Assignment, SetFlags};
pub use tree::{Setting, SettingsTree};
