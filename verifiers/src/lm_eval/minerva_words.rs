//! Text that `minerva_math` replaces in an answer or removes from it.
//!
//! The lists are those published with Minerva (arXiv:2206.14858, appendix D.1), applied as version 3.1 of
//! the harness's task does: first to words in running text, then to words between commands.

/// Replaced in this order.
pub(super) const SUBSTITUTIONS: [(&str, &str); 10] = [
    ("an ", ""),
    ("a ", ""),
    (".$", "$"),
    ("\\$", ""),
    ("\\ ", ""),
    (" ", ""),
    ("mbox", "text"),
    (",\\text{and}", ","),
    ("\\text{and}", ","),
    ("\\text{m}", "\\text{}"),
];

/// Removed in this order.
const REMOVED: [&str; 42] = [
    "square",
    "ways",
    "integers",
    "dollars",
    "mph",
    "inches",
    "ft",
    "hours",
    "km",
    "units",
    "\\ldots",
    "sue",
    "points",
    "feet",
    "minutes",
    "digits",
    "cents",
    "degrees",
    "cm",
    "gm",
    "pounds",
    "meters",
    "meals",
    "edges",
    "students",
    "childrentickets",
    "multiples",
    "\\text{s}",
    "\\text{.}",
    "\\text{\ns}",
    "\\text{}^2",
    "\\text{}^3",
    "\\text{\n}",
    "\\text{}",
    "\\mathrm{th}",
    "^\\circ",
    "^{\\circ}",
    "\\;",
    ",\\!",
    "{,}",
    "\"",
    "\\dots",
];

/// Removes the words of the list from running text.
pub(super) fn without_words(text: &str) -> String {
    let mut text = text.to_owned();
    for word in REMOVED.iter().filter(|word| is_word(word)) {
        text = without_word(&text, word);
    }
    text
}

/// Removes all entries of the list from a text without spaces; words are not removed from the names of
/// commands.
pub(super) fn without_expressions(text: &str) -> String {
    let mut text = text.to_owned();
    for gone in REMOVED {
        text = if is_word(gone) { between_commands(&text, gone) } else { text.replace(gone, "") };
    }
    text
}

fn is_word(expression: &str) -> bool {
    expression.bytes().all(|b| b.is_ascii_alphabetic())
}

/// The text without the word, wherever the word stands alone and no backslash precedes it.
fn without_word(text: &str, word: &str) -> String {
    let joins = |c: char| c.is_alphanumeric() || c == '_';
    let mut out = String::with_capacity(text.len());
    let mut kept = 0;
    for (at, _) in text.match_indices(word) {
        let end = at + word.len();
        let before = text[..at].chars().next_back();
        if before.is_some_and(|c| joins(c) || c == '\\') || text[end..].starts_with(joins) {
            continue;
        }
        out.push_str(&text[kept..at]);
        kept = end;
    }
    out + &text[kept..]
}

/// The text without the word; commands are left unchanged.
fn between_commands(text: &str, word: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((at, length)) = next_command(rest) {
        out.push_str(&rest[..at].replace(word, ""));
        out.push_str(&rest[at..at + length]);
        rest = &rest[at + length..];
    }
    out + &rest.replace(word, "")
}

/// Position and length of the first backslash that is followed by letters.
fn next_command(text: &str) -> Option<(usize, usize)> {
    text.match_indices('\\').find_map(|(at, _)| {
        let letters = text[at + 1..].bytes().take_while(u8::is_ascii_alphabetic).count();
        (letters > 0).then_some((at, letters + 1))
    })
}
