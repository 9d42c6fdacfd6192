//! Checks Countdown answers: an expression over given numbers, each used at most once, that evaluates to
//! a target.
//!
//! Solutions are not searched for. Values are exact rationals, so `7 / 3 * 3` is 7, and a value is never
//! equal to the target by rounding.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::Zero;

use crate::Verdict;
use crate::extract::extract;

/// Deepest nesting of brackets and signs.
const MAX_DEPTH: usize = 64;
/// Longest expression, in bytes.
const MAX_BYTES: usize = 1024;

/// Whether the expression stated in `solution` reaches `target` with `numbers`.
#[must_use]
pub fn check_countdown(numbers: &[u32], target: u32, solution: &str) -> Verdict {
    let found = extract(solution);
    if found.text.is_empty() {
        return Verdict::Different;
    }
    let Some(expression) = expression(&found.text) else {
        return Verdict::Undecided("unparsed".to_owned());
    };
    let mut reader = Reader { bytes: expression.as_bytes(), at: 0, used: Vec::new() };
    let value = reader.sum(0);
    match value {
        Ok(value) if reader.at == reader.bytes.len() => {
            let reached = value == BigRational::from(BigInt::from(target));
            if reached && drawn_from(&reader.used, numbers) {
                Verdict::Equal
            } else {
                Verdict::Different
            }
        }
        Err(Stop::Undefined) => Verdict::Different,
        Ok(_) | Err(Stop::Unparsed) => Verdict::Undecided("unparsed".to_owned()),
    }
}

/// The left side of the statement, in plain characters without blanks.
fn expression(text: &str) -> Option<String> {
    if text.len() > MAX_BYTES {
        return None;
    }
    let left = text.split('=').next().unwrap_or(text);
    let plain = left
        .replace("\\times", "*")
        .replace("\\cdot", "*")
        .replace("\\div", "/")
        .replace(['×', '·'], "*")
        .replace('÷', "/")
        .replace(['−', '–'], "-")
        .replace("\\left", "")
        .replace("\\right", "")
        .replace(['$', ' ', '`'], "");
    (!plain.is_empty()).then_some(plain)
}

/// Whether `used` can be drawn from `numbers`, each at most once.
fn drawn_from(used: &[u32], numbers: &[u32]) -> bool {
    let mut left = numbers.to_vec();
    used.iter().all(|n| match left.iter().position(|m| m == n) {
        Some(at) => {
            left.swap_remove(at);
            true
        }
        None => false,
    })
}

/// Why an expression has no value.
enum Stop {
    /// The text is not an expression of this game.
    Unparsed,
    /// Division by zero.
    Undefined,
}

/// Recursive-descent parser with bounded depth that records the numbers it reads.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    used: Vec<u32>,
}

impl Reader<'_> {
    fn eat(&mut self, wanted: u8) -> bool {
        let hit = self.bytes.get(self.at) == Some(&wanted);
        self.at += usize::from(hit);
        hit
    }

    fn sum(&mut self, depth: usize) -> Result<BigRational, Stop> {
        let mut value = self.product(depth)?;
        loop {
            if self.eat(b'+') {
                value += self.product(depth)?;
            } else if self.eat(b'-') {
                value -= self.product(depth)?;
            } else {
                return Ok(value);
            }
        }
    }

    fn product(&mut self, depth: usize) -> Result<BigRational, Stop> {
        let mut value = self.factor(depth)?;
        loop {
            if self.eat(b'*') {
                value *= self.factor(depth)?;
            } else if self.eat(b'/') {
                let divisor = self.factor(depth)?;
                if divisor.is_zero() {
                    return Err(Stop::Undefined);
                }
                value /= divisor;
            } else {
                return Ok(value);
            }
        }
    }

    fn factor(&mut self, depth: usize) -> Result<BigRational, Stop> {
        if depth >= MAX_DEPTH {
            return Err(Stop::Unparsed);
        }
        if self.eat(b'(') {
            let value = self.sum(depth + 1)?;
            return if self.eat(b')') { Ok(value) } else { Err(Stop::Unparsed) };
        }
        if self.eat(b'-') {
            return Ok(-self.factor(depth + 1)?);
        }
        let digits = self.bytes[self.at..].iter().take_while(|b| b.is_ascii_digit()).count();
        let text = std::str::from_utf8(&self.bytes[self.at..self.at + digits]).unwrap_or_default();
        let number: u32 = text.parse().map_err(|_| Stop::Unparsed)?;
        self.at += digits;
        self.used.push(number);
        Ok(BigRational::from(BigInt::from(number)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(solution: &str) -> Verdict {
        check_countdown(&[3, 7, 7, 25], 4, solution)
    }

    #[test]
    fn accepts_expressions_that_reach_the_target() {
        for text in [
            "7 - 3 = 4\n#### 7 - 3",
            "The answer is (25 + 3) / 7",
            "\\boxed{7-3}",
            "#### 7 − 3 = 4",
        ] {
            assert_eq!(check(text), Verdict::Equal, "{text}");
        }
        assert_eq!(check_countdown(&[7, 3, 3], 7, "#### 7 / 3 * 3"), Verdict::Equal);
    }

    #[test]
    fn refuses_misses_reuse_and_foreign_numbers() {
        for text in
            ["#### 7 + 3", "#### 25 - 7 - 7 - 7", "#### 2 + 2", "#### 4", "#### 3 / (7 - 7)"]
        {
            assert_eq!(check(text), Verdict::Different, "{text}");
        }
        assert!(matches!(check("#### seven minus three"), Verdict::Undecided(_)));
        assert!(matches!(check("#### 7 -"), Verdict::Undecided(_)));
        assert!(matches!(check(&format!("#### {}7", "(".repeat(500))), Verdict::Undecided(_)));
        assert_eq!(check(""), Verdict::Different);
    }
}
