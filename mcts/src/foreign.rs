//! What a terminal or a page may show of text that comes from a model or a file of problems.

/// The character, or a replacement for one that could act rather than be read: control characters
/// (terminal escapes, NUL) and those that turn the reading direction. Line breaks and tabs stay.
pub(crate) fn shown(c: char) -> char {
    match c {
        '\n' | '\t' => c,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => char::REPLACEMENT_CHARACTER,
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    }
}

/// Longest text that a page shows of anything foreign, in characters.
#[cfg(feature = "cli")]
const LONGEST: usize = 8000;

/// The text as a page may hold it: no character that acts, and an ellipsis in place of an endless rest.
/// It is not escaped.
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
