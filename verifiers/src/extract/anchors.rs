//! Finds the words that announce an answer: "the final answer is", "answer:" and similar phrases, in
//! English and in the other languages of models' answers.
//!
//! Only the announcement is found here, not the answer. The phrases are those of prompts for GSM8K, MATH
//! and the usual instruction-tuned models. The last announcement that is asserted by its sentence counts.

use super::stance::{self, Stance};
use super::tongues;
use super::{asides, prose};

/// An announcement of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Anchor {
    /// First byte of the word "answer".
    pub start: usize,
    /// After the last byte of the announcement.
    pub end: usize,
}

/// The announcements of a text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Announced<'t> {
    /// The last announcement that is asserted.
    pub stated: Option<Anchor>,
    /// End of the last sentence that mentions an answer without asserting one, if that sentence comes
    /// after `stated`; 0 otherwise.
    pub unsure_to: usize,
    /// The value that this sentence denies to be the answer.
    pub denied: Option<&'t str>,
}

/// Words after "answer" or "answers" that make it an announcement, longest first.
const CONTINUATIONS: [&str; 43] = [
    " can be written as",
    " can be expressed as",
    " may be written as",
    " can only be",
    " simplifies to",
    " works out to be",
    " works out to",
    " comes out as",
    " evaluates to",
    " equals",
    " was",
    " would only be",
    " would then be",
    " would therefore be",
    " must therefore be",
    " should therefore be",
    " will then be",
    "'s ",
    "\u{2019}s ",
    " →",
    " ➜",
    " ->",
    " ⇒",
    " is therefore",
    " should be",
    " would be",
    " will be",
    " must be",
    " has to be",
    " comes to",
    " comes out to",
    " turns out to be",
    " is:",
    " is",
    " are",
    ":",
    "：",
    " =",
    " choice is",
    " - ",
    " \u{2013} ",
    "\":",
    "':",
];

/// Number of leading entries of `CONTINUATIONS` that are about how an answer is written, or that leave a
/// single possibility; "can be" and "may be" are not denials in these entries.
const WRITTEN: usize = 4;

/// Verbs after "answer" that deny the following words or only suppose them.
const DENYING: [&str; 32] = [
    " isn't",
    " isn\u{2019}t",
    " cannot",
    " can't",
    " can\u{2019}t",
    " can not",
    " couldn't",
    " could not",
    " won't",
    " will not",
    " wouldn't",
    " would not",
    " shouldn't",
    " should not",
    " mustn't",
    " must not",
    " doesn't",
    " does not",
    " wasn't",
    " was not",
    " aren't",
    " could be",
    " may be",
    " might be",
    " can be",
    " can never",
    " might",
    " may",
    " could",
    " was never",
    " would have been",
    " would\u{2019}ve been",
];

/// Longest clause between "answer" and its verb ("the answer to the question is"), in bytes.
const MAX_CLAUSE: usize = 48;

/// Longest sentence that is read after an announcement, in bytes.
const MAX_SENTENCE: usize = 1024;
/// Longest statement that can be an answer, in bytes. A longer statement is cut to this length, at which the
/// grader still rejects it as too long.
const MAX_STATED: usize = 32 << 10;
/// Maximum number of words for "answer" that are examined, from the last to the first.
const MAX_WORDS: usize = 1024;
/// Maximum number of mentions of an answer that are examined, from the last to the first.
const MAX_MENTIONS: usize = 64;

/// The last announcement in the text that is asserted by its sentence.
pub(crate) fn last_anchor(text: &str) -> Option<Anchor> {
    announced(text).stated
}

/// Finds the announcements of a text.
pub(crate) fn announced(text: &str) -> Announced<'_> {
    let mut found = Announced::default();
    let mut end = text.len();
    let mut tried = 0;
    for _ in 0..MAX_WORDS {
        let Some((start, mention)) = last_mention(&text[..end], text) else { break };
        end = start;
        let Some(mention) = mention else { continue };
        tried += 1;
        if tried > MAX_MENTIONS {
            break;
        }
        let sentence = sentence_behind(text, mention.anchor.end);
        if mention.asserted && asserted(text, mention.anchor) {
            found.stated = Some(mention.anchor);
            break;
        }
        if found.unsure_to == 0 {
            let clause = first_clause(&text[sentence.range()]);
            found.unsure_to = sentence.start + clause.len();
            found.denied = Some(denied_value(clause));
        }
    }
    found
}

/// A mention of an answer.
struct Mention {
    anchor: Anchor,
    /// Whether the verb asserts the statement after it. Also true for a denial, which is part of the
    /// statement.
    asserted: bool,
}

/// The last word for "answer" in `before`, a prefix of `text`; with its announcement, if it is one.
fn last_mention(before: &str, text: &str) -> Option<(usize, Option<Mention>)> {
    let (start, word) = tongues::last_word(before)?;
    let mention = match word {
        tongues::Word::English => mention(text, start),
        tongues::Word::Other(language) => language
            .announcement(text, start)
            .map(|(end, asserted)| Mention { anchor: Anchor { start, end }, asserted }),
    };
    Some((start, mention))
}

/// The sentence after an announcement.
fn sentence_behind(text: &str, end: usize) -> super::Span {
    let after = &text[end..];
    let start = end + (after.len() - after.trim_start().len());
    let sentence = prose::first_sentence(super::head(&text[start..], MAX_SENTENCE));
    super::Span { start, end: start + sentence.len() }
}

/// Whether the sentence around an announcement asserts it.
fn asserted(text: &str, anchor: Anchor) -> bool {
    if !stance::asserts(&text[..anchor.start]) {
        return false;
    }
    let span = sentence_behind(text, anchor.end);
    let (sentence, after) = (&text[span.range()], &text[span.end..]);
    let would = text[anchor.start..anchor.end].contains(" would");
    if after.starts_with(['?', '？'])
        || would && stance::starts_with_phrase(after.trim_start(), "if")
        || stance::is_counterfactual(&text[..anchor.start], would)
    {
        return false;
    }
    let denied = stance::stance(sentence) == Stance::Denied;
    if denied {
        return stance::corrected(sentence).is_some();
    }
    let value = asides::main_clause(sentence);
    let behind = &text[span.start + value.len()..];
    !(stance::is_conditional(value)
        || stance::is_conditional_behind(&behind[..span.end - span.start - value.len()])
        || stance::declines(sentence)
        || stance::rejected_behind(behind)
        || behind.starts_with([',', '.', '\u{2014}']) && stance::withdrawn(behind)
        || stance::rejects_itself(value)
        || stance::withdrawn(after))
}

/// The sentence up to the point where it turns to something else: "; it must be C", ", so it is 5".
fn first_clause(sentence: &str) -> &str {
    if ["anything", "nothing"].iter().any(|word| stance::starts_with_phrase(sentence, word)) {
        return sentence;
    }
    let turns =
        ["; ", ", wait", ", so ", ", but ", ", it ", ", therefore", ", hence", ", thus", " but "];
    let end = turns.iter().filter_map(|turn| sentence.find(turn)).min();
    &sentence[..end.unwrap_or(sentence.len())]
}

/// The value that a sentence denies to be the answer: its last word.
fn denied_value(sentence: &str) -> &str {
    let marks = ['.', ' ', '*', '$', ',', '!'];
    let value = asides::main_clause(sentence).trim_end_matches(marks);
    value.rsplit(' ').next().unwrap_or(value).trim_matches(marks)
}

/// Parses the rest of an announcement, after the word at `start`.
fn mention(text: &str, start: usize) -> Option<Mention> {
    let mut at = start + "answer".len();
    if text[at..].starts_with(['s', 'S']) {
        at += 1;
    }
    let marks = text[at..].len() - text[at..].trim_start_matches(['*', '_']).len();
    let plain = &text[at + marks..];
    let says = |phrase: &&&str| starts_with_ignore_case(plain, phrase) && ends_word(plain, phrase);
    let anchored = |end| Anchor { start, end };
    let written = CONTINUATIONS[..WRITTEN].iter().any(|c| says(&c));
    if let Some(verb) = DENYING.iter().find(says).filter(|_| !written) {
        // A denial is part of the statement, which may continue with the actual answer.
        let denial = stance::stance(plain) == Stance::Denied;
        let end = at + marks + if denial { 0 } else { verb.len() };
        return Some(Mention { anchor: anchored(end), asserted: denial });
    }
    if let Some(continuation) = CONTINUATIONS.iter().find(says) {
        let mut end = at + marks + continuation.len();
        if !continuation.ends_with(':') && text[end..].starts_with([':', '：']) {
            end += text[end..].chars().next().map_or(0, char::len_utf8);
        }
        return Some(Mention { anchor: anchored(end), asserted: true });
    }
    heading(text, start, at)
        .map(|anchor| Mention { anchor, asserted: true })
        .or_else(|| clause(text, start, at))
}

/// "Final Answer" alone on its line announces the next line.
fn heading(text: &str, start: usize, at: usize) -> Option<Anchor> {
    let rest = &text[at..];
    let line = rest.len() - rest.trim_start_matches(['*', ' ', ':', '_', '\r']).len();
    if !rest[line..].starts_with('\n') {
        return None;
    }
    let before = text[..start].rsplit('\n').next()?.trim_matches(['#', '*', ' ', '_']);
    let titled = before.is_empty()
        || ["final", "the", "the final", "my", "my final"]
            .iter()
            .any(|title| before.eq_ignore_ascii_case(title));
    titled.then_some(Anchor { start, end: at + line })
}

/// Parses "answer to the question is", where the verb follows a short clause in the same sentence.
fn clause(text: &str, start: usize, at: usize) -> Option<Mention> {
    let mut limit = (at + MAX_CLAUSE).min(text.len());
    while !text.is_char_boundary(limit) {
        limit -= 1;
    }
    let window = &text[at..limit];
    if !starts_with_ignore_case(window, " to ") && !starts_with_ignore_case(window, " for ") {
        return None;
    }
    let window = &window[..window.find(['.', '\n', '$']).unwrap_or(window.len())];
    let end = |verb: &&str, at_verb: usize| at + at_verb + verb.len();
    let denied = DENYING.iter().find_map(|verb| Some((verb, window.find(verb)?)));
    if let Some((verb, found)) = denied {
        return Some(Mention { anchor: Anchor { start, end: end(verb, found) }, asserted: false });
    }
    let (verb, found) =
        [" is ", " was "].iter().filter_map(|v| Some((v, window.find(v)?))).min_by_key(|v| v.1)?;
    let anchor = Anchor { start, end: end(verb, found) };
    Some(Mention { anchor, asserted: stance::asserts(&window[..found]) })
}

fn starts_with_ignore_case(text: &str, prefix: &str) -> bool {
    text.as_bytes()
        .get(..prefix.len())
        .is_some_and(|head| head.eq_ignore_ascii_case(prefix.as_bytes()))
}

/// Whether the continuation ends with a word: "is" must not be the beginning of "isosceles".
fn ends_word(text: &str, continuation: &str) -> bool {
    !continuation.ends_with(|c: char| c.is_ascii_alphabetic())
        || !text.as_bytes().get(continuation.len()).is_some_and(u8::is_ascii_alphanumeric)
}

/// The statement after an announcement, without markup and fillers at its beginning and full stops at its
/// end.
pub(crate) fn stated_tail(after: &str) -> &str {
    let mut rest = after;
    loop {
        let trimmed = rest.trim_start_matches(|c: char| {
            c.is_whitespace() || matches!(c, '*' | ':' | '：' | '"' | '\'' | '_' | '`')
        });
        // A dash at the beginning of a line is a list marker and not a minus sign.
        let opened = rest[..rest.len() - trimmed.len()].contains('\n');
        let trimmed = trimmed.strip_prefix("- ").filter(|_| opened).unwrap_or(trimmed);
        let filler = FILLERS.iter().find(|f| starts_with_ignore_case(trimmed, f)).map(|f| f.len());
        let Some(length) = filler.or_else(|| struck(trimmed)).or_else(|| annotation(trimmed))
        else {
            rest = trimmed;
            break;
        };
        rest = &trimmed[length..];
    }
    let mut sentence = prose::first_sentence(super::head(rest, MAX_STATED));
    if stance::stance(sentence) == Stance::Denied {
        sentence = stance::corrected(sentence).unwrap_or(sentence);
    }
    // Before a full stop, "!" is a factorial.
    let factorial = sentence.ends_with('!') && rest[sentence.len()..].starts_with('.');
    let sentence = tongues::without_copula(asides::main_clause(sentence));
    let marks = ['.', '*', '"', '\'', '`', if factorial { '.' } else { '!' }, ',', '_'];
    let stated = sentence.trim().trim_end_matches(is_pictogram);
    let stated = stated.trim_end().trim_end_matches(marks).trim_end();
    // A closing brace without an opening one is the end of a JSON object.
    match stated.strip_suffix('}') {
        Some(inner) if !inner.contains('{') => inner.trim_end().trim_end_matches(marks),
        _ => stated,
    }
}

/// Length of a calculator annotation at the beginning: `<<3+4=7>>` in "<<3+4=7>>7".
fn annotation(text: &str) -> Option<usize> {
    let inner = super::head(text.strip_prefix("<<")?, MAX_SENTENCE);
    Some(inner.find(">>")? + 2 * ">>".len())
}

/// Emoji and check marks that decorate an answer.
fn is_pictogram(c: char) -> bool {
    matches!(c, '\u{1f000}'..='\u{1faff}' | '\u{2600}'..='\u{27bf}' | '\u{fe0f}' | ' ')
}

/// Length of a part that `~~` strikes through at the beginning: `~~12~~` in "~~12~~ 13".
fn struck(text: &str) -> Option<usize> {
    let inner = super::head(text.strip_prefix("~~")?, MAX_SENTENCE);
    let end = inner.find("~~").filter(|end| !inner[..*end].contains('\n'))?;
    Some(end + 2 * "~~".len())
}

/// Words without content between an announcement and the answer.
const FILLERS: [&str; 12] = [
    "simply ",
    "approximately ",
    "about ",
    "definitely ",
    "clearly ",
    "therefore ",
    "thus ",
    "indeed ",
    "exactly ",
    "roughly ",
    "just ",
    "the final answer is ",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn stated(text: &str) -> Option<&str> {
        last_anchor(text).map(|a| stated_tail(&text[a.end..]))
    }

    #[test]
    fn finds_announcements() {
        assert_eq!(stated("The answer is 5."), Some("5"));
        assert_eq!(stated("**Answer:** 12 apples"), Some("12 apples"));
        assert_eq!(stated("Answer: 3\nthe final answer is $\\frac12$. I hope"), Some("$\\frac12$"));
        assert_eq!(stated("The answer to the question is 7."), Some("7"));
        assert_eq!(stated("the answer is definitely C."), Some("C"));
        assert_eq!(stated("ANSWERS ARE: 1 and 2"), Some("1 and 2"));
    }

    #[test]
    fn a_heading_announces() {
        assert_eq!(stated("### Final Answer\n\n**33**"), Some("33"));
        assert_eq!(stated("this is no answer\n33"), None);
    }

    #[test]
    fn a_question_is_no_announcement() {
        assert_eq!(stated("Please answer the question"), None);
        assert_eq!(stated("the answer isolates"), None);
        assert_eq!(stated("So the answer is 6?"), None);
    }

    #[test]
    fn what_a_sentence_denies_is_not_announced() {
        for text in [
            "The answer isn't 6.",
            "The answer to this is not 6.",
            "The answer is not equal to 6.",
            "The wrong answer is 6.",
            "The answer is 6, which is wrong.",
            "The answer is 6. Wait, that is wrong.",
        ] {
            let found = announced(text);
            assert_eq!((found.stated, found.unsure_to > 0), (None, true), "{text}");
        }
        assert_eq!(stated("The answer is 5. The wrong answer is 6."), Some("5"));
        assert_eq!(stated("The answer is not 6 but 5."), Some("5"));
        assert_eq!(stated("The answer isn't 6, it's 5."), Some("5"));
        assert_eq!(stated("The answer to the previous question was 6."), None);
        assert_eq!(announced("The answer is 6. No, the answer is not 6.").denied, Some("6"));
    }
}
