//! Removes text that never matters: blanks, delimiters, sizes of brackets and fractions.
//!
//! Two answers with equal squeezed texts are equal whether or not they parse, even if their values are
//! too large to compute. The text is filtered by characters and commands, without parsing.

/// The text without blanks, formula delimiters and layout commands.
pub(crate) fn squeezed(text: &str) -> String {
    const GONE: [&str; 12] = [
        "\\left",
        "\\right",
        "\\displaystyle",
        "\\!",
        "\\,",
        "\\;",
        "\\:",
        "\\ ",
        "\\(",
        "\\)",
        "\\[",
        "\\]",
    ];
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if let Some(gone) = GONE.iter().find(|g| is_command(rest, g)) {
            rest = &rest[gone.len()..];
            continue;
        }
        if first == '\\' && (is_command(rest, "\\dfrac") || is_command(rest, "\\tfrac")) {
            out.push_str("\\frac");
            rest = &rest["\\dfrac".len()..];
            continue;
        }
        if !first.is_whitespace() && first != '$' {
            out.push(first);
        }
        rest = &rest[first.len_utf8()..];
    }
    out.truncate(out.trim_end_matches('.').len());
    out
}

/// The words of an answer that consists of words and numbers only; `None` for a formula.
pub(crate) fn wording(text: &str) -> Option<String> {
    let mut plain = text.replace(['$', '~'], " ");
    for command in
        ["\\textbf", "\\textrm", "\\textit", "\\text", "\\mathrm", "\\mbox", "\\ ", "\\,"]
    {
        plain = plain.replace(command, " ");
    }
    if plain.contains(['+', '-', '=', '<', '>', '^', '_', '*', '/', '\\', '|', '%']) {
        return None;
    }
    let words = crate::syntax::parser::plain_text(&plain);
    let spelled = |w: &str| w.len() >= 3 && w.bytes().all(|b| b.is_ascii_alphabetic());
    words.split(' ').any(spelled).then_some(words)
}

/// Whether the text begins with the complete command: `\left` but not `\leftarrow`.
fn is_command(text: &str, command: &str) -> bool {
    text.strip_prefix(command).is_some_and(|after| {
        !command.ends_with(|c: char| c.is_ascii_alphabetic())
            || !after.starts_with(|c: char| c.is_ascii_alphabetic())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_matters() {
        assert_eq!(squeezed("$ \\left( 1 , \\dfrac{1}{2}\\right)$."), "(1,\\frac{1}{2})");
        assert_eq!(squeezed("a \\leftarrow b"), "a\\leftarrowb");
    }
}
