//! Balls: a binary number of any precision with a proven bound on its error.
//!
//! A ball is `(mid ± rad) * 2^exp`. The result of every operation contains all results for all members of
//! its operands. Field operations, roots and order are implemented here; the elementary functions use
//! them. After the midpoint-radius arithmetic of Arb (Johansson 2017).

use std::cmp::Ordering;

use num_bigint::{BigInt, BigUint, Sign};
use num_rational::BigRational;
use num_traits::{One, Signed, Zero};

use super::Fault;

/// Number of bits kept of a radius.
const RADIUS_BITS: u64 = 30;
/// Largest binary exponent; a value beyond it is out of range.
const MAX_EXPONENT: i64 = 1 << 24;

/// An interval around a binary number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ball {
    mid: BigInt,
    rad: BigUint,
    exp: i64,
}

impl Ball {
    /// `(mid ± rad) * 2^exp`, rounded to `bits`.
    pub(crate) fn new(mid: BigInt, rad: BigUint, exp: i64, bits: u64) -> Self {
        let mut ball = Self { mid, rad, exp };
        ball.round(bits);
        ball
    }

    pub(crate) fn zero() -> Self {
        Self { mid: BigInt::zero(), rad: BigUint::zero(), exp: 0 }
    }

    pub(crate) fn integer(value: i64) -> Self {
        Self { mid: value.into(), rad: BigUint::zero(), exp: 0 }
    }

    /// The ball of a rational; exact if its denominator is a power of two.
    pub(crate) fn rational(value: &BigRational, bits: u64) -> Self {
        let (num, den) = (value.numer(), value.denom());
        if den.is_one() {
            return Self::new(num.clone(), BigUint::zero(), 0, bits);
        }
        let shift = (bits + 2 + den.bits()).saturating_sub(num.bits());
        let scaled = num << shift;
        let mid = &scaled / den;
        let exact = &mid * den == scaled;
        let rad = if exact { BigUint::zero() } else { BigUint::one() };
        Self::new(mid, rad, -signed(shift), bits)
    }

    /// Rounds the midpoint to `bits` and the radius, outwards, to its own width.
    fn round(&mut self, bits: u64) {
        let excess = self.mid.bits().saturating_sub(bits);
        let wide = self.rad.bits().saturating_sub(RADIUS_BITS);
        let shift = excess.max(wide);
        if shift == 0 {
            return;
        }
        let exact =
            self.rad.is_zero() && self.mid.trailing_zeros().is_none_or(|zeros| zeros >= shift);
        self.mid >>= shift;
        self.rad >>= shift;
        if !exact {
            self.rad += 2_u32;
        }
        self.exp += signed(shift);
    }

    pub(crate) fn is_exact(&self) -> bool {
        self.rad.is_zero()
    }

    pub(crate) fn is_exact_zero(&self) -> bool {
        self.rad.is_zero() && self.mid.is_zero()
    }

    /// Whether the ball contains zero.
    pub(crate) fn contains_zero(&self) -> bool {
        self.mid.magnitude() <= &self.rad
    }

    /// The sign; `None` if it is not certain.
    pub(crate) fn sign(&self) -> Option<Ordering> {
        if self.is_exact_zero() {
            return Some(Ordering::Equal);
        }
        if self.contains_zero() {
            return None;
        }
        Some(if self.mid.sign() == Sign::Minus { Ordering::Less } else { Ordering::Greater })
    }

    /// Position of the highest bit of the largest member, from the binary point.
    pub(crate) fn magnitude(&self) -> i64 {
        signed((self.mid.magnitude() + &self.rad).bits()) + self.exp
    }

    /// Position of the highest bit of the radius; a very small number if the radius is zero.
    pub(crate) fn error_magnitude(&self) -> i64 {
        if self.rad.is_zero() { i64::MIN / 2 } else { signed(self.rad.bits()) + self.exp }
    }

    /// Fails if a value is outside the range in which work is bounded.
    fn checked(self) -> Result<Self, Fault> {
        if self.exp.abs() > MAX_EXPONENT { Err(Fault::Imprecise) } else { Ok(self) }
    }

    pub(crate) fn neg(&self) -> Self {
        Self { mid: -&self.mid, rad: self.rad.clone(), exp: self.exp }
    }

    pub(crate) fn add(&self, other: &Self, bits: u64) -> Result<Self, Fault> {
        let (high, low) = if self.exp >= other.exp { (self, other) } else { (other, self) };
        if high.is_exact_zero() {
            return Ok(low.clone());
        }
        let gap = unsigned(high.exp - low.exp);
        let limit = bits + 64;
        if gap > limit + low.mid.bits() {
            // Rounding the smaller operand away only widens the bound.
            let shift = gap.min(limit);
            let rad = (&high.rad << shift) + 1_u32;
            return Self::new(&high.mid << shift, rad, high.exp - signed(shift), bits).checked();
        }
        let mid = (&high.mid << gap) + &low.mid;
        let rad = (&high.rad << gap) + &low.rad;
        Self::new(mid, rad, low.exp, bits).checked()
    }

    pub(crate) fn sub(&self, other: &Self, bits: u64) -> Result<Self, Fault> {
        self.add(&other.neg(), bits)
    }

    pub(crate) fn mul(&self, other: &Self, bits: u64) -> Result<Self, Fault> {
        let mut rad = BigUint::zero();
        if !self.rad.is_zero() || !other.rad.is_zero() {
            rad = self.mid.magnitude() * &other.rad
                + other.mid.magnitude() * &self.rad
                + &self.rad * &other.rad;
        }
        Self::new(&self.mid * &other.mid, rad, self.exp + other.exp, bits).checked()
    }

    pub(crate) fn div(&self, other: &Self, bits: u64) -> Result<Self, Fault> {
        if other.is_exact_zero() {
            return Err(Fault::Undefined);
        }
        if other.contains_zero() {
            return Err(Fault::Imprecise);
        }
        let shift = (bits + 4 + other.mid.bits()).saturating_sub(self.mid.bits());
        let scaled = &self.mid << shift;
        let mid = &scaled / &other.mid;
        let mut rad = BigUint::zero();
        if !self.rad.is_zero() || !other.rad.is_zero() {
            // |a/b - a0/b0| <= (|a0| rb + |b0| ra) / (|b0| (|b0| - rb))
            let b = other.mid.magnitude();
            let above = (self.mid.magnitude() * &other.rad + b * &self.rad) << shift;
            rad = above / (b * (b - &other.rad)) + 1_u32;
        }
        if &mid * &other.mid != scaled {
            rad += 1_u32;
        }
        Self::new(mid, rad, self.exp - other.exp - signed(shift), bits).checked()
    }

    /// The real root of a degree of at least two; for a negative value, only if the degree is odd.
    pub(crate) fn root(&self, degree: u32, bits: u64) -> Result<Self, Fault> {
        match self.sign() {
            Some(Ordering::Equal) => return Ok(Self::zero()),
            Some(Ordering::Less) if degree % 2 == 1 => {
                return Ok(self.neg().root(degree, bits)?.neg());
            }
            Some(Ordering::Less) => return Err(Fault::Undefined),
            None => return Err(Fault::Imprecise),
            Some(Ordering::Greater) => {}
        }
        // mid * 2^exp = m * 2^(degree * e) with enough bits in m.
        let wanted = u64::from(degree) * (bits + 4);
        let mut shift = wanted.saturating_sub(self.mid.bits());
        let degree_i = i64::from(degree);
        shift += unsigned((self.exp - signed(shift)).rem_euclid(degree_i));
        let low = ((self.mid.magnitude() - &self.rad) << shift).nth_root(degree);
        let top = (self.mid.magnitude() + &self.rad) << shift;
        let mut high = top.nth_root(degree);
        if self.rad.is_zero() && high.pow(degree) == top {
            return Self::new(
                high.into(),
                BigUint::zero(),
                (self.exp - signed(shift)) / degree_i,
                bits,
            )
            .checked();
        }
        high += 1_u32;
        let rad = (&high - &low) / 2_u32 + 1_u32;
        let mid = BigInt::from(low + high) / 2;
        Self::new(mid, rad, (self.exp - signed(shift)) / degree_i, bits).checked()
    }

    pub(crate) fn abs(&self) -> Self {
        if self.contains_zero() {
            // [0, |mid| + rad]
            let top = self.mid.magnitude() + &self.rad;
            return Self { mid: top.clone().into(), rad: top, exp: self.exp };
        }
        Self { mid: self.mid.abs(), rad: self.rad.clone(), exp: self.exp }
    }

    /// The midpoint as a fixed-point number with `width` fractional bits (error below one unit), for
    /// midpoints below 2^`limit`.
    pub(crate) fn fixed(&self, width: u64, limit: i64) -> Result<BigInt, Fault> {
        if self.magnitude() > limit {
            return Err(Fault::Imprecise);
        }
        let shift = self.exp + signed(width);
        Ok(if shift >= 0 {
            &self.mid << unsigned(shift)
        } else {
            &self.mid >> unsigned(-shift).min(self.mid.bits() + 1)
        })
    }

    /// The radius alone, as a ball around zero.
    pub(crate) fn spread(&self) -> Self {
        Self { mid: BigInt::zero(), rad: self.rad.clone(), exp: self.exp }
    }

    /// Whether the radius is below 2^`limit`.
    pub(crate) fn is_tight(&self, limit: i64) -> bool {
        self.error_magnitude() <= limit
    }

    /// The floor, if all members of the ball have the same.
    pub(crate) fn floor(&self) -> Result<BigInt, Fault> {
        if self.magnitude() > 4096 {
            return Err(Fault::Imprecise);
        }
        let rad = BigInt::from(self.rad.clone());
        let floor = |v: BigInt| {
            if self.exp >= 0 { v << unsigned(self.exp) } else { v >> unsigned(-self.exp) }
        };
        let (low, high) = (floor(&self.mid - &rad), floor(&self.mid + &rad));
        if low == high { Ok(low) } else { Err(Fault::Imprecise) }
    }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX / 4)
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BITS: u64 = 64;

    fn ball(n: i64, d: i64) -> Ball {
        Ball::rational(&BigRational::new(n.into(), d.into()), BITS)
    }

    /// Whether the ball contains the rational.
    fn holds(b: &Ball, value: &BigRational) -> bool {
        let two = BigRational::from(BigInt::from(2));
        let scale = num_traits::pow::Pow::pow(&two, i32::try_from(b.exp).unwrap());
        let mid = BigRational::from(b.mid.clone()) * &scale;
        let rad = BigRational::from(BigInt::from(b.rad.clone())) * scale;
        (mid - value).abs() <= rad
    }

    proptest! {
        #[test]
        fn contains_the_exact_result(a in -9999_i64..9999, b in 1_i64..9999, c in -9999_i64..9999, d in 1_i64..9999) {
            let (x, y) = (ball(a, b), ball(c, d));
            let (p, q) = (BigRational::new(a.into(), b.into()), BigRational::new(c.into(), d.into()));
            prop_assert!(holds(&x, &p));
            prop_assert!(holds(&x.add(&y, BITS).unwrap(), &(&p + &q)));
            prop_assert!(holds(&x.mul(&y, BITS).unwrap(), &(&p * &q)));
            if c != 0 {
                prop_assert!(holds(&x.div(&y, BITS).unwrap(), &(&p / &q)));
            }
            let square = x.mul(&x, BITS).unwrap();
            prop_assert!(holds(&square.root(2, BITS).unwrap(), &p.abs()) || a == 0);
        }
    }

    #[test]
    fn perfect_roots_are_exact() {
        let three = BigRational::from_integer(3.into());
        for (cube, root) in [(27, three.clone()), (-27, -three)] {
            let found = Ball::integer(cube).root(3, BITS).unwrap();
            assert!(found.is_exact() && holds(&found, &root));
        }
        assert_eq!(Ball::integer(-4).root(2, BITS), Err(Fault::Undefined));
        assert!(!Ball::integer(2).root(2, BITS).unwrap().is_exact());
    }

    #[test]
    fn far_apart_values_only_widen() {
        let tiny = Ball::new(1.into(), BigUint::zero(), -5000, BITS);
        let sum = Ball::integer(1).add(&tiny, BITS).unwrap();
        assert!(sum.sub(&Ball::integer(1), BITS).unwrap().contains_zero());
    }
}
