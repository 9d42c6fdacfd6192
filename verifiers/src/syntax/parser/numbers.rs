//! Parses number tokens: separators, decimals, exponents, repeating decimals, bases, mixed numbers.
//!
//! Every value is an exact rational. Lengths and exponents are bounded before anything is allocated.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{Pow, Zero};

use super::{Kind, Node, Parsed, Parser, Token};
use crate::fuel::Reason;
use crate::syntax::tree::Id;

/// Maximum number of digits of a number.
const MAX_DIGITS: usize = 8192;
/// Largest power of ten in `1e5` notation.
const MAX_EXPONENT: i32 = 4096;

/// Maximum number of digits of a number in a base above ten.
const MAX_LETTERED: usize = 64;

impl Parser<'_, '_> {
    /// The number at this position, with all its parts.
    pub(super) fn number(&mut self) -> Parsed {
        let token = self.peek().ok_or(Reason::Unparsed)?;
        self.at += 1;
        if self.kind() == Some(Kind::Sign('_')) && token.text.bytes().all(|b| b.is_ascii_digit()) {
            return self.in_base(token.text);
        }
        self.fuel.spend((token.text.len() * token.text.len()) as u64 / 16)?;
        let (value, decimals) = decimal(token.text)?;
        if let Some(repeated) = self.repeating(token.text, &value, decimals)? {
            return Ok(repeated);
        }
        let whole = decimals.is_none();
        let number = self.add(Node::Number { value, decimals })?;
        if whole && let Some(mixed) = self.mixed(number)? {
            return Ok(mixed);
        }
        Ok(number)
    }

    /// Consumes one digit of the number at this position: `\frac12`.
    pub(super) fn digit(&mut self) -> Parsed {
        let token = self.peek().ok_or(Reason::Unparsed)?;
        let (first, rest) = token.text.split_at(1);
        if rest.is_empty() {
            self.at += 1;
        } else if let Some(t) = self.tokens.get_mut(self.at) {
            t.text = rest;
        }
        let (value, decimals) = decimal(first)?;
        self.add(Node::Number { value, decimals })
    }

    /// `204_5`: digits in the base that follows.
    fn in_base(&mut self, digits: &str) -> Parsed {
        self.at += 1;
        let braced = self.eat_sign('{');
        if self.kind() == Some(Kind::Text) && braced {
            let base = self.peek().map(|t| t.text.trim()).and_then(word_base);
            self.at += 1;
            self.expect(Kind::Sign('}'))?;
            return self.read_in(digits, base.ok_or(Reason::Unparsed)?);
        }
        let base = self.peek().filter(|t| t.kind == Kind::Number).ok_or(Reason::Unparsed)?;
        let base: u32 = base.text.parse().map_err(|_| Reason::Unparsed)?;
        self.at += 1;
        if braced {
            self.expect(Kind::Sign('}'))?;
        }
        self.read_in(digits, base)
    }

    /// `2A_{16}` and `FF_{16}`: digits and capitals in a base above ten; `None` if there is no such
    /// number.
    pub(super) fn lettered(&mut self) -> Result<Option<Id>, Reason> {
        let part = |t: &Token<'_>| {
            matches!(t.kind, Kind::Number | Kind::Word)
                && t.text.len() <= MAX_LETTERED
                && t.text.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase())
        };
        let tokens = &self.tokens[self.at..];
        let count = tokens
            .iter()
            .enumerate()
            .take(MAX_LETTERED)
            .take_while(|(k, t)| part(t) && (*k == 0 || !t.spaced))
            .count();
        if count == 0 || self.kind_at(count) != Some(Kind::Sign('_')) {
            return Ok(None);
        }
        let digits: String = tokens[..count].iter().map(|t| t.text).collect();
        if digits.len() < 2 || !digits.bytes().any(|b| b.is_ascii_uppercase()) {
            return Ok(None);
        }
        let braced = usize::from(self.kind_at(count + 1) == Some(Kind::Sign('{')));
        let base = tokens.get(count + 1 + braced).and_then(|t| t.text.parse::<u32>().ok());
        let Some(base) = base.filter(|b| (11..=36).contains(b)) else { return Ok(None) };
        if !digits.chars().all(|c| c.is_digit(base)) {
            return Ok(None);
        }
        self.at += count + 2 + braced;
        if braced == 1 {
            self.expect(Kind::Sign('}'))?;
        }
        self.read_in(&digits, base).map(Some)
    }

    fn read_in(&mut self, digits: &str, base: u32) -> Parsed {
        if !(2..=36).contains(&base) || digits.len() > MAX_DIGITS {
            return Err(Reason::Unparsed);
        }
        self.fuel.spend((digits.len() * digits.len()) as u64 / 16)?;
        let value = BigInt::parse_bytes(digits.as_bytes(), base).ok_or(Reason::Unparsed)?;
        self.add(Node::Number { value: value.into(), decimals: None })
    }

    /// `0.1\overline{6}`: the digits under the bar repeat forever.
    fn repeating(
        &mut self,
        text: &str,
        value: &BigRational,
        decimals: Option<u32>,
    ) -> Result<Option<Id>, Reason> {
        let bar = self.command().is_some_and(|c| matches!(c, "overline" | "bar" | "dot"));
        let point = decimals.is_none() && self.kind() == Some(Kind::Sign('.'));
        let behind = self.tokens.get(self.at + 1);
        let after_point = point
            && behind.is_some_and(|t| {
                t.kind == Kind::Command && matches!(t.text, "overline" | "bar" | "dot")
            });
        if !(bar && text.contains('.') || after_point) {
            return Ok(None);
        }
        self.at += 1 + usize::from(after_point);
        let braced = self.eat_sign('{');
        let token = self.peek().filter(|t| t.kind == Kind::Number).ok_or(Reason::Unparsed)?;
        let digits = token.text;
        if !digits.bytes().all(|b| b.is_ascii_digit()) || digits.len() > 64 {
            return Err(Reason::Unparsed);
        }
        self.at += 1;
        if braced {
            self.expect(Kind::Sign('}'))?;
        }
        let ten = BigInt::from(10);
        let period: BigInt = digits.parse().map_err(|_| Reason::Unparsed)?;
        let nines = Pow::pow(&ten, digits.len()) - 1_u32;
        let shift = Pow::pow(&ten, decimals.unwrap_or(0));
        let sum = value + BigRational::new(period, nines * shift);
        self.add(Node::Number { value: sum, decimals: None }).map(Some)
    }

    /// `2\frac{1}{3}` and `2 1/3`: an integer and a proper fraction of plain digits.
    fn mixed(&mut self, whole: Id) -> Result<Option<Id>, Reason> {
        let start = self.at;
        let fraction = match self.peek().map(|t| (t.kind, t.text, t.spaced)) {
            Some((Kind::Command, "frac" | "dfrac" | "tfrac" | "cfrac", _)) => {
                let plain = self.tokens[self.at + 1..]
                    .iter()
                    .take(6)
                    .take_while(|t| matches!(t.kind, Kind::Number | Kind::Sign('{' | '}')))
                    .count();
                if plain < 1 {
                    return Ok(None);
                }
                self.at += 1;
                self.fraction()?
            }
            Some((Kind::Number, _, true))
                if self.kind_at(1) == Some(Kind::Sign('/'))
                    && self.kind_at(2) == Some(Kind::Number) =>
            {
                let top = self.number()?;
                self.at += 1;
                let bottom = self.digits_only()?;
                self.add(Node::Quotient(top, bottom))?
            }
            _ => return Ok(None),
        };
        let Node::Quotient(top, bottom) = *self.tree.get(fraction) else {
            self.at = start;
            return Ok(None);
        };
        let proper = match (self.tree.number(top), self.tree.number(bottom)) {
            (Some(t), Some(b)) => t < b && t.is_integer() && b.is_integer() && !t.is_zero(),
            _ => false,
        };
        if !proper {
            self.at = start;
            return Ok(None);
        }
        self.add(Node::Sum(vec![whole, fraction])).map(Some)
    }

    fn digits_only(&mut self) -> Parsed {
        let token = self.peek().filter(|t| t.kind == Kind::Number).ok_or(Reason::Unparsed)?;
        self.at += 1;
        let (value, decimals) = decimal(token.text)?;
        self.add(Node::Number { value, decimals })
    }
}

/// The base in words: "five" in `204_{\text{five}}`.
fn word_base(word: &str) -> Option<u32> {
    crate::syntax::names::number_word(word).filter(|b| *b >= 2)
}

/// The value of a number token, and its number of digits after the decimal point.
pub(super) fn decimal(text: &str) -> Result<(BigRational, Option<u32>), Reason> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((m, e)) => (m, e.parse::<i32>().map_err(|_| Reason::Fuel)?),
        None => (text, 0),
    };
    let comma_is_point = mantissa.rsplit_once(',').is_some_and(|(before, after)| {
        after.len() != 3 && !after.contains(['{', '}', '\\', ' ', '.']) || before == "0"
    });
    let mut digits = String::with_capacity(mantissa.len());
    let mut decimals = None;
    for c in mantissa.chars() {
        match c {
            '0'..='9' => {
                digits.push(c);
                decimals = decimals.map(|d| d + 1);
            }
            '.' => decimals = Some(0),
            ',' if comma_is_point => decimals = Some(0),
            _ => {}
        }
    }
    if digits.len() > MAX_DIGITS || exponent.abs() > MAX_EXPONENT {
        return Err(Reason::Fuel);
    }
    let value: BigInt = digits.parse().map_err(|_| Reason::Unparsed)?;
    let scale = exponent - i32::try_from(decimals.unwrap_or(0)).map_err(|_| Reason::Fuel)?;
    let power = Pow::pow(BigInt::from(10), scale.unsigned_abs());
    let value = if scale < 0 { BigRational::new(value, power) } else { (value * power).into() };
    Ok((value, if exponent == 0 { decimals } else { None }))
}
