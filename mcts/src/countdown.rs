//! The Countdown numbers game, for searches without a language model.
//!
//! A state is the numbers on the table; a step replaces two of them by their sum, difference, product or
//! quotient (whole and positive). The value of a state needs only arithmetic, so a search runs millions of
//! simulations per second and shows the speed of the tree itself: `mcts countdown`.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::tree::{Edge, Evaluator, NodeId, Tree};

/// Maximum number of numbers in a game.
pub const MAX_NUMBERS: usize = 8;
/// Maximum value of a state without the target; the target has value 1.
const CLOSE: f64 = 0.5;

/// A game: make `target` from some of the numbers, each used at most once.
#[derive(Debug)]
pub struct Countdown {
    table: Table,
    target: u64,
    solved: AtomicBool,
}

/// The numbers left on the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table {
    values: [u64; MAX_NUMBERS],
    count: usize,
}

/// An operation on two of the numbers: `left sign right = result`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Operation {
    /// Indices into the table.
    operands: (usize, usize),
    left: u64,
    sign: char,
    right: u64,
    result: u64,
}

impl Table {
    fn values(&self) -> &[u64] {
        &self.values[..self.count]
    }

    /// Calls `visit` with every operation in a fixed order, until it returns true. Sums and products are
    /// visited once, with the larger number first. Operations that change nothing (`x * 1`, `x / 1`, `x - y =
    /// y`) are left out.
    fn visit(&self, mut visit: impl FnMut(Operation) -> bool) {
        for i in 0..self.count {
            for j in i + 1..self.count {
                let (a, b) = (self.values[i], self.values[j]);
                let (left, right) = (a.max(b), a.min(b));
                let results = [
                    ('+', left.checked_add(right)),
                    ('*', left.checked_mul(right).filter(|_| right > 1)),
                    ('-', Some(left - right).filter(|&r| r > 0 && r != right)),
                    (
                        '/',
                        (right > 1 && left % right == 0)
                            .then_some(left / right)
                            .filter(|&r| r != right),
                    ),
                ];
                for (sign, result) in results {
                    let Some(result) = result else { continue };
                    if visit(Operation { operands: (i, j), left, sign, right, result }) {
                        return;
                    }
                }
            }
        }
    }

    /// Replaces the operands of `operation` by its result.
    fn apply(&mut self, operation: Operation) {
        let (i, j) = operation.operands;
        self.values[i] = operation.result;
        self.count -= 1;
        self.values[j] = self.values[self.count];
    }

    /// The operation with index `step` (from 0), in the order of [`Table::visit`].
    fn operation(&self, step: usize) -> Option<Operation> {
        let (mut left, mut found) = (step, None);
        self.visit(|operation| {
            if left == 0 {
                found = Some(operation);
            }
            left = left.wrapping_sub(1);
            found.is_some()
        });
        found
    }
}

impl Countdown {
    /// A game with these numbers.
    ///
    /// # Errors
    /// A message if there are fewer than 2 or more than [`MAX_NUMBERS`] numbers, or if a number or the target
    /// is 0.
    pub fn new(numbers: &[u64], target: u64) -> Result<Self, String> {
        let count = numbers.len();
        if !(2..=MAX_NUMBERS).contains(&count) {
            return Err(format!("expected 2 to {MAX_NUMBERS} numbers, found {count}"));
        }
        if numbers.contains(&0) || target == 0 {
            return Err("expected numbers and a target of at least 1".to_owned());
        }
        let mut values = [0; MAX_NUMBERS];
        values[..count].copy_from_slice(numbers);
        let solved = AtomicBool::new(numbers.contains(&target));
        Ok(Self { table: Table { values, count }, target, solved })
    }

    /// Whether a search has reached the target.
    #[must_use]
    pub fn is_solved(&self) -> bool {
        self.solved.load(Ordering::Relaxed)
    }

    /// The steps from the root to the target, such as `25 * 4 = 100`; empty if a number on the table is the
    /// target, `None` if the tree has no solution.
    #[must_use]
    pub fn solution(&self, tree: &Tree) -> Option<Vec<String>> {
        if self.table.values().contains(&self.target) {
            return Some(Vec::new());
        }
        let mut path = vec![];
        let mut node = solved_node(tree)?;
        while let Some(parent) = tree.parent(node) {
            path.push((node - tree.children(parent).start) as usize);
            node = parent;
        }
        let mut table = self.table;
        let mut step = |number: usize| {
            let operation = table.operation(number)?;
            table.apply(operation);
            let Operation { left, sign, right, result, .. } = operation;
            Some(format!("{left} {sign} {right} = {result}"))
        };
        path.into_iter().rev().map(&mut step).collect()
    }

    /// Closeness of the table to the target, 0 to [`CLOSE`]: proportional to the ratio of the nearest number
    /// and the target.
    fn closeness(&self, table: &Table) -> f64 {
        let ratio = |&v: &u64| v.min(self.target) as f64 / v.max(self.target) as f64;
        CLOSE * table.values().iter().map(ratio).fold(0.0, f64::max)
    }
}

/// The first node, in depth-first order, whose step gives the target.
fn solved_node(tree: &Tree) -> Option<NodeId> {
    let mut open = vec![tree.root()];
    while let Some(node) = open.pop() {
        let edge = tree.edge(node);
        if edge.terminal && edge.reward > 0.0 {
            return Some(node);
        }
        open.extend(tree.children(node));
    }
    None
}

impl Evaluator for Countdown {
    type State = Table;

    fn root(&self) -> Table {
        self.table
    }

    fn follow(&self, state: &mut Table, step: usize) {
        if let Some(operation) = state.operation(step) {
            state.apply(operation);
        }
    }

    /// All operations have the same prior; an operation that gives the target ends the game with reward 1.
    fn expand(&self, state: &Table, edges: &mut Vec<Edge>) -> f64 {
        state.visit(|operation| {
            let won = operation.result == self.target;
            edges.push(Edge { prior: 0.0, reward: f64::from(u8::from(won)), terminal: won });
            false
        });
        let prior = 1.0 / edges.len().max(1) as f32;
        edges.iter_mut().for_each(|edge| edge.prior = prior);
        if edges.iter().any(|edge| edge.terminal) {
            self.solved.store(true, Ordering::Relaxed);
        }
        self.closeness(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{BackupWeights, FirstPlay, Selection};
    use crate::select::SelectionRule;
    use crate::tree::{GrowOptions, grow_shared};

    const RULE: SelectionRule =
        SelectionRule { selection: Selection::Puct, c: 1.0, first_play: FirstPlay::Own };

    fn grown(game: &Countdown, simulations: u64, threads: usize) -> Tree {
        let mut tree = Tree::new(1.0, BackupWeights::Returns);
        grow_shared(
            &mut tree,
            game,
            RULE,
            simulations,
            GrowOptions { threads, leaves_in_flight: 8 },
        );
        tree
    }

    /// Whether a step such as `25 * 4 = 100` is correct.
    fn holds(step: &str) -> bool {
        let parts: Vec<&str> = step.split(' ').collect();
        let [a, sign, b, "=", result] = parts[..] else { return false };
        let [a, b, result] = [a, b, result].map(|n| n.parse::<u64>().unwrap());
        match sign {
            "+" => a + b == result,
            "-" => a - b == result,
            "*" => a * b == result,
            "/" => a == b * result,
            _ => false,
        }
    }

    /// Whether every operand is on the table when it is used, and the target is on the table at the end.
    fn solves(numbers: &[u64], target: u64, steps: &[String]) -> bool {
        let mut table = numbers.to_vec();
        for step in steps {
            let parts: Vec<&str> = step.split(' ').collect();
            for operand in [parts[0], parts[2]] {
                let Some(place) = table.iter().position(|n| n.to_string() == operand) else {
                    return false;
                };
                table.swap_remove(place);
            }
            table.push(parts[4].parse().unwrap());
        }
        steps.iter().all(|step| holds(step)) && table.contains(&target)
    }

    #[test]
    fn a_search_finds_legal_solutions_with_one_thread_and_with_two() {
        for (numbers, target) in
            [(vec![25, 50, 75, 100, 3, 6], 952), (vec![3, 7, 8, 8], 24), (vec![2, 3], 6)]
        {
            for threads in [1, 2] {
                let game = Countdown::new(&numbers, target).unwrap();
                let tree = grown(&game, 400_000, threads);
                assert!(game.is_solved(), "{numbers:?} {target}");
                let steps = game.solution(&tree).expect("a solution");
                assert!(solves(&numbers, target, &steps), "{steps:?}");
            }
        }
    }

    #[test]
    fn what_cannot_be_made_is_searched_to_the_end() {
        let game = Countdown::new(&[2, 2], 9).unwrap();
        let tree = grown(&game, 1000, 1);
        assert!(!game.is_solved() && game.solution(&tree).is_none());
        // 2 + 2 and 2 * 2 are two edges; 2 - 2 is 0 and 2 / 2 is 1.
        assert_eq!(tree.len(), 4);
        assert_eq!(tree.visits(tree.root()), 1000);
    }

    #[test]
    fn a_number_on_the_table_is_a_solution_and_bad_games_are_named() {
        let game = Countdown::new(&[7, 9], 9).unwrap();
        assert_eq!(game.solution(&grown(&game, 1, 1)), Some(vec![]));
        assert_eq!(Countdown::new(&[7], 9).unwrap_err(), "expected 2 to 8 numbers, found 1");
        assert!(Countdown::new(&[7, 0], 9).is_err() && Countdown::new(&[7, 1], 0).is_err());
        // Products that overflow are not steps.
        let game = Countdown::new(&[u64::MAX, u64::MAX - 1], 5).unwrap();
        assert_eq!(grown(&game, 10, 1).len(), 2);
    }
}
