//! Exact rational values of trees without variables, or of trees at given points.
//!
//! Irrational and too large values fail with `Foreign`; nothing is rounded. The bit budget is checked
//! before a power or a factorial is computed.

use num_bigint::BigInt;
use num_integer::Integer;
use num_rational::BigRational;
use num_traits::{One, Signed, ToPrimitive, Zero};

use super::Fault;
use crate::fuel::Fuel;
use crate::syntax::tree::{Function, Id, Node, Series, Symbol, Tree};

/// Maximum number of bits of a numerator or denominator.
const MAX_BITS: u64 = 65_536;
/// Largest argument of a factorial that is computed.
const MAX_FACTORIAL: u32 = 3000;
/// Maximum number of terms of a finite sum or product.
const MAX_TERMS: i64 = 10_000;

/// Values of the variables, searched from the end.
pub(crate) type Bindings = Vec<(Symbol, BigRational)>;

/// Maximum total size of two values, in limbs, for which the quotient is reduced.
const MAX_REDUCED: u64 = 256;

/// Operation that combines two values.
#[derive(Debug, Clone, Copy)]
enum Join {
    Sum,
    Product,
}

/// Evaluates a tree exactly.
pub(crate) struct Exact<'a> {
    pub tree: &'a Tree,
    pub fuel: &'a mut Fuel,
    pub bindings: Bindings,
}

type Value = Result<BigRational, Fault>;

impl Exact<'_> {
    pub(crate) fn value(&mut self, id: Id) -> Value {
        self.fuel.spend(100)?;
        match self.tree.get(id) {
            Node::Number { value, .. } => Ok(value.clone()),
            Node::Symbol(symbol) => self
                .bindings
                .iter()
                .rev()
                .find(|(s, _)| s == symbol)
                .map(|(_, v)| v.clone())
                .ok_or(Fault::Foreign),
            Node::Sum(items) => self.fold(items, BigRational::zero(), Join::Sum),
            Node::Product(items) => self.fold(items, BigRational::one(), Join::Product),
            Node::Negate(a) => Ok(-self.value(*a)?),
            Node::Quantity(a, unit) if unit == "%" => Ok(self.value(*a)? / BigInt::from(100)),
            Node::Quantity(a, _) => self.value(*a),
            Node::Quotient(a, b) => {
                let (above, below) = (self.value(*a)?, self.value(*b)?);
                if below.is_zero() {
                    return Err(Fault::Undefined);
                }
                self.charge_reduction(&above, &below)?;
                self.bounded(above / below)
            }
            Node::Power(a, b) => {
                let (base, exponent) = (self.value(*a)?, self.value(*b)?);
                self.power(&base, &exponent)
            }
            Node::Root { radicand, degree } => {
                let degree =
                    small(&self.value(*degree)?).filter(|d| *d > 0).ok_or(Fault::Foreign)?;
                let radicand = self.value(*radicand)?;
                self.root(&radicand, degree)
            }
            Node::Call(function, arguments) => self.call(*function, arguments),
            Node::Series(series) => self.series(*series),
            _ => Err(Fault::Foreign),
        }
    }

    fn fold(&mut self, items: &[Id], start: BigRational, join: Join) -> Value {
        let mut total = start;
        for item in items {
            let value = self.value(*item)?;
            total = self.joined(total, value, join)?;
        }
        Ok(total)
    }

    /// A sum or product of two values.
    fn joined(&mut self, total: BigRational, value: BigRational, join: Join) -> Value {
        if !(total.is_integer() && value.is_integer()) {
            self.charge_reduction(&total, &value)?;
            let joined = match join {
                Join::Sum => total + value,
                Join::Product => total * value,
            };
            return self.bounded(joined);
        }
        // Integers are combined without searching for a common factor.
        let (left, right) = (bits(&total) / 64 + 1, bits(&value) / 64 + 1);
        self.fuel.spend(left * right + left + right)?;
        let joined = match join {
            Join::Sum => total.numer() + value.numer(),
            Join::Product => total.numer() * value.numer(),
        };
        self.bounded(joined.into())
    }

    /// Spends fuel for the search for a common factor, whose cost depends on bits and not on limbs.
    /// Values too large for this search are left to the evaluation by residues.
    fn charge_reduction(&mut self, a: &BigRational, b: &BigRational) -> Result<(), Fault> {
        let limbs = (bits(a) + bits(b)) / 64 + 1;
        if limbs > MAX_REDUCED {
            return Err(Fault::Foreign);
        }
        self.fuel.spend(limbs * limbs * 40)?;
        Ok(())
    }

    fn bounded(&mut self, value: BigRational) -> Value {
        if bits(&value) > MAX_BITS { Err(Fault::Foreign) } else { Ok(value) }
    }

    pub(crate) fn power(&mut self, base: &BigRational, exponent: &BigRational) -> Value {
        if base.is_zero() {
            return match exponent.cmp(&BigRational::zero()) {
                std::cmp::Ordering::Greater => Ok(BigRational::zero()),
                std::cmp::Ordering::Equal => Ok(BigRational::one()),
                std::cmp::Ordering::Less => Err(Fault::Undefined),
            };
        }
        if base.is_one() {
            return Ok(BigRational::one());
        }
        if !exponent.is_integer() {
            let degree = exponent.denom().to_u32().filter(|d| *d <= 64).ok_or(Fault::Foreign)?;
            let root = self.root(base, degree)?;
            return self.power(&root, &BigRational::from(exponent.numer().clone()));
        }
        let Some(times) = exponent.numer().magnitude().to_u32() else {
            return Err(Fault::Foreign);
        };
        let size = bits(base).saturating_mul(u64::from(times));
        let is_unit = base.numer().magnitude().is_one() && base.denom().is_one();
        if size > MAX_BITS && !is_unit {
            return Err(Fault::Foreign);
        }
        if is_unit {
            let odd = base.is_negative() && times % 2 == 1;
            return Ok(if odd { -BigRational::one() } else { BigRational::one() });
        }
        self.fuel.spend((size / 64 + 1).pow(2) / 4 + 50)?;
        let power = BigRational::new_raw(base.numer().pow(times), base.denom().pow(times));
        Ok(if exponent.is_negative() { power.recip() } else { power })
    }

    /// The root, if it is rational.
    fn root(&mut self, radicand: &BigRational, degree: u32) -> Value {
        if degree > 64 {
            return Err(Fault::Foreign);
        }
        if radicand.is_negative() && degree.is_multiple_of(2) {
            return Err(Fault::Foreign);
        }
        let size = bits(radicand) / 64 + 1;
        self.fuel.spend(size * size * 20 + 200)?;
        let (above, below) = (radicand.numer().nth_root(degree), radicand.denom().nth_root(degree));
        let exact =
            above.pow(degree) == *radicand.numer() && below.pow(degree) == *radicand.denom();
        if exact { Ok(BigRational::new_raw(above, below)) } else { Err(Fault::Foreign) }
    }

    fn call(&mut self, function: Function, arguments: &[Id]) -> Value {
        let mut values = Vec::with_capacity(arguments.len());
        for argument in arguments {
            values.push(self.value(*argument)?);
        }
        let integer = |v: &BigRational| v.is_integer().then(|| v.numer().clone());
        match (function, values.as_slice()) {
            (Function::Abs, [x]) => Ok(x.abs()),
            (Function::Floor, [x]) => Ok(x.floor()),
            (Function::Ceil, [x]) => Ok(x.ceil()),
            (Function::Re | Function::Conjugate, [x]) => Ok(x.clone()),
            (Function::Im, [_]) => Ok(BigRational::zero()),
            (Function::Max, [first, rest @ ..]) => {
                Ok(rest.iter().fold(first, |a, b| if b > a { b } else { a }).clone())
            }
            (Function::Min, [first, rest @ ..]) => {
                Ok(rest.iter().fold(first, |a, b| if b < a { b } else { a }).clone())
            }
            (Function::Factorial, [x]) => self.factorial(x),
            (Function::Binomial, [n, k]) => self.binomial(n, k),
            (Function::Modulo, [a, m]) if !m.is_zero() => Ok(a - m * (a / m).floor()),
            (Function::Gcd | Function::Lcm, _) => {
                let whole: Option<Vec<BigInt>> = values.iter().map(integer).collect();
                let join = |a: BigInt, b: &BigInt| {
                    if function == Function::Gcd { a.gcd(b) } else { a.lcm(b) }
                };
                let whole = whole.filter(|w| !w.is_empty()).ok_or(Fault::Foreign)?;
                let joined = whole[1..].iter().fold(whole[0].clone(), join);
                self.bounded(joined.into())
            }
            (Function::Log, [base, x]) => rational_logarithm(base, x),
            (Function::Exp, [x]) if x.is_zero() => Ok(BigRational::one()),
            (Function::Ln | Function::Log, [x]) if x.is_one() => Ok(BigRational::zero()),
            (
                Function::Sin
                | Function::Tan
                | Function::Arcsin
                | Function::Arctan
                | Function::Sinh
                | Function::Tanh,
                [x],
            ) if x.is_zero() => Ok(BigRational::zero()),
            (Function::Cos | Function::Cosh | Function::Sec, [x]) if x.is_zero() => {
                Ok(BigRational::one())
            }
            _ => Err(Fault::Foreign),
        }
    }

    fn factorial(&mut self, x: &BigRational) -> Value {
        let n = small(x).ok_or(Fault::Foreign)?;
        if n > MAX_FACTORIAL {
            return Err(Fault::Foreign);
        }
        self.fuel.spend(u64::from(n) * u64::from(n) / 8 + 10)?;
        Ok((2..=n).fold(BigInt::one(), |product, k| product * k).into())
    }

    fn binomial(&mut self, n: &BigRational, k: &BigRational) -> Value {
        let (n, k) = (small(n).ok_or(Fault::Foreign)?, small(k).ok_or(Fault::Foreign)?);
        if k > n {
            return Ok(BigRational::zero());
        }
        let k = k.min(n - k);
        if k > MAX_FACTORIAL {
            return Err(Fault::Foreign);
        }
        self.fuel.spend(u64::from(k) * u64::from(k) / 4 + 10)?;
        Ok((1..=k).fold(BigInt::one(), |product, j| product * (n - k + j) / j).into())
    }

    fn series(&mut self, series: Series) -> Value {
        let Series { product, index, low, high, body } = series;
        let (low, high) = (self.value(low)?, self.value(high)?);
        let bound = |v: &BigRational| v.is_integer().then(|| v.numer().to_i64()).flatten();
        let (Some(low), Some(high)) = (bound(&low), bound(&high)) else {
            return Err(Fault::Foreign);
        };
        if high.saturating_sub(low) >= MAX_TERMS {
            return Err(Fault::Foreign);
        }
        let mut total = if product { BigRational::one() } else { BigRational::zero() };
        for k in low..=high {
            self.bindings.push((index, BigRational::from(BigInt::from(k))));
            let term = self.value(body);
            self.bindings.pop();
            total = self.joined(total, term?, if product { Join::Product } else { Join::Sum })?;
        }
        Ok(total)
    }
}

/// log_b x, if both are powers of one rational with small exponents.
fn rational_logarithm(base: &BigRational, x: &BigRational) -> Value {
    if !base.is_positive() || base.is_one() {
        return Err(Fault::Undefined);
    }
    if !x.is_positive() {
        return Err(Fault::Undefined);
    }
    if bits(base) > 256 || bits(x) > 256 {
        return Err(Fault::Foreign);
    }
    for denominator in 1..=6_i32 {
        let power = num_traits::Pow::pow(x, denominator);
        for numerator in 0..=64_i32 {
            let candidate = num_traits::Pow::pow(base, numerator);
            let value = |n: i32| BigRational::new(n.into(), denominator.into());
            if candidate == power {
                return Ok(value(numerator));
            }
            if candidate.recip() == power {
                return Ok(value(-numerator));
            }
            if bits(&candidate) > bits(&power) + 64 {
                break;
            }
        }
    }
    Err(Fault::Foreign)
}

/// The value as a `u32`, if it is a natural number that fits.
fn small(value: &BigRational) -> Option<u32> {
    value.is_integer().then(|| value.numer().to_u32()).flatten()
}

fn bits(value: &BigRational) -> u64 {
    value.numer().bits().max(value.denom().bits())
}
