//! One variant of the search for each setting that affects trees, and the trees that a scripted policy gives
//! with each variant.

use std::sync::Arc;

use regrowth_mcts::config::{
    BackupWeights, CommitRule, DepthLimit, FirstPlay, JudgeForm, PriorRule, RootNoise, Selection,
    ValueConfig,
};
use regrowth_mcts::stop::StopRule;
use regrowth_mcts::{Preset, SearchConfig, TreeRecord};
use regrowth_policy::{Boundary, OptionOrder, Policy, Scripted};

use crate::common::{Attentive, drive, problems, verifier};

/// An arithmetic problem and two multiple-choice problems on which every variant has an effect.
const CHOSEN: [usize; 3] = [1, 5, 8];

/// Small trees, so that a difference is readable.
fn small() -> SearchConfig {
    SearchConfig { simulations: 7, breadth: [3, 2], max_depth: 3, ..SearchConfig::default() }
}

fn valued(value: ValueConfig) -> SearchConfig {
    SearchConfig { value, ..small() }
}

/// Name and settings of a variant.
pub type Variant = (&'static str, SearchConfig);

/// All variants.
pub fn variants() -> Vec<Variant> {
    [whole_searches(), selections(), boundaries(), stops(), values(), judges()].concat()
}

fn whole_searches() -> Vec<Variant> {
    vec![
        ("default", small()),
        ("leaves_in_flight", SearchConfig { leaves_in_flight: 4, simulations: 8, ..small() }),
        ("beam", SearchConfig { max_depth: 3, breadth: [3, 2], ..SearchConfig::beam(2) }),
        ("best_of", SearchConfig::best_of(4)),
        ("greedy", SearchConfig::greedy()),
        ("paper", Preset::Paper.search()),
        ("paper_choice", Preset::PaperChoice.search()),
    ]
}

/// Variants of selection, of recorded values, and of commits.
fn selections() -> Vec<Variant> {
    let root_noise = Some(RootNoise { alpha: 0.3, weight: 0.5 });
    let tempered = CommitRule::Tempered { temperature: 1.0, decay: 0.3 };
    vec![
        ("prior_paper", SearchConfig { prior: PriorRule::LengthDivided, ..small() }),
        ("backup_visits", SearchConfig { backup_weights: BackupWeights::Visits, ..small() }),
        ("backup_returns", SearchConfig { backup_weights: BackupWeights::Returns, ..small() }),
        ("discount", SearchConfig { gamma: 0.8, ..small() }),
        ("first_root_factor", SearchConfig { first_root_factor: 4, ..small() }),
        ("commit_visits", SearchConfig { commit: CommitRule::Visits, simulations: 9, ..small() }),
        ("commit_value", SearchConfig { commit: CommitRule::Value, simulations: 9, ..small() }),
        ("commit_sampled", SearchConfig { commit: CommitRule::Sampled, ..small() }),
        ("commit_spread_value", SearchConfig { commit: CommitRule::SpreadValue, ..small() }),
        ("commit_tempered", SearchConfig { commit: tempered, ..small() }),
        ("uct", SearchConfig { selection: Selection::Uct, ..small() }),
        ("first_play", SearchConfig { first_play: FirstPlay::BelowParent(0.3), ..small() }),
        ("first_play_fixed", SearchConfig { first_play: FirstPlay::Fixed(0.2), ..small() }),
        ("root_noise", SearchConfig { root_noise, ..small() }),
        ("greedy_first", SearchConfig { greedy_first: true, ..small() }),
        ("similarity", SearchConfig { similarity: Some(0.4), ..small() }),
        ("inject_reference", SearchConfig { inject_reference: true, ..small() }),
    ]
}

/// Variants of the boundaries of steps and of the ends of solutions.
fn boundaries() -> Vec<Variant> {
    let relative = DepthLimit::Relative;
    vec![
        ("depth_relative", SearchConfig { depth_limit: relative, max_depth: 2, ..small() }),
        ("depth_both", SearchConfig { depth_limit: DepthLimit::Both, ..small() }),
        ("final_breadth", SearchConfig { final_breadth: 3, final_breadth_choice: 1, ..small() }),
        ("boundary_sentence", SearchConfig { boundary: Boundary::Sentence, ..small() }),
        ("boundary_tokens", SearchConfig { boundary: Boundary::Tokens(20), ..small() }),
        ("boundary_marker", SearchConfig { boundary: Boundary::Marker("~\n".into()), ..small() }),
        ("boundary_end", SearchConfig { boundary: Boundary::End, ..small() }),
    ]
}

/// Variants that end a search early.
fn stops() -> Vec<Variant> {
    let by = |rule| SearchConfig { stop: vec![rule], ..small() };
    vec![
        ("stop_decided", SearchConfig { simulations: 16, ..by(StopRule::Decided) }),
        ("stop_simulations", by(StopRule::Simulations(9))),
        ("stop_nodes", by(StopRule::Nodes(8))),
        ("stop_tokens", by(StopRule::SampledTokens(90))),
    ]
}

/// Variants of the value of a step.
fn values() -> Vec<Variant> {
    let value = ValueConfig::default;
    let inherit_zero = ValueConfig { self_evaluation: false, inherit_zero: true, ..value() };
    let decay = valued(ValueConfig { depth_decay: true, ..value() });
    vec![
        ("no_oracle", valued(ValueConfig { oracle: false, ..value() })),
        ("no_self_evaluation", valued(ValueConfig { self_evaluation: false, ..value() })),
        ("unasked", valued(ValueConfig { self_evaluation: false, unasked: 1.0, ..value() })),
        ("arithmetic", valued(ValueConfig { arithmetic: 1.0, ..value() })),
        ("inherit_zero", valued(inherit_zero)),
        ("depth_decay", SearchConfig { max_depth: 7, ..decay }),
        ("own_reasoning", valued(ValueConfig { own_reasoning_bonus: true, ..value() })),
        ("choice_guard", valued(ValueConfig { choice_guard: true, ..value() })),
    ]
}

/// Variants of the judge.
fn judges() -> Vec<Variant> {
    let value = ValueConfig::default;
    let by = |judge| valued(ValueConfig { judge, ..value() });
    vec![
        ("hinted", valued(ValueConfig { hinted: true, ..value() })),
        ("judge_order", valued(ValueConfig { order: OptionOrder::Both, ..value() })),
        ("judge_restated", by(JudgeForm::Restated)),
        ("judge_direction", by(JudgeForm::Direction)),
        ("judge_graded", by(JudgeForm::Graded)),
        ("judge_follow_ups", by(JudgeForm::FollowUps)),
        ("judge_likelihood", by(JudgeForm::Likelihood)),
        ("judge_answers", by(JudgeForm::Answers)),
    ]
}

/// A script that sometimes states false equations, which the scripted policy never does.
const SLIPS: &str = r#"{"entries": [
    {"after": "", "candidates": [
        {"text": "4 + 6 = 11.\n", "correct": 0.8},
        {"text": "4 + 6 = 10.\n", "correct": 0.6},
        {"text": "4 + 6 = 10, 10 - 6 = 5.\n", "correct": 0.7}]},
    {"after": "4 + 6 = 11.\n", "candidates": [{"text": "The answer is 11.\n", "end": true}]},
    {"after": "4 + 6 = 10.\n", "candidates": [
        {"text": "10 + 1 = 11.\nThe answer is 11.\n", "end": true},
        {"text": "10 + 0 = 11.\nThe answer is 10.\n", "end": true}]},
    {"after": "4 + 6 = 10, 10 - 6 = 5.\n", "candidates": [
        {"text": "The answer is (B).\n", "end": true},
        {"text": "The answer is 10.\n", "end": true}]}]}"#;

/// The policy for a variant.
pub fn policy(name: &str, config: &SearchConfig) -> Arc<dyn Policy> {
    match name {
        "arithmetic" => Arc::new(Scripted::from_json(SLIPS).expect("a script")),
        _ => {
            let judged = config.value.judge_by(Arc::new(Attentive(Scripted::new())), None);
            judged.expect("grades are tokens")
        }
    }
}

/// The trees of the chosen problems.
pub fn trees(policy: &dyn Policy, config: &SearchConfig) -> Vec<TreeRecord> {
    let problems = problems(12);
    let chosen = CHOSEN.iter().map(|&index| &problems[index]);
    chosen.map(|problem| drive(policy, &verifier(), problem, config, 9)).collect()
}

#[test]
fn every_variant_does_something() {
    // A change only in recorded fields, such as whether the judge was hinted, does not count.
    let grown = |name: &str, config: &SearchConfig, like: &SearchConfig| -> Vec<_> {
        let trees = trees(&*policy(name, like), config);
        trees.into_iter().map(|tree| (tree.nodes, tree.committed)).collect()
    };
    let same = |name: &str, config: &SearchConfig| {
        let plain = SearchConfig { simulations: config.simulations, ..small() };
        grown(name, config, config) == grown(name, &plain, &plain)
    };
    let idle: Vec<_> = variants().into_iter().filter(|(n, c)| same(n, c)).map(|(n, _)| n).collect();
    assert_eq!(idle, ["default"]);
}
