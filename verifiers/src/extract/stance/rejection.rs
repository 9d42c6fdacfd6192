//! Words after an answer that call it wrong: "6 is incorrect", "6, which cannot be".

use super::{ADVERBS, MAX_WORDS, words};

/// Words that call something wrong.
const WRONG: [&str; 14] = [
    "wrong",
    "incorrect",
    "false",
    "impossible",
    "invalid",
    "mistaken",
    "mistake",
    "erroneous",
    "absurd",
    "unlikely",
    "nonsense",
    "untrue",
    "excluded",
    "inconsistent",
];

/// Whether the words after a value call it wrong: "is incorrect", ", which is wrong", ", but that cannot
/// be", "(wrong)".
pub(crate) fn rejected_behind(after: &str) -> bool {
    let end = after.find(['.', '!', '\n', ';', '。']).unwrap_or(after.len());
    let sentence = &after[..end];
    if after[end..].is_empty() && sentence.ends_with('?') {
        return true;
    }
    let mut all: Vec<String> = words(sentence).take(MAX_WORDS).collect();
    let bracketed = sentence.trim_start().starts_with('(');
    while all.first().is_some_and(|w| {
        matches!(
            w.as_str(),
            "which" | "that" | "this" | "it" | "but" | "and" | "however" | "though"
        ) || ADVERBS.contains(&w.as_str())
    }) {
        all.remove(0);
    }
    let Some(first) = all.first().map(String::as_str) else { return false };
    bracketed && WRONG.contains(&first) || calls_wrong(&all)
}

/// Whether a statement calls its own value wrong: "6 is wrong", "6 cannot be right".
pub(crate) fn rejects_itself(statement: &str) -> bool {
    let clause = [",", ";", " because ", " since ", " as ", " and ", " so "]
        .iter()
        .filter_map(|end| statement.find(end))
        .min()
        .map_or(statement, |at| &statement[..at]);
    let verbs = [
        " is ",
        " isn't ",
        " cannot ",
        " can't ",
        " does ",
        " doesn't ",
        " was ",
        " would ",
        " must ",
        " fails",
    ];
    verbs.iter().filter_map(|verb| clause.find(verb)).any(|at| {
        let all: Vec<String> = words(&clause[at..]).take(MAX_WORDS).collect();
        calls_wrong(&all)
    })
}

/// Whether words that begin with a verb call their subject wrong.
pub(super) fn calls_wrong(words: &[String]) -> bool {
    let word = |at: usize| words.get(at).map_or("", String::as_str);
    let rest = |from: usize| words.iter().skip(from).take(4).map(String::as_str);
    let linked = matches!(
        word(0),
        "is" | "was"
            | "are"
            | "were"
            | "seems"
            | "looks"
            | "must"
            | "would"
            | "will"
            | "has"
            | "appears"
            | "turns"
            | "proves"
            | "should"
            | "can"
            | "could"
            | "may"
            | "might"
            | "be"
    );
    match word(0) {
        "isn't" | "cannot" | "can't" | "couldn't" | "wouldn't" | "doesn't" | "won't" | "wasn't"
        | "aren't" | "shouldn't" | "fails" | "failed" | "violates" | "contradicts" => true,
        "does" | "did" | "do" => word(1) == "not" && FAILINGS.contains(&word(2)),
        "makes" => matches!(word(1), "no"),
        "s" | "it's" | "that's" | "this's" => rest(1).any(denies_quality),
        _ if linked => {
            // "is not only right" and "is not 5" are not rejections; "is not right" is one.
            rest(1).any(|w| WRONG.contains(&w) || matches!(w, "out"))
                || denied_quality(words)
                || rest(1).any(|w| {
                    matches!(
                        w,
                        "eliminated"
                            | "excluded"
                            | "discarded"
                            | "rejected"
                            | "ruled"
                            | "dismissed"
                            | "disproved"
                            | "refuted"
                            | "ignored"
                    )
                })
        }
        _ => false,
    }
}

/// Verbs for what a wrong value fails to do. "160 do not have pets" does not call a value wrong.
const FAILINGS: [&str; 18] = [
    "work", "satisfy", "fit", "hold", "make", "match", "count", "apply", "solve", "meet", "give",
    "equal", "lie", "belong", "check", "qualify", "seem", "",
];

/// Qualities whose denial calls a value wrong.
const QUALITIES: [&str; 21] = [
    "right",
    "correct",
    "true",
    "possible",
    "valid",
    "it",
    "be",
    "work",
    "allowed",
    "acceptable",
    "so",
    "good",
    "choice",
    "option",
    "answer",
    "solution",
    "plausible",
    "suitable",
    "appropriate",
    "viable",
    "the",
];

/// Whether a quality is denied: "is not right", "is not a good choice". "Is not only right" and "is not
/// divisible by 3" do not deny one.
fn denied_quality(words: &[String]) -> bool {
    let not = words.iter().take(5).position(|w| w == "not" || w == "never");
    let Some(at) = not.filter(|at| *at > 0) else { return false };
    let word = |ahead: usize| words.get(at + ahead).map_or("", String::as_str);
    let filler =
        |w: &str| matches!(w, "a" | "an" | "our" | "my" | "quite" | "actually" | "really" | "good");
    QUALITIES.contains(&word(1))
        || filler(word(1))
            && (QUALITIES.contains(&word(2)) || filler(word(2)) && QUALITIES.contains(&word(3)))
}

pub(super) fn denies_quality(word: &str) -> bool {
    WRONG.contains(&word) || word == "not"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_behind_a_value() {
        for after in [
            ", which is wrong.",
            " is incorrect.",
            ", but that cannot be right",
            " (wrong)",
            " does not work.",
            " can be ruled out.",
            " fails.",
            ", but this is impossible",
        ] {
            assert!(rejected_behind(after), "{after}");
        }
        for after in [
            ", not 5.",
            " because 5 is wrong.",
            ", which is even.",
            " is correct.",
            " (five)",
            ", and B is wrong.",
            " is not divisible by 16, it is the smallest",
        ] {
            assert!(!rejected_behind(after), "{after}");
        }
    }
}
