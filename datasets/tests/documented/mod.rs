//! Checks the commands in the documentation, for the tests of the binaries: `mcts/tests/it/documented.rs`
//! and `trainer/tests/it/documented.rs`.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs every documented command of a binary with `--help` appended, so that its arguments are parsed and
/// nothing else happens. Returns the faults and the number of commands.
pub fn refused(binary: &str, path: &str) -> (Vec<String>, usize) {
    let mut commands = Vec::new();
    for page in pages() {
        let text = std::fs::read_to_string(&page).expect("a page");
        commands.extend(commands_of(&text, binary).into_iter().map(|c| (page.clone(), c)));
    }
    for script in scripts() {
        let text = std::fs::read_to_string(&script).expect("a script");
        commands.extend(commands_of_script(&text, binary).into_iter().map(|c| (script.clone(), c)));
    }
    let mut wrong = Vec::new();
    for (page, command) in &commands {
        let output = Command::new(path).args(words(command)).arg("--help").output().expect("runs");
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            wrong.push(format!("{}: {binary} {command}\n{said}", page.display()));
        }
    }
    (wrong, commands.len())
}

/// The README, the guide for contributors and the pages of the book. Pages of experiments are left out,
/// because their commands are as old as the logs.
fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace");
    let book = std::fs::read_dir(root.join("docs")).expect("the book").flatten();
    let mut pages: Vec<PathBuf> = book.map(|entry| entry.path()).collect();
    pages.retain(|page| page.extension().is_some_and(|e| e == "md"));
    pages.extend([root.join("README.md"), root.join("CONTRIBUTING.md")]);
    pages.sort();
    pages
}

/// The scripts under `examples/`.
fn scripts() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace");
    let folder = std::fs::read_dir(root.join("examples/cluster")).expect("examples").flatten();
    let mut scripts: Vec<PathBuf> = folder.map(|entry| entry.path()).collect();
    scripts.retain(|path| path.extension().is_some_and(|e| e == "sh" || e == "yaml"));
    scripts.sort();
    scripts
}

/// The arguments of each command of `binary` in a script, with every shell substitution replaced by 1, a
/// valid value of all flags that these scripts fill in that way.
fn commands_of_script(text: &str, binary: &str) -> Vec<String> {
    let joined = text.replace("\\\n", " ");
    let lines = joined.lines().map(str::trim_start);
    let commands = lines.filter_map(|line| line.strip_prefix(binary)?.strip_prefix(' '));
    commands.map(filled_in).collect()
}

/// A command with 1 in place of `$name`, `${...}` and `$((...))`. Arrays, which hold whole flags, are
/// removed.
fn filled_in(command: &str) -> String {
    let mut text = String::new();
    let mut rest = command;
    while let Some((before, variable)) = rest.split_once('$') {
        text.push_str(before);
        let name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let array = variable.starts_with('{') && variable.contains("[@]}");
        rest = match variable.chars().next() {
            Some('{') => variable.split_once('}').map_or("", |(_, rest)| rest),
            Some('(') => variable.split_once("))").map_or("", |(_, rest)| rest),
            _ => variable.trim_start_matches(name),
        };
        if !array {
            text.push('1');
        }
    }
    (text + rest).replace("\"\"", " ")
}

/// The arguments of each command of `binary` in the code blocks of a page.
fn commands_of(text: &str, binary: &str) -> Vec<String> {
    let joined = text.replace("\\\n", " ");
    let lines = joined.lines().filter_map(|line| line.strip_prefix("    "));
    let commands = lines.filter_map(|line| {
        let line = line.strip_prefix("$ ").unwrap_or(line);
        line.strip_prefix(binary)?.strip_prefix(' ')
    });
    commands.map(|c| c.split(" # ").next().unwrap_or(c).trim().to_owned()).collect()
}

/// Words separated by spaces; double quotes keep spaces.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut quoted) = (vec![String::new()], false);
    for c in command.chars() {
        match c {
            '"' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().expect("a word").push(c),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn commands_are_found_in_code_blocks() {
    let text = "text\n\n    # note\n    bin a \\\n        --b \"c d\"  # why\n    $ bin e\n    binary f\nbin g";
    assert_eq!(commands_of(text, "bin"), ["a          --b \"c d\"", "e"]);
    let script =
        "  bin a \\\n --b \"$x/v1#m\" \"${c[@]}\" --d \"$((E + 1))/8\" ${f:-1}\n# bin no\nbin-g";
    let found: Vec<_> = commands_of_script(script, "bin").iter().map(|c| words(c)).collect();
    assert_eq!(found, [["a", "--b", "1/v1#m", "--d", "1/8", "1"]]);
    assert_eq!(words("a          --b \"c d\""), ["a", "--b", "c d"]);
}
