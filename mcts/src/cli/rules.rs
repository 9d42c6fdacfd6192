//! The rules by which `mcts pairs` cuts and `mcts show` marks: those of the search beside its trees,
//! then a settings file, then flags.
//!
//! It knows nothing of trees. Whoever asks is told on stderr which rules were the start.

use std::path::{Path, PathBuf};

use clap::Args;
use regrowth_mcts::{PairConfig, overlay};
use serde::Deserialize;
use toml::Table;

use super::failure::Failure;
use super::pair_flags::PairFlags;
use super::sources::{CONFIG_FILE, SettingsFile};

/// Flags that say by which rules pairs are cut.
#[derive(Debug, Args)]
pub(crate) struct RuleFlags {
    /// Settings file of a search (TOML), of which `[pairs]` is used; wins over the config.toml beside
    /// the trees, flags win over both
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    pairs: PairFlags,
}

impl RuleFlags {
    /// The rules for the trees in this file, checked.
    pub(crate) fn rules(&self, trees: &Path) -> Result<PairConfig, Failure> {
        let beside = trees.with_file_name(CONFIG_FILE);
        let files = [Some(beside).filter(|path| path.exists()), self.config.clone()];
        let mut table = Table::new();
        let mut from = Vec::new();
        for path in files.iter().flatten() {
            table = overlay(table, SettingsFile::read(path)?.pairs()?);
            from.push(path.display().to_string());
        }
        match from.as_slice() {
            [] => eprintln!("mcts: no {CONFIG_FILE} beside the trees: pairs by the default rules"),
            from => eprintln!("mcts: pairs by the rules in {}", from.join(", changed by ")),
        }
        let mut rules = PairConfig::deserialize(table)
            .map_err(|e| Failure::Internal(format!("rules that were read before: {e}")))?;
        self.pairs.apply(&mut rules);
        rules.check()?;
        Ok(rules)
    }
}
