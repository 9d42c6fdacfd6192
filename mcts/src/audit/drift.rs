//! Factors over rounds: the mean value in the policy's steps, the correlation with preferences, and the round
//! in which each settled.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::row::AuditRow;
use super::{FactorValues, mean, preferred};

/// Share of the total change that must have happened for a factor to count as settled.
const SETTLED: f64 = 0.95;

/// The pairs of one round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RoundAudit {
    /// The round.
    pub round: u32,
    /// Number of pairs of the round.
    pub pairs: u64,
    /// The factors in this round.
    pub factors: Vec<RoundFactor>,
}

/// A factor in one round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RoundFactor {
    /// Name of the factor.
    pub name: String,
    /// Kendall's tau-b of preference and factor.
    pub tau_b: Option<f64>,
    /// Mean over both sides, i.e. how much of the factor the compared steps of this round contain.
    pub mean: Option<f64>,
}

/// How a factor changed from the first to the last round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// Name of the factor.
    pub name: String,
    /// Mean over both sides in the first and in the last round for which it is known.
    pub mean: [f64; 2],
    /// First round from which the mean stays within 5 % of the total change from its last value; `None` if it
    /// did not change.
    pub mean_settled: Option<u32>,
    /// Tau-b in the first and in the last round that have one; `None` if fewer than two rounds have one.
    pub tau_b: Option<[f64; 2]>,
    /// First round from which tau-b stays within 5 % of the total change from its last value; `None` if it
    /// did not change.
    pub tau_b_settled: Option<u32>,
}

/// Statistics of each round; empty unless there are several rounds.
pub(super) fn rounds(rows: &[AuditRow], factors: &[FactorValues]) -> Vec<RoundAudit> {
    let numbers: BTreeSet<u32> = rows.iter().map(|row| row.round).collect();
    if numbers.len() < 2 {
        return Vec::new();
    }
    let of_round = |round: u32| {
        let factor = |values: &FactorValues| {
            let rows = rows.iter().zip(&values.values);
            let known: Vec<_> =
                rows.filter(|(row, _)| row.round == round).filter_map(|(_, v)| *v).collect();
            RoundFactor {
                name: values.name.to_owned(),
                tau_b: preferred(known.iter().copied()).tau_b(),
                mean: mean(known.iter().flat_map(|v| [v.chosen, v.rejected])),
            }
        };
        let pairs = rows.iter().filter(|row| row.round == round).count() as u64;
        RoundAudit { round, pairs, factors: factors.iter().map(factor).collect() }
    };
    numbers.into_iter().map(of_round).collect()
}

/// Change of each factor over the rounds for which it is known. Factors known for fewer than two rounds are
/// left out.
pub(super) fn drift(rounds: &[RoundAudit]) -> Vec<Drift> {
    let Some(first) = rounds.first() else { return Vec::new() };
    let of_factor = |at: usize| {
        let series = |value: fn(&RoundFactor) -> Option<f64>| -> Vec<(u32, f64)> {
            rounds.iter().filter_map(|r| Some((r.round, value(&r.factors[at])?))).collect()
        };
        let (means, taus) = (series(|f| f.mean), series(|f| f.tau_b));
        Some(Drift {
            name: first.factors[at].name.clone(),
            mean: ends(&means)?,
            mean_settled: settled(&means),
            tau_b: ends(&taus),
            tau_b_settled: settled(&taus),
        })
    };
    (0..first.factors.len()).filter_map(of_factor).collect()
}

/// First and last value of a series; `None` for fewer than two values.
fn ends(series: &[(u32, f64)]) -> Option<[f64; 2]> {
    match series {
        [(_, first), .., (_, last)] => Some([*first, *last]),
        _ => None,
    }
}

/// The first round from which the series stays near its last value.
fn settled(series: &[(u32, f64)]) -> Option<u32> {
    let [first, last] = ends(series)?;
    let near = (1.0 - SETTLED) * (last - first).abs();
    let unsettled = series.iter().rposition(|(_, value)| (value - last).abs() > near)?;
    series.get(unsettled + 1).map(|(round, _)| *round)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_settles_where_it_stays_within_a_twentieth_of_its_change() {
        let series =
            |values: &[f64]| -> Vec<(u32, f64)> { (1..).zip(values.iter().copied()).collect() };
        assert_eq!(settled(&series(&[0.0, 50.0, 96.0, 100.0])), Some(3));
        assert_eq!(settled(&series(&[0.0, 50.0, 94.0, 100.0])), Some(4));
        assert_eq!(settled(&series(&[0.0, 100.0, 40.0, 100.0])), Some(4), "it came back");
        assert_eq!(settled(&series(&[1.0, 1.0])), None);
        assert_eq!(settled(&series(&[1.0])), None);
    }
}
