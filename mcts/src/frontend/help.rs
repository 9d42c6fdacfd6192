//! Help in two lengths: `--help` shows the flags that most users need, `--help-all` every flag with the
//! meaning of every value.
//!
//! A flag that only `--help-all` shows is marked `hide = true` in its declaration.

use std::ffi::OsString;

use clap::{Arg, ArgAction, Command, FromArgMatches};
use toml::{Table, Value};

/// Maximum number of flags in a command's `--help`: about as many lines as a terminal shows.
pub const MOST_FLAGS: usize = 15;

/// Heading of the flags that every command has.
const HELP_GROUP: &str = "Help";

/// Parses the command line of this process. Help, version and errors end the process as in clap. Without a
/// command, `default` is used, if there is one.
#[must_use]
pub fn parse<P: FromArgMatches>(command: Command, default: Option<&str>) -> P {
    let mut words: Vec<OsString> = std::env::args_os().collect();
    if words.len() < 2 {
        words.extend(default.map(OsString::from));
    }
    let all = words.iter().take_while(|word| *word != "--").any(|word| word == "--help-all");
    let mut command = if all { unhidden(command) } else { command };
    let matches = command.try_get_matches_from_mut(words);
    let mut matches = matches.unwrap_or_else(|error| error.exit());
    P::from_arg_matches_mut(&mut matches).unwrap_or_else(|e| e.format(&mut command).exit())
}

/// Adds `--help` and `--help-all` to a command and its subcommands.
#[must_use]
pub fn with_help(command: Command) -> Command {
    let short = Arg::new("help").short('h').long("help").action(ArgAction::HelpShort);
    let long = Arg::new("help-all").long("help-all").action(ArgAction::HelpLong);
    command
        .disable_help_flag(true)
        .arg(short.help("Print the flags that most users need").help_heading(HELP_GROUP))
        .arg(long.help("Print all flags and what their values mean").help_heading(HELP_GROUP))
        .mut_subcommands(with_help)
}

/// Adds `--version` to a program.
#[must_use]
pub fn version(command: Command, text: String) -> Command {
    let flag = Arg::new("version").short('V').long("version").action(ArgAction::Version);
    command
        .version(text)
        .disable_version_flag(true)
        .arg(flag.help("Print version, commit and features").help_heading(HELP_GROUP))
}

/// Text of `--version`: the version, the commit of the build if it is known, and the enabled features.
#[must_use]
pub fn version_text(version: &str, features: &[(&str, bool)]) -> String {
    let on = features.iter().filter(|(_, on)| *on).map(|(name, _)| *name);
    let commit = option_env!("REGROWTH_COMMIT").map(|commit| format!("commit {commit}, "));
    let (commit, on) = (commit.unwrap_or_default(), on.collect::<Vec<_>>().join(" "));
    format!("{version} ({commit}features: {on})")
}

/// The command with no flag hidden from its help.
#[must_use]
pub fn unhidden(command: Command) -> Command {
    command.mut_args(|arg| arg.hide(false)).mut_subcommands(unhidden)
}

/// Shows the flags of a group only in `--help-all`.
#[must_use]
pub fn hide_group(command: Command, group: &str) -> Command {
    command.mut_args(|arg| {
        let hidden = arg.is_hide_set() || arg.get_help_heading() == Some(group);
        arg.hide(hidden)
    })
}

/// Adds the presets' values to the help of flags that mirror a setting. `mirrored` pairs the id of a flag
/// with its setting. `presets` pairs names with settings; the last preset applies to all policies that are
/// not named before it.
#[must_use]
pub fn with_defaults(
    command: Command,
    mirrored: &[(&str, &str)],
    presets: &[(&str, Table)],
) -> Command {
    command.mut_args(|arg| {
        let found = mirrored.iter().find(|(flag, _)| arg.get_id() == *flag);
        let Some((_, setting)) = found else { return arg };
        with_default(arg, &described(setting, presets))
    })
}

/// Adds the default of a flag to its help.
#[must_use]
pub fn with_default(arg: Arg, default: &str) -> Arg {
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let help = help.trim_end_matches('.');
    arg.help(format!("{help} [default: {default}]"))
}

/// The value of a setting in the presets; `setting` is a dotted name. One value if all presets agree,
/// otherwise the value of each; the last preset applies to all policies that are not named before it.
#[must_use]
pub fn described(setting: &str, presets: &[(&str, Table)]) -> String {
    let shown = |table: &Table| match at(table, setting) {
        // The name of an enum value, not a path or a text.
        Some(Value::String(text)) if text.chars().all(|c| c.is_ascii_lowercase() || c == '_') => {
            text.replace('_', "-")
        }
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None => "not set".to_owned(),
    };
    let values: Vec<String> = presets.iter().map(|(_, table)| shown(table)).collect();
    let Some((last, others)) = values.split_last() else { return String::new() };
    let differ = others.iter().zip(presets).filter(|(value, _)| *value != last);
    let named: Vec<String> = differ.map(|(value, (name, _))| format!("{name} {value}")).collect();
    match named.as_slice() {
        [] => last.clone(),
        named => format!("{}, else {last}", named.join(", ")),
    }
}

/// The value at a dotted name.
fn at<'a>(table: &'a Table, name: &str) -> Option<&'a Value> {
    match name.split_once('.') {
        Some((first, rest)) => at(table.get(first)?.as_table()?, rest),
        None => table.get(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_name_the_presets_that_differ() {
        let table = |text: &str| text.parse::<Table>().unwrap();
        let presets = [
            ("builtin", table("rounds = 3\n[search]\nc_puct = 4.0")),
            ("chat", table("rounds = 3\n[search]\nc_puct = 1.0")),
            ("default", table("rounds = 3\n[search]\nc_puct = 1.0")),
        ];
        assert_eq!(described("rounds", &presets), "3");
        assert_eq!(described("search.c_puct", &presets), "builtin 4.0, else 1.0");
        assert_eq!(described("search.noise", &presets), "not set");
    }

    #[test]
    fn hidden_flags_are_shown_by_help_all_alone() {
        let rare = Arg::new("rare").long("rare").hide(true);
        let command = with_help(Command::new("test").arg(rare));
        let short = command.clone().render_help().to_string();
        assert!(!short.contains("--rare") && short.contains("--help-all"), "{short}");
        assert!(unhidden(command).render_help().to_string().contains("--rare"));
    }
}
