//! Exponential, logarithm, sine, cosine and arctangent of balls, with bounds.
//!
//! Series in fixed-point integers after the usual range reductions. Each function states how many units
//! in the last place it can lose, and the guard bits cover that. Constants are computed once per
//! evaluator, so there is no global state.

use num_bigint::{BigInt, BigUint};
use num_traits::{One, Signed, ToPrimitive, Zero};

use super::Fault;
use super::ball::Ball;

/// Guard bits of the fixed-point numbers.
const GUARD: u64 = 64;
/// Number of bits that the series and reductions below can lose together: terms, squarings, and the error
/// of pi or ln 2 times a quotient of at most 32 bits.
const LOST: u64 = 44;
/// Arguments of the exponential and the circular functions stay below 2^32.
const MAX_ARGUMENT: i64 = 32;
/// Arguments of the exponential stay below 2^20; otherwise results would have millions of bits.
const MAX_EXPONENT: i64 = 20;

/// Elementary functions at one precision.
#[derive(Debug)]
pub(crate) struct Elementary {
    /// Bits of the results.
    pub bits: u64,
    pi: Option<BigInt>,
    ln2: Option<BigInt>,
}

impl Elementary {
    pub(crate) fn new(bits: u64) -> Self {
        Self { bits, pi: None, ln2: None }
    }

    fn width(&self) -> u64 {
        self.bits + GUARD
    }

    /// A fixed-point result, with the bits that may be lost as its radius.
    fn ball(&self, value: BigInt, exponent: i64) -> Ball {
        let width = i64::try_from(self.width()).unwrap_or(i64::MAX);
        Ball::new(value, BigUint::one() << LOST, exponent - width, self.bits)
    }

    fn pi_fixed(&mut self) -> BigInt {
        let width = self.width();
        // Machin: pi = 16 arctan(1/5) - 4 arctan(1/239).
        self.pi
            .get_or_insert_with(|| inverse_arctan(5, width) * 16 - inverse_arctan(239, width) * 4)
            .clone()
    }

    fn ln2_fixed(&mut self) -> BigInt {
        let width = self.width();
        // ln 2 = 2 artanh(1/3).
        self.ln2.get_or_insert_with(|| inverse_artanh(3, width) * 2).clone()
    }

    pub(crate) fn pi(&mut self) -> Ball {
        let pi = self.pi_fixed();
        self.ball(pi, 0)
    }

    pub(crate) fn exp(&mut self, x: &Ball) -> Result<Ball, Fault> {
        if !x.is_tight(-2) || x.magnitude() > MAX_EXPONENT {
            return Err(Fault::Imprecise);
        }
        let width = self.width();
        let fixed = x.fixed(width, MAX_EXPONENT)?;
        let ln2 = self.ln2_fixed();
        let quotient = nearest(&fixed, &ln2);
        let rest = fixed - &quotient * ln2;
        let value = exp_fixed(&rest, width);
        let at_mid = self.ball(value, quotient.to_i64().ok_or(Fault::Imprecise)?);
        if x.is_exact() {
            return Ok(at_mid);
        }
        // exp(x) = exp(mid) (1 + d) with |d| <= 2 |rad| for radii below one half.
        let spread = x.spread().mul(&Ball::integer(2), self.bits)?;
        at_mid.add(&at_mid.mul(&spread, self.bits)?, self.bits)
    }

    /// Natural logarithm of a positive ball.
    pub(crate) fn ln(&mut self, x: &Ball) -> Result<Ball, Fault> {
        match x.sign() {
            Some(std::cmp::Ordering::Greater) => {}
            None => return Err(Fault::Imprecise),
            Some(_) => return Err(Fault::Undefined),
        }
        let width = self.width();
        let shift = x.magnitude();
        // x = m 2^shift with m in [1/2, 1]; the midpoint may be slightly outside.
        let scale = Ball::new(BigInt::one(), BigUint::zero(), -shift, self.bits);
        let scaled = x.mul(&scale, self.bits)?;
        let m = scaled.fixed(width, 2)?;
        let one = BigInt::one() << width;
        if m <= BigInt::one() << (width - 3) {
            return Err(Fault::Imprecise);
        }
        let z = ((&m - &one) << width) / (&m + &one);
        let value = artanh_fixed(&z, width) * 2 + self.ln2_fixed() * shift;
        let at_mid = self.ball(value, 0);
        if x.is_exact() {
            return Ok(at_mid);
        }
        // |ln x - ln mid| <= rad / (mid - rad).
        let low = x.sub(&x.spread(), self.bits)?;
        let spread = x.spread().div(&low, self.bits)?;
        at_mid.add(&spread, self.bits)
    }

    /// Sine and cosine.
    pub(crate) fn sin_cos(&mut self, x: &Ball) -> Result<(Ball, Ball), Fault> {
        let width = self.width();
        let fixed = x.fixed(width, MAX_ARGUMENT)?;
        let half_pi: BigInt = self.pi_fixed() >> 1;
        let quotient = nearest(&fixed, &half_pi);
        let rest = fixed - &quotient * half_pi;
        let (sin, cos) = sin_cos_fixed(&rest, width);
        let turn = (quotient % 4_i32 + 4_i32) % 4_i32;
        let (sin, cos) = match turn.to_i64() {
            Some(0) => (sin, cos),
            Some(1) => (cos, -sin),
            Some(2) => (-sin, -cos),
            _ => (-cos, sin),
        };
        // Both functions have slopes of at most one.
        let spread = x.spread();
        Ok((self.ball(sin, 0).add(&spread, self.bits)?, self.ball(cos, 0).add(&spread, self.bits)?))
    }

    pub(crate) fn arctan(&mut self, x: &Ball) -> Result<Ball, Fault> {
        let width = self.width();
        let one = BigInt::one() << width;
        let half_pi: BigInt = self.pi_fixed() >> 1;
        let value = if x.magnitude() > MAX_ARGUMENT {
            return Err(Fault::Imprecise);
        } else {
            let fixed = x.fixed(width, MAX_ARGUMENT)?;
            let size = fixed.abs();
            let angle = if size > one {
                half_pi - arctan_fixed(&((&one << width) / &size), width)
            } else {
                arctan_fixed(&size, width)
            };
            if fixed.is_negative() { -angle } else { angle }
        };
        // The slope is at most one.
        self.ball(value, 0).add(&x.spread(), self.bits)
    }
}

/// `a / b` to the nearest integer.
fn nearest(a: &BigInt, b: &BigInt) -> BigInt {
    let doubled: BigInt = a * 2 + b;
    num_integer::Integer::div_floor(&doubled, &(b * 2))
}

/// arctan(1/n).
fn inverse_arctan(n: u32, width: u64) -> BigInt {
    let mut power = (BigInt::one() << width) / n;
    let square = n * n;
    let mut sum = power.clone();
    let mut k = 1_u32;
    while !power.is_zero() {
        power /= square;
        k += 2;
        if k % 4 == 3 {
            sum -= &power / k;
        } else {
            sum += &power / k;
        }
    }
    sum
}

/// artanh(1/n).
fn inverse_artanh(n: u32, width: u64) -> BigInt {
    let mut power = (BigInt::one() << width) / n;
    let square = n * n;
    let mut sum = power.clone();
    let mut k = 1_u32;
    while !power.is_zero() {
        power /= square;
        k += 2;
        sum += &power / k;
    }
    sum
}

/// artanh(z) for |z| <= 1/3 or so.
fn artanh_fixed(z: &BigInt, width: u64) -> BigInt {
    let square: BigInt = (z * z) >> width;
    let mut power = z.clone();
    let mut sum = z.clone();
    let mut k = 1_u32;
    while power.magnitude().bits() > 1 {
        power = (power * &square) >> width;
        k += 2;
        sum += &power / k;
    }
    sum
}

/// exp(r) for |r| < 1/2: eight halvings, series, eight squarings.
fn exp_fixed(r: &BigInt, width: u64) -> BigInt {
    let one = BigInt::one() << width;
    let r: BigInt = r >> 8;
    let mut term = one.clone();
    let mut sum = one;
    let mut k = 1_u32;
    while term.magnitude().bits() > 1 {
        term = ((term * &r) >> width) / k;
        sum += &term;
        k += 1;
    }
    for _ in 0..8 {
        sum = (&sum * &sum) >> width;
    }
    sum
}

/// sin(r) and cos(r) for |r| < 1.
fn sin_cos_fixed(r: &BigInt, width: u64) -> (BigInt, BigInt) {
    let square: BigInt = (r * r) >> width;
    let series = |first: BigInt, mut k: u32| {
        let mut term = first.clone();
        let mut sum = first;
        while term.magnitude().bits() > 1 {
            term = -((term * &square) >> width) / (k * (k + 1));
            sum += &term;
            k += 2;
        }
        sum
    };
    (series(r.clone(), 2), series(BigInt::one() << width, 1))
}

/// arctan(z) for 0 <= z <= 1: three halvings of the angle, then the series.
fn arctan_fixed(z: &BigInt, width: u64) -> BigInt {
    let one = BigInt::one() << width;
    let mut z = z.clone();
    for _ in 0..3 {
        // tan(a/2) = t / (1 + sqrt(1 + t^2))
        let root = ((&one << width) + &z * &z).sqrt();
        z = (z << width) / (&one + root);
    }
    let square: BigInt = (&z * &z) >> width;
    let mut power = z.clone();
    let mut sum = z;
    let mut k = 1_u32;
    while power.magnitude().bits() > 1 {
        power = -((power * &square) >> width);
        k += 2;
        sum += &power / k;
    }
    sum << 3
}

#[cfg(test)]
mod tests {
    use super::*;
    use num_rational::BigRational;

    const BITS: u64 = 128;

    fn close(a: &Ball, b: &Ball) {
        let gap = a.sub(b, BITS).unwrap();
        assert!(gap.contains_zero(), "{gap:?}");
        assert!(gap.is_tight(-100), "{gap:?}");
    }

    fn ball(n: i64, d: i64) -> Ball {
        Ball::rational(&BigRational::new(n.into(), d.into()), BITS)
    }

    #[test]
    fn inverse_functions_meet() {
        let mut f = Elementary::new(BITS);
        for (n, d) in [(1, 3), (7, 2), (100, 7), (1, 900), (-5, 3), (22, 1)] {
            let x = ball(n, d);
            let e = f.exp(&x).unwrap();
            close(&f.ln(&e).unwrap(), &x);
            let (sin, cos) = f.sin_cos(&x).unwrap();
            let one =
                sin.mul(&sin, BITS).unwrap().add(&cos.mul(&cos, BITS).unwrap(), BITS).unwrap();
            close(&one, &Ball::integer(1));
        }
        for (n, d) in [(1, 3), (-1, 2), (3, 2)] {
            let x = ball(n, d);
            let (sin, cos) = f.sin_cos(&x).unwrap();
            close(&f.arctan(&sin.div(&cos, BITS).unwrap()).unwrap(), &x);
        }
    }

    #[test]
    fn constants_are_known() {
        let mut f = Elementary::new(BITS);
        // Forty digits of pi and e.
        let scale = BigInt::from(10).pow(40);
        let pi: BigInt = "31415926535897932384626433832795028841971".parse().unwrap();
        let e: BigInt = "27182818284590452353602874713526624977572".parse().unwrap();
        close(
            &f.pi(),
            &Ball::rational(&BigRational::new(pi, scale.clone()), BITS)
                .add(&Ball::new(0.into(), 1_u32.into(), -128, BITS), BITS)
                .unwrap(),
        );
        let got = f.exp(&Ball::integer(1)).unwrap();
        close(
            &got,
            &Ball::rational(&BigRational::new(e, scale), BITS)
                .add(&Ball::new(0.into(), 1_u32.into(), -128, BITS), BITS)
                .unwrap(),
        );
    }
}
