//! Flags that change which pairs are extracted.
//!
//! `rules.rs` decides which rules they change.

use clap::Args;

use super::parse::{self, set};
use crate::PairConfig;
use crate::pairs::{Parents, Rejected};

/// Group of these flags in the help.
pub(super) const GROUP: &str = "Pairs";

/// Flags that change which pairs are extracted; a flag that says yes or no means yes without a value.
#[derive(Debug, Args)]
#[command(next_help_heading = "Pairs")]
pub(crate) struct PairFlags {
    /// Pairs from every parent of the tree, not from the committed path alone
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    all_parents: Option<bool>,
    /// Which sibling is rejected
    #[arg(long, value_parser = parse::rejected, value_name = "lowest|second|random|all", hide = true)]
    rejected: Option<Rejected>,
    /// A pair's values differ by more than this
    #[arg(long, value_name = "GAP")]
    min_margin: Option<f64>,
    /// Both sides have at least this many visits
    #[arg(long, value_name = "N", hide = true)]
    min_visits: Option<u64>,
    /// The chosen side has at least this many visits; wins over --min-visits
    #[arg(long, value_name = "N", hide = true)]
    min_visits_chosen: Option<u64>,
    /// The rejected side has at least this many visits; wins over --min-visits
    #[arg(long, value_name = "N", hide = true)]
    min_visits_rejected: Option<u64>,
    /// Only pairs whose chosen side is worth more than 0 and whose rejected side less than 1
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", hide = true)]
    mixed: Option<bool>,
    /// Only trees whose committed answer is right
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    correct_only: Option<bool>,
    /// Only trees with a right solution anywhere
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", hide = true)]
    solved_only: Option<bool>,
    /// Pairs of one tree at most
    #[arg(long, value_name = "N")]
    max_pairs: Option<usize>,
    /// Whether chains of only children are glued to the step before them
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", hide = true)]
    glue_chains: Option<bool>,
    /// Whether visits smooth the labels
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", hide = true)]
    smoothing: Option<bool>,
}

impl PairFlags {
    /// Overrides what was set by flags.
    pub(crate) fn apply(&self, pairs: &mut PairConfig) {
        let parents = |all| if all { Parents::All } else { Parents::Committed };
        set(&mut pairs.parents, self.all_parents.map(parents));
        set(&mut pairs.rejected, self.rejected);
        set(&mut pairs.min_margin, self.min_margin);
        set(&mut pairs.min_visits_chosen, self.min_visits_chosen.or(self.min_visits));
        set(&mut pairs.min_visits_rejected, self.min_visits_rejected.or(self.min_visits));
        set(&mut pairs.mixed, self.mixed);
        set(&mut pairs.correct_only, self.correct_only);
        set(&mut pairs.solved_only, self.solved_only);
        set(&mut pairs.max_per_tree, self.max_pairs);
        set(&mut pairs.glue_chains, self.glue_chains);
        set(&mut pairs.smoothing, self.smoothing);
    }
}
