//! Separates a choice label from the answer after it: `(C) 15`, `\textbf{(C)}\ 15`.
//!
//! Whether the label or the value is compared depends on the other side. This form is common in contests
//! that publish answers with letter and value.

/// Commands in which labels are set.
const STYLES: [&str; 5] = ["\\textbf{", "\\text{", "\\mathrm{", "\\mathbf{", "\\textrm{"];
/// Blanks between label and value.
const BLANKS: [&str; 6] = ["\\qquad", "\\quad", "\\ ", "\\,", "\\;", "~"];

/// Longest value after a label, in bytes.
const MAX_VALUE: usize = 256;

/// The label and the value after it; `None` if there is no value or if the value has another label.
pub(crate) fn split(text: &str) -> Option<(&str, &str)> {
    let (label, value) = first(text)?;
    (value.len() <= MAX_VALUE && first(value).is_none()).then_some((label, value))
}

fn first(text: &str) -> Option<(&str, &str)> {
    let text = text.trim().trim_matches('$').trim();
    let style = STYLES.iter().find_map(|style| text.strip_prefix(style));
    let inner = style.unwrap_or(text).trim_start().strip_prefix('(')?;
    let label =
        inner.get(..1).filter(|l| l.starts_with(|c: char| matches!(c, 'A'..='E' | 'a'..='e')))?;
    let mut rest = inner[1..].strip_prefix(')')?;
    // A lower-case letter marks a part of a question only before a number; otherwise it is a variable.
    let numbered = rest.starts_with(' ')
        && rest.trim_start_matches([' ', '$', '-']).starts_with(|c: char| c.is_ascii_digit());
    if label.starts_with(|c: char| c.is_ascii_lowercase()) && !numbered {
        return None;
    }
    let mut blank = rest.len();
    if style.is_some() {
        rest = match rest.trim_start().strip_prefix('}') {
            Some(closed) => closed,
            None => rest.strip_suffix('}')?,
        };
        blank = rest.len() + 1;
    }
    loop {
        let trimmed = rest.trim_start();
        match BLANKS.iter().find_map(|b| trimmed.strip_prefix(b)) {
            Some(shorter) => rest = shorter,
            None => {
                let value = trimmed.trim_end();
                let apart = value.len() < blank && value.contains(char::is_alphanumeric);
                return apart.then_some((label, value));
            }
        }
    }
}

/// Whether the text is only a label, in any formatting.
pub(crate) fn is_label(text: &str) -> bool {
    let mut bare = text.trim().trim_matches('$').trim();
    if let Some(inner) = STYLES.iter().find_map(|style| bare.strip_prefix(style)) {
        bare = inner.strip_suffix('}').unwrap_or(inner).trim();
    }
    let bare = bare.strip_prefix('(').and_then(|b| b.strip_suffix(')')).unwrap_or(bare);
    bare.len() == 1 && bare.starts_with(|c: char| ('A'..='E').contains(&c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_label_and_value_apart() {
        for text in ["(C) 15", "\\textbf{(C)}\\ 15", "$\\text{(C) } 15$", "\\text{(C) 15}"] {
            assert_eq!(split(text), Some(("C", "15")), "{text}");
        }
        for text in [
            "(C)",
            "(C)(D)",
            "(x) 15",
            "C 15",
            "(C)15",
            "(C) (D) 15",
            "\\textbf{(C)}",
            "\\text{(C)},",
        ] {
            assert_eq!(split(text), None, "{text}");
        }
    }

    #[test]
    fn knows_labels() {
        assert!(is_label("\\textbf{(B)}") && is_label("B") && is_label("(B)"));
        assert!(!is_label("BC") && !is_label("x") && !is_label("(B) 4"));
    }
}
