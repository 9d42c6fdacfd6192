//! Reads a formula by SymPy's grammar.
//!
//! A generated parser decides by the next token whether a rule goes on; so does this one. It goes back
//! only at a bar, which opens or closes.

use num_bigint::BigInt;
use num_rational::BigRational;

use super::Unread;
use super::tokens::{Bracket, Token, tokens};
use crate::fuel::Fuel;
use crate::syntax::tree::{Constant, Function, Id, Node, Tree};

/// Deepest nesting.
const MAX_DEPTH: usize = 60;

pub(super) type Read<T> = Result<T, Unread>;

/// Reads the longest beginning of a text that is a formula.
pub(super) fn read(text: &str, tree: &mut Tree, fuel: &mut Fuel) -> Read<Id> {
    let mut formula = Formula { tokens: tokens(text), at: 0, tree, fuel, depth: 0, in_bars: false };
    let value = formula.sum()?;
    // A relation minus another is no number, and a closing function of the grammar needs its partner.
    if *formula.peek()? == Token::Relation { Err(Unread::Formula) } else { Ok(value) }
}

/// A text that is being read.
pub(super) struct Formula<'a> {
    tokens: Vec<Result<Token, Unread>>,
    at: usize,
    tree: &'a mut Tree,
    fuel: &'a mut Fuel,
    depth: usize,
    /// Whether the innermost bracket is a bar.
    in_bars: bool,
}

impl Formula<'_> {
    pub(super) fn peek(&self) -> Read<&Token> {
        self.ahead(0)
    }

    fn ahead(&self, distance: usize) -> Read<&Token> {
        let last = self.tokens.len().saturating_sub(1);
        match self.tokens.get((self.at + distance).min(last)) {
            Some(Ok(token)) => Ok(token),
            Some(Err(fault)) => Err(*fault),
            None => Ok(&Token::End),
        }
    }

    /// Goes behind the next token if it is this one.
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

    /// Reads with one more level of nesting.
    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Read<T>) -> Read<T> {
        if self.depth >= MAX_DEPTH {
            return Err(Unread::Formula);
        }
        self.depth += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    /// Terms with signs between them.
    pub(super) fn sum(&mut self) -> Read<Id> {
        self.deeper(|formula| {
            let mut terms = vec![formula.product(true)?];
            loop {
                if formula.eat(&Token::Add)? {
                    terms.push(formula.product(true)?);
                } else if formula.eat(&Token::Subtract)? {
                    let term = formula.product(true)?;
                    terms.push(formula.add(Node::Negate(term))?);
                } else {
                    return formula.joined(terms, Node::Sum);
                }
            }
        })
    }

    /// Factors with signs of multiplication or division between them. Without `functions`, as in an
    /// argument without brackets, only the first factor may be a function.
    pub(super) fn product(&mut self, functions: bool) -> Read<Id> {
        let mut value = self.signed(functions)?;
        loop {
            if self.eat(&Token::Multiply)? {
                let factor = self.signed(functions)?;
                value = self.add(Node::Product(vec![value, factor]))?;
            } else if self.eat(&Token::Divide)? {
                let divisor = self.signed(functions)?;
                value = self.add(Node::Quotient(value, divisor))?;
            } else {
                return Ok(value);
            }
        }
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
            let start = self.at;
            match self.factor(functions) {
                Ok(factor) => factors.push(factor),
                Err(Unread::Formula) if self.tokens.get(start) == Some(&Ok(Token::Bar)) => {
                    self.at = start;
                    break;
                }
                Err(fault) => return Err(fault),
            }
        }
        let factors = self.without_crosses(factors);
        self.joined(factors, Node::Product)
    }

    /// An `x` between two values without variables is a sign of multiplication.
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
    fn starts_factor(&self, functions: bool) -> Read<bool> {
        Ok(match self.peek()? {
            Token::Function(_) | Token::Root | Token::Overline => functions,
            Token::Open(_)
            | Token::Digit(_)
            | Token::Letter(_)
            | Token::Symbol(_)
            | Token::Differential(_)
            | Token::Fraction
            | Token::Binomial
            | Token::Upright
            | Token::Unfollowed => true,
            Token::Bar => !self.in_bars,
            _ => false,
        })
    }

    /// A value with powers and exclamation marks.
    fn factor(&mut self, functions: bool) -> Read<Id> {
        let mut value = self.deeper(|formula| formula.operand(functions))?;
        while self.eat(&Token::Caret)? {
            let exponent = self.script()?;
            value = self.add(Node::Power(value, exponent))?;
            // Read and left out, as there.
            if self.eat(&Token::Underscore)? {
                self.script()?;
            }
        }
        while self.eat(&Token::Bang)? {
            value = self.add(Node::Call(Function::Factorial, vec![value]))?;
        }
        let substituted = *self.peek()? == Token::Bar
            && !self.in_bars
            && matches!(self.ahead(1)?, Token::Caret | Token::Underscore);
        if substituted { Err(Unread::Formula) } else { Ok(value) }
    }

    /// What stands behind `^` or `_`: one value or a formula in braces.
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
        let value = self.sum();
        self.in_bars = outer;
        let value = value?;
        self.expect(&Token::Close(bracket))?;
        Ok(value)
    }

    fn braces(&mut self) -> Read<Id> {
        if *self.peek()? == Token::Open(Bracket::Brace) {
            self.group()
        } else {
            Err(Unread::Formula)
        }
    }

    fn absolute(&mut self) -> Read<Id> {
        self.expect(&Token::Bar)?;
        let outer = std::mem::replace(&mut self.in_bars, true);
        let value = self.sum();
        self.in_bars = outer;
        let value = value?;
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

    /// A variable, or a function of the arguments in round brackets behind it.
    fn name_or_application(&mut self) -> Read<Id> {
        let name = self.name()?;
        if *self.peek()? != Token::Open(Bracket::Round) {
            return self.variable(&name);
        }
        self.at += 1;
        let outer = std::mem::replace(&mut self.in_bars, false);
        let arguments = self.arguments();
        self.in_bars = outer;
        let arguments = arguments?;
        let symbol = self.tree.symbol(&name)?;
        self.add(Node::Apply(symbol, arguments))
    }

    /// Formulas with commas between them and the closing bracket.
    pub(super) fn arguments(&mut self) -> Read<Vec<Id>> {
        let mut arguments = vec![self.sum()?];
        while self.eat(&Token::Comma)? {
            arguments.push(self.sum()?);
        }
        self.expect(&Token::Close(Bracket::Round))?;
        Ok(arguments)
    }

    fn variable(&mut self, name: &str) -> Read<Id> {
        if name == "infty" {
            return self.add(Node::Constant(Constant::Infinity));
        }
        self.symbol(name)
    }

    /// A letter or command with its index and its primes, in either order.
    fn name(&mut self) -> Read<String> {
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

    /// The smallest values.
    fn atom(&mut self) -> Read<Id> {
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

    /// Digits, groups of three behind commas, digits behind a point.
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
