//! Sums, products, powers, and marks after a value.
//!
//! Only precedence is decided here, not meaning: division has the precedence of multiplication, from left
//! to right, and factors may be written side by side. A chain of one operator becomes one flat node, so
//! that a long input makes a wide tree and not a deep one.

use super::{Kind, Node, Parsed, Parser};
use crate::fuel::Reason;
use crate::syntax::names;
use crate::syntax::tree::{Constant, Function, Id};

impl Parser<'_, '_> {
    /// Terms joined by plus, minus and plus-minus.
    pub(super) fn sum(&mut self) -> Parsed {
        let mut items: Vec<Id> = Vec::new();
        while let Some((negative, either)) = self.signs(items.is_empty()) {
            let term = self.product()?;
            if let Some(plus) = either {
                let left = self.joined(std::mem::take(&mut items), Node::Sum)?;
                items.push(self.add(Node::PlusMinus { left, right: term, plus })?);
            } else if negative {
                items.push(self.negated(term)?);
            } else {
                items.push(term);
            }
        }
        if items.is_empty() { Err(Reason::Unparsed) } else { self.joined(items, Node::Sum) }
    }

    /// Parses the signs before a term. Returns whether the term is negated, and whether there is a
    /// plus-minus sign (true) or a minus-plus sign (false). `None` if no term follows.
    fn signs(&mut self, first: bool) -> Option<(bool, Option<bool>)> {
        let (mut negative, mut either, mut any) = (false, None, first);
        loop {
            match self.kind() {
                Some(Kind::Sign('+')) => {}
                Some(Kind::Sign('-')) => negative = !negative,
                _ => match self.command() {
                    Some("pm") => either = Some(!negative),
                    Some("mp") => either = Some(negative),
                    _ => return any.then_some((negative, either)),
                },
            }
            any = true;
            self.at += 1;
        }
    }

    /// Makes one node of several items.
    pub(super) fn joined(&mut self, items: Vec<Id>, node: fn(Vec<Id>) -> Node) -> Parsed {
        match items.as_slice() {
            [] => self.tree.integer(0, self.fuel),
            [one] => Ok(*one),
            _ => self.add(node(items)),
        }
    }

    /// A negated node; a negated number stays a number node.
    pub(super) fn negated(&mut self, id: Id) -> Parsed {
        let node = match self.tree.get(id) {
            Node::Number { value, decimals } => {
                Node::Number { value: -value.clone(), decimals: *decimals }
            }
            Node::Quantity(value, unit) => {
                let (value, unit) = (*value, unit.clone());
                Node::Quantity(self.negated(value)?, unit)
            }
            _ => Node::Negate(id),
        };
        self.add(node)
    }

    /// Factors, with or without a sign between them.
    fn product(&mut self) -> Parsed {
        let mut above = vec![self.factor()?];
        let mut below = Vec::new();
        loop {
            let token = self.peek();
            match token.map(|t| (t.kind, t.text)) {
                Some((Kind::Sign('*'), _)) | Some((Kind::Command, "cdot" | "times" | "ast")) => {
                    self.at += 1;
                    // `2**3` is a power.
                    if self.eat_sign('*') {
                        let exponent = self.factor()?;
                        let base = above.pop().ok_or(Reason::Unparsed)?;
                        above.push(self.add(Node::Power(base, exponent))?);
                        continue;
                    }
                    above.push(self.factor()?);
                }
                Some((Kind::Sign('/'), _)) | Some((Kind::Command, "div")) => {
                    self.at += 1;
                    if self.unit_ahead() {
                        self.unit(&mut above)?;
                        continue;
                    }
                    below.push(self.factor()?);
                }
                Some((Kind::Command, "bmod" | "mod" | "pmod")) => {
                    self.at += 1;
                    let modulus = self.factor()?;
                    let value = self.quotient(above, below)?;
                    return self.add(Node::Call(Function::Modulo, vec![value, modulus]));
                }
                Some(_) if self.unit_ahead() => {
                    let value =
                        self.quotient(std::mem::take(&mut above), std::mem::take(&mut below))?;
                    above.push(value);
                    self.unit(&mut above)?;
                }
                Some((Kind::Number, _)) if self.follows_number() => return Err(Reason::Unparsed),
                Some((Kind::Word, "U" | "u")) if self.between_sets() => {
                    return self.quotient(above, below);
                }
                Some(_) if self.operand_at(0) => above.push(self.factor()?),
                _ => return self.quotient(above, below),
            }
        }
    }

    /// Whether this token is between a closing and an opening bracket.
    fn between_sets(&self) -> bool {
        let closes = |k| matches!(k, Kind::Sign(')' | ']' | '}') | Kind::CloseSet);
        let opens = |k| matches!(k, Kind::Sign('(' | '[') | Kind::OpenSet);
        self.at > 0 && closes(self.tokens[self.at - 1].kind) && self.kind_at(1).is_some_and(opens)
    }

    /// Whether a number precedes directly; two adjacent numbers are not a product.
    fn follows_number(&self) -> bool {
        self.at > 0 && self.tokens[self.at - 1].kind == Kind::Number
    }

    fn quotient(&mut self, above: Vec<Id>, below: Vec<Id>) -> Parsed {
        let top = self.joined(above, Node::Product)?;
        if below.is_empty() {
            return Ok(top);
        }
        let bottom = self.joined(below, Node::Product)?;
        self.add(Node::Quotient(top, bottom))
    }

    /// Whether an operand begins `ahead` tokens from here.
    pub(super) fn operand_at(&self, ahead: usize) -> bool {
        let Some(token) = self.tokens.get(self.at + ahead) else { return false };
        match token.kind {
            Kind::Number | Kind::Word | Kind::OpenSet | Kind::Text | Kind::Currency => true,
            Kind::Sign(sign) => match sign {
                '[' => !self.is_reversed_bracket(ahead),
                '(' | '{' => true,
                '|' | '‖' => self.bars == 0,
                '-' | '+' => ahead > 0,
                _ => false,
            },
            Kind::Command => {
                super::named_relation(token.text).is_none()
                    && !matches!(
                        token.text,
                        "cup"
                            | "cap"
                            | "setminus"
                            | "backslash"
                            | "bigcup"
                            | "bigcap"
                            | "cdot"
                            | "times"
                            | "div"
                            | "pm"
                            | "mp"
                            | "end"
                            | "rangle"
                            | "rfloor"
                            | "rceil"
                            | "rvert"
                            | "rVert"
                            | "choose"
                            | "not"
                            | "circ"
                            | "rbrace"
                            | "over"
                    )
            }
            _ => false,
        }
    }

    /// Whether the bracket closes an open interval, as in `]0, 1[`, because the next tokens cannot be its
    /// content.
    fn is_reversed_bracket(&self, ahead: usize) -> bool {
        let Some(next) = self.tokens.get(self.at + ahead + 1) else { return true };
        match next.kind {
            Kind::Number | Kind::Word | Kind::Text | Kind::OpenSet => false,
            Kind::Sign(sign) => !matches!(sign, '(' | '[' | '{' | '-' | '+' | '|' | '.' | ']'),
            Kind::Command => matches!(next.text, "cup" | "cap" | "setminus" | "end" | "bigcup"),
            _ => true,
        }
    }

    /// A signed power.
    pub(super) fn factor(&mut self) -> Parsed {
        let mut negative = false;
        loop {
            if self.eat_sign('-') {
                negative = !negative;
            } else if !self.eat_sign('+') {
                break;
            }
        }
        let value = self.power()?;
        if negative { self.negated(value) } else { Ok(value) }
    }

    /// A primary with its exponent, factorials and marks.
    pub(super) fn power(&mut self) -> Parsed {
        let base = self.primary()?;
        self.suffixes(base)
    }

    /// Parses the marks after a primary.
    pub(super) fn suffixes(&mut self, mut base: Id) -> Parsed {
        for _ in 0..super::MAX_DEPTH {
            match self.kind() {
                Some(Kind::Sign('^')) => {
                    self.at += 1;
                    base = self.exponent(base)?;
                }
                Some(Kind::Sign('!')) if !self.is_inequality_sign() => {
                    self.at += 1;
                    base = self.add(Node::Call(Function::Factorial, vec![base]))?;
                }
                Some(Kind::Sign('%')) => {
                    self.at += 1;
                    base = self.add(Node::Quantity(base, "%".to_owned()))?;
                }
                Some(Kind::Sign('\'')) => {
                    self.at += 1;
                    base = self.marked(base, "'")?;
                }
                // `v^2_0` is `v_0^2`.
                Some(Kind::Sign('_')) => {
                    base = match *self.tree.get(base) {
                        Node::Power(inner, exponent) => {
                            let inner = self.indexed(inner)?;
                            self.add(Node::Power(inner, exponent))?
                        }
                        _ => self.indexed(base)?,
                    }
                }
                Some(Kind::Command) if self.command() == Some("circ") => {
                    self.at += 1;
                    base = self.degrees(base)?;
                }
                _ => return Ok(base),
            }
        }
        Err(Reason::Unparsed)
    }

    /// Whether `!=` means "not equal": it follows a blank, or something other than a number.
    fn is_inequality_sign(&self) -> bool {
        self.kind_at(1) == Some(Kind::Sign('='))
            && self.tokens.get(self.at + 1).is_some_and(|t| !t.spaced)
            && (self.peek().is_some_and(|t| t.spaced)
                || self.at > 0 && self.tokens[self.at - 1].kind != Kind::Number)
    }

    /// A symbol or function with a prime, conjugation bar or similar mark.
    pub(super) fn marked(&mut self, base: Id, mark: &str) -> Parsed {
        let node = match self.tree.get(base) {
            Node::Symbol(symbol) => {
                let name = format!("{}{mark}", self.tree.name(*symbol));
                // `f'(x)` is a function again.
                if names::names_function(name.trim_end_matches('\''))
                    && self.kind() == Some(Kind::Sign('('))
                {
                    return self.applied(&name);
                }
                Node::Symbol(self.tree.symbol(&name)?)
            }
            Node::Constant(constant @ (Constant::E | Constant::I)) => {
                let letter = if *constant == Constant::E { "e" } else { "i" };
                Node::Symbol(self.tree.symbol(&format!("{letter}{mark}"))?)
            }
            _ => Node::Apply(self.tree.symbol(mark)?, vec![base]),
        };
        self.add(node)
    }

    fn exponent(&mut self, base: Id) -> Parsed {
        if self.eat_command(&["circ"]) {
            return self.degrees(base);
        }
        if self.eat_command(&["prime"]) || self.eat_sign('\'') {
            return self.marked(base, "'");
        }
        let braced = self.kind() == Some(Kind::Sign('{'));
        if braced {
            let inner = (self.kind_at(1), self.tokens.get(self.at + 1).map(|t| t.text));
            let closed = self.kind_at(2) == Some(Kind::Sign('}'));
            match inner {
                (Some(Kind::Command), Some("circ")) if closed => {
                    self.at += 3;
                    return self.degrees(base);
                }
                (Some(Kind::Command), Some("prime")) if closed => {
                    self.at += 3;
                    return self.marked(base, "'");
                }
                // Ordinals such as `5^{\text{th}}`.
                (Some(Kind::Text), _) if closed => {
                    self.at += 3;
                    return Ok(base);
                }
                (Some(Kind::Word), Some("th" | "st" | "nd" | "rd")) if closed => {
                    self.at += 3;
                    return Ok(base);
                }
                _ => {}
            }
        }
        if self.eat(Kind::Text) {
            return Ok(base);
        }
        let exponent = self.deeper(Self::script)?;
        self.add(Node::Power(base, exponent))
    }

    /// An exponent or bound: a group, a signed number, or one token.
    pub(super) fn script(&mut self) -> Parsed {
        let negative = self.eat_sign('-');
        if !negative {
            self.eat_sign('+');
        }
        let value = match self.peek() {
            Some(t) if t.kind == Kind::Word && names::function(t.text).is_none() => {
                self.letter()?
            }
            // In `v^2_0`, the subscript belongs to `v` and is not a base of the number 2.
            Some(t) if t.kind == Kind::Number && self.kind_at(1) == Some(Kind::Sign('_')) => {
                self.digit()?
            }
            Some(t) if t.kind == Kind::Sign('*') => {
                self.at += 1;
                let star = self.tree.symbol("*")?;
                self.add(Node::Symbol(star))?
            }
            _ => self.primary()?,
        };
        if negative { self.negated(value) } else { Ok(value) }
    }

    /// A value in degrees; a scale letter may follow.
    fn degrees(&mut self, base: Id) -> Parsed {
        let scale =
            self.peek().filter(|t| t.kind == Kind::Word && matches!(t.text, "C" | "F" | "K"));
        self.at += usize::from(scale.is_some());
        let unit = format!("deg{}", scale.map_or("", |t| t.text));
        self.add(Node::Quantity(base, unit))
    }
}
