//! Numbers that JSON readers round: integers beyond 64 bits, and decimals with more digits than a double
//! holds. [`keep_digits`] puts such numbers in quotes before the text is parsed, so that a reference or
//! an id keeps the digits of the file. `serde_json`'s `arbitrary_precision` would apply to every reader
//! of the program, and it breaks untagged and flattened types.

use std::borrow::Cow;

/// Longest number, in digits, that is written without its exponent.
const MAX_DIGITS: usize = 400;

/// Replaces each number in `json` that neither a double nor a 64-bit integer represents exactly by a string
/// of its digits, without an exponent. Returns the resulting text. Line breaks are kept; text that is not
/// JSON stays invalid.
pub(super) fn keep_digits(json: &str) -> Cow<'_, str> {
    let mut kept = String::new();
    let mut copied = 0;
    for (start, number) in numbers(json) {
        if let Some(digits) = rounded(number) {
            kept.push_str(&json[copied..start]);
            kept.push('"');
            kept.push_str(&digits);
            kept.push('"');
            copied = start + number.len();
        }
    }
    if copied == 0 {
        return Cow::Borrowed(json);
    }
    kept.push_str(&json[copied..]);
    Cow::Owned(kept)
}

/// Tokens outside of strings that may be numbers, each with its position.
fn numbers(json: &str) -> impl Iterator<Item = (usize, &str)> {
    let bytes = json.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            match bytes.get(at)? {
                b'"' => at = end_of_string(bytes, at),
                b'-' | b'0'..=b'9' => {
                    let start = at;
                    let part =
                        |byte: &u8| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9');
                    at += bytes[start..].iter().take_while(|byte| part(byte)).count();
                    return Some((start, &json[start..at]));
                }
                _ => at += 1,
            }
        }
    })
}

/// Position after the string that begins at `start`, or the end of the text.
fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The number without exponent, if parsing would round it; `None` if it is exact or not a JSON number.
fn rounded(number: &str) -> Option<String> {
    // A number of at most 15 digits is never rounded, whatever its exponent.
    if number.len() <= 15 || number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok() {
        return None;
    }
    let written = Decimal::parse(number)?;
    let read = number.parse::<f64>().ok().filter(|read| read.is_finite());
    if read.is_some_and(|read| Decimal::parse(&format!("{read:e}")).as_ref() == Some(&written)) {
        return None;
    }
    Some(written.text().unwrap_or_else(|| number.to_owned()))
}

/// A decimal number: `digits` times ten to the power `exponent`.
#[derive(Debug, PartialEq)]
struct Decimal {
    negative: bool,
    /// Without zeros at either end; empty for zero.
    digits: String,
    exponent: i64,
}

impl Decimal {
    /// Parses a number in JSON notation.
    fn parse(number: &str) -> Option<Self> {
        let (negative, rest) = match number.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, number),
        };
        let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (rest, 0),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (mantissa, None),
        };
        let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let leading_zero = whole.len() > 1 && whole.starts_with('0');
        if !all_digits(whole) || leading_zero || !fraction.is_none_or(all_digits) {
            return None;
        }
        let fraction = fraction.unwrap_or_default();
        let all = format!("{whole}{fraction}");
        let kept = all.trim_end_matches('0');
        let dropped = (all.len() - kept.len()) as i64;
        let digits = kept.trim_start_matches('0').to_owned();
        let exponent = i64::from(exponent) - fraction.len() as i64 + dropped;
        let exponent = if digits.is_empty() { 0 } else { exponent };
        Some(Self { negative, digits, exponent })
    }

    /// The number without an exponent; `None` if it would be longer than [`MAX_DIGITS`].
    fn text(&self) -> Option<String> {
        let zeros =
            usize::try_from(self.exponent.unsigned_abs()).ok().filter(|n| *n <= MAX_DIGITS)?;
        let sign = if self.negative { "-" } else { "" };
        if self.exponent >= 0 {
            return Some(format!("{sign}{}{}", self.digits, "0".repeat(zeros)));
        }
        let padded = format!("{:0>width$}", self.digits, width = zeros + 1);
        let (whole, fraction) = padded.split_at(padded.len() - zeros);
        Some(format!("{sign}{whole}.{fraction}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    #[test]
    fn numbers_that_would_be_rounded_are_texts_of_their_digits() {
        let cases = [
            ("18446744073709551616", "18446744073709551616"),
            ("-9223372036854775809", "-9223372036854775809"),
            ("265252859812191058636308480000000", "265252859812191058636308480000000"),
            ("0.12345678901234567891", "0.12345678901234567891"),
            ("-1.00000000000000000005", "-1.00000000000000000005"),
            ("1.8446744073709551616e19", "18446744073709551616"),
            ("12345678901234567891E-22", "0.0012345678901234567891"),
            ("1.2345678901234567891e+3", "1234.5678901234567891"),
        ];
        for (number, digits) in cases {
            let json = format!(r#"{{"a": [{number}, "{number}"]}}"#);
            let kept = format!(r#"{{"a": ["{digits}", "{number}"]}}"#);
            assert_eq!(keep_digits(&json), kept);
        }
        let long = "7".repeat(MAX_DIGITS + 100);
        assert_eq!(keep_digits(&long), format!("\"{long}\""));
    }

    #[test]
    fn exact_numbers_and_texts_stay() {
        for json in [
            "[18446744073709551615, -9223372036854775808, 0.1, 1e300, 100000000000000000000.0]",
            "[0.10000000000000000000, 1e22, 0.30000000000000004, -0.0, 0.00000000000000000000]",
            r#"{"a\"18446744073709551616": "\\\"18446744073709551616"}"#,
            r#"{"a": "18446744073709551616"#,
            "[018446744073709551616, 1844674407370955.1616., --1844674407370955161]",
            "\"\\",
        ] {
            assert!(matches!(keep_digits(json), Cow::Borrowed(_)), "{json}");
        }
    }

    proptest! {
        #[test]
        fn what_is_quoted_has_the_same_value(
            whole in "-?[1-9][0-9]{0,30}", fraction in "(\\.[0-9]{1,30})?", exponent in "([eE][+-]?[0-9]{1,2})?",
        ) {
            let number = format!("{whole}{fraction}{exponent}");
            let kept: Value = serde_json::from_str(&keep_digits(&number)).unwrap();
            let same = Decimal::parse(&match kept {
                Value::String(digits) => digits,
                kept => kept.to_string(),
            });
            prop_assert_eq!(same, Decimal::parse(&number));
        }

        #[test]
        fn other_text_is_only_quoted(text in "[-+.eE0-9\"\\\\,é]{0,80}") {
            prop_assert!(keep_digits(&text).len() >= text.len() || text.contains(['e', 'E']));
        }
    }
}
