//! Values of flags that are more than a number, and flags that say yes or no.
//!
//! It knows nothing of what the values do. Each reader says what it expected.

use crate::{CommitRule, Rejected, Selection, StopRule};

use super::flags::Plan;

pub(super) fn plan(text: &str) -> Result<Plan, String> {
    let (name, number) = numbered(text)?;
    match (name, number) {
        ("mcts", None) => Ok(Plan::Mcts),
        ("greedy", None) => Ok(Plan::Greedy),
        ("beam", Some(width)) => Ok(Plan::Beam(width as usize)),
        ("best-of" | "best_of", Some(count)) => Ok(Plan::BestOf(count as usize)),
        _ => Err("expected mcts, beam@W, best-of@N or greedy".to_owned()),
    }
}

pub(super) fn stop(text: &str) -> Result<StopRule, String> {
    let (name, number) = numbered(text)?;
    match (name, number) {
        ("simulations", Some(most)) => Ok(StopRule::Simulations(most)),
        ("nodes", Some(most)) => Ok(StopRule::Nodes(most)),
        ("tokens" | "sampled-tokens" | "sampled_tokens", Some(most)) => {
            Ok(StopRule::SampledTokens(most))
        }
        ("millis", Some(most)) => Ok(StopRule::Millis(most)),
        ("decided", None) => Ok(StopRule::Decided),
        _ => Err("expected simulations@N, nodes@N, tokens@N, millis@N or decided".to_owned()),
    }
}

pub(super) fn commit(text: &str) -> Result<CommitRule, String> {
    match text.replace('_', "-").as_str() {
        "spread-visits" => return Ok(CommitRule::SpreadVisits),
        "spread-value" => return Ok(CommitRule::SpreadValue),
        "visits" => return Ok(CommitRule::Visits),
        "value" => return Ok(CommitRule::Value),
        "sampled" => return Ok(CommitRule::Sampled),
        _ => {}
    }
    let expected =
        "expected spread-visits, spread-value, visits, value, sampled or tempered@T[,DECAY]";
    let numbers = text.strip_prefix("tempered@").ok_or(expected)?;
    let number = |text: &str| text.parse().map_err(|e| format!("{text}: {e}"));
    let (temperature, decay) = match numbers.split_once(',') {
        Some((temperature, decay)) => (number(temperature)?, number(decay)?),
        None => (number(numbers)?, CommitRule::default_decay()),
    };
    Ok(CommitRule::Tempered { temperature, decay })
}

/// `name` or `name@number`.
fn numbered(text: &str) -> Result<(&str, Option<u64>), String> {
    let Some((name, number)) = text.split_once('@') else { return Ok((text, None)) };
    let number = number.parse().map_err(|e| format!("{number}: {e}"))?;
    Ok((name, Some(number)))
}

pub(super) fn selection(text: &str) -> Result<Selection, String> {
    match text {
        "puct" => Ok(Selection::Puct),
        "uct" => Ok(Selection::Uct),
        _ => Err("expected puct or uct".to_owned()),
    }
}

pub(super) fn breadth(text: &str) -> Result<[usize; 2], String> {
    let parse = |part: &str| part.trim().parse().map_err(|e| format!("{part}: {e}"));
    let (first, rest) = text.split_once(',').ok_or("expected two numbers, B1,B2")?;
    Ok([parse(first)?, parse(rest)?])
}

pub(super) fn rejected(text: &str) -> Result<Rejected, String> {
    match text {
        "lowest" => Ok(Rejected::Lowest),
        "second" => Ok(Rejected::Second),
        "random" => Ok(Rejected::Random),
        _ => Err("expected lowest, second or random".to_owned()),
    }
}
