//! Set-builders over integers: `{x in Z | 0 < x < 3}` becomes the finite set `{1, 2}`.
//!
//! The condition is solved over the reals (`regions`), then the integers in the solution are listed. A
//! set is left unchanged if it is infinite, if it has irrational ends, or if it depends on whether zero
//! is a natural number.

use num_bigint::BigInt;
use num_rational::BigRational;

use super::Comparison;
use super::sets::Endpoints;
use crate::fuel::Reason;
use crate::syntax::tree::{Id, Named, Node, Relation};

/// Maximum number of members that are listed.
const MAX_MEMBERS: usize = 256;

impl Comparison<'_> {
    /// Converts a bounded set-builder over integers into the set of its members; returns any other node
    /// unchanged.
    pub(super) fn listed(&mut self, id: Id) -> Result<Id, Reason> {
        let Node::Builder { item, condition } = *self.tree.get(id) else { return Ok(id) };
        let Node::List(conditions) = self.tree.get(condition).clone() else { return Ok(id) };
        let Some((domain, conditions)) = self.domain(item, &conditions) else { return Ok(id) };
        let condition = match conditions {
            [one] => *one,
            several => self.tree.add(Node::List(several.to_vec()), self.fuel)?,
        };
        match self.members(domain, condition)? {
            Some(members) => {
                let mut items = Vec::with_capacity(members.len());
                for value in members {
                    let value = BigRational::from(value);
                    items.push(self.tree.add(Node::Number { value, decimals: None }, self.fuel)?);
                }
                self.tree.add(Node::Set(items), self.fuel)
            }
            None => Ok(id),
        }
    }

    /// The set of integers to which the first condition restricts `item`, and the other conditions.
    fn domain<'c>(&self, item: Id, conditions: &'c [Id]) -> Option<(Named, &'c [Id])> {
        let (first, rest) = conditions.split_first()?;
        let Node::Chain { sides, relations } = self.tree.get(*first) else { return None };
        let ([Relation::In], [subject, set]) = (relations.as_slice(), sides.as_slice()) else {
            return None;
        };
        let named = match self.tree.get(*set) {
            Node::Named(set @ (Named::Integers | Named::PositiveIntegers | Named::Naturals)) => {
                *set
            }
            _ => return None,
        };
        let same = matches!(self.tree.get(*subject), Node::Symbol(_))
            && self.tree.get(*subject) == self.tree.get(item);
        (same && !rest.is_empty()).then_some((named, rest))
    }

    /// The integers of a domain that fulfil a condition, in order; `None` if they cannot be listed.
    fn members(&mut self, domain: Named, condition: Id) -> Result<Option<Vec<BigInt>>, Reason> {
        let mut found = Endpoints::default();
        if !self.endpoints(condition, &mut found)? {
            return Ok(None);
        }
        let Some(ends) = self.sorted(found.points)? else { return Ok(None) };
        let Some(flags) = self.flags(condition, &ends)? else { return Ok(None) };
        let mut values = Vec::with_capacity(ends.len());
        for end in ends {
            let Ok(value) = self.rational(end)? else { return Ok(None) };
            values.push(value);
        }
        let (Some(low), Some(high)) = (values.first(), values.last()) else { return Ok(None) };
        let mut next = match domain {
            Named::PositiveIntegers => BigInt::from(1),
            Named::Naturals => BigInt::from(0),
            _ if flags[0] => return Ok(None),
            _ => low.ceil().to_integer(),
        };
        if *flags.last().unwrap_or(&true) {
            return Ok(None);
        }
        let (last, mut members) = (high.floor().to_integer(), Vec::new());
        while next <= last {
            self.fuel.spend(100 * values.len() as u64)?;
            let whole = BigRational::from(next.clone());
            let before = values.iter().filter(|v| **v < whole).count();
            let on_end = values.get(before) == Some(&whole);
            if flags[2 * before + usize::from(on_end)] {
                members.push(next.clone());
            }
            if members.len() > MAX_MEMBERS {
                return Ok(None);
            }
            next += 1;
        }
        let unclear = domain == Named::Naturals && members.first() == Some(&BigInt::from(0));
        Ok((!unclear).then_some(members))
    }
}
