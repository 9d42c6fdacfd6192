//! Checks a file of preferences for unintended training signals: the factors that preferences correlate with,
//! the evidence they rest on, repeated pairs, test problems among them, and changes over rounds.
//!
//! A pure function of rows ([`audit`]). `mcts audit` prints the audit; a run's report page shows a part of
//! it.

mod contamination;
mod drift;
mod evidence;
mod factors;
mod ranking;
mod repeats;
mod row;
mod tau;
mod text;
mod words;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use regrowth_datasets::Problem;
use serde::{Deserialize, Serialize};

use crate::interval::wilson;

pub use self::contamination::{Contamination, OVERLAP_WORDS};
pub use self::drift::{Drift, RoundAudit, RoundFactor};
pub use self::evidence::{Evidence, solutions_below};
pub use self::factors::{Factor, Values};
pub use self::ranking::{RankedPair, pair_key};
pub use self::repeats::Repeats;
pub use self::row::{AuditRow, AuditSide, SolutionsBelow};
pub use self::tau::Concordance;
pub use self::text::render;

/// Version of [`PairAudit`] as JSON.
pub const AUDIT_VERSION: u32 = 1;

/// The audit of a set of pairs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PairAudit {
    /// [`AUDIT_VERSION`].
    pub version: u32,
    /// Number of pairs.
    pub pairs: u64,
    /// Number of distinct problems; `None` if the file contains no problem ids.
    pub problems: Option<u64>,
    /// For each factor, which side has more of it.
    pub factors: Vec<FactorAudit>,
    /// Comparison of lengths, in tokens if they are known, otherwise in characters; `None` without pairs.
    pub length_bias: Option<LengthBias>,
    /// Ranking of the sides by the policy that sampled the pairs; `None` without log-probabilities.
    pub policy: Option<PolicyRanking>,
    /// Ranking of the sides by the policy that was trained on the pairs.
    pub trained: Option<PolicyRanking>,
    /// Number of pairs by class of evidence.
    pub evidence: Vec<EvidenceCount>,
    /// Repeated and contradicting pairs.
    pub repeats: Repeats,
    /// Test problems among the pairs; `None` if no test problems are given.
    pub contamination: Option<Contamination>,
    /// Each round separately; empty unless there are several rounds.
    pub rounds: Vec<RoundAudit>,
    /// Change of each factor over the rounds; empty unless there are several rounds.
    pub drift: Vec<Drift>,
}

/// One factor over all pairs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FactorAudit {
    /// Name of the factor.
    pub name: String,
    /// Kendall's tau-b of preference and factor: 1 if the chosen side always has more of the factor, -1 if it
    /// always has less; `None` if the two sides never differ.
    pub tau_b: Option<f64>,
    /// 95 % interval of `tau_b`.
    pub ci95: Option<[f64; 2]>,
    /// Number of pairs by which side has more of the factor.
    #[serde(flatten)]
    pub counts: Concordance,
    /// Number of pairs for which the factor is unknown.
    pub unknown: u64,
    /// Mean over chosen sides; `None` if the factor is unknown for all pairs.
    pub mean_chosen: Option<f64>,
    /// Mean over rejected sides.
    pub mean_rejected: Option<f64>,
    /// Kendall's tau-b of the factor and the ranking by the policy that sampled the sides.
    pub policy_tau_b: Option<f64>,
    /// Kendall's tau-b of the factor and the ranking by the policy that was trained on the pairs.
    pub trained_tau_b: Option<f64>,
}

/// Whether longer sides are preferred.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LengthBias {
    /// `tokens` or `characters`.
    pub unit: String,
    /// Number of pairs whose chosen side is longer.
    pub chosen_longer: u64,
    /// Number of pairs whose rejected side is longer.
    pub rejected_longer: u64,
    /// Number of pairs whose sides are equally long.
    pub equal: u64,
    /// Among pairs whose sides differ in length, the share whose chosen side is longer; `None` if no pair
    /// differs.
    pub share: Option<f64>,
    /// Wilson's 95 % interval of the share.
    pub ci95: [f64; 2],
}

/// How a policy ranks the sides of pairs by the sum of their log-probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PolicyRanking {
    /// Number of pairs with log-probabilities of both sides.
    pub pairs: u64,
    /// Share of these pairs whose chosen side is more likely: ranking accuracy (arXiv:2405.19534).
    pub ranking_accuracy: f64,
}

/// Pairs of one class of evidence.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EvidenceCount {
    /// The class.
    pub class: Evidence,
    /// Number of pairs in the class.
    pub pairs: u64,
    /// Share of the class among all pairs.
    pub share: f64,
}

/// Audits pairs for these factors, and for questions of `test` if it is given.
#[must_use]
pub fn audit(rows: &[AuditRow], factors: &[Factor], test: Option<&[Problem]>) -> PairAudit {
    let values: Vec<FactorValues> = factors.iter().map(|f| FactorValues::of(f, rows)).collect();
    let problems: BTreeSet<&str> = rows.iter().filter_map(|row| row.problem.as_deref()).collect();
    let audits: Vec<FactorAudit> = values.iter().map(|v| v.audit(rows)).collect();
    let rounds = drift::rounds(rows, &values);
    PairAudit {
        version: AUDIT_VERSION,
        pairs: rows.len() as u64,
        problems: (!problems.is_empty()).then_some(problems.len() as u64),
        length_bias: length_bias(&audits),
        factors: audits,
        policy: policy_ranking(rows.iter().filter_map(policy_order)),
        trained: policy_ranking(rows.iter().filter_map(trained_order)),
        evidence: evidence_counts(rows),
        repeats: Repeats::of(rows),
        contamination: test.map(|test| Contamination::of(rows, test)),
        drift: drift::drift(&rounds),
        rounds,
    }
}

/// The values of one factor for every row.
struct FactorValues<'a> {
    name: &'a str,
    /// One entry per row, in the order of the rows; `None` if the factor is unknown.
    values: Vec<Option<Values>>,
}

impl<'a> FactorValues<'a> {
    fn of(factor: &'a Factor, rows: &[AuditRow]) -> Self {
        Self { name: factor.name(), values: rows.iter().map(|row| factor.of(row)).collect() }
    }

    fn audit(&self, rows: &[AuditRow]) -> FactorAudit {
        let known: Vec<Values> = self.values.iter().copied().flatten().collect();
        let counts = preferred(known.iter().copied());
        let ranked_by = |order: fn(&AuditRow) -> Option<Ordering>| {
            let rows = rows.iter().zip(&self.values);
            let ranked = rows.filter_map(|(row, values)| Some((order(row)?, (*values)?.order())));
            ranked.collect::<Concordance>().tau_b()
        };
        FactorAudit {
            name: self.name.to_owned(),
            tau_b: counts.tau_b(),
            ci95: counts.ci95(),
            counts,
            unknown: (rows.len() - known.len()) as u64,
            mean_chosen: mean(known.iter().map(|v| v.chosen)),
            mean_rejected: mean(known.iter().map(|v| v.rejected)),
            policy_tau_b: ranked_by(policy_order),
            trained_tau_b: ranked_by(trained_order),
        }
    }
}

/// Compares preference and factor. The preference is never tied.
fn preferred(values: impl Iterator<Item = Values>) -> Concordance {
    values.map(|values| (Ordering::Greater, values.order())).collect()
}

/// Mean of the values; `None` if there are none.
fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (n, sum) = values.fold((0u64, 0.0), |(n, sum), value| (n + 1, sum + value));
    (n > 0).then(|| sum / n as f64)
}

/// Which side is more likely under the policy that sampled the pair: `Greater` for the chosen side; `None` if
/// unknown.
fn policy_order(row: &AuditRow) -> Option<Ordering> {
    Some(row.chosen.logp?.total_cmp(&row.rejected.logp?))
}

/// Which side is more likely under the policy that was trained on the pair: `Greater` for the chosen side;
/// `None` if unknown.
fn trained_order(row: &AuditRow) -> Option<Ordering> {
    row.trained.map(|[chosen, rejected]| chosen.total_cmp(&rejected))
}

fn policy_ranking(orders: impl Iterator<Item = Ordering>) -> Option<PolicyRanking> {
    let orders: Vec<Ordering> = orders.collect();
    let right = orders.iter().filter(|order| order.is_gt()).count();
    (!orders.is_empty()).then(|| PolicyRanking {
        pairs: orders.len() as u64,
        ranking_accuracy: right as f64 / orders.len() as f64,
    })
}

fn length_bias(factors: &[FactorAudit]) -> Option<LengthBias> {
    let units = ["tokens", "characters"];
    let known = |unit: &&str| factors.iter().find(|f| f.name == *unit && f.mean_chosen.is_some());
    let factor = units.iter().find_map(known)?;
    let Concordance { agree, against, tied, .. } = factor.counts;
    let differ = agree + against;
    Some(LengthBias {
        unit: factor.name.clone(),
        chosen_longer: agree,
        rejected_longer: against,
        equal: tied,
        share: (differ > 0).then(|| agree as f64 / differ as f64),
        ci95: wilson(agree, differ),
    })
}

fn evidence_counts(rows: &[AuditRow]) -> Vec<EvidenceCount> {
    let mut counts: BTreeMap<Evidence, u64> = BTreeMap::new();
    rows.iter().for_each(|row| *counts.entry(Evidence::of(row)).or_default() += 1);
    let share = |pairs: u64| pairs as f64 / rows.len() as f64;
    let count = |(class, pairs)| EvidenceCount { class, pairs, share: share(pairs) };
    counts.into_iter().map(count).collect()
}

#[cfg(test)]
mod tests;
