//! Plausible wrong steps: a changed result, a wrong operand, another operation, a stale intermediate
//! result, a wrong last line.
//!
//! The chain is altered, not the text, so later lines follow from the alteration. A small model makes
//! errors of these kinds when it binds a number to the wrong clause.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::super::words::{chance, pick};
use super::super::worked::{Flawed, final_line};
use super::chain::{Chain, Clause, MAX_VALUE, Op, Operand, Operation};
use super::draft::Draft;

/// Probability that a misread number is also repeated wrongly in the clause.
const ECHOED: f64 = 0.5;
/// Share of wrong last lines that come too early, with an earlier result as the answer.
const TOO_EARLY: f64 = 0.3;
/// Draws before giving up; nearly always one of the first few succeeds.
const ATTEMPTS: usize = 40;
/// Share of corrupted solutions whose last line is the wrong one: somewhat below one in five, so that
/// last lines are judged too.
const WRONG_FINAL: f64 = 0.15;

/// A solution with lines in these groups, one of them wrong.
pub(super) fn corrupt(rng: &mut ChaCha8Rng, draft: &Draft, groups: &[usize]) -> Option<Flawed> {
    let chain = &draft.chain;
    let values = chain.values()?;
    if chance(rng, WRONG_FINAL) {
        return wrong_final(rng, chain, &values, groups);
    }
    let given = given_numbers(chain);
    for _ in 0..ATTEMPTS {
        let line = rng.random_range(0..groups.len() - 1);
        let (first, last) = (groups[line], groups[line + 1] - 1);
        let mut altered = chain.clone();
        let at = rng.random_range(first..=last);
        match rng.random_range(0..10) {
            0..=3 => {
                altered.wrong_result = Some((last, *pick(rng, &[-10, -3, -2, -1, 1, 2, 3, 10])))
            }
            4..=6 => misread(rng, &mut altered.operations[at], &given),
            7 => altered.operations[at].op = *pick(rng, &Op::ALL),
            _ => altered.operations[at].left = stale(rng, chain, at, &given),
        }
        let Some(wrong) = altered.values() else { continue };
        if wrong[last] == values[last] {
            continue;
        }
        let Some(mut steps) = altered.lines(groups) else { continue };
        steps.push(final_line(&wrong[wrong.len() - 1].to_string()));
        return Some(Flawed { steps, wrong: line });
    }
    None
}

/// Replaces the right operand by another number, in the equation alone or in the clause as well.
fn misread(rng: &mut ChaCha8Rng, operation: &mut Operation, given: &[u32]) {
    let number = *pick(rng, given);
    let right = std::mem::replace(&mut operation.right, Operand::Given(number));
    if let (Operand::Given(old), Clause::Echo(_, rest)) = (right, &mut operation.clause)
        && chance(rng, ECHOED)
    {
        let old = old.to_string();
        let words: Vec<String> = rest
            .split(' ')
            .map(|word| if word == old { number.to_string() } else { word.to_owned() })
            .collect();
        *rest = words.join(" ");
    }
}

/// Right lines, then an answer that does not follow from them: an earlier result (perhaps with the lines
/// cut short there), a number of the question, or a changed result.
fn wrong_final(
    rng: &mut ChaCha8Rng,
    chain: &Chain,
    values: &[u32],
    groups: &[usize],
) -> Option<Flawed> {
    let (&answer, earlier) = values.split_last()?;
    let mut steps = chain.lines(groups)?;
    let kept = rng.random_range(1..=steps.len());
    let guess = if kept < steps.len() && chance(rng, TOO_EARLY) {
        steps.truncate(kept);
        Some(values[groups[kept] - 1]).filter(|&guess| guess != answer)?
    } else {
        let mut guesses = earlier.to_vec();
        guesses.extend(given_numbers(chain));
        guesses.extend([-10, -1, 1, 10].iter().filter_map(|&d| answer.checked_add_signed(d)));
        guesses.retain(|&g| g != answer && g <= MAX_VALUE);
        *pick(rng, &guesses)
    };
    steps.push(final_line(&guess.to_string()));
    Some(Flawed { wrong: steps.len() - 1, steps })
}

/// Numbers of the question that the chain uses.
fn given_numbers(chain: &Chain) -> Vec<u32> {
    chain
        .operations
        .iter()
        .flat_map(|o| [o.left, o.right])
        .filter_map(|operand| match operand {
            Operand::Given(n) => Some(n),
            Operand::Result(_) => None,
        })
        .collect()
}

/// A wrong left operand: an earlier intermediate result, or a number of the question.
fn stale(rng: &mut ChaCha8Rng, chain: &Chain, at: usize, given: &[u32]) -> Operand {
    match chain.operations[at].left {
        Operand::Result(i) if i > 0 => Operand::Result(rng.random_range(0..i)),
        _ => Operand::Given(*pick(rng, given)),
    }
}
