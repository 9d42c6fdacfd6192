//! Prepares text from models and files for a terminal.

use crate::foreign::shown;

/// Replacement of a tab, whose own width depends on its position.
const TAB: &str = "    ";

/// At most `longest` characters of the text, in one line.
pub(super) fn one_line(text: &str, longest: usize) -> String {
    text.trim()
        .chars()
        .take(longest)
        .map(|c| if c.is_whitespace() { ' ' } else { shown(c) })
        .collect()
}

/// The whole text, wrapped to at most `width` columns.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let clean: String = text.trim_end().chars().map(shown).collect();
    let options = textwrap::Options::new(width.max(1));
    let lines = clean.split('\n').flat_map(|line| {
        let line = line.replace('\t', TAB);
        let wrapped = textwrap::wrap(&line, &options);
        wrapped.into_iter().map(std::borrow::Cow::into_owned).collect::<Vec<_>>()
    });
    lines.collect()
}
