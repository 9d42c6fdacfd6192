//! Values of trees as balls, real or complex.
//!
//! Walks the tree; `ball` does the arithmetic. Complex values are rectangles. A point where an operation
//! is not defined over the reals is reported, so that identities are tested only where both sides exist.
//! Complex values occur only because of `i` or a constant negative radicand.

use std::cmp::Ordering;

use num_rational::BigRational;
use num_traits::{Signed, ToPrimitive};

use super::Fault;
use super::ball::Ball;
use super::elementary::Elementary;
use super::exact::Exact;
use super::modular::mix;
use crate::fuel::Fuel;
use crate::syntax::tree::{Constant, Function, Id, Node, Series, Symbol, Tree};

/// Maximum number of multiplications of an integer power.
const MAX_POWER: u64 = 1 << 40;
/// Maximum number of terms of a finite sum.
const MAX_TERMS: i64 = 10_000;

/// A complex ball.
#[derive(Debug, Clone)]
pub(crate) struct Complex {
    pub re: Ball,
    pub im: Ball,
}

impl Complex {
    pub(super) fn real(re: Ball) -> Self {
        Self { re, im: Ball::zero() }
    }

    pub(super) fn is_real(&self) -> bool {
        self.im.is_exact_zero()
    }
}

pub(super) type Value = Result<Complex, Fault>;

/// Evaluates a tree to balls.
pub(crate) struct Numeric<'a> {
    pub tree: &'a Tree,
    pub fuel: &'a mut Fuel,
    pub functions: &'a mut Elementary,
    pub bindings: Vec<(Symbol, BigRational)>,
    /// Whether the square root of a negative number is imaginary; if false, it is undefined.
    pub complex: bool,
    /// Whether a logarithm without a base has base ten.
    pub decadic: bool,
}

impl Numeric<'_> {
    pub(super) fn bits(&self) -> u64 {
        self.functions.bits
    }

    pub(crate) fn value(&mut self, id: Id) -> Value {
        self.fuel.spend(400)?;
        let bits = self.bits();
        match self.tree.get(id) {
            Node::Number { value, .. } => Ok(Complex::real(Ball::rational(value, bits))),
            Node::Constant(constant) => self.constant(*constant),
            Node::Symbol(symbol) => self
                .bindings
                .iter()
                .rev()
                .find(|(s, _)| s == symbol)
                .map(|(_, v)| Complex::real(Ball::rational(v, bits)))
                .ok_or(Fault::Foreign),
            Node::Sum(items) => self.joined(items, Ball::zero(), Self::add),
            Node::Product(items) => self.joined(items, Ball::integer(1), Self::mul),
            Node::Negate(a) => {
                let value = self.value(*a)?;
                Ok(Complex { re: value.re.neg(), im: value.im.neg() })
            }
            Node::Quantity(a, unit) => self.quantity(*a, unit),
            Node::Quotient(a, b) => {
                let (above, below) = (self.value(*a)?, self.value(*b)?);
                self.div(&above, &below)
            }
            Node::Power(a, b) => self.power(*a, *b),
            Node::Root { radicand, degree } => {
                let degree = self.exactly(*degree)?.to_integer().to_u32().filter(|d| *d >= 1);
                let radicand = self.value(*radicand)?;
                self.root(&radicand, degree.ok_or(Fault::Foreign)?)
            }
            Node::Call(
                Function::Factorial
                | Function::Binomial
                | Function::Modulo
                | Function::Gcd
                | Function::Lcm,
                _,
            ) => {
                let value = self.exactly(id)?;
                Ok(Complex::real(Ball::rational(&value, bits)))
            }
            Node::Call(function, arguments) => self.call(*function, arguments),
            Node::Apply(symbol, arguments) => self.opaque(*symbol, arguments),
            Node::Series(series) => self.series(*series),
            _ => Err(Fault::Foreign),
        }
    }

    fn joined(
        &mut self,
        items: &[Id],
        start: Ball,
        join: fn(&mut Self, &Complex, &Complex) -> Value,
    ) -> Value {
        let mut total = Complex::real(start);
        for item in items {
            let value = self.value(*item)?;
            total = join(self, &total, &value)?;
        }
        Ok(total)
    }

    /// The exact value of a subtree at this point.
    fn exactly(&mut self, id: Id) -> Result<BigRational, Fault> {
        let bindings = self.bindings.clone();
        Exact { tree: self.tree, fuel: self.fuel, bindings }.value(id)
    }

    fn constant(&mut self, constant: Constant) -> Value {
        Ok(match constant {
            Constant::Pi => Complex::real(self.functions.pi()),
            Constant::E => Complex::real(self.functions.exp(&Ball::integer(1))?),
            Constant::I => Complex { re: Ball::zero(), im: Ball::integer(1) },
            Constant::Infinity => return Err(Fault::Foreign),
        })
    }

    fn quantity(&mut self, id: Id, unit: &str) -> Value {
        let value = self.value(id)?;
        if unit == "%" {
            return self.div(&value, &Complex::real(Ball::integer(100)));
        }
        Ok(value)
    }

    fn add(&mut self, a: &Complex, b: &Complex) -> Value {
        let bits = self.bits();
        Ok(Complex { re: a.re.add(&b.re, bits)?, im: a.im.add(&b.im, bits)? })
    }

    fn mul(&mut self, a: &Complex, b: &Complex) -> Value {
        let bits = self.bits();
        if a.is_real() && b.is_real() {
            return Ok(Complex::real(a.re.mul(&b.re, bits)?));
        }
        let re = a.re.mul(&b.re, bits)?.sub(&a.im.mul(&b.im, bits)?, bits)?;
        let im = a.re.mul(&b.im, bits)?.add(&a.im.mul(&b.re, bits)?, bits)?;
        Ok(Complex { re, im })
    }

    fn div(&mut self, a: &Complex, b: &Complex) -> Value {
        let bits = self.bits();
        if b.is_real() {
            let im = if a.is_real() { Ball::zero() } else { a.im.div(&b.re, bits)? };
            return Ok(Complex { re: a.re.div(&b.re, bits)?, im });
        }
        let norm = b.re.mul(&b.re, bits)?.add(&b.im.mul(&b.im, bits)?, bits)?;
        let above = self.mul(a, &Complex { re: b.re.clone(), im: b.im.neg() })?;
        Ok(Complex { re: above.re.div(&norm, bits)?, im: above.im.div(&norm, bits)? })
    }

    fn power(&mut self, base: Id, exponent: Id) -> Value {
        let exact = match self.exactly(exponent) {
            Ok(value) => Some(value),
            Err(Fault::Stop(reason)) => return Err(Fault::Stop(reason)),
            Err(_) => None,
        };
        // e^x is the exponential function.
        if matches!(self.tree.get(base), Node::Constant(Constant::E)) {
            let x = self.value(exponent)?;
            return self.exp(&x);
        }
        let base = self.value(base)?;
        match exact {
            Some(e) if e.is_integer() => {
                let times = e.numer().magnitude().to_u64().filter(|n| *n <= MAX_POWER);
                let power = self.integer_power(&base, times.ok_or(Fault::Imprecise)?)?;
                if e.is_negative() {
                    self.div(&Complex::real(Ball::integer(1)), &power)
                } else {
                    Ok(power)
                }
            }
            Some(e) if e.denom().to_u32().is_some_and(|d| d <= 64) => {
                let root = self.root(&base, e.denom().to_u32().ok_or(Fault::Foreign)?)?;
                let times = e.numer().magnitude().to_u64().filter(|n| *n <= MAX_POWER);
                let power = self.integer_power(&root, times.ok_or(Fault::Imprecise)?)?;
                if e.is_negative() {
                    self.div(&Complex::real(Ball::integer(1)), &power)
                } else {
                    Ok(power)
                }
            }
            _ => {
                let exponent = self.value(exponent)?;
                if !base.is_real() {
                    return Err(Fault::Foreign);
                }
                let logarithm = Complex::real(self.functions.ln(&base.re)?);
                self.fuel.spend(5000)?;
                let product = self.mul(&exponent, &logarithm)?;
                self.exp(&product)
            }
        }
    }

    fn integer_power(&mut self, base: &Complex, mut times: u64) -> Value {
        let mut result = Complex::real(Ball::integer(1));
        let mut square = base.clone();
        while times > 0 {
            self.fuel.spend(800)?;
            if times & 1 == 1 {
                result = self.mul(&result, &square)?;
            }
            times >>= 1;
            if times > 0 {
                square = self.mul(&square, &square)?;
            }
        }
        Ok(result)
    }

    pub(super) fn exp(&mut self, x: &Complex) -> Value {
        self.fuel.spend(6000)?;
        let bits = self.bits();
        let size = self.functions.exp(&x.re)?;
        if x.is_real() {
            return Ok(Complex::real(size));
        }
        let (sin, cos) = self.functions.sin_cos(&x.im)?;
        Ok(Complex { re: size.mul(&cos, bits)?, im: size.mul(&sin, bits)? })
    }

    fn root(&mut self, x: &Complex, degree: u32) -> Value {
        self.fuel.spend(2000 * u64::from(degree))?;
        if degree > 64 {
            return Err(Fault::Foreign);
        }
        if degree == 1 {
            return Ok(x.clone());
        }
        let bits = self.bits();
        if x.is_real() {
            let negative = x.re.sign() == Some(Ordering::Less);
            if negative && degree == 2 && self.complex {
                return Ok(Complex { re: Ball::zero(), im: x.re.neg().root(2, bits)? });
            }
            return Ok(Complex::real(x.re.root(degree, bits)?));
        }
        if degree != 2 {
            return Err(Fault::Foreign);
        }
        // sqrt(z) = (r + z) / sqrt(2 (r + re z)), for z off the negative real axis.
        let r = self.modulus(x)?;
        let sum = r.add(&x.re, bits)?;
        let scale = sum.mul(&Ball::integer(2), bits)?.root(2, bits)?;
        Ok(Complex { re: sum.div(&scale, bits)?, im: x.im.div(&scale, bits)? })
    }

    pub(super) fn modulus(&mut self, x: &Complex) -> Result<Ball, Fault> {
        let bits = self.bits();
        if x.is_real() {
            return Ok(x.re.abs());
        }
        x.re.mul(&x.re, bits)?.add(&x.im.mul(&x.im, bits)?, bits)?.root(2, bits)
    }

    fn call(&mut self, function: Function, arguments: &[Id]) -> Value {
        self.fuel.spend(6000)?;
        if let [only] = arguments {
            let x = self.value(*only)?;
            return self.unary(function, &x);
        }
        let bits = self.bits();
        match (function, arguments) {
            (Function::Log, [base, x]) => {
                let (base, x) = (self.value(*base)?, self.value(*x)?);
                let (above, below) = (self.logarithm(&x)?, self.logarithm(&base)?);
                Ok(Complex::real(above.div(&below, bits)?))
            }
            (Function::Max | Function::Min, [first, rest @ ..]) => {
                let mut best = self.value(*first)?;
                for item in rest {
                    let next = self.value(*item)?;
                    let order = next.re.sub(&best.re, bits)?.sign().ok_or(Fault::Imprecise)?;
                    if (order == Ordering::Greater) == (function == Function::Max) {
                        best = next;
                    }
                }
                Ok(best)
            }
            _ => Err(Fault::Foreign),
        }
    }

    /// Value of an unknown function: a number that depends only on its name and its exact arguments.
    fn opaque(&mut self, symbol: Symbol, arguments: &[Id]) -> Value {
        let mut hash = mix(u64::from(symbol.0) ^ 0x0bad_cafe);
        for argument in arguments {
            let value = self.exactly(*argument)?;
            for digit in value.numer().iter_u64_digits().chain(value.denom().iter_u64_digits()) {
                hash = mix(hash ^ digit);
            }
            hash = mix(hash ^ u64::from(value.is_negative()));
        }
        let value = i64::try_from(hash >> 44).unwrap_or(1);
        let scaled = BigRational::new((value + 1).into(), 4096.into());
        Ok(Complex::real(Ball::rational(&scaled, self.bits())))
    }

    fn series(&mut self, series: Series) -> Value {
        let Series { product, index, low, high, body } = series;
        let bound = |v: BigRational| v.is_integer().then(|| v.numer().to_i64()).flatten();
        let (low, high) = (bound(self.exactly(low)?), bound(self.exactly(high)?));
        let (Some(low), Some(high)) = (low, high) else { return Err(Fault::Foreign) };
        if high.saturating_sub(low) >= MAX_TERMS {
            return Err(Fault::Foreign);
        }
        let mut total = Complex::real(Ball::integer(i64::from(product)));
        for k in low..=high {
            self.bindings.push((index, BigRational::from_integer(k.into())));
            let term = self.value(body);
            self.bindings.pop();
            let term = term?;
            total = if product { self.mul(&total, &term)? } else { self.add(&total, &term)? };
        }
        Ok(total)
    }
}
