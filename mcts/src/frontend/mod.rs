//! Code shared by the command lines of `mcts` and `regrowth`: help in two lengths, `--set`, the documented
//! settings file, exit codes, completions and man pages.
//!
//! Both binaries describe their flags with clap; this module builds the user interface from these
//! descriptions.

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
