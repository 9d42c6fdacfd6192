//! Solves conditions on one name over the reals, such as `2x + 1 > 5`, `|x - 1| <= 3`, `x^2 < 4` or
//! `(x - 1)/(x + 2) >= 0`.
//!
//! A solution is a list of flags over the sorted points at which the condition can change; `sets`
//! compares these flags. Quotients of polynomials are solved by their roots (see `value/polynomial.rs`)
//! and the sign rule. Anything without such roots is left unsolved; nothing is guessed from samples.

use std::cmp::Ordering;

use num_traits::{Signed, Zero};

use super::Comparison;
use crate::fuel::Reason;
use crate::syntax::tree::{Function, Id, Node, Relation, Symbol};
use crate::value::Fault;
use crate::value::polynomial::{self, Polynomial, Root};

/// Where a condition on a name holds: flags of `(-inf, e1), e1, (e1, e2), e2, ..., (en, inf)`.
#[derive(Debug, Clone)]
pub(super) struct Region {
    /// The name that the condition is on.
    pub subject: Id,
    /// The points at which the condition may change, in order.
    pub ends: Vec<Id>,
    /// The flags; `2 * ends.len() + 1` of them.
    pub holds: Vec<bool>,
}

type Found = Result<Option<Region>, Reason>;

/// Numerator and denominator of a quotient of polynomials.
type Quotient = (Polynomial, Polynomial);

/// A point at which a quotient of polynomials may change its sign.
struct Turn {
    end: Id,
    /// Multiplicity as a root of numerator and denominator together.
    times: usize,
    /// Whether the denominator is zero there.
    pole: bool,
}

impl Comparison<'_> {
    /// The regions of all links of a chain, on one name; `None` if any link is not solved.
    pub(super) fn regions(
        &mut self,
        sides: &[Id],
        relations: &[Relation],
    ) -> Result<Option<Vec<Region>>, Reason> {
        let mut regions: Vec<Region> = Vec::new();
        for (index, relation) in relations.iter().enumerate() {
            if !relation.is_order() && !matches!(relation, Relation::Equal | Relation::NotEqual) {
                return Ok(None);
            }
            let Some(region) = self.region(sides[index], *relation, sides[index + 1])? else {
                return Ok(None);
            };
            if let Some(first) = regions.first()
                && !self.same(first.subject, region.subject)?
            {
                return Ok(None);
            }
            regions.push(region);
        }
        Ok(Some(regions))
    }

    fn region(&mut self, left: Id, relation: Relation, right: Id) -> Found {
        let (subject, bound, relation) = if self.is_constant(right) {
            (left, right, relation)
        } else if self.is_constant(left) {
            (right, left, relation.flipped())
        } else {
            let zero = self.tree.integer(0, self.fuel)?;
            (self.difference(left, right)?, zero, relation)
        };
        if self.is_name(subject) && !matches!(self.tree.get(subject), Node::Call(..)) {
            return Ok(Some(self.bounded(subject, relation, bound)));
        }
        if let Node::Call(Function::Abs, inner) = self.tree.get(subject)
            && let [inner] = *inner.as_slice()
        {
            return match self.tree.get(inner) {
                Node::Symbol(_) => self.around_zero(inner, relation, bound),
                _ => self.distance(inner, relation, bound),
            };
        }
        if self.is_name(subject) {
            return Ok(Some(self.bounded(subject, relation, bound)));
        }
        self.rational_condition(subject, relation, bound)
    }

    pub(super) fn is_constant(&self, id: Id) -> bool {
        self.tree.free_symbols(id).is_empty()
            && !self.tree.any(id, &|n| matches!(n, Node::Apply(..) | Node::Text(_)))
            && !self.is_container(id)
    }

    /// The region of a name compared with one bound, which may be infinite.
    fn bounded(&self, subject: Id, relation: Relation, bound: Id) -> Region {
        if let Some(positive) = self.infinite(bound) {
            let side = if positive { Ordering::Less } else { Ordering::Greater };
            return Region { subject, ends: Vec::new(), holds: vec![admits(relation, side)] };
        }
        let holds = [Ordering::Less, Ordering::Equal, Ordering::Greater];
        Region { subject, ends: vec![bound], holds: holds.map(|o| admits(relation, o)).to_vec() }
    }

    /// The region of the absolute value of a name compared with one bound.
    fn around_zero(&mut self, subject: Id, relation: Relation, bound: Id) -> Found {
        let zero = self.tree.integer(0, self.fuel)?;
        let holds = |orders: &[Ordering]| orders.iter().map(|o| admits(relation, *o)).collect();
        use Ordering::{Equal, Greater, Less};
        let (ends, holds) = match self.order(bound, zero)? {
            None => return Ok(None),
            Some(Less) => (Vec::new(), holds(&[Greater])),
            Some(Equal) => (vec![bound], holds(&[Greater, Equal, Greater])),
            Some(Greater) => {
                let mirrored = self.tree.add(Node::Negate(bound), self.fuel)?;
                (vec![mirrored, bound], holds(&[Greater, Equal, Less, Equal, Greater]))
            }
        };
        Ok(Some(Region { subject, ends, holds }))
    }

    /// The region of the absolute value of an expression compared with a rational bound, by squaring both
    /// sides.
    fn distance(&mut self, inner: Id, relation: Relation, bound: Id) -> Found {
        let Ok(bound) = self.rational(bound)? else { return Ok(None) };
        let Some((symbol, (above, below))) = self.quotient_of(inner)? else { return Ok(None) };
        let subject = self.tree.add(Node::Symbol(symbol), self.fuel)?;
        if bound.is_negative() {
            let holds = vec![admits(relation, Ordering::Greater)];
            let total = below == Polynomial::constant(below.leading());
            return Ok(total.then_some(Region { subject, ends: Vec::new(), holds }));
        }
        let squared = |p: &Polynomial, fuel: &mut _| p.times(p, fuel);
        let parts = squared(&above, self.fuel)
            .and_then(|above| Ok((above, squared(&below, self.fuel)?)))
            .map(|(above, below)| (above.plus(&below.scaled(&-(&bound * &bound))), below));
        match settled(parts)? {
            Some(parts) => self.sign_region(subject, relation, &parts),
            None => Ok(None),
        }
    }

    /// The region of a quotient of polynomials compared with a rational bound, or of a linear one
    /// compared with any bound.
    fn rational_condition(&mut self, subject: Id, relation: Relation, bound: Id) -> Found {
        let Some((symbol, (above, below))) = self.quotient_of(subject)? else { return Ok(None) };
        let name = self.tree.add(Node::Symbol(symbol), self.fuel)?;
        if let Ok(bound) = self.rational(bound)? {
            let parts = (above.plus(&below.scaled(&-bound)), below);
            return self.sign_region(name, relation, &parts);
        }
        let Some((slope, offset)) = above.line().filter(|_| below.leading().is_positive()) else {
            return Ok(None);
        };
        if below != Polynomial::constant(below.leading()) {
            return Ok(None);
        }
        // a x + b > c d means x > (c d - b) / a, with the relation reversed for negative a.
        let turned = if slope.is_negative() { relation.flipped() } else { relation };
        let factor = self.number(below.leading())?;
        let scaled = self.tree.add(Node::Product(vec![bound, factor]), self.fuel)?;
        let offset = self.number(offset)?;
        let rest = self.difference(scaled, offset)?;
        let slope = self.number(slope)?;
        let bound = self.tree.add(Node::Quotient(rest, slope), self.fuel)?;
        Ok(Some(self.bounded(name, turned, bound)))
    }

    /// The tree as a quotient of polynomials in its only name.
    fn quotient_of(&mut self, id: Id) -> Result<Option<(Symbol, Quotient)>, Reason> {
        let symbols = self.tree.free_symbols(id);
        let [symbol] = *symbols.as_slice() else { return Ok(None) };
        let quotient = polynomial::quotient(self.tree, id, symbol, self.fuel);
        Ok(settled(quotient)?.map(|quotient| (symbol, quotient)))
    }

    fn number(&mut self, value: num_rational::BigRational) -> Result<Id, Reason> {
        self.tree.add(Node::Number { value, decimals: None }, self.fuel)
    }

    /// The region where `above / below` has the given relation to zero: the sign changes at roots of odd
    /// multiplicity.
    fn sign_region(&mut self, subject: Id, relation: Relation, (above, below): &Quotient) -> Found {
        let found = above.roots(self.fuel).and_then(|a| Ok((a, below.roots(self.fuel)?)));
        let Some((zeros, poles)) = settled(found)? else { return Ok(None) };
        let Some(points) = self.merged(zeros, poles)? else { return Ok(None) };
        let mut sign = (above.leading() * below.leading()).cmp(&num_traits::zero());
        let mut holds = vec![admits(relation, sign)];
        for point in points.iter().rev() {
            holds.push(!point.pole && admits(relation, Ordering::Equal));
            if point.times % 2 == 1 {
                sign = sign.reverse();
            }
            holds.push(admits(relation, sign));
        }
        holds.reverse();
        let ends = points.into_iter().map(|point| point.end).collect();
        Ok(Some(Region { subject, ends, holds }))
    }

    /// Roots of numerator and denominator in order.
    fn merged(
        &mut self,
        zeros: Vec<(Root, usize)>,
        poles: Vec<(Root, usize)>,
    ) -> Result<Option<Vec<Turn>>, Reason> {
        let mut all: Vec<(Root, usize, bool)> =
            zeros.into_iter().map(|(root, times)| (root, times, false)).collect();
        for (root, times) in poles {
            match all.iter_mut().find(|known| known.0 == root) {
                Some(known) => (known.1, known.2) = (known.1 + times, true),
                None => all.push((root, times, true)),
            }
        }
        let mut sorted: Vec<Turn> = Vec::new();
        for (root, times, pole) in all {
            let end = self.root_node(root)?;
            let mut at = sorted.len();
            for (index, other) in sorted.iter().enumerate() {
                match self.order(end, other.end)? {
                    None => return Ok(None),
                    Some(Ordering::Less) => {
                        at = index;
                        break;
                    }
                    Some(_) => {}
                }
            }
            sorted.insert(at, Turn { end, times, pole });
        }
        Ok(Some(sorted))
    }

    fn root_node(&mut self, root: Root) -> Result<Id, Reason> {
        let (center, square, upper) = match root {
            Root::Rational(value) => return self.number(value),
            Root::Surd { center, square, upper } => (center, square, upper),
        };
        let radicand = self.number(square)?;
        let degree = self.tree.integer(2, self.fuel)?;
        let mut root = self.tree.add(Node::Root { radicand, degree }, self.fuel)?;
        if !upper {
            root = self.tree.add(Node::Negate(root), self.fuel)?;
        }
        if center.is_zero() {
            return Ok(root);
        }
        let center = self.number(center)?;
        self.tree.add(Node::Sum(vec![center, root]), self.fuel)
    }
}

/// Whether a value fulfils the relation to its bound, if `order` is the order of value and bound.
fn admits(relation: Relation, order: Ordering) -> bool {
    match relation {
        Relation::Less => order == Ordering::Less,
        Relation::LessEqual => order != Ordering::Greater,
        Relation::Greater => order == Ordering::Greater,
        Relation::GreaterEqual => order != Ordering::Less,
        Relation::NotEqual => order != Ordering::Equal,
        _ => order == Ordering::Equal,
    }
}

/// Converts a fault into `None`, except for one that must stop the whole comparison.
fn settled<T>(result: Result<T, Fault>) -> Result<Option<T>, Reason> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Fault::Stop(reason)) => Err(reason),
        Err(_) => Ok(None),
    }
}
