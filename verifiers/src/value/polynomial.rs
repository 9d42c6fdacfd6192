//! Polynomials in one variable with rational coefficients, taken from trees, and their real roots.
//!
//! Used to find where a quotient of polynomials changes its sign. Roots are found if they are rational or
//! of the form `c ± sqrt(d)`; other polynomials are not solved. Square-free factors after Yun (1976),
//! rational roots by the divisors of the outer coefficients.

use std::collections::BTreeSet;

use num_bigint::BigInt;
use num_integer::{Integer, Roots};
use num_rational::BigRational;
use num_traits::{One, Signed, ToPrimitive, Zero};

use super::Fault;
use crate::fuel::Fuel;
use crate::syntax::tree::{Id, Node, Symbol, Tree};

/// Largest degree.
const MAX_DEGREE: usize = 12;
/// Maximum number of bits of a coefficient.
const MAX_BITS: u64 = 1024;
/// Largest outer coefficient whose divisors are searched.
const MAX_DIVIDED: u64 = 1_000_000;

/// Coefficients, beginning with the constant; the last one is not zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Polynomial(Vec<BigRational>);

/// A real root: rational, or `center + sqrt(square)` (with minus if not `upper`), where `square` has no
/// rational root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Root {
    Rational(BigRational),
    Surd { center: BigRational, square: BigRational, upper: bool },
}

/// `numerator / denominator` of the tree as polynomials in `symbol`; a fault if the tree is not such a
/// quotient.
pub(crate) fn quotient(
    tree: &Tree,
    id: Id,
    symbol: Symbol,
    fuel: &mut Fuel,
) -> Result<(Polynomial, Polynomial), Fault> {
    fuel.spend(200)?;
    let part = |id, fuel: &mut Fuel| quotient(tree, id, symbol, fuel);
    let one = Polynomial::constant(BigRational::one());
    match tree.get(id) {
        Node::Number { value, .. } => Ok((Polynomial::constant(value.clone()), one)),
        Node::Symbol(s) if *s == symbol => {
            Ok((Polynomial(vec![BigRational::zero(), BigRational::one()]), one))
        }
        Node::Sum(items) => {
            let mut total = (Polynomial(Vec::new()), one);
            for item in items {
                let (above, below) = part(*item, fuel)?;
                let left = total.0.times(&below, fuel)?;
                let right = above.times(&total.1, fuel)?;
                total = (left.plus(&right), total.1.times(&below, fuel)?);
            }
            Ok(total)
        }
        Node::Product(items) => {
            let mut total = (one.clone(), one);
            for item in items {
                let (above, below) = part(*item, fuel)?;
                total = (total.0.times(&above, fuel)?, total.1.times(&below, fuel)?);
            }
            Ok(total)
        }
        Node::Negate(a) => {
            let (above, below) = part(*a, fuel)?;
            Ok((above.scaled(&-BigRational::one()), below))
        }
        Node::Quotient(a, b) => {
            let ((a, b), (c, d)) = (part(*a, fuel)?, part(*b, fuel)?);
            if c.0.is_empty() {
                return Err(Fault::Undefined);
            }
            Ok((a.times(&d, fuel)?, b.times(&c, fuel)?))
        }
        Node::Power(a, b) => {
            let exponent = tree.number(*b).filter(|n| n.is_integer()).ok_or(Fault::Foreign)?;
            power(part(*a, fuel)?, exponent, fuel)
        }
        _ => Err(Fault::Foreign),
    }
}

/// A quotient raised to an integer power.
fn power(
    (above, below): (Polynomial, Polynomial),
    exponent: &BigRational,
    fuel: &mut Fuel,
) -> Result<(Polynomial, Polynomial), Fault> {
    let count = exponent.numer().magnitude().to_usize().filter(|n| *n <= MAX_DEGREE);
    let count = count.ok_or(Fault::Foreign)?;
    let (above, below) = (above.power(count, fuel)?, below.power(count, fuel)?);
    match (exponent.is_negative(), above.0.is_empty()) {
        (true, true) => Err(Fault::Undefined),
        (true, false) => Ok((below, above)),
        (false, _) => Ok((above, below)),
    }
}

impl Polynomial {
    pub(crate) fn constant(value: BigRational) -> Self {
        Self(vec![value]).trimmed()
    }

    fn trimmed(mut self) -> Self {
        while self.0.last().is_some_and(Zero::is_zero) {
            self.0.pop();
        }
        self
    }

    /// The degree; zero for constants, including the zero polynomial.
    fn degree(&self) -> usize {
        self.0.len().saturating_sub(1)
    }

    /// The coefficient of the highest power, zero for the zero polynomial.
    pub(crate) fn leading(&self) -> BigRational {
        self.0.last().cloned().unwrap_or_else(BigRational::zero)
    }

    /// Slope and offset of a polynomial of degree one; `None` for other degrees.
    pub(crate) fn line(&self) -> Option<(BigRational, BigRational)> {
        match self.0.as_slice() {
            [offset, slope] => Some((slope.clone(), offset.clone())),
            _ => None,
        }
    }

    /// Powers and coefficients of the antiderivative that vanishes at zero.
    pub(crate) fn antiderivative(&self) -> impl Iterator<Item = (usize, BigRational)> + '_ {
        self.0.iter().enumerate().map(|(k, c)| (k + 1, c / BigRational::from(BigInt::from(k + 1))))
    }

    pub(crate) fn plus(&self, other: &Self) -> Self {
        let at = |p: &Self, k: usize| p.0.get(k).cloned().unwrap_or_else(BigRational::zero);
        let size = self.0.len().max(other.0.len());
        Self((0..size).map(|k| at(self, k) + at(other, k)).collect()).trimmed()
    }

    pub(crate) fn scaled(&self, factor: &BigRational) -> Self {
        Self(self.0.iter().map(|c| c * factor).collect()).trimmed()
    }

    pub(crate) fn times(&self, other: &Self, fuel: &mut Fuel) -> Result<Self, Fault> {
        if self.0.is_empty() || other.0.is_empty() {
            return Ok(Self(Vec::new()));
        }
        if self.degree() + other.degree() > MAX_DEGREE {
            return Err(Fault::Foreign);
        }
        fuel.spend(100 * (self.0.len() * other.0.len()) as u64)?;
        let mut out = vec![BigRational::zero(); self.0.len() + other.0.len() - 1];
        for (i, a) in self.0.iter().enumerate() {
            for (j, b) in other.0.iter().enumerate() {
                out[i + j] += a * b;
            }
        }
        let wide = |c: &BigRational| c.numer().bits() + c.denom().bits() > MAX_BITS;
        if out.iter().any(wide) { Err(Fault::Foreign) } else { Ok(Self(out).trimmed()) }
    }

    fn power(&self, times: usize, fuel: &mut Fuel) -> Result<Self, Fault> {
        let mut out = Self::constant(BigRational::one());
        for _ in 0..times {
            out = out.times(self, fuel)?;
        }
        Ok(out)
    }

    fn derivative(&self) -> Self {
        let term = |(k, c): (usize, &BigRational)| c * BigRational::from(BigInt::from(k));
        Self(self.0.iter().enumerate().skip(1).map(term).collect()).trimmed()
    }

    /// Quotient and remainder by a polynomial that is not zero.
    fn divided(&self, by: &Self) -> (Self, Self) {
        let mut rest = self.0.clone();
        let mut quotient = vec![BigRational::zero(); (self.0.len() + 1).saturating_sub(by.0.len())];
        for at in (0..quotient.len()).rev() {
            let factor = &rest[at + by.degree()] / by.leading();
            for (k, c) in by.0.iter().enumerate() {
                rest[at + k] -= &factor * c;
            }
            quotient[at] = factor;
        }
        (Self(quotient).trimmed(), Self(rest).trimmed())
    }

    /// The greatest common divisor with leading coefficient one.
    fn gcd(&self, other: &Self, fuel: &mut Fuel) -> Result<Self, Fault> {
        let (mut a, mut b) = (self.clone(), other.clone());
        while !b.0.is_empty() {
            fuel.spend(400 * (a.0.len() * b.0.len()) as u64)?;
            let rest = a.divided(&b).1;
            // Monic remainders keep the coefficients small.
            let rest = if rest.0.is_empty() { rest } else { rest.scaled(&rest.leading().recip()) };
            (a, b) = (b, rest);
        }
        Ok(a.scaled(&a.leading().recip()))
    }

    /// All real roots with their multiplicities; a fault if any of them has another form.
    pub(crate) fn roots(&self, fuel: &mut Fuel) -> Result<Vec<(Root, usize)>, Fault> {
        let mut found = Vec::new();
        if self.degree() == 0 {
            return Ok(found);
        }
        // Yun: the k-th factor holds the roots of multiplicity k.
        let slope = self.derivative();
        let common = self.gcd(&slope, fuel)?;
        let mut factors = self.divided(&common).0;
        let mut rest = slope.divided(&common).0;
        for multiplicity in 1..=MAX_DEGREE {
            if factors.degree() == 0 {
                break;
            }
            let gap = rest.plus(&factors.derivative().scaled(&-BigRational::one()));
            let simple =
                if gap.0.is_empty() { factors.clone() } else { factors.gcd(&gap, fuel)? };
            let roots = simple.simple_roots(fuel)?;
            found.extend(roots.into_iter().map(|root| (root, multiplicity)));
            factors = factors.divided(&simple).0;
            rest = gap.divided(&simple).0;
        }
        Ok(found)
    }

    /// Roots of a polynomial without repeated roots.
    fn simple_roots(&self, fuel: &mut Fuel) -> Result<Vec<Root>, Fault> {
        let mut roots = Vec::new();
        let mut rest = self.clone();
        if rest.degree() > 2 {
            for root in rest.rational_roots(fuel)? {
                rest = rest.divided(&Self(vec![-root.clone(), BigRational::one()])).0;
                roots.push(Root::Rational(root));
            }
        }
        let odd = rest.0.iter().skip(1).step_by(2).any(|c| !c.is_zero());
        match rest.degree() {
            0 => {}
            1 => roots.push(Root::Rational(-&rest.0[0] / &rest.0[1])),
            2 => roots.extend(quadratic(&rest.0)),
            4 if !odd => {
                let squares: Vec<BigRational> = rest.0.into_iter().step_by(2).collect();
                for square in quadratic(&squares) {
                    let Root::Rational(square) = square else { return Err(Fault::Foreign) };
                    roots.extend(around(&BigRational::zero(), &square));
                }
            }
            _ => return Err(Fault::Foreign),
        }
        Ok(roots)
    }

    /// Rational roots, by the divisors of the outer coefficients.
    fn rational_roots(&self, fuel: &mut Fuel) -> Result<Vec<BigRational>, Fault> {
        let scale = self.0.iter().fold(BigInt::one(), |scale, c| scale.lcm(c.denom()));
        let whole: Vec<BigInt> = self.0.iter().map(|c| (c * &scale).to_integer()).collect();
        let mut roots = BTreeSet::new();
        let Some(lowest) = whole.iter().find(|c| !c.is_zero()) else { return Ok(Vec::new()) };
        if whole[0].is_zero() {
            roots.insert(BigRational::zero());
        }
        let above = divisors(lowest, fuel)?;
        let below = divisors(&whole[whole.len() - 1], fuel)?;
        fuel.spend(200 * (above.len() * below.len() * whole.len()) as u64)?;
        for n in &above {
            for d in &below {
                for n in [BigInt::from(*n), -BigInt::from(*n)] {
                    if vanishes(&whole, &n, *d) {
                        roots.insert(BigRational::new(n, (*d).into()));
                    }
                }
            }
        }
        Ok(roots.into_iter().collect())
    }
}

/// Whether a polynomial with integer coefficients is zero at `n / d`, by Horner's rule multiplied by
/// powers of `d`.
fn vanishes(coefficients: &[BigInt], n: &BigInt, d: u64) -> bool {
    let (mut sum, mut scale) = (BigInt::zero(), BigInt::one());
    for coefficient in coefficients.iter().rev() {
        sum = sum * n + coefficient * &scale;
        scale *= d;
    }
    sum.is_zero()
}

/// Divisors of a small number; a fault for a large one.
fn divisors(number: &BigInt, fuel: &mut Fuel) -> Result<Vec<u64>, Fault> {
    let number = number.magnitude().to_u64().filter(|n| *n <= MAX_DIVIDED).ok_or(Fault::Foreign)?;
    let root = number.sqrt();
    fuel.spend(root)?;
    let low: Vec<u64> = (1..=root).filter(|d| number % d == 0).collect();
    let high: Vec<u64> = low.iter().rev().map(|d| number / d).filter(|d| *d > root).collect();
    Ok([low, high].concat())
}

/// Real roots of `c[0] + c[1] x + c[2] x^2`.
fn quadratic(c: &[BigRational]) -> Vec<Root> {
    let two = BigRational::from(BigInt::from(2));
    let center = -&c[1] / (&two * &c[2]);
    let square = &center * &center - &c[0] / &c[2];
    around(&center, &square)
}

/// `center ± sqrt(square)`, without repetitions.
fn around(center: &BigRational, square: &BigRational) -> Vec<Root> {
    if square.is_negative() {
        return Vec::new();
    }
    let (above, below) = (square.numer().sqrt(), square.denom().sqrt());
    if &(&above * &above) == square.numer() && &(&below * &below) == square.denom() {
        let distance = BigRational::new(above, below);
        let low = Root::Rational(center - &distance);
        return if distance.is_zero() {
            vec![low]
        } else {
            vec![low, Root::Rational(center + distance)]
        };
    }
    let surd = |upper| Root::Surd { center: center.clone(), square: square.clone(), upper };
    vec![surd(false), surd(true)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn integer(value: i64) -> BigRational {
        BigRational::from(BigInt::from(value))
    }

    fn polynomial(coefficients: &[i64]) -> Polynomial {
        Polynomial(coefficients.iter().map(|c| integer(*c)).collect())
    }

    #[test]
    fn finds_rational_roots_with_multiplicities() {
        // (x - 1)^2 (x + 2) (2 x - 3)
        let product = polynomial(&[-6, 13, -6, -3, 2]);
        let mut roots = product.roots(&mut Fuel::full()).unwrap();
        roots.sort_by_key(|(root, _)| match root {
            Root::Rational(r) => r.clone(),
            Root::Surd { .. } => unreachable!("all roots are rational"),
        });
        let expected =
            [(integer(-2), 1), (integer(1), 2), (BigRational::new(3.into(), 2.into()), 1)];
        assert_eq!(roots, expected.map(|(r, m)| (Root::Rational(r), m)));
    }

    #[test]
    fn finds_surds_and_their_absence() {
        let fuel = &mut Fuel::full();
        let surd = |upper| Root::Surd { center: integer(1), square: integer(2), upper };
        assert_eq!(
            polynomial(&[-1, -2, 1]).roots(fuel).unwrap(),
            [(surd(false), 1), (surd(true), 1)]
        );
        assert_eq!(polynomial(&[1, 0, 1]).roots(fuel).unwrap(), []);
        // x^4 - 5 x^2 + 6 has the square roots of 2 and 3; x^3 - 2 is not solved.
        assert_eq!(polynomial(&[6, 0, -5, 0, 1]).roots(fuel).unwrap().len(), 4);
        assert_eq!(polynomial(&[-2, 0, 0, 1]).roots(fuel), Err(Fault::Foreign));
    }
}
