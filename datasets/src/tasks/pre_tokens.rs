//! Pre-tokens: the pieces into which text is split before tokenisation, and the closed list of all of
//! them.
//!
//! Text is split by the pattern `\n| ?[A-Za-z]+| ?[0-9]| ?[^\sA-Za-z0-9]+|\s`: a word includes the space
//! before it, and each digit is a piece, so a number is read digit by digit. The list is collected from
//! generated text, so it always matches the word tables. Ids and the tokenizer are made elsewhere.

use std::collections::BTreeSet;

use super::corpus::{CorpusConfig, corpus};
use super::spec::TaskSpec;

/// Examples read per task, half of them skill tasks (measured: the list is complete after 84).
const READ: usize = 3_000;
/// Any seed; the list does not depend on it.
const SEED: u64 = 0;

/// Splits text into pre-tokens; their concatenation is the text.
#[must_use]
pub fn pre_tokens(text: &str) -> Vec<&str> {
    let mut pre_tokens = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(piece_length(rest));
        pre_tokens.push(piece);
        rest = after;
    }
    pre_tokens
}

/// Length in bytes of the first piece of a non-empty text.
fn piece_length(text: &str) -> usize {
    let space = usize::from(text.starts_with(' '));
    let Some(first) = text[space..].chars().next().filter(|c| !c.is_whitespace()) else {
        return text.chars().next().map_or(0, char::len_utf8);
    };
    let run = |belongs: fn(char) -> bool| {
        text[space..].find(|c| !belongs(c)).unwrap_or(text.len() - space)
    };
    space
        + match first {
            c if c.is_ascii_alphabetic() => run(|c| c.is_ascii_alphabetic()),
            c if c.is_ascii_digit() => 1,
            _ => run(|c| !c.is_whitespace() && !c.is_ascii_alphanumeric()),
        }
}

/// Every piece of every question, option, solution and skill task, of all tasks at all levels, sorted.
///
/// A word that also begins a line is listed twice, with and without the space before it. Digits, option
/// labels and the first words of questions (a question may begin a prompt) are listed in both forms too.
#[must_use]
pub fn vocabulary() -> Vec<String> {
    let mut all = BTreeSet::new();
    let mut add = |text: &str| all.extend(pre_tokens(text).into_iter().map(str::to_owned));
    for digit in 0..10 {
        add(&format!("{digit} {digit}"));
    }
    for task in super::Task::ALL {
        let every_level = TaskSpec::new(task, task.allowed_levels()).unwrap_or(task.into());
        let config = CorpusConfig {
            seed: SEED,
            tasks: vec![(every_level, 1.0)],
            copy_share: 0.2,
            drill_share: 0.5,
            drill_decay: f64::INFINITY,
            ..CorpusConfig::default()
        };
        for example in corpus(&config).take(READ) {
            let problem = example.problem();
            add(&problem.question);
            add(&format!(" {}", problem.question));
            for choice in &problem.choices {
                add(&format!("{} {} {}", choice.label, choice.label, choice.text));
            }
            example.steps().iter().for_each(|step| add(step));
        }
    }
    all.into_iter().collect()
}
