//! The grammar of answers, from outer to inner: lists, chains of relations, set expressions, ratios, sums.
//!
//! Builds the tree; equality is decided elsewhere. Recursive descent with bounded depth. Every production
//! either consumes a token or fails, so the work is linear in the number of tokens.

mod commands;
mod expression;
mod numbers;
mod primary;
mod tables;
mod units;
mod words;

use super::lexer::{self, Commas, Kind, Token};
use super::tree::{BLANK, Id, Node, Relation, SetOperation, Tree};
use crate::fuel::{Fuel, Reason};

/// Deepest nesting of brackets, fractions, roots and exponents.
const MAX_DEPTH: usize = 64;

pub(crate) use words::plain_text;

pub(super) type Parsed = Result<Id, Reason>;

/// Parses a complete answer into `tree`.
pub(crate) fn parse(text: &str, commas: Commas, tree: &mut Tree, fuel: &mut Fuel) -> Parsed {
    let text = super::clean::clean(text)?;
    let mut tokens = lexer::lex(&text, commas, fuel)?;
    let stop = |t: &Token<'_>| matches!(t.kind, Kind::Sign('.' | ',' | ';' | ':' | '*'));
    while tokens.last().is_some_and(stop) {
        tokens.pop();
    }
    let start = leading_marks(&tokens);
    let mut parser = Parser { tokens, at: start, depth: 0, bars: 0, over_i: 0, tree, fuel };
    if let Some(phrase) = parser.phrase()? {
        return Ok(phrase);
    }
    let root = parser.list()?;
    if parser.at < parser.tokens.len() { Err(Reason::Unparsed) } else { Ok(root) }
}

/// Number of leading tokens that are not part of the answer: stops, "=>", "\\Rightarrow".
fn leading_marks(tokens: &[Token<'_>]) -> usize {
    let arrow = |t: &Token<'_>| {
        t.kind == Kind::Command
            && matches!(t.text, "Rightarrow" | "implies" | "Longrightarrow" | "to" | "rightarrow")
    };
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let head = tokens.get(at + 1).is_some_and(|t| t.kind == Kind::Sign('>') && !t.spaced);
        at += match token.kind {
            Kind::Sign('.' | ',' | ':') => 1,
            Kind::Sign('-' | '=') if head => 2,
            _ if arrow(token) => 1,
            _ => return at,
        };
    }
    at
}

/// Parser state: the tokens, the position, and the tree that is built.
struct Parser<'p, 'a> {
    tokens: Vec<Token<'a>>,
    at: usize,
    depth: usize,
    /// Number of open absolute-value bars.
    bars: usize,
    /// Number of open sums and products over `i`, inside which `i` is not the imaginary unit.
    over_i: usize,
    tree: &'p mut Tree,
    fuel: &'p mut Fuel,
}

impl<'a> Parser<'_, 'a> {
    fn peek(&self) -> Option<Token<'a>> {
        self.tokens.get(self.at).copied()
    }

    fn kind(&self) -> Option<Kind> {
        self.peek().map(|t| t.kind)
    }

    fn kind_at(&self, ahead: usize) -> Option<Kind> {
        self.tokens.get(self.at + ahead).map(|t| t.kind)
    }

    fn command(&self) -> Option<&'a str> {
        self.peek().filter(|t| t.kind == Kind::Command).map(|t| t.text)
    }

    fn eat(&mut self, kind: Kind) -> bool {
        let hit = self.kind() == Some(kind);
        self.at += usize::from(hit);
        hit
    }

    fn eat_sign(&mut self, sign: char) -> bool {
        self.eat(Kind::Sign(sign))
    }

    fn eat_command(&mut self, names: &[&str]) -> bool {
        let hit = self.command().is_some_and(|c| names.contains(&c));
        self.at += usize::from(hit);
        hit
    }

    fn expect(&mut self, kind: Kind) -> Result<(), Reason> {
        if self.eat(kind) { Ok(()) } else { Err(Reason::Unparsed) }
    }

    fn add(&mut self, node: Node) -> Parsed {
        self.tree.add(node, self.fuel)
    }

    /// Parses a production one level deeper.
    fn deeper(&mut self, production: impl FnOnce(&mut Self) -> Parsed) -> Parsed {
        if self.depth >= MAX_DEPTH {
            return Err(Reason::Unparsed);
        }
        self.depth += 1;
        let result = production(self);
        self.depth -= 1;
        result
    }

    /// Items between separators, up to a closing sign or the end.
    fn list(&mut self) -> Parsed {
        let (groups, strong) = self.groups()?;
        let nested = strong
            && groups.len() > 1
            && groups.iter().all(|g| g.len() == groups[0].len() && g.len() > 1)
            && groups.iter().flatten().all(|id| matches!(self.tree.get(*id), Node::Chain { .. }));
        let mut items = Vec::new();
        for group in groups {
            if nested {
                items.push(self.add(Node::List(group))?);
            } else {
                items.extend(group);
            }
        }
        match items.as_slice() {
            [] => Err(Reason::Unparsed),
            [one] => Ok(*one),
            _ => self.add(Node::List(items)),
        }
    }

    /// Items, grouped at semicolons and "or"; and whether there was such a separator.
    fn groups(&mut self) -> Result<(Vec<Vec<Id>>, bool), Reason> {
        let mut groups = vec![Vec::new()];
        let mut strong = false;
        loop {
            let mut open_group = false;
            loop {
                match self.kind() {
                    Some(Kind::Sign(',') | Kind::And) => {}
                    Some(Kind::Sign(';') | Kind::Or) => open_group = true,
                    _ => break,
                }
                self.at += 1;
            }
            if self.closes() {
                break;
            }
            if open_group && groups.last().is_some_and(|g| !g.is_empty()) {
                strong = true;
                groups.push(Vec::new());
            }
            let item = self.chain()?;
            if let Some(group) = groups.last_mut() {
                group.push(item);
            }
            let separator =
                matches!(self.kind(), Some(Kind::Sign(',' | ';') | Kind::And | Kind::Or));
            if !separator {
                break;
            }
        }
        groups.retain(|g| !g.is_empty());
        Ok((groups, strong))
    }

    /// Whether the next token closes something, or no token is left.
    fn closes(&self) -> bool {
        match self.peek() {
            None => true,
            Some(t) => match t.kind {
                Kind::Sign(']') => !self.opens_reversed(),
                Kind::Sign(')' | '}' | '&') | Kind::CloseSet | Kind::Row => true,
                Kind::Command => {
                    matches!(t.text, "end" | "rangle" | "rfloor" | "rceil" | "rvert" | "rbrace")
                }
                _ => false,
            },
        }
    }

    /// Whether the square bracket at this position opens an interval, as in `]0, 1[`.
    fn opens_reversed(&self) -> bool {
        let bracket = |t: &Token<'_>| matches!(t.kind, Kind::Sign('[' | '('));
        !(self.at > 0 && bracket(&self.tokens[self.at - 1])) && self.operand_at(1)
    }

    /// Sides and relations: `1 < x \le 2`.
    fn chain(&mut self) -> Parsed {
        self.deeper(Self::chain_inner)
    }

    fn chain_inner(&mut self) -> Parsed {
        let mut sides = Vec::new();
        let mut relations = Vec::new();
        if self.relation_ahead().is_some() {
            let blank = self.tree.symbol(BLANK)?;
            sides.push(self.add(Node::Symbol(blank))?);
        } else {
            sides.push(self.set_expression()?);
        }
        while let Some((relation, tokens)) = self.relation_ahead() {
            self.at += tokens;
            relations.push(relation);
            self.eat_sign('&');
            sides.push(self.set_expression()?);
        }
        if relations.is_empty() {
            return Ok(sides[0]);
        }
        self.add(Node::Chain { sides, relations })
    }

    /// The relation at this position, and its number of tokens.
    fn relation_ahead(&self) -> Option<(Relation, usize)> {
        let skip = usize::from(self.kind() == Some(Kind::Sign('&')));
        let token = self.tokens.get(self.at + skip)?;
        let next = self.tokens.get(self.at + skip + 1);
        let equals = next.is_some_and(|t| t.kind == Kind::Sign('=') && !t.spaced);
        let (relation, tokens) = match token.kind {
            Kind::Sign('=') => (Relation::Equal, 1 + usize::from(equals)),
            Kind::Sign('<') if equals => (Relation::LessEqual, 2),
            Kind::Sign('<') => (Relation::Less, 1),
            Kind::Sign('>') if equals => (Relation::GreaterEqual, 2),
            Kind::Sign('>') => (Relation::Greater, 1),
            Kind::Sign('!') if equals => (Relation::NotEqual, 2),
            Kind::Command if token.text == "not" => match next.map(|t| (t.kind, t.text)) {
                Some((Kind::Sign('='), _)) => (Relation::NotEqual, 2),
                Some((Kind::Command, "in")) => (Relation::NotIn, 2),
                _ => return None,
            },
            Kind::Command => (named_relation(token.text)?, 1),
            _ => return None,
        };
        Some((relation, tokens + skip))
    }

    /// Unions, intersections and differences.
    fn set_expression(&mut self) -> Parsed {
        let mut left = self.ratio()?;
        for _ in 0..MAX_DEPTH {
            let Some(operation) = self.set_operation(left) else { return Ok(left) };
            self.at += 1;
            let right = self.ratio()?;
            left = self.add(Node::SetExpression(operation, left, right))?;
        }
        Err(Reason::Fuel)
    }

    fn set_operation(&self, left: Id) -> Option<SetOperation> {
        let token = self.peek()?;
        match (token.kind, token.text) {
            (Kind::Command, "cup" | "bigcup") => Some(SetOperation::Union),
            (Kind::Command, "cap" | "bigcap") => Some(SetOperation::Intersection),
            (Kind::Command, "setminus" | "backslash") => Some(SetOperation::Difference),
            (Kind::Word, "U" | "u")
                if matches!(
                    self.tree.get(left),
                    Node::Tuple { .. } | Node::Set(_) | Node::SetExpression(..)
                ) =>
            {
                Some(SetOperation::Union)
            }
            _ => None,
        }
    }

    /// `a : b`, also a time of day.
    fn ratio(&mut self) -> Parsed {
        let first = self.peek();
        let mut parts = vec![self.sum()?];
        let mut clock = first.is_some_and(|t| t.kind == Kind::Number && t.text.len() <= 2);
        while self.kind() == Some(Kind::Sign(':')) && self.operand_at(1) {
            self.at += 1;
            let token = self.peek();
            clock &= token.is_some_and(|t| t.kind == Kind::Number && t.text.len() == 2);
            let before = self.at;
            parts.push(self.sum()?);
            clock &= self.at == before + 1;
        }
        match parts.as_slice() {
            [one] => Ok(*one),
            _ => self.add(Node::Ratio { parts, clock }),
        }
    }
}

fn named_relation(command: &str) -> Option<Relation> {
    Some(match command {
        "le" | "leq" | "leqslant" | "leqq" => Relation::LessEqual,
        "ge" | "geq" | "geqslant" | "geqq" => Relation::GreaterEqual,
        "lt" => Relation::Less,
        "gt" => Relation::Greater,
        "ne" | "neq" => Relation::NotEqual,
        "in" => Relation::In,
        "notin" => Relation::NotIn,
        "approx" | "simeq" | "thickapprox" => Relation::Approximately,
        "equiv" => Relation::Other(0),
        "sim" => Relation::Other(1),
        "cong" => Relation::Other(2),
        "subset" => Relation::Other(3),
        "subseteq" => Relation::Other(4),
        "to" | "rightarrow" | "longrightarrow" => Relation::Other(5),
        "Rightarrow" | "implies" | "Longrightarrow" => Relation::Other(6),
        "iff" | "Leftrightarrow" => Relation::Other(7),
        "propto" => Relation::Other(8),
        "perp" => Relation::Other(9),
        "parallel" => Relation::Other(10),
        "mid" => Relation::Other(11),
        _ => return None,
    })
}
