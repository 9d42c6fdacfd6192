//! The syntax tree of an answer: all nodes are in one vector, with indices as children.
//!
//! The tree represents the written form, not the value. It is dropped without recursion, whatever its
//! depth. Both sides of a comparison are in one tree, so that equal names have equal symbols.

use num_bigint::BigInt;
use num_rational::BigRational;

use crate::fuel::{Fuel, Reason};

/// Maximum number of nodes of one comparison.
pub(crate) const MAX_NODES: usize = 16_384;
/// Longest path from a node to a leaf.
const MAX_HEIGHT: u16 = 256;
/// Maximum number of nodes below a node; shared nodes are counted each time.
const MAX_SIZE: u32 = 65_536;
/// Maximum number of different symbols of one comparison.
const MAX_SYMBOLS: usize = 256;

/// Name of the missing left side of a relation such as "> 5".
pub(crate) const BLANK: &str = "\u{25a1}";

/// Index of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id(u32);

/// Index of a symbol's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Symbol(pub u32);

/// Named constants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Constant {
    Pi,
    E,
    I,
    Infinity,
}

/// Functions with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    Sin,
    Cos,
    Tan,
    Cot,
    Sec,
    Csc,
    Arcsin,
    Arccos,
    Arctan,
    /// cos x + i sin x
    Cis,
    Sinh,
    Cosh,
    Tanh,
    Exp,
    Ln,
    /// Base ten, or natural if the other side implies it; with two arguments: base, value.
    Log,
    Abs,
    Floor,
    Ceil,
    Max,
    Min,
    Gcd,
    Lcm,
    Det,
    Re,
    Im,
    Conjugate,
    Factorial,
    Binomial,
    Modulo,
    /// Definite integral: from, to, integrand, variable.
    Integral,
}

/// Relations between two sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relation {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    In,
    NotIn,
    Approximately,
    /// Any other relation: congruence, similarity, arrows.
    Other(u8),
}

impl Relation {
    /// The relation with its sides swapped.
    pub(crate) fn flipped(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessEqual => Self::GreaterEqual,
            Self::Greater => Self::Less,
            Self::GreaterEqual => Self::LessEqual,
            other => other,
        }
    }

    /// Whether it orders its sides: any inequality except "not equal".
    pub(crate) fn is_order(self) -> bool {
        matches!(self, Self::Less | Self::LessEqual | Self::Greater | Self::GreaterEqual)
    }
}

/// Operations on sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SetOperation {
    Union,
    Intersection,
    Difference,
}

/// Named sets of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Named {
    Empty,
    Reals,
    Integers,
    Rationals,
    Naturals,
    Complexes,
    PositiveIntegers,
    PositiveReals,
}

/// Sum (`product` false) or product of `body` over an index from `low` to `high`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Series {
    pub(crate) product: bool,
    pub(crate) index: Symbol,
    pub(crate) low: Id,
    pub(crate) high: Id,
    pub(crate) body: Id,
}

/// One node.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    /// An exact number; `decimals` is its number of digits after the decimal point, if it was written
    /// with one.
    Number {
        value: BigRational,
        decimals: Option<u32>,
    },
    Constant(Constant),
    Symbol(Symbol),
    Sum(Vec<Id>),
    Product(Vec<Id>),
    Negate(Id),
    Quotient(Id, Id),
    Power(Id, Id),
    Root {
        radicand: Id,
        degree: Id,
    },
    /// `left ± right`; `plus`: whether the plus sign comes first.
    PlusMinus {
        left: Id,
        right: Id,
        plus: bool,
    },
    Call(Function, Vec<Id>),
    /// A function without a known value, or a symbol with marks.
    Apply(Symbol, Vec<Id>),
    Series(Series),
    /// Cells row by row.
    Matrix {
        columns: usize,
        cells: Vec<Id>,
    },
    /// Two or more items in brackets, or an interval.
    Tuple {
        open: char,
        close: char,
        items: Vec<Id>,
    },
    Set(Vec<Id>),
    /// Items without brackets, or several answers.
    List(Vec<Id>),
    SetExpression(SetOperation, Id, Id),
    Named(Named),
    /// `{item | condition}`
    Builder {
        item: Id,
        condition: Id,
    },
    /// Sides, and the relations between adjacent sides.
    Chain {
        sides: Vec<Id>,
        relations: Vec<Relation>,
    },
    Ratio {
        parts: Vec<Id>,
        clock: bool,
    },
    Text(String),
    /// A value with the unit written after it.
    Quantity(Id, String),
}

/// All nodes of a comparison.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
    /// Longest path below each node and number of nodes below it, with shared nodes counted each time.
    /// They bound the work of walking the tree, however it was built.
    extents: Vec<(u16, u32)>,
    names: Vec<String>,
}

impl Tree {
    /// Adds a node.
    pub(crate) fn add(&mut self, node: Node, fuel: &mut Fuel) -> Result<Id, Reason> {
        fuel.spend(50)?;
        if self.nodes.len() >= MAX_NODES {
            return Err(Reason::Fuel);
        }
        let id = u32::try_from(self.nodes.len()).map_err(|_| Reason::Fuel)?;
        let (mut height, mut size) = (0, 1_u32);
        for_each_child(&node, &mut |child| {
            let (below, count) = self.extents[child.0 as usize];
            height = height.max(below + 1);
            size = size.saturating_add(count);
        });
        if height > MAX_HEIGHT || size > MAX_SIZE {
            return Err(Reason::Fuel);
        }
        self.extents.push((height, size));
        self.nodes.push(node);
        Ok(Id(id))
    }

    /// The node.
    pub(crate) fn get(&self, id: Id) -> &Node {
        &self.nodes[id.0 as usize]
    }

    /// The symbol with this name, added if it is new.
    pub(crate) fn symbol(&mut self, name: &str) -> Result<Symbol, Reason> {
        let at = match self.names.iter().position(|n| n == name) {
            Some(at) => at,
            None if self.names.len() >= MAX_SYMBOLS => return Err(Reason::Fuel),
            None => {
                self.names.push(name.to_owned());
                self.names.len() - 1
            }
        };
        u32::try_from(at).map(Symbol).map_err(|_| Reason::Fuel)
    }

    /// The name of a symbol.
    pub(crate) fn name(&self, symbol: Symbol) -> &str {
        &self.names[symbol.0 as usize]
    }

    /// Adds an integer.
    pub(crate) fn integer(&mut self, value: i64, fuel: &mut Fuel) -> Result<Id, Reason> {
        let value = BigRational::from(BigInt::from(value));
        self.add(Node::Number { value, decimals: None }, fuel)
    }

    /// The value of a number node; `None` for other nodes.
    pub(crate) fn number(&self, id: Id) -> Option<&BigRational> {
        match self.get(id) {
            Node::Number { value, .. } => Some(value),
            _ => None,
        }
    }

    /// Children of a node in reading order.
    pub(crate) fn children(&self, id: Id) -> Vec<Id> {
        let mut children = Vec::new();
        for_each_child(self.get(id), &mut |child| children.push(child));
        children
    }

    /// The same node with other children, as many as [`Self::children`] returns.
    pub(crate) fn with_children(&self, id: Id, new: &[Id]) -> Node {
        match self.get(id) {
            Node::Sum(_) => Node::Sum(new.to_vec()),
            Node::Product(_) => Node::Product(new.to_vec()),
            Node::Call(f, _) => Node::Call(*f, new.to_vec()),
            Node::Apply(s, _) => Node::Apply(*s, new.to_vec()),
            Node::Tuple { open, close, .. } => {
                Node::Tuple { open: *open, close: *close, items: new.to_vec() }
            }
            Node::Set(_) => Node::Set(new.to_vec()),
            Node::List(_) => Node::List(new.to_vec()),
            Node::Ratio { clock, .. } => Node::Ratio { parts: new.to_vec(), clock: *clock },
            Node::Matrix { columns, .. } => Node::Matrix { columns: *columns, cells: new.to_vec() },
            Node::Chain { relations, .. } => {
                Node::Chain { sides: new.to_vec(), relations: relations.clone() }
            }
            Node::Negate(_) => Node::Negate(new[0]),
            Node::Quantity(_, unit) => Node::Quantity(new[0], unit.clone()),
            Node::Quotient(..) => Node::Quotient(new[0], new[1]),
            Node::Power(..) => Node::Power(new[0], new[1]),
            Node::SetExpression(op, ..) => Node::SetExpression(*op, new[0], new[1]),
            Node::PlusMinus { plus, .. } => {
                Node::PlusMinus { left: new[0], right: new[1], plus: *plus }
            }
            Node::Root { .. } => Node::Root { radicand: new[0], degree: new[1] },
            Node::Builder { .. } => Node::Builder { item: new[0], condition: new[1] },
            Node::Series(series) => {
                Node::Series(Series { low: new[0], high: new[1], body: new[2], ..*series })
            }
            leaf => leaf.clone(),
        }
    }

    /// Whether `test` holds for the node or any node below it.
    pub(crate) fn any(&self, root: Id, test: &dyn Fn(&Node) -> bool) -> bool {
        if test(self.get(root)) {
            return true;
        }
        let mut found = false;
        for_each_child(self.get(root), &mut |child| found = found || self.any(child, test));
        found
    }

    /// Free symbols below a node, sorted and without repetitions. Indices of sums are bound.
    pub(crate) fn free_symbols(&self, root: Id) -> Vec<Symbol> {
        let mut found = Vec::new();
        let mut bound = Vec::new();
        let mut open = vec![root];
        while let Some(id) = open.pop() {
            match self.get(id) {
                Node::Symbol(s) => found.push(*s),
                Node::Series(series) => bound.push(series.index),
                _ => {}
            }
            for_each_child(self.get(id), &mut |child| open.push(child));
        }
        found.retain(|s| !bound.contains(s));
        found.sort_unstable();
        found.dedup();
        found
    }
}

/// Visits the children of a node in reading order.
fn for_each_child(node: &Node, visit: &mut dyn FnMut(Id)) {
    match node {
        Node::Number { .. }
        | Node::Constant(_)
        | Node::Symbol(_)
        | Node::Named(_)
        | Node::Text(_) => {}
        Node::Sum(items)
        | Node::Product(items)
        | Node::Call(_, items)
        | Node::Apply(_, items)
        | Node::Tuple { items, .. }
        | Node::Set(items)
        | Node::List(items)
        | Node::Ratio { parts: items, .. }
        | Node::Matrix { cells: items, .. }
        | Node::Chain { sides: items, .. } => items.iter().for_each(|item| visit(*item)),
        Node::Negate(a) | Node::Quantity(a, _) => visit(*a),
        Node::Quotient(a, b)
        | Node::Power(a, b)
        | Node::SetExpression(_, a, b)
        | Node::PlusMinus { left: a, right: b, .. }
        | Node::Root { radicand: a, degree: b }
        | Node::Builder { item: a, condition: b } => {
            visit(*a);
            visit(*b);
        }
        Node::Series(Series { low, high, body, .. }) => {
            visit(*low);
            visit(*high);
            visit(*body);
        }
    }
}
