//! Tests that need private items: wrong lines against the values of the same groups, and merging.

use super::chain::{Chain, Clause, Op, Operand};
use super::*;
use crate::keyed_rng;

fn draws(levels: (u32, u32), n: u64) -> impl Iterator<Item = (Arithmetic, ChaCha8Rng)> {
    (0..n).map(move |i| {
        let mut rng = keyed_rng(3, &[b"arithmetic tests", &i.to_le_bytes()]);
        (arithmetic(&mut rng, levels), rng)
    })
}

/// The number after the last space.
fn result(line: &str) -> u32 {
    line.trim_end().rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn wrong_line_is_the_first_to_leave_the_right_solution() {
    let mut found = 0;
    for (problem, mut rng) in draws(LEVELS, 1_500) {
        let groups = problem.groups(&mut rng, 1.0);
        let right = problem.lines(&problem.draft.chain, &groups).unwrap();
        let Some(flawed) = corrupt::corrupt(&mut rng, &problem.draft, &groups) else { continue };
        found += 1;
        assert_eq!(flawed.steps[..flawed.wrong], right[..flawed.wrong]);
        let line = &flawed.steps[flawed.wrong];
        if line.starts_with("####") {
            assert_ne!(result(line), problem.answer, "{right:?} {:?}", flawed.steps);
        } else {
            assert_ne!(result(line), result(&right[flawed.wrong]), "{right:?} {line}");
        }
    }
    assert!(found > 1_400, "a believable corruption nearly always exists, found {found}");
}

#[test]
fn every_kind_and_level_occurs() {
    let mut seen = std::collections::BTreeSet::new();
    for (problem, _) in draws(LEVELS, 600) {
        assert_eq!(problem.draft.chain.operations.len(), problem.level as usize);
        seen.insert((format!("{:?}", problem.draft.kind), problem.level));
    }
    assert_eq!(seen.len(), 15, "{seen:?}");
}

#[test]
fn only_what_needs_no_parentheses_is_merged() {
    let given = Operand::Given;
    let own = || Clause::Own("Now");
    let mut chain = Chain::default();
    let sum = chain.push(own(), given(2), Op::Add, given(3));
    let product = chain.push(own(), sum, Op::Mul, given(4));
    let less = chain.push(own(), given(50), Op::Sub, product);
    chain.push(own(), less, Op::Sub, given(1));
    assert!(!chain.mergeable(0, 2), "(2 + 3) * 4 would need them");
    assert!(chain.mergeable(1, 3), "50 - 5 * 4");
    assert!(!chain.mergeable(0, 3));
    assert!(chain.mergeable(1, 4));
    assert_eq!(
        chain.lines(&[0, 1, 4]).unwrap(),
        ["Now: 2 + 3 = 5\n", "Now: 50 - 5 * 4 - 1 = 29\n"]
    );
}

#[test]
fn slips_are_carried_through() {
    let mut chain = Chain::default();
    let sum = chain.push(Clause::Own("Now"), Operand::Given(2), Op::Add, Operand::Given(3));
    chain.push(Clause::Own("Now"), sum, Op::Mul, Operand::Given(4));
    chain.wrong_result = Some((0, 1));
    assert_eq!(chain.values(), Some(vec![6, 24]));
    chain.wrong_result = Some((0, 95));
    assert_eq!(chain.values(), None, "100 is out of range");
}

#[test]
fn merge_scale_zero_never_merges() {
    for (problem, mut rng) in draws(LEVELS, 200) {
        let steps = problem.solve(&mut rng, 0.0);
        assert_eq!(Some(steps.concat()), problem.problem().solution);
        assert_eq!(steps.len(), problem.level as usize + 1);
    }
}
