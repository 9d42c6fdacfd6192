//! Named functions: `\sin^2 x`, `\log_2(8)`.

use super::Unread;
use super::formula::{Formula, Read};
use super::tokens::{Bracket, Token};
use crate::syntax::tree::{Function, Id, Node};

impl Formula<'_> {
    /// A function with its index, its power and its argument.
    pub(super) fn function(&mut self, name: &str) -> Read<Id> {
        self.expect(&Token::Function(known(name)?.0))?;
        let mut index = self.scripted(&Token::Underscore)?;
        let power = self.scripted(&Token::Caret)?;
        if index.is_none() {
            index = self.scripted(&Token::Underscore)?;
        }
        let argument = match self.peek()? {
            Token::Open(Bracket::Round) => self.attempt(Self::arguments)?,
            _ => None,
        };
        let argument = match argument.as_deref() {
            Some([first, ..]) => *first,
            _ => self.product(false)?,
        };
        let inverse = power.is_some_and(|power| self.is_number(power, -1));
        if inverse && let Some(function) = inverse_of(name)? {
            return self.add(Node::Call(function, vec![argument]));
        }
        let value = self.applied(name, index, argument)?;
        match power {
            Some(power) => self.add(Node::Power(value, power)),
            None => Ok(value),
        }
    }

    fn scripted(&mut self, mark: &Token) -> Read<Option<Id>> {
        if !self.eat(mark)? {
            return Ok(None);
        }
        let start = self.at;
        let script = self.script()?;
        // If there is no other argument, the last of several digits is the argument: `\log_28`.
        let digits = self.at - start;
        if digits > 1 && self.is_digit(start) && !self.starts_argument()? {
            return self.leading_digits(start, digits - 1).map(Some);
        }
        Ok(Some(script))
    }

    fn starts_argument(&self) -> Read<bool> {
        let script = matches!(self.peek()?, Token::Caret | Token::Underscore);
        let sign = matches!(self.peek()?, Token::Add | Token::Subtract);
        Ok(script || sign || self.starts_factor(true)?)
    }

    fn applied(&mut self, name: &str, index: Option<Id>, argument: Id) -> Read<Id> {
        let (_, function) = known(name)?;
        let base = match (name, index) {
            ("log" | "lg" | "ln", Some(base)) => Some(base),
            ("lg", None) => Some(self.number(10)?),
            _ => None,
        };
        match base {
            Some(base) => self.add(Node::Call(Function::Log, vec![base, argument])),
            None => self.add(Node::Call(function, vec![argument])),
        }
    }
}

/// SymPy's name of a function, and the function that computes it.
fn known(name: &str) -> Read<(&'static str, Function)> {
    const KNOWN: [(&str, Function); 16] = [
        ("exp", Function::Exp),
        ("log", Function::Ln),
        ("ln", Function::Ln),
        ("lg", Function::Log),
        ("sin", Function::Sin),
        ("cos", Function::Cos),
        ("tan", Function::Tan),
        ("csc", Function::Csc),
        ("sec", Function::Sec),
        ("cot", Function::Cot),
        ("arcsin", Function::Arcsin),
        ("arccos", Function::Arccos),
        ("arctan", Function::Arctan),
        ("sinh", Function::Sinh),
        ("cosh", Function::Cosh),
        ("tanh", Function::Tanh),
    ];
    KNOWN.into_iter().find(|(known, _)| *known == name).ok_or(Unread::Formula)
}

/// The inverse function that the power -1 denotes; `None` if it is an ordinary power.
fn inverse_of(name: &str) -> Read<Option<Function>> {
    match name {
        "sin" => Ok(Some(Function::Arcsin)),
        "cos" => Ok(Some(Function::Arccos)),
        "tan" => Ok(Some(Function::Arctan)),
        "csc" | "sec" | "cot" | "sinh" | "cosh" | "tanh" => Err(Unread::Formula),
        _ => Ok(None),
    }
}
