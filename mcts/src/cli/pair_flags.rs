//! Flags that change which pairs are cut.

use clap::Args;
use regrowth_mcts::{PairConfig, Parents, Rejected};

use super::flags::set;
use super::parse;

/// Flags that change which pairs are cut.
#[derive(Debug, Args)]
pub(crate) struct PairFlags {
    /// Pairs from every parent of the tree, not from the committed path alone
    #[arg(long)]
    all_parents: bool,
    /// Which sibling is rejected
    #[arg(long, value_parser = parse::rejected, value_name = "lowest|second|random")]
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
