//! Believable wrong steps: a slip in the result, an operand from elsewhere, another operation, a
//! stale intermediate result, a wrong last line.
//!
//! It knows nothing of text beyond the final line: the chain is altered, and later lines follow from
//! the alteration. The kinds are those a small model makes when it binds a number to the wrong
//! clause.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::super::words::{chance, pick};
use super::super::worked::{Flawed, final_line};
use super::chain::{Chain, MAX_VALUE, Op, Operand};
use super::draft::Draft;

/// Draws before giving up; nearly always one of the first few does.
const ATTEMPTS: usize = 40;
/// Share of wrong last lines: somewhat below one line in five, so that it can be judged too.
const WRONG_FINAL: f64 = 0.15;

/// A solution in these groups with one wrong line.
pub(super) fn slip(rng: &mut ChaCha8Rng, draft: &Draft, groups: &[usize]) -> Option<Flawed> {
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
            0..=3 => altered.slip = Some((last, *pick(rng, &[-10, -3, -2, -1, 1, 2, 3, 10]))),
            4..=6 => altered.operations[at].right = Operand::Given(*pick(rng, &given)),
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

/// Right lines, then an answer that they do not give: an earlier result, a number of the question,
/// or a slip.
fn wrong_final(
    rng: &mut ChaCha8Rng,
    chain: &Chain,
    values: &[u32],
    groups: &[usize],
) -> Option<Flawed> {
    let (&answer, earlier) = values.split_last()?;
    let mut guesses = earlier.to_vec();
    guesses.extend(given_numbers(chain));
    guesses.extend([-10, -1, 1, 10].iter().filter_map(|&d| answer.checked_add_signed(d)));
    guesses.retain(|&g| g != answer && g <= MAX_VALUE);
    let guess = *pick(rng, &guesses);
    let mut steps = chain.lines(groups)?;
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

/// A left operand that is no longer, or never was, the one to go on from.
fn stale(rng: &mut ChaCha8Rng, chain: &Chain, at: usize, given: &[u32]) -> Operand {
    match chain.operations[at].left {
        Operand::Result(i) if i > 0 => Operand::Result(rng.random_range(0..i)),
        _ => Operand::Given(*pick(rng, given)),
    }
}
