//! Functions of balls composed of the elementary ones: trigonometric, hyperbolic and inverse functions,
//! parts of complex numbers.
//!
//! A point outside of a function's real domain is reported as a fault. The series are in `elementary.rs`.

use std::cmp::Ordering;

use num_bigint::BigUint;
use num_traits::Zero;

use super::Fault;
use super::ball::Ball;
use super::numeric::{Complex, Numeric, Value};
use crate::syntax::tree::Function;

impl Numeric<'_> {
    pub(super) fn logarithm(&mut self, x: &Complex) -> Result<Ball, Fault> {
        if x.is_real() { self.functions.ln(&x.re) } else { Err(Fault::Foreign) }
    }

    pub(super) fn unary(&mut self, function: Function, x: &Complex) -> Value {
        match function {
            Function::Abs => return Ok(Complex::real(self.modulus(x)?)),
            Function::Re => return Ok(Complex::real(x.re.clone())),
            Function::Im => return Ok(Complex::real(x.im.clone())),
            Function::Conjugate => return Ok(Complex { re: x.re.clone(), im: x.im.neg() }),
            Function::Exp => return self.exp(x),
            Function::Cis if x.is_real() => {
                let (sin, cos) = self.functions.sin_cos(&x.re)?;
                return Ok(Complex { re: cos, im: sin });
            }
            _ if !x.is_real() => return Err(Fault::Foreign),
            _ => {}
        }
        self.real_unary(function, &x.re).map(Complex::real)
    }

    fn real_unary(&mut self, function: Function, x: &Ball) -> Result<Ball, Fault> {
        let bits = self.bits();
        let one = Ball::integer(1);
        match function {
            Function::Sin => Ok(self.functions.sin_cos(x)?.0),
            Function::Cos => Ok(self.functions.sin_cos(x)?.1),
            Function::Tan | Function::Cot | Function::Sec | Function::Csc => {
                let (sin, cos) = self.functions.sin_cos(x)?;
                match function {
                    Function::Tan => sin.div(&cos, bits),
                    Function::Cot => cos.div(&sin, bits),
                    Function::Sec => one.div(&cos, bits),
                    _ => one.div(&sin, bits),
                }
            }
            Function::Arctan => self.functions.arctan(x),
            Function::Arcsin => self.arcsin(x),
            Function::Arccos => {
                let quarter = self.functions.pi().div(&Ball::integer(2), bits)?;
                quarter.sub(&self.arcsin(x)?, bits)
            }
            Function::Sinh | Function::Cosh | Function::Tanh => self.hyperbolic(function, x),
            Function::Ln => self.functions.ln(x),
            Function::Log => {
                let value = self.functions.ln(x)?;
                if !self.decadic {
                    return Ok(value);
                }
                let ten = self.functions.ln(&Ball::integer(10))?;
                value.div(&ten, bits)
            }
            Function::Floor => Ok(Ball::new(x.floor()?, BigUint::zero(), 0, bits)),
            Function::Ceil => Ok(Ball::new(-x.neg().floor()?, BigUint::zero(), 0, bits)),
            _ => Err(Fault::Foreign),
        }
    }

    fn arcsin(&mut self, x: &Ball) -> Result<Ball, Fault> {
        let bits = self.bits();
        let one = Ball::integer(1);
        let rest = one.sub(&x.mul(x, bits)?, bits)?;
        match rest.sign() {
            Some(Ordering::Less) => Err(Fault::Undefined),
            Some(Ordering::Equal) => {
                let quarter = self.functions.pi().div(&Ball::integer(2), bits)?;
                Ok(if x.sign() == Some(Ordering::Less) { quarter.neg() } else { quarter })
            }
            None => Err(Fault::Imprecise),
            Some(Ordering::Greater) => {
                let tangent = x.div(&rest.root(2, bits)?, bits)?;
                self.functions.arctan(&tangent)
            }
        }
    }

    fn hyperbolic(&mut self, function: Function, x: &Ball) -> Result<Ball, Fault> {
        let bits = self.bits();
        let (up, down) = (self.functions.exp(x)?, self.functions.exp(&x.neg())?);
        let (sum, gap) = (up.add(&down, bits)?, up.sub(&down, bits)?);
        match function {
            Function::Sinh => gap.div(&Ball::integer(2), bits),
            Function::Cosh => sum.div(&Ball::integer(2), bits),
            _ => gap.div(&sum, bits),
        }
    }
}
