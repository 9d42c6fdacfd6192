//! Compares sets of reals: intervals, unions, differences, named sets, solved inequalities.
//!
//! Both sides are split at the combined list of their endpoints. A set is then one flag for each point
//! and each gap between points, and set operations become operations on flags. Endpoints must be
//! constants that can be ordered; otherwise the parts are compared as written.

use std::cmp::Ordering;

use super::regions::Region;
use super::{Comparison, Outcome, Tri};
use crate::fuel::Reason;
use crate::syntax::tree::{BLANK, Constant, Id, Named, Node, Relation, SetOperation};

/// Maximum number of endpoints of both sides together.
const MAX_ENDPOINTS: usize = 64;

/// Membership of `(-inf, e1), e1, (e1, e2), e2, ..., (en, inf)`.
type Flags = Vec<bool>;

/// An end of an interval, and whether it belongs to the interval.
#[derive(Clone, Copy)]
struct Endpoint {
    at: Id,
    included: bool,
}

/// Endpoints and name collected from a set.
#[derive(Debug, Default)]
pub(super) struct Endpoints {
    pub points: Vec<Id>,
    /// The only name that the conditions are on.
    pub name: Option<Id>,
}

impl Comparison<'_> {
    /// Compares two nodes of which at least one is a set expression.
    pub(super) fn set_expressions(&mut self, gold: Id, answer: Id) -> Outcome {
        let listed = (self.listed(gold)?, self.listed(answer)?);
        if listed != (gold, answer) {
            return self.compare(listed.0, listed.1);
        }
        if let (Node::Named(g), Node::Named(a)) = (self.tree.get(gold), self.tree.get(answer)) {
            return Ok(Tri::from_bool(g == a));
        }
        if let Some(equal) = self.as_flags(gold, answer)? {
            return Ok(Tri::from_bool(equal));
        }
        if self.same(gold, answer)? {
            return Ok(Tri::Equal);
        }
        if self.is_point(gold)? || self.is_point(answer)? {
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

    /// Whether a tuple cannot be an interval.
    fn is_point(&mut self, id: Id) -> Result<bool, Reason> {
        match self.tree.get(id) {
            Node::Tuple { items, .. } => match *items.as_slice() {
                [low, high] => Ok(self.order(low, high)? == Some(Ordering::Greater)),
                _ => Ok(true),
            },
            _ => Ok(false),
        }
    }

    /// Whether both sides are the same set of reals; `None` if a side cannot be read as one.
    pub(super) fn as_flags(&mut self, gold: Id, answer: Id) -> Result<Option<bool>, Reason> {
        let mut found = Endpoints::default();
        let names = |c: &mut Self, id, found: &mut Endpoints| {
            found.name = None;
            Ok(c.endpoints(id, found)?.then_some(found.name))
        };
        let Some(left) = names(self, gold, &mut found)? else { return Ok(None) };
        let Some(right) = names(self, answer, &mut found)? else { return Ok(None) };
        if let (Some(left), Some(right)) = (left, right)
            && !self.one_name(left, right)?
        {
            return Ok(None);
        }
        let Some(sorted) = self.sorted(found.points)? else { return Ok(None) };
        let (Some(g), Some(a)) = (self.flags(gold, &sorted)?, self.flags(answer, &sorted)?) else {
            return Ok(None);
        };
        Ok(Some(g == a))
    }

    /// Whether two conditions are on the same name; a condition may leave its name out.
    fn one_name(&mut self, a: Id, b: Id) -> Result<bool, Reason> {
        let blank = |id: Id| match self.tree.get(id) {
            Node::Symbol(symbol) => self.tree.name(*symbol) == BLANK,
            _ => false,
        };
        Ok(blank(a) || blank(b) || self.same(a, b)?)
    }

    /// Collects the finite endpoints of a set and the name of its conditions. Returns false if the node
    /// is not such a set or has conditions on several names.
    pub(super) fn endpoints(&mut self, id: Id, out: &mut Endpoints) -> Result<bool, Reason> {
        self.fuel.spend(50)?;
        if out.points.len() > MAX_ENDPOINTS {
            return Ok(false);
        }
        match self.tree.get(id).clone() {
            Node::Named(Named::Reals | Named::Empty | Named::PositiveReals) => {
                let zero = self.tree.integer(0, self.fuel)?;
                out.points.push(zero);
                Ok(true)
            }
            Node::Tuple { items, .. } if items.len() == 2 => {
                for item in items {
                    if self.finite(item)? {
                        out.points.push(item);
                    }
                }
                Ok(true)
            }
            Node::Set(items) => {
                out.points.extend(items);
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
            Node::Builder { condition, .. } => {
                // The name in a set-builder is bound.
                let outer = out.name.take();
                let found = self.endpoints(condition, out)?;
                out.name = outer;
                Ok(found)
            }
            Node::Chain { sides, relations } => {
                if let [Relation::In] = relations.as_slice() {
                    return self.endpoints(sides[1], out);
                }
                let Some(regions) = self.regions(&sides, &relations)? else { return Ok(false) };
                for region in regions {
                    match out.name {
                        Some(name) if !self.one_name(name, region.subject)? => return Ok(false),
                        _ => out.name = Some(region.subject),
                    }
                    out.points.extend(region.ends);
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

    /// The endpoints in order, without repetitions; `None` if two of them cannot be ordered.
    pub(super) fn sorted(&mut self, endpoints: Vec<Id>) -> Result<Option<Vec<Id>>, Reason> {
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

    /// Membership flags of a set over sorted endpoints; `None` if they cannot be computed.
    pub(super) fn flags(&mut self, id: Id, ends: &[Id]) -> Result<Option<Flags>, Reason> {
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
                let low = Endpoint { at: items[0], included: open == '[' };
                let high = Endpoint { at: items[1], included: close == ']' };
                self.interval(low, high, ends)?
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

    /// Flags of several items. Conditions are intersected, unless that would leave nothing; sets are
    /// united.
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

    /// Index of the flag of an endpoint; `None` if the endpoint is not found.
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
        low: Endpoint,
        high: Endpoint,
        ends: &[Id],
    ) -> Result<Option<Flags>, Reason> {
        let size = 2 * ends.len() + 1;
        let first = match self.finite(low.at)? {
            true => self.place(low.at, ends)?.map(|at| at + usize::from(!low.included)),
            false => Some(0),
        };
        let last = match self.finite(high.at)? {
            true => self.place(high.at, ends)?.map(|at| if high.included { at } else { at - 1 }),
            false => Some(size - 1),
        };
        let (Some(first), Some(last)) = (first, last) else { return Ok(None) };
        // `(3, -1)` is a point, not an empty interval.
        if self.order(low.at, high.at)? == Some(Ordering::Greater) {
            return Ok(None);
        }
        Ok(Some((0..size).map(|i| first <= i && i <= last).collect()))
    }

    /// The solution set of a chain of conditions on one name.
    fn solution(
        &mut self,
        sides: &[Id],
        relations: &[Relation],
        ends: &[Id],
    ) -> Result<Option<Flags>, Reason> {
        let Some(regions) = self.regions(sides, relations)? else { return Ok(None) };
        let mut flags = vec![true; 2 * ends.len() + 1];
        for region in regions {
            let Some(holds) = self.spread(&region, ends)? else { return Ok(None) };
            for (flag, hold) in flags.iter_mut().zip(holds) {
                *flag &= hold;
            }
        }
        Ok(Some(flags))
    }

    /// The flags of a region over a larger list of endpoints.
    fn spread(&mut self, region: &Region, ends: &[Id]) -> Result<Option<Flags>, Reason> {
        let mut places = Vec::with_capacity(region.ends.len());
        for end in &region.ends {
            let Some(at) = self.place(*end, ends)? else { return Ok(None) };
            places.push(at);
        }
        let flag = |at: usize| {
            let before = places.iter().filter(|place| **place < at).count();
            let on_end = places.get(before) == Some(&at);
            region.holds[2 * before + usize::from(on_end)]
        };
        Ok(Some((0..2 * ends.len() + 1).map(flag).collect()))
    }
}
