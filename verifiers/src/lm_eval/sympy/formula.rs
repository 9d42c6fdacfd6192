//! Parses a formula with SymPy's grammar.
//!
//! If the tokens after a complete value do not continue it, SymPy's generated parser stops before them.
//! This parser does the same, by going back to the place where the continuation began.

use num_bigint::BigInt;
use num_rational::BigRational;

use super::Unread;
use super::tokens::{Bracket, Token, tokens};
use crate::fuel::Fuel;
use crate::syntax::tree::{Function, Id, Node, Tree};

/// Deepest nesting.
const MAX_DEPTH: usize = 60;

pub(super) type Read<T> = Result<T, Unread>;

/// Parses the longest beginning of a text that is a formula.
pub(super) fn read(text: &str, tree: &mut Tree, fuel: &mut Fuel) -> Read<Id> {
    let mut formula = Formula { tokens: tokens(text), at: 0, tree, fuel, depth: 0, in_bars: false };
    let value = formula.sum()?;
    // A relation minus another relation is not a number.
    if *formula.peek()? == Token::Relation { Err(Unread::Formula) } else { Ok(value) }
}

/// A text that is being parsed.
pub(super) struct Formula<'a> {
    pub(super) tokens: Vec<Result<Token, Unread>>,
    pub(super) at: usize,
    pub(super) tree: &'a mut Tree,
    fuel: &'a mut Fuel,
    depth: usize,
    /// Whether the innermost bracket is a bar.
    in_bars: bool,
}

impl Formula<'_> {
    pub(super) fn peek(&self) -> Read<&Token> {
        self.ahead(0)
    }

    pub(super) fn ahead(&self, distance: usize) -> Read<&Token> {
        let last = self.tokens.len().saturating_sub(1);
        match self.tokens.get((self.at + distance).min(last)) {
            Some(Ok(token)) => Ok(token),
            Some(Err(fault)) => Err(*fault),
            None => Ok(&Token::End),
        }
    }

    /// Skips the next token if it is `token`; returns whether it did.
    pub(super) fn eat(&mut self, token: &Token) -> Read<bool> {
        let found = self.peek()? == token;
        self.at += usize::from(found);
        Ok(found)
    }

    pub(super) fn expect(&mut self, token: &Token) -> Read<()> {
        if self.eat(token)? { Ok(()) } else { Err(Unread::Formula) }
    }

    pub(super) fn add(&mut self, node: Node) -> Read<Id> {
        Ok(self.tree.add(node, self.fuel)?)
    }

    pub(super) fn number(&mut self, value: i64) -> Read<Id> {
        Ok(self.tree.integer(value, self.fuel)?)
    }

    pub(super) fn symbol(&mut self, name: &str) -> Read<Id> {
        let symbol = self.tree.symbol(name)?;
        self.add(Node::Symbol(symbol))
    }

    pub(super) fn is_number(&self, id: Id, value: i64) -> bool {
        let wanted = BigRational::from(BigInt::from(value));
        match self.tree.get(id) {
            Node::Negate(inner) => self.tree.number(*inner).is_some_and(|n| -n == wanted),
            _ => self.tree.number(id) == Some(&wanted),
        }
    }

    /// Parses with one more level of nesting.
    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Read<T>) -> Read<T> {
        if self.depth >= MAX_DEPTH {
            return Err(Unread::Foreign);
        }
        self.fuel.spend(50)?;
        self.depth += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    /// Parses if possible; otherwise returns to the position before.
    pub(super) fn attempt<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Read<T>,
    ) -> Read<Option<T>> {
        let (at, in_bars) = (self.at, self.in_bars);
        match read(self) {
            Ok(value) => Ok(Some(value)),
            Err(Unread::Formula) => {
                (self.at, self.in_bars) = (at, in_bars);
                Ok(None)
            }
            Err(fault) => Err(fault),
        }
    }

    /// Terms separated by signs.
    pub(super) fn sum(&mut self) -> Read<Id> {
        self.deeper(|formula| {
            let mut terms = vec![formula.product(true)?];
            while matches!(formula.peek()?, Token::Add | Token::Subtract) {
                let Some(term) = formula.attempt(Self::term)? else { break };
                terms.push(term);
            }
            formula.joined(terms, Node::Sum)
        })
    }

    /// A sign and a product.
    fn term(&mut self) -> Read<Id> {
        let negative = *self.peek()? == Token::Subtract;
        self.at += 1;
        let value = self.product(true)?;
        if negative { self.add(Node::Negate(value)) } else { Ok(value) }
    }

    /// Factors separated by multiplication or division signs. Without `functions`, as in an argument
    /// without brackets, only the first factor may be a function.
    pub(super) fn product(&mut self, functions: bool) -> Read<Id> {
        let mut value = self.signed(functions)?;
        while matches!(self.peek()?, Token::Multiply | Token::Divide) {
            let divides = *self.peek()? == Token::Divide;
            let factor = self.attempt(|formula| {
                formula.at += 1;
                formula.signed(functions)
            })?;
            let Some(factor) = factor else { break };
            let node = if divides {
                Node::Quotient(value, factor)
            } else {
                Node::Product(vec![value, factor])
            };
            value = self.add(node)?;
        }
        Ok(value)
    }

    fn signed(&mut self, functions: bool) -> Read<Id> {
        if self.eat(&Token::Add)? {
            return self.deeper(|formula| formula.signed(functions));
        }
        if self.eat(&Token::Subtract)? {
            let value = self.deeper(|formula| formula.signed(functions))?;
            return self.add(Node::Negate(value));
        }
        let mut factors = vec![self.factor(true)?];
        while self.starts_factor(functions)? {
            let Some(factor) = self.attempt(|formula| formula.factor(functions))? else { break };
            factors.push(factor);
        }
        let factors = self.without_crosses(factors);
        self.joined(factors, Node::Product)
    }

    /// Removes an `x` between two values without variables, where it means multiplication.
    fn without_crosses(&self, factors: Vec<Id>) -> Vec<Id> {
        let value = |id: Id| self.tree.free_symbols(id).is_empty();
        let cross = |at: usize| match self.tree.get(factors[at]) {
            Node::Symbol(name) if at > 0 && at + 1 < factors.len() => {
                self.tree.name(*name) == "x" && value(factors[at - 1]) && value(factors[at + 1])
            }
            _ => false,
        };
        (0..factors.len()).filter(|at| !cross(*at)).map(|at| factors[at]).collect()
    }

    fn joined(&mut self, parts: Vec<Id>, join: impl FnOnce(Vec<Id>) -> Node) -> Read<Id> {
        match parts.as_slice() {
            [one] => Ok(*one),
            _ => self.add(join(parts)),
        }
    }

    /// Whether the next token begins another factor.
    pub(super) fn starts_factor(&self, functions: bool) -> Read<bool> {
        Ok(match self.peek()? {
            Token::Function(_) | Token::Root | Token::Overline | Token::Unfollowed => functions,
            Token::Open(_)
            | Token::Digit(_)
            | Token::Letter(_)
            | Token::Symbol(_)
            | Token::Differential(_)
            | Token::Fraction
            | Token::Binomial
            | Token::Upright => true,
            Token::Bar => !self.in_bars,
            _ => false,
        })
    }

    /// A value with powers and factorials.
    fn factor(&mut self, functions: bool) -> Read<Id> {
        let mut value = self.deeper(|formula| formula.operand(functions))?;
        while *self.peek()? == Token::Caret {
            let Some(exponent) = self.attempt(Self::exponent)? else { break };
            value = self.add(Node::Power(value, exponent))?;
        }
        while self.eat(&Token::Bang)? {
            value = self.add(Node::Call(Function::Factorial, vec![value]))?;
        }
        let substituted = *self.peek()? == Token::Bar
            && !self.in_bars
            && matches!(self.ahead(1)?, Token::Caret | Token::Underscore);
        if substituted { Err(Unread::Foreign) } else { Ok(value) }
    }

    /// A power. As in SymPy, an index after it is parsed and ignored.
    fn exponent(&mut self) -> Read<Id> {
        self.expect(&Token::Caret)?;
        let exponent = self.script()?;
        if self.eat(&Token::Underscore)? {
            self.script()?;
        }
        Ok(exponent)
    }

    /// The script after `^` or `_`: one value, or a formula in braces.
    pub(super) fn script(&mut self) -> Read<Id> {
        if *self.peek()? == Token::Open(Bracket::Brace) { self.group() } else { self.atom() }
    }

    fn operand(&mut self, functions: bool) -> Read<Id> {
        match self.peek()?.clone() {
            Token::Open(Bracket::Floor) => self.call_group(Function::Floor),
            Token::Open(Bracket::Ceiling) => self.call_group(Function::Ceil),
            Token::Open(_) => self.group(),
            Token::Bar => self.absolute(),
            Token::Function(name) if functions => self.function(name),
            Token::Root if functions => self.root(),
            Token::Overline if functions => {
                self.at += 1;
                self.call_group(Function::Conjugate)
            }
            Token::Letter(_) | Token::Symbol(_) if functions => self.name_or_application(),
            Token::Unfollowed if functions => Err(Unread::Foreign),
            _ => self.atom(),
        }
    }

    fn call_group(&mut self, function: Function) -> Read<Id> {
        let value = self.group()?;
        self.add(Node::Call(function, vec![value]))
    }

    /// A formula in brackets.
    pub(super) fn group(&mut self) -> Read<Id> {
        let Token::Open(bracket) = *self.peek()? else { return Err(Unread::Formula) };
        self.at += 1;
        let outer = std::mem::replace(&mut self.in_bars, false);
        let value = self.sum()?;
        self.in_bars = outer;
        self.expect(&Token::Close(bracket))?;
        Ok(value)
    }

    pub(super) fn braces(&mut self) -> Read<Id> {
        if *self.peek()? == Token::Open(Bracket::Brace) {
            self.group()
        } else {
            Err(Unread::Formula)
        }
    }

    fn absolute(&mut self) -> Read<Id> {
        self.expect(&Token::Bar)?;
        let outer = std::mem::replace(&mut self.in_bars, true);
        let value = self.sum()?;
        self.in_bars = outer;
        self.expect(&Token::Bar)?;
        self.add(Node::Call(Function::Abs, vec![value]))
    }

    fn root(&mut self) -> Read<Id> {
        self.expect(&Token::Root)?;
        let degree = if *self.peek()? == Token::Open(Bracket::Square) {
            self.group()?
        } else {
            self.number(2)?
        };
        let radicand = self.braces()?;
        let one = self.number(1)?;
        let exponent = self.add(Node::Quotient(one, degree))?;
        self.add(Node::Power(radicand, exponent))
    }

    /// A variable, or a function applied to the arguments in round brackets after it.
    fn name_or_application(&mut self) -> Read<Id> {
        let name = self.name()?;
        let arguments = match *self.peek()? {
            Token::Open(Bracket::Round) => self.attempt(Self::arguments)?,
            _ => None,
        };
        let Some(arguments) = arguments else { return self.variable(&name) };
        let symbol = self.tree.symbol(&name)?;
        self.add(Node::Apply(symbol, arguments))
    }

    /// Formulas separated by commas, in round brackets.
    pub(super) fn arguments(&mut self) -> Read<Vec<Id>> {
        self.expect(&Token::Open(Bracket::Round))?;
        let outer = std::mem::replace(&mut self.in_bars, false);
        let mut arguments = vec![self.sum()?];
        while self.eat(&Token::Comma)? {
            arguments.push(self.sum()?);
        }
        self.in_bars = outer;
        self.expect(&Token::Close(Bracket::Round))?;
        Ok(arguments)
    }
}
