//! Decides whether two trees have the same meaning: equal, different, or undecided with a reason.
//!
//! One side is the reference. If the written form is ambiguous (a pair or an interval, a list or a
//! tuple), the reference's kind decides. Every stage either proves its verdict or rests on overwhelming
//! evidence; see the crate's README.

mod builders;
mod containers;
mod evidence;
mod regions;
mod relations;
mod scalars;
mod sets;
mod shape;
mod texts;
mod tolerance;
mod units;

use crate::fuel::{Fuel, Reason};
use crate::syntax::tree::{Function, Id, Node, Relation, Symbol, Tree};

/// Deepest nesting of containers.
const MAX_NESTING: usize = 12;

/// Outcome of one comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tri {
    Equal,
    Different,
    Undecided(Reason),
}

impl Tri {
    pub(crate) fn from_bool(equal: bool) -> Self {
        if equal { Self::Equal } else { Self::Different }
    }
}

/// Allowed distance of a decimal from an exact value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Tolerance {
    /// No distance.
    Exact,
    /// The exact value must round to the decimal's own digits, at least this many of them after the
    /// decimal point (six in Math-Verify).
    Rounded(u32),
    /// Relative to the reference (1e-4 in the Qwen and ToRA graders).
    Relative(f64),
    /// Absolute (1e-3 in the DeepSeek grader).
    Absolute(f64),
}

/// Settings of a comparison.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    /// How decimals are compared with exact values; two integers are never equal by tolerance.
    pub tolerance: Tolerance,
    /// Whether an inequality is accepted for a reference that is an interval (the reverse is always
    /// accepted).
    pub inequality_for_interval: bool,
    /// Whether items of a list without brackets must be in the reference's order.
    pub ordered_lists: bool,
    /// Whether units of different dimensions make answers different.
    pub check_units: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            tolerance: Tolerance::Rounded(6),
            inequality_for_interval: false,
            ordered_lists: false,
            check_units: true,
        }
    }
}

type Outcome = Result<Tri, Reason>;

/// Compares nodes of one tree.
pub(crate) struct Comparison<'a> {
    pub tree: &'a mut Tree,
    pub fuel: &'a mut Fuel,
    pub rules: &'a Rules,
    nesting: usize,
}

/// Compares two parsed answers.
pub(crate) fn compare(
    tree: &mut Tree,
    gold: Id,
    answer: Id,
    rules: &Rules,
    fuel: &mut Fuel,
) -> Tri {
    let mut comparison = Comparison { tree, fuel, rules, nesting: 0 };
    let outcome = comparison.shaped(gold).and_then(|gold| {
        let answer = comparison.shaped(answer)?;
        comparison.compare(gold, answer)
    });
    outcome.unwrap_or_else(Tri::Undecided)
}

/// Whether two single values are equal as written, without any tolerance for decimals.
pub(crate) fn equal_values(tree: &mut Tree, gold: Id, answer: Id, fuel: &mut Fuel) -> bool {
    let rules = &Rules { tolerance: Tolerance::Exact, ..Rules::default() };
    let mut comparison = Comparison { tree, fuel, rules, nesting: 0 };
    comparison.scalars(gold, answer) == Ok(Tri::Equal)
}

impl Comparison<'_> {
    /// Compares two nodes.
    fn compare(&mut self, gold: Id, answer: Id) -> Outcome {
        self.fuel.spend(200)?;
        if self.nesting >= MAX_NESTING {
            return Err(Reason::Fuel);
        }
        self.nesting += 1;
        let outcome = self.dispatch(gold, answer);
        self.nesting -= 1;
        outcome
    }

    fn dispatch(&mut self, gold: Id, answer: Id) -> Outcome {
        let chain = |tree: &Tree, id| matches!(tree.get(id), Node::Chain { .. });
        match (chain(self.tree, gold), chain(self.tree, answer)) {
            (true, true) => return self.both_chains(gold, answer),
            (true, false) => return self.gold_chain(gold, answer),
            (false, true) => return self.answer_chain(gold, answer),
            (false, false) => {}
        }
        if let (Node::Quantity(..), _) | (_, Node::Quantity(..)) =
            (self.tree.get(gold), self.tree.get(answer))
        {
            return self.quantities(gold, answer);
        }
        let text = |tree: &Tree, id| matches!(tree.get(id), Node::Text(_));
        if text(self.tree, gold) || text(self.tree, answer) {
            return Ok(self.texts(gold, answer));
        }
        if self.is_set_expression(gold) || self.is_set_expression(answer) {
            return self.set_expressions(gold, answer);
        }
        if (self.is_condition_list(gold) || self.is_condition_list(answer))
            && let Some(equal) = self.as_flags(gold, answer)?
        {
            return Ok(Tri::from_bool(equal));
        }
        match (self.unlabelled(gold), self.unlabelled(answer)) {
            (Some(point), None) if self.is_container(answer) => self.compare(point, answer),
            (None, Some(point)) if self.is_container(gold) => self.compare(gold, point),
            (Some(_), None) | (None, Some(_)) => Ok(Tri::Different),
            _ => self.containers(gold, answer),
        }
    }

    /// The coordinates of a point that is written with its name: `A(1, 2)`.
    fn unlabelled(&mut self, id: Id) -> Option<Id> {
        let capital = |tree: &Tree, symbol: Symbol| {
            let name = tree.name(symbol);
            name.len() == 1 && name.starts_with(|c: char| c.is_ascii_uppercase())
        };
        match self.tree.get(id) {
            Node::Product(parts) => match *parts.as_slice() {
                [name, point] => {
                    let named =
                        matches!(self.tree.get(name), Node::Symbol(s) if capital(self.tree, *s));
                    let tuple = matches!(self.tree.get(point), Node::Tuple { open: '(', .. });
                    (named && tuple).then_some(point)
                }
                _ => None,
            },
            Node::Apply(symbol, items) if items.len() > 1 && capital(self.tree, *symbol) => {
                let items = items.clone();
                self.tree.add(Node::Tuple { open: '(', close: ')', items }, self.fuel).ok()
            }
            _ => None,
        }
    }

    /// Whether a node is a list of inequalities.
    fn is_condition_list(&self, id: Id) -> bool {
        let ordered = |item: &Id| match self.tree.get(*item) {
            Node::Chain { relations, .. } => {
                relations.iter().all(|r| r.is_order() || *r == Relation::NotEqual)
            }
            _ => false,
        };
        matches!(self.tree.get(id), Node::List(items) if items.iter().all(ordered))
    }

    /// Whether a node can only be a set.
    fn is_set_expression(&self, id: Id) -> bool {
        matches!(self.tree.get(id), Node::SetExpression(..) | Node::Named(_) | Node::Builder { .. })
    }

    /// Whether a node contains other answers and is not a single value.
    fn is_container(&self, id: Id) -> bool {
        matches!(
            self.tree.get(id),
            Node::Tuple { .. }
                | Node::Set(_)
                | Node::List(_)
                | Node::Matrix { .. }
                | Node::Ratio { .. }
        ) || self.is_set_expression(id)
    }

    /// Adds the node `a - b`.
    fn difference(&mut self, a: Id, b: Id) -> Result<Id, Reason> {
        let negated = self.tree.add(Node::Negate(b), self.fuel)?;
        self.tree.add(Node::Sum(vec![a, negated]), self.fuel)
    }

    /// Whether a node is a name and not a value: `x`, `AB`, `f(x)`, `|z|`, `(p, q)`, `A : B`.
    fn is_name(&self, id: Id) -> bool {
        match self.tree.get(id) {
            Node::Symbol(_) | Node::Apply(..) | Node::Text(_) => true,
            Node::Product(items) => {
                items.len() <= 8
                    && items
                        .iter()
                        .all(|i| matches!(self.tree.get(*i), Node::Symbol(_) | Node::Constant(_)))
                    && items.iter().any(|i| matches!(self.tree.get(*i), Node::Symbol(_)))
            }
            Node::Tuple { items, .. } | Node::List(items) | Node::Ratio { parts: items, .. } => {
                items.iter().all(|i| self.is_name(*i))
            }
            Node::Call(function, arguments) => {
                !matches!(function, Function::Factorial | Function::Binomial)
                    && arguments.iter().all(|i| self.is_name(*i))
            }
            Node::Quotient(a, b) | Node::SetExpression(_, a, b) => {
                self.is_name(*a) && self.is_name(*b)
            }
            _ => false,
        }
    }
}
