//! Finds formulas in delimiters, searching from the end: `$...$`, `$$...$$`, `\(...\)` and `\[...\]`.
//!
//! Formulas are not parsed. A pair of dollar signs around a sentence is rejected, because the signs belong to
//! prices. Dollar signs are paired from the end of the text, because answers are at the end.

use super::{Span, prose};

/// Maximum number of formulas that form one answer.
const MAX_JOINED: usize = 32;

/// Words before a formula that is a reason or condition of the formula after the next comma.
const LEADS: [&str; 10] =
    ["since", "because", "as", "when", "if", "for", "where", "given", "from", "using"];

/// One formula.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Environment {
    /// Including the delimiters.
    pub whole: Span,
    /// Without the delimiters.
    pub content: Span,
}

/// The last formula of the text that is not only the power of a unit, as in `cm$^2$`.
pub(crate) fn last(text: &str) -> Option<Environment> {
    let found = last_of_all(text)?;
    if text[found.content.range()].trim_start().starts_with('^') {
        return last_of_all(&text[..found.whole.start]).or(Some(found));
    }
    Some(found)
}

fn last_of_all(text: &str) -> Option<Environment> {
    let round = delimited(text, "\\(", "\\)");
    let square = delimited(text, "\\[", "\\]");
    let dollar = dollars(text);
    [round, square, dollar].into_iter().flatten().max_by_key(|e| e.whole.end)
}

/// The last formula, and formulas before it that are joined to it by a comma, "and" or "or".
pub(crate) fn last_joined(text: &str) -> Option<Span> {
    let mut first = last(text)?;
    let end = first.whole.end;
    for _ in 1..MAX_JOINED {
        let Some(before) = last(&text[..first.whole.start]) else { break };
        let between = text[before.whole.end..first.whole.start].trim();
        if !matches!(between, "," | ";" | "and" | "or" | ", and" | ", or" | "或" | "、") {
            break;
        }
        // "Since $x > 0$, $x = 7$": a condition and its consequence.
        let lead = text[..before.whole.start].trim_end().rsplit([' ', '\n', '(']).next();
        if between == "," && lead.is_some_and(|w| LEADS.iter().any(|l| l.eq_ignore_ascii_case(w))) {
            break;
        }
        first = before;
    }
    Some(Span { start: first.whole.start, end })
}

/// The last `open ... close` pair.
fn delimited(text: &str, open: &str, close: &str) -> Option<Environment> {
    let mut end = text.rfind(close)?;
    loop {
        let start = text[..end].rfind(open)?;
        let content = Span { start: start + open.len(), end };
        if !text[content.range()].trim().is_empty() {
            return Some(Environment { whole: Span { start, end: end + close.len() }, content });
        }
        end = text[..start].rfind(close)?;
    }
}

/// The last pair of dollar signs that encloses a formula.
fn dollars(text: &str) -> Option<Environment> {
    let mut end = previous_dollar(text, text.len())?;
    for _ in 0..MAX_JOINED {
        let start = previous_dollar(text, end.start)?;
        let content = Span { start: start.end, end: end.start };
        let inner = &text[content.range()];
        if !inner.trim().is_empty() && prose::plain_words(inner, 2) < 2 {
            return Some(Environment { whole: Span { start: start.start, end: end.end }, content });
        }
        end = start;
    }
    None
}

/// The last dollar delimiter (one sign or two) that ends at or before `end`.
fn previous_dollar(text: &str, mut end: usize) -> Option<Span> {
    let bytes = text.as_bytes();
    loop {
        let at = text[..end].rfind('$')?;
        if at > 0 && bytes[at - 1] == b'\\' {
            end = at - 1;
            continue;
        }
        let start = if at > 0 && bytes[at - 1] == b'$' { at - 1 } else { at };
        return Some(Span { start, end: at + 1 });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Option<&str> {
        last(text).map(|e| text[e.content.range()].trim())
    }

    #[test]
    fn finds_every_kind_of_formula() {
        assert_eq!(found("so $x = 5$ holds"), Some("x = 5"));
        assert_eq!(found("Answer $$ \n 9 \n $$"), Some("9"));
        assert_eq!(found("Answer \\[ 9 \\]"), Some("9"));
        assert_eq!(found("\\(1\\) or \\(2\\)"), Some("2"));
    }

    #[test]
    fn a_price_is_no_formula() {
        assert_eq!(found("how many $? just about 1$"), None);
        assert_eq!(found("it costs $29.00."), None);
        assert_eq!(found("$x = 5$ so it costs $10"), Some("x = 5"));
    }

    #[test]
    fn joins_neighbours() {
        let text = "we get $1$ and $2$, $3$";
        assert_eq!(&text[last_joined(text).unwrap().range()], "$1$ and $2$, $3$");
    }
}
