//! Compares equations, inequalities, assignments and memberships.
//!
//! If the other side is a value, an assignment counts as its value. Equations are equal up to a constant
//! factor, inequalities up to a positive one. Solution sets of one name are compared in `sets`.

use std::cmp::Ordering;

use super::{Comparison, Outcome, Tri};
use crate::fuel::Reason;
use crate::syntax::tree::{BLANK, Function, Id, Node, Relation, Symbol};

/// Points at which the ratio of two equations is evaluated; a later point is used if an earlier one is a
/// root of both.
const FIXED_POINTS: [[i64; 5]; 4] =
    [[3, 7, 13, 29, 41], [11, 2, 23, 5, 17], [1, 19, 4, 37, 8], [-5, -9, 6, -14, 31]];

/// Sides and relations of a chain.
#[derive(Debug, Clone)]
struct Chain {
    sides: Vec<Id>,
    relations: Vec<Relation>,
}

/// One relation of a chain and its two sides.
#[derive(Clone, Copy)]
struct Link {
    left: Id,
    relation: Relation,
    right: Id,
}

impl Link {
    fn of(chain: &Chain, index: usize) -> Self {
        let Chain { sides, relations } = chain;
        Self { left: sides[index], relation: relations[index], right: sides[index + 1] }
    }
}

impl Comparison<'_> {
    fn chain(&self, id: Id) -> Option<Chain> {
        match self.tree.get(id) {
            Node::Chain { sides, relations } => {
                Some(Chain { sides: sides.clone(), relations: relations.clone() })
            }
            _ => None,
        }
    }

    /// The value that a chain assigns, and the name that it assigns the value to, if there is one. If
    /// approximations follow an exact value, the exact one counts.
    fn assigned(&mut self, chain: &Chain) -> Option<(Option<Id>, Id)> {
        let value = |r: &Relation| matches!(r, Relation::Equal | Relation::Approximately);
        if !chain.relations.iter().all(value) {
            return None;
        }
        let exact = chain.relations.iter().take_while(|r| **r == Relation::Equal).count();
        let (first, last) = (chain.sides[0], *chain.sides.last()?);
        // If the value is a matrix, `A^{-1}` and `2A` count as names too.
        let matrix = matches!(self.tree.get(last), Node::Matrix { .. });
        if self.is_name(first) || matrix && self.is_made_of_names(first) {
            let at = exact.max(1);
            // In `f(x) = y` both sides are names; the right one is the value.
            return Some((Some(first), chain.sides[at]));
        }
        if self.is_name(last) && !self.has_symbols(first) {
            return Some((Some(last), first));
        }
        if exact == 0 {
            return Some((None, first));
        }
        let constant = chain.sides.iter().all(|s| !self.has_symbols(*s) && !self.is_container(*s));
        constant.then(|| (None, chain.sides[exact]))
    }

    fn has_symbols(&self, id: Id) -> bool {
        !self.tree.free_symbols(id).is_empty()
            || self.tree.any(id, &|n| matches!(n, Node::Apply(..) | Node::Text(_)))
    }

    /// The set `S` of `x \in S`.
    fn membership(chain: &Chain) -> Option<Id> {
        match chain.relations.as_slice() {
            [Relation::In] => Some(chain.sides[1]),
            _ => None,
        }
    }

    /// Compares a reference that is a chain with an answer that is not.
    pub(super) fn gold_chain(&mut self, gold: Id, answer: Id) -> Outcome {
        let Some(chain) = self.chain(gold) else { return Err(Reason::Unsupported) };
        if let Some(set) = Self::membership(&chain) {
            return self.compare(set, answer);
        }
        if let Some((_, value)) = self.assigned(&chain) {
            let verdict = self.compare(value, answer)?;
            if verdict == Tri::Equal || !chain.relations.contains(&Relation::Approximately) {
                return Ok(verdict);
            }
            let last = chain.sides[chain.sides.len() - 1];
            return self.compare(last, answer);
        }
        if let Some(value) = self.value_of_named(&chain, answer)? {
            return self.compare(value, answer);
        }
        if chain.relations.iter().any(|r| r.is_order() || *r == Relation::NotEqual) {
            if let Some(equal) = self.as_flags(gold, answer)? {
                return Ok(Tri::from_bool(equal));
            }
            let one_name = self.tree.free_symbols(gold).len() == 1;
            let unsolved = one_name && self.regions(&chain.sides, &chain.relations)?.is_none();
            if unsolved && self.is_container(answer) {
                return Err(Reason::Unsupported);
            }
        }
        Ok(Tri::Different)
    }

    /// Compares an answer that is a chain with a reference that is not.
    pub(super) fn answer_chain(&mut self, gold: Id, answer: Id) -> Outcome {
        let Some(chain) = self.chain(answer) else { return Err(Reason::Unsupported) };
        if let Some(set) = Self::membership(&chain) {
            return self.compare(gold, set);
        }
        if let Some((name, value)) = self.assigned(&chain) {
            if name.is_none() && !self.agrees(&chain)? {
                return Ok(Tri::Different);
            }
            let verdict = self.compare(gold, value)?;
            if verdict == Tri::Equal || !chain.relations.contains(&Relation::Approximately) {
                return Ok(verdict);
            }
            let last = chain.sides[chain.sides.len() - 1];
            return self.compare(gold, last);
        }
        if let Some(value) = self.value_of_named(&chain, gold)? {
            return self.compare(gold, value);
        }
        let ordered = chain.relations.iter().any(|r| r.is_order() || *r == Relation::NotEqual);
        if ordered && self.is_condition_list(gold) {
            let equal = self.as_flags(gold, answer)?;
            return Ok(Tri::from_bool(equal == Some(true)));
        }
        let interval =
            self.is_set_expression(gold) || matches!(self.tree.get(gold), Node::Tuple { .. });
        if ordered
            && (self.rules.inequality_for_interval || self.is_set_expression(gold))
            && interval
        {
            return match self.as_flags(gold, answer)? {
                Some(equal) => Ok(Tri::from_bool(equal)),
                None => Ok(Tri::Different),
            };
        }
        Ok(Tri::Different)
    }

    /// The value that a chain gives to an expression of names, if the other side is a constant: 293 for
    /// `m + n = 256 + 37 = 293`.
    fn value_of_named(&mut self, chain: &Chain, other: Id) -> Result<Option<Id>, Reason> {
        let equal = chain.relations.iter().all(|r| *r == Relation::Equal);
        if !equal || self.has_symbols(other) || self.is_container(other) {
            return Ok(None);
        }
        let mut sides = chain.sides.clone();
        if !self.has_symbols(sides[0]) {
            sides.reverse();
        }
        let constant = |side: &Id| !self.has_symbols(*side) && !self.is_container(*side);
        if !self.is_named_sum(sides[0]) || !sides[1..].iter().all(constant) {
            return Ok(None);
        }
        let values = sides.split_off(1);
        for value in &values[1..] {
            if self.compare(values[0], *value)? != Tri::Equal {
                return Ok(None);
            }
        }
        Ok(values.first().copied())
    }

    /// Whether a side is a quantity made of several names: `m + n`, `a^2 + b^2`, `xyz`. Equations with
    /// coefficients, such as `2x + 3y = 6`, do not give a value.
    fn is_named_sum(&self, id: Id) -> bool {
        let several = self.tree.free_symbols(id).len() >= 2
            || self.tree.any(id, &|n| matches!(n, Node::Apply(..)));
        several && self.is_made_of_names(id)
    }

    fn is_made_of_names(&self, id: Id) -> bool {
        match self.tree.get(id) {
            Node::Symbol(_) | Node::Apply(..) | Node::Text(_) | Node::Constant(_) => true,
            Node::Sum(items) | Node::Product(items) | Node::Call(Function::Abs, items) => {
                items.iter().all(|i| self.is_made_of_names(*i))
            }
            Node::Negate(a) => self.is_made_of_names(*a),
            Node::Quotient(a, b) => self.is_made_of_names(*a) && self.is_made_of_names(*b),
            Node::Power(a, exponent) => {
                self.is_made_of_names(*a) && self.tree.number(*exponent).is_some()
            }
            Node::Root { radicand, .. } => self.is_made_of_names(*radicand),
            _ => false,
        }
    }

    /// Whether the sides of a chain of constants that are joined by equals signs are equal.
    fn agrees(&mut self, chain: &Chain) -> Result<bool, Reason> {
        for (index, relation) in chain.relations.iter().enumerate() {
            let equal = *relation != Relation::Equal
                || self.compare(chain.sides[index], chain.sides[index + 1])? == Tri::Equal;
            if !equal {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Compares two chains.
    pub(super) fn both_chains(&mut self, gold: Id, answer: Id) -> Outcome {
        let (Some(g), Some(a)) = (self.chain(gold), self.chain(answer)) else {
            return Err(Reason::Unsupported);
        };
        if self.same(gold, answer)? {
            return Ok(Tri::Equal);
        }
        match (Self::membership(&g), Self::membership(&a)) {
            (Some(x), Some(y)) => return self.compare(x, y),
            (Some(x), None) => return self.compare(x, answer),
            (None, Some(y)) => return self.compare(gold, y),
            (None, None) => {}
        }
        let assigned = (self.assigned(&g), self.assigned(&a));
        if let (Some((x, left)), Some((y, right))) = assigned {
            return self.assignments(gold, answer, (x, left), (y, right));
        }
        if g.relations.iter().chain(&a.relations).any(|r| r.is_order())
            && let Some(equal) = self.same_solutions(gold, answer, &g, &a)?
        {
            return Ok(Tri::from_bool(equal));
        }
        self.linked(&g, &a)
    }

    /// Compares two assignments: to one name by value, to two names as equations or as functions.
    fn assignments(
        &mut self,
        gold: Id,
        answer: Id,
        (x, left): (Option<Id>, Id),
        (y, right): (Option<Id>, Id),
    ) -> Outcome {
        let (Some(x), Some(y)) = (x, y) else { return self.compare(left, right) };
        if self.same(x, y)? || self.numbered(x, y) {
            return self.compare(left, right);
        }
        if let Some((bound, name)) = self.bound_names(x, y)? {
            if self.tree.free_symbols(right).contains(&bound) {
                return Ok(Tri::Different);
            }
            let right = self.renamed(right, name, bound)?;
            return self.compare(left, right);
        }
        let (Some(g), Some(a)) = (self.chain(gold), self.chain(answer)) else {
            return Err(Reason::Unsupported);
        };
        let as_equation = self.linked(&g, &a)?;
        if as_equation == Tri::Equal {
            return Ok(as_equation);
        }
        let functional =
            |c: &Self, id: Id| matches!(c.tree.get(id), Node::Apply(..) | Node::Text(_));
        if functional(self, x) || functional(self, y) {
            return self.compare(left, right);
        }
        Ok(as_equation)
    }

    /// The argument names in two forms of one function or sequence: n and m for `f(n)` and `f(m)`, or for
    /// `a_n` and `a_m`.
    fn bound_names(&mut self, x: Id, y: Id) -> Result<Option<(Symbol, Symbol)>, Reason> {
        if let (Node::Apply(f, a), Node::Apply(g, b)) = (self.tree.get(x), self.tree.get(y)) {
            let names = match (a.as_slice(), b.as_slice()) {
                ([n], [m]) if f == g => (self.tree.get(*n), self.tree.get(*m)),
                _ => return Ok(None),
            };
            return Ok(match names {
                (Node::Symbol(n), Node::Symbol(m)) => Some((*n, *m)),
                _ => None,
            });
        }
        let (Node::Symbol(a), Node::Symbol(b)) = (self.tree.get(x), self.tree.get(y)) else {
            return Ok(None);
        };
        let index = |symbol: Symbol| {
            let (base, index) = self.tree.name(symbol).split_once('_')?;
            let letter = index.len() == 1 && index.starts_with(|c: char| c.is_ascii_lowercase());
            letter.then(|| (base.to_owned(), index.to_owned()))
        };
        let (Some((base, n)), Some((other, m))) = (index(*a), index(*b)) else { return Ok(None) };
        if base != other {
            return Ok(None);
        }
        Ok(Some((self.tree.symbol(&n)?, self.tree.symbol(&m)?)))
    }

    /// The tree with the name `from` replaced by `to`.
    fn renamed(&mut self, id: Id, from: Symbol, to: Symbol) -> Result<Id, Reason> {
        self.fuel.spend(50)?;
        if *self.tree.get(id) == Node::Symbol(from) {
            return self.tree.add(Node::Symbol(to), self.fuel);
        }
        let children = self.tree.children(id);
        let mut new = Vec::with_capacity(children.len());
        for child in &children {
            new.push(self.renamed(*child, from, to)?);
        }
        if new == children {
            return Ok(id);
        }
        let node = self.tree.with_children(id, &new);
        self.tree.add(node, self.fuel)
    }

    /// Whether two symbols are one name with and without a number: `x_1` and `x`.
    fn numbered(&self, x: Id, y: Id) -> bool {
        let base = |id: Id| match self.tree.get(id) {
            Node::Symbol(s) => {
                self.tree.name(*s).split_once('_').or(Some((self.tree.name(*s), "")))
            }
            _ => None,
        };
        match (base(x), base(y)) {
            (Some((a, i)), Some((b, j))) => a == b && (i.is_empty() || j.is_empty()),
            _ => false,
        }
    }

    /// Whether two chains on one name have the same solution set; `None` if they are not solved.
    fn same_solutions(
        &mut self,
        gold: Id,
        answer: Id,
        g: &Chain,
        a: &Chain,
    ) -> Result<Option<bool>, Reason> {
        let mut symbols = Vec::new();
        for id in g.sides.iter().chain(&a.sides) {
            symbols.extend(self.tree.free_symbols(*id));
        }
        symbols.sort_unstable();
        symbols.dedup();
        let blank = symbols.iter().any(|s| self.tree.name(*s) == BLANK);
        if symbols.len() > 1 + usize::from(blank) {
            return Ok(None);
        }
        self.as_flags(gold, answer)
    }

    /// Compares two chains link by link, in the written or the reverse order.
    fn linked(&mut self, g: &Chain, a: &Chain) -> Outcome {
        if g.relations.len() != a.relations.len() {
            return Ok(Tri::Different);
        }
        let reversed = Chain {
            sides: a.sides.iter().rev().copied().collect(),
            relations: a.relations.iter().rev().map(|r| r.flipped()).collect(),
        };
        let mut best = Tri::Different;
        for candidate in [a, &reversed] {
            match self.links(g, candidate)? {
                Tri::Equal => return Ok(Tri::Equal),
                Tri::Undecided(reason) => best = Tri::Undecided(reason),
                Tri::Different => {}
            }
        }
        Ok(best)
    }

    fn links(&mut self, g: &Chain, a: &Chain) -> Outcome {
        let mut undecided = None;
        for index in 0..g.relations.len() {
            match self.link(Link::of(g, index), Link::of(a, index))? {
                Tri::Equal => {}
                Tri::Different => return Ok(Tri::Different),
                Tri::Undecided(reason) => undecided = Some(reason),
            }
        }
        Ok(undecided.map_or(Tri::Equal, Tri::Undecided))
    }

    /// Compares two single relations: `lhs - rhs` must agree up to a constant factor, which must be
    /// positive for inequalities.
    fn link(&mut self, gold: Link, answer: Link) -> Outcome {
        let kind = |r: Relation| (r.is_order(), matches!(r, Relation::Less | Relation::Greater), r);
        let (g, a) = (kind(gold.relation), kind(answer.relation));
        if g.0 != a.0 || g.0 && g.1 != a.1 || !g.0 && g.2 != a.2 {
            return Ok(Tri::Different);
        }
        if let (Some(m), Some(n)) = (self.modulus(gold.right), self.modulus(answer.right))
            && self.scalars(m, n)? != Tri::Equal
        {
            return Ok(Tri::Different);
        }
        let plain = self.pairwise(&[gold.left, gold.right], &[answer.left, answer.right])?;
        if plain == Tri::Equal && gold.relation == answer.relation {
            return Ok(Tri::Equal);
        }
        if [gold.left, gold.right, answer.left, answer.right].iter().any(|s| self.is_container(*s))
        {
            return Ok(plain);
        }
        if !g.0
            && !matches!(
                gold.relation,
                Relation::Equal | Relation::NotEqual | Relation::Approximately
            )
        {
            return Ok(plain);
        }
        let left = self.difference(gold.left, gold.right)?;
        let right = self.difference(answer.left, answer.right)?;
        match self.proportional(left, right)? {
            Some(Ordering::Equal) | None => Ok(Tri::Different),
            Some(sign) if g.0 => {
                let turned = gold.relation != answer.relation;
                Ok(Tri::from_bool((sign == Ordering::Less) == turned))
            }
            Some(_) => Ok(Tri::Equal),
        }
    }

    /// The modulus of a residue: 7 for `3 \pmod 7`.
    fn modulus(&self, id: Id) -> Option<Id> {
        match self.tree.get(id) {
            Node::Call(Function::Modulo, arguments) => arguments.last().copied(),
            _ => None,
        }
    }

    /// The sign of the ratio of two expressions, if the ratio is constant.
    fn proportional(&mut self, left: Id, right: Id) -> Result<Option<Ordering>, Reason> {
        let symbols = self.tree.free_symbols(left);
        if symbols != self.tree.free_symbols(right) || symbols.is_empty() {
            return Ok(None);
        }
        for values in FIXED_POINTS {
            let point: Vec<_> = symbols.iter().copied().zip(values.into_iter().cycle()).collect();
            if let Some(sign) = self.proportional_at(left, right, &point)? {
                return Ok(sign);
            }
        }
        Ok(None)
    }

    /// Whether left(x) right(c) = right(x) left(c) for all x and one fixed c, and the sign of the ratio.
    /// `None` if the point does not decide, because both sides are zero or undefined at c.
    fn proportional_at(
        &mut self,
        left: Id,
        right: Id,
        point: &[(Symbol, i64)],
    ) -> Result<Option<Option<Ordering>>, Reason> {
        let zero = self.tree.integer(0, self.fuel)?;
        let (at_left, at_right) = (self.substituted(left, point)?, self.substituted(right, point)?);
        let vanishes = |c: &mut Self, id| Ok::<_, Reason>(c.scalars(id, zero)? != Tri::Different);
        match (vanishes(self, at_left)?, vanishes(self, at_right)?) {
            (false, false) => {}
            (true, true) => return Ok(None),
            // A constant multiple would be zero wherever the other side is.
            _ => return Ok(Some(None)),
        }
        let cross_left = self.tree.add(Node::Product(vec![left, at_right]), self.fuel)?;
        let cross_right = self.tree.add(Node::Product(vec![right, at_left]), self.fuel)?;
        if self.scalars(cross_left, cross_right)? != Tri::Equal {
            return Ok(Some(None));
        }
        self.ratio_sign(at_left, at_right, &[]).map(Some)
    }

    /// The tree with symbols replaced by numbers.
    fn substituted(&mut self, id: Id, point: &[(Symbol, i64)]) -> Result<Id, Reason> {
        self.fuel.spend(50)?;
        if let Node::Symbol(symbol) = self.tree.get(id) {
            return match point.iter().find(|(s, _)| s == symbol) {
                Some((_, value)) => self.tree.integer(*value, self.fuel),
                None => Ok(id),
            };
        }
        let children = self.tree.children(id);
        let mut new = Vec::with_capacity(children.len());
        for child in &children {
            new.push(self.substituted(*child, point)?);
        }
        if new == children {
            return Ok(id);
        }
        let node = self.tree.with_children(id, &new);
        self.tree.add(node, self.fuel)
    }
}
