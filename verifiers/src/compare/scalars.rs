//! Compares single values: numbers, and expressions with and without variables.
//!
//! Cheap and certain methods come first: exact rationals, then residues modulo two primes at random
//! points, then balls (see `evidence.rs`). Exact values and different residues are proofs; equal residues
//! are overwhelming evidence (Schwartz 1980, Zippel 1979).

use num_rational::BigRational;

use super::{Comparison, Outcome, Tri};
use crate::fuel::Reason;
use crate::syntax::tree::{Constant, Function, Id, Node};
use crate::value::Fault;
use crate::value::exact::Exact;
use crate::value::modular::{Modular, PRIMES, Point};

/// Number of random points for each prime.
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

    /// Whether a value is plus infinity (true) or minus infinity (false); `None` if it is finite.
    pub(super) fn infinite(&self, id: Id) -> Option<bool> {
        match self.tree.get(id) {
            Node::Constant(Constant::Infinity) => Some(true),
            Node::Negate(a) => self.infinite(*a).map(|sign| !sign),
            _ => None,
        }
    }

    /// Compares both values as rationals; `None` if they are not both rational.
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

    /// Whether both trees are equal up to the order of sums and products.
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

    /// Whether the variables may have to be integers, because a factorial, binomial or series occurs.
    pub(super) fn counts(&self, id: Id) -> bool {
        self.tree.any(id, &|n| {
            matches!(n, Node::Call(Function::Factorial | Function::Binomial, _) | Node::Series(_))
        })
    }

    /// Whether the residues agree at random points; a fault if residues cannot be computed.
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
}
