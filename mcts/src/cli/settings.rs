//! Settings of `mcts search`: defaults, then a preset, then a TOML file, then flags.
//!
//! The effective settings are written beside the results, and the same file read with `--config`
//! gives the same run.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use regrowth_mcts::{
    JudgeForm, PairConfig, Parents, Rejected, SearchConfig, Selection, StopRule, Strategy, overlay,
};
use regrowth_policy::joined;
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

/// A named set of settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Preset {
    /// K = 16, breadth 5 then 3, depth 4.
    Default,
    /// Tuned for the embedded model; what `--policy builtin` starts from.
    Builtin,
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
    /// Named settings that the file and the flags start from [default: builtin with the policy of
    /// that name, default with any other]
    #[arg(long, value_enum)]
    preset: Option<Preset>,
    /// builtin, a checkpoint folder, http://host:port/v1#model (may be given several times),
    /// scripted, scripted:FILE or replay:FILE (the log of a search, or its folder)
    #[arg(long, value_name = "POLICY")]
    policy: Vec<String>,
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
    /// What decides which node is expanded next; the last three are there to be compared with
    #[arg(long, value_name = "mcts|beam@W|best-of@N|greedy", value_parser = plan)]
    strategy: Option<Plan>,
    /// Form of the selection score
    #[arg(long, value_name = "puct|uct", value_parser = selection)]
    selection: Option<Selection>,
    /// Commit before the simulations of a root are used up; may be given several times
    #[arg(long, value_name = "simulations@N|nodes@N|tokens@N|millis@N|decided", value_parser = stop)]
    stop: Vec<StopRule>,
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
    /// How steps are judged
    #[arg(long)]
    judge: Option<JudgeForm>,
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
        let mut settings = self.start()?;
        set(&mut settings.policy, joined(&self.policy)?);
        set(&mut settings.problems, self.problems.clone());
        settings.format = self.format.clone().or(settings.format);
        settings.limit = self.limit.or(settings.limit);
        let search = &mut settings.search;
        if let Some(plan) = self.strategy {
            plan.apply(search);
        }
        set(&mut search.simulations, self.simulations);
        set(&mut search.first_root_factor, self.first_root_factor);
        set(&mut search.breadth, self.breadth);
        set(&mut search.max_depth, self.depth);
        set(&mut search.sampling.temperature, self.temperature);
        set(&mut search.selection, self.selection);
        set(&mut search.c_puct, self.c_puct);
        set(&mut search.leaves_in_flight, self.leaves_in_flight);
        set(&mut search.seed, self.seed);
        set(&mut search.value.oracle, self.oracle);
        set(&mut search.value.self_evaluation, self.self_evaluation);
        set(&mut search.value.judge, self.judge);
        if !self.stop.is_empty() {
            search.stop.clone_from(&self.stop);
        }
        self.pairs.apply(&mut settings.pairs);
        settings.search.check()?;
        settings.pairs.check()?;
        Ok(settings)
    }

    /// What the flags are applied to: a preset, and a file over it.
    fn start(&self) -> Result<Settings, Failure> {
        let mut own = self.config.as_deref().map(table).transpose()?.unwrap_or_default();
        let named = own.get("policy").and_then(|policy| policy.as_str());
        let policy = self.policy.first().map(String::as_str).or(named).unwrap_or(DEFAULT_POLICY);
        let start = preset(self.preset.unwrap_or(match policy {
            "builtin" => Preset::Builtin,
            _ => Preset::Default,
        }));
        let Some(path) = &self.config else { return Ok(start) };
        let bad = |detail: String| Failure::Input(format!("{}: {detail}", path.display()));
        let base = toml::Table::try_from(start).map_err(|e| bad(e.to_string()))?;
        own = overlay(base, own);
        Settings::deserialize(own).map_err(|e| bad(e.to_string()))
    }
}

/// A strategy by name, with what belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plan {
    Mcts,
    Beam(usize),
    BestOf(usize),
    Greedy,
}

impl Plan {
    /// Sets what tells this strategy from the others; the rest stays.
    fn apply(self, search: &mut SearchConfig) {
        let like = match self {
            Self::Mcts => return search.strategy = Strategy::Mcts,
            Self::Beam(width) => return search.strategy = Strategy::Beam { width },
            Self::BestOf(count) => SearchConfig::best_of(count),
            Self::Greedy => SearchConfig::greedy(),
        };
        search.strategy = like.strategy;
        search.breadth = like.breadth;
        search.max_depth = like.max_depth;
        search.sampling = if self == Self::Greedy { like.sampling } else { search.sampling };
        search.value.self_evaluation &= like.value.self_evaluation;
    }
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

fn preset(preset: Preset) -> Settings {
    let (search, pairs) = match preset {
        Preset::Default => (SearchConfig::default(), PairConfig::default()),
        Preset::Builtin => (SearchConfig::builtin(), PairConfig::builtin()),
        Preset::Paper => (SearchConfig::paper(), PairConfig::default()),
        Preset::PaperChoice => (SearchConfig::paper_choice(), PairConfig::default()),
    };
    Settings { search, pairs, ..Settings::default() }
}

/// A settings file as it is.
fn table(path: &Path) -> Result<toml::Table, Failure> {
    let bad = |detail: String| Failure::Input(format!("{}: {detail}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|e| bad(e.to_string()))?;
    toml::from_str(&text).map_err(|e| bad(e.to_string()))
}

fn plan(text: &str) -> Result<Plan, String> {
    let (name, number) = numbered(text)?;
    match (name, number) {
        ("mcts", None) => Ok(Plan::Mcts),
        ("greedy", None) => Ok(Plan::Greedy),
        ("beam", Some(width)) => Ok(Plan::Beam(width as usize)),
        ("best-of", Some(count)) => Ok(Plan::BestOf(count as usize)),
        _ => Err("expected mcts, beam@W, best-of@N or greedy".to_owned()),
    }
}

fn stop(text: &str) -> Result<StopRule, String> {
    let (name, number) = numbered(text)?;
    match (name, number) {
        ("simulations", Some(most)) => Ok(StopRule::Simulations(most)),
        ("nodes", Some(most)) => Ok(StopRule::Nodes(most)),
        ("tokens", Some(most)) => Ok(StopRule::SampledTokens(most)),
        ("millis", Some(most)) => Ok(StopRule::Millis(most)),
        ("decided", None) => Ok(StopRule::Decided),
        _ => Err("expected simulations@N, nodes@N, tokens@N, millis@N or decided".to_owned()),
    }
}

/// `name` or `name@number`.
fn numbered(text: &str) -> Result<(&str, Option<u64>), String> {
    let Some((name, number)) = text.split_once('@') else { return Ok((text, None)) };
    let number = number.parse().map_err(|e| format!("{number}: {e}"))?;
    Ok((name, Some(number)))
}

fn selection(text: &str) -> Result<Selection, String> {
    match text {
        "puct" => Ok(Selection::Puct),
        "uct" => Ok(Selection::Uct),
        _ => Err("expected puct or uct".to_owned()),
    }
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
