//! Compares values by ball arithmetic: constants at increasing precision, expressions at sample points.
//!
//! Disjoint balls prove a difference. Narrow overlapping balls, at every point where both sides exist,
//! are overwhelming evidence for equality. The points are a fixed sequence of rationals: between zero and
//! one, above one, negative, large.

use std::cmp::Ordering;

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::Zero;

use super::tolerance::Evaluated;
use super::{Comparison, Outcome, Tri};
use crate::fuel::Reason;
use crate::syntax::tree::{Constant, Id, Node, Symbol};
use crate::value::Fault;
use crate::value::elementary::Elementary;
use crate::value::numeric::{Complex, Numeric};

/// Precision, in bits, at which most different values differ.
const COARSE_BITS: u64 = 64;
/// Precision, in bits, at which constants must agree.
const FINE_BITS: u64 = 256;
/// Constants are equal if their difference is below 2^-200 of their size.
const RELATIVE_OVERLAP: i64 = 200;
/// Precision, in bits, at which expressions must agree at every point.
const POINT_BITS: u64 = 128;
/// Number of points at which both sides must exist before they count as equal.
const POINTS: usize = 6;
/// Maximum number of points that are tried.
const TRIED: u64 = 40;

impl Comparison<'_> {
    /// Compares two nodes by balls.
    pub(super) fn balls(
        &mut self,
        gold: Id,
        answer: Id,
        symbols: &[Symbol],
        decadic: bool,
    ) -> Outcome {
        if symbols.is_empty() {
            return self.constants(gold, answer, decadic);
        }
        let whole = self.counts(gold) || self.counts(answer);
        let mut functions = Elementary::new(POINT_BITS);
        let mut met = 0;
        let mut fault = Reason::Undefined;
        for attempt in 0..TRIED {
            let point =
                if whole { whole_point(symbols, attempt) } else { real_point(symbols, attempt) };
            let g = self.at(gold, &point, &mut functions, decadic);
            let a = match &g {
                Ok(_) => self.at(answer, &point, &mut functions, decadic),
                Err(fault) => Err(*fault),
            };
            match (g, a) {
                (Ok(g), Ok(a)) => match gap(&g, &a, POINT_BITS) {
                    Ok(Gap::Apart) => return Ok(Tri::Different),
                    Ok(Gap::Together(size)) if size <= -60 => met += 1,
                    _ => {}
                },
                (Err(Fault::Stop(reason)), _) | (_, Err(Fault::Stop(reason))) => {
                    return Err(reason);
                }
                (Err(Fault::Foreign), _) | (_, Err(Fault::Foreign)) => {
                    fault = Reason::Unsupported;
                    break;
                }
                _ => {}
            }
            if met == POINTS {
                return Ok(Tri::Equal);
            }
        }
        Ok(Tri::Undecided(fault))
    }

    /// Compares two expressions without variables.
    fn constants(&mut self, gold: Id, answer: Id, decadic: bool) -> Outcome {
        for bits in [COARSE_BITS, FINE_BITS] {
            let mut functions = Elementary::new(bits);
            let g = self.at(gold, &[], &mut functions, decadic);
            let a = self.at(answer, &[], &mut functions, decadic);
            let (g, a) = match (g, a) {
                (Ok(g), Ok(a)) => (g, a),
                (Err(Fault::Stop(reason)), _) | (_, Err(Fault::Stop(reason))) => {
                    return Err(reason);
                }
                (Ok(_), Err(Fault::Undefined)) => return Ok(Tri::Different),
                (Err(Fault::Imprecise), _) | (_, Err(Fault::Imprecise)) if bits == COARSE_BITS => {
                    continue;
                }
                (Err(Fault::Foreign), _) | (_, Err(Fault::Foreign)) => {
                    return Ok(Tri::Undecided(Reason::Unsupported));
                }
                _ => return Ok(Tri::Undecided(Reason::Undefined)),
            };
            match gap(&g, &a, bits) {
                Ok(Gap::Apart) => {
                    let gold = Evaluated { id: gold, value: &g };
                    let near = self.within(gold, Evaluated { id: answer, value: &a }, bits);
                    return Ok(Tri::from_bool(near));
                }
                Ok(Gap::Together(size)) if size <= -RELATIVE_OVERLAP => return Ok(Tri::Equal),
                _ => {}
            }
        }
        Ok(Tri::Undecided(Reason::Undefined))
    }

    /// The value of a node at a point.
    fn at(
        &mut self,
        id: Id,
        point: &[(Symbol, BigRational)],
        functions: &mut Elementary,
        decadic: bool,
    ) -> Result<Complex, Fault> {
        let complex =
            point.is_empty() || self.tree.any(id, &|n| matches!(n, Node::Constant(Constant::I)));
        Numeric {
            tree: self.tree,
            fuel: self.fuel,
            functions,
            bindings: point.to_vec(),
            complex,
            decadic,
        }
        .value(id)
    }

    /// The order of two constants; `None` if it is not certain.
    pub(super) fn order(&mut self, a: Id, b: Id) -> Result<Option<Ordering>, Reason> {
        if let (Ok(x), Ok(y)) = (self.rational(a)?, self.rational(b)?) {
            return Ok(Some(x.cmp(&y)));
        }
        for bits in [COARSE_BITS, FINE_BITS] {
            let mut functions = Elementary::new(bits);
            let (x, y) =
                (self.at(a, &[], &mut functions, false), self.at(b, &[], &mut functions, false));
            let (Ok(x), Ok(y)) = (x, y) else { return Ok(None) };
            if !x.im.is_exact_zero() || !y.im.is_exact_zero() {
                return Ok(None);
            }
            match gap(&x, &y, bits) {
                Ok(Gap::Apart) => return Ok(x.re.sub(&y.re, bits).ok().and_then(|d| d.sign())),
                Ok(Gap::Together(size)) if size <= -RELATIVE_OVERLAP => {
                    return Ok(Some(Ordering::Equal));
                }
                _ => {}
            }
        }
        Ok(None)
    }

    /// The sign of `a / b` at a point where both are real, for a ratio that is known to be constant.
    pub(super) fn ratio_sign(
        &mut self,
        a: Id,
        b: Id,
        symbols: &[Symbol],
    ) -> Result<Option<Ordering>, Reason> {
        let mut functions = Elementary::new(COARSE_BITS);
        for attempt in 0..TRIED {
            let point = real_point(symbols, attempt);
            let x = self.at(a, &point, &mut functions, false);
            let y = self.at(b, &point, &mut functions, false);
            match (x, y) {
                (Err(Fault::Stop(reason)), _) | (_, Err(Fault::Stop(reason))) => {
                    return Err(reason);
                }
                (Ok(x), Ok(y)) => {
                    if let (Some(x), Some(y)) = (x.re.sign(), y.re.sign())
                        && x != Ordering::Equal
                        && y != Ordering::Equal
                    {
                        return Ok(Some(if x == y { Ordering::Greater } else { Ordering::Less }));
                    }
                }
                _ => {}
            }
        }
        Ok(None)
    }
}

/// Relation of two values.
enum Gap {
    Apart,
    /// The balls overlap. Contains the exponent of a power of two that bounds their gap relative to the
    /// values.
    Together(i64),
}

fn gap(g: &Complex, a: &Complex, bits: u64) -> Result<Gap, Fault> {
    let (re, im) = (g.re.sub(&a.re, bits)?, g.im.sub(&a.im, bits)?);
    if !re.contains_zero() || !im.contains_zero() {
        return Ok(Gap::Apart);
    }
    let size = |x: &Complex| x.re.magnitude().max(x.im.magnitude());
    let scale = size(g).max(size(a)).max(-64);
    Ok(Gap::Together(re.error_magnitude().max(im.error_magnitude()) - scale))
}

/// A point of integers between 5 and 42.
fn whole_point(symbols: &[Symbol], attempt: u64) -> Vec<(Symbol, BigRational)> {
    let value = |symbol: &Symbol| {
        let hash = crate::value::modular::mix(attempt * 977 + u64::from(symbol.0) + 11);
        BigRational::from(BigInt::from(5 + hash % 38))
    };
    symbols.iter().map(|symbol| (*symbol, value(symbol))).collect()
}

/// A point of distinct rationals: between zero and one, above one, negative, large, in turn.
fn real_point(symbols: &[Symbol], attempt: u64) -> Vec<(Symbol, BigRational)> {
    symbols
        .iter()
        .map(|symbol| {
            let hash = crate::value::modular::mix(attempt * 977 + u64::from(symbol.0) + 11);
            let part = |bits: u32| BigInt::from(hash >> (64 - bits));
            let denominator = BigInt::from(1021);
            let value = match attempt % 4 {
                0 => BigRational::new(part(10) + 1, BigInt::from(1031)),
                1 => BigRational::new(part(12) + 1021, denominator),
                2 => -BigRational::new(part(12) + 1, denominator),
                _ => BigRational::new(part(16) + 1021, denominator),
            };
            debug_assert!(!value.is_zero());
            (*symbol, value)
        })
        .collect()
}
