//! Primaries: numbers, letters, brackets, bars, texts.
//!
//! Decides what a bracket contains (a group, a tuple, an interval, a set) and what a letter is (a
//! constant, a symbol, the name of a function). Words are split into letters unless they are known names.

use super::{Kind, Node, Parsed, Parser};
use crate::fuel::Reason;
use crate::syntax::names;
use crate::syntax::tree::{Constant, Function, Id, Named, Relation};

impl Parser<'_, '_> {
    /// One operand without signs and suffixes.
    pub(super) fn primary(&mut self) -> Parsed {
        let token = self.peek().ok_or(Reason::Unparsed)?;
        if matches!(token.kind, Kind::Number | Kind::Word)
            && let Some(number) = self.lettered()?
        {
            return Ok(number);
        }
        match token.kind {
            Kind::Number => self.number(),
            Kind::Word => self.word(),
            Kind::Command => self.deeper(Self::command_operand),
            Kind::Text => {
                self.at += 1;
                let text = super::words::plain_text(token.text);
                self.add(Node::Text(text))
            }
            Kind::Currency => {
                self.at += 1;
                let value = self.deeper(Self::factor)?;
                self.add(Node::Quantity(value, token.text.to_owned()))
            }
            Kind::OpenSet => self.deeper(Self::set),
            Kind::Sign('(' | '[') => self.deeper(Self::bracketed),
            Kind::Sign(']') => self.deeper(Self::bracketed),
            Kind::Sign('{') => self.deeper(Self::group),
            Kind::Sign(bar @ ('|' | '‖')) => self.deeper(|p| p.bars(bar)),
            _ => Err(Reason::Unparsed),
        }
    }

    /// A word: a function, a constant, or its first letter.
    fn word(&mut self) -> Parsed {
        let token = self.peek().ok_or(Reason::Unparsed)?;
        if let Some(function) = names::function(token.text) {
            self.at += 1;
            return self.deeper(|p| p.call(function));
        }
        match token.text {
            "pi" => {
                self.at += 1;
                self.add(Node::Constant(Constant::Pi))
            }
            "infinity" | "inf" | "infty" | "oo" | "Infinity" => {
                self.at += 1;
                self.add(Node::Constant(Constant::Infinity))
            }
            "sqrt" => {
                self.at += 1;
                self.deeper(Self::root)
            }
            _ => self.letter(),
        }
    }

    /// The first letter of the word at this position; the rest remains as a token.
    pub(super) fn letter(&mut self) -> Parsed {
        let token = self.peek().ok_or(Reason::Unparsed)?;
        let (letter, rest) = token.text.split_at(1);
        if rest.is_empty() {
            self.at += 1;
        } else if let Some(t) = self.tokens.get_mut(self.at) {
            t.text = rest;
            t.spaced = false;
        }
        if rest.is_empty() {
            if self.kind() == Some(Kind::Sign('_')) {
                return self.subscripted(letter);
            }
            let bracket = self.peek().is_some_and(|t| t.kind == Kind::Sign('('));
            if bracket && (names::names_function(letter) || self.is_evaluated(letter)) {
                return self.applied(letter);
            }
            if names::names_function(letter) && self.inverse_mark_ahead() {
                self.at += 5;
                return self.applied(&format!("{letter}^-1"));
            }
        }
        match letter {
            "e" => self.add(Node::Constant(Constant::E)),
            "i" if self.over_i == 0 => self.add(Node::Constant(Constant::I)),
            _ => self.symbol(letter),
        }
    }

    /// Whether `T(10) =` follows: a capital applied to a number in brackets, with an equals sign after
    /// it.
    fn is_evaluated(&self, letter: &str) -> bool {
        let signs = [Kind::Sign('('), Kind::Number, Kind::Sign(')'), Kind::Sign('=')];
        letter.starts_with(|c: char| c.is_ascii_uppercase())
            && signs.iter().enumerate().all(|(ahead, kind)| self.kind_at(ahead) == Some(*kind))
    }

    /// Whether `^{-1}(` follows the name of a function.
    fn inverse_mark_ahead(&self) -> bool {
        let signs = [
            Kind::Sign('^'),
            Kind::Sign('{'),
            Kind::Sign('-'),
            Kind::Number,
            Kind::Sign('}'),
            Kind::Sign('('),
        ];
        signs.iter().enumerate().all(|(ahead, kind)| self.kind_at(ahead) == Some(*kind))
            && self.tokens.get(self.at + 3).is_some_and(|t| t.text == "1")
    }

    pub(super) fn symbol(&mut self, name: &str) -> Parsed {
        let symbol = self.tree.symbol(name)?;
        self.add(Node::Symbol(symbol))
    }

    /// A symbol, with its subscript as part of its name.
    pub(super) fn subscripted(&mut self, name: &str) -> Parsed {
        let mut full = format!("{name}_");
        self.at += 1;
        full.push_str(&self.raw_script()?);
        if names::names_function(name) && self.kind() == Some(Kind::Sign('(')) {
            return self.applied(&full);
        }
        self.symbol(&full)
    }

    /// A subscript after a symbol in braces: `\mathbf{x}_1`.
    pub(super) fn indexed(&mut self, base: Id) -> Parsed {
        let Node::Symbol(symbol) = self.tree.get(base) else { return Err(Reason::Unparsed) };
        let name = self.tree.name(*symbol).to_owned();
        self.subscripted(&name)
    }

    /// Text of a subscript: a braced group or one token.
    pub(super) fn raw_script(&mut self) -> Result<String, Reason> {
        let mut text = String::new();
        let mut open = 0_usize;
        while let Some(token) = self.peek() {
            self.at += 1;
            match token.kind {
                Kind::Sign('{') => open += 1,
                Kind::Sign('}') => open = open.saturating_sub(1),
                // Without braces, only one letter or digit belongs to the script.
                Kind::Word | Kind::Number if open == 0 && token.text.len() > 1 => {
                    let (first, rest) = token.text.split_at(1);
                    text.push_str(first);
                    self.at -= 1;
                    if token.kind == Kind::Number {
                        text.push_str(rest);
                        self.at += 1;
                    } else if let Some(t) = self.tokens.get_mut(self.at) {
                        t.text = rest;
                    }
                }
                _ => text.push_str(token.text),
            }
            if open == 0 {
                return Ok(text);
            }
        }
        Err(Reason::Unparsed)
    }

    /// `f(x, y)` for an unknown `f`.
    pub(super) fn applied(&mut self, name: &str) -> Parsed {
        let symbol = self.tree.symbol(name)?;
        let argument = self.deeper(Self::bracketed)?;
        let arguments = match self.tree.get(argument) {
            Node::Tuple { items, .. } => items.clone(),
            _ => vec![argument],
        };
        self.add(Node::Apply(symbol, arguments))
    }

    /// Round or square brackets, or one of each.
    pub(super) fn bracketed(&mut self) -> Parsed {
        let open = self.open_sign()?;
        let bars = std::mem::take(&mut self.bars);
        let inner = self.list()?;
        self.bars = bars;
        let close = match self.kind() {
            Some(Kind::Sign(close @ (')' | ']'))) => close,
            // French open intervals: `]0, 1[`.
            Some(Kind::Sign('[')) => ')',
            _ => return Err(Reason::Unparsed),
        };
        self.at += 1;
        let items = match self.tree.get(inner) {
            Node::List(items) => items.clone(),
            _ if open == '[' && close == ']' => return Ok(inner),
            _ => {
                return if open == '(' && close == ')' { Ok(inner) } else { Err(Reason::Unparsed) };
            }
        };
        self.add(Node::Tuple { open, close, items })
    }

    fn open_sign(&mut self) -> Result<char, Reason> {
        let open = match self.kind() {
            Some(Kind::Sign(open @ ('(' | '['))) => open,
            Some(Kind::Sign(']')) => '(',
            _ => return Err(Reason::Unparsed),
        };
        self.at += 1;
        Ok(open)
    }

    /// A braced group; several items in it form a list.
    pub(super) fn group(&mut self) -> Parsed {
        self.expect(Kind::Sign('{'))?;
        let bars = std::mem::take(&mut self.bars);
        let inner = self.list()?;
        self.bars = bars;
        if self.eat_command(&["choose"]) {
            let below = self.list()?;
            self.expect(Kind::Sign('}'))?;
            return self.add(Node::Call(Function::Binomial, vec![inner, below]));
        }
        if self.eat_command(&["over"]) {
            let below = self.list()?;
            self.expect(Kind::Sign('}'))?;
            return self.add(Node::Quotient(inner, below));
        }
        self.expect(Kind::Sign('}'))?;
        Ok(inner)
    }

    /// `\{1, 2\}` or `\{x \mid x > 1\}`.
    fn set(&mut self) -> Parsed {
        self.expect(Kind::OpenSet)?;
        if self.eat(Kind::CloseSet) {
            return self.add(Node::Named(Named::Empty));
        }
        if self.command() == Some("begin")
            && let Some(system) = self.system()?
        {
            return Ok(system);
        }
        let bars = std::mem::replace(&mut self.bars, 1);
        let start = self.at;
        let items = self.builder_item(start)?;
        self.bars = bars;
        self.expect(Kind::CloseSet)?;
        Ok(items)
    }

    /// `\left\{\begin{array}{l} x=1 \\ y=2 \end{array}\right.`: a table after a brace that is not closed.
    fn system(&mut self) -> Result<Option<Id>, Reason> {
        let start = self.at;
        let table = self.deeper(Self::command_operand)?;
        if self.kind() == Some(Kind::CloseSet) {
            self.at = start;
            return Ok(None);
        }
        self.eat_sign('.');
        match self.tree.get(table).clone() {
            Node::Matrix { cells, .. } => self.lines(cells).map(Some),
            _ => Ok(Some(table)),
        }
    }

    /// The items of a set, or an item and its condition.
    fn builder_item(&mut self, start: usize) -> Parsed {
        let depth_zero_bar =
            self.tokens[start..].iter().take_while(|t| t.kind != Kind::CloseSet).position(|t| {
                t.kind == Kind::Command && matches!(t.text, "mid" | "vert")
                    || matches!(t.kind, Kind::Sign('|' | ':'))
            });
        if let Some(bar) = depth_zero_bar {
            if let Some((item, domain)) = self.item_before(start + bar)? {
                let mut condition = self.list()?;
                if let Some(domain) = domain {
                    let mut all = vec![domain];
                    match self.tree.get(condition) {
                        Node::List(items) => all.extend(items),
                        _ => all.push(condition),
                    }
                    condition = self.add(Node::List(all))?;
                }
                return self.add(Node::Builder { item, condition });
            }
            self.at = start;
            self.bars = 0;
        }
        let inner = self.list()?;
        let items = match self.tree.get(inner) {
            Node::List(items) => items.clone(),
            _ => vec![inner],
        };
        self.add(Node::Set(items))
    }

    /// The item before the bar at `bar`, if it ends exactly there, with its membership if it has one:
    /// `x \in \mathbb{Z}`.
    fn item_before(&mut self, bar: usize) -> Result<Option<(Id, Option<Id>)>, Reason> {
        let item = match self.sum() {
            Ok(item) => item,
            Err(Reason::Unparsed) => return Ok(None),
            Err(reason) => return Err(reason),
        };
        let mut domain = None;
        if self.eat_command(&["in"]) {
            let (sides, relations) = (vec![item, self.sum()?], vec![Relation::In]);
            domain = Some(self.add(Node::Chain { sides, relations })?);
        }
        if self.at != bar {
            return Ok(None);
        }
        self.at += 1;
        Ok(Some((item, domain)))
    }

    /// `|x|`
    fn bars(&mut self, bar: char) -> Parsed {
        self.expect(Kind::Sign(bar))?;
        let bars = self.bars;
        self.bars = bars + 1;
        let inner = self.sum();
        self.bars = bars;
        let inner = inner?;
        if !self.eat_sign(bar) {
            self.expect(Kind::Sign('|'))?;
        }
        self.add(Node::Call(Function::Abs, vec![inner]))
    }
}
