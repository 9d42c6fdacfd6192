//! Units after a value: texts, unit words, and in prose any words.
//!
//! Decides only whether something is a unit, not whether two units agree. A letter that could be a
//! variable is a unit only inside a text command, because `5m` in a formula is a product.

use num_rational::BigRational;
use num_traits::Signed;

use super::{Kind, Node, Parsed, Parser};
use crate::fuel::Reason;
use crate::syntax::names;
use crate::syntax::tree::Id;

impl Parser<'_, '_> {
    /// Whether a unit begins here, after a value.
    pub(super) fn unit_ahead(&self) -> bool {
        let Some(token) = self.peek() else { return false };
        match token.kind {
            Kind::Text => true,
            Kind::Word => {
                names::unit_word(token.text)
                    || self.part_of_compound()
                    || token.spaced && self.after_plain_value() && is_english(token.text, 3)
                    || token.spaced && self.is_speed()
                    || self.is_closing_unit(token.spaced)
                    || matches!(token.text, "st" | "nd" | "rd" | "th") && !token.spaced
            }
            _ => false,
        }
    }

    /// Whether `m/s` or a similar unit follows a number and a blank.
    fn is_speed(&self) -> bool {
        let text = |ahead: usize| self.tokens.get(self.at + ahead).map_or("", |t| t.text);
        self.after_plain_value()
            && matches!(text(0), "m" | "g" | "L" | "J" | "N")
            && text(1) == "/"
            && matches!(text(2), "s" | "h" | "hr" | "sec" | "min" | "L" | "mL" | "kg" | "mol" | "m")
    }

    /// Whether a unit ends the whole answer: `5 m`, `7 in.`, `9 m^2` or `9m^2`.
    fn is_closing_unit(&self, spaced: bool) -> bool {
        let known = |t: &str| t == "in" || names::unit_letter(t);
        let closes = match self.kind_at(1) {
            None => spaced,
            Some(Kind::Sign('.')) => spaced && self.at + 2 == self.tokens.len(),
            Some(Kind::Sign('^')) => self.tokens.len() <= self.at + 5,
            _ => false,
        };
        let number = self.at > 0 && self.tokens[self.at - 1].kind == Kind::Number;
        number && closes && self.at <= 2 && self.peek().is_some_and(|t| known(t.text))
    }

    /// The denominator of `/ {h}`, which is set upright.
    fn braced_denominator(&self) -> Option<&str> {
        let braced = self.kind_at(1) == Some(Kind::Sign('{'))
            && self.kind_at(2) == Some(Kind::Word)
            && self.kind_at(3) == Some(Kind::Sign('}'));
        self.tokens.get(self.at + 2).filter(|_| braced).map(|t| t.text)
    }

    /// Whether the previous token ends a plain value.
    fn after_plain_value(&self) -> bool {
        self.at > 0
            && matches!(
                self.tokens[self.at - 1].kind,
                Kind::Number | Kind::Sign(')' | '}' | '%') | Kind::Text
            )
    }

    /// Parses a unit and attaches it to the last value.
    pub(super) fn unit(&mut self, values: &mut Vec<Id>) -> Result<(), Reason> {
        let mut name = String::new();
        while let Some(token) = self.peek() {
            match token.kind {
                Kind::Text => name.push_str(token.text),
                Kind::Word if matches!(token.text, "U" | "u") => break,
                Kind::Word if name.is_empty() || token.spaced || name.ends_with("/ ") => {
                    name.push_str(token.text)
                }
                Kind::Word if names::unit_word(token.text) => name.push_str(token.text),
                Kind::Sign('/') if matches!(self.kind_at(1), Some(Kind::Word | Kind::Text)) => {
                    name.push('/');
                }
                Kind::Sign('/') if self.braced_denominator().is_some() => {
                    name.push('/');
                    name.push_str(self.braced_denominator().unwrap_or_default());
                    self.at += 3;
                }
                Kind::Sign('.') if !name.is_empty() => {}
                Kind::Sign('^') => {
                    self.at += 1;
                    let braced = self.eat_sign('{');
                    let digits = self.peek().filter(|t| t.kind == Kind::Number);
                    name.push('^');
                    name.push_str(digits.ok_or(Reason::Unparsed)?.text);
                    self.at += 1;
                    if braced {
                        self.expect(Kind::Sign('}'))?;
                    }
                    continue;
                }
                _ => break,
            }
            name.push(' ');
            self.at += 1;
        }
        let mut value = values.pop().ok_or(Reason::Unparsed)?;
        let mut name = name.trim();
        if let Some((power, rest)) = scaled(name) {
            value = self.times_power_of_ten(value, power)?;
            name = rest;
        }
        if name.is_empty() {
            values.push(value);
            return Ok(());
        }
        let quantity = self.add(Node::Quantity(value, name.to_owned()))?;
        values.push(self.compound(quantity)?);
        Ok(())
    }

    /// The value of "1.5 million". A currency is kept outside of the product: "$5 million".
    fn times_power_of_ten(&mut self, value: Id, power: u32) -> Parsed {
        if let Node::Quantity(inner, currency) = self.tree.get(value).clone() {
            let scaled = self.times_power_of_ten(inner, power)?;
            return self.add(Node::Quantity(scaled, currency));
        }
        let factor = BigRational::from_integer(num_bigint::BigInt::from(10).pow(power));
        let number = self.tree.number(value).map(|number| number * &factor);
        if let Some(value) = number {
            return self.add(Node::Number { value, decimals: None });
        }
        let factor = self.add(Node::Number { value: factor, decimals: None })?;
        self.add(Node::Product(vec![value, factor]))
    }

    /// Whether the letter at this position is the larger unit in `2 h 15 min`.
    fn part_of_compound(&self) -> bool {
        let unit =
            |ahead: usize| self.tokens.get(self.at + ahead).and_then(|t| names::unit(t.text));
        let number = |at: Option<usize>| {
            at.and_then(|at| self.tokens.get(at)).is_some_and(|t| t.kind == Kind::Number)
        };
        number(self.at.checked_sub(1))
            && number(Some(self.at + 1))
            && matches!((unit(0), unit(2)), (Some(a), Some(b)) if a.dimension == b.dimension && a != b)
    }

    /// A quantity plus the smaller parts after it: `2 hours and 15 minutes` is 135 minutes.
    fn compound(&mut self, mut quantity: Id) -> Parsed {
        for _ in 0..3 {
            let Node::Quantity(value, name) = self.tree.get(quantity).clone() else { break };
            let skip = usize::from(matches!(self.kind(), Some(Kind::And | Kind::Sign(','))));
            let part = (self.tokens.get(self.at + skip), self.tokens.get(self.at + skip + 1));
            let (Some(count), Some(unit)) = part else { break };
            let (Some(large), Some(small)) = (names::unit(&name), names::unit(unit.text)) else {
                break;
            };
            let Some(whole) = self.tree.number(value).cloned() else { break };
            let parses = count.kind == Kind::Number && matches!(unit.kind, Kind::Text | Kind::Word);
            if !parses || large.dimension != small.dimension {
                break;
            }
            let factor =
                |unit: names::Unit| BigRational::new(unit.factor.0.into(), unit.factor.1.into());
            let ratio = factor(large) / factor(small);
            let Ok((part, _)) = super::numbers::decimal(count.text) else { break };
            if whole.is_negative() || part >= ratio {
                break;
            }
            let unit = unit.text.to_owned();
            self.at += skip + 2;
            let total = self.add(Node::Number { value: whole * ratio + part, decimals: None })?;
            quantity = self.add(Node::Quantity(total, unit))?;
        }
        Ok(quantity)
    }
}

/// The power of ten of the first word of a unit, and the rest: 6 and "people" for "million people".
fn scaled(name: &str) -> Option<(u32, &str)> {
    let (word, rest) = name.split_once(' ').unwrap_or((name, ""));
    let power = match word.trim_end_matches('s') {
        "thousand" => 3,
        "million" => 6,
        "billion" => 9,
        "trillion" => 12,
        _ => return None,
    };
    let rest = rest.trim_start();
    Some((power, rest.strip_prefix("of ").unwrap_or(rest)))
}

/// Whether a sequence of letters looks like an English word of at least `shortest` letters.
pub(super) fn is_english(word: &str, shortest: usize) -> bool {
    word.len() >= shortest
        && word.contains(['a', 'e', 'i', 'o', 'u', 'A', 'E', 'I', 'O', 'U', 'y'])
        && names::function(word).is_none()
        && !matches!(word, "abc" | "pi" | "sqrt" | "infinity" | "inf" | "frac")
}
