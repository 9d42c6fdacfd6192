//! `countdown`: reach a target from a few numbers, each used at most once; often in several ways.
//!
//! Splits are by set of numbers, not only by target, so no train problem shows a test problem's numbers.
//! The game is that of arXiv:2404.03683, the text is our own.

mod expression;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::words::{chance, pick};
use super::worked::{Flawed, SolvedProblem, final_line};
use crate::{AnswerKind, Problem, content_hash};
use expression::{Item, MAX_VALUE, Move, after, moves, play, reachable, table};

/// Default range of the number of operations of the longest solution, which is one less than the number of
/// given numbers.
pub(super) const LEVELS: (u32, u32) = (2, 2);
/// Allowed number of operations.
pub(super) const ALLOWED: (u32, u32) = (1, 3);

/// Ranges of numbers and targets, from the first recipe that a small model learnt.
const NUMBERS: std::ops::RangeInclusive<u32> = 1..=20;
const TARGETS: std::ops::RangeInclusive<u32> = 10..=99;
/// Share of wrong solutions that make only legal moves and end at another number than the target, as
/// honest attempts do.
const DEAD_END: f64 = 0.5;
/// Probability that a false last move claims to reach the target, as models do.
const CLAIMS_TARGET: f64 = 0.6;
/// Draws before giving up on a wrong step.
const ATTEMPTS: usize = 40;

/// A game with its winning moves.
pub(super) struct Countdown {
    numbers: Vec<u32>,
    target: u32,
    moves: Vec<Move>,
}

/// Draws a game whose reference solution has a number of operations within `levels`.
pub(super) fn countdown(rng: &mut ChaCha8Rng, levels: (u32, u32)) -> Countdown {
    loop {
        let level = rng.random_range(levels.0..=levels.1) as usize;
        let numbers: Vec<u32> = (0..=level).map(|_| rng.random_range(NUMBERS)).collect();
        let mut values = numbers.clone();
        let mut played = Vec::with_capacity(level);
        while values.len() > 1 {
            let open = moves(&values);
            if open.is_empty() {
                break;
            }
            let step = *pick(rng, &open);
            values = after(&values, step);
            played.push(step);
        }
        let target = values[0];
        if values.len() == 1 && TARGETS.contains(&target) && !numbers.contains(&target) {
            return Countdown { numbers, target, moves: played };
        }
    }
}

impl SolvedProblem for Countdown {
    fn problem(&self) -> Problem {
        let question = format!("Make {} from {}.", self.target, listed(&self.numbers));
        let (steps, end) = self.played(&self.moves);
        Problem {
            id: format!("countdown-{}", content_hash(&question)),
            source: "builtin:countdown".into(),
            question,
            choices: Vec::new(),
            answer: end.text.clone(),
            kind: AnswerKind::Countdown { numbers: self.numbers.clone(), target: self.target },
            solution: Some(steps.concat() + &final_line(&end.text)),
            level: u32::try_from(self.moves.len()).ok(),
        }
    }

    fn split_key(&self) -> String {
        let mut sorted = self.numbers.clone();
        sorted.sort_unstable();
        format!("countdown {}", listed(&sorted))
    }

    fn solve(&self, _rng: &mut ChaCha8Rng, _merge_scale: f64) -> Vec<String> {
        let (mut steps, end) = self.played(&self.moves);
        steps.push(final_line(&end.text));
        steps
    }

    fn solve_wrongly(&self, rng: &mut ChaCha8Rng, _merge_scale: f64) -> Option<Flawed> {
        let dead_end = chance(rng, DEAD_END);
        (0..ATTEMPTS).find_map(|_| if dead_end { self.dead_end(rng) } else { self.corrupt(rng) })
    }
}

impl Countdown {
    /// Lines of these moves, and the last number made.
    fn played(&self, steps: &[Move]) -> (Vec<String>, Item) {
        let mut game = Game::new(&self.numbers);
        for &step in steps {
            game.play(step);
        }
        game.end()
    }

    /// Legal moves that miss the target. The first move after which the target is out of reach is the
    /// wrong line. `None` if the moves happen to reach the target.
    fn dead_end(&self, rng: &mut ChaCha8Rng) -> Option<Flawed> {
        let mut game = Game::new(&self.numbers);
        let mut wrong = None;
        while let Some(step) = game.any_move(rng) {
            game.play(step);
            if wrong.is_none() && !reachable(&game.values(), self.target) {
                wrong = Some(game.lines.len() - 1);
            }
        }
        let (mut steps, end) = game.end();
        steps.push(final_line(&end.text));
        wrong.map(|wrong| Flawed { steps, wrong })
    }

    /// The winning moves up to one with a false result, then legal moves from that result; or all winning
    /// moves and a last line that does not follow.
    fn corrupt(&self, rng: &mut ChaCha8Rng) -> Option<Flawed> {
        let wrong = rng.random_range(0..=self.moves.len());
        let mut game = Game::new(&self.numbers);
        for &step in self.moves.iter().take(wrong) {
            game.play(step);
        }
        if wrong == self.moves.len() {
            let (mut steps, end) = game.end();
            steps.push(final_line(&self.wrong_expression(rng, &end.text)?));
            return Some(Flawed { steps, wrong });
        }
        game.play(self.false_move(rng, &game.values(), self.moves[wrong])?);
        while let Some(step) = game.any_move(rng) {
            game.play(step);
        }
        let (mut steps, end) = game.end();
        steps.push(final_line(&end.text));
        Some(Flawed { steps, wrong })
    }

    /// This move with a wrong result; or, if it is the last move, any move with the target as its claimed
    /// result.
    fn false_move(&self, rng: &mut ChaCha8Rng, values: &[u32], step: Move) -> Option<Move> {
        if values.len() == 2 && chance(rng, CLAIMS_TARGET) {
            let misses: Vec<Move> =
                moves(values).into_iter().filter(|m| m.result != self.target).collect();
            return (!misses.is_empty())
                .then(|| Move { result: self.target, ..*pick(rng, &misses) });
        }
        let delta = *pick(rng, &[-10, -2, -1, 1, 2, 10]);
        let result = step.result.checked_add_signed(delta)?;
        (1..=MAX_VALUE).contains(&result).then_some(Move { result, ..step })
    }

    /// The expression with one number replaced by another number of the game; `None` if both are the
    /// same.
    fn wrong_expression(&self, rng: &mut ChaCha8Rng, text: &str) -> Option<String> {
        let old = *pick(rng, &self.numbers);
        let new = *pick(rng, &self.numbers);
        let words: Vec<String> = text
            .split(' ')
            .map(|w| if w == old.to_string() { new.to_string() } else { w.to_owned() })
            .collect();
        (old != new).then(|| words.join(" "))
    }
}

/// State of a game: the numbers on the table and the lines so far.
struct Game {
    table: Vec<Item>,
    lines: Vec<String>,
}

impl Game {
    fn new(numbers: &[u32]) -> Self {
        Self { table: table(numbers), lines: Vec::new() }
    }

    /// Values on the table.
    fn values(&self) -> Vec<u32> {
        self.table.iter().map(|item| item.value).collect()
    }

    /// Makes one move, whether its result is true or not: `3 * 7 = 21, left 5 21`.
    fn play(&mut self, step: Move) {
        let (a, b) = (self.table[step.left].value, self.table[step.right].value);
        self.table = play(&self.table, step);
        let left = listed(&self.values());
        self.lines.push(format!("{a} {} {b} = {}, left {left}\n", step.sign, step.result));
    }

    /// A random legal move, if there is one.
    fn any_move(&self, rng: &mut ChaCha8Rng) -> Option<Move> {
        let open = moves(&self.values());
        (!open.is_empty()).then(|| *pick(rng, &open))
    }

    /// The lines and the last number made.
    fn end(mut self) -> (Vec<String>, Item) {
        let end = self.table.pop().expect("a game has at least one number on the table");
        (self.lines, end)
    }
}

/// Numbers separated by spaces.
fn listed(numbers: &[u32]) -> String {
    numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
