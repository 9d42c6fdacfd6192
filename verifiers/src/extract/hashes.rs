//! Lines with `####`: GSM8K writes its answer after these signs; chat models also write headings with
//! them.
//!
//! Extraction from a finished text accepts any line that may be an answer. A search that wants to stop at
//! an answer accepts only a line that is not a heading.

use super::{stance, unlabelled};

/// Maximum number of `####` lines that are tried, from the last to the first.
const MAX_HASHES: usize = 16;

/// First words of headings in a solution. A line that begins with one is an answer if it is the last line:
/// "Solution: 5".
const HEADINGS: [&str; 13] = [
    "solution",
    "explanation",
    "conclusion",
    "analysis",
    "verification",
    "check",
    "summary",
    "note",
    "calculation",
    "calculations",
    "reasoning",
    "given",
    "proof",
];

/// Words for a part of a solution, if a number or letter follows them: "Step 1".
const PARTS: [&str; 12] = [
    "step", "case", "part", "method", "approach", "problem", "question", "example", "phase",
    "stage", "option", "section",
];

/// First words of tasks in headings: "Find the number of apples".
const TASKS: [&str; 44] = [
    "find",
    "calculate",
    "compute",
    "determine",
    "solve",
    "count",
    "add",
    "subtract",
    "multiply",
    "divide",
    "let",
    "first",
    "next",
    "now",
    "then",
    "set",
    "convert",
    "identify",
    "simplify",
    "use",
    "apply",
    "substitute",
    "evaluate",
    "consider",
    "define",
    "understand",
    "verify",
    "confirm",
    "write",
    "express",
    "factor",
    "expand",
    "combine",
    "list",
    "break",
    "work",
    "start",
    "begin",
    "recall",
    "observe",
    "analyze",
    "how",
    "what",
    "why",
];

/// The rest of the line after the last `####` that is not a heading.
pub(crate) fn hashes(text: &str) -> Option<&str> {
    let mut before = text;
    for _ in 0..MAX_HASHES {
        let at = before.rfind("####")?;
        let rest = text[at..].trim_start_matches(['#', ' ']);
        let line = rest.lines().next().unwrap_or_default().trim().trim_end_matches('.');
        let more = !rest[rest.find('\n').unwrap_or(rest.len())..].trim().is_empty();
        let heading = HEADINGS.iter().any(|word| stance::starts_with_phrase(line, word))
            || unlabelled(line).is_empty()
            || line.ends_with(':');
        if !(line.is_empty() || is_part(line) || more && heading) {
            return Some(line);
        }
        before = &text[..at];
    }
    None
}

/// Whether a step states an answer after `####` that is not a heading.
pub(crate) fn states_after_hashes(step: &str) -> bool {
    hashes(step).is_some_and(|line| {
        let value = unlabelled(line);
        let labelled = value.len() != line.len();
        let line = line.trim_start_matches(['*', '_', ' ']);
        let heading = HEADINGS.iter().any(|word| stance::starts_with_phrase(line, word));
        !value.is_empty()
            && !line.trim_end_matches(['*', '_', ' ']).ends_with(':')
            && (labelled || !(heading || is_task(line) || is_numbered(line)))
    })
}

/// Whether the last line of a text is the heading of a part that does not follow.
pub(super) fn ends_with_heading(text: &str) -> bool {
    let line = text.rsplit('\n').next().unwrap_or(text).trim_start();
    let title = line.trim_start_matches(['#', ' ', '*', '_']);
    line.starts_with('#') && (is_part(title) || is_task(title) || is_numbered(title))
}

/// Whether a line is the heading of a part: "Step 1", "Case II: x > 0", "Part (a)", "Step one".
fn is_part(line: &str) -> bool {
    let line = line.trim_start_matches(['*', '_', ' ']);
    let Some(word) = PARTS.iter().find(|word| stance::starts_with_phrase(line, word)) else {
        return false;
    };
    let mark = line[word.len()..].trim_start_matches([' ', '(', '#', '*']);
    let name = mark.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
    let numeral = !name.is_empty() && name.bytes().all(|b| b"IVXivx".contains(&b));
    let spelled = crate::syntax::names::number_word(name).is_some();
    let lettered = *word != "option" && name.len() == 1;
    name.starts_with(|c: char| c.is_ascii_digit()) || numeral || spelled || lettered
}

/// Whether a line is a task: "Find the total", "Calculating 3 + 4".
fn is_task(line: &str) -> bool {
    let word = line.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
    let more = line[word.len()..].starts_with(' ');
    let gerund = word.len() > 5 && word.ends_with("ing");
    let listed = TASKS.iter().any(|task| task.eq_ignore_ascii_case(word));
    more && (gerund || listed)
}

/// Whether a line begins with a number, a mark and words: "1. The total", "2) Setting up".
fn is_numbered(line: &str) -> bool {
    let rest = line.trim_start_matches(|c: char| c.is_ascii_digit());
    let Some(title) = rest.strip_prefix(['.', ')', ':']).and_then(|r| r.strip_prefix(' ')) else {
        return false;
    };
    rest.len() < line.len() && title.starts_with(|c: char| c.is_ascii_alphabetic() || c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_are_no_answers() {
        assert_eq!(hashes("#### 5\n#### Step 2\nso"), Some("5"));
        assert_eq!(hashes("#### Step 1: Find 3 apples"), None);
        assert_eq!(hashes("#### Solution: 5"), Some("Solution: 5"));
        assert_eq!(hashes("#### Step 1\n3\n#### 7"), Some("7"));
        for step in ["#### 5", "text\n#### 40 marbles", "#### Answer: 7", "#### B", "#### x = 5"] {
            assert!(states_after_hashes(step), "{step}");
        }
        for step in [
            "#### Step 1",
            "#### Step 1: Find 3 apples",
            "#### Case II",
            "#### **Step 2: Add 4**",
            "#### Find the 3 parts",
            "#### Calculating 3 + 4",
            "#### 1. The total cost",
            "#### Solution",
            "#### Part (a)",
            "#### Final Answer:",
            "####",
        ] {
            assert!(!states_after_hashes(step), "{step}");
        }
    }
}
