//! Checks the rules for the command lines of both programs, and that the reference pages match the code.
//!
//! `REGENERATE=1 cargo test -p regrowth-trainer --test it reference::` regenerates the pages.

use std::collections::BTreeSet;
use std::path::Path;

use clap::{Arg, Command};
use regrowth_mcts::Preset;
use regrowth_mcts::frontend::{MOST_FLAGS, SettingsTree, described, unhidden};
use regrowth_mcts::settings::{SEARCH_KEYS, TRAINING_KEYS};
use regrowth_trainer::rounds::RunConfig;
use toml::Table;

fn programs() -> [Command; 2] {
    [regrowth_trainer::cli::command(), regrowth_mcts::cli::command()]
}

/// All commands without subcommands, each with its full name.
fn commands() -> Vec<(String, Command)> {
    let mut found = Vec::new();
    for program in programs() {
        for command in program.get_subcommands() {
            found.push((format!("{} {}", program.get_name(), command.get_name()), command.clone()));
        }
    }
    assert!(!found.is_empty());
    found
}

fn visible(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|arg| !arg.is_hide_set())
}

/// Whether the help of an argument states its default.
fn has_default(arg: &Arg) -> bool {
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    arg.is_required_set() || !arg.get_default_values().is_empty() || help.contains("[default: ")
}

#[test]
fn the_first_screen_of_every_command_is_short_and_in_groups() {
    for (name, command) in commands() {
        let count = visible(&command).filter(|arg| !arg.is_positional()).count();
        assert!(count <= MOST_FLAGS, "{name} shows {count} flags");
        for arg in command.get_arguments() {
            assert!(arg.get_help_heading().is_some(), "{name}: {} has no group", arg.get_id());
            assert!(arg.get_help().is_some(), "{name}: {} has no help", arg.get_id());
        }
    }
}

#[test]
fn every_flag_with_a_value_says_its_default() {
    for (name, command) in commands() {
        let with_value = command.get_arguments().filter(|arg| arg.get_action().takes_values());
        let silent: Vec<&str> =
            with_value.filter(|arg| !has_default(arg)).map(|arg| arg.get_id().as_str()).collect();
        assert!(silent.is_empty(), "{name}: no default in the help of {silent:?}");
    }
}

#[test]
fn every_command_has_examples_that_it_takes() {
    for (name, command) in commands() {
        let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let examples: Vec<&str> =
            after.lines().filter_map(|line| line.strip_prefix("  ")).collect();
        assert!(after.starts_with("Examples:") && !examples.is_empty(), "{name}: {after}");
        for example in examples {
            assert!(example.starts_with(&name), "{name}: {example}");
            let words = example.split(" > ").next().unwrap_or_default().split_whitespace();
            let program = programs().into_iter().find(|p| name.starts_with(p.get_name()));
            program.unwrap().try_get_matches_from(words).expect(example);
        }
    }
}

#[test]
fn programs_know_their_own_keys_and_those_of_each_other() {
    let keys = |tree: &SettingsTree| -> BTreeSet<String> {
        tree.settings().iter().map(|setting| setting.key.clone()).collect()
    };
    let run = keys(&regrowth_trainer::cli::settings());
    let search = keys(&regrowth_mcts::cli::settings());
    let only = |a: &BTreeSet<String>, b: &BTreeSet<String>| -> Vec<String> {
        a.difference(b).cloned().collect()
    };
    assert_eq!(only(&run, &search), TRAINING_KEYS);
    assert_eq!(only(&search, &run), SEARCH_KEYS);
}

#[test]
fn the_command_reference_is_up_to_date() {
    let mut page = String::from(
        "# Commands\n\nEvery command with all of its flags, as `--help-all` lists them.\n",
    );
    for program in programs() {
        let program = unhidden(program).term_width(100);
        page += &format!("\n## {}\n", program.get_name());
        for command in program.get_subcommands() {
            let name = format!("{} {}", program.get_name(), command.get_name());
            let help = command.clone().bin_name(&name).term_width(100).render_help();
            let lines = help.to_string();
            let lines: Vec<&str> = lines.lines().map(str::trim_end).collect();
            page += &format!("\n### {name}\n\n```text\n{}\n```\n", lines.join("\n").trim_end());
        }
    }
    compare("commands.md", &page);
}

#[test]
fn the_settings_reference_is_up_to_date() {
    let mut page = String::from(
        "# Settings\n\nEvery key of a settings file (`--config FILE`, `--set KEY=VALUE`). \
         `regrowth config` prints such a file. Values are those of the presets; \"else\" is the preset \
         `default`.\n",
    );
    let presets = [
        ("builtin", Preset::Builtin),
        ("chat", Preset::Chat),
        ("paper", Preset::Paper),
        ("paper-choice", Preset::PaperChoice),
        ("else", Preset::Default),
    ];
    let presets = presets.map(|(name, p)| (name, Table::try_from(RunConfig::of(p)).unwrap()));
    table("", &regrowth_trainer::cli::settings(), &presets, &mut page);
    page += "\n# Settings that only `mcts` has\n";
    let search = regrowth_mcts::cli::settings();
    SEARCH_KEYS.iter().for_each(|key| table("", &search.table(key), &presets, &mut page));
    compare("settings.md", &page);
}

#[test]
fn set_reaches_every_key_and_a_printed_file_is_a_settings_file() {
    let dir = tempfile::tempdir().unwrap();
    let config = |args: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_regrowth"));
        command.current_dir(dir.path()).arg("config").args(args).output().unwrap()
    };
    let sets = [
        "search.c_puct=2",
        "engine.threads=3",
        "search.boundary=tokens@40",
        "search.commit=spread-value",
        "dpo.loss=ipo-sum",
    ];
    let args: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
    let first = config(&[["--preset", "paper"].as_slice(), &args].concat());
    assert!(first.status.success(), "{first:?}");
    let text = String::from_utf8(first.stdout).unwrap();
    for line in
        ["c_puct = 2.0", "threads = 3", "boundary = { tokens = 40 }", "commit = \"spread-value\""]
    {
        assert!(text.contains(&format!("\n{line}\n")), "{line}: {text}");
    }
    std::fs::write(dir.path().join("printed.toml"), &text).unwrap();
    let again = config(&["--config", "printed.toml"]);
    assert_eq!(String::from_utf8(again.stdout).unwrap(), text);
    for (set, wanted) in [
        ("search.c_put=2", "the nearest is `search.c_puct`"),
        ("search.c_puct=many", "search.c_puct"),
        ("search.c_puct", "KEY=VALUE"),
    ] {
        let output = config(&["--set", set]);
        assert_eq!(output.status.code(), Some(2), "{set}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.starts_with("error: ") && said.contains(wanted), "{said}");
    }
}

#[test]
fn completions_and_man_pages_know_every_flag() {
    let dir = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_regrowth"));
        let output = command.current_dir(dir.path()).args(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    for shell in ["bash", "zsh", "fish"] {
        let script = run(&["completions", shell]);
        assert!(script.contains("first-root-factor"), "{shell}");
    }
    run(&["man", "man1"]);
    let page = std::fs::read_to_string(dir.path().join("man1/regrowth-iterate.1")).unwrap();
    assert!(page.contains("first\\-root\\-factor") && page.contains("Examples"), "{page}");
    assert!(run(&["--version"]).contains("features: candle"));
}

/// Writes a section with the settings of a table, then sections for its subtables.
fn table(above: &str, tree: &SettingsTree, presets: &[(&str, Table)], page: &mut String) {
    let name = |key: &str| if above.is_empty() { key.into() } else { format!("{above}.{key}") };
    let plain = || tree.settings().iter().filter(|s| s.inner.settings().is_empty());
    if plain().next().is_some() {
        *page += "\n| key | type | value | meaning |\n|---|---|---|---|\n";
    }
    let cell = |text: &str| text.replace('\n', " ").replace('|', "\\|");
    for setting in plain() {
        let value = described(&name(&setting.key), presets);
        let meanings = setting.values.iter().filter(|(_, doc)| !doc.is_empty());
        let meanings: String =
            meanings.map(|(value, doc)| format!("<br>`{value}`: {}", cell(doc))).collect();
        *page += &format!(
            "| `{}` | {} | {} | {}{meanings} |\n",
            setting.key,
            cell(&setting.kind),
            cell(&value),
            cell(&setting.doc),
        );
    }
    for setting in tree.settings().iter().filter(|s| !s.inner.settings().is_empty()) {
        let name = name(&setting.key);
        let doc = setting.doc.replace('\n', " ");
        *page += &format!("\n## `[{name}]`\n\n{doc}\n");
        table(&name, &setting.inner, presets, page);
    }
}

/// Compares a page of `docs/reference` with the expected text, or regenerates it.
fn compare(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference").join(name);
    if std::env::var_os("REGENERATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    assert!(
        std::fs::read_to_string(&path).unwrap_or_default() == text,
        "docs/reference/{name} is out of date; write it again with \
         REGENERATE=1 cargo test -p regrowth-trainer --test it reference::"
    );
}
