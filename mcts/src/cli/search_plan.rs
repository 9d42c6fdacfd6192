//! `--strategy`: a search strategy by name, with the settings that belong to it.

use crate::SearchConfig;
use crate::config::Strategy;

/// A strategy by name, including the settings that belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SearchPlan {
    Mcts,
    Beam(usize),
    BestOf(usize),
    Greedy,
}

impl SearchPlan {
    /// Parses the value of `--strategy`.
    ///
    /// # Errors
    /// A message with the expected names, for any other text.
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

    /// Sets the settings that define this strategy; other settings are unchanged.
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
