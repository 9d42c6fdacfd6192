//! Tests that need private items: a wrong line differs from the lines of the reference.

use super::*;
use crate::keyed_rng;

#[test]
fn wrong_lines_are_no_lines_of_the_reference() {
    for i in 0..1_000_u64 {
        let mut rng = keyed_rng(5, &[b"choice tests", &i.to_le_bytes()]);
        let problem = choice(&mut rng, LEVELS);
        let right = problem.lines(&problem.main);
        let flawed = problem.solve_wrongly(&mut rng, 1.0).unwrap();
        assert!(!right.contains(&flawed.steps[flawed.wrong]), "{right:?} {:?}", flawed.steps);
        assert!(flawed.steps[..flawed.wrong].iter().all(|line| right.contains(line)));
        assert_ne!(flawed.steps.last(), right.last(), "the wrong line is carried through");
    }
}

#[test]
fn skipping_leaves_the_answer_in_words_and_its_label() {
    let mut skipped = 0;
    for i in 0..500_u64 {
        let mut rng = keyed_rng(6, &[b"choice tests", &i.to_le_bytes()]);
        let problem = choice(&mut rng, LEVELS);
        let right = problem.lines(&problem.main);
        let steps = problem.solve(&mut rng, 1.0);
        assert_eq!(steps[steps.len() - 2..], right[right.len() - 2..]);
        assert_eq!(problem.solve(&mut rng, 0.0), right);
        skipped += usize::from(steps.len() < right.len());
    }
    assert!((100..250).contains(&skipped), "{skipped} of 500");
}
