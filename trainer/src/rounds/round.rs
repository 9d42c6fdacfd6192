//! One round: search and extract pairs, train, validate, estimate the KL divergence from the base
//! policy, gate, report.
//!
//! [`super::round_loop`] calls [`round()`] with the policy that the round starts from. All files of a round
//! are in its folder. A phase whose files match their checksums is skipped ([`super::phase`]), so a resumed
//! run repeats no finished phase. Phases receive the parts of the run that they need and return their
//! results; only this file knows their order and the complete run.

use super::calibration;
use super::context::RunContext;
use super::kl_to_base::KlEstimate;
use super::observer::Observer;
use super::phase::{Marker, RoundDir};
use super::report::KlToBase;
use super::round_files::{self, KL_SAMPLES, VALIDATION};
use super::round_policy::{Finished, RoundPolicy};
use super::round_report::{self, PhaseResults};
use super::search::{self, SearchDone, SearchPhase};
use super::training::{self, TrainDone, TrainPhase};
use super::{gate, prune};
use crate::TrainError;
use crate::artefact::{damage, read_checksummed};
use crate::train::remove_damaged_states;

/// Marker of the finished search: its file, the clock that its seconds are added to, and the check of its
/// files (`None` if all are intact).
const SEARCH: Marker<SearchDone> = Marker {
    file: search::DONE,
    clock: |seconds| &mut seconds.search,
    damage: |dir, done| Ok(damage(dir, &done.checksums)),
};

/// Marker of the finished training. Files that pruning removed are not checked.
const TRAIN: Marker<TrainDone> = Marker {
    file: training::DONE,
    clock: |seconds| &mut seconds.train,
    damage: |dir, done| Ok(damage(dir, &prune::present(dir, done.checksums.clone())?)),
};

/// Round 0: validates the base policy; nothing is searched or trained.
pub(super) fn base(run: &RunContext, observer: &mut dyn Observer) -> Result<Finished, TrainError> {
    let dir = RoundDir::open(run.dir.round(0), 0)?;
    let spec = &run.config.policy;
    let path = dir.path.join(VALIDATION);
    let answers = dir.timed(
        |seconds| &mut seconds.validate,
        || run.evaluator().validate(spec, &path, 0, observer),
    )?;
    let policy_after = RoundPolicy::base(spec, &run.file.policy, answers);
    let report = round_report::base(&policy_after, &run.sets.validation, dir.cost().seconds);
    dir.write_report(&report)?;
    Ok(Finished { report, policy_after })
}

/// Runs the phases of a round that are not finished yet.
pub(super) fn round(
    run: &RunContext,
    number: u32,
    start: &RoundPolicy,
    observer: &mut dyn Observer,
) -> Result<Finished, TrainError> {
    let dir = RoundDir::open(run.dir.round(number), number)?;
    // 1. Grow trees, by default with the round's start policy, and extract pairs.
    let searched =
        dir.resume_or_run(&SEARCH, observer, |observer| search(run, &dir, start, observer))?;
    // 2. Train on the pairs.
    let trained =
        dir.resume_or_run(&TRAIN, observer, |observer| train(run, &dir, start, observer))?;
    run.control.check()?;
    // 3. Validate the trained policy.
    let policy_after = policy_after(run, &dir, start, &trained, observer)?;
    // 4. Estimate its KL divergence from the base policy.
    let kl_to_base = kl_to_base(run, &dir, &policy_after, observer)?;
    // 5. Gate: decide whether the next round starts from it.
    let gate = gate::decide(run.config, start, &policy_after, trained.not_trained.as_deref());
    // 6. Report. Written last: its presence marks the round as finished.
    let results = PhaseResults {
        number,
        start,
        policy_after: &policy_after,
        searched,
        trained,
        gate,
        kl_to_base,
        oracle: run.config.search.value.oracle,
        validation: &run.sets.validation,
        seconds: dir.cost().seconds,
    };
    let report = results.report();
    dir.write_report(&report)?;
    Ok(Finished { report, policy_after })
}

fn search(
    run: &RunContext,
    dir: &RoundDir,
    start: &RoundPolicy,
    observer: &mut dyn Observer,
) -> Result<SearchDone, TrainError> {
    let spec = if run.config.on_policy { &start.spec } else { &run.config.policy };
    let previous = run.dir.round(dir.number.saturating_sub(1));
    let searched: Option<SearchDone> = read_checksummed(&previous.join(search::DONE))?;
    let phase = SearchPhase {
        dir: &dir.path,
        round: dir.number,
        config: run.config,
        policy: run.policies.get(spec)?,
        verifier: run.verifier.get()?,
        judge: run.judge.get()?,
        problems: &run.sets.round_problems(dir.number, run.config.problems_per_round),
        threads: run.threads,
        control: run.control,
        calibration: calibration::before(run.config, &previous, searched.as_ref())?,
    };
    let (done, usage) = phase.run(observer)?;
    dir.charge(|cost| {
        cost.search = usage;
        cost.machine.note(run.threads);
    })?;
    Ok(done)
}

fn train(
    run: &RunContext,
    dir: &RoundDir,
    start: &RoundPolicy,
    observer: &mut dyn Observer,
) -> Result<TrainDone, TrainError> {
    // The checkpoint is written anew, so forget that it was pruned.
    prune::clear_record(&dir.path)?;
    run.control.check()?;
    for damaged in remove_damaged_states(&dir.path)? {
        observer.log(&format!("{damaged}; restarting this round's training"));
    }
    // Free the engine's weights and KV cache before training loads its own.
    run.policies.unload();
    let phase = TrainPhase {
        dir: &dir.path,
        round: dir.number,
        config: run.config,
        start,
        weights: run.config.weights_of(&start.spec)?,
        base: run.config.weights_of(&run.config.policy)?,
        start_dir: (start.round > 0).then(|| run.dir.round(start.round)),
        earlier: (1..dir.number).map(|round| run.dir.round(round)).collect(),
        load: run.policies.load_options(),
        threads: run.threads,
        control: run.control,
    };
    let done = phase.run(observer)?;
    dir.charge(|cost| {
        cost.machine.note(run.threads);
        cost.machine.planned_memory = done.planned_memory;
    })?;
    Ok(done)
}

/// The policy after the round: the trained one, or the start policy if nothing was trained. It is
/// validated if this round is due for validation (`validate_every`).
fn policy_after(
    run: &RunContext,
    dir: &RoundDir,
    start: &RoundPolicy,
    trained: &TrainDone,
    observer: &mut dyn Observer,
) -> Result<RoundPolicy, TrainError> {
    let mut policy_after = match &trained.not_trained {
        Some(reason) => {
            observer.log(&format!("round {}: nothing was trained: {reason}", dir.number));
            start.clone()
        }
        None => {
            let spec = dir.path.join(training::CHECKPOINT).to_string_lossy().into_owned();
            // In a resumed run, a finished round has a report. Its identity saves loading the checkpoint.
            let identity = match dir.report() {
                Some(report) => report.policy,
                None => run.policies.get(&spec)?.identity().to_owned(),
            };
            start.trained(dir.number, spec, identity)
        }
    };
    // `path.exists()`: if the run was extended, its former last round was validated although `validate_every`
    // may not select it now. Keep using those results.
    let path = dir.path.join(VALIDATION);
    if policy_after.validated_in.is_none() && (run.config.validates(dir.number) || path.exists()) {
        policy_after.validation = dir.timed(
            |seconds| &mut seconds.validate,
            || run.evaluator().validate(&policy_after.spec, &path, dir.number, observer),
        )?;
        policy_after.validated_in = Some(dir.number);
    }
    Ok(policy_after)
}

/// Estimates the KL divergence of the round's policy from the base policy on `kl_problems` validation
/// problems; `None` if nothing was trained, the round is not validated, or `kl_problems` is 0.
fn kl_to_base(
    run: &RunContext,
    dir: &RoundDir,
    policy_after: &RoundPolicy,
    observer: &mut dyn Observer,
) -> Result<Option<KlToBase>, TrainError> {
    let problems = &run.sets.validation;
    let problems = &problems[..problems.len().min(run.config.kl_problems)];
    let path = round_files::path_of(&dir.path, KL_SAMPLES);
    // As with the validation: the former last round of an extended run keeps its estimate.
    let estimated = run.config.validates(dir.number) || path.exists();
    if !estimated || policy_after.round != dir.number || problems.is_empty() {
        return Ok(None);
    }
    let estimate = KlEstimate {
        policy: &|| run.policies.get(&policy_after.spec),
        base: &|| run.policies.get(&run.config.policy),
        path: &path,
        round: dir.number,
        problems,
        max_tokens: run.config.search.max_solution_tokens,
        control: run.control,
    };
    dir.timed(|seconds| &mut seconds.kl, || estimate.run(observer))
}
