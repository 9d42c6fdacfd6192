//! Compares single values: numbers and expressions with and without variables.
//!
//! Cheap and certain first: exact rationals, then residues modulo two primes at random points, then
//! balls. Exact values and disjoint balls are proofs; equal residues and overlapping narrow balls are
//! overwhelming evidence.

use std::cmp::Ordering;

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{Pow, Signed, Zero};

use super::{Comparison, Outcome, Tolerance, Tri};
use crate::fuel::Reason;
use crate::syntax::tree::{Constant, Function, Id, Node, Symbol};
use crate::value::Fault;
use crate::value::ball::Ball;
use crate::value::elementary::Elementary;
use crate::value::exact::Exact;
use crate::value::modular::{Modular, PRIMES, Point};
use crate::value::numeric::{Complex, Numeric};

/// Bits at which most different values part.
const COARSE_BITS: u64 = 64;
/// Bits at which constants have to agree.
const FINE_BITS: u64 = 256;
/// Constants are equal where their difference is below 2^-200 of their size.
const RELATIVE_OVERLAP: i64 = 200;
/// Bits at which expressions have to agree at every point.
const POINT_BITS: u64 = 128;
/// Points at which both sides must exist before they count as equal.
const POINTS: usize = 6;
/// Points that are tried.
const TRIED: u64 = 40;
/// Random points for each prime.
const RESIDUES: u64 = 2;

impl Comparison<'_> {
    /// Compares two values.
    pub(super) fn scalars(&mut self, gold: Id, answer: Id) -> Outcome {
        if let (Some(g), Some(a)) = (self.tree.number(gold), self.tree.number(answer))
            && g == a
        {
            return Ok(Tri::Equal);
        }
        match (self.infinite(gold), self.infinite(answer)) {
            (None, None) => {}
            (g, a) => return Ok(Tri::from_bool(g == a)),
        }
        let mut symbols = self.tree.free_symbols(gold);
        symbols.extend(self.tree.free_symbols(answer));
        symbols.sort_unstable();
        symbols.dedup();
        if symbols.is_empty()
            && let Some(outcome) = self.rationals(gold, answer)?
        {
            return Ok(outcome);
        }
        if self.same(gold, answer)? {
            return Ok(Tri::Equal);
        }
        match self.residues(gold, answer) {
            Ok(equal) if equal || symbols.is_empty() && !self.tolerates(gold, answer) => {
                return Ok(Tri::from_bool(equal));
            }
            Ok(_) if !symbols.is_empty() => return Ok(Tri::Different),
            Err(Fault::Stop(reason)) => return Err(reason),
            Ok(_) | Err(_) => {}
        }
        let plain = self.balls(gold, answer, &symbols, false)?;
        let logarithm = |n: &Node| matches!(n, Node::Call(Function::Log, a) if a.len() == 1);
        if plain != Tri::Equal
            && (self.tree.any(gold, &logarithm) || self.tree.any(answer, &logarithm))
        {
            let decadic = self.balls(gold, answer, &symbols, true)?;
            return Ok(if decadic == Tri::Equal { decadic } else { plain });
        }
        Ok(plain)
    }

    /// Plus or minus infinity.
    pub(super) fn infinite(&self, id: Id) -> Option<bool> {
        match self.tree.get(id) {
            Node::Constant(Constant::Infinity) => Some(true),
            Node::Negate(a) => self.infinite(*a).map(|sign| !sign),
            _ => None,
        }
    }

    /// Both values as rationals.
    fn rationals(&mut self, gold: Id, answer: Id) -> Result<Option<Tri>, Reason> {
        let (g, a) = (self.rational(gold)?, self.rational(answer)?);
        match (g, a) {
            (Ok(g), Ok(a)) => Ok(Some(Tri::from_bool(g == a || self.near(gold, answer, &g, &a)))),
            (Ok(_), Err(Fault::Undefined)) => Ok(Some(Tri::Different)),
            _ => Ok(None),
        }
    }

    pub(super) fn rational(&mut self, id: Id) -> Result<Result<BigRational, Fault>, Reason> {
        match (Exact { tree: self.tree, fuel: self.fuel, bindings: Vec::new() }).value(id) {
            Err(Fault::Stop(reason)) => Err(reason),
            other => Ok(other),
        }
    }

    /// Digits behind the point of a value that is a written decimal.
    fn decimals(&self, id: Id) -> Option<u32> {
        match self.tree.get(id) {
            Node::Number { decimals, .. } => *decimals,
            Node::Negate(a) | Node::Quantity(a, _) => self.decimals(*a),
            _ => None,
        }
    }

    /// Whether a decimal stands on either side, so that the tolerance applies.
    fn tolerates(&self, gold: Id, answer: Id) -> bool {
        self.rules.tolerance != Tolerance::Exact
            && (self.decimals(gold).is_some() || self.decimals(answer).is_some())
    }

    /// Whether two rationals are equal by tolerance.
    fn near(&self, gold: Id, answer: Id, g: &BigRational, a: &BigRational) -> bool {
        let gap = (g - a).abs();
        match self.allowed(gold, answer, Some(g)) {
            Some(allowed) => gap <= allowed,
            None => false,
        }
    }

    /// The gap that the tolerance allows.
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

    /// Whether both trees are the same up to the order of sums and products.
    pub(super) fn same(&mut self, a: Id, b: Id) -> Result<bool, Reason> {
        self.fuel.spend(20)?;
        if a == b {
            return Ok(true);
        }
        let (left, right) = (self.tree.children(a), self.tree.children(b));
        if left.len() != right.len() {
            return Ok(false);
        }
        let commutes = match (self.tree.get(a), self.tree.get(b)) {
            (Node::Sum(_), Node::Sum(_)) | (Node::Product(_), Node::Product(_)) => true,
            (x, y) if left.is_empty() => return Ok(x == y),
            _ => {
                let renamed = self.tree.with_children(a, &right);
                if renamed != *self.tree.get(b) {
                    return Ok(false);
                }
                false
            }
        };
        if !commutes {
            for (l, r) in left.iter().zip(&right) {
                if !self.same(*l, *r)? {
                    return Ok(false);
                }
            }
            return Ok(true);
        }
        let mut rest = right;
        for l in left {
            let mut hit = None;
            for (at, r) in rest.iter().enumerate() {
                if self.same(l, *r)? {
                    hit = Some(at);
                    break;
                }
            }
            match hit {
                Some(at) => rest.swap_remove(at),
                None => return Ok(false),
            };
        }
        Ok(true)
    }

    /// Whether variables may have to be whole numbers: under a factorial or a sum.
    fn counts(&self, id: Id) -> bool {
        self.tree.any(id, &|n| {
            matches!(
                n,
                Node::Call(Function::Factorial | Function::Binomial, _) | Node::Series { .. }
            )
        })
    }

    /// Whether the residues agree at random points; a fault where they cannot be had.
    fn residues(&mut self, gold: Id, answer: Id) -> Result<bool, Fault> {
        let small = self.counts(gold) || self.counts(answer);
        for (round, prime) in (0..).zip(PRIMES) {
            let mut met = 0;
            for seed in 0..8 {
                let point = Point::new(1 + seed + 16 * round, small);
                let mut at = |id| {
                    let (tree, fuel, point) = (&*self.tree, &mut *self.fuel, point.clone());
                    Modular { tree, fuel, prime, point, indices: Vec::new() }.value(id)
                };
                let g = at(gold);
                let a = match g {
                    Ok(_) => at(answer),
                    Err(fault) => Err(fault),
                };
                match (g, a) {
                    (Ok(g), Ok(a)) if g != a => return Ok(false),
                    (Ok(_), Ok(_)) => met += 1,
                    (_, Err(Fault::Undefined)) | (Err(Fault::Undefined), _) => {}
                    (_, Err(fault)) | (Err(fault), _) => return Err(fault),
                }
                if met == RESIDUES {
                    break;
                }
            }
            if met == 0 {
                return Err(Fault::Undefined);
            }
        }
        Ok(true)
    }

    /// Compares by balls.
    fn balls(&mut self, gold: Id, answer: Id, symbols: &[Symbol], decadic: bool) -> Outcome {
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

    /// Two expressions without variables.
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
                    let near = self.within(gold, answer, &g, &a, bits);
                    return Ok(Tri::from_bool(near));
                }
                Ok(Gap::Together(size)) if size <= -RELATIVE_OVERLAP => return Ok(Tri::Equal),
                _ => {}
            }
        }
        Ok(Tri::Undecided(Reason::Undefined))
    }

    /// Whether two real values that differ are equal by tolerance.
    fn within(&self, gold: Id, answer: Id, g: &Complex, a: &Complex, bits: u64) -> bool {
        let bound = match self.rules.tolerance {
            Tolerance::Relative(part) if self.tolerates(gold, answer) => {
                BigRational::from_float(part)
                    .and_then(|p| g.re.abs().mul(&Ball::rational(&p, bits), bits).ok())
            }
            _ => self.allowed(gold, answer, None).map(|b| Ball::rational(&b, bits)),
        };
        let Some(bound) = bound else { return false };
        let room = g.re.sub(&a.re, bits).and_then(|gap| bound.sub(&gap.abs(), bits));
        g.im.is_exact_zero()
            && a.im.is_exact_zero()
            && room.is_ok_and(|r| r.sign() == Some(Ordering::Greater))
    }

    /// The value at a point.
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

    /// The order of two constants, where it is certain.
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

    /// The sign of `a / b` at points where both are real: the sign of a constant ratio.
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

/// How two values lie to each other.
enum Gap {
    Apart,
    /// They overlap; the size of the gap's bound relative to the values, as a power of two.
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

/// A point of whole numbers between 5 and 42.
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
