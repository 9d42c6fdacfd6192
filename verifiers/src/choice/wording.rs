//! Removes the formatting of a statement: markup, quotes, full-width letters, nouns like "option".
//!
//! Only the wording of a choice changes, never which option it is; the options are not an input.

use std::borrow::Cow;

/// The text with full-width letters, digits and brackets in their ASCII form.
pub(super) fn ascii(text: &str) -> Cow<'_, str> {
    let wide = |c: char| matches!(c, '\u{ff01}'..='\u{ff5e}');
    if !text.contains(wide) {
        return Cow::Borrowed(text);
    }
    let narrow = |c: char| char::from_u32(c as u32 - 0xfee0).unwrap_or(c);
    Cow::Owned(text.chars().map(|c| if wide(c) { narrow(c) } else { c }).collect())
}

/// The text without the parts that `~~` strikes through inside a line.
pub(super) fn without_struck(text: Cow<'_, str>) -> Cow<'_, str> {
    if !text.contains("~~") {
        return text;
    }
    let lines = text.split_inclusive('\n').map(|line| {
        let parts: Vec<&str> = line.split("~~").collect();
        // Marks without a partner are not strikethrough.
        if parts.len().is_multiple_of(2) {
            line.to_owned()
        } else {
            parts.iter().step_by(2).copied().collect()
        }
    });
    Cow::Owned(lines.collect::<Vec<String>>().concat())
}

/// Removes LaTeX and Markdown formatting around a statement.
pub(super) fn unwrap_markup(text: &str) -> String {
    let mut out = text.trim().to_owned();
    for command in ["\\textbf", "\\textrm", "\\text", "\\mathrm", "\\mathbf", "\\mathsf", "\\mbox"]
    {
        out = out.replace(command, "");
    }
    for mark in ["**", "$", "\\(", "\\)", "\\[", "\\]", "`", "\\left", "\\right", "\\ ", "\\,"] {
        out = out.replace(mark, if mark == "\\," || mark == "\\ " { " " } else { "" });
    }
    let mut trimmed = out.trim();
    while let Some(inner) = trimmed.strip_prefix('{').and_then(|t| t.strip_suffix('}')) {
        trimmed = inner.trim();
    }
    trimmed
        .replace(['{', '}'], "")
        .trim_matches([
            '"', '\'', '\u{201c}', '\u{201d}', '\u{2713}', '\u{2714}', '\u{2705}', ' ', '_', '*',
        ])
        .to_owned()
}

/// Removes "option", "choice" and similar nouns at the beginning.
pub(super) fn strip_noun(text: &str) -> &str {
    let nouns =
        ["the correct option is", "option", "choice", "answer", "letter", "label", "statement"];
    for noun in nouns {
        if let Some(head) = text.get(..noun.len())
            && head.eq_ignore_ascii_case(noun)
            && text[noun.len()..].starts_with([' ', ':', '('])
        {
            return text[noun.len()..].trim_start_matches([' ', ':']);
        }
    }
    text
}

/// The words and numbers of a text, in lower case.
pub(super) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_alphanumeric() || matches!(c, '.' | '/' | '%' | '-' | '+' | ':') {
            out.extend(c.to_lowercase());
        } else if !matches!(c, ',' | '$' | '\'') && !out.ends_with(' ') {
            out.push(' ');
        }
    }
    let trimmed = out.trim().trim_end_matches('.');
    trimmed.strip_prefix("the ").unwrap_or(trimmed).to_owned()
}
