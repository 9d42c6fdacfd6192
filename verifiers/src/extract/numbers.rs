//! Finds the last number of a sentence, with its sign, separators, fraction bar and percent sign.
//!
//! It knows how numbers are written in prose and nothing else; formulas are the environments'
//! business. One pass from the end of the text, no backtracking.

use super::Span;

/// The Unicode minus sign.
const MINUS: &[u8] = "\u{2212}".as_bytes();

/// The last number of the text.
pub(crate) fn last_number(text: &str) -> Option<Span> {
    let bytes = text.as_bytes();
    let mut end = bytes.len();
    loop {
        end = text[..end].rfind(|c: char| c.is_ascii_digit())? + 1;
        let start = number_start(bytes, end);
        // `x1`, `a_2`, and the power of a unit in `12 cm^2` or `cm$^2$`.
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

/// First byte of the run of digits and inner separators that ends at `end`.
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
        } else if braced {
            start -= 3;
        } else {
            break;
        }
    }
    start
}

/// First byte of `2.5e` in front of the exponent that starts at `start`.
fn mantissa_start(bytes: &[u8], start: usize) -> Option<usize> {
    let letter = start.checked_sub(1)?;
    let number = matches!(bytes[letter], b'e' | b'E')
        && letter.checked_sub(1).is_some_and(|at| bytes[at].is_ascii_digit());
    let begin = number_start(bytes, letter);
    let free = begin == 0 || !bytes[begin - 1].is_ascii_alphabetic();
    (number && free).then_some(begin)
}

/// Widens a run of digits by its fraction bar, sign and percent sign.
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

/// Whether a number or a closing bracket stands before position `at`, so that a minus sign
/// subtracts.
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
        assert_eq!(found("roughly 2.5e3 of them"), Some("2.5e3"));
        assert_eq!(found("at 10:30 or in the ratio 2:3."), Some("2:3"));
    }
}
