//! Flags that change the rules for extracting pairs.
//!
//! `rules.rs` reads the rules that these flags override.

use clap::Args;

use super::parse::{self, set};
use crate::PairConfig;
use crate::pairs::{Parents, Rejected};

/// Group of these flags in the help.
pub(super) const GROUP: &str = "Pairs";

/// Flags that change the rules for extracting pairs; a boolean flag without a value means true.
#[derive(Debug, Args)]
#[command(next_help_heading = "Pairs")]
pub(crate) struct PairFlags {
    /// Extract pairs from every parent of the tree, not only from the committed path
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    all_parents: Option<bool>,
    /// Which sibling is rejected
    #[arg(long, value_parser = parse::rejected, value_name = "lowest|second|random|all", hide = true)]
    rejected: Option<Rejected>,
    /// Minimum difference (exclusive) of the values of a pair's sides
    #[arg(long, value_name = "GAP")]
    min_margin: Option<f64>,
    /// Minimum visits of both sides
    #[arg(long, value_name = "N", hide = true)]
    min_visits: Option<u64>,
    /// Minimum visits of the chosen side; overrides --min-visits
    #[arg(long, value_name = "N", hide = true)]
    min_visits_chosen: Option<u64>,
    /// Minimum visits of the rejected side; overrides --min-visits
    #[arg(long, value_name = "N", hide = true)]
    min_visits_rejected: Option<u64>,
    /// Only pairs whose chosen side has a value above 0 and whose rejected side has a value below 1
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", hide = true)]
    mixed: Option<bool>,
    /// Only trees whose committed answer is right
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    correct_only: Option<bool>,
    /// Only trees with a right solution anywhere
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", hide = true)]
    solved_only: Option<bool>,
    /// Maximum number of pairs of one tree
    #[arg(long, value_name = "N")]
    max_pairs: Option<usize>,
    /// Whether a step with a single child is merged with that child, repeatedly, into one longer step
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", hide = true)]
    glue_chains: Option<bool>,
    /// Whether labels are smoothed by visits
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", hide = true)]
    smoothing: Option<bool>,
}

impl PairFlags {
    /// Overrides the rules for which a flag is given.
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
