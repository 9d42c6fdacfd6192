//! Settings of `mcts search`: defaults, then a preset, then a TOML file, then flags.
//!
//! The effective settings are written beside the results, and the same file read with `--config`
//! gives the same run.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use regrowth_mcts::{PairConfig, Parents, Rejected, SearchConfig, overlay};
use serde::{Deserialize, Serialize};

use super::failure::Failure;

/// Everything that decides the result, as written to `config.toml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    pub(crate) policy: String,
    pub(crate) problems: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) format: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<usize>,
    pub(crate) search: SearchConfig,
    pub(crate) pairs: PairConfig,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            policy: DEFAULT_POLICY.to_owned(),
            problems: "builtin:arithmetic".to_owned(),
            format: None,
            limit: None,
            search: SearchConfig::default(),
            pairs: PairConfig::default(),
        }
    }
}

/// The embedded model where this build can run it.
const DEFAULT_POLICY: &str = if cfg!(feature = "candle") { "builtin" } else { "scripted" };

/// A named set of search settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Preset {
    /// K = 16, breadth 5 then 3, depth 4.
    Default,
    /// The paper's budget for mathematics: K = 5, four times as many at the first root.
    Paper,
    /// The paper's budget for multiple choice: the same with breadth 4 then 2, depth 3.
    PaperChoice,
}

/// Flags that change settings.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// Settings file (TOML); flags win over it, unknown keys are refused
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Named settings that the file and the flags start from
    #[arg(long, value_enum)]
    preset: Option<Preset>,
    /// builtin, a checkpoint folder, http://host:port/v1#model, scripted, scripted:FILE or replay:FILE
    #[arg(long, value_name = "POLICY")]
    policy: Option<String>,
    /// builtin:arithmetic, builtin:choice, builtin:countdown, or a file of a known format
    #[arg(long, value_name = "FILE")]
    problems: Option<String>,
    /// Format of the problem file, where detection is wrong
    #[arg(long, value_name = "NAME")]
    format: Option<String>,
    /// Take the first N problems only
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Simulations per search root
    #[arg(long, value_name = "K")]
    simulations: Option<u64>,
    /// Multiplies the simulations at the first root
    #[arg(long, value_name = "F")]
    first_root_factor: Option<u64>,
    /// Candidates at the root and at deeper nodes
    #[arg(long, value_name = "B1,B2", value_parser = breadth)]
    breadth: Option<[usize; 2]>,
    /// Steps of a solution at most
    #[arg(long, value_name = "D")]
    depth: Option<u32>,
    /// Sampling temperature; 0 is greedy
    #[arg(long, value_name = "T")]
    temperature: Option<f32>,
    /// Weight of the prior term
    #[arg(long, value_name = "C")]
    c_puct: Option<f64>,
    /// Simulations of one tree in flight at once (part of the result)
    #[arg(long, value_name = "W")]
    leaves_in_flight: Option<usize>,
    /// Seed of every random number
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Whether the outcome reward sees the reference answers
    #[arg(long, value_name = "BOOL")]
    oracle: Option<bool>,
    /// Whether the policy judges every step
    #[arg(long, value_name = "BOOL")]
    self_evaluation: Option<bool>,
    #[command(flatten)]
    pairs: PairFlags,
}

/// Flags that change which pairs are cut.
#[derive(Debug, Args)]
pub(crate) struct PairFlags {
    /// Pairs from every parent of the tree, not from the committed path alone
    #[arg(long)]
    all_parents: bool,
    /// Which sibling is rejected
    #[arg(long, value_parser = rejected, value_name = "lowest|second|random")]
    rejected: Option<Rejected>,
    /// A pair's values differ by more than this
    #[arg(long, value_name = "GAP")]
    min_margin: Option<f64>,
    /// Both sides have at least this many visits
    #[arg(long, value_name = "N")]
    min_visits: Option<u64>,
    /// Pairs of one tree at most
    #[arg(long, value_name = "N")]
    max_pairs: Option<usize>,
    /// Only trees whose committed answer is right
    #[arg(long)]
    correct_only: bool,
}

impl PairFlags {
    /// Overrides what was set by flags.
    pub(crate) fn apply(&self, pairs: &mut PairConfig) {
        if self.all_parents {
            pairs.parents = Parents::All;
        }
        pairs.correct_only |= self.correct_only;
        set(&mut pairs.rejected, self.rejected);
        set(&mut pairs.min_margin, self.min_margin);
        set(&mut pairs.min_visits_chosen, self.min_visits);
        set(&mut pairs.min_visits_rejected, self.min_visits);
        set(&mut pairs.max_per_tree, self.max_pairs);
    }
}

impl Flags {
    /// The effective settings, checked.
    pub(crate) fn settings(&self) -> Result<Settings, Failure> {
        let mut settings = match &self.config {
            Some(path) => read(path, self.preset)?,
            None => Settings { search: preset(self.preset), ..Settings::default() },
        };
        set(&mut settings.policy, self.policy.clone());
        set(&mut settings.problems, self.problems.clone());
        settings.format = self.format.clone().or(settings.format);
        settings.limit = self.limit.or(settings.limit);
        let search = &mut settings.search;
        set(&mut search.simulations, self.simulations);
        set(&mut search.first_root_factor, self.first_root_factor);
        set(&mut search.breadth, self.breadth);
        set(&mut search.max_depth, self.depth);
        set(&mut search.sampling.temperature, self.temperature);
        set(&mut search.c_puct, self.c_puct);
        set(&mut search.leaves_in_flight, self.leaves_in_flight);
        set(&mut search.seed, self.seed);
        set(&mut search.value.oracle, self.oracle);
        set(&mut search.value.self_evaluation, self.self_evaluation);
        self.pairs.apply(&mut settings.pairs);
        settings.search.check()?;
        settings.pairs.check()?;
        Ok(settings)
    }
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

fn preset(preset: Option<Preset>) -> SearchConfig {
    match preset.unwrap_or(Preset::Default) {
        Preset::Default => SearchConfig::default(),
        Preset::Paper => SearchConfig::paper(),
        Preset::PaperChoice => SearchConfig::paper_choice(),
    }
}

/// Reads a settings file; what it leaves out comes from the preset.
fn read(path: &Path, chosen: Option<Preset>) -> Result<Settings, Failure> {
    let bad = |detail: String| Failure::Input(format!("{}: {detail}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|e| bad(e.to_string()))?;
    let mut table: toml::Table = toml::from_str(&text).map_err(|e| bad(e.to_string()))?;
    let base = toml::Table::try_from(preset(chosen)).map_err(|e| bad(e.to_string()))?;
    if let Some(own) = table.insert("search".to_owned(), toml::Value::Table(base.clone())) {
        let toml::Value::Table(own) = own else {
            return Err(bad("`search` must be a table".to_owned()));
        };
        let merged = overlay(base, own);
        table.insert("search".to_owned(), toml::Value::Table(merged));
    }
    Settings::deserialize(table).map_err(|e| bad(e.to_string()))
}

fn breadth(text: &str) -> Result<[usize; 2], String> {
    let parse = |part: &str| part.trim().parse().map_err(|e| format!("{part}: {e}"));
    let (first, rest) = text.split_once(',').ok_or("expected two numbers, B1,B2")?;
    Ok([parse(first)?, parse(rest)?])
}

fn rejected(text: &str) -> Result<Rejected, String> {
    match text {
        "lowest" => Ok(Rejected::Lowest),
        "second" => Ok(Rejected::Second),
        "random" => Ok(Rejected::Random),
        _ => Err("expected lowest, second or random".to_owned()),
    }
}
