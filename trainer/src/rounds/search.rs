//! The search phase of a round: grows trees, stores each as soon as it is finished, and extracts pairs.
//!
//! Trees are written in the order of the problems, so an interrupted search resumes after the last stored
//! tree. Pairs and round statistics are a pure function of the complete `trees.jsonl`. The file is read as a
//! stream, so memory does not grow with the number of problems.
//!
//! If the judge is fitted to outcomes, the first `calibration_problems` of the round are searched with the
//! previous round's fit. Then the judge is fitted to their outcomes and used for the other problems
//! ([`super::calibration`]).

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use regrowth_datasets::{Problem, stream_key, write_jsonl};
use regrowth_mcts::calibration::JudgedSolutions;
use regrowth_mcts::config::JudgePolicy;
use regrowth_mcts::console::Work;
use regrowth_mcts::driver::SearchObserver;
use regrowth_mcts::fitted::{FittedJudge, JudgeFit};
use regrowth_mcts::labels::extract_step_labels;
use regrowth_mcts::pairs::{JointPairs, extract_rows};
use regrowth_mcts::{RunOptions, Search, SearchConfig, SkipReason, TreeRecord, extract_pairs};
use regrowth_policy::{Policy, Recording, Usage};
use regrowth_verifiers::Verifier;
use serde::{Deserialize, Serialize};

use super::calibration;
use super::config::RunConfig;
use super::journal::{self, Calls, Sink};
use super::observer::{Control, Observer};
use super::statistics::RoundStatistics;
use crate::TrainError;
use crate::artefact::{Checksums, checksums};

pub(super) const TREES: &str = "trees.jsonl";
pub(super) const PAIRS: &str = "pairs.jsonl";
pub(super) const STEP_LABELS: &str = "step_labels.jsonl";
pub(super) const JOINT_PAIRS: &str = "joint_pairs.jsonl";
/// Marker file of the phase.
pub(super) const DONE: &str = "search.json";

/// `search.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct SearchDone {
    /// Version of the file.
    pub(super) version: u32,
    /// Identity of the policy that was used for the search.
    pub(super) policy: String,
    /// Number of problems of the round.
    pub(super) problems: u64,
    /// Round statistics: counts over trees and pairs.
    pub(super) statistics: RoundStatistics,
    /// Checksums of the files of this phase.
    pub(super) checksums: Checksums,
}

/// Inputs of the search phase.
pub(super) struct SearchPhase<'a> {
    pub(super) dir: &'a Path,
    pub(super) round: u32,
    pub(super) config: &'a RunConfig,
    pub(super) policy: Arc<dyn Policy>,
    pub(super) verifier: Arc<dyn Verifier>,
    /// Policy that judges in place of `policy`.
    pub(super) judge: Option<JudgePolicy>,
    pub(super) problems: &'a [Problem],
    pub(super) threads: usize,
    pub(super) control: &'a Control,
    /// Fit that a fitted judge uses for the first problems of the round.
    pub(super) calibration: FittedJudge,
}

/// Counts for the progress display.
#[derive(Clone, Copy, Default)]
struct Tally {
    grown: u64,
    right: u64,
}

/// Writes trees in the order of their problems and reports progress.
struct Watch<'w, 's> {
    observer: &'w mut dyn Observer,
    sink: &'w mut Sink<'s, TreeRecord>,
    control: &'w Control,
    /// Log of the model calls of trees that are not written yet.
    log: &'w Recording,
    tally: Tally,
    /// The first write error; it cancels the search.
    written: Result<(), TrainError>,
    /// Number of trees delivered so far.
    delivered: usize,
    /// Maximum number of trees in flight.
    window: usize,
    /// Value of `delivered` at which the log is rotated next.
    due: usize,
}

impl<'w, 's> Watch<'w, 's> {
    fn new(
        observer: &'w mut dyn Observer,
        sink: &'w mut Sink<'s, TreeRecord>,
        control: &'w Control,
        log: &'w Recording,
    ) -> Self {
        let window = RunOptions::default().window(log);
        let (tally, written) = (Tally::default(), Ok(()));
        Self { observer, sink, control, log, tally, written, delivered: 0, window, due: window }
    }

    /// Writes a tree and rotates the log every `window` trees. At most `window` trees are in flight, so by
    /// then all trees that made the calls before the previous rotation have been written, and these calls can
    /// be dropped.
    fn write(
        &mut self,
        id: &str,
        result: Result<TreeRecord, SkipReason>,
    ) -> Result<(), TrainError> {
        if let Ok(tree) = result {
            (self.sink)(id, &tree)?;
        }
        self.delivered += 1;
        if self.delivered >= self.due {
            self.log.rotate()?;
            self.due = self.delivered + self.window;
        }
        Ok(())
    }
}

impl SearchObserver for Watch<'_, '_> {
    fn ended(&mut self, tree: Option<&TreeRecord>) {
        self.tally.grown += u64::from(tree.is_some());
        self.tally.right += u64::from(tree.is_some_and(|tree| tree.correct));
        let Tally { right, grown } = self.tally;
        let message = format!("{right} of {grown} committed answers right");
        self.observer.advance(tree.map_or(0, |tree| tree.simulations), message);
    }

    fn delivered(&mut self, problem: &Problem, result: Result<TreeRecord, SkipReason>) {
        if self.written.is_ok() {
            self.written = self.write(&problem.id, result);
            if self.written.is_err() {
                self.control.cancel();
            }
        }
    }
}

impl SearchPhase<'_> {
    /// Searches the problems that have no tree yet, then extracts pairs. Returns the content of `search.json`
    /// and the model's token usage in this call.
    pub(super) fn run(
        &self,
        observer: &mut dyn Observer,
    ) -> Result<(SearchDone, Usage), TrainError> {
        let mut usage = Usage::default();
        journal::complete(
            &self.dir.join(TREES),
            self.problems,
            observer,
            &mut |todo, see, sink| {
                usage += self.grow(todo, see, sink)?;
                Ok(())
            },
        )?;
        let (statistics, probes) = self.extract()?;
        let mut files = [vec![TREES, PAIRS], probes].concat();
        if statistics.joint.is_some() {
            files.push(JOINT_PAIRS);
        }
        if self.config.dpo.judge.weight > 0.0 {
            self.cut_step_labels()?;
            files.push(STEP_LABELS);
        }
        let done = SearchDone {
            version: 1,
            policy: self.policy.identity().to_owned(),
            problems: self.problems.len() as u64,
            statistics,
            checksums: checksums(self.dir, &files)?,
        };
        Ok((done, usage))
    }

    /// Grows the trees of `problems`, the problems of the round without a tree. The first
    /// `calibration_problems` of the round are judged with the previous round's fit, the others with a fit to
    /// the outcomes of the first.
    fn grow(
        &self,
        problems: &[Problem],
        observer: &mut dyn Observer,
        sink: &mut Sink<TreeRecord>,
    ) -> Result<Usage, TrainError> {
        let simulated = Arc::<AtomicU64>::default();
        let work = match self.config.search.most_simulations() {
            0 => Work::Items,
            most => Work::Counted(simulated.clone(), most),
        };
        observer.begin(self.round, "search", self.problems.len(), work);
        observer.skip(self.problems.len() - problems.len());
        let trees = self.dir.join(TREES);
        let log = journal::recorded(&trees, Calls::Own, self.policy.clone(), observer)?;
        let judge = self.recorded_judge(&trees, observer)?;
        let policy = &*self.config.search.value.judge_by(log.clone(), judge.as_ref())?;
        let first = self.calibrating();
        let (calibrating, rest) = calibration::part(problems, first);
        // Trees of the first problems that an earlier, interrupted search has written or that are intact
        // before a repair.
        let mut known = self.known(first)?;
        let control = self.control;
        let mut keep = |id: &str, tree: &TreeRecord| {
            if calibration::has(first, id) {
                known.insert(id.to_owned(), tree.clone());
            }
            sink(id, tree)
        };
        let mut watch = Watch::new(&mut *observer, &mut keep, control, &log);
        let mut usage =
            self.search((policy, calibrating), &self.calibration, &simulated, &mut watch)?;
        let tally = watch.tally;
        let judge = match rest.is_empty() {
            true => self.calibration.clone(),
            false => calibration::found(first, &known, &self.calibration).or(&self.calibration),
        };
        let mut watch = Watch { tally, ..Watch::new(&mut *observer, sink, control, &log) };
        usage += self.search((policy, rest), &judge, &simulated, &mut watch)?;
        if let Some(JudgePolicy { policy, meter }) = &self.judge {
            let (name, calls, tokens) = (policy.identity(), meter.calls(), meter.tokens());
            watch.observer.log(&format!(
                "the judge {name} has given {calls} judgements for {tokens} tokens in this process"
            ));
        }
        let grown = watch.tally.grown;
        if grown == 0 && !problems.is_empty() && problems.len() == self.problems.len() {
            let detail = "every problem of the round was skipped; the reasons are above";
            return Err(TrainError::Unmeasured(format!("round {}: {detail}", self.round)));
        }
        observer.end();
        Ok(usage)
    }

    /// Returns the judge policy with its calls logged until the trees are complete; `None` if there is none.
    fn recorded_judge(
        &self,
        trees: &Path,
        observer: &mut dyn Observer,
    ) -> Result<Option<JudgePolicy>, TrainError> {
        let Some(JudgePolicy { policy, meter }) = self.judge.clone() else { return Ok(None) };
        let policy = journal::recorded(trees, Calls::Judge, policy, observer)?;
        Ok(Some(JudgePolicy { policy, meter }))
    }

    /// Reads the intact trees of the `first` problems from the disk, by problem id.
    fn known(&self, first: &[Problem]) -> Result<BTreeMap<String, TreeRecord>, TrainError> {
        journal::intact(&self.dir.join(TREES), &|id| calibration::has(first, id))
    }

    /// The first problems of the round, whose outcomes the judge of the other problems is fitted to.
    fn calibrating(&self) -> &[Problem] {
        calibration::calibrating(self.config, self.problems)
    }

    /// Grows the trees of `problems`; a fitted judge uses `fitted`. Skipped problems are logged.
    ///
    /// # Errors
    /// [`TrainError::Interrupted`] if cancelled; errors of the policy, the search or the disk.
    fn search(
        &self,
        (policy, problems): (&dyn Policy, &[Problem]),
        fitted: &FittedJudge,
        simulated: &Arc<AtomicU64>,
        watch: &mut Watch<'_, '_>,
    ) -> Result<Usage, TrainError> {
        if problems.is_empty() {
            return Ok(Usage::default());
        }
        let seed = &[b"round".as_slice(), &u64::from(self.round).to_le_bytes()];
        let mut config = SearchConfig {
            seed: stream_key(self.config.search.seed, seed),
            ..self.config.search.clone()
        };
        config.value.likelihood = fitted.likelihood;
        let options = RunOptions {
            threads: self.threads,
            round: self.round,
            judge: self.judge.as_ref().map(|judge| judge.policy.identity().to_owned()),
            cancel: self.control.cancel.clone(),
            simulated: simulated.clone(),
            ..RunOptions::default()
        };
        let verifier = &*self.verifier;
        let summary = Search::new(policy, verifier, &config)
            .options(&options)
            .probe(fitted.probe.clone())
            .observe(problems, watch)?;
        std::mem::replace(&mut watch.written, Ok(()))?;
        if summary.cancelled {
            return Err(TrainError::Interrupted);
        }
        for (reason, count) in &summary.skipped {
            let example = summary.skipped_examples.iter().find(|(_, r)| r.starts_with(reason));
            let example = example.map(|(id, why)| format!(", e.g. {id}: {why}"));
            let example = example.unwrap_or_default();
            watch.observer.log(&format!("{count} problems skipped: {reason}{example}"));
        }
        Ok(summary.usage)
    }

    /// Extracts the pairs of all trees into `pairs.jsonl` and, if the settings ask for them, joint pairs into
    /// `joint_pairs.jsonl`; computes the round statistics and fits the judges. Returns the statistics and the
    /// names of the probe files.
    fn extract(&self) -> Result<(RoundStatistics, Vec<&'static str>), TrainError> {
        let mut statistics = RoundStatistics::default();
        let mut solutions = JudgedSolutions::default();
        let mut verified = JudgeFit::default();
        let most_joint = self.config.pairs.joint;
        let mut joint = JointPairs::default();
        extract_rows(&[self.dir.join(TREES)], &self.dir.join(PAIRS), |tree| {
            let extracted = extract_pairs(tree, &self.config.pairs);
            statistics.add(tree, &extracted);
            if most_joint > 0 {
                joint.add(tree);
            }
            solutions.add(tree, &*self.verifier);
            verified.add(tree, &*self.verifier);
            extracted.pairs
        })?;
        if most_joint > 0 {
            let (pairs, counts) = joint.pairs(most_joint);
            write_jsonl(&self.dir.join(JOINT_PAIRS), &pairs)?;
            statistics.joint = Some(counts);
        }
        statistics.self_evaluation = solutions.calibration();
        let all = verified.found(&self.calibration);
        (statistics.likelihood, statistics.held_out) = (all.likelihood, all.held_out);
        let (first, value) = (self.calibrating(), &self.config.search.value);
        let mut first_probe = None;
        if !first.is_empty() {
            let judge = calibration::found(first, &self.known(first)?, &self.calibration)
                .or(&self.calibration);
            statistics.calibrated = value.judges_likelihoods().then_some(judge.likelihood);
            first_probe = judge.probe.filter(|_| value.judges_states());
        }
        let files = calibration::keep_probes(self.dir, &mut statistics, [all.probe, first_probe])?;
        Ok((statistics, files))
    }

    /// Extracts the judge's training examples into `step_labels.jsonl`.
    fn cut_step_labels(&self) -> Result<(), TrainError> {
        let rules = &self.config.step_labels;
        Ok(extract_rows(&[self.dir.join(TREES)], &self.dir.join(STEP_LABELS), |tree| {
            extract_step_labels(tree, rules)
        })?)
    }
}

#[cfg(test)]
mod tests;
