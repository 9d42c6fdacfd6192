//! One round: search, train, validate, decide; each phase skipped if its files are whole.
//!
//! A round sees its start policy and its problems, and leaves a folder. Damaged files are named and
//! made again; because every phase is a pure function of what is before it, what comes after them
//! stays valid.

use std::path::Path;
use std::time::Instant;

use regrowth_datasets::Problem;
use serde::de::DeserializeOwned;

use super::drift::{self, Drift};
use super::driver::{Observer, Run};
use super::exam::EvalRow;
use super::report::{Cost, EvalReport, GateReport, REPORT_VERSION, RoundReport, Seconds, Tokens};
use super::search::{self, SearchDone, SearchPhase};
use super::training::{self, TrainDone, TrainPhase};
use super::validation::measure;
use super::{gate, journal, prune};
use crate::artefact::{damage, make_dir, read_json, read_sealed, remove, write_json, write_sealed};
use crate::train::remove_damaged_states;
use crate::{TrainError, inputs};

pub(super) const VALIDATION: &str = "validation.jsonl";
pub(super) const PROBE: &str = "probe.jsonl";
pub(super) const EVAL: &str = "eval.jsonl";

/// What a round starts from.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Start {
    /// Round whose policy it is; 0 is the untouched policy.
    pub(super) round: u32,
    /// The policy as a specification.
    pub(super) spec: String,
    /// Its identity.
    pub(super) identity: String,
    /// Answers to the validation problems: its own, or those of the last policy before it that was
    /// asked them.
    pub(super) validation: Vec<EvalRow>,
    /// Round in which it was asked them.
    pub(super) validated: Option<u32>,
}

/// A round at its end.
pub(super) struct Finished {
    pub(super) report: RoundReport,
    /// What the next round starts from if this one is accepted.
    pub(super) candidate: Start,
}

/// Round 0: the untouched policy's answers to the validation problems.
pub(super) fn untouched(
    run: &mut Run,
    observer: &mut dyn Observer,
) -> Result<Finished, TrainError> {
    let dir = run.dir.round(0);
    make_dir(&dir)?;
    let spec = run.config.policy.clone();
    let started = Instant::now();
    let rows = validate(run, 0, &spec, observer)?;
    let identity = run.policy(&spec)?.identity().to_owned();
    let mut cost = read_cost(&dir)?;
    cost.seconds.evaluate = cost.seconds.evaluate.max(started.elapsed().as_secs_f64());
    write_json(&dir.join("cost.json"), &cost)?;
    let report = RoundReport {
        version: REPORT_VERSION,
        round: 0,
        policy: identity.clone(),
        validation: share_of(run, &rows),
        eval: None,
        gate: None,
        validated: true,
        trained: false,
        not_trained: None,
        problems: 0,
        pairs: 0,
        pairs_dropped: Default::default(),
        trees: 0,
        steps: 0,
        tokens: Tokens { validated: tokens(&rows), ..Tokens::default() },
        metrics: Default::default(),
        on_policy_share: 0.0,
        replayed: 0,
        drift: None,
        oracle: false,
        forgotten: 0,
        learned: 0,
        audit: Default::default(),
        seconds: cost.seconds,
    };
    write_sealed(&dir.join("report.json"), &report)?;
    let candidate = Start { round: 0, spec, identity, validation: rows, validated: Some(0) };
    Ok(Finished { report, candidate })
}

/// Does what is not done yet of a round.
pub(super) fn round(
    run: &mut Run,
    number: u32,
    start: &Start,
    observer: &mut dyn Observer,
) -> Result<Finished, TrainError> {
    let dir = run.dir.round(number);
    make_dir(&dir)?;
    let mut cost = read_cost(&dir)?;
    let sets = run.sets.clone();
    let problems = sets.shard(number, run.config.problems_per_round);
    let searched = search_phase(run, &dir, number, start, &problems, &mut cost, observer)?;
    let trained = train_phase(run, &dir, number, start, &mut cost, observer)?;
    let candidate = candidate(run, &dir, number, start, &trained, &mut cost, observer)?;
    let drift = match run.config.validates(number) {
        true => drift(run, number, &candidate, &mut cost, observer)?,
        false => None,
    };
    write_json(&dir.join("cost.json"), &cost)?;
    let gate = gate::decide(&run.config, start, &candidate, trained.not_trained.as_deref());
    let report = report(run, number, start, &candidate, &searched, trained, gate, drift, &cost);
    // Written last: the round is done.
    write_sealed(&dir.join("report.json"), &report)?;
    Ok(Finished { report, candidate })
}

fn search_phase(
    run: &mut Run,
    dir: &Path,
    number: u32,
    start: &Start,
    problems: &[Problem],
    cost: &mut Cost,
    observer: &mut dyn Observer,
) -> Result<SearchDone, TrainError> {
    let done: Option<SearchDone> = marker(&dir.join(search::DONE), observer)?;
    if let Some(done) = done {
        let Some(what) = damage(dir, &done.checksums) else { return Ok(done) };
        observer.note(&format!("{what}; round {number} makes again what is damaged"));
        remove(&dir.join(search::DONE))?;
    }
    let spec = if run.config.on_policy { &start.spec } else { &run.config.policy }.clone();
    let policy = run.policy(&spec)?;
    let started = Instant::now();
    let before: Option<SearchDone> =
        read_sealed(&run.dir.round(number.saturating_sub(1)).join(search::DONE))?;
    let phase = SearchPhase {
        dir,
        round: number,
        config: &run.config,
        policy,
        problems,
        threads: run.threads,
        control: run.control,
        likelihood: before.and_then(|done| done.audit.likelihood),
    };
    let (done, usage) = phase.run(observer)?;
    cost.search = usage;
    cost.seconds.search = started.elapsed().as_secs_f64();
    write_json(&dir.join("cost.json"), cost)?;
    Ok(done)
}

fn train_phase(
    run: &mut Run,
    dir: &Path,
    number: u32,
    start: &Start,
    cost: &mut Cost,
    observer: &mut dyn Observer,
) -> Result<TrainDone, TrainError> {
    let done: Option<TrainDone> = marker(&dir.join(training::DONE), observer)?;
    if let Some(done) = done {
        let sums = prune::present(dir, done.checksums.clone())?;
        let Some(what) = damage(dir, &sums) else { return Ok(done) };
        observer.note(&format!("{what}; round {number} is trained again"));
        remove(&dir.join(training::DONE))?;
    }
    prune::forget(dir)?;
    run.control.check()?;
    for damaged in remove_damaged_states(dir)? {
        observer.note(&format!("{damaged}: done, that is what follows"));
    }
    // The engine's weights and caches make room for the training's.
    run.forget_policy();
    let started = Instant::now();
    let phase = TrainPhase {
        dir,
        round: number,
        config: &run.config,
        start: &start.spec,
        weights: inputs::weights(&start.spec)?,
        initial: inputs::weights(&run.config.policy)?,
        start_dir: (start.round > 0).then(|| run.dir.round(start.round)),
        identity: &start.identity,
        earlier: (1..number).map(|round| run.dir.round(round).join(search::PAIRS)).collect(),
        threads: run.threads,
        dtype: run.dtype(),
        control: run.control,
    };
    let done = phase.run(observer)?;
    cost.seconds.train = started.elapsed().as_secs_f64();
    write_json(&dir.join("cost.json"), cost)?;
    run.control.check()?;
    Ok(done)
}

/// The policy after the round and its answers to the validation problems.
fn candidate(
    run: &mut Run,
    dir: &Path,
    number: u32,
    start: &Start,
    trained: &TrainDone,
    cost: &mut Cost,
    observer: &mut dyn Observer,
) -> Result<Start, TrainError> {
    let started = Instant::now();
    let mut candidate = match &trained.not_trained {
        Some(reason) => {
            observer.note(&format!("round {number}: nothing was trained: {reason}"));
            start.clone()
        }
        None => {
            let spec = spec_of(&dir.join(training::CHECKPOINT));
            let identity = identity(run, dir, &spec)?;
            Start { round: number, spec, identity, validated: None, ..start.clone() }
        }
    };
    // The last round of a run that was made longer since has its answers.
    let asked = run.config.validates(number) || dir.join(VALIDATION).exists();
    if candidate.validated.is_none() && asked {
        candidate.validation = validate(run, number, &candidate.spec.clone(), observer)?;
        candidate.validated = Some(number);
        cost.seconds.evaluate = cost.seconds.evaluate.max(started.elapsed().as_secs_f64());
    }
    Ok(candidate)
}

/// Identity of the policy that a round left: that of its report, so that a run that goes on loads no
/// policy of rounds that are done.
fn identity(run: &mut Run, dir: &Path, spec: &str) -> Result<String, TrainError> {
    match read_sealed::<RoundReport>(&dir.join("report.json")) {
        Ok(Some(report)) => Ok(report.policy),
        // A damaged report is written again at the end of the round.
        Ok(None) | Err(_) => Ok(run.policy(spec)?.identity().to_owned()),
    }
}

/// How far the round's policy has moved from the initial one.
fn drift(
    run: &mut Run,
    number: u32,
    candidate: &Start,
    cost: &mut Cost,
    observer: &mut dyn Observer,
) -> Result<Option<Drift>, TrainError> {
    let sets = run.sets.clone();
    let problems = &sets.validation[..sets.validation.len().min(run.config.probe_problems)];
    if candidate.round != number || problems.is_empty() {
        return Ok(None);
    }
    let started = Instant::now();
    let path = run.dir.round(number).join(PROBE);
    let (control, max_tokens) = (run.control, run.config.search.max_solution_tokens);
    let initial = run.config.policy.clone();
    let mut policies =
        |is_initial: bool| run.policy(if is_initial { &initial } else { &candidate.spec });
    let at = (number, problems);
    let drift = drift::measure(&path, at, max_tokens, &mut policies, control, observer)?;
    cost.seconds.probe = cost.seconds.probe.max(started.elapsed().as_secs_f64());
    Ok(drift)
}

fn validate(
    run: &mut Run,
    number: u32,
    spec: &str,
    observer: &mut dyn Observer,
) -> Result<Vec<EvalRow>, TrainError> {
    let path = run.dir.round(number).join(VALIDATION);
    let sets = run.sets.clone();
    let (config, control) = (run.config.clone(), run.control);
    let mut policy = || run.policy(spec);
    measure(&path, &mut policy, &sets.validation, &config, (number, "validate"), control, observer)
}

#[expect(clippy::too_many_arguments, reason = "a report gathers what all phases left")]
fn report(
    run: &Run,
    number: u32,
    start: &Start,
    candidate: &Start,
    searched: &SearchDone,
    trained: TrainDone,
    gate: GateReport,
    drift: Option<Drift>,
    cost: &Cost,
) -> RoundReport {
    let audit = searched.audit.clone();
    let mut pairs_dropped = audit.pairs_dropped.clone();
    pairs_dropped.extend(trained.skipped);
    let changed = |before: bool| {
        let pairs = start.validation.iter().zip(&candidate.validation);
        pairs.filter(|(a, b)| (a.correct, b.correct) == (before, !before)).count() as u64
    };
    let mix = trained.mix;
    let did_train = trained.not_trained.is_none();
    let asked = candidate.validated == Some(number);
    RoundReport {
        version: REPORT_VERSION,
        round: number,
        policy: candidate.identity.clone(),
        validation: share_of(run, &candidate.validation),
        eval: None,
        gate: Some(gate),
        validated: candidate.validated.is_some(),
        trained: did_train,
        not_trained: trained.not_trained,
        problems: searched.problems,
        pairs: audit.pairs,
        pairs_dropped,
        trees: audit.trees,
        steps: trained.steps,
        tokens: Tokens {
            prompts: audit.prompt_tokens,
            sampled: audit.sampled_tokens,
            trained: trained.tokens,
            referenced: trained.reference_tokens,
            validated: if asked { tokens(&candidate.validation) } else { 0 },
        },
        metrics: trained.metrics,
        on_policy_share: mix.on_policy as f64 / mix.rows.max(1) as f64,
        replayed: mix.replayed,
        drift,
        oracle: run.config.search.value.oracle,
        forgotten: changed(true),
        learned: changed(false),
        audit,
        seconds: cost.seconds,
    }
}

fn share_of(run: &Run, rows: &[EvalRow]) -> EvalReport {
    let task = run.sets.validation.first().map_or("", |problem| problem.source.as_str());
    EvalReport::of(task, rows)
}

fn tokens(rows: &[EvalRow]) -> u64 {
    rows.iter().map(|r| r.tokens).sum()
}

/// A checkpoint folder as a policy specification.
fn spec_of(checkpoint: &Path) -> String {
    checkpoint.to_string_lossy().into_owned()
}

/// A file that says that a phase is done; a damaged one is named and counts as not there.
fn marker<T: DeserializeOwned>(
    path: &Path,
    observer: &mut dyn Observer,
) -> Result<Option<T>, TrainError> {
    match read_sealed(path) {
        Err(error @ TrainError::File { .. }) => {
            observer.note(&format!("{error}; its phase is done again"));
            remove(path)?;
            Ok(None)
        }
        other => other,
    }
}

fn read_cost(dir: &Path) -> Result<Cost, TrainError> {
    // Only measurements: a damaged file is no reason to stop.
    Ok(read_json(&dir.join("cost.json")).unwrap_or_default().unwrap_or_default())
}

/// Seconds of a measurement added to a round's cost.
pub(super) fn add_evaluation(dir: &Path, seconds: f64) -> Result<Seconds, TrainError> {
    let mut cost = read_cost(dir)?;
    cost.seconds.evaluate += seconds;
    write_json(&dir.join("cost.json"), &cost)?;
    Ok(cost.seconds)
}

/// What is wrong with the files of a finished round; `None` if all are as they were written.
pub(super) fn damage_of(dir: &Path) -> Result<Option<String>, TrainError> {
    let trained: Option<TrainDone> = read_sealed(&dir.join(training::DONE))?;
    let searched: Option<SearchDone> = read_sealed(&dir.join(search::DONE))?;
    let trained = trained.map(|t| prune::present(dir, t.checksums)).transpose()?;
    let recorded = searched.map(|s| s.checksums).into_iter().chain(trained);
    if let Some(what) = recorded.into_iter().find_map(|sums| damage(dir, &sums)) {
        return Ok(Some(what));
    }
    for name in [VALIDATION, PROBE, EVAL] {
        let path = dir.join(name);
        if path.exists()
            && let Some(what) = journal::damage_of(&path)?
        {
            return Ok(Some(what));
        }
    }
    Ok(None)
}
