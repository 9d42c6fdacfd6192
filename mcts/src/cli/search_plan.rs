//! `--strategy`: a search strategy by name, with the settings that belong to it.

use crate::SearchConfig;
use crate::config::Strategy;

/// A strategy by name, with what belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SearchPlan {
    Mcts,
    Beam(usize),
    BestOf(usize),
    Greedy,
}

impl SearchPlan {
    /// The value of `--strategy`.
    ///
    /// # Errors
    /// What was expected, if it is none of the names.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let count = |number: &str| number.parse().map_err(|e| format!("{number}: {e}"));
        match text.split_once('@') {
            Some(("best-of" | "best_of", number)) => count(number).map(Self::BestOf),
            None if text == "greedy" => Ok(Self::Greedy),
            _ => match text.parse() {
                Ok(Strategy::Mcts) => Ok(Self::Mcts),
                Ok(Strategy::Beam { width }) => Ok(Self::Beam(width)),
                Err(_) => Err("expected mcts, beam@W, best-of@N or greedy".to_owned()),
            },
        }
    }

    /// Sets what tells this strategy from the others; the rest stays.
    pub(super) fn apply(self, search: &mut SearchConfig) {
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
