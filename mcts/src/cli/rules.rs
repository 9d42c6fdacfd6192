//! The rules that `mcts pairs` and `mcts show` use to extract or mark pairs: those of the search or run that
//! grew the trees, overridden by a settings file, overridden by flags.
//!
//! The source of the rules is logged to stderr.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Deserialize;
use toml::{Table, Value};

use super::failure::Failure;
use super::log;
use super::pair_flags::PairFlags;
use super::sources::{self, SettingsFile};
use super::trees;
use crate::PairConfig;
use crate::frontend::SetFlags;
use crate::settings::overlay;

/// Flags that set the rules for extracting pairs.
#[derive(Debug, Args)]
pub(crate) struct RuleFlags {
    /// Settings file of a search (TOML), of which only `[pairs]` is used; overrides the settings of the
    /// search or run that grew the trees, flags override both [default: none]
    #[arg(long, value_name = "FILE", help_heading = "Settings")]
    config: Option<PathBuf>,
    #[command(flatten)]
    set: SetFlags,
    #[command(flatten)]
    pairs: PairFlags,
}

impl RuleFlags {
    /// The rules for the trees in this file, after range checks.
    pub(crate) fn rules(&self, trees: &Path) -> Result<PairConfig, Failure> {
        let bad = |e: &dyn std::fmt::Display| Failure::internal(format!("rules: {e}"));
        let mut table = Table::try_from(PairConfig::default()).map_err(|e| bad(&e))?;
        let mut from = Vec::new();
        if let Some((path, rules)) = trees::rules(trees)? {
            table = rules;
            from.push(path.display().to_string());
        }
        if let Some(path) = &self.config {
            table = overlay(table, SettingsFile::read(path)?.pairs()?);
            from.push(path.display().to_string());
        }
        let known = sources::known().table("pairs");
        let set = self.set.over(Table::new(), &known).map_err(Failure::usage)?;
        if let Some(Value::Table(set)) = set.get("pairs") {
            table = overlay(table, set.clone());
        }
        match from.as_slice() {
            [] => log("no settings beside the trees: pairs by the default rules"),
            from => log(format!("pairs by the rules in {}", from.join(", changed by "))),
        }
        let mut rules =
            PairConfig::deserialize(table).map_err(|e| Failure::usage(format!("rules: {e}")))?;
        self.pairs.apply(&mut rules);
        rules.check()?;
        Ok(rules)
    }
}
