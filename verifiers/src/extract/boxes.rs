//! Finds the last `\boxed{...}` of a text, and the boxes before it that belong to the same answer.
//!
//! One forward pass over the bytes with a depth counter, so nesting costs neither stack nor time. The
//! content of a box is not interpreted. Writers of solutions join several boxes of one answer by commas
//! or "and", as documented by Math-Verify.

use super::Span;

/// Maximum number of open boxes that are tracked; deeper ones are ignored.
const MAX_OPEN: usize = 256;
/// Maximum number of boxes that form one answer.
const MAX_JOINED: usize = 64;
/// Longest text between two boxes of one answer, in bytes.
const MAX_JOINER: usize = 64;

/// One balanced box: the whole command and its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Box {
    /// From the backslash to the closing brace, inclusive.
    pub whole: Span,
    /// Between the braces.
    pub content: Span,
}

/// The boxes of the last stated answer, in reading order; empty if there is none.
pub(crate) fn last_boxes(text: &str) -> Vec<Box> {
    let boxes = top_level(text);
    let Some(last) = boxes.last() else {
        return braceless(text).into_iter().collect();
    };
    let mut first = boxes.len() - 1;
    while first > 0
        && boxes.len() - first < MAX_JOINED
        && joins(&text[boxes[first - 1].whole.end..boxes[first].whole.start])
    {
        first -= 1;
    }
    let same = |b: &Box| text[b.content.range()] == text[last.content.range()];
    if boxes[first..].iter().all(same) {
        return vec![*last];
    }
    boxes[first..].to_vec()
}

/// Balanced boxes that are not inside another box, in reading order; the last [`MAX_JOINED`] of them.
fn top_level(text: &str) -> Vec<Box> {
    let bytes = text.as_bytes();
    let mut depth = 0_usize;
    let mut open: Vec<(usize, usize, usize)> = Vec::new();
    let mut found: Vec<Box> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => {
                if let Some(brace) = opener(bytes, at) {
                    if open.len() < MAX_OPEN {
                        open.push((at, brace + 1, depth));
                    }
                    depth += 1;
                    at = brace + 1;
                } else if opener(bytes, at + 1).is_some() {
                    // A backslash that was escaped once too often.
                    at += 1;
                } else {
                    at += 2;
                }
                continue;
            }
            b'{' => depth += 1,
            b'}' if depth > 0 => {
                depth -= 1;
                if open.last().is_some_and(|o| o.2 == depth) {
                    let (start, content, _) = open.pop().unwrap_or_default();
                    while found.last().is_some_and(|b| b.whole.start > start) {
                        found.pop();
                    }
                    if found.len() == MAX_JOINED {
                        found.remove(0);
                    }
                    found.push(Box {
                        whole: Span { start, end: at + 1 },
                        content: Span { start: content, end: at },
                    });
                }
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// Position of the opening brace, if a box command begins at `at`.
fn opener(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes.get(at + 1..)?;
    let name = [&b"boxed"[..], b"fbox"].into_iter().find(|name| rest.starts_with(name))?;
    let mut brace = at + 1 + name.len();
    while bytes.get(brace).is_some_and(|b| *b == b' ') {
        brace += 1;
    }
    (bytes.get(brace) == Some(&b'{')).then_some(brace)
}

/// Whether the text ends inside a box that begins after the last of `found`.
pub(crate) fn is_cut_off(text: &str, found: &[Box]) -> bool {
    let end = found.last().map_or(0, |b| b.whole.end);
    let rest = &text[end..];
    let start = ["\\boxed", "\\fbox"].iter().filter_map(|name| rest.rfind(name)).max();
    let named = start.is_some_and(|at| {
        rest[at..]
            .trim_start_matches(|c: char| c == '\\' || c.is_ascii_alphabetic())
            .trim_start()
            .starts_with('{')
    });
    named || ["\\boxed", "\\boxe", "\\box"].iter().any(|open| text.ends_with(open))
}

/// Finds `\boxed 5`, written without braces; the content ends at the end of the formula or line.
fn braceless(text: &str) -> Option<Box> {
    let start = text.rfind("\\boxed ")?;
    let content = start + "\\boxed ".len();
    let rest = &text[content..];
    let end = content + rest.find(['$', '\n', '\\', '}', ' ']).unwrap_or(rest.len());
    if rest.starts_with('{') || end == content {
        return None;
    }
    Some(Box { whole: Span { start, end }, content: Span { start: content, end } })
}

/// Whether the text between two boxes joins them into one answer: it may contain only formula delimiters,
/// a name to assign to, and at least one comma, semicolon, "and" or "or".
fn joins(between: &str) -> bool {
    if between.len() > MAX_JOINER {
        return false;
    }
    let mut seen = false;
    for word in between.split_whitespace() {
        let bare = strip_markup(word);
        match bare.trim_matches([',', ';']) {
            "and" | "or" => seen = true,
            "" | "=" | "," | ";" => {}
            name if is_name(name) => {}
            _ => return false,
        }
        seen |= bare.contains([',', ';']);
    }
    seen
}

/// Removes formula delimiters and spacing commands from a word.
fn strip_markup(word: &str) -> String {
    let mut bare = word.to_owned();
    for markup in ["\\quad", "\\qquad", "\\text{", "\\(", "\\)", "\\[", "\\]", "\\;", "\\,", "$"] {
        bare = bare.replace(markup, "");
    }
    bare.replace(['}', '{', '\\', '~'], "")
}

/// Whether a word is a variable such as `y_2`, alone or with an equals sign.
fn is_name(word: &str) -> bool {
    let word = word.trim_end_matches('=');
    word.len() <= 4
        && word.starts_with(|c: char| c.is_ascii_alphabetic())
        && (word.len() == 1 || word[1..].starts_with('_') || word[1..].starts_with('\''))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(text: &str) -> Vec<&str> {
        last_boxes(text).iter().map(|b| &text[b.content.range()]).collect()
    }

    #[test]
    fn takes_the_last_balanced_box() {
        assert_eq!(contents("\\boxed{1} so \\boxed{\\frac{1}{2}} and \\boxed{3"), ["\\frac{1}{2}"]);
        assert_eq!(contents("\\fbox{7}"), ["7"]);
        assert_eq!(contents("\\boxed{a \\boxed{b}}"), ["a \\boxed{b}"]);
        assert_eq!(contents("it is $\\boxed 9$."), ["9"]);
    }

    #[test]
    fn reads_doubled_backslashes() {
        assert_eq!(
            contents("are $\\\\boxed{\\\\left( 3 \\\\right)}.$"),
            ["\\\\left( 3 \\\\right)"]
        );
    }

    #[test]
    fn joins_boxes_only_across_separators() {
        assert_eq!(contents("\\(\\boxed{1}\\) and \\(\\boxed{-2}\\)."), ["1", "-2"]);
        assert_eq!(contents("$\\boxed{a} \\quad \\text{and} \\quad \\boxed{b}$"), ["a", "b"]);
        assert_eq!(contents("\\boxed{1}. Hence, finally, \\boxed{2}"), ["2"]);
        assert_eq!(contents("\\boxed{5}, \\boxed{5}"), ["5"]);
    }

    #[test]
    fn survives_deep_nesting() {
        let text = "\\boxed{".repeat(100_000);
        assert_eq!(contents(&text), Vec::<&str>::new());
        assert!(is_cut_off(&text, &[]));
        let text = format!("{}{}", "{".repeat(100_000), "\\boxed{3}");
        assert_eq!(contents(&text), ["3"]);
    }
}
