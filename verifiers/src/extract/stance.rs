//! Whether a sentence asserts the answer that it names: "the wrong answer is 6", "suppose the answer
//! is 6", "the answer isn't 6" and "is the answer 6?" do not.
//!
//! It reads the words of one clause before and after a place and knows neither answers nor options.
//! What is not sure to be asserted counts as not asserted, because a wrong accept is trained into a
//! policy.

use super::tongues::unspaced;

/// Bytes before a place in which its clause is looked for.
const MAX_CLAUSE: usize = 160;
/// Words of a clause that can govern its end.
const MAX_WORDS: usize = 12;

/// Words by which a clause denies, doubts, supposes or examines what follows.
const DOUBTS: [&str; 75] = [
    "not",
    "never",
    "no",
    "nobody",
    "none",
    "neither",
    "nor",
    "cannot",
    "without",
    "hardly",
    "non",
    "wrong",
    "incorrect",
    "false",
    "invalid",
    "bad",
    "erroneous",
    "mistaken",
    "faulty",
    "tempting",
    "trap",
    "naive",
    "misleading",
    "rejected",
    "inadmissible",
    "untrue",
    "flawed",
    "impossible",
    "unlikely",
    "worst",
    "fake",
    "bogus",
    "absurd",
    "eliminated",
    "excluded",
    "initial",
    "previous",
    "earlier",
    "old",
    "preliminary",
    "tentative",
    "provisional",
    "candidate",
    "potential",
    "plausible",
    "doubt",
    "doubtful",
    "deny",
    "unsure",
    "unclear",
    "uncertain",
    "unknown",
    "wonder",
    "whether",
    "if",
    "unless",
    "suppose",
    "supposing",
    "assume",
    "assuming",
    "imagine",
    "pretend",
    "hypothetically",
    "check",
    "verify",
    "test",
    "examine",
    "consider",
    "ensure",
    "perhaps",
    "maybe",
    "possibly",
    "claims",
    "claimed",
    "distractor",
];

/// The same in other languages, as words or, of scripts without blanks, as parts of the clause.
const FOREIGN_DOUBTS: [&str; 40] = [
    "nicht",
    "pas",
    "não",
    "nao",
    "не",
    "falsche",
    "falsch",
    "incorrecta",
    "incorrecte",
    "falsa",
    "fausse",
    "mauvaise",
    "errada",
    "sbagliata",
    "неправильный",
    "неверный",
    "supongamos",
    "suponha",
    "supposons",
    "angenommen",
    "supponiamo",
    "предположим",
    "если",
    "si",
    "wenn",
    "falls",
    "ob",
    "错误",
    "不正确",
    "不对",
    "假设",
    "假如",
    "如果",
    "是否",
    "可能",
    "不是",
    "若",
    "間違",
    "もし",
    "틀린",
];

/// Words behind which a clause starts anew.
const RESTARTS: [&str; 9] =
    ["so", "but", "therefore", "hence", "thus", "then", "rather", "and", "because"];

/// Verbs that report an opinion, and who or what makes it another's.
const OPINIONS: [&str; 12] = [
    "think", "thinks", "thought", "say", "says", "said", "believe", "believes", "guess", "claim",
    "argue", "conclude",
];
const OTHERS: [&str; 18] = [
    "might", "may", "could", "some", "people", "students", "many", "others", "someone", "one",
    "you", "he", "she", "they", "who", "let's", "us", "let",
];

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

/// Adverbs that may stand before a denial.
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

/// How a statement that is none starts.
const DENIALS: [&str; 28] = [
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
];

/// How a statement starts that bounds its value and does not tell it.
const BOUNDS: [&str; 37] = [
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
    "near",
    "congruent to",
];

/// Punctuation at which a clause starts anew.
fn is_boundary(c: char) -> bool {
    matches!(c, '.' | '!' | '?' | '\n' | ';' | ':' | ',' | '\u{2014}')
        || matches!(c, '。' | '！' | '？' | '；' | '：' | '，')
}

/// The words of the clause that ends where `before` ends, the last one first, in lower case.
pub(crate) fn clause_words(before: &str) -> Vec<String> {
    let tail = super::tail(before, MAX_CLAUSE);
    let clause = tail.rsplit(is_boundary).next().unwrap_or(tail);
    words(clause).rev().take(MAX_WORDS).collect()
}

/// Whether a comma and before it one of `wanted` alone open the clause that ends where `before` ends:
/// "Next, option".
pub(crate) fn opens_with(before: &str, wanted: &[&str]) -> bool {
    let tail = super::tail(before, MAX_CLAUSE);
    let sentence = tail.rsplit(['.', '!', '?', '\n']).next().unwrap_or(tail);
    let Some((opener, _)) = sentence.rsplit_once(',') else { return false };
    wanted.contains(&opener.trim().to_lowercase().as_str())
}

/// Whether one of `wanted` stands in the clause that ends where `before` ends, behind its last restart.
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

/// Whether the clause that ends where `before` ends lets what follows be asserted: no denial, doubt,
/// supposition or examination governs it.
pub(crate) fn asserts(before: &str) -> bool {
    let words = clause_words(before);
    let foreign = |word: &String| {
        FOREIGN_DOUBTS.iter().any(|doubt| match doubt.starts_with(unspaced) {
            true => word.contains(doubt),
            false => word == doubt,
        })
    };
    if words.iter().any(foreign) {
        return false;
    }
    for (at, word) in words.iter().enumerate() {
        let earlier = words.get(at + 1).map(String::as_str);
        if RESTARTS.contains(&word.as_str()) {
            return true;
        }
        let possible = word == "possible" && !matches!(earlier, Some("only" | "best" | "closest"));
        let reported = OPINIONS.contains(&word.as_str())
            && earlier.is_some_and(|subject| OTHERS.contains(&subject));
        let made_sure = word == "sure" && matches!(earlier, Some("make" | "be" | "quite" | "not"));
        if word == "doubt" && matches!(earlier, Some("no" | "without")) {
            return true;
        }
        if possible || reported || made_sure || denies(word) {
            return false;
        }
    }
    true
}

/// Whether a word denies or doubts what follows it in its clause.
fn denies(word: &str) -> bool {
    DOUBTS.contains(&word) || word.ends_with("n't")
}

/// What a statement behind an announcement is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stance {
    /// It states an answer.
    Stated,
    /// It denies one.
    Denied,
    /// It gives bounds of the answer.
    Bounded,
}

/// The stance of a statement by its first words.
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
    let starts = |phrases: &[&str]| phrases.iter().any(|p| starts_with_phrase(rest, p));
    if starts(&BOUNDS) {
        Stance::Bounded
    } else if starts(&DENIALS) {
        Stance::Denied
    } else {
        Stance::Stated
    }
}

/// Whether a text starts with the whole phrase, whatever its letter case.
pub(crate) fn starts_with_phrase(text: &str, phrase: &str) -> bool {
    text.get(..phrase.len()).is_some_and(|head| head.eq_ignore_ascii_case(phrase))
        && !text[phrase.len()..].starts_with(|c: char| c.is_alphanumeric())
}

/// What is stated instead of something denied: `5` of "not 6 but 5" and of "not 6; it is 5".
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

/// Whether the words behind a value call it wrong: "is incorrect", ", which is wrong", ", but that
/// cannot be", "(wrong)".
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

/// Whether words that start with a verb call their subject wrong.
fn calls_wrong(words: &[String]) -> bool {
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
        "does" | "did" | "do" => matches!(word(1), "not"),
        "makes" => matches!(word(1), "no"),
        "s" | "it's" | "that's" | "this's" => rest(1).any(denies_quality),
        _ if linked => {
            // "is not only right" and "is not 5" are no rejection; "is not right" is one.
            rest(1).any(|w| WRONG.contains(&w) || matches!(w, "out"))
                || rest(1).any(|w| w == "not" || w == "never")
                    && rest(2).any(|w| {
                        matches!(
                            w,
                            "right"
                                | "correct"
                                | "true"
                                | "possible"
                                | "valid"
                                | "it"
                                | "the"
                                | "be"
                                | "work"
                                | "allowed"
                                | "acceptable"
                                | "so"
                        )
                    })
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

fn denies_quality(word: &str) -> bool {
    WRONG.contains(&word) || word == "not"
}

/// Whether the words right before a box deny it: "not", "cannot be", "the wrong answer is".
pub(crate) fn denies_box(before: &str) -> bool {
    let before = before.trim_end_matches(['$', '(', '[', '\\', ' ', '*', '\n', '=']);
    let words = clause_words(before);
    let filler = |w: &&String| {
        matches!(
            w.as_str(),
            "be" | "is"
                | "are"
                | "equal"
                | "equals"
                | "to"
                | "the"
                | "a"
                | "an"
                | "necessarily"
                | "answer"
                | "value"
                | "actually"
                | "really"
                | "would"
                | "was"
        )
    };
    let Some(word) = words.iter().find(|w| !filler(w)) else { return false };
    word.ends_with("n't")
        || matches!(
            word.as_str(),
            "not" | "cannot" | "never" | "wrong" | "incorrect" | "unlikely" | "suppose" | "whether"
        )
}

/// First words of clauses that suppose, propose or examine.
const SUPPOSING: [&str; 18] = [
    "suppose",
    "supposing",
    "assume",
    "assuming",
    "consider",
    "check",
    "verify",
    "test",
    "try",
    "imagine",
    "let",
    "if",
    "whether",
    "guess",
    "say",
    "unless",
    "perhaps",
    "maybe",
];

/// Whether the clause in front of a value only supposes or examines it: "Let x =", "if it is".
pub(crate) fn supposes(before: &str) -> bool {
    let words = clause_words(before);
    let restart = words.iter().position(|w| RESTARTS.contains(&w.as_str())).unwrap_or(words.len());
    let clause = &words[..restart];
    clause.last().is_some_and(|w| SUPPOSING.contains(&w.as_str()))
        || clause.iter().any(|w| w == "whether")
}

/// Interjections before a sentence that withdraws the one before it.
const INTERJECTIONS: [&str; 16] = [
    "wait",
    "no",
    "hmm",
    "hm",
    "oh",
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
];

/// Whether the sentence after a statement withdraws it: "Wait, that's wrong.", "No, this cannot be."
pub(crate) fn withdrawn(after: &str) -> bool {
    let mut rest = after.trim_start_matches(|c: char| !c.is_alphanumeric());
    while let Some(word) = INTERJECTIONS.iter().find(|w| starts_with_phrase(rest, w)) {
        rest = rest[word.len()..].trim_start_matches(|c: char| !c.is_alphanumeric());
    }
    let end = rest.find(['.', '!', '?', '\n', ';']).unwrap_or(rest.len());
    let all: Vec<String> = words(&rest[..end]).take(MAX_WORDS).collect();
    let subject = all.first().map(String::as_str);
    match subject {
        Some("that" | "this" | "it") => calls_wrong(&all[1..]),
        Some("that's" | "it's") => all.iter().skip(1).take(3).any(|w| denies_quality(w)),
        Some("scratch") => all.get(1).is_some_and(|w| w == "that"),
        Some("i") => all.iter().take(6).any(|w| {
            matches!(w.as_str(), "mistake" | "error" | "wrong" | "miscalculated" | "miscounted")
        }),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clauses_that_assert() {
        for lead in [
            "The ",
            "So the final ",
            "I think the ",
            "It can't be 12, so the ",
            "We checked 5 and the ",
            "It is not 5 but the ",
            "The only possible ",
            "If we add them, the ",
        ] {
            assert!(asserts(lead), "{lead}");
        }
        for lead in [
            "The wrong ",
            "A common wrong ",
            "Suppose the ",
            "I am not sure whether the ",
            "Check that the ",
            "If the ",
            "I don't think the ",
            "You might think the ",
            "It is impossible that the ",
            "A possible ",
            "Let's say the ",
        ] {
            assert!(!asserts(lead), "{lead}");
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
        ] {
            assert!(!rejected_behind(after), "{after}");
        }
    }

    #[test]
    fn sentences_that_withdraw() {
        for after in
            [". Wait, that's wrong. Let me see", ". No, this is incorrect", "\nHmm, it cannot be."]
        {
            assert!(withdrawn(after), "{after}");
        }
        for after in [
            ". I hope it is correct",
            ". Wait for it",
            "\n\nThat is all",
            ". If you got 12, that is wrong.",
        ] {
            assert!(!withdrawn(after), "{after}");
        }
    }
}
