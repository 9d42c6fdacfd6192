//! Finds the words that announce an answer: "the final answer is", "answer:" and their like.
//!
//! It knows the announcements, not the answers. Phrases are those of the prompts of GSM8K, MATH and
//! the usual instruction-tuned models; the last announcement of a text counts.

use super::prose;

/// An announcement of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Anchor {
    /// First byte of the word "answer".
    pub start: usize,
    /// Behind the announcement.
    pub end: usize,
}

/// What may follow "answer" or "answers" and make it an announcement, longest first.
const CONTINUATIONS: [&str; 16] = [
    " is therefore",
    " should be",
    " would be",
    " will be",
    " must be",
    " has to be",
    " comes to",
    " is:",
    " is",
    " are",
    ":",
    "：",
    " =",
    " choice is",
    "\":",
    "':",
];

/// Longest clause between "answer" and its verb ("the answer to the question is"), in bytes.
const MAX_CLAUSE: usize = 48;

/// The last announcement in the text.
pub(crate) fn last_anchor(text: &str) -> Option<Anchor> {
    let bytes = text.as_bytes();
    let mut end = bytes.len();
    while let Some(start) = rfind_word(&bytes[..end]) {
        if let Some(anchor) = announcement(text, start) {
            return Some(anchor);
        }
        end = start;
    }
    None
}

/// The last "answer" in any letter case.
fn rfind_word(bytes: &[u8]) -> Option<usize> {
    let word = b"answer";
    let last = bytes.len().checked_sub(word.len())?;
    (0..=last).rev().find(|&at| {
        matches!(bytes[at], b'a' | b'A') && bytes[at..at + word.len()].eq_ignore_ascii_case(word)
    })
}

/// Reads the rest of an announcement behind the word at `start`.
fn announcement(text: &str, start: usize) -> Option<Anchor> {
    let mut at = start + "answer".len();
    let rest = &text[at..];
    if rest.starts_with(['s', 'S']) {
        at += 1;
    }
    let marks = text[at..].len() - text[at..].trim_start_matches('*').len();
    let plain = &text[at + marks..];
    for continuation in CONTINUATIONS {
        if starts_with_ignore_case(plain, continuation) && ends_word(plain, continuation) {
            let mut end = at + marks + continuation.len();
            if !continuation.ends_with(':') && text[end..].starts_with([':', '：']) {
                end += text[end..].chars().next().map_or(0, char::len_utf8);
            }
            return Some(Anchor { start, end });
        }
    }
    heading(text, start, at).or_else(|| clause(text, start, at))
}

/// "Final Answer" alone on its line announces what follows.
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

/// "answer to the question is": the verb follows within a short clause of the same sentence.
fn clause(text: &str, start: usize, at: usize) -> Option<Anchor> {
    let mut limit = (at + MAX_CLAUSE).min(text.len());
    while !text.is_char_boundary(limit) {
        limit -= 1;
    }
    let window = &text[at..limit];
    if !starts_with_ignore_case(window, " to ") && !starts_with_ignore_case(window, " for ") {
        return None;
    }
    let window = &window[..window.find(['.', '\n', '$']).unwrap_or(window.len())];
    let verb = window.find(" is ")?;
    Some(Anchor { start, end: at + verb + " is ".len() })
}

fn starts_with_ignore_case(text: &str, prefix: &str) -> bool {
    text.as_bytes()
        .get(..prefix.len())
        .is_some_and(|head| head.eq_ignore_ascii_case(prefix.as_bytes()))
}

/// "is" must not be the start of "isosceles".
fn ends_word(text: &str, continuation: &str) -> bool {
    !continuation.ends_with(|c: char| c.is_ascii_alphabetic())
        || !text.as_bytes().get(continuation.len()).is_some_and(u8::is_ascii_alphanumeric)
}

/// The statement behind an announcement: markup and fillers at its front and full stops at its end
/// are left out.
pub(crate) fn stated_tail(after: &str) -> &str {
    let mut rest = after;
    loop {
        let trimmed = rest.trim_start_matches(|c: char| {
            c.is_whitespace() || matches!(c, '*' | ':' | '：' | '"' | '\'' | '_' | '`')
        });
        let filler = FILLERS.iter().find(|f| starts_with_ignore_case(trimmed, f));
        rest = match filler {
            Some(filler) => &trimmed[filler.len()..],
            None => trimmed,
        };
        if filler.is_none() {
            break;
        }
    }
    let sentence = prose::main_clause(prose::first_sentence(rest));
    let marks = ['.', '*', '"', '\'', '`', '!', ','];
    let stated = sentence.trim().trim_end_matches(marks).trim_end();
    // The end of a JSON object.
    match stated.strip_suffix('}') {
        Some(inner) if !inner.contains('{') => inner.trim_end().trim_end_matches(marks),
        _ => stated,
    }
}

/// Words between an announcement and the answer that say nothing.
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
    }
}
