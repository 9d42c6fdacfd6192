//! The second phase of a round: pairs (or solutions) become a checkpoint.
//!
//! Chooses the objective, the reference policy and the weights; [`crate::train`] computes the steps. The
//! checkpoint folder appears only when it is complete. `train.json` is written after it: it marks the phase
//! as finished and contains the files' checksums.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use candle_core::DType;
use regrowth_datasets::{
    JointPair, PreferencePair, StepLabel, read_joint_pairs, read_pairs, read_step_labels,
    stream_key, write_pairs,
};
use regrowth_mcts::console::Work;
use regrowth_policy::LoadOptions;
use regrowth_policy::candle::{SaveOptions, Source};
use serde::{Deserialize, Serialize};

use super::config::{Objective, ReferenceKind, RunConfig};
use super::external::{self, TrainerCall};
use super::observer::{Control, Observer};
use super::replay;
use super::round_policy::RoundPolicy;
use super::search::{JOINT_PAIRS, PAIRS, STEP_LABELS, TREES};
use super::served_check::{self, Expected};
use super::solutions::{RightSolution, right_solutions};
use crate::TrainError;
use crate::artefact::{Checksums, checksums, read_checksummed, remove};
use crate::train::{
    DpoConfig, DpoTrainer, Example, LoraConfig, Model, MultiRoundSchedule, OPTIMIZER,
    PreferenceData, Reference, Session, SftConfig, SftTrainer, StepProgress, plan_dpo, plan_sft,
};

/// Marker file of the phase.
pub(super) const DONE: &str = "train.json";
const METRICS: &str = "metrics.jsonl";
/// Folder of the trained checkpoint.
pub(super) const CHECKPOINT: &str = "checkpoint";

/// `train.json`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct TrainDone {
    /// Version of the file.
    pub(super) version: u32,
    /// Why nothing was trained; absent if there is a checkpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) not_trained: Option<String>,
    /// Number of optimizer steps.
    pub(super) steps: u64,
    /// Number of pairs or solutions left out, by reason.
    pub(super) skipped: BTreeMap<String, u64>,
    /// Number of tokens of forward and backward passes.
    pub(super) tokens: u64,
    /// Number of tokens of forward passes of the reference policy.
    pub(super) reference_tokens: u64,
    /// Last values of the metrics.
    pub(super) metrics: BTreeMap<String, f64>,
    /// Origin of the trained rows.
    pub(super) mix: Mix,
    /// Checksums of the checkpoint's files and of the metrics.
    pub(super) checksums: Checksums,
    /// Planned memory in bytes. Stored in `cost.json` and not here, because it depends on the thread count.
    #[serde(skip)]
    pub(super) planned_memory: Option<u64>,
}

/// Number of pairs or solutions that the round in this folder trained on; `None` if it did not train.
pub(crate) fn rows_trained(round: &Path) -> Option<u64> {
    let done: TrainDone = read_checksummed(&round.join(DONE)).ok()??;
    // Skipped step labels are not counted as rows.
    let rows = done.skipped.iter().filter(|(reason, _)| !reason.starts_with("step label"));
    let skipped: u64 = rows.map(|(_, n)| n).sum();
    done.not_trained.is_none().then(|| done.mix.rows.saturating_sub(skipped))
}

/// Numbers of training rows by origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Mix {
    /// Number of pairs, including joint pairs, or of solutions.
    pub(super) rows: u64,
    /// Number of rows sampled by the round's start policy.
    pub(super) on_policy: u64,
    /// Number of rows drawn from earlier rounds.
    pub(super) replayed: u64,
}

/// The inputs of a round's training.
pub(super) struct TrainPhase<'a> {
    pub(super) dir: &'a Path,
    pub(super) round: u32,
    pub(super) config: &'a RunConfig,
    /// Policy that the round starts from.
    pub(super) start: &'a RoundPolicy,
    /// Weights of `start`; `None` if the policy has no weights to train.
    pub(super) weights: Option<Source>,
    /// Weights of the base policy (round 0).
    pub(super) base: Option<Source>,
    /// Load options of policies. `dtype` is the compute dtype of the frozen base weights in LoRA training.
    pub(super) load: &'a LoadOptions,
    /// Folder of the round that trained the start policy; `None` for the base policy.
    pub(super) start_dir: Option<PathBuf>,
    /// Folders of the rounds before this one, the first round first.
    pub(super) earlier: Vec<PathBuf>,
    pub(super) threads: usize,
    pub(super) control: &'a Control,
}

impl TrainPhase<'_> {
    /// Runs the training. Returns the content of `train.json`, with `not_trained` set if nothing was trained.
    pub(super) fn run(&self, observer: &mut dyn Observer) -> Result<TrainDone, TrainError> {
        // Checked before training, so that the run fails early if its server has loaded other weights than
        // the start policy's.
        let expected = self.expected()?;
        let mut done = match (&self.config.trainer_command, &self.weights) {
            (Some(command), _) => self.external(command, observer)?,
            (None, Some(weights)) => self.train(weights, observer)?,
            (None, None) => TrainDone {
                not_trained: Some(format!(
                    "the policy `{}` has no weights to train",
                    self.start.spec
                )),
                ..TrainDone::default()
            },
        };
        done.version = 1;
        if done.not_trained.is_none() {
            if let (Some(expected), Some(load)) = (expected, self.served()) {
                expected.write(self.dir, load)?;
            }
            done.checksums = result_checksums(self.dir)?;
        }
        Ok(done)
    }

    /// Load options of the in-process engine that scores the trained weights for comparison with the
    /// server's answers; `None` if the policy is not served.
    fn served(&self) -> Option<&LoadOptions> {
        self.config.weights.is_some().then_some(self.load)
    }

    /// Scores the round's first pairs with the start policy's weights in this process and compares the scores
    /// with those that the server recorded when it sampled the pairs. `None` if the policy is not served.
    /// After training, [`Expected::write`] adds the scores of the trained weights.
    ///
    /// # Errors
    /// [`TrainError::Setting`] if the scores differ, i.e. the server has loaded other weights.
    fn expected(&self) -> Result<Option<Expected>, TrainError> {
        let (Some(load), Some(weights)) = (self.served(), &self.weights) else { return Ok(None) };
        remove(&self.dir.join(served_check::FILE))?;
        Expected::before(self.dir, (&weights.name(), &self.start.identity), load)
    }

    fn train(
        &self,
        weights: &Source,
        observer: &mut dyn Observer,
    ) -> Result<TrainDone, TrainError> {
        match self.config.objective {
            Objective::Preferences => self.preferences(weights, observer),
            Objective::ChosenSteps => {
                let (pairs, mix) = self.pairs()?;
                let examples = pairs.into_iter().map(chosen_example).collect();
                self.supervised(weights, (examples, mix), observer)
            }
            Objective::CorrectSolutions => {
                let solutions = self.right_solutions()?;
                let on_policy =
                    solutions.iter().filter(|s| s.policy == self.start.identity).count();
                let mix = Mix {
                    rows: solutions.len() as u64,
                    on_policy: on_policy as u64,
                    replayed: solutions.iter().filter(|s| s.earlier).count() as u64,
                };
                let examples = solutions.into_iter().map(|solution| solution.example).collect();
                self.supervised(weights, (examples, mix), observer)
            }
        }
    }

    fn preferences(
        &self,
        weights: &Source,
        observer: &mut dyn Observer,
    ) -> Result<TrainDone, TrainError> {
        let (pairs, mut mix) = self.pairs()?;
        let joint_pairs = self.joint_pairs(&mut mix)?;
        if let Some(done) = self.too_few(mix) {
            return Ok(done);
        }
        let model = self.model(weights, self.config.dpo.lora.as_ref())?;
        let other = match (self.config.reference, &self.base) {
            (ReferenceKind::Initial, Some(initial)) => Some(Model::load(initial.clone(), None, 0)?),
            _ => None,
        };
        let reference = other.as_ref().map_or(Reference::RoundStart, Reference::Model);
        let config = DpoConfig { seed: self.seed(self.config.dpo.seed), ..self.config.dpo.clone() };
        let step_labels = self.step_labels()?;
        let data = PreferenceData {
            joint_pairs: &joint_pairs,
            step_labels: &step_labels,
            ..pairs.as_slice().into()
        };
        let plan = plan_dpo(&model, data, &config, self.threads)?;
        plan.check()?;
        observer.log(&format!("round {}: {plan}", self.round));
        observer.begin(self.round, "train", 0, Work::Items);
        let session = Session {
            threads: self.threads,
            dir: Some(self.dir),
            across_rounds: self.across_rounds(),
        };
        let mut on_step = |p: &StepProgress| self.on_step(p, observer);
        let summary = DpoTrainer { model: &model, reference: &reference, config: &config, session }
            .train(data, &mut on_step)?;
        observer.end();
        if let Some(warning) = summary.low_learning_rate_warning(&config) {
            observer.log(&format!("round {}: {warning}", self.round));
        }
        self.save(&model)?;
        Ok(TrainDone {
            steps: summary.steps as u64,
            skipped: summary.skipped.into_iter().map(|(k, v)| (k, v as u64)).collect(),
            tokens: summary.tokens,
            reference_tokens: summary.reference_tokens,
            metrics: summary.metrics,
            mix,
            planned_memory: Some(plan.total()),
            ..TrainDone::default()
        })
    }

    /// Loads the model to train: the full model, or with LoRA the base model with the adapter of the previous
    /// rounds.
    fn model(&self, weights: &Source, lora: Option<&LoraConfig>) -> Result<Model, TrainError> {
        let model = match lora {
            Some(lora) => Model::load_adapter(weights.clone(), lora, self.seed(0)),
            None => Model::load(weights.clone(), None, 0),
        };
        Ok(model?.with_frozen_dtype(self.load.dtype))
    }

    /// Writes the result: a full checkpoint, or one adapter of the base model.
    fn save(&self, model: &Model) -> Result<(), TrainError> {
        let dir = self.dir.join(CHECKPOINT);
        match model.variables.lora() {
            Some(_) => model.save_adapter(&dir, DType::F32),
            None => model.save(&dir, SaveOptions::default()),
        }
    }

    /// Returns the planned steps of the run and the folder with the previous optimizer state if
    /// training continues across rounds (`carry_optimizer`); otherwise `None`.
    fn across_rounds(&self) -> Option<MultiRoundSchedule<'_>> {
        let before = self.start_dir.as_deref().filter(|dir| dir.join(OPTIMIZER).is_dir());
        let steps = self.config.planned_steps();
        self.config.carry_optimizer.then_some(MultiRoundSchedule { steps, before })
    }

    fn supervised(
        &self,
        weights: &Source,
        (mut examples, mix): (Vec<Example>, Mix),
        observer: &mut dyn Observer,
    ) -> Result<TrainDone, TrainError> {
        let model = self.model(weights, self.config.sft.lora.as_ref())?;
        let before = examples.len();
        let context = model.config.context;
        examples.retain(|e| e.prompt.len() + e.completion.len() <= context);
        let long = (before - examples.len()) as u64;
        if let Some(done) = self.too_few(Mix { rows: examples.len() as u64, ..mix }) {
            return Ok(done);
        }
        let config = SftConfig { seed: self.seed(self.config.sft.seed), ..self.config.sft.clone() };
        let plan = plan_sft(&model, &examples, &config, self.threads)?;
        plan.check()?;
        observer.log(&format!("round {}: {plan}", self.round));
        observer.begin(self.round, "train", 0, Work::Items);
        let mut on_step = |p: &StepProgress| self.on_step(p, observer);
        let summary = SftTrainer {
            model: &model,
            config: &config,
            session: Session::new(self.threads, Some(self.dir)),
        }
        .train(&examples, &[], &mut on_step)?;
        observer.end();
        self.save(&model)?;
        let skipped = [("longer than the context".to_owned(), long)];
        Ok(TrainDone {
            steps: summary.steps as u64,
            skipped: skipped.into_iter().filter(|(_, n)| *n > 0).collect(),
            tokens: summary.tokens,
            metrics: [("nll".to_owned(), summary.loss)].into(),
            mix,
            planned_memory: Some(plan.total()),
            ..TrainDone::default()
        })
    }

    fn external(
        &self,
        command: &str,
        observer: &mut dyn Observer,
    ) -> Result<TrainDone, TrainError> {
        let (pairs, mix) = self.pairs()?;
        if let Some(done) = self.too_few(mix) {
            return Ok(done);
        }
        // If a served round started from an adapter, the external trainer gets a merged copy, which is
        // removed afterwards.
        let (base, merged) = (self.dir.with_file_name("initial"), self.dir.join("start"));
        let written = if self.start_dir.is_none() { &base } else { &merged };
        let policy = folder(&self.weights, &self.start.spec, written)?;
        let reference = match self.config.reference {
            ReferenceKind::Initial => folder(&self.base, &self.config.policy, &base)?,
            ReferenceKind::RoundStart => policy.clone(),
        };
        let call = TrainerCall {
            run: self.dir.parent().unwrap_or(self.dir),
            dir: self.dir,
            round: self.round,
            policy: &policy,
            reference: &reference,
            pairs: &self.pairs_file(&pairs, mix)?,
            out: &self.dir.join(CHECKPOINT),
            seed: self.seed(self.config.dpo.seed),
            served: self.served().and(self.weights.as_ref()),
        };
        observer.begin(self.round, "train", 0, Work::Items);
        external::run_trainer(command, &call, self.control)?;
        if merged.is_dir() {
            std::fs::remove_dir_all(&merged).map_err(TrainError::io(&merged))?;
        }
        observer.end();
        Ok(TrainDone { mix, ..TrainDone::default() })
    }

    /// The file of the pairs to train on: the round's own, or one with replayed pairs as well.
    fn pairs_file(&self, pairs: &[PreferencePair], mix: Mix) -> Result<PathBuf, TrainError> {
        if mix.replayed == 0 {
            return Ok(self.dir.join(PAIRS));
        }
        let mixed = self.dir.join("mixed_pairs.jsonl");
        write_pairs(&mixed, pairs)?;
        Ok(mixed)
    }

    /// The pairs to train on: the round's own and those drawn from earlier rounds.
    fn pairs(&self) -> Result<(Vec<PreferencePair>, Mix), TrainError> {
        let mut pairs = read_pairs(&self.dir.join(PAIRS))?;
        let fresh = pairs.len();
        let count = replay::count(self.config.replay, fresh);
        let earlier: Vec<PathBuf> = self.earlier.iter().map(|dir| dir.join(PAIRS)).collect();
        pairs.extend(replay::draw(&earlier, count, self.seed(self.config.dpo.seed))?);
        let mut on_policy = 0;
        for pair in &mut pairs {
            // Recorded log-probabilities can serve as those of the start policy only if the start policy
            // sampled the pair.
            let own = pair.policy == self.start.identity;
            pair.logps_exact &= own;
            on_policy += u64::from(own);
        }
        let replayed = (pairs.len() - fresh) as u64;
        let mix = Mix { rows: pairs.len() as u64, on_policy, replayed };
        Ok((pairs, mix))
    }

    /// The right solutions to train on: the round's own and, with `keep_solutions`, earlier ones.
    fn right_solutions(&self) -> Result<Vec<RightSolution>, TrainError> {
        let earlier: &[PathBuf] = if self.config.keep_solutions { &self.earlier } else { &[] };
        let newest_first =
            std::iter::once(self.dir).chain(earlier.iter().rev().map(PathBuf::as_path));
        let trees: Vec<PathBuf> = newest_first.map(|dir| dir.join(TREES)).collect();
        right_solutions(&trees, self.config.max_solutions)
    }

    /// Returns the round's joint pairs, counted in `mix`, if there may be some (`pairs.joint` above 0).
    fn joint_pairs(&self, mix: &mut Mix) -> Result<Vec<JointPair>, TrainError> {
        if self.config.pairs.joint == 0 {
            return Ok(vec![]);
        }
        let mut pairs = read_joint_pairs(&self.dir.join(JOINT_PAIRS))?;
        for pair in &mut pairs {
            let own = pair.policy == self.start.identity;
            pair.right.logps_exact &= own;
            pair.wrong.logps_exact &= own;
            mix.on_policy += u64::from(own);
        }
        mix.rows += pairs.len() as u64;
        Ok(pairs)
    }

    /// Returns the round's step labels if the judge is trained (`judge.weight` above 0); otherwise
    /// none.
    fn step_labels(&self) -> Result<Vec<StepLabel>, TrainError> {
        let taught = self.config.dpo.judge.weight > 0.0;
        let path = self.dir.join(STEP_LABELS);
        Ok(if taught { read_step_labels(&path)? } else { vec![] })
    }

    /// The result of a round with fewer rows than `min_pairs`; `None` if there are enough.
    fn too_few(&self, mix: Mix) -> Option<TrainDone> {
        let (found, wanted) = (mix.rows, self.config.min_pairs.max(1) as u64);
        let (rows, why) = match self.config.objective {
            Objective::CorrectSolutions => ("right solutions", ""),
            _ => ("pairs", "; `pairs_dropped` in the round's report says why there are no more"),
        };
        (found < wanted).then(|| TrainDone {
            not_trained: Some(format!(
                "{found} {rows}, fewer than `min_pairs` = {wanted}: the model would memorise them{why}"
            )),
            mix,
            ..TrainDone::default()
        })
    }

    /// Reports a step to the observer. Returns `Break` if the run was cancelled.
    fn on_step(&self, progress: &StepProgress, observer: &mut dyn Observer) -> ControlFlow<()> {
        observer.step(progress);
        if self.control.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Returns a seed derived from `seed` and the number of the round.
    fn seed(&self, seed: u64) -> u64 {
        stream_key(seed, &[b"round", &u64::from(self.round).to_le_bytes()])
    }
}

/// Checksums of a round's metrics, of `served.json` if there is one, and of all files in the folders of its
/// checkpoint and optimizer.
fn result_checksums(dir: &Path) -> Result<Checksums, TrainError> {
    let mut names = BTreeSet::new();
    for name in [METRICS, served_check::FILE] {
        if dir.join(name).is_file() {
            names.insert(name.to_owned());
        }
    }
    for name in [CHECKPOINT, OPTIMIZER] {
        let folder = dir.join(name);
        if name == OPTIMIZER && !folder.is_dir() {
            continue;
        }
        for entry in std::fs::read_dir(&folder).map_err(TrainError::io(&folder))? {
            let entry = entry.map_err(TrainError::io(&folder))?;
            if entry.path().is_file() {
                names.insert(format!("{name}/{}", entry.file_name().to_string_lossy()));
            }
        }
    }
    checksums(dir, &names.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Path of the weights as a checkpoint folder for an external trainer. Weights that are not a folder
/// (GGUF, adapter, bundled) are saved to `written`. Returns `spec` for a policy without weights.
fn folder(source: &Option<Source>, spec: &str, written: &Path) -> Result<String, TrainError> {
    let as_folder = |source| external::as_folder(source, written);
    source.as_ref().map_or_else(|| Ok(spec.to_owned()), as_folder)
}

fn chosen_example(pair: PreferencePair) -> Example {
    Example { prompt: pair.prompt_ids, completion: pair.chosen_ids, weight: pair.weight as f32 }
}
