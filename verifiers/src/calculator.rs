//! Checks the arithmetic in a step: finds equations of plain numbers, `48 / 2 = 24` or GSM8K's
//! `<<48/2=24>>`, and evaluates both sides exactly.
//!
//! The problem is not considered, so a step can be wrong although every equation holds. Equations with a
//! variable, a word or LaTeX are ignored. Used as an extra step reward (off unless a search turns it on)
//! and to mark false equations in a view of a tree.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{Signed, Zero};

use crate::extract::Span;

/// Longest side, in bytes.
const MAX_SIDE: usize = 256;
/// Deepest nesting of brackets.
const MAX_DEPTH: usize = 32;
/// Maximum number of equations per text.
const MAX_EQUATIONS: usize = 1024;

/// An equation between plain numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Equation {
    /// Position in the text, in bytes.
    pub span: Span,
    /// Whether both sides are equal, or the right side is the left side rounded to the digits written.
    pub holds: bool,
    /// Exact value of the left side, as an integer or a fraction.
    pub left: String,
    /// Whether the equation is written between `<<` and `>>`.
    pub marked: bool,
}

/// The equations of a text in reading order. At least one side of each is an operation.
#[must_use]
pub fn equations(text: &str) -> Vec<Equation> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    for at in (0..bytes.len()).filter(|at| bytes[*at] == b'=') {
        if found.len() == MAX_EQUATIONS {
            break;
        }
        found.extend(equation(text, at));
    }
    found
}

/// Share of equations that hold; `None` if there are none.
#[must_use]
pub fn true_share(text: &str) -> Option<f64> {
    let found = equations(text);
    let count = |n: usize| u32::try_from(n).map_or(f64::INFINITY, f64::from);
    let holding = found.iter().filter(|e| e.holds).count();
    (!found.is_empty()).then(|| count(holding) / count(found.len()))
}

/// The equation around the equals sign at `at`.
fn equation(text: &str, at: usize) -> Option<Equation> {
    let bytes = text.as_bytes();
    let start = left_start(bytes, at);
    let foreign = |b: &u8| b.is_ascii_alphabetic() || b"^\\_{}|]!".contains(b);
    if start > 0 && bytes[start] != b' ' && bytes.get(start - 1).is_some_and(foreign) {
        return None;
    }
    let end = right_end(bytes, at + 1);
    let (left, right) = (text[start..at].trim(), text[at + 1..end].trim());
    let is_operation = |side: &str| side[1.min(side.len())..].contains(['+', '-', '*', '/', 'x']);
    if !is_operation(left) && !is_operation(right) {
        return None;
    }
    let (value, _) = evaluate(left)?;
    let (stated, percent) = evaluate(right)?;
    let hundredfold = &stated * BigInt::from(100);
    let holds = value == stated
        || rounds_to(&value, &stated, right)
        || percent && (value == hundredfold || rounds_to(&value, &hundredfold, right));
    let start = start + (text[start..at].len() - text[start..at].trim_start().len());
    let end = end - (text[at + 1..end].len() - text[at + 1..end].trim_end().len());
    let marked = text[..start].ends_with("<<") && text[end..].starts_with(">>");
    Some(Equation { span: Span { start, end }, holds, left: value.to_string(), marked })
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_digit() || b" .,+-*/()$%x".contains(&byte)
}

/// First byte of the left side; the side consists of plain characters only.
fn left_start(bytes: &[u8], end: usize) -> usize {
    let mut start = end;
    while start > 0 && end - start < MAX_SIDE && is_plain(bytes[start - 1]) {
        if bytes[start - 1] == b'x' && !is_times(bytes, start - 1) {
            break;
        }
        // A full stop or comma followed by a blank ends the sentence or clause, and with it the side.
        if matches!(bytes[start - 1], b'.' | b',')
            && bytes.get(start).is_some_and(u8::is_ascii_whitespace)
        {
            break;
        }
        start -= 1;
    }
    start
}

fn right_end(bytes: &[u8], start: usize) -> usize {
    let mut end = start;
    while end < bytes.len() && end - start < MAX_SIDE && is_plain(bytes[end]) {
        if bytes[end] == b'x' && !is_times(bytes, end) {
            break;
        }
        let stops = matches!(bytes[end], b'.' | b',')
            && bytes.get(end + 1).is_none_or(|b| !b.is_ascii_digit());
        if stops {
            break;
        }
        end += 1;
    }
    // `= 2y` and `= 2^3` are not plain numbers; `= 24 apples` and `=24>>` are.
    let glued = bytes.get(end).is_some_and(|b| b.is_ascii_alphabetic() || b"^\\_{".contains(b));
    if glued && end > start && bytes[end - 1] != b' ' { start } else { end }
}

/// Whether the letter x at `at` is between two numbers, so that it means multiplication.
fn is_times(bytes: &[u8], at: usize) -> bool {
    let neighbour = |mut it: std::slice::Iter<'_, u8>, back: bool| {
        let found = if back { it.rfind(|b| **b != b' ') } else { it.find(|b| **b != b' ') };
        found.is_some_and(|b| b.is_ascii_digit() || b"().$%".contains(b))
    };
    neighbour(bytes[..at].iter(), true) && neighbour(bytes[at + 1..].iter(), false)
}

/// Whether `stated` is `value` rounded to the number of decimals in `text`.
fn rounds_to(value: &BigRational, stated: &BigRational, text: &str) -> bool {
    let number = text.trim_end_matches(['%', ' ', '$']);
    let Some((_, digits)) = number.rsplit_once('.') else { return false };
    let Ok(places) = u32::try_from(digits.len()) else { return false };
    let unit = BigRational::new(BigInt::from(1), BigInt::from(10).pow(places.min(300)));
    (value - stated).abs() < unit
}

/// Value of a side, and whether it ends in a percent sign.
fn evaluate(side: &str) -> Option<(BigRational, bool)> {
    let plain: Vec<u8> = side
        .bytes()
        .filter(|b| !b" $".contains(b))
        .map(|b| if b == b'x' { b'*' } else { b })
        .collect();
    if plain.is_empty() || side.contains("  ") || has_adjacent_numbers(side) {
        return None;
    }
    let mut reader = Reader { bytes: &plain, at: 0 };
    let value = reader.sum(0)?;
    (reader.at == plain.len()).then(|| (value, plain.ends_with(b"%")))
}

/// Whether numbers follow each other without an operator: "5 6 = 11" is a list, not a number.
fn has_adjacent_numbers(side: &str) -> bool {
    let mut last_digit = false;
    let mut gap = false;
    for byte in side.bytes() {
        if byte == b' ' {
            gap |= last_digit;
            continue;
        }
        if byte.is_ascii_digit() && gap && last_digit {
            return true;
        }
        last_digit = byte.is_ascii_digit();
        gap = false;
    }
    false
}

/// Recursive-descent evaluator of plain characters, with bounded depth.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn eat(&mut self, wanted: u8) -> bool {
        let hit = self.bytes.get(self.at) == Some(&wanted);
        self.at += usize::from(hit);
        hit
    }

    fn sum(&mut self, depth: usize) -> Option<BigRational> {
        let mut value = self.product(depth)?;
        loop {
            if self.eat(b'+') {
                value += self.product(depth)?;
            } else if self.eat(b'-') {
                value -= self.product(depth)?;
            } else {
                return Some(value);
            }
        }
    }

    fn product(&mut self, depth: usize) -> Option<BigRational> {
        let mut value = self.factor(depth)?;
        loop {
            if self.eat(b'*') {
                value *= self.factor(depth)?;
            } else if self.eat(b'/') {
                let divisor = self.factor(depth)?;
                if divisor.is_zero() {
                    return None;
                }
                value /= divisor;
            } else if self.bytes.get(self.at) == Some(&b'(') {
                value *= self.factor(depth)?;
            } else {
                return Some(value);
            }
        }
    }

    fn factor(&mut self, depth: usize) -> Option<BigRational> {
        if depth >= MAX_DEPTH {
            return None;
        }
        if self.eat(b'-') {
            return Some(-self.factor(depth + 1)?);
        }
        let value = if self.eat(b'(') {
            let value = self.sum(depth + 1)?;
            self.eat(b')').then_some(value)?
        } else {
            self.number()?
        };
        Some(if self.eat(b'%') { value / BigInt::from(100) } else { value })
    }

    fn number(&mut self) -> Option<BigRational> {
        let start = self.at;
        while self.bytes.get(self.at).is_some_and(|b| b.is_ascii_digit() || b".,".contains(b)) {
            self.at += 1;
        }
        let text = std::str::from_utf8(&self.bytes[start..self.at]).ok()?;
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let groups: Vec<&str> = whole.split(',').collect();
        let separated = groups.len() == 1
            || (1..=3).contains(&groups[0].len()) && groups[1..].iter().all(|g| g.len() == 3);
        if !separated || whole.is_empty() && part.is_empty() || part.contains([',', '.']) {
            return None;
        }
        let digits: BigInt = format!("0{}{part}", groups.concat()).parse().ok()?;
        let places = u32::try_from(part.len()).ok()?;
        Some(BigRational::new(digits, BigInt::from(10).pow(places)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(text: &str) -> Vec<bool> {
        equations(text).iter().map(|e| e.holds).collect()
    }

    #[test]
    fn evaluates_marks_and_prose() {
        let text = "She sold 48/2 = <<48/2=24>>24 clips, so 48 + 24 = 73 in all.";
        let found = equations(text);
        let spans: Vec<&str> = found.iter().map(|e| &text[e.span.range()]).collect();
        assert_eq!(spans, ["48/2=24", "48 + 24 = 73"]);
        assert_eq!(holds(text), [true, false]);
        assert!(found[0].marked && !found[1].marked);
        assert_eq!(found[1].left, "72");
        assert_eq!(true_share(text), Some(0.5));
    }

    #[test]
    fn knows_money_percent_rounding_and_times() {
        assert_eq!(holds("$1,200 - $200 = $1,000"), [true]);
        assert_eq!(holds("20% * 50 = 10"), [true]);
        assert_eq!(holds("50/200*100 = 25%"), [true]);
        assert_eq!(holds("10 / 3 = 3.33"), [true]);
        assert_eq!(holds("10 / 3 = 3.4"), [true]);
        assert_eq!(holds("10 / 3 = 3.5"), [false]);
        assert_eq!(holds("3 x 4 = 12"), [true]);
        assert_eq!(holds("2(3 + 4) = 14"), [true]);
        assert_eq!(holds("2 + 3 = 5 + 1 = 6"), [false, true]);
    }

    #[test]
    fn leaves_everything_else_alone() {
        for text in [
            "x + 3 = 5",
            "y = 2x + 1",
            "2^2 + 1 = 5",
            "\\frac{1}{2} + 3 = 4",
            "n = 5",
            "5 / 0 = 1",
            "a=b",
            "5 6 + 1 = 7",
        ] {
            assert_eq!(holds(text), Vec::<bool>::new(), "{text}");
        }
        let deep = format!("{}1 = 2 + 3", "(".repeat(100));
        assert!(equations(&deep).is_empty());
    }
}
