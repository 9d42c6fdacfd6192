//! Normalises the many Unicode forms of a character into the ASCII that the lexer reads.
//!
//! Works character by character, without a grammar: signs, full-width forms and superscripts become
//! LaTeX, invisible and control characters are removed. Macro definitions are refused, never expanded.

use std::borrow::Cow;

use crate::fuel::Reason;

/// Longest answer or reference that is parsed, in bytes.
pub(crate) const MAX_BYTES: usize = 16 << 10;

/// Commands that define or include something.
const DEFINITIONS: [&str; 7] =
    ["\\def", "\\newcommand", "\\renewcommand", "\\let", "\\input", "\\include", "\\catcode"];

/// The text in plain ASCII LaTeX.
pub(crate) fn clean(text: &str) -> Result<Cow<'_, str>, Reason> {
    if text.len() > MAX_BYTES {
        return Err(Reason::TooLong);
    }
    if text.contains('\\') && DEFINITIONS.iter().any(|d| defines(text, d)) {
        return Err(Reason::Unparsed);
    }
    let times = times_ten(text).or_else(|| respelled(text));
    let doubled = is_doubled(text);
    let plain = |c: char| c == '\n' || c == '\t' || !c.is_control() && c.is_ascii();
    if times.is_none() && !doubled && text.chars().all(plain) {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut raised = false;
    for c in times.as_deref().unwrap_or(text).chars() {
        let digit = superscript(c);
        match digit {
            Some(d) if raised => {
                out.pop();
                out.push(d);
                out.push('}');
            }
            Some(d) => {
                out.push_str("^{");
                out.push(d);
                out.push('}');
            }
            None => fold(c, &mut out),
        }
        raised = digit.is_some();
    }
    Ok(Cow::Owned(if doubled { out.replace("\\\\", "\\") } else { out }))
}

/// Rewrites "negative 5" with a minus sign, `+- ` as `\pm`, and `1'234'567` without its apostrophes; `None`
/// if the text has none of these forms.
fn respelled(text: &str) -> Option<String> {
    let text = text.trim_start();
    for word in ["negative ", "minus "] {
        let number = text.get(..word.len()).filter(|head| head.eq_ignore_ascii_case(word));
        let rest = number.map_or("", |_| text[word.len()..].trim_start());
        if rest.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '$' | '\\' | '.')) {
            return Some(match rest.strip_prefix('$') {
                Some(formula) if formula.contains('$') => format!("$-{formula}"),
                _ => format!("-{rest}"),
            });
        }
    }
    // In `x+-2`, -2 is added; with a blank after the signs, they mean plus-minus.
    let value = text.rsplit('=').next().unwrap_or(text).trim_start_matches([' ', '$']);
    if value.starts_with("+- ") || text.contains("+/-") {
        return Some(text.replace("+/-", "\\pm ").replace("+- ", "\\pm "));
    }
    ungrouped(text)
}

/// The text without apostrophes between groups of three digits; `None` if it has none.
fn ungrouped(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let digits = |from: usize| bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let grouping = |at: usize, mark: char| {
        matches!(mark, '\'' | '\u{2019}')
            && at > 0
            && bytes[at - 1].is_ascii_digit()
            && digits(at + mark.len_utf8()) == 3
    };
    let kept: String =
        text.char_indices().filter(|&(at, c)| !grouping(at, c)).map(|(_, c)| c).collect();
    (kept.len() < text.len()).then_some(kept)
}

/// The text with a multiplication sign in place of the letter in `6.02 x 10^23`; `None` if it has none.
fn times_ten(text: &str) -> Option<String> {
    let (at, _) = text.match_indices(['x', 'X']).find(|(at, _)| {
        let after = text[at + 1..].trim_start_matches(' ').strip_prefix("10");
        let power = after.is_some_and(|rest| {
            rest.starts_with(['^', '⁻'])
                || rest.starts_with("**")
                || rest.chars().next().is_some_and(|c| superscript(c).is_some())
        });
        power && text[..*at].trim_end_matches(' ').ends_with(|c: char| c.is_ascii_digit())
    })?;
    Some(format!("{}\\times {}", &text[..at], &text[at + 1..]))
}

/// Whether every backslash was escaped once too often, because the first environment begins with two.
fn is_doubled(text: &str) -> bool {
    text.find("begin{").is_some_and(|at| {
        let marks = text[..at].bytes().rev().take_while(|b| *b == b'\\').count();
        marks >= 2 && marks.is_multiple_of(2)
    })
}

/// Whether `definition` occurs as a complete command: `\let` but not `\left`.
fn defines(text: &str, definition: &str) -> bool {
    text.match_indices(definition).any(|(at, _)| {
        !text.as_bytes().get(at + definition.len()).is_some_and(u8::is_ascii_alphabetic)
    })
}

fn superscript(c: char) -> Option<char> {
    Some(match c {
        '⁰' => '0',
        '¹' => '1',
        '²' => '2',
        '³' => '3',
        '⁴' => '4',
        '⁵' => '5',
        '⁶' => '6',
        '⁷' => '7',
        '⁸' => '8',
        '⁹' => '9',
        '⁻' => '-',
        'ⁿ' => 'n',
        _ => return None,
    })
}

/// Appends the ASCII form of one character.
fn fold(c: char, out: &mut String) {
    if let Some(known) = spelled(c) {
        out.push_str(known);
        return;
    }
    match c {
        '\n' | '\t' | ' '..='~' => out.push(c),
        // Full-width forms of ASCII.
        '\u{ff01}'..='\u{ff5e}' => {
            out.extend(char::from_u32(c as u32 - 0xfee0));
        }
        // Mathematical digits in five styles.
        '\u{1d7ce}'..='\u{1d7ff}' => {
            out.extend(char::from_digit((c as u32 - 0x1d7ce) % 10, 10));
        }
        '₀'..='₉' => {
            out.push('_');
            out.extend(char::from_digit(c as u32 - 0x2080, 10));
        }
        '或' => out.push_str(" or "),
        '、' => out.push(','),
        c if c.is_control() || is_invisible(c) => {}
        c if c.is_whitespace() => out.push(' '),
        c => out.push(c),
    }
}

/// Zero-width, joiner, bidirectional and variation characters.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}'
        | '\u{feff}' | '\u{ad}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0000}'..='\u{e007f}')
}

/// Signs and letters, with the LaTeX for them.
const SPELLED: [(&str, &str); 77] = [
    ("−–—‐‑﹣", "-"),
    ("×✕⨯", "\\times "),
    ("·⋅∙•", "\\cdot "),
    ("÷", "\\div "),
    ("∕⁄", "/"),
    ("±", "\\pm "),
    ("∓", "\\mp "),
    ("≤⩽≦", "\\le "),
    ("≥⩾≧", "\\ge "),
    ("≠", "\\ne "),
    ("≈", "\\approx "),
    ("≡", "\\equiv "),
    ("∞", "\\infty "),
    ("√", "\\sqrt "),
    ("∛", "\\sqrt[3] "),
    ("∪", "\\cup "),
    ("∩", "\\cap "),
    ("∈", "\\in "),
    ("∉", "\\notin "),
    ("∅Ø", "\\emptyset "),
    ("∖", "\\setminus "),
    ("ℝ", "\\mathbb{R}"),
    ("ℤ", "\\mathbb{Z}"),
    ("ℚ", "\\mathbb{Q}"),
    ("ℕ", "\\mathbb{N}"),
    ("ℂ", "\\mathbb{C}"),
    ("°º", "^\\circ "),
    ("∠", "\\angle "),
    ("…⋯", "\\ldots "),
    ("½", "\\frac12 "),
    ("⅓", "\\frac13 "),
    ("⅔", "\\frac23 "),
    ("¼", "\\frac14 "),
    ("¾", "\\frac34 "),
    ("⅕", "\\frac15 "),
    ("⅖", "\\frac25 "),
    ("⅗", "\\frac35 "),
    ("⅘", "\\frac45 "),
    ("⅙", "\\frac16 "),
    ("⅚", "\\frac56 "),
    ("⅛", "\\frac18 "),
    ("⅜", "\\frac38 "),
    ("⅝", "\\frac58 "),
    ("⅞", "\\frac78 "),
    ("⌊", "\\lfloor "),
    ("⌋", "\\rfloor "),
    ("⌈", "\\lceil "),
    ("⌉", "\\rceil "),
    ("⟨〈", "\\langle "),
    ("⟩〉", "\\rangle "),
    ("→", "\\to "),
    ("⇒⟹", "\\Rightarrow "),
    ("∴", "\\therefore "),
    ("✓✔✅", " "),
    ("‘’′", "'"),
    ("“”", "\""),
    ("¢", "\\text{ cents}"),
    ("€", "\\euro "),
    ("£", "\\pounds "),
    ("¥￥", "\\yen "),
    ("₹", "\\rupee "),
    ("，、", ", "),
    ("。", "."),
    ("α", "\\alpha "),
    ("β", "\\beta "),
    ("γ", "\\gamma "),
    ("δ", "\\delta "),
    ("ε", "\\epsilon "),
    ("θ", "\\theta "),
    ("λ", "\\lambda "),
    ("μ", "\\mu "),
    ("π", "\\pi "),
    ("ρ", "\\rho "),
    ("σ", "\\sigma "),
    ("τ", "\\tau "),
    ("φϕ", "\\phi "),
    ("ω", "\\omega "),
];

/// The LaTeX for a sign or letter.
fn spelled(c: char) -> Option<&'static str> {
    if c.is_ascii() {
        return None;
    }
    let known = SPELLED.iter().find(|(signs, _)| signs.contains(c))?;
    Some(known.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_signs_and_hides_the_invisible() {
        assert_eq!(clean("−5\u{200b}\u{202e}").unwrap(), "-5");
        assert_eq!(clean("x¹²").unwrap(), "x^{12}");
        assert_eq!(clean("１２").unwrap(), "12");
        assert_eq!(clean("a\u{0007}b").unwrap(), "ab");
    }

    #[test]
    fn refuses_definitions_but_not_left() {
        assert_eq!(clean("\\def\\x{1}\\x"), Err(Reason::Unparsed));
        assert!(clean("\\left(1\\right)").is_ok());
        assert_eq!(clean(&"1".repeat(MAX_BYTES + 1)), Err(Reason::TooLong));
    }
}
