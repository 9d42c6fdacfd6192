//! Tells words from formulas: is a piece of text a sentence, and where does its last clause start?
//!
//! It knows a list of English link words and nothing of mathematics. The rule of thumb (three or
//! more plain words make a sentence) is ours and is tuned on published answer lists.

/// Plain words from which on a text counts as a sentence rather than an answer with a unit.
const SENTENCE: usize = 4;

/// Words that occur inside answers without making them sentences.
const ANSWER_WORDS: [&str; 24] = [
    "and", "or", "sin", "cos", "tan", "log", "ln", "exp", "sqrt", "pi", "frac", "mod", "infinity",
    "per", "of", "square", "cubic", "hours", "minutes", "seconds", "feet", "inches", "units",
    "dollars",
];

/// Verbs and marks that stand right before a stated answer.
const LINKS: [&str; 11] = [
    "It is ",
    " is ",
    " are ",
    " was ",
    " equals ",
    " by ",
    " equal to ",
    " about ",
    " approximately ",
    " be ",
    ": ",
];

/// Whether the text reads as a sentence.
pub(crate) fn is_sentence(text: &str) -> bool {
    plain_words(text, SENTENCE) >= SENTENCE
}

/// Number of plain words outside commands and text braces, counted up to `limit`.
pub(crate) fn plain_words(text: &str, limit: usize) -> usize {
    let mut count = 0;
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_alphabetic() || c == '\\') {
        let word = &rest[start..];
        if let Some(command) = word.strip_prefix('\\') {
            let command = command.trim_start_matches('\\');
            let length = alphabetic(command);
            rest = match &command[..length] {
                "text" | "textbf" | "textrm" | "mathrm" | "textit" | "textnormal" | "mbox"
                | "begin" | "end" | "operatorname" => command[length..]
                    .strip_prefix('{')
                    .and_then(|braced| braced.find('}').map(|end| &braced[end..]))
                    .unwrap_or(&command[length..]),
                _ => skip(command, length.max(1)),
            };
            continue;
        }
        let length = alphabetic(word);
        let plain = &word[..length];
        let lower = plain.bytes().any(|b| b.is_ascii_lowercase());
        if length >= 2
            && lower
            && !ANSWER_WORDS.iter().any(|known| known.eq_ignore_ascii_case(plain))
        {
            count += 1;
            if count >= limit {
                return count;
            }
        }
        rest = &word[length..];
    }
    count
}

fn skip(text: &str, bytes: usize) -> &str {
    text.get(bytes..).unwrap_or_else(|| {
        let mut chars = text.chars();
        chars.next();
        chars.as_str()
    })
}

fn alphabetic(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_alphabetic).count()
}

/// Whether the text starts with a word rather than with an answer.
pub(crate) fn starts_with_word(text: &str) -> bool {
    let length = alphabetic(text);
    length >= 3 && plain_words(&text[..length], 1) == 1
}

/// What follows the last link word: `120` in "The volume is 120".
pub(crate) fn after_link(sentence: &str) -> Option<&str> {
    let at = LINKS.iter().filter_map(|link| Some(sentence.rfind(link)? + link.len())).max()?;
    let tail = sentence[at..].trim();
    (!tail.is_empty()).then_some(tail)
}

/// The first sentence or line of a text that starts with an answer: up to a blank, a line end, or a
/// full stop that is followed by a space, outside of formulas.
pub(crate) fn first_sentence(text: &str) -> &str {
    let bytes = text.as_bytes();
    let mut in_formula = false;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => {
                match bytes.get(at + 1) {
                    Some(b'(' | b'[') => in_formula = true,
                    Some(b')' | b']') => in_formula = false,
                    _ => {}
                }
                at += 2;
                continue;
            }
            b'$' if bytes.get(at + 1) == Some(&b'$') => {
                in_formula = !in_formula;
                at += 1;
            }
            b'$' if in_formula || text[at + 1..].contains('$') => in_formula = !in_formula,
            b'\n' if !in_formula => return &text[..at],
            b'.' | b'!' | b'?' if !in_formula => {
                let next = bytes.get(at + 1);
                if next.is_none_or(|b| b.is_ascii_whitespace() || *b == b'*' || *b == b'"') {
                    return &text[..at];
                }
            }
            _ => {}
        }
        at += 1;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_words_outside_commands() {
        assert!(!is_sentence("125\\textnormal{ miles of road in all}"));
        assert!(!is_sentence("\\frac{1}{2} \\sin x"));
        assert!(is_sentence("and then Alice wins the game"));
        assert!(!is_sentence("5 apples left"));
    }

    #[test]
    fn cuts_sentences_outside_formulas() {
        assert_eq!(first_sentence("$1. 5$ miles. I hope"), "$1. 5$ miles");
        assert_eq!(first_sentence("3.5. Done"), "3.5");
        assert_eq!(first_sentence("7\nnext"), "7");
        assert_eq!(first_sentence("$29.00."), "$29.00");
    }

    #[test]
    fn finds_the_last_clause() {
        assert_eq!(after_link("The volume of it is 120"), Some("120"));
        assert_eq!(after_link("120"), None);
    }
}
