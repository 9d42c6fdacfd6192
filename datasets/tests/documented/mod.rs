//! Commands that the documentation gives, for the tests of the binaries: `mcts/tests/it/documented.rs`
//! and `trainer/tests/it/documented.rs`.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs every documented command of a binary with `--help` behind it, which parses the arguments
/// before it and does nothing else. Returns what is wrong, and how many commands there are.
pub fn refused(binary: &str, path: &str) -> (Vec<String>, usize) {
    let mut commands = Vec::new();
    for page in pages() {
        let text = std::fs::read_to_string(&page).expect("a page");
        commands.extend(commands_of(&text, binary).into_iter().map(|c| (page.clone(), c)));
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

/// The README, the guide for contributors and the pages of the book. Logs give the commands of their
/// day and are left out.
fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace");
    let book = std::fs::read_dir(root.join("docs")).expect("the book").flatten();
    let mut pages: Vec<PathBuf> = book.map(|entry| entry.path()).collect();
    pages.retain(|page| page.extension().is_some_and(|e| e == "md"));
    pages.extend([root.join("README.md"), root.join("CONTRIBUTING.md")]);
    pages.sort();
    pages
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

/// Words parted by spaces; double quotes keep spaces.
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
    assert_eq!(words("a          --b \"c d\""), ["a", "--b", "c d"]);
}
