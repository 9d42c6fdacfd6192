//! Hand-made trees with known pairs.

use regrowth_datasets::{AnswerKind, Finish, Problem};

use super::*;
use crate::record::{CommitRecord, NodeRecord, TREE_VERSION};

/// A node: parent, Q, visits, text.
type Plan<'a> = (u32, f64, u64, &'a str);

pub(crate) fn tree(plan: &[Plan<'_>], committed: &[u32]) -> TreeRecord {
    let mut nodes = vec![node(None, 0, 0.0, 9, "")];
    for &(parent, q, visits, text) in plan {
        let depth = nodes[parent as usize].depth + 1;
        nodes.push(node(Some(parent), depth, q, visits, text));
    }
    TreeRecord {
        version: TREE_VERSION,
        round: 2,
        policy: "test".to_owned(),
        seed: 7,
        oracle: true,
        hinted: false,
        judge: None,
        probe: None,
        verifier: None,
        timed: false,
        problem: Problem {
            id: "p".to_owned(),
            source: "test".to_owned(),
            question: "q".to_owned(),
            choices: Vec::new(),
            answer: "1".to_owned(),
            kind: AnswerKind::Number,
            solution: None,
            level: None,
        },
        prompt: "Q:".to_owned(),
        prompt_ids: vec![81, 58],
        nodes,
        committed: committed.to_vec(),
        commits: Vec::new(),
        correct: false,
        simulations: 9,
        propose_calls: 0,
        judge_calls: 0,
        score_calls: 0,
        sampled_tokens: 0,
        duplicates: 0,
    }
}

fn node(parent: Option<u32>, depth: u32, q: f64, visits: u64, text: &str) -> NodeRecord {
    NodeRecord {
        parent,
        depth,
        text: text.to_owned(),
        ids: text.bytes().map(u32::from).collect(),
        logps: vec![-0.1; text.len()],
        logps_exact: true,
        injected: false,
        finish: parent.map(|_| Finish::Boundary),
        terminal: text.ends_with('.'),
        prior: 0.5,
        visits,
        reward: q,
        q,
        v: 0.0,
        self_evaluation: Some(0.5),
        outcome: if text.ends_with('.') { 1.0 } else { 0.0 },
        findings: Vec::new(),
        hidden_state: None,
    }
}

/// The default rules without `solved_only`, for trees without finished solutions.
fn any_tree() -> PairConfig {
    PairConfig { solved_only: false, ..PairConfig::default() }
}

fn sides(extracted: &ExtractedPairs) -> Vec<(&str, &str)> {
    extracted.pairs.iter().map(|p| (p.chosen.as_str(), p.rejected.as_str())).collect()
}

/// Root with children a, b, c; b has d, e; e has one child f.
pub(crate) fn example() -> TreeRecord {
    let plan = [
        (0, 0.4, 2, "a"),
        (0, 0.9, 6, "b"),
        (0, 0.1, 1, "c"),
        (2, 0.2, 2, "d."),
        (2, 0.8, 4, "e"),
        (5, 0.8, 4, "f."),
    ];
    tree(&plan, &[2, 5, 6])
}

#[test]
fn the_committed_path_gives_best_against_worst() {
    let found = extract_pairs(&example(), &PairConfig::default());
    assert_eq!(sides(&found), [("b", "c"), ("ef.", "d.")]);
    assert_eq!(found.dropped, BTreeMap::from([(DropReason::NoSibling, 1)]));
    let pair = &found.pairs[1];
    assert_eq!(pair.prompt, "Q:b");
    assert_eq!(pair.prompt_ids, [81, 58, 98]);
    assert_eq!(pair.chosen_ids, [101, 102, 46]);
    assert_eq!(pair.chosen_logps.len(), 3);
    assert_eq!((pair.depth, pair.n_chosen, pair.n_rejected), (2, 4, 2));
    assert!(pair.terminal_chosen && pair.terminal_rejected);
    assert_eq!((pair.outcome_chosen, pair.outcome_rejected), (1.0, 1.0));
    assert!((pair.margin - 0.6).abs() < 1e-12);
    assert!((pair.alpha - 2.0 / 6.0).abs() < 1e-12);
    assert_eq!((pair.round, pair.oracle), (2, true));
}

#[test]
fn a_pair_after_an_injected_step_says_so() {
    let mut tree = example();
    tree.nodes[2].injected = true;
    let injected = |tree: &TreeRecord| -> Vec<bool> {
        extract_pairs(tree, &PairConfig::default()).pairs.iter().map(|p| p.injected).collect()
    };
    assert_eq!(injected(&tree), [true, true], "b is a side of the first and before the second");
    tree.nodes[2].injected = false;
    tree.nodes[4].injected = true;
    assert_eq!(injected(&tree), [false, true]);
}

#[test]
fn chains_stay_apart_when_asked() {
    let config = PairConfig { glue_chains: false, ..PairConfig::default() };
    let found = extract_pairs(&example(), &config);
    assert_eq!(sides(&found), [("b", "c"), ("e", "d.")]);
    assert!(!found.pairs[1].terminal_chosen);
}

#[test]
fn the_second_best_can_be_rejected() {
    let config = PairConfig { rejected: Rejected::Second, ..PairConfig::default() };
    assert_eq!(sides(&extract_pairs(&example(), &config))[0], ("b", "a"));
}

#[test]
fn all_ranked_siblings_give_pairs() {
    let config = PairConfig { rejected: Rejected::All, ..PairConfig::default() };
    let found = extract_pairs(&example(), &config);
    assert_eq!(sides(&found)[..3], [("b", "a"), ("b", "c"), ("a", "c")]);
    let margins: Vec<f64> = found.pairs[..3].iter().map(|p| p.margin).collect();
    assert!(margins.iter().all(|&margin| margin > 0.0) && margins[1] > margins[0]);
    assert_eq!(found.dropped[&DropReason::NoSibling], 1);
}

#[test]
fn a_random_rejection_is_repeatable_and_never_the_best() {
    let config = PairConfig { rejected: Rejected::Random, ..PairConfig::default() };
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..40 {
        let tree = TreeRecord { seed, ..example() };
        let found = extract_pairs(&tree, &config);
        assert_eq!(found, extract_pairs(&tree, &config));
        seen.insert(found.pairs[0].rejected.clone());
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["a", "c"]);
}

#[test]
fn every_drop_has_its_reason() {
    let drops = |config: PairConfig| {
        let found = extract_pairs(&example(), &config);
        (found.pairs.len(), found.dropped)
    };
    let base = PairConfig::default;
    let no_sibling = (DropReason::NoSibling, 1);
    assert_eq!(
        drops(PairConfig { min_margin: 0.7, ..base() }),
        (1, BTreeMap::from([no_sibling, (DropReason::SmallMargin, 1)]))
    );
    assert_eq!(
        drops(PairConfig { min_visits_rejected: 2, ..base() }),
        (1, BTreeMap::from([no_sibling, (DropReason::FewVisits, 1)]))
    );
    assert_eq!(
        drops(PairConfig { min_visits_chosen: 7, ..base() }),
        (0, BTreeMap::from([no_sibling, (DropReason::FewVisits, 2)]))
    );
    // The minimum number of visits is enough.
    assert_eq!(
        drops(PairConfig { min_visits_chosen: 6, min_visits_rejected: 1, ..base() }),
        (1, BTreeMap::from([no_sibling, (DropReason::FewVisits, 1)]))
    );
    assert_eq!(
        drops(PairConfig { max_per_tree: 1, ..base() }),
        (1, BTreeMap::from([no_sibling, (DropReason::TooManyPerTree, 1)]))
    );
    assert_eq!(
        drops(PairConfig { correct_only: true, ..base() }),
        (0, BTreeMap::from([(DropReason::TreeNotCorrect, 1)]))
    );
}

/// [`example`] with the values at its three commits: compared with the end of the search, Q of b was lower
/// when the search moved to it, and Q of e higher.
fn committed_example() -> TreeRecord {
    let commit = |q: &[f64], visits: &[u64]| CommitRecord { q: q.into(), visits: visits.into() };
    let commits = vec![
        commit(&[0.4, 0.6, 0.1], &[2, 3, 1]),
        commit(&[0.2, 0.9], &[2, 3]),
        commit(&[0.8], &[4]),
    ];
    TreeRecord { commits, ..example() }
}

#[test]
fn values_at_commits_are_those_of_the_pairs() {
    let config = PairConfig { values: PairValues::Commit, ..PairConfig::default() };
    let found = extract_pairs(&committed_example(), &config);
    assert_eq!(sides(&found), [("b", "c"), ("ef.", "d.")]);
    let [first, second] = found.pairs.as_slice() else { panic!("two pairs") };
    assert_eq!((first.q_chosen, first.q_rejected, first.n_chosen), (0.6, 0.1, 3));
    // 1 / (3 + 1) and 2 / (3 + 2); with the values at the end they are 1 / 7 and 2 / 6.
    assert_eq!((first.alpha, second.alpha), (0.25, 0.4));
    assert!((second.margin - 0.7).abs() < 1e-12);
    let end = extract_pairs(&committed_example(), &PairConfig::default());
    assert_eq!(end, extract_pairs(&example(), &PairConfig::default()));
    let dropped = extract_pairs(&example(), &config).dropped;
    assert_eq!(dropped, BTreeMap::from([(DropReason::NoCommitValues, 1)]));
}

#[test]
fn the_first_pairs_by_depth_or_the_largest_margins_stay() {
    // Margins 0.8 and 0.6 at the end; 0.5 and 0.7 at the commits.
    let only = |keep, values| {
        let config = PairConfig { max_per_tree: 1, keep, values, ..PairConfig::default() };
        let found = extract_pairs(&committed_example(), &config);
        assert_eq!(found.dropped[&DropReason::TooManyPerTree], 1);
        sides(&found)[0].0.to_owned()
    };
    assert_eq!(only(Keep::LargestMargins, PairValues::Commit), "ef.");
    assert_eq!(only(Keep::LargestMargins, PairValues::End), "b");
    assert_eq!(only(Keep::First, PairValues::Commit), "b");
}

#[test]
fn trees_without_a_right_solution_give_no_pair_where_that_is_known() {
    let unsolved = |change: fn(&mut TreeRecord)| {
        let mut tree = example();
        tree.nodes.iter_mut().filter(|node| node.terminal).for_each(|node| node.outcome = -1.0);
        change(&mut tree);
        extract_pairs(&tree, &PairConfig::default())
            .dropped
            .contains_key(&DropReason::TreeNotSolved)
    };
    assert!(unsolved(|_| ()));
    assert!(!unsolved(|tree| tree.nodes[4].outcome = 1.0));
    // A right answer without reasoning may have outcome 0; it still counts as right.
    assert!(!unsolved(|tree| tree.nodes[4].outcome = 0.0));
    assert!(!unsolved(|tree| tree.oracle = false));
    let builtin = PairConfig { solved_only: false, ..PairConfig::default() };
    let tree = tree(&[(0, 0.5, 1, "a"), (0, 0.1, 1, "b")], &[1]);
    assert_eq!(extract_pairs(&tree, &builtin).pairs.len(), 1);
    assert_eq!(extract_pairs(&tree, &PairConfig::default()).pairs.len(), 0);
}

#[test]
fn log_probabilities_of_a_pair_are_exact_where_those_of_both_sides_are() {
    for (inexact, expected) in [(None, true), (Some(2), false), (Some(3), false), (Some(6), true)] {
        let mut tree = example();
        if let Some(id) = inexact {
            tree.nodes[id as usize].logps_exact = false;
        }
        assert_eq!(extract_pairs(&tree, &PairConfig::default()).pairs[0].logps_exact, expected);
    }
}

#[test]
fn mixed_pairs_straddle() {
    let low = tree(&[(0, -0.1, 1, "a"), (0, -0.5, 1, "b")], &[1]);
    let high = tree(&[(0, 1.8, 1, "a"), (0, 1.2, 1, "b")], &[1]);
    let config = PairConfig { mixed: true, ..any_tree() };
    for tree in [low, high] {
        assert_eq!(
            extract_pairs(&tree, &config).dropped,
            BTreeMap::from([(DropReason::NotMixed, 1)])
        );
        assert_eq!(extract_pairs(&tree, &any_tree()).pairs.len(), 1);
    }
}

#[test]
fn equal_values_and_equal_texts_make_no_pair() {
    let equal = tree(&[(0, 0.5, 1, "a"), (0, 0.5, 1, "b")], &[1]);
    let found = extract_pairs(&equal, &any_tree());
    assert_eq!(found.dropped, BTreeMap::from([(DropReason::SmallMargin, 1)]));
    let same = tree(&[(0, 0.5, 1, "a"), (0, 0.1, 1, "a")], &[1]);
    let found = extract_pairs(&same, &any_tree());
    assert_eq!(found.dropped, BTreeMap::from([(DropReason::SameText, 1)]));
}

#[test]
fn all_parents_find_pairs_off_the_path() {
    let plan = [(0, 0.4, 2, "a"), (0, 0.9, 6, "b"), (1, 0.7, 1, "c"), (1, 0.1, 1, "d")];
    let tree = tree(&plan, &[2]);
    let config = PairConfig { parents: Parents::All, ..any_tree() };
    assert_eq!(sides(&extract_pairs(&tree, &config)), [("b", "a"), ("c", "d")]);
    assert_eq!(sides(&extract_pairs(&tree, &any_tree())), [("b", "a")]);
}

#[test]
fn alpha_has_the_worked_values() {
    assert_eq!((alpha(6, 2), alpha(0, 3), alpha(5, 5)), (0.25, 0.5, 0.5));
    let config = PairConfig { smoothing: false, ..PairConfig::default() };
    assert!(extract_pairs(&example(), &config).pairs.iter().all(|p| p.alpha == 0.0));
}

/// Root with children a, b and c: a has more right solutions below, b the best Q.
fn judged() -> TreeRecord {
    let plan = [
        (0, 0.4, 2, "a"),
        (0, 0.9, 6, "b"),
        (0, 0.1, 1, "c"),
        (1, 1.0, 1, "d."),
        (2, 1.0, 1, "e."),
        (2, -1.0, 1, "f."),
        (3, -1.0, 1, "g."),
    ];
    let mut tree = tree(&plan, &[2, 5]);
    (tree.nodes[6].outcome, tree.nodes[7].outcome) = (-1.0, -1.0);
    for (id, rating) in [(1, 0.9), (2, 0.3), (3, 0.1)] {
        tree.nodes[id].self_evaluation = Some(rating);
    }
    tree
}

/// Pairs of the root alone, best against second best.
fn at_root(ensemble: Ensemble) -> ExtractedPairs {
    let second = PairConfig { rejected: Rejected::Second, glue_chains: false, ..any_tree() };
    let mut found = extract_pairs(&judged(), &PairConfig { ensemble, ..second });
    found.pairs.retain(|pair| pair.depth == 1);
    found
}

#[test]
fn outcome_contrast_asks_for_more_right_solutions_below_the_chosen_step() {
    let second = |outcome_contrast| {
        let rules = PairConfig { rejected: Rejected::Second, outcome_contrast, ..any_tree() };
        extract_pairs(&judged(), &rules)
    };
    assert_eq!(sides(&second(false))[0], ("b", "ad."));
    let found = second(true);
    assert_eq!(sides(&found), [("e.", "f.")]);
    assert_eq!(found.dropped[&DropReason::NoOutcomeContrast], 1);
    let lowest = PairConfig { outcome_contrast: true, ..any_tree() };
    assert_eq!(sides(&extract_pairs(&judged(), &lowest))[0], ("b", "cg."));
}

#[test]
fn an_ensemble_flips_softens_drops_or_sets_the_margin() {
    // b against a: self-evaluation 0.3 - 0.9, right solutions 1/2 - 1, likelihood alike.
    let mean = (-0.6 - 0.5) / 3.0;
    let off = at_root(Ensemble::Off);
    assert_eq!((sides(&off), off.flipped), (vec![("b", "a")], 0));
    for dropping in [Ensemble::Drop, Ensemble::Margin] {
        let found = at_root(dropping);
        assert!(found.pairs.is_empty() && found.dropped[&DropReason::EnsembleAgainst] == 1);
    }
    let flipped = at_root(Ensemble::Flip);
    assert_eq!((sides(&flipped), flipped.flipped), (vec![("a", "b")], 1));
    assert!((flipped.pairs[0].margin + mean).abs() < 1e-12);
    assert!((flipped.pairs[0].q_chosen, flipped.pairs[0].q_rejected) == (0.4, 0.9));
    let softened = &at_root(Ensemble::Soften).pairs[0];
    assert_eq!((softened.chosen.as_str(), softened.alpha), ("b", 0.5));
    // b against c: 0.3 - 0.1, 1/2 - 0, alike.
    let rules = PairConfig { ensemble: Ensemble::Margin, glue_chains: false, ..any_tree() };
    let margin = &extract_pairs(&judged(), &rules).pairs[0];
    assert_eq!((margin.chosen.as_str(), margin.rejected.as_str()), ("b", "c"));
    assert!((margin.margin - 0.7 / 3.0).abs() < 1e-12);
}

/// T times the mean of logit P(y beats j) over the siblings j, from the probabilities themselves.
#[test]
fn advantages_are_mean_logits_of_beating_the_siblings() {
    const T: f64 = 0.7;
    let q = [0.4, 0.9, 0.1];
    let target = |y: usize| {
        let logits = (0..3).filter(|&j| j != y).map(|j| {
            let beats: f64 = 1.0 / (1.0 + (-(q[y] - q[j]) / T).exp());
            (beats / (1.0 - beats)).ln()
        });
        T * logits.sum::<f64>() / 2.0
    };
    let rules = PairConfig { rejected: Rejected::All, ..PairConfig::default() };
    let found = extract_pairs(&example(), &rules);
    assert_eq!(sides(&found)[..3], [("b", "a"), ("b", "c"), ("a", "c")]);
    for (pair, (chosen, rejected)) in found.pairs.iter().zip([(1, 0), (1, 2), (0, 2)]) {
        assert!((pair.advantage_chosen.unwrap() - target(chosen)).abs() < 1e-12);
        assert!((pair.advantage_rejected.unwrap() - target(rejected)).abs() < 1e-12);
    }
    let two = &found.pairs[3];
    assert!((two.advantage_chosen.unwrap() - 0.6).abs() < 1e-12, "of two, it is the value gap");
    assert!((two.advantage_rejected.unwrap() + 0.6).abs() < 1e-12);
}

#[test]
fn joint_pairs_need_verified_outcomes() {
    let rules = PairConfig { joint: 1, ..PairConfig::default() };
    let mut search = crate::SearchConfig::default();
    assert!(rules.check_for(&search).is_ok());
    search.value.oracle = false;
    let error = rules.check_for(&search).unwrap_err().to_string();
    assert!(error.contains("pairs.joint") && error.contains("search.value.oracle"), "{error}");
    assert!(PairConfig::default().check_for(&search).is_ok());
}
