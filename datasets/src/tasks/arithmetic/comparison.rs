//! Comparison problems: the numbers of several people's things, each given relative to another person's.
//!
//! Fills a [`Draft`]. The question may need only some of the people, and the sentences may come in any
//! order, so a solver has to find the relevant chain.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::super::words::{OBJECTS, PEOPLE, chance, pick, pick_some, shuffle};
use super::chain::{Op, Operand};
use super::draft::{Draft, Kind, Operation};

/// Probability that the sentences are shuffled.
const SHUFFLED: f64 = 0.2;

/// How one person's number is computed from an earlier person's.
struct Relation {
    parent: usize,
    op: Op,
    amount: u32,
}

/// The quantity that the question asks for.
enum Goal {
    One(usize),
    Sum(usize, usize),
    Difference(usize, usize),
    All,
}

/// A comparison with `level` operations, or `None` if the draw does not lead to one.
pub(super) fn comparison(rng: &mut ChaCha8Rng, level: u32) -> Option<Draft> {
    let size = rng.random_range(2..=5_usize);
    let names: Vec<&str> = pick_some(rng, &PEOPLE, size).iter().map(|p| p.0).collect();
    let object = *pick(rng, &OBJECTS);
    let start = rng.random_range(2..=40);
    let (relations, numbers) = relations(rng, size, start)?;
    let goal = goal(rng, &numbers);
    let needed = needed(&goal, &relations, size);
    let operations = needed.iter().filter(|&&n| n).count() - 1 + final_operations(&goal, size);
    if operations != level as usize {
        return None;
    }

    let mut draft = Draft::new(Kind::Comparison);
    let mut facts = vec![format!("{} has {start} {object}.", names[0])];
    let mut held = vec![Operand::Given(start)];
    for (i, relation) in relations.iter().enumerate() {
        let (name, parent) = (names[i + 1], names[relation.parent]);
        let rest = phrase(relation, parent);
        if needed[i + 1] {
            let left = held[relation.parent];
            let right = Operand::Given(relation.amount);
            let operation = Operation { left, op: relation.op, right };
            held.push(draft.tell(name, &rest, operation));
        } else {
            held.push(Operand::Given(numbers[i + 1]));
            draft.sentences.push(format!("{name} {rest}."));
        }
    }
    facts.append(&mut draft.sentences);
    if chance(rng, SHUFFLED) {
        shuffle(rng, &mut facts);
    }
    draft.sentences = facts;
    let question = conclude(&mut draft, &goal, &names, &held, object);
    draft.sentences.push(question);
    draft.chain.values()?;
    Some(draft)
}

/// Relations of persons `1..size`, and the number of every person.
fn relations(rng: &mut ChaCha8Rng, size: usize, start: u32) -> Option<(Vec<Relation>, Vec<u32>)> {
    let mut numbers = vec![start];
    let mut relations = Vec::with_capacity(size - 1);
    for i in 1..size {
        let parent = if chance(rng, 0.7) { i - 1 } else { rng.random_range(0..i) };
        let (op, amount) = match rng.random_range(0..10) {
            0..=3 => (Op::Add, rng.random_range(2..=20)),
            4..=7 => (Op::Sub, rng.random_range(2..=20)),
            8 => (Op::Mul, rng.random_range(2..=4)),
            _ => (Op::Div, 2),
        };
        numbers.push(op.apply(numbers[parent], amount).filter(|&n| n > 0)?);
        relations.push(Relation { parent, op, amount });
    }
    Some((relations, numbers))
}

/// The relation in words, after the person's name.
fn phrase(relation: &Relation, parent: &str) -> String {
    let n = relation.amount;
    match relation.op {
        Op::Add => format!("has {n} more than {parent}"),
        Op::Sub => format!("has {n} fewer than {parent}"),
        Op::Mul => format!("has {n} times as many as {parent}"),
        Op::Div => format!("has half as many as {parent}"),
    }
}

/// Draws the question.
fn goal(rng: &mut ChaCha8Rng, numbers: &[u32]) -> Goal {
    let size = numbers.len();
    let (a, b) = (rng.random_range(0..size - 1), size - 1);
    match rng.random_range(0..8) {
        0..=2 => Goal::One(rng.random_range(1..size)),
        3..=4 => Goal::Sum(a, b),
        5 if numbers[a] > numbers[b] => Goal::Difference(a, b),
        5 if numbers[b] > numbers[a] => Goal::Difference(b, a),
        _ => Goal::All,
    }
}

/// Which persons' numbers the goal needs; the first person's is always included.
fn needed(goal: &Goal, relations: &[Relation], size: usize) -> Vec<bool> {
    let mut needed = vec![matches!(goal, Goal::All); size];
    needed[0] = true;
    match *goal {
        Goal::One(a) => needed[a] = true,
        Goal::Sum(a, b) | Goal::Difference(a, b) => {
            needed[a] = true;
            needed[b] = true;
        }
        Goal::All => {}
    }
    for i in (1..size).rev() {
        if needed[i] {
            needed[relations[i - 1].parent] = true;
        }
    }
    needed
}

/// Number of operations after all persons' numbers are known.
fn final_operations(goal: &Goal, size: usize) -> usize {
    match goal {
        Goal::One(_) => 0,
        Goal::Sum(..) | Goal::Difference(..) => 1,
        Goal::All => size - 1,
    }
}

/// Adds the last operations and returns the sentence of the question.
fn conclude(
    draft: &mut Draft,
    goal: &Goal,
    names: &[&str],
    held: &[Operand],
    object: &str,
) -> String {
    match *goal {
        Goal::One(a) => format!("How many {object} does {} have?", names[a]),
        Goal::Sum(a, b) => {
            draft.conclude("In total", held[a], Op::Add, held[b]);
            format!("How many {object} do {} and {} have in total?", names[a], names[b])
        }
        Goal::Difference(a, b) => {
            draft.conclude("More", held[a], Op::Sub, held[b]);
            format!("How many more {object} does {} have than {}?", names[a], names[b])
        }
        Goal::All => {
            let mut sum = held[0];
            for &next in &held[1..] {
                sum = draft.conclude("In total", sum, Op::Add, next);
            }
            format!("How many {object} do they have in total?")
        }
    }
}
