//! Compares sets of reals: intervals, unions, differences, named sets, solved inequalities.
//!
//! Both sides are cut at the joint list of their endpoints; a set is then one flag for each point and
//! each gap between points, and set operations are operations on flags. Endpoints have to be
//! constants that can be ordered; otherwise the parts are compared as written.

use std::cmp::Ordering;

use super::{Comparison, Outcome, Tri};
use crate::fuel::Reason;
use crate::syntax::tree::{Constant, Function, Id, Named, Node, Relation, SetOperation};

/// Most endpoints of both sides together.
const MAX_ENDPOINTS: usize = 64;

/// Membership of `(-inf, e1), e1, (e1, e2), e2, ..., (en, inf)`.
type Flags = Vec<bool>;

impl Comparison<'_> {
    /// Compares where at least one side is a set expression.
    pub(super) fn set_expressions(&mut self, gold: Id, answer: Id) -> Outcome {
        if let (Node::Named(g), Node::Named(a)) = (self.tree.get(gold), self.tree.get(answer)) {
            return Ok(Tri::from_bool(g == a));
        }
        if let Some(equal) = self.as_flags(gold, answer)? {
            return Ok(Tri::from_bool(equal));
        }
        if self.same(gold, answer)? {
            return Ok(Tri::Equal);
        }
        let point =
            |c: &Self, id| matches!(c.tree.get(id), Node::Tuple { items, .. } if items.len() != 2);
        if point(self, gold) || point(self, answer) {
            return Ok(Tri::Different);
        }
        match (self.tree.get(gold).clone(), self.tree.get(answer).clone()) {
            (Node::SetExpression(f, a, b), Node::SetExpression(g, c, d)) if f == g => {
                let straight = self.pairwise(&[a, b], &[c, d])?;
                if straight == Tri::Equal || f == SetOperation::Difference {
                    return Ok(straight);
                }
                match self.pairwise(&[a, b], &[d, c])? {
                    Tri::Different => Ok(straight),
                    other => Ok(other),
                }
            }
            (Node::Builder { item: a, condition: b }, Node::Builder { item: c, condition: d }) => {
                self.pairwise(&[a, b], &[c, d])
            }
            (
                Node::Builder { .. } | Node::SetExpression(..),
                Node::Set(_) | Node::Named(_) | Node::Tuple { .. },
            )
            | (
                Node::Set(_) | Node::Named(_) | Node::Tuple { .. },
                Node::Builder { .. } | Node::SetExpression(..),
            ) => Ok(Tri::Undecided(Reason::Unsupported)),
            _ => Ok(Tri::Different),
        }
    }

    /// Whether both sides are the same set of reals; nothing where they cannot be read as such.
    pub(super) fn as_flags(&mut self, gold: Id, answer: Id) -> Result<Option<bool>, Reason> {
        let mut endpoints = Vec::new();
        if !self.endpoints(gold, &mut endpoints)? || !self.endpoints(answer, &mut endpoints)? {
            return Ok(None);
        }
        let Some(sorted) = self.sorted(endpoints)? else { return Ok(None) };
        let (Some(g), Some(a)) = (self.flags(gold, &sorted)?, self.flags(answer, &sorted)?) else {
            return Ok(None);
        };
        Ok(Some(g == a))
    }

    /// Collects the finite endpoints of a set.
    fn endpoints(&mut self, id: Id, out: &mut Vec<Id>) -> Result<bool, Reason> {
        self.fuel.spend(50)?;
        if out.len() > MAX_ENDPOINTS {
            return Ok(false);
        }
        match self.tree.get(id).clone() {
            Node::Named(Named::Reals | Named::Empty | Named::PositiveReals) => {
                let zero = self.tree.integer(0, self.fuel)?;
                out.push(zero);
                Ok(true)
            }
            Node::Tuple { items, .. } if items.len() == 2 => {
                for item in items {
                    if self.finite(item)? {
                        out.push(item);
                    }
                }
                Ok(true)
            }
            Node::Set(items) => {
                out.extend(items);
                Ok(true)
            }
            Node::List(items) => {
                for item in items {
                    if !self.endpoints(item, out)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Node::SetExpression(_, a, b) => Ok(self.endpoints(a, out)? && self.endpoints(b, out)?),
            Node::Builder { condition, .. } => self.endpoints(condition, out),
            Node::Chain { sides, relations } => {
                if let [Relation::In] = relations.as_slice() {
                    return self.endpoints(sides[1], out);
                }
                let Some(links) = self.solved(&sides, &relations)? else { return Ok(false) };
                for link in links {
                    if self.finite(link.bound)? {
                        out.push(link.bound);
                    }
                    if link.absolute {
                        let mirrored = self.tree.add(Node::Negate(link.bound), self.fuel)?;
                        out.push(mirrored);
                    }
                }
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn finite(&mut self, id: Id) -> Result<bool, Reason> {
        Ok(!matches!(self.tree.get(id), Node::Constant(Constant::Infinity))
            && !matches!(self.tree.get(id), Node::Negate(a)
                if matches!(self.tree.get(*a), Node::Constant(Constant::Infinity))))
    }

    /// Endpoints in order, each once; nothing where two cannot be ordered.
    fn sorted(&mut self, endpoints: Vec<Id>) -> Result<Option<Vec<Id>>, Reason> {
        let mut sorted: Vec<Id> = Vec::new();
        for id in endpoints {
            if !self.tree.free_symbols(id).is_empty() {
                return Ok(None);
            }
            let mut at = sorted.len();
            let mut known = false;
            for (index, other) in sorted.clone().into_iter().enumerate() {
                match self.order(id, other)? {
                    None => return Ok(None),
                    Some(Ordering::Equal) => known = true,
                    Some(Ordering::Less) => {
                        at = index;
                    }
                    Some(Ordering::Greater) => continue,
                }
                break;
            }
            if !known {
                sorted.insert(at, id);
            }
        }
        Ok(Some(sorted))
    }

    /// Membership flags of a set over sorted endpoints.
    fn flags(&mut self, id: Id, ends: &[Id]) -> Result<Option<Flags>, Reason> {
        let size = 2 * ends.len() + 1;
        Ok(match self.tree.get(id).clone() {
            Node::Named(Named::Reals) => Some(vec![true; size]),
            Node::Named(Named::Empty) => Some(vec![false; size]),
            Node::Named(Named::PositiveReals) => {
                let zero = self.tree.integer(0, self.fuel)?;
                let Some(at) = self.place(zero, ends)? else { return Ok(None) };
                Some((0..size).map(|i| i > at).collect())
            }
            Node::Tuple { open, close, items } if items.len() == 2 => {
                self.interval(items[0], open == '[', items[1], close == ']', ends)?
            }
            Node::Set(items) => {
                let mut flags = vec![false; size];
                for item in items {
                    let Some(at) = self.place(item, ends)? else { return Ok(None) };
                    flags[at] = true;
                }
                Some(flags)
            }
            Node::List(items) => self.several(&items, ends)?,
            Node::SetExpression(operation, a, b) => {
                let (Some(a), Some(b)) = (self.flags(a, ends)?, self.flags(b, ends)?) else {
                    return Ok(None);
                };
                let join = |(x, y): (bool, bool)| match operation {
                    SetOperation::Union => x || y,
                    SetOperation::Intersection => x && y,
                    SetOperation::Difference => x && !y,
                };
                Some(a.into_iter().zip(b).map(join).collect())
            }
            Node::Builder { condition, .. } => self.flags(condition, ends)?,
            Node::Chain { sides, relations } => match relations.as_slice() {
                [Relation::In] => self.flags(sides[1], ends)?,
                _ => self.solution(&sides, &relations, ends)?,
            },
            _ => None,
        })
    }

    /// Several sets: conditions hold together, unless nothing would be left; sets are united.
    fn several(&mut self, items: &[Id], ends: &[Id]) -> Result<Option<Flags>, Reason> {
        let mut all = Vec::new();
        let conditions = items.iter().all(|i| matches!(self.tree.get(*i), Node::Chain { .. }));
        for item in items {
            let Some(flags) = self.flags(*item, ends)? else { return Ok(None) };
            all.push(flags);
        }
        let size = 2 * ends.len() + 1;
        let both: Flags = (0..size).map(|i| all.iter().all(|f| f[i])).collect();
        if conditions && both.iter().any(|f| *f) {
            return Ok(Some(both));
        }
        Ok(Some((0..size).map(|i| all.iter().any(|f| f[i])).collect()))
    }

    /// Index of the flag of an endpoint.
    fn place(&mut self, id: Id, ends: &[Id]) -> Result<Option<usize>, Reason> {
        for (index, end) in ends.iter().enumerate() {
            if self.order(id, *end)? == Some(Ordering::Equal) {
                return Ok(Some(2 * index + 1));
            }
        }
        Ok(None)
    }

    fn interval(
        &mut self,
        low: Id,
        low_in: bool,
        high: Id,
        high_in: bool,
        ends: &[Id],
    ) -> Result<Option<Flags>, Reason> {
        let size = 2 * ends.len() + 1;
        let first = match self.finite(low)? {
            true => self.place(low, ends)?.map(|at| at + usize::from(!low_in)),
            false => Some(0),
        };
        let last = match self.finite(high)? {
            true => self.place(high, ends)?.map(|at| if high_in { at } else { at - 1 }),
            false => Some(size - 1),
        };
        let (Some(first), Some(last)) = (first, last) else { return Ok(None) };
        Ok(Some((0..size).map(|i| first <= i && i <= last).collect()))
    }

    /// The solution set of a chain of relations between one name and constants.
    fn solution(
        &mut self,
        sides: &[Id],
        relations: &[Relation],
        ends: &[Id],
    ) -> Result<Option<Flags>, Reason> {
        let Some(links) = self.solved(sides, relations)? else { return Ok(None) };
        let size = 2 * ends.len() + 1;
        let mut flags = vec![true; size];
        for link in links {
            let Some(holds) = self.link_flags(&link, ends)? else { return Ok(None) };
            for (flag, hold) in flags.iter_mut().zip(holds) {
                *flag &= hold;
            }
        }
        Ok(Some(flags))
    }

    fn link_flags(&mut self, link: &Link, ends: &[Id]) -> Result<Option<Flags>, Reason> {
        let size = 2 * ends.len() + 1;
        if !self.finite(link.bound)? {
            return Ok(Some(vec![true; size]));
        }
        let Some(at) = self.place(link.bound, ends)? else { return Ok(None) };
        let holds = |index: usize, at: usize, relation: Relation| match relation {
            Relation::Less => index < at,
            Relation::LessEqual => index <= at,
            Relation::Greater => index > at,
            Relation::GreaterEqual => index >= at,
            Relation::NotEqual => index != at,
            _ => index == at,
        };
        if !link.absolute {
            return Ok(Some((0..size).map(|i| holds(i, at, link.relation)).collect()));
        }
        let mirrored = self.tree.add(Node::Negate(link.bound), self.fuel)?;
        let Some(low) = self.place(mirrored, ends)? else { return Ok(None) };
        // |x| > c holds on either side; |x| < c between; a negative c gives all or nothing.
        let outside = matches!(
            link.relation,
            Relation::Greater | Relation::GreaterEqual | Relation::NotEqual
        );
        let flag = |i: usize| {
            let (upper, lower) =
                (holds(i, at, link.relation), holds(i, low, link.relation.flipped()));
            if link.relation == Relation::Equal || outside && link.relation != Relation::NotEqual {
                upper || lower
            } else {
                upper && lower
            }
        };
        Ok(Some((0..size).map(flag).collect()))
    }

    /// The links of a chain as conditions on one name; nothing where it is not of that form.
    fn solved(
        &mut self,
        sides: &[Id],
        relations: &[Relation],
    ) -> Result<Option<Vec<Link>>, Reason> {
        let mut name: Option<Id> = None;
        let mut links = Vec::new();
        for (index, relation) in relations.iter().enumerate() {
            if !relation.is_order() && !matches!(relation, Relation::Equal | Relation::NotEqual) {
                return Ok(None);
            }
            let (left, right) = (sides[index], sides[index + 1]);
            let (subject, bound, relation) = if self.is_constant(right) {
                (left, right, *relation)
            } else if self.is_constant(left) {
                (right, left, relation.flipped())
            } else {
                return Ok(None);
            };
            let Some(mut link) = self.isolated(subject, bound, relation)? else { return Ok(None) };
            match name {
                None => name = Some(link.subject),
                Some(known) if self.same(known, link.subject)? => {}
                Some(_) => return Ok(None),
            }
            link.relation = if link.swapped { link.relation.flipped() } else { link.relation };
            links.push(link);
        }
        Ok(Some(links))
    }

    fn is_constant(&self, id: Id) -> bool {
        self.tree.free_symbols(id).is_empty()
            && !self.tree.any(id, &|n| matches!(n, Node::Apply(..) | Node::Text(_)))
            && !self.is_container(id)
    }

    /// Solves `subject relation bound` for a name: a name, its absolute value, or a linear expression
    /// with rational coefficients.
    fn isolated(
        &mut self,
        subject: Id,
        bound: Id,
        relation: Relation,
    ) -> Result<Option<Link>, Reason> {
        let plain = Link { subject, bound, relation, absolute: false, swapped: false };
        if let Node::Call(Function::Abs, inner) = self.tree.get(subject)
            && let [name] = inner.as_slice()
            && matches!(self.tree.get(*name), Node::Symbol(_))
        {
            return Ok(Some(Link { subject: *name, absolute: true, ..plain }));
        }
        if self.is_name(subject) {
            return Ok(Some(plain));
        }
        self.linear(plain)
    }

    /// `a x + b relation c` becomes `x relation (c - b) / a`.
    fn linear(&mut self, link: Link) -> Result<Option<Link>, Reason> {
        use crate::value::exact::Exact;
        use num_rational::BigRational;
        use num_traits::{Signed, Zero};
        let symbols = self.tree.free_symbols(link.subject);
        let [symbol] = symbols.as_slice() else { return Ok(None) };
        let mut at = |x: i64| {
            let bindings = vec![(*symbol, BigRational::from_integer(x.into()))];
            Exact { tree: self.tree, fuel: self.fuel, bindings }.value(link.subject)
        };
        let (Ok(zero), Ok(one), Ok(seven)) = (at(0), at(1), at(7)) else { return Ok(None) };
        let slope = &one - &zero;
        if slope.is_zero() || seven != &zero + &slope * num_bigint::BigInt::from(7) {
            return Ok(None);
        }
        let swapped = slope.is_negative();
        let offset = self.tree.add(Node::Number { value: zero, decimals: None }, self.fuel)?;
        let slope = self.tree.add(Node::Number { value: slope, decimals: None }, self.fuel)?;
        let rest = self.difference(link.bound, offset)?;
        let bound = self.tree.add(Node::Quotient(rest, slope), self.fuel)?;
        let subject = self.tree.add(Node::Symbol(*symbol), self.fuel)?;
        Ok(Some(Link { subject, bound, swapped, ..link }))
    }
}

/// One condition on a name.
#[derive(Debug, Clone, Copy)]
struct Link {
    subject: Id,
    bound: Id,
    relation: Relation,
    /// Whether the condition is on the absolute value.
    absolute: bool,
    /// Whether solving for the name turned the relation around.
    swapped: bool,
}
