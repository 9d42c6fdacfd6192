//! All settings of a search, with the source of each default.
//!
//! Threads, batch sizes and files must never change a result; they are in [`crate::RunOptions`]. "Paper"
//! below is Xie et al. 2024, arXiv:2405.00451; "code" is the authors' public program, which differs from the
//! paper in places: both forms can be chosen.

mod check;
mod rules;
mod verifier;

use std::sync::Arc;

use regrowth_policy::decorate::{FollowUpTexts, FollowUps, JudgedBy, Meter};
use regrowth_policy::{Boundary, Grades, OptionOrder, Policy, Sampling, StopAt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use self::check::check;
pub use self::rules::{
    BackupWeights, CommitRule, DepthLimit, FirstPlay, JudgeForm, PriorRule, RootNoise, Selection,
    Strategy, VisitSpread,
};
pub use self::verifier::{VERDICTS_FILE, VerifierConfig};
use crate::SearchError;
use crate::likelihood::LikelihoodCalibration;
use crate::stop::StopRule;

/// How a tree is grown. Unknown keys are refused; a missing key takes its default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SearchConfig {
    /// Seed of every random number of the search; any value (default 0).
    pub seed: u64,
    /// Strategy that selects the node to expand next (default tree search: paper).
    pub strategy: Strategy,
    /// Simulations per search root, at least 1 (default 16: measured on small models; paper 5).
    pub simulations: u64,
    /// Multiplies `simulations` at the first root, at least 1 (default 1; code and paper 4).
    pub first_root_factor: u64,
    /// Candidates sampled at the problem's root and at every deeper node, each 1 to 524,286
    /// (default 5 and 3: paper, mathematics; 4 and 2 for multiple choice).
    pub breadth: [usize; 2],
    /// Maximum number of steps of a solution, at least 1 (default 4: paper, mathematics; 3 for multiple
    /// choice).
    pub max_depth: u32,
    /// Root from which `max_depth` is counted (default absolute: paper).
    pub depth_limit: DepthLimit,
    /// Number of candidates of a forced completion at the last depth, 1 to 524,286 (default 1: paper).
    pub final_breadth: usize,
    /// `final_breadth` for multiple-choice problems, 1 to 524,286 (default 2: paper).
    pub final_breadth_choice: usize,
    /// Form of the selection score (default PUCT: paper).
    pub selection: Selection,
    /// Weight of the exploration term, at least 0 (default 1: paper).
    pub c_puct: f64,
    /// Q that selection uses for a child without visits (default its own reward: paper).
    pub first_play: FirstPlay,
    /// Dirichlet noise on the priors of every search root (default none: paper).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root_noise: Option<RootNoise>,
    /// Stopping rules: each ends the simulations of a root early, or a beam at the end of a level (default
    /// none: paper).
    pub stop: Vec<StopRule>,
    /// Formula of a step's prior from its log-probabilities (default the code's form).
    pub prior: PriorRule,
    /// Exponent of the length in the prior, at least 0 (default 1.25: code).
    pub prior_lambda: f64,
    /// Discount per step, in [0, 1] (default 1: paper).
    pub gamma: f64,
    /// Weights of the children in a parent's value (default the code's form).
    pub backup_weights: BackupWeights,
    /// Rule that selects the child that becomes the next search root (default the code's form).
    pub commit: CommitRule,
    /// How the spread of visits in the first two commit rules is measured (default variance; code:
    /// range).
    #[serde(skip_serializing_if = "is_default")]
    pub visit_spread: VisitSpread,
    /// Whether a tree's row stores Q and visits of each search root's children at its commit (default false).
    /// Pairs with `values = "commit"` need them.
    #[serde(skip_serializing_if = "is_default")]
    pub commit_values: bool,
    /// Number of simulations of one tree in flight at once (W), 1 to 65,535. Part of the result: simulation k
    /// selects after exactly the results of simulations 1 to `k - W` (default 1: serial search).
    pub leaves_in_flight: usize,
    /// How tokens are sampled (default temperature 1 without top-k, top-p or min-p: paper).
    pub sampling: Sampling,
    /// Whether the first candidate of every node is the greedy one (default false: paper, option).
    pub greedy_first: bool,
    /// Trigram similarity to an earlier sibling above which a candidate is dropped, in [0, 1] (default none:
    /// only candidates with equal token ids are dropped; the code drops above 0.99 of BERTScore, a greedy
    /// cosine matching of hidden states).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub similarity: Option<f64>,
    /// Whether steps of the reference solution are added to the candidates (default false; code).
    pub inject_reference: bool,
    /// Where a step ends (default a line break, as in published solutions: our choice).
    pub boundary: Boundary,
    /// Strings and tokens that end a solution besides EOS, for models that do not end it by themselves
    /// (default none).
    #[serde(skip_serializing_if = "StopAt::is_empty")]
    pub stop_at: StopAt,
    /// Maximum number of tokens of one step, at least 1 (default 128). With `boundary = "lines"` and the
    /// oracle, each problem with a reference solution has its own budget: the reference solution's tokens per
    /// step, but at least a quarter of this value and at most this value (code).
    pub max_step_tokens: usize,
    /// Maximum number of tokens of one solution, at least 1 (default 512).
    pub max_solution_tokens: usize,
    /// How the value of a step is computed.
    pub value: ValueConfig,
    /// Verifier of solutions and steps (default the built-in grader of reference answers).
    #[serde(skip_serializing_if = "is_default")]
    pub verifier: VerifierConfig,
}

impl Default for SearchConfig {
    fn default() -> Self {
        Self {
            seed: 0,
            strategy: Strategy::Mcts,
            simulations: 16,
            first_root_factor: 1,
            breadth: [5, 3],
            max_depth: 4,
            depth_limit: DepthLimit::Absolute,
            final_breadth: 1,
            final_breadth_choice: 2,
            selection: Selection::Puct,
            c_puct: 1.0,
            first_play: FirstPlay::Own,
            root_noise: None,
            stop: Vec::new(),
            prior: PriorRule::LengthRoot,
            prior_lambda: 1.25,
            gamma: 1.0,
            backup_weights: BackupWeights::AtLeastOne,
            commit: CommitRule::SpreadVisits,
            visit_spread: VisitSpread::Variance,
            commit_values: false,
            leaves_in_flight: 1,
            sampling: Sampling::default(),
            greedy_first: false,
            similarity: None,
            inject_reference: false,
            boundary: Boundary::Newline,
            stop_at: StopAt::default(),
            max_step_tokens: 128,
            max_solution_tokens: 512,
            value: ValueConfig::default(),
            verifier: VerifierConfig::default(),
        }
    }
}

/// A policy that judges the steps of another policy.
#[derive(Clone)]
pub struct JudgePolicy {
    /// The policy.
    pub policy: Arc<dyn Policy>,
    /// Counts its responses and their tokens, which are not included in the search's counts.
    pub meter: Arc<Meter>,
}

/// How the value of a step is computed from the outcome and the policy's self-evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ValueConfig {
    /// Whether the outcome reward sees the reference answer: true while generating data, false
    /// while measuring accuracy (default true: paper).
    pub oracle: bool,
    /// Whether the policy judges every new step (default true: paper).
    pub self_evaluation: bool,
    /// How a step is judged (default by the (A)/(B) question after it).
    pub judge: JudgeForm,
    /// Another policy that judges in place of the searched one, written as for `--policy`. It has its own
    /// prompt format and tokenizer (default none).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub judge_policy: Option<String>,
    /// Question, labels and values of `judge = "graded"` (default: how likely the step is correct, A to E).
    #[serde(skip_serializing_if = "is_default")]
    pub grades: Grades,
    /// Sentences that may follow a step, with `judge = "follow_ups"` (default: three sentences on each side).
    #[serde(skip_serializing_if = "is_default")]
    pub follow_ups: FollowUpTexts,
    /// Calibration that turns a log-likelihood into a probability, with `judge = "likelihood"` or `"answers"`
    /// (default: measured on the bundled model; a search's `summary.json` and every round contain the
    /// calibration of their policy).
    pub likelihood: LikelihoodCalibration,
    /// Probe file for `judge = "probe"`: the `judge_probe.json` of an earlier search or round of this policy
    /// (default none: a search's steps then have no self-evaluation, and rounds fit their own probe to the
    /// outcomes of their first problems).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe: Option<String>,
    /// Whether trees store the policy's hidden state at the end of every step, with any judge (default false;
    /// always with `judge = "probe"`). A probe is then fitted to the states and evaluated along with the
    /// other judges.
    #[serde(skip_serializing_if = "is_default")]
    pub hidden_states: bool,
    /// Whether the judge is shown the reference solution, or the reference answer if there is no solution
    /// (default false; paper's EXAMPLE ANSWER).
    pub hinted: bool,
    /// Order of the judge's two options (default correct first: paper; code: correct last).
    pub order: OptionOrder,
    /// Self-evaluation of a step whose judgement is unknown, in [0, 1] (default 0.5: neither).
    pub unknown: f64,
    /// Self-evaluation of every step when `self_evaluation` is off, in [0, 1] (default 0: the
    /// outcome alone; code 1).
    pub unasked: f64,
    /// If true, the self-evaluation is divided by max(depth of the parent - 3, 1) (default false; code).
    pub depth_decay: bool,
    /// If true, a self-evaluation of exactly 0 is replaced by the parent's R (outcome plus self-evaluation),
    /// before the outcome is added (default false; code).
    pub inherit_zero: bool,
    /// If true, the outcome of a correct solution is multiplied by 1.25 unless the solution is a prefix of
    /// the reference solution (default false; code). Does not apply to multiple choice, or without a
    /// reference solution.
    pub own_reasoning_bonus: bool,
    /// Penalty for false equations between numbers (`3 + 4 = 8`), at least 0 (default 0: off; ours). This
    /// value times the share of the step's equations that are false is subtracted from its reward. It needs
    /// no reference.
    pub arithmetic: f64,
    /// If true, multiple-choice answers without reasoning count less (default false; code). A correct answer
    /// has outcome 0 at depth 1 and 0.5 at depth 2. If its last clause names k > 1 options, the outcome is
    /// multiplied by 0.9 / k.
    pub choice_guard: bool,
}

impl Default for ValueConfig {
    fn default() -> Self {
        Self {
            oracle: true,
            self_evaluation: true,
            judge: JudgeForm::default(),
            judge_policy: None,
            grades: Grades::default(),
            follow_ups: FollowUpTexts::default(),
            likelihood: LikelihoodCalibration::default(),
            probe: None,
            hidden_states: false,
            hinted: false,
            order: OptionOrder::default(),
            unknown: 0.5,
            unasked: 0.0,
            depth_decay: false,
            inherit_zero: false,
            own_reasoning_bonus: false,
            arithmetic: 0.0,
            choice_guard: false,
        }
    }
}

impl ValueConfig {
    /// The settings of the authors' code.
    #[must_use]
    pub fn paper() -> Self {
        Self {
            judge: JudgeForm::Direction,
            hinted: true,
            order: OptionOrder::CorrectLast,
            unknown: 0.0, // an unknown judgement then inherits the parent's value
            depth_decay: true,
            inherit_zero: true,
            own_reasoning_bonus: true,
            choice_guard: true,
            ..Self::default()
        }
    }

    /// Whether judging a step needs a request to a model, i.e. a question or the likelihoods of follow-ups.
    #[must_use]
    pub fn asks(&self) -> bool {
        self.self_evaluation && !self.judge.asks_nothing()
    }

    /// Whether steps are judged by log-likelihoods, calibrated by [`likelihood`](Self::likelihood).
    #[must_use]
    pub fn judges_likelihoods(&self) -> bool {
        let reads = matches!(self.judge, JudgeForm::Likelihood | JudgeForm::Answers);
        self.self_evaluation && reads
    }

    /// Whether steps are judged by a probe on hidden states.
    #[must_use]
    pub fn judges_states(&self) -> bool {
        self.self_evaluation && self.judge == JudgeForm::Probe
    }

    /// Whether hidden states are requested from the policy.
    pub(crate) fn reads_states(&self) -> bool {
        self.hidden_states || self.judges_states()
    }

    /// Whether the judge is fitted to verified outcomes.
    #[must_use]
    pub fn is_fitted(&self) -> bool {
        self.judges_likelihoods() || self.judges_states()
    }

    /// Whether finished solutions are judged by their answers.
    pub(crate) fn judges_answers(&self) -> bool {
        self.self_evaluation && self.judge == JudgeForm::Answers
    }

    /// Whether a judge's prompt restates problem and solution.
    fn restates(&self) -> bool {
        matches!(self.judge, JudgeForm::Restated | JudgeForm::Direction)
    }

    /// Whether judge requests contain the problem and solution to restate.
    pub(crate) fn says_all(&self) -> bool {
        self.restates() || self.judge_policy.is_some()
    }

    /// Maximum number of tokens that a question to the searched policy adds after a step. `options` is the
    /// number of tokens of its (A)/(B) question. A text never has more tokens than bytes.
    pub(crate) fn question_room(&self, options: usize) -> usize {
        match self.judge {
            _ if !self.asks() || self.judge_policy.is_some() => 0,
            JudgeForm::Graded => options + self.grades.question.len(),
            _ => options,
        }
    }

    /// The grades, with `judge = "graded"`; `None` with other judges.
    pub(crate) fn graded(&self) -> Option<Arc<Grades>> {
        (self.judge == JudgeForm::Graded).then(|| self.grades.clone().into())
    }

    /// Returns a policy that judges as these settings require and does everything else like `policy`. `judge`
    /// is the loaded [`judge_policy`](Self::judge_policy), if one is set.
    ///
    /// # Errors
    /// [`SearchError::Config`] if a grade is not a single token of the judging policy,
    /// [`SearchError::Policy`] if that cannot be checked.
    pub fn judge_by(
        &self,
        policy: Arc<dyn Policy>,
        judge: Option<&JudgePolicy>,
    ) -> Result<Arc<dyn Policy>, SearchError> {
        let Some(JudgePolicy { policy: judge, meter }) = judge else { return self.asked(policy) };
        let judge = self.asked(judge.clone())?;
        Ok(Arc::new(JudgedBy::new(policy, judge, meter.clone(), self.restates())))
    }

    /// Wraps the judging policy if the judge form requires it. Checks that every grade label is a single
    /// token.
    fn asked(&self, policy: Arc<dyn Policy>) -> Result<Arc<dyn Policy>, SearchError> {
        if !self.self_evaluation {
            return Ok(policy);
        }
        match self.judge {
            JudgeForm::FollowUps => Ok(Arc::new(FollowUps::new(policy, self.follow_ups.clone()))),
            JudgeForm::Graded => match self.grades.unreadable_for(&*policy)? {
                None => Ok(policy),
                Some(label) => Err(SearchError::Config {
                    field: "value.grades.labels",
                    expected: "labels that are one token each of the policy that judges",
                    got: label.to_owned(),
                }),
            },
            _ => Ok(policy),
        }
    }
}

/// Whether a setting has its default value; used to leave such settings out of written files.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl SearchConfig {
    /// The settings of the authors' scripts for mathematics. Budget and breadth are the paper's; other
    /// settings on which code and paper differ are the code's.
    #[must_use]
    pub fn paper() -> Self {
        Self {
            simulations: 5,
            first_root_factor: 4,
            depth_limit: DepthLimit::Both,
            visit_spread: VisitSpread::Range,
            commit_values: true,
            similarity: Some(0.99),
            value: ValueConfig::paper(),
            ..Self::default()
        }
    }

    /// [`Self::paper`] for multiple choice: breadth 4 then 2, depth 3, shorter steps.
    #[must_use]
    pub fn paper_choice() -> Self {
        Self { breadth: [4, 2], max_depth: 3, max_step_tokens: 32, ..Self::paper() }
    }

    /// Settings for the bundled model, a small model whose solutions have many short lines. The experiments
    /// are described in `docs/experiments`.
    #[must_use]
    pub fn builtin() -> Self {
        Self {
            simulations: 16,      // experiment 0001: needed by an earlier model, 5 are enough now
            first_root_factor: 1, // as above
            c_puct: 4.0,          // as above, 1.5 is enough now
            max_depth: 10,        // built-in solutions have up to eight lines
            max_step_tokens: 48,  // the longest built-in line has fewer tokens
            max_solution_tokens: 256,
            // Experiment 0005: without the penalty, training makes more equations false than it corrects.
            value: ValueConfig { arithmetic: 1.0, ..ValueConfig::default() },
            ..Self::default()
        }
    }

    /// Maximum number of simulations of one tree; 0 for a beam search.
    #[must_use]
    pub fn most_simulations(&self) -> u64 {
        let roots = u64::from(self.max_depth).saturating_sub(1) + self.first_root_factor;
        match self.strategy {
            Strategy::Mcts => roots.saturating_mul(self.simulations),
            Strategy::Beam { .. } => 0,
        }
    }

    /// Settings for instruction-tuned models: steps are the paragraphs and calculations that such models
    /// write, and the token limit leaves room for whole solutions. Figures are in `benches/README.md`, "Where
    /// steps end".
    #[must_use]
    pub fn chat() -> Self {
        Self {
            simulations: 5,
            first_root_factor: 2, // our choice: a tree of a few thousand tokens
            breadth: [4, 2],      // as above
            max_depth: 8,         // nine solutions in ten have at most that many paragraphs
            // At temperature 1 small models write gibberish.
            sampling: Sampling { temperature: 0.8, top_p: 0.95, ..Sampling::default() },
            boundary: Boundary::Paragraph,
            max_step_tokens: 256, // the longest paragraph seen has 224 tokens
            max_solution_tokens: 768,
            ..Self::default()
        }
    }

    /// One greedy solution, as a baseline.
    #[must_use]
    pub fn greedy() -> Self {
        let value = ValueConfig { self_evaluation: false, ..ValueConfig::default() };
        Self { sampling: Sampling::greedy(), value, ..Self::best_of(1) }
    }

    /// Samples `count` whole solutions; the one with the highest value wins.
    #[must_use]
    pub fn best_of(count: usize) -> Self {
        let strategy = Strategy::Beam { width: 1 };
        Self { strategy, breadth: [count, 1], max_depth: 1, ..Self::default() }
    }

    /// A step beam of this width.
    #[must_use]
    pub fn beam(width: usize) -> Self {
        Self { strategy: Strategy::Beam { width }, ..Self::default() }
    }

    /// Whether a stopping rule limits time, so that results depend on the machine.
    #[must_use]
    pub fn is_timed(&self) -> bool {
        self.stop.iter().any(|rule| rule.is_timed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keys_are_refused_and_missing_ones_default() {
        let config: SearchConfig = toml::from_str("simulations = 3").expect("valid");
        assert_eq!(config, SearchConfig { simulations: 3, ..SearchConfig::default() });
        let config: SearchConfig =
            toml::from_str("commit = { tempered = { temperature = 2.0 } }").expect("valid");
        assert_eq!(config.commit, CommitRule::Tempered { temperature: 2.0, decay: 1.0 });
        assert!(toml::from_str::<SearchConfig>("simulatoins = 3").is_err());
        assert!(toml::from_str::<SearchConfig>("[value]\nhint = true").is_err());
    }

    #[test]
    fn every_config_survives_toml() {
        let full = SearchConfig {
            root_noise: Some(RootNoise { alpha: 0.3, weight: 0.25 }),
            stop: vec![StopRule::Decided, StopRule::Nodes(9)],
            first_play: FirstPlay::Fixed(0.5),
            similarity: Some(0.9),
            commit: CommitRule::Tempered { temperature: 0.5, decay: 1.0 },
            boundary: Boundary::Marker("\n\n".to_owned()),
            ..SearchConfig::beam(3)
        };
        let paragraphs = SearchConfig::chat();
        let paper = [SearchConfig::paper(), SearchConfig::paper_choice()];
        for config in [[SearchConfig::default(), paragraphs, full].as_slice(), &paper].concat() {
            let text = toml::to_string(&config).expect("serialises");
            assert_eq!(toml::from_str::<SearchConfig>(&text).expect("parses"), config);
        }
    }
}
