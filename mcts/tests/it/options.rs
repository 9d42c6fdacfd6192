//! The effect of each option of a search on its results.

use crate::common::{drive, problems, verifier};
use regrowth_datasets::{Finish, Problem};
use regrowth_mcts::config::ValueConfig;
use regrowth_mcts::search::{Subject, TreeStatus};
use regrowth_mcts::similar::similarity;
use regrowth_mcts::stop::StopRule;
use regrowth_mcts::{PairConfig, SearchConfig, SkipReason, TreeRecord, TreeSearch, extract_pairs};
use regrowth_policy::{Policy, Response, Scripted, StopAt};

fn trees(config: &SearchConfig) -> Vec<TreeRecord> {
    let (policy, verifier) = (Scripted::new(), verifier());
    problems(12).iter().map(|p| drive(&policy, &verifier, p, config, 1)).collect()
}

#[test]
fn injected_steps_lead_to_the_answer_and_are_marked() {
    let config = SearchConfig { inject_reference: true, ..SearchConfig::default() };
    let (mut injected, mut right, mut marked) = (0, 0, 0);
    for tree in trees(&config) {
        if tree.problem.solution.is_none() {
            assert_eq!(tree.score_calls, 0);
            assert!(tree.nodes.iter().all(|n| !n.injected));
            continue;
        }
        assert!(tree.score_calls >= 1);
        for node in tree.nodes.iter().filter(|n| n.injected) {
            injected += 1;
            assert!(!node.logps_exact);
            assert_eq!(node.logps.len(), node.ids.len());
            let path = tree.path(node.parent.expect("a step"));
            let before: String =
                path.iter().map(|&p| tree.nodes[p as usize].text.as_str()).collect();
            let solution = tree.problem.solution.as_deref().expect("a solution");
            assert!(solution.starts_with(&(before + &node.text)));
        }
        right += usize::from(tree.correct);
        let found = extract_pairs(&tree, &PairConfig::default());
        for (pair, (chosen, rejected)) in found.pairs.iter().zip(found.sides) {
            let sides = [chosen, rejected].map(|id| &tree.nodes[id as usize]);
            let sampled = sides.iter().all(|node| !node.injected);
            assert!(pair.injected || sampled);
            // A pair with an injected side has no exact log-probabilities; sampled sides after an injected
            // step may have them.
            assert!(sampled || !pair.logps_exact);
            marked += usize::from(pair.injected);
        }
    }
    assert!(injected >= 8, "{injected}");
    assert!(right >= 7, "{right} of 8");
    assert!(marked > 0);
}

#[test]
fn an_injected_solution_ends_with_its_answer_and_is_right() {
    let question = "Ann has 3 boxes of 4 apples and eats 2. How many are left?".to_owned();
    for (solution, last) in [
        ("3 * 4 = 12 apples\n12 - 2 = 10 apples", "#### 10"),
        ("3 * 4 = 12 apples\n12 - 2 = 10\n#### 10\n", "#### 10"),
        ("3 * 4 = 12\nSo $\\boxed{10}$ are left.", "So $\\boxed{10}$ are left."),
    ] {
        let problem = Problem {
            question: question.clone(),
            answer: "10".to_owned(),
            solution: Some(solution.to_owned()),
            ..problems(1).remove(0)
        };
        let (breadth, max_depth) = ([1, 1], 6);
        let config =
            SearchConfig { inject_reference: true, breadth, max_depth, ..SearchConfig::default() };
        let tree = drive(&Scripted::new(), &verifier(), &problem, &config, 1);
        let ends: Vec<_> = tree.nodes.iter().filter(|n| n.injected && n.terminal).collect();
        assert!(!ends.is_empty(), "{solution}");
        for end in ends {
            assert_eq!((end.text.trim_end(), end.outcome), (last, 1.0), "{solution}");
        }
    }
}

/// Number of tokens of the solution that ends in a node.
fn tokens_up_to(tree: &TreeRecord, id: usize) -> usize {
    tree.path(id as u32).iter().map(|&p| tree.nodes[p as usize].ids.len()).sum()
}

#[test]
fn no_solution_is_longer_than_it_may_be() {
    let mut ended_by_length = 0;
    for (inject_reference, most) in [(false, 24), (true, 24), (true, 40), (true, 60)] {
        let config =
            SearchConfig { inject_reference, max_solution_tokens: most, ..SearchConfig::default() };
        for tree in trees(&config) {
            for (id, node) in tree.nodes.iter().enumerate().skip(1) {
                let tokens = tokens_up_to(&tree, id);
                assert!(tokens <= most, "{tokens} of {most}, injected: {}", node.injected);
                assert!(node.terminal || tokens < most, "{tokens} tokens and no end");
                ended_by_length += usize::from(node.terminal && tokens == most);
            }
        }
    }
    assert!(ended_by_length > 0);
}

#[test]
fn an_injected_step_that_takes_all_that_is_left_ends_the_solution() {
    // Tokens of the first line of the first problem's solution, which is longer than a sampled step may be.
    let most = Scripted::new().encode("3 + 4 = 7.\n").expect("ids").len();
    let config = SearchConfig {
        inject_reference: true,
        max_step_tokens: most / 2,
        max_solution_tokens: most,
        ..SearchConfig::default()
    };
    let tree = &trees(&config)[0];
    let full: Vec<_> = tree.nodes.iter().filter(|n| n.injected && n.ids.len() == most).collect();
    assert!(!full.is_empty() && full.iter().all(|node| node.terminal));
}

#[test]
fn a_stop_string_ends_a_solution_like_eos() {
    let stop_at = StopAt { strings: vec!["=".to_owned()], ids: vec![] };
    let mut stopped = 0;
    for tree in trees(&SearchConfig { stop_at, ..SearchConfig::default() }) {
        for node in tree.nodes.iter().skip(1) {
            assert_eq!(node.finish == Some(Finish::Stop), node.text.ends_with('='));
            assert!(node.terminal || !node.text.contains('='));
            stopped += usize::from(node.text.ends_with('='));
        }
    }
    assert!(stopped > 12, "{stopped}");
}

#[test]
fn a_reference_step_that_was_sampled_is_not_injected_beside_itself() {
    let config = SearchConfig { inject_reference: true, ..SearchConfig::default() };
    let mut sampled = 0;
    for tree in trees(&config) {
        for (id, node) in tree.nodes.iter().enumerate().skip(1) {
            let twin = |other: &regrowth_mcts::record::NodeRecord| {
                other.parent == node.parent && other.ids == node.ids
            };
            assert!(!tree.nodes[id + 1..].iter().any(twin), "{:?} twice", node.text);
            let path = tree.path(id as u32);
            let text: String = path.iter().map(|&p| &*tree.nodes[p as usize].text).collect();
            let on_reference = |s: &String| !node.injected && s.starts_with(&text);
            sampled += usize::from(tree.problem.solution.as_ref().is_some_and(on_reference));
        }
    }
    assert!(sampled > 0, "no reference step was sampled, so nothing was shown");
}

#[test]
fn a_judgement_that_is_no_probability_gives_the_tree_up() {
    let (policy, verifier, config) = (Scripted::new(), verifier(), SearchConfig::default());
    for wrong in [1.5, -0.25, f64::NAN, f64::INFINITY] {
        let problem = &problems(1)[0];
        let subject = Subject::new(&policy, &verifier, problem, &config).expect("a prompt");
        let mut search = TreeSearch::new(subject);
        while *search.status() == TreeStatus::Waiting {
            for ask in search.poll_requests() {
                let mut answer = policy.answer(&ask.request);
                if let Ok(Response::Judgement(judgement)) = &mut answer {
                    judgement.correct = Some(wrong);
                }
                search.receive(ask.request_id, answer);
            }
        }
        assert_eq!(*search.status(), TreeStatus::Skipped(SkipReason::WrongAnswer), "{wrong}");
    }
}

#[test]
fn near_duplicates_are_dropped_and_counted() {
    let plain = trees(&SearchConfig::default());
    let config = SearchConfig { similarity: Some(0.5), ..SearchConfig::default() };
    let strict = trees(&config);
    for tree in &strict {
        for id in 0..tree.nodes.len() as u32 {
            let texts: Vec<_> =
                tree.children(id).iter().map(|&c| tree.nodes[c as usize].text.clone()).collect();
            for (i, a) in texts.iter().enumerate() {
                assert!(texts[..i].iter().all(|b| similarity(a, b) <= 0.5));
            }
        }
    }
    let dropped = |trees: &[TreeRecord]| trees.iter().map(|t| t.duplicates).sum::<u64>();
    assert!(dropped(&strict) > dropped(&plain));
}

#[test]
fn stopping_rules_save_simulations_and_still_end() {
    let many = SearchConfig { simulations: 64, ..SearchConfig::default() };
    let with = |stop| SearchConfig { stop: vec![stop], ..many.clone() };
    let sum = |config: &SearchConfig| {
        let trees = trees(config);
        assert!(trees.iter().all(|t| t.nodes[*t.committed.last().expect("end") as usize].terminal));
        trees.iter().map(|t| t.simulations).sum::<u64>()
    };
    let full = sum(&many);
    assert!(sum(&with(StopRule::Decided)) < full);
    let tokens = with(StopRule::SampledTokens(150));
    let nodes = with(StopRule::Nodes(10));
    assert!(sum(&tokens) < full / 4);
    assert!(sum(&nodes) < full / 4);
    // The bounds are reached, and exceeded by at most one simulation per root.
    for tree in trees(&nodes) {
        assert!((10..=60).contains(&tree.nodes.len()), "{}", tree.nodes.len());
    }
}

/// Numbers of right and wrong finished solutions of a tree.
fn ends(tree: &TreeRecord) -> (usize, usize) {
    let ends = tree.nodes.iter().filter(|n| n.terminal);
    let right = ends.clone().filter(|n| n.outcome > 0.0).count();
    (right, ends.count() - right)
}

#[test]
fn trees_whose_outcomes_agree_stop_early_and_the_others_stay_as_they_are() {
    let full = SearchConfig { simulations: 16, ..SearchConfig::default() };
    let stop = vec![StopRule::SameOutcome(6)];
    let (mut saved, mut kept) = (0, 0);
    for (a, b) in trees(&full).iter().zip(trees(&SearchConfig { stop, ..full.clone() })) {
        assert!(b.nodes[*b.committed.last().expect("end") as usize].terminal);
        let (right, wrong) = ends(&b);
        if right.min(wrong) == 0 {
            // Stopped at the bound: later roots get one simulation each.
            assert!(b.simulations < a.simulations, "{right} right, {wrong} wrong");
            saved += a.sampled_tokens - b.sampled_tokens;
        } else if *a == b {
            kept += 1;
        }
    }
    assert!(saved > 0 && kept > 0, "{saved} tokens saved, {kept} trees as before");
}

#[test]
fn a_decided_root_commits_as_the_full_budget_would() {
    use regrowth_mcts::config::CommitRule;
    let full =
        SearchConfig { simulations: 64, commit: CommitRule::Visits, ..SearchConfig::default() };
    let decided = SearchConfig { stop: vec![StopRule::Decided], ..full.clone() };
    for (a, b) in trees(&full).iter().zip(trees(&decided)) {
        let first = |t: &TreeRecord| t.nodes[t.committed[0] as usize].text.clone();
        assert_eq!(first(a), first(&b));
    }
}

#[test]
fn a_stopped_beam_ends_at_the_next_level_in_a_whole_solution() {
    let wide = SearchConfig { max_depth: 7, breadth: [4, 4], ..SearchConfig::beam(4) };
    let full = trees(&wide);
    let size = |tree: &TreeRecord| tree.nodes.len();
    for stop in [StopRule::Nodes(5), StopRule::SampledTokens(1), StopRule::Millis(1)] {
        let stopped = trees(&SearchConfig { stop: vec![stop], ..wide.clone() });
        for (tree, full) in stopped.iter().zip(&full) {
            assert!(tree.nodes[*tree.committed.last().expect("end") as usize].terminal);
            assert!(size(tree) <= size(full) && tree.timed == stop.is_timed(), "{stop:?}");
        }
        if !stop.is_timed() {
            let sum = |trees: &[TreeRecord]| trees.iter().map(size).sum::<usize>();
            assert!(2 * sum(&stopped) < sum(&full), "{stop:?}");
            // After the first level, one partial solution is kept until there is a finished one.
            assert!(stopped.iter().all(|tree| tree.propose_calls <= 7));
        }
    }
    let far = SearchConfig { stop: vec![StopRule::Nodes(1_000_000)], ..wide };
    assert_eq!(trees(&far), full);
}

#[test]
fn baselines_cost_what_they_say() {
    for tree in trees(&SearchConfig::best_of(6)) {
        assert_eq!((tree.propose_calls, tree.simulations), (1, 0));
        assert_eq!(tree.nodes.len() as u64 + tree.duplicates, 7);
        let best = tree.nodes[1..].iter().map(|n| n.q).fold(f64::MIN, f64::max);
        assert_eq!(tree.nodes[tree.committed[0] as usize].q, best);
    }
    for tree in trees(&SearchConfig::greedy()) {
        assert_eq!((tree.propose_calls, tree.judge_calls, tree.nodes.len()), (1, 0, 2));
    }
    for tree in trees(&SearchConfig::beam(2)) {
        // At most two expansions per level below the root.
        assert!(tree.propose_calls <= 1 + 2 * 3, "{}", tree.propose_calls);
    }
}

#[test]
fn best_of_without_the_oracle_goes_by_self_evaluation() {
    let value = ValueConfig { oracle: false, ..ValueConfig::default() };
    for tree in trees(&SearchConfig { value, ..SearchConfig::best_of(6) }) {
        let chosen = tree.nodes[tree.committed[0] as usize].self_evaluation;
        assert!(tree.nodes[1..].iter().all(|n| n.self_evaluation <= chosen));
    }
}
