//! Values of flags that are names of more than one setting, or of a type without a name of its own.

use super::flags::SearchPlan;
use crate::config::{Selection, Strategy};
use crate::pairs::Rejected;

pub(super) fn plan(text: &str) -> Result<SearchPlan, String> {
    let count = |number: &str| number.parse().map_err(|e| format!("{number}: {e}"));
    match text.split_once('@') {
        Some(("best-of" | "best_of", number)) => count(number).map(SearchPlan::BestOf),
        None if text == "greedy" => Ok(SearchPlan::Greedy),
        _ => match text.parse() {
            Ok(Strategy::Mcts) => Ok(SearchPlan::Mcts),
            Ok(Strategy::Beam { width }) => Ok(SearchPlan::Beam(width)),
            Err(_) => Err("expected mcts, beam@W, best-of@N or greedy".to_owned()),
        },
    }
}

pub(super) fn selection(text: &str) -> Result<Selection, String> {
    match text {
        "puct" => Ok(Selection::Puct),
        "uct" => Ok(Selection::Uct),
        _ => Err("expected puct or uct".to_owned()),
    }
}

pub(super) fn rejected(text: &str) -> Result<Rejected, String> {
    match text {
        "lowest" => Ok(Rejected::Lowest),
        "second" => Ok(Rejected::Second),
        "random" => Ok(Rejected::Random),
        _ => Err("expected lowest, second or random".to_owned()),
    }
}
