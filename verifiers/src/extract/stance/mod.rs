//! Whether a sentence asserts the answer that it mentions. "The wrong answer is 6", "suppose the answer
//! is 6", "the answer isn't 6" and "is the answer 6?" do not.
//!
//! Announcements, boxes, values without announcement and choices all use this module for the words before
//! and after a position. If it is not certain that a value is asserted, it counts as not asserted,
//! because a wrong accept would be trained into a policy. This file splits clauses into words.

mod adjoining;
mod condition;
mod lead;
mod rejection;
mod statement;
mod withdrawal;

pub(crate) use adjoining::{denies_box, is_guess, names_others, supposes};
pub(crate) use condition::{
    imagines, is_conditional, is_conditional_behind, is_counterfactual, is_restricted,
};
pub(crate) use lead::{asserts, is_doubt, is_doubted_abroad};
pub(crate) use rejection::{rejected_behind, rejects_itself};
pub(crate) use statement::{Stance, corrected, declines, stance};
pub(crate) use withdrawal::withdrawn;

/// Number of bytes before a position that are searched for its clause.
const MAX_CLAUSE: usize = 160;
/// Maximum number of words of a clause that can govern its end.
const MAX_WORDS: usize = 12;

/// Words after which a new clause starts.
const RESTARTS: [&str; 9] =
    ["so", "but", "therefore", "hence", "thus", "then", "rather", "and", "because"];

/// Adverbs that may precede a denial.
const ADVERBS: [&str; 18] = [
    "definitely",
    "certainly",
    "clearly",
    "surely",
    "probably",
    "likely",
    "obviously",
    "simply",
    "actually",
    "also",
    "still",
    "really",
    "most",
    "very",
    "therefore",
    "thus",
    "indeed",
    "now",
];

/// Punctuation at which a new clause starts.
fn is_boundary(c: char) -> bool {
    matches!(c, '.' | '!' | '?' | '\n' | ';' | ':' | ',' | '\u{2014}')
        || matches!(c, '。' | '！' | '？' | '；' | '：' | '，')
}

/// Punctuation at which a sentence ends.
fn is_sentence_end(c: char) -> bool {
    matches!(c, '.' | '!' | '?' | '\n' | '。' | '！' | '？')
}

/// The words of the clause that ends at the end of `before`, last word first, in lower case.
pub(crate) fn clause_words(before: &str) -> Vec<String> {
    let tail = super::tail(before, MAX_CLAUSE);
    let clause = tail.rsplit(is_boundary).next().unwrap_or(tail);
    words(clause).rev().take(MAX_WORDS).collect()
}

/// Whether the sentence that ends at the end of `before` begins with exactly one of `wanted` and a comma:
/// "Next, option".
pub(crate) fn opens_with(before: &str, wanted: &[&str]) -> bool {
    let tail = super::tail(before, MAX_CLAUSE);
    let sentence = tail.rsplit(['.', '!', '?', '\n']).next().unwrap_or(tail);
    let Some((opener, _)) = sentence.rsplit_once(',') else { return false };
    wanted.contains(&opener.trim().to_lowercase().as_str())
}

/// Whether the clause that ends at the end of `before` contains one of `wanted` after its last restart.
pub(crate) fn clause_has(before: &str, wanted: &[&str]) -> bool {
    clause_words(before)
        .iter()
        .take_while(|w| !RESTARTS.contains(&w.as_str()))
        .any(|w| wanted.contains(&w.as_str()))
}

fn words(text: &str) -> impl DoubleEndedIterator<Item = String> + '_ {
    text.split(|c: char| !c.is_alphanumeric() && c != '\'' && c != '\u{2019}')
        .filter(|word| !word.is_empty())
        .map(|word| word.trim_matches('\'').to_lowercase().replace('\u{2019}', "'"))
}

/// Whether a text begins with the complete phrase, ignoring letter case.
pub(crate) fn starts_with_phrase(text: &str, phrase: &str) -> bool {
    text.get(..phrase.len()).is_some_and(|head| head.eq_ignore_ascii_case(phrase))
        && !text[phrase.len()..].starts_with(|c: char| c.is_alphanumeric())
}
