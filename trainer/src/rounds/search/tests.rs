use super::*;
use crate::rounds::{NoObserver, ProblemSets};
use regrowth_datasets::read_step_labels;
use regrowth_mcts::Preset;
use regrowth_mcts::config::JudgeForm;
use regrowth_policy::Scripted;
use regrowth_verifiers::ProblemVerifier;

fn config() -> RunConfig {
    RunConfig {
        problems: "builtin:choice".into(),
        rounds: 1,
        problems_per_round: 30,
        validation_problems: 2,
        test_problems: 2,
        ..RunConfig::of(Preset::Builtin)
    }
}

fn search(dir: &Path, problems: &[Problem]) -> SearchDone {
    search_with(dir, problems, &config())
}

fn search_with(dir: &Path, problems: &[Problem], config: &RunConfig) -> SearchDone {
    search_from(dir, problems, config, calibration::before(config, dir, None).unwrap())
}

fn search_from(
    dir: &Path,
    problems: &[Problem],
    config: &RunConfig,
    calibration: FittedJudge,
) -> SearchDone {
    let phase = SearchPhase {
        dir,
        round: 1,
        config,
        policy: Arc::new(Scripted::new()),
        verifier: Arc::new(ProblemVerifier),
        judge: None,
        problems,
        threads: 1,
        control: &Control::default(),
        calibration,
    };
    phase.run(&mut NoObserver).unwrap().0
}

#[test]
fn labels_of_steps_are_cut_where_the_judge_is_taught() {
    let mut config = config();
    let problems = ProblemSets::read(&config).unwrap().train;
    let cut = |config: &RunConfig| {
        let dir = tempfile::tempdir().unwrap();
        let done = search_with(dir.path(), &problems, config);
        (done, read_step_labels(&dir.path().join(STEP_LABELS)))
    };
    let (without, none) = cut(&config);
    assert!(none.is_err() && !without.checksums.contains_key(STEP_LABELS));
    config.dpo.judge.weight = 1.0;
    let (with, labels) = cut(&config);
    let labels = labels.unwrap();
    assert!(with.checksums.contains_key(STEP_LABELS));
    assert_eq!(with.statistics, without.statistics);
    assert!(labels.iter().any(|l| l.label) && labels.iter().any(|l| !l.label));
}

#[test]
fn a_damaged_tree_is_grown_again_and_pairs_are_cut_again() {
    let problems = ProblemSets::read(&config()).unwrap().train;
    let dir = tempfile::tempdir().unwrap();
    let done = search(dir.path(), &problems);
    assert!(done.statistics.pairs > 0);
    let trees = std::fs::read(dir.path().join(TREES)).unwrap();
    for at in [100, trees.len() / 2, trees.len() - 1] {
        let mut flipped = trees.clone();
        flipped[at] ^= 1;
        std::fs::write(dir.path().join(TREES), flipped).unwrap();
        assert_eq!(search(dir.path(), &problems), done);
    }
    std::fs::write(dir.path().join(PAIRS), "damaged").unwrap();
    assert_eq!(search(dir.path(), &problems), done);
}

/// Problems, and settings that calibrate on the first 50 problems.
fn calibrated() -> (RunConfig, Vec<Problem>) {
    let base = config();
    let mut config = RunConfig { calibration_problems: 50, problems_per_round: 60, ..base };
    config.search.value.judge = JudgeForm::Answers;
    let problems = ProblemSets::read(&config).unwrap().train;
    (config, problems)
}

#[test]
fn the_scale_is_found_again_in_the_first_trees() {
    let (config, problems) = calibrated();
    let before = config.search.value.likelihood;
    assert_found_again(&config, &problems, |statistics| {
        assert!(statistics.calibrated.is_some_and(|scale| scale != before));
    });
}

#[test]
fn the_probe_is_found_again_in_the_first_trees() {
    let (mut config, problems) = calibrated();
    config.search.value.judge = JudgeForm::Probe;
    assert_found_again(&config, &problems, |statistics| {
        assert!(statistics.first_probe.is_some() && statistics.probe != statistics.first_probe);
        assert!(statistics.calibrated.is_none() && statistics.held_out.contains_key("probe"));
    });
}

#[test]
fn the_first_problems_are_judged_by_the_probe_of_the_round_before_the_others_by_their_own() {
    let (mut config, problems) = calibrated();
    config.search.value.judge = JudgeForm::Probe;
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let first = search_with(dirs[0].path(), &problems, &config);
    let before = calibration::before(&config, dirs[0].path(), Some(&first)).unwrap();
    assert_eq!(before.probe.as_ref().map(|probe| probe.identity()), first.statistics.probe);
    let second = search_from(dirs[1].path(), &problems, &config, before);
    let judged = |dir: &tempfile::TempDir| -> Vec<Option<String>> {
        let trees = regrowth_mcts::read_trees(&dir.path().join(TREES)).unwrap();
        trees.map(|tree| tree.unwrap().probe).collect()
    };
    let [one, two] = [judged(&dirs[0]), judged(&dirs[1])];
    assert!(one[..50].iter().all(Option::is_none));
    assert!(one[50..].iter().all(|probe| *probe == first.statistics.first_probe));
    assert!(two[..50].iter().all(|probe| *probe == first.statistics.probe));
    assert!(two[50..].iter().all(|probe| *probe == second.statistics.first_probe));
}

/// Wherever a search is interrupted and whichever tree is corrupted, the judge is fitted to the
/// trees of all first problems.
fn assert_found_again(
    config: &RunConfig,
    problems: &[Problem],
    assert_fitted: impl Fn(&RoundStatistics),
) {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let done = search_with(dir.path(), problems, config);
    assert_fitted(&done.statistics);
    let (trees, sums) = (path(TREES), path("trees.jsonl.sums"));
    let [rows, lines] = [&trees, &sums].map(|file| std::fs::read_to_string(file).unwrap());
    for kept in [0, 20, 50, 55] {
        let first = |text: &str| text.split_inclusive('\n').take(kept).collect::<String>();
        std::fs::remove_file(&trees).unwrap();
        std::fs::write(path("trees.jsonl.part"), first(&rows)).unwrap();
        std::fs::write(&sums, first(&lines)).unwrap();
        assert_eq!(search_with(dir.path(), problems, config), done, "{kept} kept");
    }
    for damaged in [vec![3], vec![55], vec![3, 55]] {
        let spoil = |(at, row): (usize, &str)| {
            if damaged.contains(&at) { row.replace("answer", "anzwer") } else { row.to_owned() }
        };
        let spoilt: String = rows.split_inclusive('\n').enumerate().map(spoil).collect();
        std::fs::write(&trees, spoilt).unwrap();
        assert_eq!(search_with(dir.path(), problems, config), done, "{damaged:?}");
    }
}

#[test]
fn nothing_is_calibrated_where_no_likelihood_judges_or_no_outcome_is_seen() {
    let (config, problems) = calibrated();
    let calibrated = |config: &RunConfig| {
        let dir = tempfile::tempdir().unwrap();
        search_with(dir.path(), &problems, config).statistics.calibrated
    };
    let mut unseen = config.clone();
    unseen.search.value.oracle = false;
    let mut asked = config.clone();
    asked.search.value.judge = JudgeForm::Question;
    let [off, all] = [0, 60].map(|n| RunConfig { calibration_problems: n, ..config.clone() });
    for config in [unseen, asked, off, all] {
        assert_eq!(calibrated(&config), None);
    }
}
