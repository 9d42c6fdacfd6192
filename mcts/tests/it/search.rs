//! Behaviour of whole searches through the public interface.

use std::sync::Arc;

use crate::common::{drive, problems, verifier};
use regrowth_datasets::Problem;
use regrowth_mcts::calibration::JudgedSolutions;
use regrowth_mcts::config::{BackupWeights, JudgeForm, ValueConfig};
use regrowth_mcts::likelihood::{Finished, LikelihoodCalibration, LikelihoodFit};
use regrowth_mcts::tree::mean_value;
use regrowth_mcts::{RunOptions, Search, SearchConfig, SearchSummary, TreeRecord};
use regrowth_policy::Scripted;
use regrowth_policy::decorate::{FaultRates, Faulty};
use regrowth_verifiers::{agrees, stated};

fn search(
    problems: &[Problem],
    config: &SearchConfig,
    options: &RunOptions,
) -> (Vec<TreeRecord>, SearchSummary) {
    let mut trees = Vec::new();
    let policy = Scripted::new();
    let summary = Search::new(&policy, &verifier(), config)
        .options(options)
        .run(problems, |t| trees.push(t))
        .expect("a search");
    assert_eq!((trees.len(), summary.trees), (problems.len(), problems.len() as u64));
    (trees, summary)
}

#[test]
fn the_order_of_answers_changes_nothing() {
    let (policy, verifier) = (Scripted::new(), verifier());
    for (leaves_in_flight, prior_lambda) in [(1, 1.25), (3, 1.25), (8, 1.25), (4, 0.0), (8, 0.0)] {
        // With `prior_lambda` 0, the priors of siblings differ widely.
        let config = SearchConfig { leaves_in_flight, prior_lambda, ..SearchConfig::default() };
        for problem in problems(6) {
            let first = drive(&policy, &verifier, &problem, &config, 0);
            for shuffle in 1..8 {
                assert_eq!(drive(&policy, &verifier, &problem, &config, shuffle), first);
            }
        }
    }
}

#[test]
fn the_order_of_answers_changes_no_judgement_by_the_answer() {
    let (policy, verifier) = (Scripted::new(), verifier());
    let value = ValueConfig { judge: JudgeForm::Answers, ..ValueConfig::default() };
    for leaves_in_flight in [1, 4, 8] {
        let config =
            SearchConfig { leaves_in_flight, value: value.clone(), ..SearchConfig::default() };
        for problem in problems(6) {
            let first = drive(&policy, &verifier, &problem, &config, 0);
            for shuffle in 1..8 {
                assert_eq!(drive(&policy, &verifier, &problem, &config, shuffle), first);
            }
        }
    }
}

#[test]
fn no_thread_and_no_tree_in_flight_are_refused_by_name() {
    let config = SearchConfig::default();
    let refused = |options: RunOptions| {
        let policy = Scripted::new();
        let result = Search::new(&policy, &verifier(), &config).options(&options).run(&[], |_| {});
        result.expect_err("is refused").to_string()
    };
    let none = RunOptions { threads: 0, ..RunOptions::default() };
    assert!(refused(none).contains("threads"));
    let none = RunOptions { trees_in_flight: Some(0), ..RunOptions::default() };
    assert!(refused(none).contains("trees_in_flight"));
}

#[test]
fn the_number_of_threads_and_of_trees_in_flight_changes_nothing() {
    let problems = problems(24);
    let config = SearchConfig { leaves_in_flight: 2, ..SearchConfig::default() };
    let (first, summary) = search(&problems, &config, &RunOptions::default());
    assert_eq!(first.len(), 24);
    assert!(summary.skipped.is_empty(), "{summary:?}");
    for threads in [1, 2, 8] {
        for window in [1, 5, 64] {
            let options =
                RunOptions { threads, trees_in_flight: Some(window), ..RunOptions::default() };
            let (trees, same) = search(&problems, &config, &options);
            assert_eq!(trees, first);
            assert_eq!(same, summary);
        }
    }
}

#[test]
fn counts_and_values_of_a_finished_tree_agree() {
    for weights in [BackupWeights::AtLeastOne, BackupWeights::Visits] {
        let config = SearchConfig {
            backup_weights: weights,
            leaves_in_flight: 4,
            gamma: 0.9,
            ..SearchConfig::default()
        };
        for tree in search(&problems(9), &config, &RunOptions::default()).0 {
            check_tree(&tree, &config);
        }
    }
}

/// Checks that the children's visits add up to the parent's visits plus those of the simulations that started
/// at a committed child, and that Q and V equal a serial recomputation.
fn check_tree(tree: &TreeRecord, config: &SearchConfig) {
    for (id, node) in tree.nodes.iter().enumerate() {
        let children = tree.children(id as u32);
        assert_eq!(node.q, node.reward + config.gamma * node.v);
        assert_eq!(node.ids.len(), node.logps.len());
        assert!(!node.terminal || children.is_empty());
        if children.is_empty() {
            assert_eq!(node.v, 0.0);
            continue;
        }
        let stats: Vec<_> = children
            .iter()
            .map(|&c| (tree.nodes[c as usize].visits, tree.nodes[c as usize].q))
            .collect();
        // A committed child that is not terminal was the root of further simulations.
        let roots = children
            .iter()
            .filter(|&c| tree.committed.contains(c) && !tree.nodes[*c as usize].terminal);
        let own = roots.count() as u64 * config.simulations;
        assert_eq!(node.visits + own, stats.iter().map(|s| s.0).sum::<u64>());
        assert_eq!(node.v, mean_value(config.backup_weights, stats));
        let ids: std::collections::BTreeSet<_> =
            children.iter().map(|&c| &tree.nodes[c as usize].ids).collect();
        assert_eq!(ids.len(), children.len(), "siblings differ");
    }
    let last = *tree.committed.last().expect("a committed path");
    assert!(tree.nodes[last as usize].terminal);
    assert_eq!(tree.path(last), tree.committed);
}

#[test]
fn every_step_is_sampled_and_judged_once() {
    let config = SearchConfig { simulations: 40, ..SearchConfig::default() };
    for tree in search(&problems(9), &config, &RunOptions::default()).0 {
        let steps = tree.nodes.len() as u64 - 1;
        let expanded: std::collections::BTreeSet<_> =
            tree.nodes.iter().filter_map(|n| n.parent).collect();
        assert_eq!(tree.propose_calls, expanded.len() as u64);
        assert_eq!(tree.judge_calls, steps);
        let kept: u64 = tree.nodes.iter().map(|n| n.ids.len() as u64).sum();
        assert!(tree.sampled_tokens >= kept);
        assert_eq!(tree.sampled_tokens == kept, tree.duplicates == 0);
    }
}

#[test]
fn likelihoods_judge_every_step_and_ask_nothing() {
    let value = ValueConfig { judge: JudgeForm::Likelihood, ..ValueConfig::default() };
    let config = SearchConfig { simulations: 40, value, ..SearchConfig::default() };
    let scale = LikelihoodCalibration::default();
    let mut fit = LikelihoodFit::default();
    let (mut solutions, mut unmeasured) = (JudgedSolutions::default(), JudgedSolutions::default());
    for mut tree in search(&problems(60), &config, &RunOptions::default()).0 {
        assert_eq!(tree.judge_calls, 0);
        for (id, node) in tree.nodes.iter().enumerate().skip(1) {
            let likelihood = likelihood(&tree, id);
            let own = node.self_evaluation.expect("a judgement");
            assert!((own - scale.confidence(likelihood, node.terminal)).abs() < 1e-9);
        }
        fit.add(&tree, &verifier());
        solutions.add(&tree, &verifier());
        // Without a reference answer a solution is neither right nor wrong.
        tree.problem.answer.clear();
        unmeasured.add(&tree, &verifier());
    }
    assert_eq!(unmeasured.calibration(), None);
    let found = fit.scale(scale).expect("enough steps");
    assert!(found.step.slope >= 0.0 && found.end.slope >= 0.0);
    assert!(solutions.calibration().is_some_and(|c| c.all.unknown == 0.0));
}

/// Log-likelihood of the solution that ends in a node.
fn likelihood(tree: &TreeRecord, id: usize) -> f64 {
    let path = tree.path(id as u32);
    path.iter().flat_map(|&step| &tree.nodes[step as usize].logps).map(|&l| f64::from(l)).sum()
}

#[test]
fn finished_solutions_are_judged_by_all_that_state_their_answer() {
    let scale = LikelihoodCalibration::default();
    let value = ValueConfig { judge: JudgeForm::Answers, ..ValueConfig::default() };
    let serial = SearchConfig { simulations: 40, value: value.clone(), ..SearchConfig::default() };
    let beam = SearchConfig { value, ..SearchConfig::beam(3) };
    let mut agreeing = 0;
    for config in [serial.clone(), SearchConfig { leaves_in_flight: 5, ..serial }, beam] {
        for tree in search(&problems(12), &config, &RunOptions::default()).0 {
            assert_eq!(tree.judge_calls, 0);
            let ends: Vec<usize> =
                (1..tree.nodes.len()).filter(|&i| tree.nodes[i].terminal).collect();
            for &id in &ends {
                let text = tree.text(id as u32);
                let answer = stated(&tree.problem, &text);
                let agree = |&other: &usize| {
                    let text = tree.text(other as u32);
                    let other = stated(&tree.problem, &text);
                    agrees(&verifier(), &tree.problem, &answer, &other, &text)
                };
                let same: Vec<usize> = ends.iter().copied().filter(agree).collect();
                agreeing += same.len() - 1;
                let mass: f64 = same.iter().map(|&id| likelihood(&tree, id).exp()).sum();
                let path = tree.path(id as u32);
                let tokens = path.iter().map(|&step| tree.nodes[step as usize].ids.len()).sum();
                let finished = Finished::new(&text, tokens, likelihood(&tree, id));
                let expected = scale.answer.at(mass.ln(), finished);
                let own = tree.nodes[id].self_evaluation.expect("a judgement");
                assert!((own - expected).abs() < 1e-9, "{own} {expected}");
                // Solutions found later also change the reward, and everything computed from it.
                let above = path.iter().rev().nth(1).map_or(0.0, |&parent| {
                    tree.nodes[parent as usize].self_evaluation.expect("a judgement")
                });
                let reward = tree.nodes[id].outcome + own - above;
                assert!((tree.nodes[id].reward - reward).abs() < 1e-9);
            }
        }
    }
    assert!(agreeing > 50, "{agreeing}");
}

#[test]
fn values_follow_from_the_rewards_of_the_last_judgement() {
    let value = ValueConfig { judge: JudgeForm::Answers, ..ValueConfig::default() };
    let config =
        SearchConfig { simulations: 24, leaves_in_flight: 3, value, ..SearchConfig::default() };
    for tree in search(&problems(12), &config, &RunOptions::default()).0 {
        for (id, node) in tree.nodes.iter().enumerate() {
            assert!((node.q - (node.reward + config.gamma * node.v)).abs() < 1e-9);
            let children = tree.nodes.iter().filter(|n| n.parent == Some(id as u32));
            let expected = mean_value(config.backup_weights, children.map(|n| (n.visits, n.q)));
            assert!((node.v - expected).abs() < 1e-9, "node {id}: {} {expected}", node.v);
        }
    }
}

#[test]
fn a_saturated_tree_makes_no_model_call() {
    // With ten times the simulations the number of calls is the same, because the tree is complete long
    // before.
    let calls = |simulations| {
        let config =
            SearchConfig { simulations, breadth: [2, 1], max_depth: 2, ..SearchConfig::default() };
        let (trees, _) = search(&problems(4), &config, &RunOptions::default());
        let sums = trees.iter().map(|t| (t.propose_calls + t.judge_calls, t.simulations));
        sums.unzip::<u64, u64, Vec<_>, Vec<_>>()
    };
    let (few, many) = (calls(60), calls(600));
    assert_eq!(few.0, many.0);
    assert!(many.1.iter().zip(&few.1).all(|(many, few)| *many == 10 * few));
}

#[test]
fn the_depth_limit_completes_solutions() {
    let config = SearchConfig { max_depth: 2, ..SearchConfig::default() };
    for tree in search(&problems(9), &config, &RunOptions::default()).0 {
        let choice = !tree.problem.choices.is_empty();
        for (id, node) in tree.nodes.iter().enumerate() {
            assert!(node.depth <= 2);
            assert!(node.depth < 2 || node.terminal);
            if node.depth == 1 {
                assert!(tree.children(id as u32).len() <= if choice { 2 } else { 1 });
            }
        }
    }
}

#[test]
fn depth_one_samples_whole_solutions() {
    let config = SearchConfig { max_depth: 1, breadth: [8, 1], ..SearchConfig::default() };
    for tree in search(&problems(3), &config, &RunOptions::default()).0 {
        assert!(tree.nodes[1..].iter().all(|n| n.depth == 1 && n.terminal));
        assert_eq!(tree.nodes.len() as u64 - 1 + tree.duplicates, 8);
    }
}

#[test]
fn without_the_oracle_the_reference_is_never_seen() {
    // The same search with other reference answers: only the final check may differ.
    let value = ValueConfig { oracle: false, ..ValueConfig::default() };
    let config = SearchConfig { value, ..SearchConfig::default() };
    let problems = problems(9);
    let mut blind = problems.clone();
    for problem in &mut blind {
        problem.answer = if problem.choices.is_empty() { "-1" } else { "A" }.to_owned();
        problem.solution = None;
    }
    let (trees, _) = search(&problems, &config, &RunOptions::default());
    let (same, _) = search(&blind, &config, &RunOptions::default());
    for (a, b) in trees.into_iter().zip(same) {
        assert_eq!((a.nodes, a.committed, a.oracle), (b.nodes, b.committed, false));
    }
}

#[test]
fn the_oracle_finds_right_answers_more_often() {
    let problems = problems(60);
    let correct = |oracle| {
        let value = ValueConfig { oracle, ..ValueConfig::default() };
        let config = SearchConfig { value, simulations: 32, ..SearchConfig::default() };
        search(&problems, &config, &RunOptions::default()).1.correct
    };
    let (with, without) = (correct(true), correct(false));
    assert!(with > without + 5, "{with} against {without}");
}

#[test]
fn the_first_root_gets_its_factor() {
    let config = SearchConfig { simulations: 5, first_root_factor: 4, ..SearchConfig::default() };
    for tree in search(&problems(3), &config, &RunOptions::default()).0 {
        assert_eq!(tree.simulations, 20 + 5 * (tree.committed.len() as u64 - 1));
        assert_eq!(tree.nodes[0].visits, 20);
    }
}

#[test]
fn unknown_judgements_are_neutral_not_zero() {
    let rates = FaultRates { unknown: 1.0, ..FaultRates::default() };
    let policy = Faulty::new(Arc::new(Scripted::new()), rates, 0);
    let options = RunOptions::default();
    let config = SearchConfig::default();
    Search::new(&policy, &verifier(), &config)
        .options(&options)
        .run(&problems(4), |tree| {
            for node in &tree.nodes[1..] {
                assert_eq!(node.self_evaluation, None);
                let reward = if node.depth == 1 { 0.5 } else { 0.0 } + node.outcome;
                assert_eq!(node.reward, reward);
            }
        })
        .expect("a search");
}
