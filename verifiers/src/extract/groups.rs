//! Finds the last answer in brackets that prose writes without formula delimiters: `(1, 2)`, `[0, 3)`,
//! `{1, 2, 3}`, unions and lists of them.
//!
//! Only the characters of such an answer are checked; it is not parsed. Brackets that contain words, or a
//! single item, are part of the sentence.

use super::Span;

/// Longest bracket, in bytes.
const MAX_GROUP: usize = 256;
/// Maximum number of brackets that form one answer.
const MAX_JOINED: usize = 16;

/// Words that may occur in a bracket besides numbers and signs.
const NAMES: [&str; 7] = ["infinity", "infty", "inf", "oo", "pi", "sqrt", "e"];

/// The last answer in brackets; `None` if a digit follows it.
pub(crate) fn last_group(text: &str) -> Option<Span> {
    let mut first = group_before(text, text.len())?;
    let end = first.end;
    if text[end..].contains(|c: char| c.is_ascii_digit()) {
        return None;
    }
    for _ in 1..MAX_JOINED {
        let Some(before) = group_before(text, first.start) else { break };
        let between = text[before.end..first.start].trim();
        if !matches!(between, "," | ";" | "and" | "or" | ", and" | "∪" | "U" | "\\cup") {
            break;
        }
        first = before;
    }
    Some(Span { start: first.start, end })
}

/// The last answer in brackets that ends at or before `limit`.
fn group_before(text: &str, limit: usize) -> Option<Span> {
    let end = text[..limit].rfind([')', ']', '}'])? + 1;
    let mut lowest = end.saturating_sub(MAX_GROUP);
    while !text.is_char_boundary(lowest) {
        lowest += 1;
    }
    let mut depth = 0_usize;
    for (at, c) in text[lowest..end].char_indices().rev() {
        match c {
            ')' | ']' | '}' => depth += 1,
            '(' | '[' | '{' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            let span = Span { start: lowest + at, end };
            let free = !text[..span.start].ends_with(|c: char| c.is_alphanumeric() || c == '\\');
            return (free && is_answer(&text[span.start + 1..end - 1])).then_some(span);
        }
    }
    None
}

/// Whether the content of a bracket is several items of numbers, names of constants and signs.
fn is_answer(inner: &str) -> bool {
    let signs = |c: char| ",;.+-*/^()√π∞−– \\".contains(c);
    let words = inner.split(|c: char| signs(c) || c.is_ascii_digit()).filter(|w| !w.is_empty());
    inner.contains([',', ';'])
        && inner.contains(|c: char| c.is_ascii_digit() || matches!(c, '∞' | 'π'))
        && words.into_iter().all(|w| NAMES.contains(&w))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Option<&str> {
        last_group(text).map(|s| &text[s.range()])
    }

    #[test]
    fn finds_points_intervals_and_sets() {
        assert_eq!(found("The point is (1, -2)."), Some("(1, -2)"));
        assert_eq!(found("The domain is (-∞, 2) ∪ [3, ∞)."), Some("(-∞, 2) ∪ [3, ∞)"));
        assert_eq!(found("They are {1, 2, 3}"), Some("{1, 2, 3}"));
        assert_eq!(found("so (1,2) and (3,4) work"), Some("(1,2) and (3,4)"));
    }

    #[test]
    fn leaves_the_sentence_alone() {
        assert_eq!(found("It is 5 (five)."), None);
        assert_eq!(found("apples (red, green) cost 4"), None);
        assert_eq!(found("f(1, 2) is positive"), None);
        assert_eq!(found("(1, 2) is at distance 3"), None);
        assert_eq!(found("nothing)"), None);
    }
}
