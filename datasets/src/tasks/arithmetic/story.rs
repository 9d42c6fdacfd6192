//! Stories: the number of one person's things changes through several events.
//!
//! Fills a [`Draft`]. The events are those of primary school books: gains, losses, groups of equal size,
//! shares.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::super::words::{OBJECTS, PEOPLE, chance, pick, pick_some};
use super::chain::{MAX_VALUE, Op, Operand};
use super::draft::{Draft, Kind, Operation};

/// A story with `level` operations, or `None` if the draw does not lead to one.
pub(super) fn story(rng: &mut ChaCha8Rng, level: u32) -> Option<Draft> {
    let cast = pick_some(rng, &PEOPLE, 2);
    let ((name, pronoun), (friend, _)) = (cast[0], cast[1]);
    let object = *pick(rng, &OBJECTS);
    let start = rng.random_range(3..=40);
    let mut draft = Draft::new(Kind::Story);
    draft.sentences.push(format!("{name} has {start} {object}."));
    let mut at = Operand::Given(start);
    let people = People { pronoun, friend };

    let asks_difference = level > 1 && chance(rng, 0.12);
    let mut left = level - u32::from(asks_difference);
    while left > 0 {
        let value = draft.chain.value(at)?;
        if left >= 2 && chance(rng, 0.3) {
            at = groups_event(rng, &mut draft, pronoun, at, value)?;
            left -= 2;
        } else {
            at = simple_event(rng, &mut draft, &people, at, value)?;
            left -= 1;
        }
    }
    let end = draft.chain.value(at)?;
    if asks_difference {
        end.checked_sub(start).filter(|&more| more > 0)?;
        draft.conclude("More", at, Op::Sub, Operand::Given(start));
        draft.sentences.push(format!("How many more {object} does {name} have now than at first?"));
    } else {
        draft.sentences.push(format!("How many {object} does {name} have now?"));
    }
    Some(draft)
}

/// The people of a story.
struct People<'a> {
    /// The pronoun used for the person after the first sentence.
    pronoun: &'a str,
    friend: &'a str,
}

/// Adds an event with one operation on the number of the person's things.
fn simple_event(
    rng: &mut ChaCha8Rng,
    draft: &mut Draft,
    &People { pronoun, friend }: &People,
    at: Operand,
    value: u32,
) -> Option<Operand> {
    let (op, amount, rest) = match rng.random_range(0..20) {
        0..=7 => {
            let n = rng.random_range(2..=MAX_VALUE.checked_sub(value)?.clamp(2, 30));
            let rest = match rng.random_range(0..4) {
                0 => format!("buys {n} more"),
                1 => format!("finds {n} more"),
                2 => format!("wins {n} more"),
                _ => format!("gets {n} from {friend}"),
            };
            (Op::Add, n, rest)
        }
        8..=15 => {
            let n = rng.random_range(2..=value.clamp(2, 30));
            let rest = match rng.random_range(0..4) {
                0 => format!("sells {n}"),
                1 => format!("loses {n}"),
                2 => format!("breaks {n}"),
                _ => format!("gives {n} to {friend}"),
            };
            (Op::Sub, n, rest)
        }
        16..=17 => {
            let n = rng.random_range(2..=4);
            (Op::Mul, n, format!("trades them for {n} times as many"))
        }
        _ => {
            let n = rng.random_range(2..=5);
            (Op::Div, n, format!("makes {n} equal piles and keeps one"))
        }
    };
    op.apply(value, amount)?;
    let operation = Operation { left: at, op, right: Operand::Given(amount) };
    Some(draft.tell(pronoun, &rest, operation))
}

/// Adds an event in which several groups of equal size come or go: a product, then a sum or difference.
fn groups_event(
    rng: &mut ChaCha8Rng,
    draft: &mut Draft,
    pronoun: &str,
    at: Operand,
    value: u32,
) -> Option<Operand> {
    let (a, b) = (rng.random_range(2..=6), rng.random_range(2..=9));
    let (op, rest) = match rng.random_range(0..4) {
        0 => (Op::Add, format!("buys {a} bags with {b} each")),
        1 => (Op::Add, format!("finds {a} each day for {b} days")),
        2 => (Op::Sub, format!("sells {a} bags with {b} each")),
        _ => (Op::Sub, format!("gives {a} each to {b} friends")),
    };
    op.apply(value, a * b)?;
    let product = draft.tell(
        pronoun,
        &rest,
        Operation { left: Operand::Given(a), op: Op::Mul, right: Operand::Given(b) },
    );
    Some(draft.conclude("Now", at, op, product))
}
