//! Atoms: variables with index and primes, numbers, fractions.

use num_bigint::BigInt;
use num_rational::BigRational;

use super::Unread;
use super::formula::{Formula, Read};
use super::tokens::{Bracket, Token};
use crate::syntax::tree::{Constant, Function, Id, Node};

impl Formula<'_> {
    pub(super) fn variable(&mut self, name: &str) -> Read<Id> {
        if name == "infty" {
            return self.add(Node::Constant(Constant::Infinity));
        }
        self.symbol(name)
    }

    /// A letter or command with its index and its primes, in either order.
    pub(super) fn name(&mut self) -> Read<String> {
        let mut name = match self.peek()? {
            Token::Letter(name) | Token::Symbol(name) => name.clone(),
            _ => return Err(Unread::Formula),
        };
        self.at += 1;
        let before = self.primes()?;
        if self.eat(&Token::Underscore)? {
            let start = self.at;
            self.script()?;
            let braces = [Token::Open(Bracket::Brace), Token::Close(Bracket::Brace)];
            let index =
                self.tokens[start..self.at].iter().flatten().filter(|t| !braces.contains(t));
            name = index.fold(name + "_", |name, token| format!("{name}{token:?}"));
        }
        let after = if before.is_empty() { self.primes()? } else { String::new() };
        Ok(name + &before + &after)
    }

    fn primes(&mut self) -> Read<String> {
        let Token::Quotes(count) = *self.peek()? else { return Ok(String::new()) };
        self.at += 1;
        Ok("'".repeat(count))
    }

    /// Parses an atom.
    pub(super) fn atom(&mut self) -> Read<Id> {
        match self.peek()?.clone() {
            Token::Letter(_) | Token::Symbol(_) => {
                let name = self.name()?;
                self.variable(&name)
            }
            Token::Digit(_) => self.digits(),
            Token::Differential(name) => {
                self.at += 1;
                self.symbol(&name)
            }
            Token::Fraction => {
                self.at += 1;
                let (above, below) = (self.fraction_part()?, self.fraction_part()?);
                self.add(Node::Quotient(above, below))
            }
            Token::Binomial => {
                self.at += 1;
                let parts = vec![self.braces()?, self.braces()?];
                self.add(Node::Call(Function::Binomial, parts))
            }
            Token::Upright => self.upright(),
            _ => Err(Unread::Formula),
        }
    }

    /// One digit or a formula in braces.
    fn fraction_part(&mut self) -> Read<Id> {
        if let Token::Digit(digit) = *self.peek()? {
            self.at += 1;
            return self.number(digit.to_digit(10).unwrap_or_default().into());
        }
        self.braces()
    }

    /// `\mathit{word}` is one variable.
    fn upright(&mut self) -> Read<Id> {
        self.at += 1;
        self.expect(&Token::Open(Bracket::Brace))?;
        let mut word = String::new();
        while let Token::Letter(letter) = self.peek()? {
            word.push_str(letter);
            self.at += 1;
        }
        self.expect(&Token::Close(Bracket::Brace))?;
        self.symbol(&word)
    }

    /// Parses digits, groups of three digits after commas, and digits after a decimal point.
    fn digits(&mut self) -> Read<Id> {
        let mut whole = self.digit_run()?;
        while *self.peek()? == Token::Comma && self.three_digits_follow()? {
            self.at += 1;
            for _ in 0..3 {
                if let Token::Digit(digit) = *self.peek()? {
                    whole.push(digit);
                }
                self.at += 1;
            }
        }
        let mut scale = BigInt::from(1);
        // Python does not parse an integer with leading zeros.
        let padded = whole.starts_with('0') && whole.bytes().any(|digit| digit != b'0');
        if *self.peek()? != Token::Point && padded {
            return Err(Unread::Foreign);
        }
        if self.eat(&Token::Point)? {
            let part = self.digit_run()?;
            if part.is_empty() {
                return Err(Unread::Formula);
            }
            scale = (0..part.len()).fold(scale, |scale, _| scale * 10);
            whole.push_str(&part);
        }
        let value: BigInt = whole.parse().map_err(|_| Unread::Formula)?;
        self.add(Node::Number { value: BigRational::new(value, scale), decimals: None })
    }

    pub(super) fn is_digit(&self, at: usize) -> bool {
        matches!(self.tokens.get(at), Some(Ok(Token::Digit(_))))
    }

    /// The number formed by the first `count` digits from `start`.
    pub(super) fn leading_digits(&mut self, start: usize, count: usize) -> Read<Id> {
        let digits: String = self.tokens[start..start + count]
            .iter()
            .filter_map(
                |token| if let Ok(Token::Digit(digit)) = token { Some(*digit) } else { None },
            )
            .collect();
        self.at = start + count;
        let value: BigInt = digits.parse().map_err(|_| Unread::Formula)?;
        self.add(Node::Number { value: BigRational::from(value), decimals: None })
    }

    fn digit_run(&mut self) -> Read<String> {
        let mut run = String::new();
        while let Token::Digit(digit) = *self.peek()? {
            run.push(digit);
            self.at += 1;
        }
        Ok(run)
    }

    fn three_digits_follow(&self) -> Read<bool> {
        for distance in 1..=3 {
            if !matches!(self.ahead(distance)?, Token::Digit(_)) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
