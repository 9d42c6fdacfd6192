//! `--dry-run`: estimates the cost of a run from its settings and a short trial on its first problems.
//!
//! The trial searches a few problems of round 1, answers a few validation problems and trains on a few pairs,
//! all in memory; the rest of the run is estimated in proportion. It writes no files. Searching and answering
//! stop at [`LIMIT`], training is limited to [`TRAINED`] pairs. The figures are for planning only: trees grow
//! with the policy, and a few problems are not representative.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use regrowth_datasets::{Finish, PreferencePair, StepLabel, stream_key};
use regrowth_mcts::labels::extract_step_labels;
use regrowth_mcts::{RunOptions, Search, SearchConfig, TreeRecord, extract_pairs};
use regrowth_policy::candle::{CandlePolicy, ModelConfig, Source};
use regrowth_policy::text::Files;
use regrowth_policy::{Dtype, LoadOptions, Policy};
use regrowth_verifiers::ProblemVerifier;
use serde::Serialize;

use super::config::{Objective, ReferenceKind, RunConfig};
use super::report::{RoundTokens, Seconds};
use super::sets::ProblemSets;
use crate::evaluate::{Evaluation, SamplePlan};
use crate::train::{
    DpoConfig, DpoTrainer, Model, PreferenceData, Reference, Session, StepProgress, peak_memory,
};
use crate::{TrainError, inputs};

/// Maximum number of problems that the trial searches, and of problems that it answers.
const TRIED: usize = 16;
/// Time limit of the search and of the answers in the trial, each. Unfinished trees then count by the share
/// of simulations done.
const LIMIT: Duration = Duration::from_secs(30);
/// Maximum number of pairs that the trial trains on: a step of a large model takes long.
const TRAINED: usize = 8;
/// Maximum number of tokens of an answer in the trial. An answer that is cut off here is counted as one of
/// maximum length.
const ANSWER_TOKENS: usize = 96;
/// Sizes of the groups of problems that are answered together, one group after the other while time is left.
const GROUPS: [usize; 3] = [1, 3, 12];

/// Sizes of a run, and its estimated cost.
#[derive(Debug, Clone, Serialize)]
pub struct RunPlan {
    /// Number of rounds.
    pub rounds: u32,
    /// Number of problems per round.
    pub problems_per_round: usize,
    /// Number of available training problems.
    pub train_problems: usize,
    /// Number of validation problems.
    pub validation_problems: usize,
    /// Number of test problems.
    pub test_problems: usize,
    /// Maximum number of simulations per problem.
    pub simulations: u64,
    /// Results of the trial.
    pub trial: Trial,
    /// Estimated cost of the run, in proportion to the trial; `None` if the trial did not get far enough.
    pub estimate: Option<Estimate>,
    /// Memory estimate; `None` for a policy without weights.
    pub memory: Option<RoundMemory>,
}

/// Work that the trial did.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Trial {
    /// Number of finished trees.
    pub trees: u64,
    /// Number of trees, where an unfinished tree counts as the share that was done of the most simulations that it
    /// may need. Trees often need fewer, so the estimated time is an upper bound.
    pub searched: f64,
    /// Number of pairs extracted from the trees.
    pub pairs: u64,
    /// Number of pairs trained on.
    pub trained: u64,
    /// Number of validation problems answered.
    pub answered: u64,
    /// Tokens, as in a report.
    pub tokens: RoundTokens,
    /// Wall time, as in a report.
    pub seconds: Seconds,
    /// Size of the trees as rows, in bytes.
    pub tree_bytes: u64,
    /// Size of the pairs as rows, in bytes.
    pub pair_bytes: u64,
    /// Peak memory of this process, in bytes; `None` if the system does not report it.
    pub peak_bytes: Option<u64>,
}

/// Estimated cost of a run.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Estimate {
    /// Number of pairs of all rounds.
    pub pairs: u64,
    /// Tokens of all rounds; `validated` counts the test problems too.
    pub tokens: RoundTokens,
    /// Wall time of all rounds.
    pub seconds: Seconds,
    /// Disk space at the end, in bytes.
    pub disk_bytes: u64,
}

/// Memory of the two phases of a round. They run one after the other, so their needs do not add up.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct RoundMemory {
    /// Number of parameters of the model.
    pub parameters: u64,
    /// Number of trained parameters: those of the adapter, or all.
    pub trained: u64,
    /// During the search: program, weights, and the KV cache at its capacity, in bytes.
    pub search_bytes: u64,
    /// During training: weights in f32, gradients and two moments of the trained weights, and with
    /// `reference = "initial"` a second model, in bytes; activations are not included.
    pub training_bytes: u64,
}

/// Estimates the cost of a run; `doing` is called with a description of each part of the trial as it begins.
///
/// # Errors
/// If the problems or the policy cannot be read, or the policy fails.
pub fn plan(
    config: &RunConfig,
    load: &LoadOptions,
    threads: usize,
    doing: &mut dyn FnMut(&str),
) -> Result<RunPlan, TrainError> {
    config.check()?;
    let sets = ProblemSets::read(config)?;
    if let Some(log) = load.log {
        sets.notices.iter().for_each(|notice| log(notice));
    }
    let memory = memory(config, load)?;
    let trial = trial(config, &sets, (load, threads), doing)?;
    let mut plan = RunPlan {
        rounds: config.rounds,
        problems_per_round: config.problems_per_round.min(sets.train.len()),
        train_problems: sets.train.len(),
        validation_problems: sets.validation.len(),
        test_problems: sets.test.len(),
        simulations: config.search.most_simulations(),
        trial,
        estimate: None,
        memory,
    };
    plan.estimate = plan.estimate(config);
    Ok(plan)
}

impl RunPlan {
    fn estimate(&self, config: &RunConfig) -> Option<Estimate> {
        let trial = &self.trial;
        let searched = self.problems_per_round as f64 * f64::from(self.rounds);
        let asked = f64::from(self.rounds + 1);
        let asked = asked * (self.validation_problems + self.test_problems) as f64;
        let part = |all: f64, tried: u64| (tried > 0).then(|| all / tried as f64);
        let trees = (trial.searched > 0.0).then(|| searched / trial.searched)?;
        let answers = part(asked, trial.answered)?;
        let finished = part(searched, trial.trees).unwrap_or(0.0);
        let scale = |value: u64, by: f64| (value as f64 * by).round() as u64;
        let pairs = scale(trial.pairs, finished);
        let epochs = config.dpo.epochs as f64;
        let steps = part(pairs as f64 * epochs, trial.trained).unwrap_or(0.0);
        let trained = self.memory.map_or(0, |m| 4 * m.trained) * u64::from(self.rounds);
        Some(Estimate {
            pairs,
            tokens: RoundTokens {
                prompts: scale(trial.tokens.prompts, finished),
                sampled: scale(trial.tokens.sampled, finished),
                trained: scale(trial.tokens.trained, steps),
                referenced: scale(trial.tokens.referenced, steps),
                validated: scale(trial.tokens.validated, answers),
            },
            seconds: Seconds {
                search: trial.seconds.search * trees,
                train: trial.seconds.train * steps,
                validate: trial.seconds.validate * answers,
                ..Seconds::default()
            },
            disk_bytes: scale(trial.tree_bytes + trial.pair_bytes, finished) + trained,
        })
    }
}

fn memory(config: &RunConfig, load: &LoadOptions) -> Result<Option<RoundMemory>, TrainError> {
    let Some(source) = config.weights_of(&config.policy)? else { return Ok(None) };
    let search_bytes = CandlePolicy::plan(&source, load)?.peak();
    let text = source.text("config.json")?;
    let model = ModelConfig::parse(&text).map_err(|e| source.error("config.json", e))?;
    let parameters = model.parameter_count() as u64;
    let lora = config.dpo.lora.as_ref();
    let trained = lora.map_or(parameters, |lora| lora.parameter_count(&model) as u64);
    let models = 1 + u64::from(config.reference == ReferenceKind::Initial);
    // Gradients and two moments of trained weights; an adapter's own weights are beside the model's.
    let per_trained = if lora.is_some() { 4 } else { 3 };
    let training_bytes = 4 * (models * parameters + per_trained * trained);
    Ok(Some(RoundMemory { parameters, trained, search_bytes, training_bytes }))
}

fn trial(
    config: &RunConfig,
    sets: &ProblemSets,
    (load, threads): (&LoadOptions, usize),
    doing: &mut dyn FnMut(&str),
) -> Result<Trial, TrainError> {
    doing(&format!("loading {}", config.policy));
    let load = LoadOptions { prompt: sets.prompts(config), ..load.clone() };
    let (value, policy) = (&config.search.value, inputs::policy(&config.policy, &load)?);
    let policy = value.judge_by(policy, inputs::judge(value, &load)?.as_ref())?;
    let mut trial = Trial::default();
    doing(&format!("trial: searching for at most {} s", LIMIT.as_secs()));
    let (pairs, step_labels) = trial.search(&*policy, config, sets, threads)?;
    doing(&format!("trial: answering for at most {} s", LIMIT.as_secs()));
    trial.answer(&*policy, config, sets)?;
    drop(policy);
    if let Some(weights) = config.weights_of(&config.policy)? {
        doing("trial: training on a few pairs");
        let pairs = &pairs[..pairs.len().min(TRAINED)];
        let data = PreferenceData { step_labels: &step_labels, ..pairs.into() };
        trial.train(weights, config, data, (threads, load.dtype))?;
    }
    trial.peak_bytes = peak_memory();
    Ok(trial)
}

impl Trial {
    /// Grows the first trees of round 1; returns the pairs and step labels extracted from them.
    fn search(
        &mut self,
        policy: &dyn Policy,
        config: &RunConfig,
        sets: &ProblemSets,
        threads: usize,
    ) -> Result<(Vec<PreferencePair>, Vec<StepLabel>), TrainError> {
        let problems = sets.round_problems(1, config.problems_per_round.min(TRIED));
        let seed = stream_key(config.search.seed, &[b"round", &1u64.to_le_bytes()]);
        let search = SearchConfig { seed, ..config.search.clone() };
        let cancel = cancel_after(LIMIT);
        let options = RunOptions { threads, round: 1, cancel, ..RunOptions::default() };
        let (mut pairs, mut step_labels) = (Vec::new(), Vec::new());
        let started = Instant::now();
        let on_tree = |tree: TreeRecord| {
            self.trees += 1;
            self.tokens.prompts += tree.prompt_ids.len() as u64;
            self.tokens.sampled += tree.sampled_tokens;
            self.tree_bytes += row_bytes(&tree);
            pairs.extend(extract_pairs(&tree, &config.pairs).pairs);
            if config.dpo.judge.weight > 0.0 {
                step_labels.extend(extract_step_labels(&tree, &config.step_labels));
            }
        };
        let summary = Search::new(policy, &ProblemVerifier, &search)
            .options(&options)
            .run(&problems, on_tree)?;
        self.seconds.search = started.elapsed().as_secs_f64();
        // Relaxed: the search is finished.
        let simulated = options.simulated.load(Ordering::Relaxed);
        let unfinished = simulated.saturating_sub(summary.simulations) as f64;
        let most = search.most_simulations().max(1) as f64;
        self.searched = self.trees as f64 + unfinished / most;
        self.pairs = pairs.len() as u64;
        self.pair_bytes = pairs.iter().map(row_bytes).sum::<u64>()
            + step_labels.iter().map(row_bytes).sum::<u64>();
        Ok((pairs, step_labels))
    }

    /// Answers the first validation problems.
    fn answer(
        &mut self,
        policy: &dyn Policy,
        config: &RunConfig,
        sets: &ProblemSets,
    ) -> Result<(), TrainError> {
        let from = if sets.validation.is_empty() { &sets.test } else { &sets.validation };
        let mut problems = &from[..from.len().min(TRIED)];
        let most = config.search.max_solution_tokens;
        let cancel = cancel_after(LIMIT);
        let plan = SamplePlan { cancel, ..SamplePlan::greedy(most.min(ANSWER_TOKENS)) };
        let started = Instant::now();
        let (mut sampled, mut whole) = (0u64, 0u64);
        for size in GROUPS {
            let (group, rest) = problems.split_at(size.min(problems.len()));
            problems = rest;
            let verifier = &ProblemVerifier;
            let evaluation = Evaluation { policy, verifier, problems: group, plan: &plan };
            let answered = evaluation.solve(&mut |solved| {
                self.answered += 1;
                for attempt in &solved.attempts {
                    let tokens = attempt.ids.len();
                    sampled += tokens as u64;
                    let cut = attempt.finish == Finish::Length;
                    whole += if cut { most.max(tokens) } else { tokens } as u64;
                }
                Ok(())
            });
            match answered {
                // The time limit was reached.
                Err(TrainError::Interrupted) => break,
                other => other?,
            }
            if started.elapsed() > LIMIT / 2 {
                break;
            }
        }
        self.tokens.validated = whole;
        let longer = whole as f64 / sampled.max(1) as f64;
        self.seconds.validate = started.elapsed().as_secs_f64() * longer.max(1.0);
        Ok(())
    }

    /// Trains one epoch on the pairs.
    fn train(
        &mut self,
        weights: Source,
        config: &RunConfig,
        data: PreferenceData,
        (threads, dtype): (usize, Dtype),
    ) -> Result<(), TrainError> {
        let trains_pairs = config.objective != Objective::CorrectSolutions;
        if data.pairs.is_empty() || !trains_pairs || config.trainer_command.is_some() {
            return Ok(());
        }
        let model = match &config.dpo.lora {
            Some(lora) => Model::load_adapter(weights, lora, 0)?,
            None => Model::load(weights, None, 0)?,
        };
        let model = model.with_frozen_dtype(dtype);
        let reference = match config.reference {
            ReferenceKind::RoundStart => Reference::RoundStart,
            ReferenceKind::Initial => Reference::Model(&model),
        };
        let dpo = DpoConfig { epochs: 1, ..config.dpo.clone() };
        let started = Instant::now();
        let go_on = &mut |_: &StepProgress| std::ops::ControlFlow::Continue(());
        let summary = DpoTrainer {
            model: &model,
            reference: &reference,
            config: &dpo,
            session: Session::new(threads, None),
        }
        .train(data, go_on)?;
        self.seconds.train = started.elapsed().as_secs_f64();
        self.trained = data.pairs.len() as u64;
        self.tokens.trained = summary.tokens;
        self.tokens.referenced = summary.reference_tokens;
        Ok(())
    }
}

/// Returns a flag that becomes true after `limit`.
fn cancel_after(limit: Duration) -> Arc<AtomicBool> {
    let cancel = Arc::<AtomicBool>::default();
    let flag = cancel.clone();
    std::thread::spawn(move || {
        std::thread::sleep(limit);
        // Relaxed: the flag carries no data.
        flag.store(true, Ordering::Relaxed);
    });
    cancel
}

/// Size of a row as JSON including its line break, in bytes.
fn row_bytes(row: &impl Serialize) -> u64 {
    serde_json::to_vec(row).map_or(0, |bytes| bytes.len() as u64 + 1)
}
