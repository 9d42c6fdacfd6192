//! The second phase of a round: pairs (or solutions) become a checkpoint.
//!
//! Which objective, against which reference, from which weights; how a step is computed is
//! [`crate::train`]'s business. A checkpoint appears whole, and `train.json` after it says that the
//! phase is done and what the files' checksums are.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::Path;

use candle_core::Device;
use regrowth_datasets::{PreferencePair, TokenId, read_pairs, stream_key};
use regrowth_mcts::{TreeRecord, read_trees};
use regrowth_policy::candle::{Checkpoint, SaveOptions, Source};
use serde::{Deserialize, Serialize};

use super::config::{Objective, ReferenceKind, RunConfig};
use super::driver::{Control, Observer};
use super::external::{Hand, hand_off};
use super::search::{PAIRS, TREES};
use crate::TrainError;
use crate::artefact::{Checksums, checksums, write_json};
use crate::train::{
    DpoConfig, Example, Model, Progress, Reference, SftConfig, train_dpo, train_sft,
};

/// The file whose presence says that the phase is done.
pub(super) const DONE: &str = "train.json";
/// Folder of the trained candidate.
pub(super) const CHECKPOINT: &str = "checkpoint";

/// `train.json`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct TrainDone {
    /// Version of the file.
    pub(super) version: u32,
    /// Why nothing was trained; absent where there is a checkpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) not_trained: Option<String>,
    /// Optimizer steps.
    pub(super) steps: u64,
    /// Pairs or solutions left out, by reason.
    pub(super) skipped: BTreeMap<String, u64>,
    /// Tokens through forward and backward.
    pub(super) tokens: u64,
    /// Tokens through reference forwards.
    pub(super) reference_tokens: u64,
    /// Last values of the metrics.
    pub(super) metrics: BTreeMap<String, f64>,
    /// Checksums of the checkpoint's files.
    pub(super) checksums: Checksums,
}

/// What training needs.
pub(super) struct TrainPhase<'a> {
    pub(super) dir: &'a Path,
    pub(super) round: u32,
    pub(super) config: &'a RunConfig,
    /// Policy that the round starts from, as a specification.
    pub(super) start: &'a str,
    /// Its weights; `None` where there are none to train.
    pub(super) weights: Option<Source>,
    /// Weights of round 0.
    pub(super) initial: Option<Source>,
    /// Whether the start policy sampled the pairs.
    pub(super) on_policy: bool,
    pub(super) threads: usize,
    pub(super) control: &'a Control,
}

impl TrainPhase<'_> {
    /// Trains, or says why not.
    pub(super) fn run(&self, observer: &mut dyn Observer) -> Result<TrainDone, TrainError> {
        let mut done = match (&self.config.trainer_command, &self.weights) {
            (Some(command), _) => self.external(command, observer)?,
            (None, Some(weights)) => self.train(weights, observer)?,
            (None, None) => TrainDone {
                not_trained: Some(format!("the policy `{}` has no weights to train", self.start)),
                ..TrainDone::default()
            },
        };
        done.version = 1;
        if done.not_trained.is_none() {
            done.checksums = checkpoint_checksums(self.dir)?;
        }
        write_json(&self.dir.join(DONE), &done)?;
        Ok(done)
    }

    fn train(
        &self,
        weights: &Source,
        observer: &mut dyn Observer,
    ) -> Result<TrainDone, TrainError> {
        match self.config.objective {
            Objective::Preferences => self.preferences(weights, observer),
            Objective::ChosenSteps => {
                let pairs = read_pairs(&self.dir.join(PAIRS))?;
                let examples = pairs.into_iter().map(chosen_example).collect();
                self.supervised(weights, examples, observer)
            }
            Objective::CorrectSolutions => {
                let examples = right_solutions(&self.dir.join(TREES), self.config.max_solutions)?;
                self.supervised(weights, examples, observer)
            }
        }
    }

    fn preferences(
        &self,
        weights: &Source,
        observer: &mut dyn Observer,
    ) -> Result<TrainDone, TrainError> {
        let pairs = read_pairs(&self.dir.join(PAIRS))?;
        if let Some(done) = self.too_few(pairs.len()) {
            return Ok(done);
        }
        let model = load(weights)?;
        // Log-probabilities recorded while sampling are the start policy's only on policy.
        let other = match (self.config.reference, &self.initial) {
            (ReferenceKind::Initial, Some(initial)) => Some(load(initial)?),
            (ReferenceKind::RoundStart, _) if !self.on_policy => Some(load(weights)?),
            _ => None,
        };
        let reference = other.as_ref().map_or(Reference::RoundStart, Reference::Model);
        let config = DpoConfig { seed: self.seed(self.config.dpo.seed), ..self.config.dpo.clone() };
        observer.begin(self.round, "train", 0);
        let mut on_step = |p: &Progress| self.on_step(p, observer);
        let summary = train_dpo(
            &model,
            &pairs,
            &reference,
            &config,
            self.threads,
            Some(self.dir),
            &mut on_step,
        )?;
        observer.end();
        model.save(&self.dir.join(CHECKPOINT), SaveOptions::default())?;
        Ok(TrainDone {
            steps: summary.steps as u64,
            skipped: summary.skipped.into_iter().map(|(k, v)| (k, v as u64)).collect(),
            tokens: summary.tokens,
            reference_tokens: summary.reference_tokens,
            metrics: summary.metrics,
            ..TrainDone::default()
        })
    }

    fn supervised(
        &self,
        weights: &Source,
        mut examples: Vec<Example>,
        observer: &mut dyn Observer,
    ) -> Result<TrainDone, TrainError> {
        let model = load(weights)?;
        let before = examples.len();
        let context = model.config.context;
        examples.retain(|e| e.prompt.len() + e.completion.len() <= context);
        let long = (before - examples.len()) as u64;
        if let Some(done) = self.too_few(examples.len()) {
            return Ok(done);
        }
        let config = SftConfig { seed: self.seed(self.config.sft.seed), ..self.config.sft.clone() };
        observer.begin(self.round, "train", 0);
        let mut on_step = |p: &Progress| self.on_step(p, observer);
        let summary =
            train_sft(&model, &examples, &config, self.threads, Some(self.dir), &mut on_step)?;
        observer.end();
        model.save(&self.dir.join(CHECKPOINT), SaveOptions::default())?;
        let skipped = [("longer than the context".to_owned(), long)];
        Ok(TrainDone {
            steps: summary.steps as u64,
            skipped: skipped.into_iter().filter(|(_, n)| *n > 0).collect(),
            tokens: summary.tokens,
            metrics: [("nll".to_owned(), summary.loss)].into(),
            ..TrainDone::default()
        })
    }

    fn external(
        &self,
        command: &str,
        observer: &mut dyn Observer,
    ) -> Result<TrainDone, TrainError> {
        observer.begin(self.round, "train", 0);
        let hand = Hand {
            dir: self.dir,
            round: self.round,
            policy: self.start,
            pairs: &self.dir.join(PAIRS),
            out: &self.dir.join(CHECKPOINT),
            seed: self.seed(self.config.dpo.seed),
        };
        hand_off(command, &hand)?;
        observer.end();
        Ok(TrainDone::default())
    }

    fn too_few(&self, found: usize) -> Option<TrainDone> {
        let wanted = self.config.min_pairs.max(1);
        (found < wanted).then(|| TrainDone {
            not_trained: Some(format!(
                "{found} rows to train on, fewer than the {wanted} of `min_pairs`: a handful would \
                 be memorised"
            )),
            ..TrainDone::default()
        })
    }

    /// Shows a step; breaks off after it when the run was cancelled.
    fn on_step(&self, progress: &Progress, observer: &mut dyn Observer) -> ControlFlow<()> {
        observer.step(progress);
        if self.control.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// A seed of this round's own.
    fn seed(&self, seed: u64) -> u64 {
        stream_key(seed, &[b"round", &u64::from(self.round).to_le_bytes()])
    }
}

fn load(source: &Source) -> Result<Model, TrainError> {
    Model::from_checkpoint(&Checkpoint::read(source.clone(), &Device::Cpu)?)
}

/// Checksums of everything in the checkpoint folder of a round.
fn checkpoint_checksums(dir: &Path) -> Result<Checksums, TrainError> {
    let folder = dir.join(CHECKPOINT);
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(&folder).map_err(TrainError::io(&folder))? {
        let entry = entry.map_err(TrainError::io(&folder))?;
        if entry.path().is_file() {
            names.insert(format!("{CHECKPOINT}/{}", entry.file_name().to_string_lossy()));
        }
    }
    checksums(dir, &names.iter().map(String::as_str).collect::<Vec<_>>())
}

fn chosen_example(pair: PreferencePair) -> Example {
    Example { prompt: pair.prompt_ids, completion: pair.chosen_ids, weight: pair.weight as f32 }
}

/// Distinct right solutions, at most `most` of each tree.
fn right_solutions(trees: &Path, most: usize) -> Result<Vec<Example>, TrainError> {
    let mut examples = Vec::new();
    for tree in read_trees(trees)? {
        let tree = tree?;
        let mut seen: BTreeSet<Vec<TokenId>> = BTreeSet::new();
        for completion in right_paths(&tree) {
            if seen.len() < most && seen.insert(completion.clone()) {
                examples.push(Example { prompt: tree.prompt_ids.clone(), completion, weight: 1.0 });
            }
        }
    }
    Ok(examples)
}

/// Token ids of every right solution of a tree.
fn right_paths(tree: &TreeRecord) -> impl Iterator<Item = Vec<TokenId>> + '_ {
    let right =
        |(_, node): &(usize, &regrowth_mcts::NodeRecord)| node.terminal && node.outcome > 0.0;
    tree.nodes.iter().enumerate().filter(right).map(|(id, _)| {
        let path = tree.path(id as u32);
        path.iter().flat_map(|&n| tree.nodes[n as usize].ids.iter().copied()).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use regrowth_datasets::{Problem, Split, tasks::problems_from_spec, write_jsonl};
    use regrowth_mcts::{RunOptions, SearchConfig, search_problems};
    use regrowth_policy::Scripted;
    use regrowth_verifiers::{ProblemVerifier, Verifier};

    #[test]
    fn right_solutions_are_right_distinct_and_few() {
        let problems: Vec<Problem> =
            problems_from_spec("choice", Split::Train, 0).unwrap().take(20).collect();
        let mut trees = Vec::new();
        let config = SearchConfig::best_of(16);
        let options = RunOptions::default();
        search_problems(&Scripted::new(), &ProblemVerifier, &problems, &config, &options, |t| {
            trees.push(t);
        })
        .unwrap();
        let dir = tempfile::tempdir().unwrap();
        write_jsonl(&dir.path().join(TREES), &trees).unwrap();
        let examples = right_solutions(&dir.path().join(TREES), 2).unwrap();
        assert!(examples.len() > 20 && examples.len() <= 40, "{}", examples.len());
        let distinct: BTreeSet<_> = examples.iter().map(|e| (&e.prompt, &e.completion)).collect();
        assert_eq!(distinct.len(), examples.len());
        for example in examples {
            use regrowth_policy::Policy;
            let tree = trees.iter().find(|t| t.prompt_ids == example.prompt).unwrap();
            let text = Scripted::new().decode(&example.completion).unwrap();
            assert!(ProblemVerifier.verify(&tree.problem, &text).is_correct(), "{text}");
        }
    }
}
