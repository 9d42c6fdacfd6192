//! Search settings written as one word, such as `tokens@40` or `beam@2`, on the command line and in settings
//! files.

use std::str::FromStr;

use regrowth_policy::Boundary;
use serde::Serialize;
use toml::{Table, Value};

use crate::config::{CommitRule, Strategy};
use crate::stop::StopRule;

/// Splits `name` or `name@number`.
fn numbered(text: &str) -> Result<(&str, Option<u64>), String> {
    let Some((name, number)) = text.split_once('@') else { return Ok((text, None)) };
    let number = number.parse().map_err(|e| format!("{number}: {e}"))?;
    Ok((name, Some(number)))
}

impl FromStr for Strategy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match numbered(text)? {
            ("mcts", None) => Ok(Self::Mcts),
            ("beam", Some(width)) => Ok(Self::Beam { width: width as usize }),
            _ => Err("expected mcts or beam@W".to_owned()),
        }
    }
}

impl FromStr for StopRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match numbered(text)? {
            ("simulations", Some(most)) => Ok(Self::Simulations(most)),
            ("nodes", Some(most)) => Ok(Self::Nodes(most)),
            ("tokens" | "sampled-tokens" | "sampled_tokens", Some(most)) => {
                Ok(Self::SampledTokens(most))
            }
            ("millis", Some(most)) => Ok(Self::Millis(most)),
            ("decided", None) => Ok(Self::Decided),
            ("same-outcome" | "same_outcome", Some(least)) => Ok(Self::SameOutcome(least)),
            _ => Err(
                "expected simulations@N, nodes@N, tokens@N, millis@N, decided or same-outcome@N"
                    .to_owned(),
            ),
        }
    }
}

impl FromStr for CommitRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.replace('_', "-").as_str() {
            "spread-visits" => return Ok(Self::SpreadVisits),
            "spread-value" => return Ok(Self::SpreadValue),
            "visits" => return Ok(Self::Visits),
            "value" => return Ok(Self::Value),
            "sampled" => return Ok(Self::Sampled),
            _ => {}
        }
        let expected =
            "expected spread-visits, spread-value, visits, value, sampled or tempered@T[,DECAY]";
        let numbers = text.strip_prefix("tempered@").ok_or(expected)?;
        let number = |text: &str| text.parse().map_err(|e| format!("{text}: {e}"));
        let (temperature, decay) = match numbers.split_once(',') {
            Some((temperature, decay)) => (number(temperature)?, number(decay)?),
            None => (number(numbers)?, Self::default_decay()),
        };
        Ok(Self::Tempered { temperature, decay })
    }
}

/// Parses `B1,B2`: the numbers of candidates at the root and at deeper nodes.
///
/// # Errors
/// A message with the expected format.
pub fn breadth(text: &str) -> Result<[usize; 2], String> {
    let parse = |part: &str| part.trim().parse().map_err(|e| format!("{part}: {e}"));
    let (first, rest) = text.split_once(',').ok_or("expected two numbers, B1,B2")?;
    Ok([parse(first)?, parse(rest)?])
}

/// Replaces one-word settings in the table `search` of a settings file by their full values.
///
/// # Errors
/// If a word is invalid; the message gives the setting and the expected format.
pub fn expanded(mut table: Table) -> Result<Table, String> {
    let Some(Value::Table(search)) = table.get_mut("search") else { return Ok(table) };
    for (key, value) in search.iter_mut() {
        let read: fn(&str) -> Result<Value, String> = match key.as_str() {
            "boundary" => word::<Boundary>,
            "commit" => word::<CommitRule>,
            "strategy" => word::<Strategy>,
            "stop" => word::<StopRule>,
            "breadth" => |text| written(&breadth(text)?),
            _ => continue,
        };
        let texts = match value {
            Value::Array(values) => values.iter_mut().collect(),
            value => vec![value],
        };
        for value in texts {
            if let Value::String(text) = value
                && text.contains(['@', ','])
            {
                *value = read(text).map_err(|e| format!("`search.{key}`: {text}: {e}"))?;
            }
        }
    }
    Ok(table)
}

fn word<T: FromStr<Err = String> + Serialize>(text: &str) -> Result<Value, String> {
    written(&text.parse::<T>()?)
}

fn written(value: &impl Serialize) -> Result<Value, String> {
    Value::try_from(value).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SearchConfig;

    #[test]
    fn files_take_the_words_of_the_command_line() {
        let text = "[search]\nboundary = 'tokens@40'\ncommit = 'tempered@0.5,0.9'\n\
                    strategy = 'beam@2'\nstop = ['nodes@9', 'tokens@80']\nbreadth = '4,2'\n";
        let mut table = expanded(text.parse().unwrap()).unwrap();
        let config: SearchConfig = table.remove("search").unwrap().try_into().unwrap();
        assert_eq!(config.boundary, Boundary::Tokens(40));
        assert_eq!(config.commit, CommitRule::Tempered { temperature: 0.5, decay: 0.9 });
        assert_eq!((config.strategy, config.breadth), (Strategy::Beam { width: 2 }, [4, 2]));
        assert_eq!(config.stop, [StopRule::Nodes(9), StopRule::SampledTokens(80)]);
        let plain: Table = "[search]\ncommit = 'visits'\nstop = ['decided']".parse().unwrap();
        assert_eq!(expanded(plain.clone()), Ok(plain));
        let error = expanded("[search]\nboundary = 'words@3'".parse().unwrap()).unwrap_err();
        assert!(error.contains("search.boundary") && error.contains("tokens@N"), "{error}");
    }
}
