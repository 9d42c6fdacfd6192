//! Commands that denote a value: fractions, roots, functions, sums, named sets.
//!
//! One function per family. Unknown commands are errors and are never skipped. Arguments without braces
//! are accepted in the forms that published answers use: `\frac12`, `\sqrt3`, `\sqrt(2)`.

use super::{Kind, Node, Parsed, Parser};
use crate::fuel::Reason;
use crate::syntax::names;
use crate::syntax::tree::{Constant, Function, Id, Named, Series};

/// Replaces the differential after an integrand.
const DIFFERENTIAL: char = '\u{222b}';

impl Parser<'_, '_> {
    /// The value that begins with the command at this position.
    pub(super) fn command_operand(&mut self) -> Parsed {
        let name = self.command().ok_or(Reason::Unparsed)?;
        self.at += 1;
        if let Some(function) = names::function(name) {
            return self.call(function);
        }
        match name {
            "frac" | "dfrac" | "tfrac" | "cfrac" | "nicefrac" | "sfrac" => self.fraction(),
            "sqrt" => self.root(),
            "cbrt" => {
                let radicand = self.argument()?;
                let degree = self.tree.integer(3, self.fuel)?;
                self.add(Node::Root { radicand, degree })
            }
            "pi" => self.add(Node::Constant(Constant::Pi)),
            "infty" | "infinity" => self.add(Node::Constant(Constant::Infinity)),
            "binom" | "dbinom" | "tbinom" => {
                let (above, below) = (self.argument()?, self.argument()?);
                self.add(Node::Call(Function::Binomial, vec![above, below]))
            }
            "sum" | "prod" => self.series(name == "prod"),
            "begin" => self.table(),
            "lfloor" => self.enclosed("rfloor", Function::Floor),
            "lceil" => self.enclosed("rceil", Function::Ceil),
            "lvert" | "vert" | "lVert" | "Vert" => self.vertical(),
            "langle" => self.angled(),
            "lbrace" => self.braced_set(),
            "emptyset" | "varnothing" | "O" => self.add(Node::Named(Named::Empty)),
            "mathbb" => self.blackboard(),
            "R" | "Reals" => self.add(Node::Named(Named::Reals)),
            "N" => self.add(Node::Named(Named::Naturals)),
            "Z" => self.add(Node::Named(Named::Integers)),
            "Q" => self.add(Node::Named(Named::Rationals)),
            "C" => self.add(Node::Named(Named::Complexes)),
            "angle" | "triangle" | "overrightarrow" | "overleftrightarrow" | "arc"
            | "measuredangle" | "widehat" | "overset" | "vec" | "hat" | "tilde"
            | "overleftarrow" | "dot" | "ddot" => {
                let inner = self.argument()?;
                self.marked(inner, name)
            }
            "overline" | "bar" => {
                let inner = self.argument()?;
                self.add(Node::Call(Function::Conjugate, vec![inner]))
            }
            "ldots" | "dots" | "cdots" | "dotsc" | "dotsb" | "vdots" | "ddots" => {
                self.symbol("...")
            }
            "mathrm" | "operatorname" | "mathop" | "text" | "textbf" | "textrm" | "mbox"
            | "hbox" | "textnormal" | "textit" | "textsf" | "texttt" => self.argument(),
            "circ" => self.symbol("circ"),
            "int" => self.integral(),
            "lim" | "iint" | "oint" => Err(Reason::Unsupported),
            _ if names::symbol(name) => self.greek(name),
            _ => Err(Reason::Unparsed),
        }
    }

    fn greek(&mut self, name: &str) -> Parsed {
        if self.kind() == Some(Kind::Sign('_')) {
            return self.subscripted(name);
        }
        self.symbol(name)
    }

    /// A braced argument, a single digit, a letter or a command.
    pub(super) fn argument(&mut self) -> Parsed {
        match self.kind() {
            Some(Kind::Number) => self.digit(),
            Some(Kind::Word) => self.letter(),
            _ => self.deeper(Self::primary),
        }
    }

    pub(super) fn fraction(&mut self) -> Parsed {
        let (above, below) = (self.argument()?, self.argument()?);
        self.add(Node::Quotient(above, below))
    }

    pub(super) fn root(&mut self) -> Parsed {
        let degree = if self.kind() == Some(Kind::Sign('[')) {
            self.at += 1;
            let degree = self.sum()?;
            self.expect(Kind::Sign(']'))?;
            degree
        } else {
            self.tree.integer(2, self.fuel)?
        };
        let radicand = match self.kind() {
            Some(Kind::Number) => self.number()?,
            Some(Kind::Word) if self.peek().is_some_and(|t| names::function(t.text).is_none()) => {
                self.letter()?
            }
            _ => self.primary()?,
        };
        self.add(Node::Root { radicand, degree })
    }

    /// A function with its exponent, base and argument.
    pub(super) fn call(&mut self, function: Function) -> Parsed {
        let (mut base, mut exponent) = (None, None);
        for _ in 0..2 {
            if self.eat_sign('_') {
                base = Some(self.logarithm_base()?);
            } else if self.eat_sign('^') {
                exponent = Some(self.script()?);
            }
        }
        let (function, exponent) = self.inverse(function, exponent);
        let arguments = self.arguments(function)?;
        let mut all: Vec<Id> = base.filter(|_| function == Function::Log).into_iter().collect();
        all.extend(arguments);
        let call = self.add(Node::Call(function, all))?;
        match exponent {
            Some(exponent) => self.add(Node::Power(call, exponent)),
            None => Ok(call),
        }
    }

    /// The base of `\log_{2}` and `\log_2 x`. In `\log_23` it is one digit, because no argument follows.
    fn logarithm_base(&mut self) -> Parsed {
        let several = self.peek().is_some_and(|t| t.kind == Kind::Number && t.text.len() > 1);
        if several && !self.operand_at(1) { self.digit() } else { self.script() }
    }

    /// Replaces `\sin^{-1}` by the inverse function.
    fn inverse(&self, function: Function, exponent: Option<Id>) -> (Function, Option<Id>) {
        let minus_one = exponent
            .and_then(|e| self.tree.number(e))
            .is_some_and(|v| *v == num_rational::BigRational::from_integer((-1).into()));
        let inverse = match function {
            Function::Sin => Function::Arcsin,
            Function::Cos => Function::Arccos,
            Function::Tan => Function::Arctan,
            _ => return (function, exponent),
        };
        if minus_one { (inverse, None) } else { (function, exponent) }
    }

    /// Arguments in brackets, or the factors that follow.
    fn arguments(&mut self, function: Function) -> Result<Vec<Id>, Reason> {
        let bracket =
            matches!(self.kind(), Some(Kind::Sign('(' | '[' | '{')) | Some(Kind::OpenSet));
        if bracket {
            let inner = match self.kind() {
                Some(Kind::Sign('{')) => self.group()?,
                Some(Kind::OpenSet) => self.primary()?,
                _ => self.bracketed()?,
            };
            let several =
                matches!(function, Function::Max | Function::Min | Function::Gcd | Function::Lcm);
            return Ok(match self.tree.get(inner) {
                Node::Tuple { items, .. } | Node::Set(items) | Node::List(items) if several => {
                    items.clone()
                }
                _ => vec![inner],
            });
        }
        let mut factors = vec![self.factor()?];
        while self.operand_at(0) && !self.ends_argument() {
            factors.push(self.power()?);
        }
        Ok(vec![self.joined(factors, Node::Product)?])
    }

    /// Whether the next operand is not part of an argument without brackets.
    fn ends_argument(&self) -> bool {
        match self.peek() {
            None => true,
            Some(t) => match t.kind {
                Kind::Word => names::function(t.text).is_some(),
                Kind::Command => names::function(t.text).is_some(),
                Kind::Sign('(' | '[') | Kind::Text | Kind::OpenSet => true,
                _ => false,
            },
        }
    }

    /// `\sum_{k=1}^{n} body`
    fn series(&mut self, product: bool) -> Parsed {
        let (mut index, mut low, mut high) = (None, None, None);
        for _ in 0..2 {
            if self.eat_sign('_') {
                self.expect(Kind::Sign('{'))?;
                let token = self.peek().filter(|t| t.kind == Kind::Word && t.text.len() == 1);
                index = Some(self.tree.symbol(token.ok_or(Reason::Unsupported)?.text)?);
                self.at += 1;
                if !self.eat_sign('=') {
                    return Err(Reason::Unsupported);
                }
                low = Some(self.sum()?);
                self.expect(Kind::Sign('}'))?;
            } else if self.eat_sign('^') {
                high = Some(self.script()?);
            }
        }
        let (Some(index), Some(low), Some(high)) = (index, low, high) else {
            return Err(Reason::Unsupported);
        };
        let over_i = usize::from(self.tree.name(index) == "i");
        self.over_i += over_i;
        let body = self.series_body();
        self.over_i -= over_i;
        let body = body?;
        self.add(Node::Series(Series { product, index, low, high, body }))
    }

    fn series_body(&mut self) -> Parsed {
        let mut factors = vec![self.factor()?];
        while self.operand_at(0) || self.kind() == Some(Kind::Sign('/')) {
            if self.eat_sign('/') {
                let below = self.factor()?;
                let above = self.joined(std::mem::take(&mut factors), Node::Product)?;
                factors.push(self.add(Node::Quotient(above, below))?);
            } else {
                factors.push(self.factor()?);
            }
        }
        self.joined(factors, Node::Product)
    }

    /// `\int_{a}^{b} body \, dx`; an integral without bounds or differential is an error.
    fn integral(&mut self) -> Parsed {
        let (mut low, mut high) = (None, None);
        for _ in 0..2 {
            if self.eat_sign('_') {
                low = Some(self.script()?);
            } else if self.eat_sign('^') {
                high = Some(self.script()?);
            }
        }
        let (Some(low), Some(high), Some(end)) = (low, high, self.differential()) else {
            return Err(Reason::Unsupported);
        };
        // The differential ends the integrand, because its sign is never parsed as an operand.
        let variable = self.tree.symbol(&self.tokens[end].text[1..])?;
        self.tokens[end].kind = Kind::Sign(DIFFERENTIAL);
        let body = self.deeper(Self::sum)?;
        self.expect(Kind::Sign(DIFFERENTIAL))?;
        let variable = self.add(Node::Symbol(variable))?;
        self.add(Node::Call(Function::Integral, vec![low, high, body, variable]))
    }

    /// Position of the next `dx` outside of braces.
    fn differential(&self) -> Option<usize> {
        let mut depth = 0_usize;
        for (at, token) in self.tokens.iter().enumerate().skip(self.at) {
            match token.kind {
                Kind::Sign('{') => depth += 1,
                Kind::Sign('}') => depth = depth.checked_sub(1)?,
                Kind::Word
                    if depth == 0 && token.text.len() == 2 && token.text.starts_with('d') =>
                {
                    return Some(at);
                }
                _ => {}
            }
        }
        None
    }

    fn enclosed(&mut self, close: &str, function: Function) -> Parsed {
        let inner = self.sum()?;
        if !self.eat_command(&[close]) {
            return Err(Reason::Unparsed);
        }
        self.add(Node::Call(function, vec![inner]))
    }

    fn vertical(&mut self) -> Parsed {
        let bars = self.bars;
        self.bars = bars + 1;
        let inner = self.sum();
        self.bars = bars;
        let inner = inner?;
        if !self.eat_command(&["rvert", "vert", "rVert", "Vert"]) {
            return Err(Reason::Unparsed);
        }
        self.add(Node::Call(Function::Abs, vec![inner]))
    }

    fn angled(&mut self) -> Parsed {
        let inner = self.list()?;
        if !self.eat_command(&["rangle"]) {
            return Err(Reason::Unparsed);
        }
        match self.tree.get(inner) {
            Node::List(items) => {
                let items = items.clone();
                self.add(Node::Tuple { open: '(', close: ')', items })
            }
            _ => Ok(inner),
        }
    }

    fn braced_set(&mut self) -> Parsed {
        let inner = self.list()?;
        if !self.eat_command(&["rbrace"]) {
            return Err(Reason::Unparsed);
        }
        let items = match self.tree.get(inner) {
            Node::List(items) => items.clone(),
            _ => vec![inner],
        };
        self.add(Node::Set(items))
    }

    /// Number of tokens of a restriction after a set: `_{>0}`, `_{\ge 0}`, `^*`.
    fn restriction(&self) -> Option<usize> {
        if !matches!(self.kind(), Some(Kind::Sign('_' | '^'))) {
            return None;
        }
        if self.kind_at(1) == Some(Kind::Sign('*')) {
            return Some(2);
        }
        let tokens = self.tokens.get(self.at + 1..)?;
        let end = tokens.iter().take(6).position(|t| t.kind == Kind::Sign('}'))?;
        let opens = tokens.first()?.kind == Kind::Sign('{');
        let bounds = |t: &super::Token<'_>| {
            matches!(t.kind, Kind::Sign('>' | '<' | '*'))
                || matches!(t.text, "ge" | "geq" | "gt" | "le" | "leq" | "ne" | "neq" | "geqslant")
        };
        (opens && tokens[..end].iter().any(bounds)).then_some(end + 2)
    }

    /// `\mathbb{R}`, perhaps followed by `^+`.
    fn blackboard(&mut self) -> Parsed {
        let letter = self.raw_script()?;
        let plus = self.kind() == Some(Kind::Sign('^')) && self.kind_at(1) == Some(Kind::Sign('+'))
            || self.kind() == Some(Kind::Sign('_')) && self.kind_at(1) == Some(Kind::Sign('+'));
        let braced_plus = self.kind_at(1) == Some(Kind::Sign('{'))
            && self.kind_at(2) == Some(Kind::Sign('+'))
            && self.kind_at(3) == Some(Kind::Sign('}'))
            && matches!(self.kind(), Some(Kind::Sign('^' | '_')));
        if let Some(tokens) = self.restriction() {
            self.at += tokens;
            let name = format!("mathbb{letter}+");
            return self.symbol(&name);
        }
        let set = match (letter.as_str(), plus || braced_plus) {
            ("R", false) => Named::Reals,
            ("R", true) => Named::PositiveReals,
            ("Z", false) => Named::Integers,
            ("Z", true) => Named::PositiveIntegers,
            ("Q", false) => Named::Rationals,
            ("N", _) => Named::Naturals,
            ("C", false) => Named::Complexes,
            (_, false) => return self.symbol(&format!("mathbb{letter}")),
            (_, true) => {
                self.at += if braced_plus { 4 } else { 2 };
                return self.symbol(&format!("mathbb{letter}+"));
            }
        };
        self.at += if braced_plus {
            4
        } else if plus {
            2
        } else {
            0
        };
        self.add(Node::Named(set))
    }
}
