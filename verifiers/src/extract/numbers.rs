//! Finds the last number of a sentence, with its sign, separators, fraction bar and percent sign.
//!
//! Only numbers in prose are read here; formulas are found in `environments`. One pass from the end of
//! the text, without backtracking.

use super::Span;
use crate::syntax::names;

/// The Unicode minus sign.
const MINUS: &[u8] = "\u{2212}".as_bytes();

/// The en dash, which some texts use as a minus sign.
const EN_DASH: &[u8] = "\u{2013}".as_bytes();

/// The last number of the text.
pub(crate) fn last_number(text: &str) -> Option<Span> {
    let bytes = text.as_bytes();
    let mut end = bytes.len();
    loop {
        end = text[..end].rfind(|c: char| c.is_ascii_digit())? + 1;
        let start = number_start(bytes, end);
        // Digits of `x1` and `a_2`, and the power of a unit in `12 cm^2` or `cm$^2$`, are not numbers.
        let glued = match &bytes[..start] {
            [.., b'_'] => true,
            [.., before, b'^'] => before.is_ascii_alphabetic() || *before == b'$',
            [.., before] => before.is_ascii_alphabetic(),
            [] => false,
        };
        if !glued {
            return Some(whole_number(bytes, start, end));
        }
        if let Some(start) = mantissa_start(bytes, start) {
            return Some(whole_number(bytes, start, end));
        }
        end = start;
    }
}

/// First byte of the sequence of digits and inner separators that ends at `end`.
fn number_start(bytes: &[u8], end: usize) -> usize {
    let mut start = end;
    while start > 0 {
        let byte = bytes[start - 1];
        let inner = matches!(byte, b',' | b'.')
            && start >= 2
            && (bytes[start - 2].is_ascii_digit() || byte == b'.');
        let braced = byte == b'}' && start >= 4 && &bytes[start - 3..start] == b"{,}";
        if byte.is_ascii_digit() || inner {
            start -= 1;
        } else if let Some(first) = group_before(bytes, start, end) {
            start = first;
        } else if braced {
            start -= 3;
        } else {
            break;
        }
    }
    start
}

/// Blanks that separate groups of thousands: space, no-break space, narrow no-break space, thin space,
/// and `\,`.
const GROUP_BLANKS: [&[u8]; 5] =
    [b" ", "\u{a0}".as_bytes(), "\u{202f}".as_bytes(), "\u{2009}".as_bytes(), b"\\,"];

/// First byte of a group of one to three digits that precedes a blank and the three digits at `start`:
/// `1` in `1 500`.
fn group_before(bytes: &[u8], start: usize, end: usize) -> Option<usize> {
    let group = bytes[start..end].iter().take_while(|b| b.is_ascii_digit()).count();
    let blank = GROUP_BLANKS.iter().find(|blank| bytes[..start].ends_with(blank))?;
    let before = &bytes[..start - blank.len()];
    let digits = before.iter().rev().take_while(|b| b.is_ascii_digit()).count();
    let first = before.len() - digits;
    let free = first == 0 || !matches!(bytes[first - 1], b'.' | b',' | b'/' | b'^' | b'_');
    let counted = (1..=3).contains(&digits) && bytes[first] != b'0' || digits == 3;
    (group == 3 && counted && free).then_some(first)
}

/// First byte of the mantissa (`2.5e`) of the exponent that begins at `start`.
fn mantissa_start(bytes: &[u8], start: usize) -> Option<usize> {
    let letter = start.checked_sub(1)?;
    let number = matches!(bytes[letter], b'e' | b'E')
        && letter.checked_sub(1).is_some_and(|at| bytes[at].is_ascii_digit());
    let begin = number_start(bytes, letter);
    let free = begin == 0 || !bytes[begin - 1].is_ascii_alphabetic();
    (number && free).then_some(begin)
}

/// Extends a sequence of digits by its fraction bar, sign and percent sign.
fn whole_number(bytes: &[u8], mut start: usize, mut end: usize) -> Span {
    if start >= 2 && bytes[start - 1] == b'/' && bytes[start - 2].is_ascii_digit() {
        start = number_start(bytes, start - 1);
    }
    // Ratios and times of day: `2:3`, `10:30`.
    while start >= 2 && bytes[start - 1] == b':' && bytes[start - 2].is_ascii_digit() {
        start = number_start(bytes, start - 1);
    }
    let sign = if start > 0 && bytes[start - 1] == b'$' { start - 1 } else { start };
    if bytes[..sign].ends_with(MINUS) {
        start = sign - MINUS.len();
    } else if bytes[..sign].ends_with(EN_DASH) && is_sign(bytes, sign - EN_DASH.len()) {
        start = sign - EN_DASH.len();
    } else if sign > 0 && bytes[sign - 1] == b'-' {
        let before = sign.checked_sub(2).map(|at| bytes[at]);
        if before.is_none_or(|b| !b.is_ascii_alphanumeric() && b != b')' && b != b' ')
            || before == Some(b' ') && !operand_before(bytes, sign - 2)
        {
            start = sign - 1;
        }
    }
    while bytes.get(end).is_some_and(|b| *b == b'%') {
        end += 1;
    }
    Span { start, end }
}

/// Whether the number at `span` stands alone: no operator, power, index or unknown letter is attached to
/// it or joins it to something else.
pub(super) fn is_whole(text: &str, span: Span) -> bool {
    let (before, after) = (&text[..span.start], &text[span.end..]);
    let joined = |c: char| "+*/×·÷^√_=≠<>\\".contains(c);
    let behind = after.trim_start_matches(' ');
    let continued = match behind.chars().next() {
        None => false,
        Some(c) if c.is_control() && !c.is_whitespace() => true,
        Some('*') => !behind.starts_with("**") && !closes_emphasis(before, behind),
        Some(c @ ('-' | '−')) => behind[c.len_utf8()..].trim().is_empty(),
        Some('\\') => ![
            "\\)", "\\]", "\\%", "\\,", "\\;", "\\!", "\\ ", "\\text", "\\mathrm", "\\quad",
            "\\qquad", "\\n", "\\\\",
        ]
        .iter()
        .any(|c| behind.starts_with(c)),
        Some('/') => {
            behind[1..].trim_start().is_empty()
                || behind[1..].trim_start().starts_with(|c: char| c.is_ascii_digit() || c == '(')
        }
        // "20 = A" gives a value, "20 = 4A" is an equation.
        Some('=') => behind[1..].trim().trim_end_matches('.').chars().count() != 1,
        Some('½' | '⅓' | '⅔' | '¼' | '¾') => true,
        Some(c) => {
            joined(c)
                || "π²³⁴⁵!".contains(c) && !behind[c.len_utf8()..].trim().is_empty() && c != '!'
                || c == 'π'
        }
    };
    let letters = after.bytes().take_while(u8::is_ascii_alphabetic).count();
    let glued = letters > 0 && !is_suffix(&after[..letters]);
    let front = before.trim_end_matches(' ');
    let joins = front
        .ends_with(|c: char| "+/×·÷^√≠".contains(c) || c.is_control() && !c.is_whitespace())
        || front.ends_with('*')
            && !front.ends_with("**")
            && operand_before(front.as_bytes(), front.len() - 1)
        || front.ends_with(['-', '−']) && {
            let at = front.trim_end_matches(['-', '−']).len();
            operand_before(front.as_bytes(), at) && before.len() > front.len()
        };
    // The second part of a ratio "3 to 4"; but a range "from 3 to 4" ends at 4.
    let ratio = front.strip_suffix(" to").is_some_and(|first| {
        let clause = first.rsplit(['.', '\n', ',']).next().unwrap_or(first);
        first.ends_with(|c: char| c.is_ascii_digit()) && !clause.contains("from ")
    });
    // "10 minus 5", "x minus 5": an operand of a calculation.
    let subtracted = ["minus", "plus", "times"].iter().any(|word| {
        front.strip_suffix(word).is_some_and(|head| {
            let operand = head.trim_end().rsplit(' ').next().unwrap_or_default();
            head.ends_with(' ')
                && (operand.len() == 1 || operand.ends_with(|c: char| c.is_ascii_digit()))
        })
    });
    let unequal = ["\\neq", "\\ne", "!=", "<>"].iter().any(|sign| front.ends_with(sign));
    !(continued || glued || joins || unequal || ratio || subtracted)
}

/// Whether a star after a number closes emphasis that opens before the number.
fn closes_emphasis(before: &str, behind: &str) -> bool {
    let line = before.rsplit('\n').next().unwrap_or(before);
    line.matches('*').count() % 2 == 1 && !behind[1..].starts_with(|c: char| c.is_alphanumeric())
}

/// Whether letters attached to a number leave it a number: units and ordinals.
fn is_suffix(letters: &str) -> bool {
    matches!(letters, "st" | "nd" | "rd" | "th" | "x" | "D" | "K" | "k" | "M") && letters != "x"
        || names::unit_word(letters)
        || names::unit(letters).is_some()
        || names::unit_letter(letters)
}

/// The number with the currency sign before it and the unit after it, if they are known: `$6`, `6 cents`,
/// `2 hours and 15 minutes`.
pub(super) fn with_unit(text: &str, span: Span) -> Span {
    let mut start = span.start;
    let currency = text[..start].chars().next_back().filter(|c| "$€£¥₹".contains(*c));
    if let Some(sign) = currency {
        start -= sign.len_utf8();
        start -= usize::from(text[..start].ends_with('\\'));
    }
    let end = unit_end(text, span.end);
    if end > span.end {
        start = compound_start(text, start);
    }
    Span { start: signed_start(text, start), end }
}

/// Start of the number at `start` including a sign in words: "negative 5", "minus 5".
fn signed_start(text: &str, start: usize) -> usize {
    let before = text[..start].trim_end_matches(' ');
    let sign = SIGN_WORDS.iter().filter_map(|word| before.strip_suffix(word)).find(|head| {
        head.is_empty()
            || head.ends_with([' ', '\n', '*']) && !operand_before(head.as_bytes(), head.len())
    });
    sign.map_or(start, str::len)
}

/// End of the unit that begins at `at`; `at` if no unit is known.
fn unit_end(text: &str, at: usize) -> usize {
    let mut end = at;
    let mut place = at;
    loop {
        let rest = &text[place..];
        let blank = rest.len() - rest.trim_start_matches(' ').len();
        let word = &rest[blank..];
        let letters = word.bytes().take_while(u8::is_ascii_alphabetic).count();
        let name = &word[..letters];
        let sign = word.chars().next().filter(|c| "¢°%²³".contains(*c)).map_or(0, char::len_utf8);
        let power = if word.starts_with("^2") || word.starts_with("^3") { 2 } else { 0 };
        if letters > 0 && (names::unit(name).is_some() || end > at && names::unit_word(name)) {
            place += blank + letters;
            end = place;
        } else if matches!(
            name,
            "per"
                | "square"
                | "cubic"
                | "degrees"
                | "radians"
                | "rad"
                | "euros"
                | "euro"
                | "yen"
                | "rupees"
                | "thousand"
                | "million"
                | "billion"
                | "trillion"
        ) {
            place += blank + letters;
            if !matches!(name, "per" | "square" | "cubic") {
                end = place;
            }
        } else if sign > 0 || power > 0 && end > at {
            place += blank + sign + power;
            end = place;
        } else if word.starts_with('/') && end > at && blank == 0 {
            place += 1;
        } else {
            return end;
        }
        if place - at > MAX_UNIT {
            return end;
        }
    }
}

/// Words for a minus sign.
const SIGN_WORDS: [&str; 4] = ["negative", "minus", "Negative", "Minus"];

/// Longest unit after a number, in bytes.
const MAX_UNIT: usize = 32;

/// Start of a quantity of several units whose last part begins at `start`: `2 hours and 15 minutes`.
fn compound_start(text: &str, start: usize) -> usize {
    let before = text[..start].trim_end_matches([' ', ',']);
    let before = before.strip_suffix("and").unwrap_or(before).trim_end_matches([' ', ',']);
    let letters = before.bytes().rev().take_while(u8::is_ascii_alphabetic).count();
    let number = before[..before.len() - letters].trim_end_matches(' ');
    let digits = number.bytes().rev().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
    let measured = letters > 0 && names::unit(&before[before.len() - letters..]).is_some();
    if measured && digits > 0 { number.len() - digits } else { start }
}

/// Whether an en dash at `at` is a minus sign: it follows a blank or bracket and no operand, or begins
/// the text.
fn is_sign(bytes: &[u8], at: usize) -> bool {
    at == 0 || matches!(bytes[at - 1], b' ' | b'$' | b'(' | b'\n') && !operand_before(bytes, at)
}

/// Whether a number or a closing bracket comes before position `at`, so that a minus sign there means
/// subtraction.
fn operand_before(bytes: &[u8], at: usize) -> bool {
    bytes[..at]
        .iter()
        .rev()
        .find(|b| !b.is_ascii_whitespace())
        .is_some_and(|b| b.is_ascii_digit() || matches!(b, b')' | b'$' | b'%'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Option<&str> {
        last_number(text).map(|s| &text[s.range()])
    }

    #[test]
    fn finds_numbers_as_prose_writes_them() {
        assert_eq!(found("which is 1,000.99m²"), Some("1,000.99"));
        assert_eq!(found("the probability is 2/3."), Some("2/3"));
        assert_eq!(found("Soucis : 2,74 $ a.."), Some("2,74"));
        assert_eq!(found("increases by 100%."), Some("100%"));
        assert_eq!(found("it is -5"), Some("-5"));
        assert_eq!(found("12 - 5"), Some("5"));
        assert_eq!(found("it cost $29.00."), Some("29.00"));
        assert_eq!(found("see x1 but 4"), Some("4"));
        assert_eq!(found("an area of 12 cm^2."), Some("12"));
        assert_eq!(found("the 3 values in x2"), Some("3"));
        assert_eq!(found("no digit"), None);
        assert_eq!(found("about .5"), Some(".5"));
        assert_eq!(found("We count 1 500."), Some("1 500"));
        assert_eq!(found("We count 12\u{2009}345\u{2009}678."), Some("12\u{2009}345\u{2009}678"));
        assert_eq!(found("in 2020 500 people"), Some("500"));
        assert_eq!(found("roughly 2.5e3 of them"), Some("2.5e3"));
        assert_eq!(found("at 10:30 or in the ratio 2:3."), Some("2:3"));
    }
}
