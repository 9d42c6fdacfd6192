//! What a terminal or a page may show of text that comes from a model or a file of problems.

/// The character, or a replacement for one that could act rather than be read: control characters
/// (terminal escapes, NUL) and those that turn the reading direction. Line breaks and tabs stay.
pub(super) fn shown(c: char) -> char {
    match c {
        '\n' | '\t' => c,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => char::REPLACEMENT_CHARACTER,
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    }
}
