//! One round: search and extract pairs, train, validate, estimate the KL divergence from the base
//! policy, gate, report.
//!
//! [`super::finish`] calls [`round()`] with the policy that the round starts from. Everything a
//! round leaves is in its folder, and a phase whose files match their checksums is skipped
//! ([`super::phase`]), so a resumed run repeats nothing.

use super::candidate::{Finished, RoundPolicy};
use super::context::RunContext;
use super::kl_to_base;
use super::observer::Observer;
use super::phase::RoundDir;
use super::report::{EvalReport, GateReport, KlToBase, RoundReport, RoundTokens};
use super::round_files::{PROBE, VALIDATION};
use super::search::{self, SearchDone, SearchPhase};
use super::test_evaluation::EvalRow;
use super::training::{self, TrainDone, TrainPhase};
use super::validation::{ValidationJob, measure};
use super::{gate, prune};
use crate::TrainError;
use crate::artefact::{damage, read_checksummed, write_checksummed};
use crate::train::remove_damaged_states;

/// Round 0: validates the base policy; nothing is searched or trained.
pub(super) fn base(run: &RunContext, observer: &mut dyn Observer) -> Result<Finished, TrainError> {
    let dir = RoundDir::open(run, 0)?;
    let spec = run.config.policy.clone();
    let identity = run.policy(&spec)?.identity().to_owned();
    let validation = validate(run, &dir, &spec, observer)?;
    let report = RoundReport {
        validation: share_of(run, &validation),
        tokens: RoundTokens { validated: tokens(&validation), ..RoundTokens::default() },
        seconds: dir.cost().seconds,
        ..RoundReport::of(0, identity.clone())
    };
    write_checksummed(&dir.path.join("report.json"), &report)?;
    let candidate = RoundPolicy { round: 0, spec, identity, validation, validated: Some(0) };
    Ok(Finished { report, candidate })
}

/// Runs the phases of a round that are not finished yet.
pub(super) fn round(
    run: &RunContext,
    number: u32,
    start: &RoundPolicy,
    observer: &mut dyn Observer,
) -> Result<Finished, TrainError> {
    let dir = RoundDir::open(run, number)?;
    // 1. Grow trees, by default with the round's start policy, and extract pairs.
    let searched = search(run, &dir, start, observer)?;
    // 2. Train on the pairs.
    let trained = train(run, &dir, start, observer)?;
    // 3. Validate the trained policy.
    let candidate = candidate(run, &dir, start, &trained, observer)?;
    // 4. Estimate its KL divergence from the base policy.
    let kl_to_base = kl_to_base(run, &dir, &candidate, observer)?;
    // 5. Gate: decide whether the next round starts from it.
    let gate = gate::decide(&run.config, start, &candidate, trained.not_trained.as_deref());
    // 6. Report. Written last: its presence marks the round as finished.
    let parts = PhaseResults {
        dir: &dir,
        start,
        candidate: &candidate,
        searched,
        trained,
        gate,
        kl_to_base,
    };
    let report = parts.report(run);
    write_checksummed(&dir.path.join("report.json"), &report)?;
    Ok(Finished { report, candidate })
}

fn search(
    run: &RunContext,
    dir: &RoundDir,
    start: &RoundPolicy,
    observer: &mut dyn Observer,
) -> Result<SearchDone, TrainError> {
    let find_damage = |done: &SearchDone| Ok(damage(&dir.path, &done.checksums));
    dir.resume_or_run((search::DONE, |s| &mut s.search), observer, find_damage, |observer| {
        let spec = if run.config.on_policy { &start.spec } else { &run.config.policy };
        let before = run.dir.round(dir.number.saturating_sub(1)).join(search::DONE);
        let before: Option<SearchDone> = read_checksummed(&before)?;
        let phase = SearchPhase {
            dir: &dir.path,
            round: dir.number,
            config: &run.config,
            policy: run.policy(spec)?,
            verifier: run.verifier()?,
            judge: run.judge()?,
            problems: &run.sets.shard(dir.number, run.config.problems_per_round),
            threads: run.threads,
            control: run.control,
            likelihood: before.and_then(|done| done.statistics.likelihood),
        };
        let (done, usage) = phase.run(observer)?;
        dir.charge(|cost| cost.search = usage)?;
        Ok(done)
    })
}

fn train(
    run: &RunContext,
    dir: &RoundDir,
    start: &RoundPolicy,
    observer: &mut dyn Observer,
) -> Result<TrainDone, TrainError> {
    let find_damage = |done: &TrainDone| {
        Ok(damage(&dir.path, &prune::present(&dir.path, done.checksums.clone())?))
    };
    dir.resume_or_run((training::DONE, |s| &mut s.train), observer, find_damage, |observer| {
        prune::forget(&dir.path)?;
        run.control.check()?;
        for damaged in remove_damaged_states(&dir.path)? {
            observer.log(&format!("{damaged}; restarting this round's training"));
        }
        // Free the engine's weights and KV cache before training loads its own.
        run.unload_policy();
        let phase = TrainPhase {
            dir: &dir.path,
            round: dir.number,
            config: &run.config,
            start: &start.spec,
            weights: run.config.weights_of(&start.spec)?,
            initial: run.config.weights_of(&run.config.policy)?,
            served: run.config.weights.is_some().then_some(&run.load),
            start_dir: (start.round > 0).then(|| run.dir.round(start.round)),
            identity: &start.identity,
            earlier: (1..dir.number)
                .map(|round| run.dir.round(round).join(search::PAIRS))
                .collect(),
            threads: run.threads,
            dtype: run.dtype(),
            control: run.control,
        };
        let done = phase.run(observer)?;
        run.control.check()?;
        Ok(done)
    })
}

/// The policy after the round: the trained one, or the start policy if nothing was trained. It is
/// validated if this round is due for validation (`validate_every`).
fn candidate(
    run: &RunContext,
    dir: &RoundDir,
    start: &RoundPolicy,
    trained: &TrainDone,
    observer: &mut dyn Observer,
) -> Result<RoundPolicy, TrainError> {
    let mut candidate = match &trained.not_trained {
        Some(reason) => {
            observer.log(&format!("round {}: nothing was trained: {reason}", dir.number));
            start.clone()
        }
        None => {
            let spec = dir.path.join(training::CHECKPOINT).to_string_lossy().into_owned();
            let identity = identity(run, dir, &spec)?;
            RoundPolicy { round: dir.number, spec, identity, validated: None, ..start.clone() }
        }
    };
    // `validate_every` may not select this round now, but it was once the last round of a run that
    // has been extended since, and last rounds are always validated: keep using those results.
    let asked = run.config.validates(dir.number) || dir.path.join(VALIDATION).exists();
    if candidate.validated.is_none() && asked {
        candidate.validation = validate(run, dir, &candidate.spec, observer)?;
        candidate.validated = Some(dir.number);
    }
    Ok(candidate)
}

/// Identity of the policy that the round trained, from the round's report if it exists, so that a
/// resumed run need not load the checkpoint.
fn identity(run: &RunContext, dir: &RoundDir, spec: &str) -> Result<String, TrainError> {
    match read_checksummed::<RoundReport>(&dir.path.join("report.json")) {
        Ok(Some(report)) => Ok(report.policy),
        // Ignore a corrupted report: it is rewritten at the end of the round.
        Ok(None) | Err(_) => Ok(run.policy(spec)?.identity().to_owned()),
    }
}

/// Estimates the KL divergence of the round's policy from the base policy on `probe_problems`
/// validation problems; `None` if nothing was trained or the round is not validated.
fn kl_to_base(
    run: &RunContext,
    dir: &RoundDir,
    candidate: &RoundPolicy,
    observer: &mut dyn Observer,
) -> Result<Option<KlToBase>, TrainError> {
    let problems = &run.sets.validation;
    let problems = &problems[..problems.len().min(run.config.probe_problems)];
    if !run.config.validates(dir.number) || candidate.round != dir.number || problems.is_empty() {
        return Ok(None);
    }
    let probe = kl_to_base::Probed {
        path: &dir.path.join(PROBE),
        round: dir.number,
        problems,
        max_tokens: run.config.search.max_solution_tokens,
        control: run.control,
    };
    let mut policies =
        |is_base: bool| run.policy(if is_base { &run.config.policy } else { &candidate.spec });
    dir.timed(|s| &mut s.probe, || kl_to_base::measure(&probe, &mut policies, observer))
}

fn validate(
    run: &RunContext,
    dir: &RoundDir,
    spec: &str,
    observer: &mut dyn Observer,
) -> Result<Vec<EvalRow>, TrainError> {
    let path = &dir.path.join(VALIDATION);
    let problems = &run.sets.validation;
    let asked = ValidationJob { path, round: dir.number, phase: "validate", problems };
    dir.timed(|s| &mut s.evaluate, || measure(run, spec, &asked, observer))
}

/// Results of a round's phases, from which its report is made.
struct PhaseResults<'a> {
    dir: &'a RoundDir,
    start: &'a RoundPolicy,
    candidate: &'a RoundPolicy,
    searched: SearchDone,
    trained: TrainDone,
    gate: GateReport,
    kl_to_base: Option<KlToBase>,
}

impl PhaseResults<'_> {
    fn report(self, run: &RunContext) -> RoundReport {
        let Self { dir, start, candidate, searched, trained, gate, kl_to_base } = self;
        let statistics = searched.statistics;
        let mut pairs_dropped = statistics.pairs_dropped.clone();
        pairs_dropped.extend(trained.skipped);
        let changed = |before: bool| {
            let pairs = start.validation.iter().zip(&candidate.validation);
            pairs.filter(|(a, b)| (a.correct, b.correct) == (before, !before)).count() as u64
        };
        let asked = candidate.validated == Some(dir.number);
        RoundReport {
            validation: share_of(run, &candidate.validation),
            gate: Some(gate),
            validated: candidate.validated.is_some(),
            trained: trained.not_trained.is_none(),
            not_trained: trained.not_trained,
            problems: searched.problems,
            pairs: statistics.pairs,
            pairs_dropped,
            trees: statistics.trees,
            steps: trained.steps,
            tokens: RoundTokens {
                prompts: statistics.prompt_tokens,
                sampled: statistics.sampled_tokens,
                trained: trained.tokens,
                referenced: trained.reference_tokens,
                validated: if asked { tokens(&candidate.validation) } else { 0 },
            },
            metrics: trained.metrics,
            on_policy_share: trained.mix.on_policy as f64 / trained.mix.rows.max(1) as f64,
            replayed: trained.mix.replayed,
            kl_to_base,
            oracle: run.config.search.value.oracle,
            forgotten: changed(true),
            learned: changed(false),
            statistics,
            seconds: dir.cost().seconds,
            ..RoundReport::of(dir.number, candidate.identity.clone())
        }
    }
}

fn share_of(run: &RunContext, rows: &[EvalRow]) -> EvalReport {
    let task = run.sets.validation.first().map_or("", |problem| problem.source.as_str());
    EvalReport::of(task, rows)
}

fn tokens(rows: &[EvalRow]) -> u64 {
    rows.iter().map(|r| r.tokens).sum()
}
