//! Distinguishes words from formulas: whether a text is a sentence, and where its last clause begins.
//!
//! The rules use a list of English linking words and no mathematics. The threshold (four or more plain
//! words make a sentence) is our own, tuned on published answer lists.

use crate::syntax::names;

/// Number of plain words from which a text counts as a sentence and not as an answer with a unit.
const SENTENCE: usize = 4;

/// Words inside answers that do not make them sentences.
const ANSWER_WORDS: [&str; 24] = [
    "and", "or", "sin", "cos", "tan", "log", "ln", "exp", "sqrt", "pi", "frac", "mod", "infinity",
    "per", "of", "square", "cubic", "hours", "minutes", "seconds", "feet", "inches", "units",
    "dollars",
];

/// Verbs and marks directly before a stated answer.
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

/// Verbs of short sentences that state a number: "She has 14 left".
const TELLING: [&str; 12] =
    ["has", "have", "had", "needs", "gets", "is", "are", "was", "were", "earns", "takes", "costs"];

/// Whether a text of few words is a sentence with a verb and one number: "She has 14 left".
pub(crate) fn tells_a_number(text: &str) -> bool {
    let mut words = text.split(' ');
    let subject = words.next().unwrap_or_default();
    let named = subject.len() >= 2
        && subject.starts_with(|c: char| c.is_ascii_uppercase())
        && subject.bytes().all(|b| b.is_ascii_alphabetic());
    let verb = words.next().is_some_and(|verb| TELLING.contains(&verb));
    let figures = |word: &&str| word.contains(|c: char| c.is_ascii_digit());
    named && verb && words.filter(figures).count() == 1
}

/// Number of plain words outside commands and text braces, counted up to `limit`.
pub(crate) fn plain_words(text: &str, limit: usize) -> usize {
    let mut count = 0;
    let mut rest = text;
    // Whether a closing brace may still follow. Searching for it after every command would take quadratic
    // time.
    let mut closes = true;
    while let Some(start) = rest.find(|c: char| c.is_ascii_alphabetic() || c == '\\') {
        let word = &rest[start..];
        if let Some(command) = word.strip_prefix('\\') {
            let command = command.trim_start_matches('\\');
            let length = alphabetic(command);
            rest = match &command[..length] {
                "text" | "textbf" | "textrm" | "mathrm" | "textit" | "textnormal" | "mbox"
                | "begin" | "end" | "operatorname" => command[length..]
                    .strip_prefix('{')
                    .filter(|_| closes)
                    .and_then(|braced| {
                        let end = braced.find('}');
                        closes = end.is_some();
                        end.map(|end| &braced[end..])
                    })
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
            && names::function(plain).is_none()
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

pub(super) fn alphabetic(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_alphabetic).count()
}

/// Whether the text after a formula can be its unit: at most one word that is not a known unit.
pub(crate) fn is_unit(after: &str) -> bool {
    let mut unknown = 0;
    for word in after.split(|c: char| !c.is_ascii_alphabetic()).filter(|w| w.len() > 1) {
        if matches!(word, "of" | "is" | "are" | "as" | "which" | "for" | "in") {
            return false;
        }
        unknown += usize::from(word != "per" && !names::unit_word(word));
    }
    unknown <= 1
}

/// Two-letter words that begin sentences; other pairs of letters are products.
const PAIRS: [&str; 16] = [
    "he", "it", "we", "so", "is", "an", "to", "by", "in", "at", "if", "my", "as", "no", "on", "up",
];

/// Whether the text begins with a word and not with an answer.
pub(crate) fn starts_with_word(text: &str) -> bool {
    let length = alphabetic(text);
    let word = &text[..length];
    match length {
        0 => false,
        1 if word == "I" => text[1..].starts_with([' ', '\n', '\'', '\u{2019}']),
        1 => matches!(word, "a" | "A") && text[1..].starts_with([' ', '\n']),
        2 => PAIRS.iter().any(|pair| pair.eq_ignore_ascii_case(word)),
        _ => plain_words(word, 1) == 1,
    }
}

/// Whether all braces are closed at the end of the text.
pub(super) fn closed_braces(text: &str) -> bool {
    text.matches('{').count() == text.matches('}').count()
}

/// Whether all formulas are closed at the end of the text.
pub(crate) fn closed_formula(text: &str) -> bool {
    let dollars = text.matches('$').count() - text.matches("\\$").count();
    dollars.is_multiple_of(2)
        && text.matches("\\(").count() == text.matches("\\)").count()
        && text.matches("\\[").count() == text.matches("\\]").count()
}

/// A formula without delimiters at the end of the text: `2x + 3` in "The sum is 2x + 3." Plain numbers
/// are found by another rule.
pub(crate) fn last_expression(text: &str) -> Option<&str> {
    let text = text.trim_end_matches(['.', ' ', '\n']);
    let line = text.rsplit(['\n', '。']).next().unwrap_or(text);
    let sentence = line.rsplit(". ").next().unwrap_or(line);
    let clause = after_link(sentence)
        .filter(|clause| !clause.contains(&SENTENCE_ENDS[..]))
        .or_else(|| sentence.contains('=').then_some(sentence))?;
    // The result of a calculator annotation, as in `<<3+4=7>>7`, is a plain number.
    if clause.contains(">>") {
        return None;
    }
    let orders = |c: char| "<>≤≥".contains(c);
    let side = if clause.contains(orders) { clause } else { clause.rsplit('=').next()?.trim() };
    let sign = |c: char| "+*^√π\\·×÷½⅓⅔¼¾⅕⅛".contains(c) || orders(c);
    let allowed =
        |c: char| c.is_ascii_alphanumeric() || " +-*/^().,√π−–²³\\{}[]=<>≤≥∞·×÷½⅓⅔¼¾⅕⅛".contains(c);
    let digits = side.contains(|c: char| c.is_ascii_digit());
    let variable = side.split(|c: char| !c.is_ascii_alphabetic()).any(|w| w.len() == 1);
    let listed = text.strip_suffix(clause).is_some_and(|before| before.ends_with(" are "))
        && [" and ", " or "].iter().any(|join| side.contains(join));
    let called =
        side.split(|c: char| !c.is_ascii_alphabetic()).any(|w| names::function(w).is_some());
    let formula =
        side.contains(sign) || (variable || listed || called || is_grouped(side)) && digits;
    (formula && side.chars().all(allowed) && plain_words(side, 1) == 0).then_some(side)
}

/// A clause with one of these marks is a question and not an expression.
const SENTENCE_ENDS: [char; 1] = ['?'];

/// Whether a text is digits in groups of three, separated by blanks: `12 500`.
fn is_grouped(text: &str) -> bool {
    let mut groups = text.trim().split(' ');
    let digits = |g: &str| !g.is_empty() && g.bytes().all(|b| b.is_ascii_digit());
    let first = groups.next().is_some_and(|g| digits(g.trim_start_matches('-')) && g.len() <= 3);
    let mut count = 0;
    let rest = groups.all(|g| {
        count += 1;
        digits(g) && g.len() == 3
    });
    first && rest && count > 0
}

/// The last words in bold: between `**` marks or in `\textbf`.
pub(crate) fn last_emphasised(text: &str) -> Option<&str> {
    let marked = text.rfind("**").and_then(|end| {
        let start = text[..end].rfind("**")? + 2;
        Some((start, &text[start..end]))
    });
    let command = text.rfind("\\textbf{").and_then(|at| {
        let start = at + "\\textbf{".len();
        Some((start, &text[start..start + text[start..].find('}')?]))
    });
    let (_, words) = marked.max(command)?;
    let words = words.trim().trim_end_matches(['.', ':']);
    (!words.is_empty() && !is_sentence(words)).then_some(words)
}

/// The bold words at the end of a text: `Wednesday` for "It is **Wednesday**." `None` if the text does not
/// end with bold words.
pub(crate) fn closing_emphasis(text: &str) -> Option<&str> {
    let body = text.trim_end_matches(['.', ' ', '\n', '!']).strip_suffix("**")?;
    let words = &body[body.rfind("**")? + 2..];
    let words = words.trim().trim_end_matches(['.', ':', ',']);
    let stands = !words.is_empty() && !words.contains('\n') && !is_sentence(words);
    stands.then(|| super::asides::main_clause(words))
}

/// The text after the last linking word: `120` in "The volume is 120".
pub(crate) fn after_link(sentence: &str) -> Option<&str> {
    let at = LINKS.iter().filter_map(|link| Some(sentence.rfind(link)? + link.len())).max()?;
    let tail = sentence[at..].trim();
    (!tail.is_empty()).then_some(tail)
}

/// The first sentence or line of a text that begins with an answer. Outside of formulas, it ends at a line
/// end, or at a full stop or similar mark that is followed by white space, a star or a quotation mark.
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
            0xe3 | 0xef if !in_formula && text[at..].starts_with(['。', '！', '？']) => {
                return &text[..at];
            }
            b'.' | b'!' | b'?' if !in_formula => {
                let next = bytes.get(at + 1);
                if is_abbreviation(text, at) || is_factorial(text, at) {
                    at += 1;
                    continue;
                }
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

/// Whether the full stop at `at` ends an abbreviation before a number: "Rs. 240", "approx. 3".
fn is_abbreviation(text: &str, at: usize) -> bool {
    let word = text[..at].rsplit(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
    let known = ["Rs", "No", "Nos", "approx", "ca", "c", "vs", "Eq", "Fig", "Ex", "Ans"];
    let number = text[at + 1..].trim_start_matches([' ', '$', '\\']);
    known.contains(&word) && number.starts_with(|c: char| c.is_ascii_digit())
}

/// Whether the "!" at `at` is a factorial inside an expression: "6! = 720", "5!/3!".
fn is_factorial(text: &str, at: usize) -> bool {
    let after = text[at + 1..].trim_start_matches(' ');
    text[..=at].ends_with('!')
        && text[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == ')')
        && after.starts_with(['=', '+', '-', '/', '·', '×', '\\', '<', '>', '≈'])
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
    fn finds_plain_expressions() {
        assert_eq!(last_expression("The sum is 2x + 3."), Some("2x + 3"));
        assert_eq!(last_expression("The area is A = 9π"), Some("9π"));
        assert_eq!(last_expression("So it is \\frac{5}{6}."), Some("\\frac{5}{6}"));
        assert_eq!(last_expression("The solution is x <= 4."), Some("x <= 4"));
        assert_eq!(last_expression("The roots are 3 and 4."), Some("3 and 4"));
        assert_eq!(last_expression("The sum is 23."), None);
        assert_eq!(last_expression("The sum is 23 apples + 4"), None);
    }

    #[test]
    fn finds_emphasised_words() {
        assert_eq!(last_emphasised("So **Bob** or \\textbf{Ann}."), Some("Ann"));
        assert_eq!(last_emphasised("So **Bob wins**."), Some("Bob wins"));
        assert_eq!(last_emphasised("nothing ** here"), None);
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
