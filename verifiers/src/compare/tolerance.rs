//! Decides how far a written decimal may be from an exact value.
//!
//! The result depends on the tolerance setting and on the decimals written on both sides. Two integers
//! are never equal by tolerance. Six digits are Math-Verify's rule, relative and absolute gaps are rules
//! of other graders.

use std::cmp::Ordering;

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{Pow, Signed};

use super::{Comparison, Tolerance};
use crate::syntax::tree::{Id, Node};
use crate::value::ball::Ball;
use crate::value::numeric::Complex;

/// A side of a comparison and its value at a point.
#[derive(Clone, Copy)]
pub(super) struct Evaluated<'a> {
    pub(super) id: Id,
    pub(super) value: &'a Complex,
}

impl Comparison<'_> {
    /// Number of digits after the decimal point, if the value is a written decimal.
    fn decimals(&self, id: Id) -> Option<u32> {
        match self.tree.get(id) {
            Node::Number { decimals, .. } => *decimals,
            Node::Negate(a) | Node::Quantity(a, _) => self.decimals(*a),
            _ => None,
        }
    }

    /// Whether either side is a decimal, so that the tolerance applies.
    pub(super) fn tolerates(&self, gold: Id, answer: Id) -> bool {
        self.rules.tolerance != Tolerance::Exact
            && (self.decimals(gold).is_some() || self.decimals(answer).is_some())
    }

    /// Whether two rationals are equal by tolerance.
    pub(super) fn near(&self, gold: Id, answer: Id, g: &BigRational, a: &BigRational) -> bool {
        let gap = (g - a).abs();
        match self.allowed(gold, answer, Some(g)) {
            Some(allowed) => gap <= allowed,
            None => false,
        }
    }

    /// The largest gap that the tolerance allows; `None` if it allows none.
    fn allowed(&self, gold: Id, answer: Id, g: Option<&BigRational>) -> Option<BigRational> {
        let (gold, answer) = (self.decimals(gold), self.decimals(answer));
        if gold.is_none() && answer.is_none() {
            return None;
        }
        match self.rules.tolerance {
            Tolerance::Exact => None,
            Tolerance::Rounded(least) => {
                let digits = match (gold, answer) {
                    (Some(g), Some(a)) => g.min(a),
                    (Some(d), None) | (None, Some(d)) => d,
                    (None, None) => return None,
                };
                if digits < least || digits > 4096 {
                    return None;
                }
                Some(BigRational::new(
                    1.into(),
                    BigInt::from(2) * Pow::pow(BigInt::from(10), digits),
                ))
            }
            Tolerance::Relative(part) => Some(BigRational::from_float(part)? * g?.abs()),
            Tolerance::Absolute(gap) => BigRational::from_float(gap),
        }
    }

    /// Whether two different real values are equal by tolerance.
    pub(super) fn within(&self, gold: Evaluated, answer: Evaluated, bits: u64) -> bool {
        let (g, a) = (gold.value, answer.value);
        let bound = match self.rules.tolerance {
            Tolerance::Relative(part) if self.tolerates(gold.id, answer.id) => {
                BigRational::from_float(part)
                    .and_then(|p| g.re.abs().mul(&Ball::rational(&p, bits), bits).ok())
            }
            _ => self.allowed(gold.id, answer.id, None).map(|b| Ball::rational(&b, bits)),
        };
        let Some(bound) = bound else { return false };
        let room = g.re.sub(&a.re, bits).and_then(|gap| bound.sub(&gap.abs(), bits));
        g.im.is_exact_zero()
            && a.im.is_exact_zero()
            && room.is_ok_and(|r| r.sign() == Some(Ordering::Greater))
    }
}
