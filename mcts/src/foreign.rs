//! Makes text from a model or a problem file safe for a terminal or a page.

/// The character, or a replacement if it could affect the terminal instead of being shown: control characters
/// (terminal escapes, NUL) and characters that change the reading direction. Line breaks and tabs are kept.
pub(crate) fn shown(c: char) -> char {
    match c {
        '\n' | '\t' => c,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => char::REPLACEMENT_CHARACTER,
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    }
}

/// Maximum number of characters of such a text on a page.
#[cfg(feature = "cli")]
const LONGEST: usize = 8000;

/// The text for a page: special characters are replaced, and a text that is too long is cut and ends in an
/// ellipsis. The text is not escaped.
#[cfg(feature = "cli")]
#[must_use]
pub fn readable(text: &str) -> String {
    let mut out: String = text.chars().take(LONGEST).map(shown).collect();
    if text.chars().nth(LONGEST).is_some() {
        out.push_str(" ...");
    }
    out
}

#[cfg(all(test, feature = "cli"))]
mod tests {
    use super::*;

    #[test]
    fn what_acts_is_replaced_and_what_is_endless_ends() {
        assert_eq!(readable("a\u{1b}[31m\n\u{202e}b"), "a\u{fffd}[31m\n\u{fffd}b");
        assert!(readable(&"x".repeat(LONGEST + 5)).ends_with("x ..."));
        assert_eq!(readable(&"x".repeat(LONGEST)).len(), LONGEST);
    }
}
