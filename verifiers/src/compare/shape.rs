//! Normalises a tree before the comparison: plus-minus becomes two answers, arithmetic on matrices
//! becomes a matrix, degrees inside functions become radians.
//!
//! Nothing else is changed; most trees are not changed at all. New nodes cost as much fuel as parsed
//! ones, so a short text cannot grow without bound.

use num_rational::BigRational;
use num_traits::{One, ToPrimitive};

use super::Comparison;
use crate::fuel::Reason;
use crate::syntax::tree::{Constant, Function, Id, Named, Node, Relation, SetOperation};
use crate::value::polynomial::{self, Polynomial};

/// Largest determinant that is expanded, in rows.
const MAX_DETERMINANT: usize = 5;
/// Largest power of a matrix that is expanded.
const MAX_MATRIX_POWER: usize = 6;

/// Longest list or product in which parameters (see `is_parameter`) are searched for, in items.
const MAX_PARAMETERS: usize = 64;

impl Comparison<'_> {
    /// The tree in the form that is compared.
    pub(super) fn shaped(&mut self, root: Id) -> Result<Id, Reason> {
        let special = |node: &Node| {
            matches!(
                node,
                Node::PlusMinus { .. }
                    | Node::Matrix { .. }
                    | Node::Quantity(..)
                    | Node::Set(_)
                    | Node::List(_)
                    | Node::Tuple { .. }
                    | Node::Named(_)
                    | Node::SetExpression(..)
                    | Node::Call(Function::Integral, _)
            )
        };
        if !self.tree.any(root, &special) {
            return Ok(root);
        }
        let root = self.rewritten(root)?;
        self.expanded(root)
    }

    /// Rewrites the tree from the leaves up.
    fn rewritten(&mut self, id: Id) -> Result<Id, Reason> {
        self.fuel.spend(50)?;
        let children = self.tree.children(id);
        if children.is_empty() {
            return Ok(id);
        }
        let mut new = Vec::with_capacity(children.len());
        for child in &children {
            new.push(self.rewritten(*child)?);
        }
        let id = if new == children {
            id
        } else {
            let node = self.tree.with_children(id, &new);
            self.tree.add(node, self.fuel)?
        };
        self.rewritten_node(id)
    }

    /// Rewrites a node whose children are rewritten.
    fn rewritten_node(&mut self, id: Id) -> Result<Id, Reason> {
        match self.tree.get(id).clone() {
            Node::List(items) | Node::Product(items)
                if items.len() <= MAX_PARAMETERS
                    && items.iter().any(|item| self.is_parameter(*item, &items)) =>
            {
                let kept: Vec<Id> =
                    items.iter().copied().filter(|i| !self.is_parameter(*i, &items)).collect();
                match (kept.as_slice(), self.tree.get(id)) {
                    ([one], _) => Ok(*one),
                    (_, Node::List(_)) => self.tree.add(Node::List(kept), self.fuel),
                    _ => self.tree.add(Node::Product(kept), self.fuel),
                }
            }
            Node::Sum(items) => self.sum_of_tables(id, &items),
            Node::Product(items) => self.product_of_tables(id, &items),
            Node::Negate(a) => match self.tree.get(a).clone() {
                Node::Matrix { columns, cells } => {
                    self.mapped(columns, &cells, |c, x| c.tree.add(Node::Negate(x), c.fuel))
                }
                _ => Ok(id),
            },
            Node::Quotient(a, b) => match self.tree.get(a).clone() {
                Node::Matrix { columns, cells } => {
                    self.mapped(columns, &cells, |c, x| c.tree.add(Node::Quotient(x, b), c.fuel))
                }
                _ => Ok(id),
            },
            Node::Power(a, exponent) => match self.tree.get(a).clone() {
                Node::Matrix { columns, cells } => {
                    self.power_of_table(id, exponent, columns, &cells)
                }
                _ => Ok(id),
            },
            Node::Call(Function::Integral, arguments) => self.integrated(id, &arguments),
            Node::Call(Function::Det, arguments) => self.determinant_of(id, &arguments),
            Node::Call(function, arguments) if !arguments.is_empty() => {
                self.radians(id, function, &arguments)
            }
            _ => Ok(id),
        }
    }

    /// Whether an item only states that a name in another item is an integer, such as "k in Z" after "2 k
    /// pi", or is the argument of a function in another item.
    fn is_parameter(&self, item: Id, items: &[Id]) -> bool {
        if self.is_argument(item, items) {
            return true;
        }
        let Node::Chain { sides, relations } = self.tree.get(item) else { return false };
        let ([subject, set], [Relation::In]) = (sides.as_slice(), relations.as_slice()) else {
            return false;
        };
        let Node::Symbol(name) = self.tree.get(*subject) else { return false };
        let whole = matches!(
            self.tree.get(*set),
            Node::Named(Named::Integers | Named::Naturals | Named::PositiveIntegers)
        );
        let restricts = |other: &Id| match self.tree.get(*other) {
            Node::Chain { relations, .. } => relations.iter().any(|r| *r != Relation::Equal),
            _ => false,
        };
        let used = |other: &Id| {
            *other != item && !restricts(other) && self.tree.free_symbols(*other).contains(name)
        };
        whole && items.iter().any(used) || self.is_argument(*subject, items)
    }

    /// Whether an item is a name, and another item is a function of this name: `x` beside `f(x) = 1`.
    fn is_argument(&self, item: Id, items: &[Id]) -> bool {
        let name = self.tree.get(item);
        matches!(name, Node::Symbol(_))
            && items.iter().any(|other| match self.tree.get(*other) {
                Node::Chain { sides, relations } => {
                    let of_it = |side: &Id| match self.tree.get(*side) {
                        Node::Apply(_, inner) => inner.iter().any(|i| self.tree.get(*i) == name),
                        _ => false,
                    };
                    relations.iter().all(|r| *r == Relation::Equal) && of_it(&sides[0])
                }
                _ => false,
            })
    }

    fn mapped(
        &mut self,
        columns: usize,
        cells: &[Id],
        f: impl Fn(&mut Self, Id) -> Result<Id, Reason>,
    ) -> Result<Id, Reason> {
        let cells = cells.iter().map(|c| f(self, *c)).collect::<Result<Vec<_>, _>>()?;
        self.tree.add(Node::Matrix { columns, cells }, self.fuel)
    }

    /// Adds matrices of equal shape; subtracts sets.
    fn sum_of_tables(&mut self, id: Id, items: &[Id]) -> Result<Id, Reason> {
        if let [a, b] = items
            && let Node::Negate(b) = *self.tree.get(*b)
            && matches!(
                self.tree.get(*a),
                Node::Named(_)
                    | Node::Tuple { .. }
                    | Node::Builder { .. }
                    | Node::SetExpression(..)
            )
            && matches!(self.tree.get(b), Node::Set(_))
        {
            return self.tree.add(Node::SetExpression(SetOperation::Difference, *a, b), self.fuel);
        }
        let mut total: Option<(usize, Vec<Id>)> = None;
        for item in items {
            let Node::Matrix { columns, cells } = self.tree.get(*item).clone() else {
                return Ok(id);
            };
            total = Some(match total {
                None => (columns, cells),
                Some((width, sums)) if width == columns && sums.len() == cells.len() => {
                    let mut added = Vec::with_capacity(cells.len());
                    for (a, b) in sums.iter().zip(&cells) {
                        added.push(self.tree.add(Node::Sum(vec![*a, *b]), self.fuel)?);
                    }
                    (columns, added)
                }
                Some(_) => return Ok(id),
            });
        }
        match total {
            Some((columns, cells)) => self.tree.add(Node::Matrix { columns, cells }, self.fuel),
            None => Ok(id),
        }
    }

    /// Multiplies a matrix by scalars and by other matrices.
    fn product_of_tables(&mut self, id: Id, items: &[Id]) -> Result<Id, Reason> {
        if !items.iter().any(|i| matches!(self.tree.get(*i), Node::Matrix { .. })) {
            return Ok(id);
        }
        let mut table: Option<(usize, Vec<Id>)> = None;
        let mut scalars = Vec::new();
        for item in items {
            match (self.tree.get(*item).clone(), table.take()) {
                (Node::Matrix { columns, cells }, None) => table = Some((columns, cells)),
                (Node::Matrix { columns, cells }, Some((width, left))) => {
                    if width == 0 || cells.len() != width * columns {
                        return Ok(id);
                    }
                    table = Some((columns, self.multiplied(&left, width, &cells, columns)?));
                }
                (_, before) => {
                    scalars.push(*item);
                    table = before;
                }
            }
        }
        let Some((columns, cells)) = table else { return Ok(id) };
        self.mapped(columns, &cells, |c, cell| {
            let mut factors = scalars.clone();
            factors.push(cell);
            c.tree.add(Node::Product(factors), c.fuel)
        })
    }

    fn multiplied(
        &mut self,
        left: &[Id],
        width: usize,
        right: &[Id],
        columns: usize,
    ) -> Result<Vec<Id>, Reason> {
        let mut cells = Vec::new();
        for row in left.chunks(width) {
            for column in 0..columns {
                let mut terms = Vec::with_capacity(width);
                for (k, a) in row.iter().enumerate() {
                    let b = right[k * columns + column];
                    terms.push(self.tree.add(Node::Product(vec![*a, b]), self.fuel)?);
                }
                cells.push(self.tree.add(Node::Sum(terms), self.fuel)?);
            }
        }
        Ok(cells)
    }

    /// Computes transposes and small powers.
    fn power_of_table(
        &mut self,
        id: Id,
        exponent: Id,
        columns: usize,
        cells: &[Id],
    ) -> Result<Id, Reason> {
        if columns == 0 {
            return Ok(id);
        }
        let rows = cells.len() / columns;
        if matches!(self.tree.get(exponent), Node::Symbol(s) if self.tree.name(*s) == "T") {
            let order = (0..columns).flat_map(|column| (0..rows).map(move |row| (row, column)));
            let cells = order.map(|(row, column)| cells[row * columns + column]).collect();
            return self.tree.add(Node::Matrix { columns: rows, cells }, self.fuel);
        }
        let inverted = self.tree.number(exponent).is_some_and(|n| *n == -BigRational::one());
        if inverted && let ([a, b, c, d], 2) = (cells, columns) {
            return self.inverse(*a, *b, *c, *d);
        }
        let times =
            self.tree.number(exponent).filter(|n| n.is_integer()).and_then(|n| n.to_usize());
        let Some(times) = times.filter(|n| (1..=MAX_MATRIX_POWER).contains(n) && rows == columns)
        else {
            return Ok(id);
        };
        let mut power = cells.to_vec();
        for _ in 1..times {
            power = self.multiplied(&power, columns, cells, columns)?;
        }
        self.tree.add(Node::Matrix { columns, cells: power }, self.fuel)
    }

    /// The inverse of a 2 x 2 matrix.
    fn inverse(&mut self, a: Id, b: Id, c: Id, d: Id) -> Result<Id, Reason> {
        let determinant = self.determinant(&[a, b, c, d], 2)?;
        let (b, c) = (
            self.tree.add(Node::Negate(b), self.fuel)?,
            self.tree.add(Node::Negate(c), self.fuel)?,
        );
        self.mapped(2, &[d, b, c, a], |s, x| s.tree.add(Node::Quotient(x, determinant), s.fuel))
    }

    fn determinant_of(&mut self, id: Id, arguments: &[Id]) -> Result<Id, Reason> {
        let [only] = arguments else { return Ok(id) };
        let Node::Matrix { columns, cells } = self.tree.get(*only).clone() else { return Ok(id) };
        if columns == 0 || columns > MAX_DETERMINANT || cells.len() != columns * columns {
            return Ok(id);
        }
        self.determinant(&cells, columns)
    }

    /// The determinant, by expansion along the first row.
    fn determinant(&mut self, cells: &[Id], size: usize) -> Result<Id, Reason> {
        if size == 1 {
            return Ok(cells[0]);
        }
        let mut terms = Vec::with_capacity(size);
        for column in 0..size {
            let minor: Vec<Id> =
                (size..size * size).filter(|i| i % size != column).map(|i| cells[i]).collect();
            let minor = self.determinant(&minor, size - 1)?;
            let term = self.tree.add(Node::Product(vec![cells[column], minor]), self.fuel)?;
            terms.push(if column % 2 == 0 {
                term
            } else {
                self.tree.add(Node::Negate(term), self.fuel)?
            });
        }
        self.tree.add(Node::Sum(terms), self.fuel)
    }

    /// The definite integral of a polynomial, as a difference; any other integral is returned unchanged.
    fn integrated(&mut self, id: Id, arguments: &[Id]) -> Result<Id, Reason> {
        let [low, high, body, variable] = *arguments else { return Ok(id) };
        let Node::Symbol(symbol) = *self.tree.get(variable) else { return Ok(id) };
        let Ok((above, below)) = polynomial::quotient(self.tree, body, symbol, self.fuel) else {
            return Ok(id);
        };
        let scale = below.leading();
        if below != Polynomial::constant(scale.clone()) {
            return Ok(id);
        }
        let mut terms = Vec::new();
        for (bound, sign) in [(high, BigRational::one()), (low, -BigRational::one())] {
            for (power, factor) in above.antiderivative() {
                let value = factor / &scale * &sign;
                let factor = self.tree.add(Node::Number { value, decimals: None }, self.fuel)?;
                let power = self.tree.integer(i64::try_from(power).unwrap_or(1), self.fuel)?;
                let power = self.tree.add(Node::Power(bound, power), self.fuel)?;
                terms.push(self.tree.add(Node::Product(vec![factor, power]), self.fuel)?);
            }
        }
        self.tree.add(Node::Sum(terms), self.fuel)
    }

    /// Multiplies degrees in the argument of a function by pi / 180.
    fn radians(&mut self, id: Id, function: Function, arguments: &[Id]) -> Result<Id, Reason> {
        let mut new = Vec::with_capacity(arguments.len());
        for argument in arguments {
            new.push(match self.tree.get(*argument).clone() {
                Node::Quantity(value, unit) if unit == "deg" => self.in_radians(value)?,
                _ => *argument,
            });
        }
        if new == arguments {
            return Ok(id);
        }
        self.tree.add(Node::Call(function, new), self.fuel)
    }

    /// A value in degrees as radians.
    pub(super) fn in_radians(&mut self, degrees: Id) -> Result<Id, Reason> {
        let pi = self.tree.add(Node::Constant(Constant::Pi), self.fuel)?;
        let straight = self.tree.integer(180, self.fuel)?;
        let product = self.tree.add(Node::Product(vec![degrees, pi]), self.fuel)?;
        self.tree.add(Node::Quotient(product, straight), self.fuel)
    }

    /// Replaces a plus-minus sign by two answers, also inside lists and sets.
    fn expanded(&mut self, id: Id) -> Result<Id, Reason> {
        if !self.tree.any(id, &|n| matches!(n, Node::PlusMinus { .. })) {
            return Ok(id);
        }
        let (items, set) = match self.tree.get(id).clone() {
            Node::List(items) => (items, false),
            Node::Set(items) => (items, true),
            _ => (vec![id], false),
        };
        let mut all = Vec::new();
        for item in items {
            if self.tree.any(item, &|n| matches!(n, Node::PlusMinus { .. })) {
                all.push(self.signed(item, true)?);
                all.push(self.signed(item, false)?);
            } else {
                all.push(item);
            }
        }
        self.tree.add(if set { Node::Set(all) } else { Node::List(all) }, self.fuel)
    }

    /// The tree with every plus-minus sign read as plus (or as minus).
    fn signed(&mut self, id: Id, upper: bool) -> Result<Id, Reason> {
        self.fuel.spend(50)?;
        let children = self.tree.children(id);
        let mut new = Vec::with_capacity(children.len());
        for child in &children {
            new.push(self.signed(*child, upper)?);
        }
        let node = match self.tree.get(id) {
            Node::PlusMinus { plus, .. } => {
                let right = if *plus == upper {
                    new[1]
                } else {
                    self.tree.add(Node::Negate(new[1]), self.fuel)?
                };
                Node::Sum(vec![new[0], right])
            }
            _ if new == children => return Ok(id),
            _ => self.tree.with_children(id, &new),
        };
        self.tree.add(node, self.fuel)
    }
}
