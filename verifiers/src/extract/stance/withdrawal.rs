//! Sentences after an answer that take it back: "Wait, that's wrong.", "Let me check. No, it should be
//! 7."

use super::rejection::{calls_wrong, denies_quality};
use super::{MAX_WORDS, is_sentence_end, starts_with_phrase, words};

/// Maximum number of sentences after an answer that are read.
const MAX_SENTENCES: usize = 4;
/// Longest text after an answer that is read, in bytes.
const MAX_AFTER: usize = 512;

/// Interjections before a sentence that withdraws the previous one.
const INTERJECTIONS: [&str; 20] = [
    "wait",
    "no",
    "hmm",
    "hm",
    "oh",
    "ah",
    "oops",
    "sorry",
    "actually",
    "but",
    "however",
    "hold on",
    "unfortunately",
    "well",
    "and",
    "yet",
    "still",
    "so",
    "on reflection",
    "looking again",
];

/// Interjections after which "it is 7" corrects the previous statement.
const TURNS: [&str; 7] = ["wait", "no", "oops", "sorry", "actually", "hold on", "hmm"];

/// Phrases that are a withdrawal by themselves.
const WITHDRAWALS: [&str; 13] = [
    "scratch that",
    "strike that",
    "oops",
    "whoops",
    "my mistake",
    "my bad",
    "my apologies",
    "correction",
    "i take that back",
    "on second thought",
    "never mind",
    "i stand corrected",
    "not quite",
];

/// Errors that a writer admits in a withdrawal: "I misread the question".
const SLIPS: [&str; 18] = [
    "mistake",
    "error",
    "wrong",
    "miscalculated",
    "miscounted",
    "misread",
    "misunderstood",
    "misinterpreted",
    "mixed",
    "forgot",
    "missed",
    "overlooked",
    "ignored",
    "meant",
    "mean",
    "double-counted",
    "swapped",
    "confused",
];

/// Whether the sentences after a statement withdraw it. Sentences that only announce a check are skipped.
pub(crate) fn withdrawn(after: &str) -> bool {
    let mut rest = crate::extract::head(after, MAX_AFTER);
    let mut turned = false;
    for _ in 0..MAX_SENTENCES {
        rest = rest.trim_start_matches(|c: char| !c.is_alphanumeric());
        let end = sentence_end(rest);
        match read(&rest[..end], turned) {
            Reading::Withdraws => return true,
            Reading::Checks { after_turn } if end < rest.len() => {
                rest = &rest[end..];
                turned |= after_turn;
            }
            _ => return false,
        }
    }
    false
}

/// End of the first sentence; a decimal point does not end it.
fn sentence_end(text: &str) -> usize {
    let ends = |&(at, c): &(usize, char)| {
        let decimal = text[at + c.len_utf8()..].starts_with(|c: char| c.is_ascii_digit());
        (is_sentence_end(c) || c == ';') && !(c == '.' && decimal)
    };
    text.char_indices().find(ends).map_or(text.len(), |(at, _)| at)
}

/// Effect of a sentence on the statement before it.
enum Reading {
    Withdraws,
    /// The sentence announces a check, whose outcome follows; `after_turn`: whether "wait" or similar
    /// came first.
    Checks {
        after_turn: bool,
    },
    Other,
}

/// Reads a sentence; `turned`: whether an earlier sentence began with one of [`TURNS`].
fn read(sentence: &str, mut turned: bool) -> Reading {
    let mut rest = sentence;
    let mut refused = false;
    while let Some(word) = INTERJECTIONS.iter().find(|w| starts_with_phrase(rest, w)) {
        if is_withdrawal(rest) {
            return Reading::Withdraws;
        }
        let after = &rest[word.len()..];
        // "No, ..." is a refusal, "no other value" is not.
        let turns = |w: &&str| starts_with_phrase(after.trim_start(), w);
        if *word == "no" && after.starts_with(' ') && !TURNS.iter().any(turns) {
            break;
        }
        turned |= TURNS.contains(word);
        refused |= *word == "no";
        rest = after.trim_start_matches(|c: char| !c.is_alphanumeric());
    }
    // A sentence that begins with "No," withdraws, whatever follows.
    if is_withdrawal(rest) || refused {
        return Reading::Withdraws;
    }
    let all: Vec<String> = words(rest).take(MAX_WORDS).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    if takes_back(&all) || turned && (corrects(&all) || concludes(&all)) {
        return Reading::Withdraws;
    }
    let checks = matches!(
        all.as_slice(),
        [] | ["let", "me" | "us", ..]
            | ["let's" | "checking" | "verifying", ..]
            | ["i", "should" | "need" | "want", "to", ..]
            | ["to", "check" | "verify", ..]
    );
    if checks { Reading::Checks { after_turn: turned } } else { Reading::Other }
}

fn is_withdrawal(text: &str) -> bool {
    WITHDRAWALS.iter().any(|phrase| starts_with_phrase(text, phrase))
}

/// Whether the words of a sentence call the previous statement wrong or admit an error.
fn takes_back(all: &[&str]) -> bool {
    let Some((subject, rest)) = all.split_first() else { return false };
    let owned = || rest.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
    let limits = |words: &[&str]| words.first().is_some_and(|w| *w == "only");
    match *subject {
        // "It cannot be 8" is about another value.
        "it" if rest.last().is_some_and(|w| is_value(w)) => false,
        "that" | "this" | "it" => {
            calls_wrong(&owned())
                || matches!(rest, ["is" | "was" | "holds" | "works", after @ ..] if limits(after))
        }
        "that's" | "it's" => rest.iter().take(3).any(|w| denies_quality(w)) || limits(rest),
        "i" | "we" => {
            let told =
                rest.iter().any(|w| matches!(*w, "mention" | "say" | "note" | "add" | "state"));
            let about = rest.iter().any(|w| matches!(*w, "that" | "this" | "units"));
            let slip = rest.iter().take(5).any(|w| SLIPS.contains(w));
            let denied = rest.iter().take(3).any(|w| w.ends_with("n't") || *w == "no");
            slip && !(told && about) && !denied
        }
        _ => false,
    }
}

/// Whether a word is a number or an option's letter.
fn is_value(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit()) || word.len() == 1
}

/// Whether the words after an interjection give another value: "it should be 7", "it's 7", "that is B".
fn corrects(all: &[&str]) -> bool {
    let repairs = |w: &[&str]| {
        matches!(w, ["should" | "must" | "to", "correct" | "fix" | "redo" | "recompute" | "revise"])
    };
    if all.windows(2).any(repairs) {
        return true;
    }
    match all {
        ["it" | "that" | "this" | "we" | "i" | "there", "should", ..] => true,
        ["it's" | "that's", word, rest @ ..] | ["it" | "that", "is", word, rest @ ..] => {
            is_value(word) && (*word != "a" || rest.is_empty())
        }
        ["must" | "should", "be", ..] => true,
        _ => false,
    }
}

/// Whether a sentence gives a value at its end: "that ignores the tax, so it is 31".
fn concludes(all: &[&str]) -> bool {
    let told = |w: &[&str]| {
        let is = matches!(
            w[..2],
            ["it" | "that" | "answer" | "total", "is"] | ["must" | "should", "be"]
        ) || matches!(w[1], "it's" | "that's");
        is && w[2].starts_with(|c: char| c.is_ascii_digit())
    };
    all.windows(3).any(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_that_withdraw() {
        for after in [
            ". Wait, that's wrong. Let me see",
            ". No, this is incorrect",
            "\nHmm, it cannot be.",
            ". Actually, no.",
            ". Hold on, I misread the question.",
            ". Wait, I forgot to add 3, so it's 7.",
            ". Let me double check. No, it should be 7.",
            ". But that's only for one side.",
            "... oops, it's 7",
            ". Hmm, but 5 x 12 = 60, so I should correct: the answer is 60.",
            ", wait, no, 8.",
            ". Hmm wait, let me recount: 5 + 9 = 14. So it's 14.",
            ". Wait, it's 2.5 that we want.",
            ". Hmm, that ignores the tax, so it is 31.",
        ] {
            assert!(withdrawn(after), "{after}");
        }
        for after in [
            ". I hope it is correct",
            ". Wait for it",
            "\n\nThat is all",
            ". If you got 12, that is wrong.",
            ". Let me double check. Yes, 4.",
            ". No other value works.",
            ". Actually, it's a nice problem.",
            ". It should be positive, and it is.",
            ". I forgot to mention that the unit is cm.",
            ". We made no mistake.",
            ". It cannot be 8.",
        ] {
            assert!(!withdrawn(after), "{after}");
        }
    }
}
