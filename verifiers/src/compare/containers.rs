//! Compares answers that contain other answers: lists, sets, tuples, matrices, ratios.
//!
//! Order matters in tuples and matrices. Sets, and lists without brackets, are matched by the verdicts on
//! their elements (bipartite matching, after Kuhn), because sorting needs an order that formulas do not
//! have.

use super::{Comparison, Outcome, Tri};
use crate::fuel::Reason;
use crate::syntax::tree::{Id, Node, Tree};

/// Maximum number of items per side that are matched.
const MAX_ITEMS: usize = 256;

impl Comparison<'_> {
    /// Compares two nodes that are not chains, texts or set expressions.
    pub(super) fn containers(&mut self, gold: Id, answer: Id) -> Outcome {
        match (self.tree.get(gold).clone(), self.tree.get(answer).clone()) {
            (Node::Matrix { .. }, _) | (_, Node::Matrix { .. }) => self.matrices(gold, answer),
            (Node::Ratio { parts: g, clock: gc }, Node::Ratio { parts: a, clock: ac }) => {
                self.ratios(&g, &a, gc && ac)
            }
            (Node::Ratio { parts, .. }, _) if !self.is_container(answer) => {
                self.fraction(&parts, answer, true)
            }
            (_, Node::Ratio { parts, .. }) if !self.is_container(gold) => {
                self.fraction(&parts, gold, false)
            }
            (Node::Tuple { .. }, _) | (_, Node::Tuple { .. }) => self.tuples(gold, answer),
            (Node::List(g), Node::List(a)) => self.lists(&g, &a),
            (Node::List(g), Node::Set(a)) | (Node::Set(g), Node::List(a) | Node::Set(a)) => {
                self.matched(&g, &a)
            }
            (Node::Set(items), _) if items.len() == 1 && !self.is_container(answer) => {
                self.compare(items[0], answer)
            }
            (_, Node::Set(items)) if items.len() == 1 && !self.is_container(gold) => {
                self.compare(gold, items[0])
            }
            // One value in two forms: "3/8, or 0.375".
            (_, Node::List(items)) if !self.is_container(gold) => match *self.distinct(&items)? {
                [only] => self.compare(gold, only),
                _ => Ok(Tri::Different),
            },
            _ if self.is_container(gold) || self.is_container(answer) => Ok(Tri::Different),
            _ => self.scalars(gold, answer),
        }
    }

    /// Compares a tuple with anything that can be read as one: a tuple, a list in its order, a set of one
    /// tuple.
    fn tuples(&mut self, gold: Id, answer: Id) -> Outcome {
        match (self.tree.get(gold).clone(), self.tree.get(answer).clone()) {
            (
                Node::Tuple { open, close, items: g },
                Node::Tuple { open: o, close: c, items: a },
            ) => {
                if g.len() == 2 && (open, close) != (o, c) {
                    return Ok(Tri::Different);
                }
                self.pairwise(&g, &a)
            }
            // `x = 1 or x = 2` is not a point.
            (Node::Tuple { .. }, Node::List(a)) if self.assigns_one_name(&a)? => Ok(Tri::Different),
            // [1, 2] is an interval; [1, 2, 3] can be a list.
            (Node::Tuple { items: g, open, close }, Node::List(a))
                if g.len() > 2 || (open, close) == ('(', ')') =>
            {
                let a = self.by_name(a);
                self.pairwise(&g, &a)
            }
            (Node::List(g), Node::Tuple { items: a, open: '(', close: ')' }) => {
                if g.iter().any(|i| self.is_container(*i))
                    && !a.iter().any(|i| self.is_container(*i))
                {
                    return Ok(Tri::Different);
                }
                let g = self.by_name(g);
                self.pairwise(&g, &a)
            }
            (Node::Set(items), Node::Tuple { .. }) if items.len() == 1 => {
                self.compare(items[0], answer)
            }
            (Node::Tuple { .. }, Node::Set(items)) if items.len() == 1 => {
                self.compare(gold, items[0])
            }
            _ => Ok(Tri::Different),
        }
    }

    /// Compares a matrix with anything that can be read as one: a matrix, its rows in brackets, a vector
    /// as a tuple.
    fn matrices(&mut self, gold: Id, answer: Id) -> Outcome {
        let vector = |columns: usize, cells: &[Id]| columns == 1 || columns == cells.len();
        match (self.tree.get(gold).clone(), self.tree.get(answer).clone()) {
            (Node::Matrix { columns, cells: g }, Node::Matrix { columns: width, cells: a }) => {
                if columns != width {
                    return Ok(Tri::Different);
                }
                self.pairwise(&g, &a)
            }
            (Node::Matrix { columns, cells }, Node::Tuple { items, open, .. }) => {
                match self.rows_of(&items, columns) {
                    Some(answer) if open == '[' => self.pairwise(&cells, &answer),
                    _ if vector(columns, &cells) => self.pairwise(&cells, &items),
                    _ => Ok(Tri::Different),
                }
            }
            (Node::Tuple { items, open: '(', .. }, Node::Matrix { columns, cells })
                if vector(columns, &cells) =>
            {
                self.pairwise(&items, &cells)
            }
            (Node::Matrix { cells, .. }, _) if cells.len() == 1 => self.compare(cells[0], answer),
            (_, Node::Matrix { cells, .. }) if cells.len() == 1 => self.compare(gold, cells[0]),
            _ => Ok(Tri::Different),
        }
    }

    /// Cells of a matrix that is written as a tuple of rows.
    fn rows_of(&self, items: &[Id], columns: usize) -> Option<Vec<Id>> {
        let mut cells = Vec::new();
        for item in items {
            match self.tree.get(*item) {
                Node::Tuple { items, open: '[', .. } if items.len() == columns => {
                    cells.extend(items);
                }
                _ => return None,
            }
        }
        Some(cells)
    }

    /// Compares a ratio of two parts with a single value. A time of day such as 12:00 is not a ratio.
    fn fraction(&mut self, parts: &[Id], other: Id, ratio_is_gold: bool) -> Outcome {
        let [above, below] = parts else { return Ok(Tri::Different) };
        let zero = self.tree.integer(0, self.fuel)?;
        if self.scalars(*below, zero)? == Tri::Equal {
            return Ok(Tri::Different);
        }
        let quotient = self.tree.add(Node::Quotient(*above, *below), self.fuel)?;
        if ratio_is_gold { self.scalars(quotient, other) } else { self.scalars(other, quotient) }
    }

    /// Compares items in order.
    pub(super) fn pairwise(&mut self, gold: &[Id], answer: &[Id]) -> Outcome {
        if gold.len() != answer.len() {
            return Ok(Tri::Different);
        }
        let mut undecided = None;
        for (g, a) in gold.iter().zip(answer) {
            match self.compare(*g, *a)? {
                Tri::Equal => {}
                Tri::Different => return Ok(Tri::Different),
                Tri::Undecided(reason) => undecided = Some(reason),
            }
        }
        Ok(undecided.map_or(Tri::Equal, Tri::Undecided))
    }

    /// Compares lists. Assignments to different names are matched in order, other items in any order.
    fn lists(&mut self, gold: &[Id], answer: &[Id]) -> Outcome {
        let named = self.distinct_names(gold) && !self.distinct_names(answer);
        if named || self.rules.ordered_lists {
            return self.pairwise(gold, answer);
        }
        self.matched(gold, answer)
    }

    /// Whether all items assign to different names, not counting numbered versions of one name as
    /// different.
    fn distinct_names(&self, items: &[Id]) -> bool {
        let base = |tree: &Tree, id: Id| match tree.get(id) {
            Node::Chain { sides, .. } if self.is_name(sides[0]) => match tree.get(sides[0]) {
                Node::Symbol(s) => tree.name(*s).split('_').next().map(str::to_owned),
                Node::Product(parts) => Some(
                    parts
                        .iter()
                        .map(|p| match tree.get(*p) {
                            Node::Symbol(s) => tree.name(*s).to_owned(),
                            _ => "-".to_owned(),
                        })
                        .collect(),
                ),
                _ => None,
            },
            _ => None,
        };
        let names: Option<Vec<String>> = items.iter().map(|i| base(self.tree, *i)).collect();
        names.is_some_and(|mut names| {
            names.sort();
            names.windows(2).all(|w| w[0] != w[1])
        })
    }

    /// Sorts assignments to single letters alphabetically, the order of the coordinates of a point;
    /// returns other items unchanged.
    fn by_name(&self, items: Vec<Id>) -> Vec<Id> {
        let letter = |id: Id| match self.tree.get(id) {
            Node::Chain { sides, .. } => match self.tree.get(sides[0]) {
                Node::Symbol(s) => Some(self.tree.name(*s)).filter(|name| name.len() == 1),
                _ => None,
            },
            _ => None,
        };
        let names: Option<Vec<&str>> = items.iter().map(|id| letter(*id)).collect();
        let Some(names) = names else { return items };
        let mut order: Vec<usize> = (0..items.len()).collect();
        order.sort_by_key(|at| names[*at]);
        order.into_iter().map(|at| items[at]).collect()
    }

    /// Whether all items assign to the same name.
    fn assigns_one_name(&mut self, items: &[Id]) -> Result<bool, Reason> {
        let name = |tree: &Tree, id: Id| match tree.get(id) {
            Node::Chain { sides, .. } => Some(sides[0]),
            _ => None,
        };
        let Some(first) = items.first().and_then(|id| name(self.tree, *id)) else {
            return Ok(false);
        };
        for item in items {
            match name(self.tree, *item) {
                Some(other) if self.same(first, other)? => {}
                _ => return Ok(false),
            }
        }
        Ok(self.is_name(first))
    }

    /// Compares two ratios: times of day field by field, others up to a factor.
    fn ratios(&mut self, gold: &[Id], answer: &[Id], clock: bool) -> Outcome {
        if gold.len() != answer.len() {
            return Ok(Tri::Different);
        }
        let plain = self.pairwise(gold, answer)?;
        if clock || plain == Tri::Equal {
            return Ok(plain);
        }
        let foreign = |n: &Node| matches!(n, Node::Symbol(_) | Node::Quantity(..));
        if gold.iter().chain(answer).any(|p| foreign(self.tree.get(*p))) {
            return Ok(plain);
        }
        // a : b : c = d : e : f if a e = b d, and so on.
        let mut undecided = None;
        for k in 1..gold.len() {
            let left = self.tree.add(Node::Product(vec![gold[0], answer[k]]), self.fuel)?;
            let right = self.tree.add(Node::Product(vec![gold[k], answer[0]]), self.fuel)?;
            match self.scalars(left, right)? {
                Tri::Equal => {}
                Tri::Different => return Ok(Tri::Different),
                Tri::Undecided(reason) => undecided = Some(reason),
            }
        }
        Ok(undecided.map_or(Tri::Equal, Tri::Undecided))
    }

    /// Compares sets and unordered lists: a perfect matching of equal elements, ignoring repetitions.
    pub(super) fn matched(&mut self, gold: &[Id], answer: &[Id]) -> Outcome {
        let (gold, answer) = if gold.len() == answer.len() {
            (gold.to_vec(), answer.to_vec())
        } else {
            (self.distinct(gold)?, self.distinct(answer)?)
        };
        if gold.len() != answer.len() {
            return Ok(Tri::Different);
        }
        if gold.len() > MAX_ITEMS {
            return Err(Reason::Fuel);
        }
        let mut verdicts = Vec::with_capacity(gold.len());
        let mut reason = None;
        for g in &gold {
            let mut row = Vec::with_capacity(answer.len());
            for a in &answer {
                let verdict = self.compare(*g, *a)?;
                if let Tri::Undecided(why) = verdict {
                    reason = Some(why);
                }
                row.push(verdict);
            }
            if row.iter().all(|v| *v == Tri::Different) {
                return Ok(Tri::Different);
            }
            verdicts.push(row);
        }
        if perfect(&verdicts, |v| v == Tri::Equal) {
            return Ok(Tri::Equal);
        }
        match reason {
            Some(reason) if perfect(&verdicts, |v| v != Tri::Different) => {
                Ok(Tri::Undecided(reason))
            }
            _ => Ok(Tri::Different),
        }
    }

    /// The items without repetitions.
    fn distinct(&mut self, items: &[Id]) -> Result<Vec<Id>, Reason> {
        if items.len() > MAX_ITEMS {
            return Err(Reason::Fuel);
        }
        let mut kept: Vec<Id> = Vec::new();
        'items: for item in items {
            for other in kept.clone() {
                if self.compare(other, *item)? == Tri::Equal {
                    continue 'items;
                }
            }
            kept.push(*item);
        }
        Ok(kept)
    }
}

/// Whether all rows can be assigned different columns with an allowed verdict (Kuhn's algorithm).
fn perfect(verdicts: &[Vec<Tri>], allowed: impl Fn(Tri) -> bool) -> bool {
    let mut owner: Vec<Option<usize>> = vec![None; verdicts.len()];
    (0..verdicts.len()).all(|row| {
        let mut seen = vec![false; verdicts.len()];
        augment(row, verdicts, &allowed, &mut owner, &mut seen)
    })
}

fn augment(
    row: usize,
    verdicts: &[Vec<Tri>],
    allowed: &impl Fn(Tri) -> bool,
    owner: &mut [Option<usize>],
    seen: &mut [bool],
) -> bool {
    for column in 0..owner.len() {
        if seen[column] || !allowed(verdicts[row][column]) {
            continue;
        }
        seen[column] = true;
        let free = match owner[column] {
            None => true,
            Some(other) => augment(other, verdicts, allowed, owner, seen),
        };
        if free {
            owner[column] = Some(row);
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matching_needs_different_partners() {
        let (e, d) = (Tri::Equal, Tri::Different);
        assert!(perfect(&[vec![e, e], vec![e, d]], |v| v == Tri::Equal));
        assert!(!perfect(&[vec![e, d], vec![e, d]], |v| v == Tri::Equal));
    }
}
