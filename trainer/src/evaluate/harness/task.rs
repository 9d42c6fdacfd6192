//! The supported lm-eval tasks and their definitions.

use std::str::FromStr;

/// A task of the lm-evaluation-harness, version 0.4.13, by its name there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HarnessTask {
    /// `arc_easy` and `arc_challenge`: options scored after `Question: ...`, `Answer:`.
    Arc,
    /// `openbookqa`: options scored after the bare question.
    OpenBookQa,
    /// `commonsense_qa`: the letters A to E scored after question and options.
    CommonsenseQa,
    /// `sciq`: options scored after support, question and `Answer:`.
    SciQ,
    /// `gsm8k`: five few-shot examples in the form of the data set, greedy.
    Gsm8k,
    /// `gsm8k_cot`: the eight few-shot examples of arXiv:2201.11903, greedy.
    Gsm8kCot,
    /// `minerva_math...`: the four few-shot examples of arXiv:2206.14858, greedy.
    MinervaMath,
    /// `hendrycks_math...`: no few-shot examples, greedy.
    HendrycksMath,
}

/// Kind of request that a task makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Output {
    /// Log-likelihoods of given continuations. `normed`: whether `acc_norm` is reported as well.
    MultipleChoice { normed: bool },
    /// Greedy generation up to the first of these stop strings.
    Generate { until: &'static [&'static str] },
}

/// Maximum number of generated tokens (`max_gen_toks` of lm-eval's models).
pub(super) const MAX_TOKENS: usize = 256;

/// Names of the tasks, for error messages.
const NAMES: &str = "arc_easy, arc_challenge, openbookqa, commonsense_qa, sciq, gsm8k, gsm8k_cot, \
                     minerva_math or hendrycks_math (both also with the name of a part behind them, as \
                     minerva_math_algebra)";

impl FromStr for HarnessTask {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "arc_easy" | "arc_challenge" => Ok(Self::Arc),
            "openbookqa" => Ok(Self::OpenBookQa),
            "commonsense_qa" => Ok(Self::CommonsenseQa),
            "sciq" => Ok(Self::SciQ),
            "gsm8k" => Ok(Self::Gsm8k),
            "gsm8k_cot" => Ok(Self::Gsm8kCot),
            _ if name.starts_with("minerva_math") => Ok(Self::MinervaMath),
            _ if name.starts_with("hendrycks_math") => Ok(Self::HendrycksMath),
            _ => Err(format!(
                "`{name}` is not a task that is scored as lm-eval does; expected {NAMES}"
            )),
        }
    }
}

impl HarnessTask {
    pub(super) fn output(self) -> Output {
        match self {
            Self::Arc | Self::OpenBookQa | Self::SciQ => Output::MultipleChoice { normed: true },
            Self::CommonsenseQa => Output::MultipleChoice { normed: false },
            Self::Gsm8k => Output::Generate { until: &["Question:", "</s>", "<|im_end|>"] },
            Self::Gsm8kCot => Output::Generate { until: &["Q:", "</s>", "<|im_end|>"] },
            Self::MinervaMath | Self::HendrycksMath => Output::Generate { until: &["Problem:"] },
        }
    }

    /// The task's `output_type` in lm-eval.
    #[must_use]
    pub fn output_type(self) -> &'static str {
        match self.output() {
            Output::MultipleChoice { .. } => "multiple_choice",
            Output::Generate { .. } => "generate_until",
        }
    }

    /// Default number of few-shot examples.
    #[must_use]
    pub fn default_shots(self) -> usize {
        match self {
            Self::Gsm8k => 5,
            Self::Gsm8kCot => 8,
            Self::MinervaMath => 4,
            _ => 0,
        }
    }

    /// Version of the task that lm-eval writes to its results.
    #[must_use]
    pub fn version(self) -> f64 {
        match self {
            Self::Arc | Self::OpenBookQa | Self::SciQ | Self::HendrycksMath => 1.0,
            Self::CommonsenseQa => 0.0,
            Self::Gsm8k | Self::Gsm8kCot => 3.0,
            Self::MinervaMath => 3.1,
        }
    }

    /// Few-shot examples that belong to the task: JSON rows in the form of its data. `None` if they are drawn
    /// from the training part.
    pub(super) fn own_examples(self) -> Option<&'static str> {
        match self {
            Self::Gsm8kCot => Some(include_str!("gsm8k_cot.jsonl")),
            Self::MinervaMath => Some(include_str!("minerva_math.jsonl")),
            _ => None,
        }
    }
}
