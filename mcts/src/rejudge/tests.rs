//! Tests of rejudging: a scripted policy judges pairs of its own search; reports are computed from hand-made
//! ratings.

use regrowth_datasets::{Problem, Split, tasks::problems_from_spec};
use regrowth_policy::Scripted;
use regrowth_verifiers::ProblemVerifier;

use super::*;
use crate::{PairConfig, RunOptions, Search, SearchConfig, extract_pairs};

fn pairs() -> Vec<PreferencePair> {
    let problems: Vec<Problem> =
        problems_from_spec("choice", Split::Train, 0).unwrap().take(40).collect();
    let mut pairs = Vec::new();
    Search::new(&Scripted::new(), &ProblemVerifier, &SearchConfig::default())
        .options(&RunOptions::default())
        .run(&problems, |tree| pairs.extend(extract_pairs(&tree, &PairConfig::default()).pairs))
        .unwrap();
    assert!(pairs.len() > 8);
    pairs
}

fn asked(rejudged: &Rejudged) -> Vec<usize> {
    let numbers = 0..rejudged.ratings.len();
    numbers.filter(|&number| rejudged.ratings[number].is_some()).collect()
}

#[test]
fn every_pair_is_judged_and_the_same_each_time() {
    let pairs = pairs();
    let found = rejudge(&Scripted::new(), &pairs, &RejudgeOptions::default()).unwrap();
    assert_eq!(asked(&found).len(), pairs.len());
    assert_eq!(found, rejudge(&Scripted::new(), &pairs, &RejudgeOptions::default()).unwrap());
    let report = RejudgeReport::of(&pairs, &found);
    assert_eq!(report.failed, 0);
    assert_eq!(report.agreement.pairs + report.tied + report.unknown, report.asked);
    assert_eq!(
        report.by_margin.iter().map(|b| b.agreement.pairs).sum::<u64>(),
        report.agreement.pairs
    );
    assert!(report.by_margin.is_sorted_by(|a, b| a.margins[1] <= b.margins[0]));
}

#[test]
fn a_budget_goes_to_the_smallest_margins_and_is_kept() {
    let pairs = pairs();
    let policy = Scripted::new();
    let costs: Vec<u64> =
        pairs.iter().map(|pair| most_tokens(&policy, pair, &ValueConfig::default())).collect();
    let budget = costs.iter().sum::<u64>() / 2;
    let asked = asked(&rejudge(&policy, &pairs, &budget_of(budget)).unwrap());
    assert!(!asked.is_empty() && asked.len() < pairs.len());
    assert!(asked.iter().map(|&number| costs[number]).sum::<u64>() <= budget);
    let largest = asked.iter().map(|&n| pairs[n].margin).fold(0.0, f64::max);
    let others = (0..pairs.len()).filter(|n| !asked.contains(n));
    assert!(others.map(|n| pairs[n].margin).all(|margin| margin >= largest));
    let none = rejudge(&policy, &pairs, &budget_of(0)).unwrap();
    assert!(none.ratings.iter().all(Option::is_none));
}

/// A textbook example: 45 and 15 agreements, 25 and 15 disagreements give (0.6 - 0.54) / (1 - 0.54), as
/// `sklearn.metrics.cohen_kappa_score` does.
#[test]
fn kappa_is_that_of_the_textbooks() {
    let template = pairs().remove(0);
    let pair = |chosen: &str, rejected: &str| PreferencePair {
        chosen: chosen.to_owned(),
        rejected: rejected.to_owned(),
        ..template.clone()
    };
    let agrees =
        |yes: bool| Ratings { chosen: Some(if yes { 0.9 } else { 0.1 }), rejected: Some(0.5) };
    let (first, second) = (pair("a", "b"), pair("b", "a"));
    let table =
        [(45, &first, true), (15, &first, false), (25, &second, false), (15, &second, true)];
    let (mut pairs, mut ratings) = (Vec::new(), Vec::new());
    for (count, pair, yes) in table {
        pairs.extend(std::iter::repeat_n(pair.clone(), count));
        ratings.extend(std::iter::repeat_n(Some(agrees(yes)), count));
    }
    // One pair without a score, one with equal scores, one that was not submitted.
    pairs.extend([first.clone(), first.clone(), first]);
    ratings.push(Some(Ratings::default()));
    ratings.push(Some(Ratings { chosen: Some(0.5), rejected: Some(0.5) }));
    ratings.push(None);
    let found = Rejudged { ratings, usage: Usage::default(), failed: 1 };
    let report = RejudgeReport::of(&pairs, &found);
    assert!((report.kappa.unwrap() - 0.06 / 0.46).abs() < 1e-12, "{:?}", report.kappa);
    assert_eq!((report.agreement.pairs, report.agreement.agree), (100, 60));
    assert_eq!((report.asked, report.unknown, report.tied), (102, 1, 1));
    assert!(report.text().contains("Cohen's kappa 0.130"), "{}", report.text());
}

fn budget_of(tokens: u64) -> RejudgeOptions {
    RejudgeOptions { budget: Some(tokens), ..RejudgeOptions::default() }
}

#[test]
fn grades_and_follow_ups_judge_pairs_at_their_own_cost() {
    let pairs = pairs();
    let policy: Arc<dyn Policy> = Arc::new(Scripted::new());
    let by = |judge| RejudgeOptions {
        value: ValueConfig { judge, ..ValueConfig::default() },
        ..RejudgeOptions::default()
    };
    let cost = |options: &RejudgeOptions| most_tokens(&*policy, &pairs[0], &options.value);
    let [asked, graded, follow_ups] =
        [JudgeForm::Question, JudgeForm::Graded, JudgeForm::FollowUps].map(by);
    // The scripted policy's own question has no tokens, and it is asked in two orders of the options.
    let question = graded.value.grades.question.len() as u64;
    assert_eq!(2 * cost(&graded), cost(&asked) + 4 * question);
    assert_eq!(cost(&follow_ups), 3 * (cost(&asked) + 4 * "Good, no mistake here.\n".len() as u64));
    let mut found = Vec::new();
    for options in [asked, graded, follow_ups] {
        let policy = options.value.judge_by(policy.clone(), None).unwrap();
        let ratings = rejudge(&*policy, &pairs, &options).unwrap().ratings;
        assert!(ratings.iter().flatten().all(|r| r.strength().is_some()));
        found.push(ratings);
    }
    assert!(found[0] != found[1] && found[1] != found[2] && found[0] != found[2]);
}
