//! `minerva_math`: a fixed closing sentence, textual substitutions, equality of formulas.
//!
//! Equal texts are right. Other texts are right if SymPy parses both as formulas and their difference is
//! zero. SymPy stops at the first token that does not continue the formula, so `1, 2` counts as 1. It has
//! no named constants: `\pi`, `e` and `i` are variables, and `x(x+1)` is a function of `x+1`.

use super::minerva_words::{SUBSTITUTIONS, without_expressions, without_words};
use super::{last_box, sympy};

/// The verdict of `minerva_math`'s `exact_match` on a MATH solution and an output.
#[must_use]
pub fn minerva_math(solution: &str, output: &str) -> bool {
    let Some(gold) = last_box(solution).map(normalized) else { return false };
    let Some(answer) = closing_sentence(output).as_deref().map(normalized) else { return false };
    !gold.is_empty() && gold == answer || sympy::equal(&gold, &answer)
}

/// The text between the two halves of the closing sentence, on one line. The harness appends the second
/// half, for outputs that end before it.
fn closing_sentence(output: &str) -> Option<String> {
    const OPENING: &str = "Final Answer: The final answer is";
    const CLOSING: &str = " I hope it is correct";
    let text = format!("{output}I hope it is correct.");
    text.match_indices(OPENING).find_map(|(at, _)| {
        let line = text[at + OPENING.len()..].split('\n').next()?;
        // One arbitrary character, usually a full stop, must precede the second half, and one must follow
        // it.
        line.match_indices(CLOSING).find_map(|(end, _)| {
            let last = line[..end].chars().next_back()?;
            let closed = end + CLOSING.len() < line.len();
            closed.then(|| line[..end - last.len_utf8()].trim().to_owned())
        })
    })
}

fn normalized(answer: &str) -> String {
    let mut text = without_words(answer.rsplit('=').next().unwrap_or_default());
    for (from, to) in SUBSTITUTIONS {
        text = text.replace(from, to);
    }
    text = without_expressions(&text);
    text = text.split('\n').map(first_formula).collect::<Vec<_>>().join("\n");
    for command in ["\\text{", "\\textbf{", "\\overline{"] {
        text = unwrapped(&text, command, |line| line.find('}'));
    }
    text = unwrapped(&text, "\\boxed{", |line| line.rfind('}'));
    text = braced_roots(&braced_fractions(&text)).replace('$', "");
    if is_grouped(&text) { text.replace(',', "") } else { text }
}

/// The formula, if there are two dollar signs on the line; otherwise the line.
fn first_formula(line: &str) -> String {
    let mut parts = line.splitn(3, '$');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(_), Some(formula), Some(_)) => format!("${formula}$"),
        _ => line.to_owned(),
    }
}

/// Removes every occurrence of a command, with the closing brace that `closing` finds on its line.
fn unwrapped(text: &str, command: &str, closing: impl Fn(&str) -> Option<usize>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(command) {
        let inner = &rest[at + command.len()..];
        let line = inner.split('\n').next().unwrap_or_default();
        out.push_str(&rest[..at]);
        rest = match closing(line) {
            Some(end) => {
                out.push_str(&inner[..end]);
                &inner[end + 1..]
            }
            None => {
                out.push_str(command);
                inner
            }
        };
    }
    out + rest
}

/// Adds braces to `frac12`, for any two characters of which the first is not an opening brace.
fn braced_fractions(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("frac") {
        let behind = &rest[at + 4..];
        let mut chars = behind.chars();
        out.push_str(&rest[..at + 4]);
        rest = match (chars.next(), chars.next()) {
            (Some(above), Some(below)) if above != '{' && below != '\n' => {
                out.push_str(&format!("{{{above}}}{{{below}}}"));
                chars.as_str()
            }
            _ => behind,
        };
    }
    out + rest
}

/// Adds braces to `sqrt3` and `sqrt[3]8`.
fn braced_roots(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("sqrt") {
        let behind = &rest[at + 4..];
        let index =
            if behind.starts_with('[') { behind.find(']').map_or(0, |end| end + 1) } else { 0 };
        let radicand = behind[index..].chars().next();
        let braced = radicand.filter(|c| match index {
            0 => !matches!(c, '{' | '['),
            _ => c.is_alphanumeric() || *c == '_',
        });
        out.push_str(&rest[..at + 4 + index]);
        rest = &behind[index..];
        if let Some(radicand) = braced {
            out.push_str(&format!("{{{radicand}}}"));
            rest = &rest[radicand.len_utf8()..];
        }
    }
    out + rest
}

/// Whether a text is an integer with commas between groups of three digits.
fn is_grouped(text: &str) -> bool {
    let digits = |group: &str| group.bytes().all(|b| b.is_ascii_digit());
    let mut groups = text.strip_prefix('-').unwrap_or(text).split(',');
    let first = groups.next().unwrap_or_default();
    let mut rest = groups.peekable();
    (1..=3).contains(&first.len())
        && digits(first)
        && rest.peek().is_some()
        && rest.all(|group| group.len() == 3 && digits(group))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(answer: &str) -> String {
        format!("So. Final Answer: The final answer is ${answer}$. I hope it is correct.")
    }

    #[test]
    fn follows_the_closing_sentence() {
        assert!(minerva_math("\\boxed{\\frac12}", &output("\\frac{1}{2}")));
        assert!(minerva_math("\\boxed{5}", &output("x = 5")));
        assert!(minerva_math("\\boxed{1,000}", &output("1000")));
        assert!(minerva_math("\\boxed{x^2-1}", &output("(x-1)(x+1)")));
        assert!(!minerva_math("\\boxed{5}", "The answer is \\boxed{5}"));
        assert!(!minerva_math("\\boxed{5}", &output("6")));
        assert!(minerva_math("\\boxed{5}", "Final Answer: The final answer is $5$. "));
        assert!(!minerva_math("\\boxed{5}", "Final Answer: The final answer is $5$."));
        assert!(!minerva_math("\\boxed{5}", &output("5").replace(" I hope", "\nI hope")));
    }

    #[test]
    fn words_go_and_commands_stay() {
        assert_eq!(normalized("2\\pi cm"), "2\\pi");
        assert_eq!(normalized("\\left(1\\right) feet"), "\\left(1\\right)");
        assert_eq!(normalized("5\\text{ feet}"), "5");
        assert_eq!(normalized("ways_1"), "_1");
        assert_eq!(
            normalized("\\frac 12 + \\sqrt3 + \\sqrt[3]4"),
            "\\frac{1}{2}+\\sqrt{3}+\\sqrt[3]{4}"
        );
        assert_eq!(normalized("-1,234,567"), "-1234567");
        assert_eq!(normalized("0,1"), "0,1");
        assert_eq!(normalized("the $a$ and $b$"), "a");
        assert_eq!(normalized("\\boxed{\\frac{1}{2}}"), "\\frac{1}{2}");
    }

    #[test]
    fn equal_texts_are_right_and_lists_are_cut() {
        assert!(minerva_math("\\boxed{(1,2)}", &output("(1,2)")));
        assert!(!minerva_math("\\boxed{(1,2)}", &output("(1, 2.0)")));
        // A known fault of the harness: only the first item counts.
        assert!(minerva_math("\\boxed{1,2}", &output("1,3")));
    }
}
