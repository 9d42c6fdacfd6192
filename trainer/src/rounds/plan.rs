//! What a run would do and cost, from its settings and a short trial of its own first problems.
//!
//! The trial searches a few problems of round 1, answers a few validation problems and takes an
//! optimizer step on a few pairs, all in memory; the rest is proportion. It writes nothing and ends within
//! two minutes on any model. Figures are for planning: trees grow with the policy, and a few problems
//! are no average.

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

/// Problems that the trial searches and answers, at most.
const TRIED: usize = 16;
/// Time of each part of the trial (trees, answers, training), which together end within two minutes on
/// any model: what is not finished then counts by its share.
const LIMIT: Duration = Duration::from_secs(30);
/// Pairs that the trial trains on, at most: a step of a large model takes long.
const TRAINED: usize = 8;
/// Tokens of an answer of the trial, at most: one that is cut off here counts as one of full length.
const ANSWER_TOKENS: usize = 96;
/// Problems answered together, one group after the other while there is time.
const GROUPS: [usize; 3] = [1, 3, 12];

/// What a run would do.
#[derive(Debug, Clone, Serialize)]
pub struct RunPlan {
    /// Rounds.
    pub rounds: u32,
    /// Problems of each round.
    pub problems_per_round: usize,
    /// Problems there are to train on.
    pub train_problems: usize,
    /// Validation problems.
    pub validation_problems: usize,
    /// Test problems.
    pub test_problems: usize,
    /// Simulations of one problem, at most.
    pub simulations: u64,
    /// What the trial did.
    pub trial: Trial,
    /// What the run would take, in proportion to the trial; nothing where it finished no tree.
    pub estimate: Option<Estimate>,
    /// Memory of a policy with weights.
    pub memory: Option<RoundMemory>,
}

/// What the trial did.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Trial {
    /// Trees.
    pub trees: u64,
    /// The same with a share of each tree that was not finished, by its simulations: an estimate from it
    /// is an upper bound.
    pub searched: f64,
    /// Pairs extracted from them.
    pub pairs: u64,
    /// Pairs that were trained on.
    pub trained: u64,
    /// Validation problems answered.
    pub answered: u64,
    /// Tokens: as in a report.
    pub tokens: RoundTokens,
    /// Wall time: as in a report.
    pub seconds: Seconds,
    /// Bytes of the trees as rows.
    pub tree_bytes: u64,
    /// Bytes of the pairs as rows.
    pub pair_bytes: u64,
    /// Most memory that this process held, in bytes, where the system tells.
    pub peak_bytes: Option<u64>,
}

/// What a run would take.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Estimate {
    /// Pairs of all rounds.
    pub pairs: u64,
    /// Tokens of all rounds; `validated` counts the test problems too.
    pub tokens: RoundTokens,
    /// Wall time of all rounds.
    pub seconds: Seconds,
    /// Bytes on the disk at the end.
    pub disk_bytes: u64,
}

/// Memory of the two halves of a round, which take turns.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct RoundMemory {
    /// Parameters of the model.
    pub parameters: u64,
    /// While searching: program, weights, and keys and values of stored prefixes at most, in bytes.
    pub search_bytes: u64,
    /// While training: weights, gradients, two moments and a separate reference, in bytes;
    /// activations come on top.
    pub training_bytes: u64,
}

/// Looks at what a run would do; `doing` is told what it does just now.
///
/// # Errors
/// When the problems or the policy cannot be read, or the policy stops.
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
        let trained = self.memory.map_or(0, |m| 4 * m.parameters) * u64::from(self.rounds);
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
    let weights = 4 * parameters;
    let reference = u64::from(config.reference == ReferenceKind::Initial);
    Ok(Some(RoundMemory { parameters, search_bytes, training_bytes: weights * (4 + reference) }))
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
    /// Grows the first trees of round 1; returns what is cut from them.
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
        // Relaxed: the search is over.
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
                // The time is up.
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

    /// Takes each pair through one training step.
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

/// A flag that is set when the time is up.
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

/// Bytes of a row as JSON with its line break.
fn row_bytes(row: &impl Serialize) -> u64 {
    serde_json::to_vec(row).map_or(0, |bytes| bytes.len() as u64 + 1)
}
