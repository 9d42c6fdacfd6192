//! A preference across two problems: a verified-right solution of one and a verified-wrong solution of
//! another (DOVE, arXiv:2404.00530).
//!
//! One JSON object per line. The two sides have different prompts, which TRL's preference columns cannot
//! express. Therefore no column is named `chosen` or `rejected`, and readers of pairs refuse the file.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::jsonl::parse_line;
use crate::lines::Lines;
use crate::version::Versioned;
use crate::{DataError, TokenId};

/// Version of the joint pair row; readers refuse a newer one.
pub const JOINT_PAIR_VERSION: u32 = 1;

/// A right solution of one problem, preferred to a wrong solution of another problem.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JointPair {
    /// [`JOINT_PAIR_VERSION`].
    pub version: u32,
    /// Round of the run, from 1; 0 outside a run.
    pub round: u32,
    /// Identity of the policy that sampled both solutions.
    pub policy: String,
    /// The preferred side.
    pub right: JointSide,
    /// The rejected side, of another problem.
    pub wrong: JointSide,
}

/// A whole solution with its prompt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JointSide {
    /// [`crate::Problem::id`] of the tree.
    pub problem_id: String,
    /// Whether the reference solution was shown in the self-evaluation prompt.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hinted: bool,
    /// Whether a step was injected from the reference solution and not sampled.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub injected: bool,
    /// Whether the search had a time-based stopping rule; another run may then give other pairs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub timed: bool,
    /// Text of the prompt.
    pub prompt: String,
    /// Text of the solution.
    pub completion: String,
    /// Token ids of the prompt.
    pub prompt_ids: Vec<TokenId>,
    /// Token ids of the solution as they were sampled.
    pub completion_ids: Vec<TokenId>,
    /// Log-probabilities of `completion_ids` under the policy, recorded while sampling, before temperature,
    /// top-k, top-p and min-p are applied; one per id.
    pub completion_logps: Vec<f32>,
    /// Whether the log-probabilities above may serve as those of the round-start reference: all steps were
    /// sampled, not injected, at temperature 1 without top-k, top-p or min-p.
    pub logps_exact: bool,
}

/// Reads all joint pairs of a file. Columns unknown to this version are ignored.
///
/// # Errors
/// [`DataError::Io`]; [`DataError::Version`] for a row of a newer version; [`DataError::Torn`] for a
/// truncated last line; [`DataError::Row`] for a row that is not a joint pair.
pub fn read_joint_pairs(path: &Path) -> Result<Vec<JointPair>, DataError> {
    Lines::open(path)?
        .map(|line| {
            let line = line?;
            let versioned: Versioned = parse_line(path, &line)?;
            versioned.check(path, line.number, "joint pair", JOINT_PAIR_VERSION)?;
            let row: JointPair = parse_line(path, &line)?;
            check(&row).map_err(|fault| fault.at(path, line.number))?;
            Ok(row)
        })
        .collect()
}

/// The fault that a reader of pairs reports for a joint pair.
pub(crate) fn refusal() -> Fault {
    let expected = "pairs with one prompt; joint pairs go to `regrowth train --joint-pairs`";
    Fault::new("right", expected, "a joint pair of two problems")
}

/// Checks the ids, log-probabilities and problems of a [`JointPair`].
fn check(row: &JointPair) -> Result<(), Fault> {
    for (name, side) in [("right", &row.right), ("wrong", &row.wrong)] {
        let ids = [("prompt_ids", &side.prompt_ids), ("completion_ids", &side.completion_ids)];
        if let Some((field, _)) = ids.into_iter().find(|(_, ids)| ids.is_empty()) {
            return Err(Fault::new(&format!("{name}.{field}"), "one token or more", "none"));
        }
        let (logps, tokens) = (&side.completion_logps, side.completion_ids.len());
        if logps.len() != tokens || logps.iter().any(|logp| !logp.is_finite()) {
            let expected = format!("{tokens} finite values, one for each token");
            let got = format!("{} values", logps.len());
            return Err(Fault::new(&format!("{name}.completion_logps"), expected, got));
        }
    }
    if row.right.problem_id == row.wrong.problem_id {
        let got = format!("`{}` on both sides", row.wrong.problem_id);
        return Err(Fault::new("wrong.problem_id", "another problem than that of `right`", got));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Notices, read_preferences, write_jsonl};

    fn side(problem_id: &str) -> JointSide {
        JointSide {
            problem_id: problem_id.into(),
            hinted: false,
            injected: false,
            timed: false,
            prompt: "Question: 1 + 1?\n".into(),
            completion: "It is 2.\n".into(),
            prompt_ids: vec![1, 2],
            completion_ids: vec![3, 4],
            completion_logps: vec![-0.25, -1.0],
            logps_exact: true,
        }
    }

    fn joint() -> JointPair {
        JointPair {
            version: JOINT_PAIR_VERSION,
            round: 1,
            policy: "tiny@1".into(),
            right: side("a"),
            wrong: side("b"),
        }
    }

    #[test]
    fn rows_survive_a_round_trip_and_bad_ones_are_refused_by_field_and_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("joint_pairs.jsonl");
        let rows = [joint(), joint()];
        write_jsonl(&path, &rows).unwrap();
        assert_eq!(read_joint_pairs(&path).unwrap(), rows);
        let with = |change: fn(&mut JointPair)| {
            let mut row = joint();
            change(&mut row);
            write_jsonl(&path, [joint(), row]).unwrap();
            read_joint_pairs(&path).unwrap_err().to_string()
        };
        for (error, named) in [
            (with(|row| row.version = 2), "version 2"),
            (with(|row| row.wrong.problem_id = "a".into()), "field `wrong.problem_id`"),
            (with(|row| row.right.prompt_ids.clear()), "field `right.prompt_ids`"),
            (with(|row| row.wrong.completion_ids.clear()), "field `wrong.completion_ids`"),
            (with(|row| row.wrong.completion_logps.truncate(1)), "field `wrong.completion_logps`"),
        ] {
            assert!(error.contains("joint_pairs.jsonl:2") && error.contains(named), "{error}");
        }
    }

    #[test]
    fn readers_of_pairs_refuse_joint_pairs_and_say_where_they_go() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("joint_pairs.jsonl");
        write_jsonl(&path, [joint()]).unwrap();
        let error = read_preferences(&path, &mut Notices::default()).unwrap_err().to_string();
        assert!(error.contains("--joint-pairs"), "{error}");
        let error = crate::read_pairs(&path).unwrap_err().to_string();
        assert!(error.contains("--joint-pairs"), "{error}");
    }
}
