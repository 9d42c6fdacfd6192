//! Classifies the statement after an announcement: an answer, a denial of one, or bounds of one; and
//! detects refusals to answer.

use super::{ADVERBS, starts_with_phrase};

/// Beginnings of statements that deny an answer.
const DENIALS: [&str; 49] = [
    "not",
    "never",
    "no longer",
    "neither",
    "nor",
    "unlikely",
    "impossible",
    "hardly",
    "anything but",
    "nothing but",
    "other than",
    "far from",
    "different from",
    "unequal",
    "unknown",
    "wrong",
    "incorrect",
    "by no means",
    "in no way",
    "nowhere near",
    "undetermined",
    "unclear",
    "excluded",
    "out of the question",
    "possibly",
    "perhaps",
    "maybe",
    "supposedly",
    "isn't",
    "isn\u{2019}t",
    "wasn't",
    "was not",
    "aren't",
    "cannot",
    "can't",
    "can\u{2019}t",
    "can not",
    "can never",
    "couldn't",
    "could not",
    "won't",
    "will not",
    "wouldn't",
    "would not",
    "shouldn't",
    "should not",
    "doesn't",
    "does not",
    "mustn't",
];

/// Beginnings of statements that bound the value without giving it.
const BOUNDS: [&str; 39] = [
    "between",
    "at least",
    "at most",
    "less than",
    "more than",
    "greater than",
    "fewer than",
    "smaller than",
    "larger than",
    "bigger than",
    "higher than",
    "lower than",
    "over",
    "under",
    "above",
    "below",
    "up to",
    "no more than",
    "no less than",
    "no fewer than",
    "not more than",
    "not less than",
    "either",
    "one of",
    "among",
    "somewhere",
    "half of",
    "twice",
    "double",
    "within",
    "a multiple of",
    "a factor of",
    "a divisor of",
    "divisible by",
    "close to",
    "closer to",
    "nearer to",
    "near",
    "congruent to",
];

/// Kind of a statement after an announcement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stance {
    /// It states an answer.
    Stated,
    /// It denies one.
    Denied,
    /// It gives bounds of the answer.
    Bounded,
}

/// Words that deny the words after them, and that are answers if no words follow.
const WHOLE: [&str; 5] = ["neither", "impossible", "never", "incorrect", "unlikely"];

/// The kind of a statement, decided by its first words.
pub(crate) fn stance(statement: &str) -> Stance {
    let mut rest = statement.trim_start_matches(['*', '_', ' ', '"', '\'']);
    loop {
        let word = rest.split(' ').next().unwrap_or_default();
        let adverb = ADVERBS.iter().any(|a| a.eq_ignore_ascii_case(word));
        match rest.split_once(' ') {
            Some((_, after)) if adverb => rest = after.trim_start(),
            _ => break,
        }
    }
    if WHOLE.iter().any(|word| rest.trim_end_matches(['.', '*']).eq_ignore_ascii_case(word)) {
        return Stance::Stated;
    }
    let starts = |phrases: &[&str]| phrases.iter().any(|p| starts_with_phrase(rest, p));
    if starts(&BOUNDS) {
        Stance::Bounded
    } else if starts(&DENIALS) {
        Stance::Denied
    } else {
        Stance::Stated
    }
}

/// Beginnings of sentences that decline to answer.
const DECLINING: [&str; 14] = [
    "i cannot",
    "i can't",
    "i can not",
    "i could not",
    "i couldn't",
    "i don't",
    "i do not",
    "i am not",
    "i'm not",
    "i am unable",
    "i'm unable",
    "i have no",
    "i give up",
    "no idea",
];

/// Whether a text declines to answer: "I cannot tell". In contrast, "cannot be determined" is an answer.
pub(crate) fn declines(text: &str) -> bool {
    let text = text.trim_start_matches(['*', '_', ' ', '"', '(']);
    let plain = |phrase: &str| starts_with_phrase(text, phrase);
    let curly = |phrase: &str| starts_with_phrase(text, &phrase.replace('\'', "\u{2019}"));
    DECLINING.iter().any(|phrase| plain(phrase) || phrase.contains('\'') && curly(phrase))
}

/// The value stated in place of a denied one: `5` for "not 6 but 5" and for "not 6; it is 5".
pub(crate) fn corrected(statement: &str) -> Option<&str> {
    if ["anything", "nothing"].iter().any(|word| starts_with_phrase(statement, word)) {
        return None;
    }
    let turns = [
        ", but ",
        " but ",
        "; it is ",
        ", it is ",
        "; rather, ",
        ", rather ",
        "; it's ",
        ", it's ",
    ];
    let (at, turn) =
        turns.iter().filter_map(|turn| Some((statement.find(turn)?, turn))).min_by_key(|t| t.0)?;
    let mut rest = statement[at + turn.len()..].trim_start();
    for filler in ["rather ", "instead ", "it is ", "it's ", "actually ", "is "] {
        rest = rest.strip_prefix(filler).unwrap_or(rest);
    }
    (!rest.is_empty() && stance(rest) == Stance::Stated).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_declines_states_nothing() {
        for text in ["I cannot tell", "I don\u{2019}t know.", "**I'm not sure**", "no idea"] {
            assert!(declines(text), "{text}");
        }
        for text in ["I", "cannot be determined", "none", "I think 5"] {
            assert!(!declines(text), "{text}");
        }
    }

    #[test]
    fn statements_by_their_first_words() {
        for text in ["6", "**6**", "definitely 6", "nothing", "notably 6"] {
            assert_eq!(stance(text), Stance::Stated, "{text}");
        }
        for text in ["not 6", "definitely not 6", "unlikely to be 6", "anything but 6"] {
            assert_eq!(stance(text), Stance::Denied, "{text}");
        }
        for text in ["between 8 and 10", "at least 6", "most likely over 6"] {
            assert_eq!(stance(text), Stance::Bounded, "{text}");
        }
        assert_eq!(corrected("not 6 but 5"), Some("5"));
        assert_eq!(corrected("not 6; it is 5"), Some("5"));
        assert_eq!(corrected("not 6"), None);
    }
}
