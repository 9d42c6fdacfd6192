//! Values modulo a 61-bit prime at random points: identity testing without expansion.
//!
//! Supports numbers, sums, products, quotients, integer powers, factorials, binomials and finite sums,
//! but no roots or transcendental functions. Different residues prove that two rational functions differ.
//! Equal residues at independent points are overwhelming evidence that they agree (Schwartz 1980, Zippel
//! 1979): the probability of an error is at most degree / 2^61 for each point.

use num_bigint::{BigInt, BigUint};
use num_rational::BigRational;
use num_traits::{Signed, ToPrimitive, Zero};

use super::Fault;
use crate::fuel::Fuel;
use crate::syntax::tree::{Constant, Function, Id, Node, Series, Symbol, Tree};

/// The primes; the first is the Mersenne prime 2^61 - 1, the second 2^61 - 31.
pub(crate) const PRIMES: [u64; 2] = [(1 << 61) - 1, (1 << 61) - 31];

/// Largest argument of a factorial.
const MAX_FACTORIAL: u64 = 1_000_000;
/// Maximum number of terms of a finite sum.
const MAX_TERMS: u64 = 10_000;

/// An integer value for every symbol. The integers are large, so that a symbol can occur in a base and in
/// an exponent at once.
#[derive(Debug, Clone)]
pub(crate) struct Point {
    seed: u64,
    small: bool,
}

impl Point {
    /// The point of a seed; `small`: whether symbols occur under a factorial, which needs small integers.
    pub(crate) fn new(seed: u64, small: bool) -> Self {
        Self { seed, small }
    }

    /// The natural number for a symbol.
    fn of(&self, symbol: Symbol) -> u128 {
        let a = mix(self.seed ^ (u64::from(symbol.0) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        if self.small {
            return u128::from(5 + a % 38);
        }
        u128::from(a) << 56 | u128::from(mix(a) >> 8)
    }
}

/// Mixes the bits of a counter (the finaliser of SplitMix64).
pub(crate) fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Evaluates a tree in a prime field.
pub(crate) struct Modular<'a> {
    pub tree: &'a Tree,
    pub fuel: &'a mut Fuel,
    pub prime: u64,
    pub point: Point,
    /// Current values of the indices of open sums.
    pub indices: Vec<(Symbol, u64)>,
}

type Residue = Result<u64, Fault>;

impl Modular<'_> {
    pub(crate) fn value(&mut self, id: Id) -> Residue {
        self.fuel.spend(30)?;
        let p = self.prime;
        match self.tree.get(id) {
            Node::Number { value, .. } => self.rational(value),
            Node::Symbol(symbol) => Ok(reduce(self.natural(*symbol), p)),
            Node::Constant(Constant::E) => Ok(reduce(u128::from(mix(self.point.seed ^ 0xe)), p)),
            Node::Constant(Constant::Pi) => Ok(reduce(u128::from(mix(self.point.seed ^ 0x31)), p)),
            Node::Sum(items) => {
                let mut total = 0;
                for item in items {
                    total = add(total, self.value(*item)?, p);
                }
                Ok(total)
            }
            Node::Product(items) => {
                let mut total = 1;
                for item in items {
                    total = mul(total, self.value(*item)?, p);
                }
                Ok(total)
            }
            Node::Negate(a) => Ok(sub(0, self.value(*a)?, p)),
            Node::Quantity(a, unit) if unit != "%" => self.value(*a),
            Node::Quotient(a, b) => {
                let (above, below) = (self.value(*a)?, self.value(*b)?);
                if below == 0 {
                    return Err(Fault::Undefined);
                }
                Ok(mul(above, inverse(below, p), p))
            }
            Node::Power(a, b) => self.power(*a, *b),
            Node::Call(function, arguments) => self.call(*function, arguments),
            Node::Apply(symbol, arguments) => {
                let mut hash = mix(self.point.seed ^ u64::from(symbol.0).rotate_left(32) ^ 0xf00d);
                for argument in arguments {
                    hash = mix(hash ^ self.value(*argument)?);
                }
                Ok(hash % p)
            }
            Node::Series(series) => self.series(*series),
            _ => Err(Fault::Foreign),
        }
    }

    fn natural(&self, symbol: Symbol) -> u128 {
        match self.indices.iter().rev().find(|(s, _)| *s == symbol) {
            Some((_, value)) => u128::from(*value),
            None => self.point.of(symbol),
        }
    }

    fn rational(&mut self, value: &BigRational) -> Residue {
        let limbs = (value.numer().bits() + value.denom().bits()) / 64;
        self.fuel.spend(limbs * 10)?;
        let p = self.prime;
        let above = signed_residue(value.numer(), p);
        let below = signed_residue(value.denom(), p);
        if below == 0 {
            return Err(Fault::Undefined);
        }
        Ok(if below == 1 { above } else { mul(above, inverse(below, p), p) })
    }

    /// Powers with integer exponents; the exponent is reduced modulo p - 1 (Fermat).
    fn power(&mut self, base: Id, exponent: Id) -> Residue {
        let p = self.prime;
        // e and pi have random values here, so only their integer powers are meaningful.
        let base = self.value(base)?;
        let exponent = self.exponent(exponent)?;
        if base == 0 {
            return if exponent == 0 { Err(Fault::Undefined) } else { Ok(0) };
        }
        Ok(pow(base, exponent, p))
    }

    /// An integer expression modulo p - 1.
    fn exponent(&mut self, id: Id) -> Residue {
        self.fuel.spend(30)?;
        let m = self.prime - 1;
        match self.tree.get(id) {
            Node::Number { value, .. } if value.is_integer() => {
                Ok(signed_residue(value.numer(), m))
            }
            Node::Symbol(symbol) => Ok(reduce(self.natural(*symbol), m)),
            Node::Negate(a) => Ok(sub(0, self.exponent(*a)?, m)),
            Node::Sum(items) => {
                let mut total = 0;
                for item in items {
                    total = add(total, self.exponent(*item)?, m);
                }
                Ok(total)
            }
            Node::Product(items) => {
                let mut total = 1;
                for item in items {
                    total = mul(total, self.exponent(*item)?, m);
                }
                Ok(total)
            }
            Node::Power(a, b) => {
                let times = match self.tree.number(*b) {
                    Some(v) if v.is_integer() && !v.is_negative() => v.numer().to_u64(),
                    _ => None,
                };
                let base = self.exponent(*a)?;
                Ok(pow(base, times.ok_or(Fault::Foreign)?, m))
            }
            _ => Err(Fault::Foreign),
        }
    }

    fn call(&mut self, function: Function, arguments: &[Id]) -> Residue {
        let p = self.prime;
        match (function, arguments) {
            (Function::Factorial, [n]) => {
                let n = self.small_natural(*n)?;
                self.factorial(n)
            }
            (Function::Binomial, [n, k]) => {
                let (n, k) = (self.small_natural(*n)?, self.small_natural(*k)?);
                if k > n {
                    return Ok(0);
                }
                let below = mul(self.factorial(k)?, self.factorial(n - k)?, p);
                Ok(mul(self.factorial(n)?, inverse(below, p), p))
            }
            _ => Err(Fault::Foreign),
        }
    }

    /// n! for n up to the limit, which is far below the primes, so no factor is zero.
    fn factorial(&mut self, n: u64) -> Residue {
        if n > MAX_FACTORIAL {
            return Err(Fault::Foreign);
        }
        self.fuel.spend(n * 4)?;
        Ok((2..=n).fold(1, |product, k| mul(product, k, self.prime)))
    }

    /// The value of a natural number below 2^32, computed without wrapping.
    fn small_natural(&mut self, id: Id) -> Result<u64, Fault> {
        let bindings = self.tree.free_symbols(id);
        let mut values = Vec::with_capacity(bindings.len());
        for symbol in bindings {
            values.push((symbol, BigRational::from(BigInt::from(self.natural(symbol)))));
        }
        let mut exact = super::exact::Exact { tree: self.tree, fuel: self.fuel, bindings: values };
        let value = exact.value(id)?;
        if value.is_negative() || !value.is_integer() {
            return Err(Fault::Undefined);
        }
        value.numer().to_u32().map(u64::from).ok_or(Fault::Foreign)
    }

    /// Computes a finite sum or product term by term. `Foreign` if the bounds contain symbols and the
    /// point has large values, or if there are too many terms.
    fn series(&mut self, series: Series) -> Residue {
        let Series { product, index, low, high, body } = series;
        let constant =
            self.tree.free_symbols(low).is_empty() && self.tree.free_symbols(high).is_empty();
        if !constant && !self.point.small {
            return Err(Fault::Foreign);
        }
        let (low, high) = (self.small_natural(low)?, self.small_natural(high)?);
        if high.saturating_sub(low) >= MAX_TERMS {
            return Err(Fault::Foreign);
        }
        let mut total = u64::from(product);
        for k in low..=high {
            self.indices.push((index, k));
            let term = self.value(body);
            self.indices.pop();
            total =
                if product { mul(total, term?, self.prime) } else { add(total, term?, self.prime) };
        }
        Ok(total)
    }
}

fn signed_residue(value: &BigInt, p: u64) -> u64 {
    let residue = (value.magnitude() % BigUint::from(p)).to_u64().unwrap_or(0);
    if value.is_negative() && !residue.is_zero() { p - residue } else { residue }
}

fn reduce(value: u128, p: u64) -> u64 {
    u64::try_from(value % u128::from(p)).unwrap_or(0)
}

pub(crate) fn add(a: u64, b: u64, p: u64) -> u64 {
    reduce(u128::from(a) + u128::from(b), p)
}

fn sub(a: u64, b: u64, p: u64) -> u64 {
    reduce(u128::from(a) + u128::from(p) - u128::from(b), p)
}

pub(crate) fn mul(a: u64, b: u64, p: u64) -> u64 {
    reduce(u128::from(a) * u128::from(b), p)
}

fn pow(base: u64, mut exponent: u64, p: u64) -> u64 {
    let (mut result, mut square) = (1 % p, base % p);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = mul(result, square, p);
        }
        square = mul(square, square, p);
        exponent >>= 1;
    }
    result
}

fn inverse(a: u64, p: u64) -> u64 {
    pow(a, p - 2, p)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Deterministic Miller-Rabin for 64-bit numbers.
    fn is_prime(n: u64) -> bool {
        let (mut d, mut s) = (n - 1, 0);
        while d % 2 == 0 {
            d /= 2;
            s += 1;
        }
        [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37].iter().all(|&a| {
            let mut x = pow(a, d, n);
            if x == 1 || x == n - 1 {
                return true;
            }
            (1..s).any(|_| {
                x = mul(x, x, n);
                x == n - 1
            })
        })
    }

    #[test]
    fn the_moduli_are_prime() {
        for p in PRIMES {
            assert!(is_prime(p), "{p}");
            assert_eq!(mul(12345, inverse(12345, p), p), 1);
        }
    }
}
