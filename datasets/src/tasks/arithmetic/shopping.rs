//! Shopping problems: prices, amounts, coupons, and the money that is left.
//!
//! Fills a [`Draft`]. Each price is given beside its amount, or prices and amounts are given separately;
//! then a solver has to match them.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::super::words::{OBJECTS, PEOPLE, chance, pick_some};
use super::chain::{Clause, Op, Operand};
use super::draft::{Draft, Kind, Operation};

/// Events besides the purchase; each adds one operation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extra {
    Coupon,
    Left,
    Earns,
    Share,
}

/// Sets of extras that make sense together, by the number of operations that they add.
const EXTRAS: [&[&[Extra]]; 4] = [
    &[&[]],
    &[&[Extra::Left], &[Extra::Left], &[Extra::Coupon], &[Extra::Share]],
    &[&[Extra::Coupon, Extra::Left], &[Extra::Earns, Extra::Left], &[Extra::Coupon, Extra::Share]],
    &[&[Extra::Coupon, Extra::Earns, Extra::Left]],
];

/// A purchase with `level` operations, or `None` if the draw does not lead to one.
pub(super) fn shopping(rng: &mut ChaCha8Rng, level: u32) -> Option<Draft> {
    let kinds = rng.random_range(1..=4_usize);
    let added = (level as usize).checked_sub(2 * kinds - 1)?;
    let sets = EXTRAS.get(added)?;
    let extras = sets[rng.random_range(0..sets.len())];
    let cast = pick_some(rng, &PEOPLE, 2);
    let ((name, pronoun), (friend, _)) = (cast[0], cast[1]);

    let mut draft = Draft::new(Kind::Shopping);
    let mut money = None;
    if extras.contains(&Extra::Left) {
        let start = rng.random_range(20..=90);
        draft.sentences.push(format!("{name} has {start} coins."));
        money = Some(Operand::Given(start));
    }
    let subject = if money.is_some() { pronoun } else { name };
    let mut total = purchase(rng, &mut draft, subject, pronoun, kinds)?;
    if extras.contains(&Extra::Coupon) {
        let off = rng.random_range(2..=9);
        total = draft.tell(
            "The coupon",
            &format!("takes {off} coins off"),
            Operation { left: total, op: Op::Sub, right: Operand::Given(off) },
        );
    }
    if let (Some(start), true) = (money, extras.contains(&Extra::Earns)) {
        let more = rng.random_range(2..=30);
        money = Some(draft.tell(
            pronoun,
            &format!("gets {more} coins from {friend}"),
            Operation { left: start, op: Op::Add, right: Operand::Given(more) },
        ));
    }
    let question = if let Some(money) = money {
        draft.conclude("Left", money, Op::Sub, total);
        format!("How many coins does {name} have left?")
    } else if extras.contains(&Extra::Share) {
        let people = rng.random_range(2..=4);
        let who = format!("The {people} friends");
        let shares = Operation { left: total, op: Op::Div, right: Operand::Given(people) };
        draft.tell(&who, "split the cost", shares);
        "How many coins does each pay?".to_owned()
    } else {
        format!("How many coins does {name} spend?")
    };
    draft.sentences.push(question);
    draft.chain.values()?;
    Some(draft)
}

/// Adds amounts and prices of `kinds` things; returns the total cost.
fn purchase(
    rng: &mut ChaCha8Rng,
    draft: &mut Draft,
    subject: &str,
    pronoun: &str,
    kinds: usize,
) -> Option<Operand> {
    let beside = chance(rng, 0.5);
    let mut buys = Vec::with_capacity(kinds);
    let mut costs = Vec::with_capacity(kinds);
    for (i, object) in pick_some(rng, &OBJECTS, kinds).into_iter().enumerate() {
        let (count, price) = (rng.random_range(2..=6), rng.random_range(2..=9));
        let who = if i == 0 { subject } else { pronoun };
        let clause = format!("buys {count} {object} for {price} each");
        if beside {
            buys.push(format!("{who} {clause}."));
        } else {
            draft.sentences.push(format!("The {object} cost {price} coins each."));
            buys.push(format!("{who} buys {count} {object}."));
        }
        costs.push(draft.chain.push(
            Clause::Echo(pronoun.into(), clause),
            Operand::Given(count),
            Op::Mul,
            Operand::Given(price),
        ));
    }
    draft.sentences.append(&mut buys);
    let mut total = *costs.first()?;
    for &cost in &costs[1..] {
        total = draft.conclude("In total", total, Op::Add, cost);
    }
    Some(total)
}
