//! `regrowth config`: prints the settings file of a run, with every key explained.

use regrowth_mcts::flags::EngineFlags;
use toml::{Table, Value};

use super::print_line;
use super::settings::{StartFlags, known};
use crate::TrainError;

/// Arguments of `regrowth config`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    start: StartFlags,
    /// The policy whose preset is used [default: that of the file, else builtin].
    #[arg(long, help_heading = "Settings")]
    policy: Vec<String>,
}

pub(super) fn run(args: &Args) -> Result<(), TrainError> {
    let bad = |e: toml::ser::Error| TrainError::Setting { name: "config", detail: e.to_string() };
    let (config, engine) = args.start.base(&args.policy, None, &EngineFlags::default())?;
    let mut table = Table::try_from(config).map_err(bad)?;
    table.insert("engine".to_owned(), Value::try_from(engine).map_err(bad)?);
    print_line(known().commented(&table).trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rounds::RunConfig;
    use regrowth_mcts::Preset;

    #[test]
    fn a_printed_file_gives_its_settings_again() {
        for preset in Preset::ALL {
            let config = RunConfig::of(preset);
            let text = known().commented(&Table::try_from(&config).unwrap());
            let mut read = known().spelled(text.parse().unwrap());
            read.remove("engine");
            assert_eq!(read.try_into::<RunConfig>().unwrap(), config, "{text}");
        }
    }
}
