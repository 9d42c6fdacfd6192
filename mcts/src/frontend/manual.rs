//! Shell completions and man pages.

use std::io;
use std::path::PathBuf;

use clap::Command;
use clap_complete::Shell;

use super::unhidden;

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Output")]
pub struct CompletionArgs {
    /// The shell.
    #[arg(value_name = "SHELL", value_enum)]
    shell: Shell,
}

impl CompletionArgs {
    /// Script that completes all flags of a program.
    #[must_use]
    pub fn script(&self, command: Command) -> Vec<u8> {
        let mut script = Vec::new();
        let name = command.get_name().to_owned();
        clap_complete::generate(self.shell, &mut unhidden(command), name, &mut script);
        script
    }
}

/// Arguments of `man`.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Output")]
pub struct ManualArgs {
    /// Folder for the man pages, one per command; it is created if it does not exist
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

impl ManualArgs {
    /// Writes the man pages of a program, with all of its flags.
    ///
    /// # Errors
    /// If a page cannot be written.
    pub fn write(&self, command: Command) -> io::Result<()> {
        std::fs::create_dir_all(&self.dir)?;
        clap_mangen::generate_to(unhidden(command), &self.dir)
    }
}
