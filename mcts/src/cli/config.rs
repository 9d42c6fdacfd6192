//! `mcts config`: the settings file of a search, with every key explained.

use clap::Args;
use toml::Table;

use super::failure::Failure;
use super::print_line;
use super::settings::unwritable;
use super::sources::{self, StartFlags};

pub(super) const EXAMPLES: &str = "\
Examples:
  mcts config > search.toml
  mcts config --preset paper --set search.c_puct=2";

/// Arguments of `mcts config`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    start: StartFlags,
}

/// Runs the command.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let (settings, preset) = sources::start(&arguments.start)?;
    let mut table = Table::try_from(&settings).map_err(|e| unwritable(&e))?;
    let name = toml::Value::try_from(preset).map_err(|e| unwritable(&e))?;
    table.insert("preset".to_owned(), name);
    print_line(sources::known().commented(&table).trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Preset;
    use crate::cli::settings::Settings;

    #[test]
    fn a_printed_file_gives_its_settings_again() {
        for preset in Preset::ALL {
            let settings = sources::of_preset(preset);
            let text = sources::known().commented(&Table::try_from(&settings).unwrap());
            let read = sources::known().spelled(text.parse().unwrap());
            assert_eq!(read.try_into::<Settings>().unwrap(), settings, "{text}");
        }
    }
}
