//! How well self-evaluations predict verified outcomes: AUC, ECE, and the share of unknown self-evaluations.
//!
//! Only steps that end a solution are used, because only their outcome is verified. There are few enough of
//! them to store all, so AUC is exact.

use std::collections::BTreeMap;

use regrowth_datasets::Finish;
use regrowth_verifiers::{Statement, Unanswered, Verifier};
use serde::{Deserialize, Serialize};

use crate::TreeRecord;

/// Number of bins of [`ece`], of equal width over [0, 1]; 1 belongs to the last.
pub const ECE_BINS: usize = 10;

/// A self-evaluation in [0, 1], and whether the solution is right.
pub type Judged = (f64, bool);

/// Probability that, of one right and one wrong solution, the right one has the higher self-evaluation; ties
/// count half (Mann-Whitney U over the number of pairs). `None` unless there are both kinds.
#[must_use]
pub fn auc(judged: &[Judged]) -> Option<f64> {
    let mut sorted = judged.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let right = sorted.iter().filter(|j| j.1).count();
    let wrong = sorted.len() - right;
    if right == 0 || wrong == 0 {
        return None;
    }
    let mut below = 0;
    let mut wins = 0.0;
    for tied in sorted.chunk_by(|a, b| a.0 == b.0) {
        let right_here = tied.iter().filter(|j| j.1).count();
        let wrong_here = tied.len() - right_here;
        wins += right_here as f64 * (below as f64 + wrong_here as f64 / 2.0);
        below += wrong_here;
    }
    Some(wins / (right as f64 * wrong as f64))
}

/// Expected calibration error: over [`ECE_BINS`] bins, the distance between mean self-evaluation and share of
/// right solutions, weighted by the bin's share (Naeini et al. 2015). `None` if there are no solutions.
#[must_use]
pub fn ece(judged: &[Judged]) -> Option<f64> {
    if judged.is_empty() {
        return None;
    }
    let gap =
        |bin: &CalibrationBin| bin.n as f64 * (bin.mean - bin.right as f64 / bin.n as f64).abs();
    Some(bins(judged).iter().map(gap).sum::<f64>() / judged.len() as f64)
}

/// The solutions of one of [`ECE_BINS`] bins of self-evaluation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct CalibrationBin {
    /// Number of solutions.
    pub n: u64,
    /// Their mean self-evaluation, in [0, 1].
    pub mean: f64,
    /// Number of right solutions.
    pub right: u64,
}

/// The non-empty bins, in order.
fn bins(judged: &[Judged]) -> Vec<CalibrationBin> {
    let mut bins = [CalibrationBin::default(); ECE_BINS];
    for &(own, right) in judged {
        let bin = &mut bins[((own * ECE_BINS as f64) as usize).min(ECE_BINS - 1)];
        bin.n += 1;
        bin.mean += own;
        bin.right += u64::from(right);
    }
    let filled = bins.into_iter().filter(|bin| bin.n > 0);
    filled.map(|bin| CalibrationBin { mean: bin.mean / bin.n as f64, ..bin }).collect()
}

/// Figures of a set of judged solutions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Number of solutions with a self-evaluation.
    pub n: u64,
    /// Share of all finished solutions whose self-evaluation is unknown, in [0, 1].
    pub unknown: f64,
    /// Share of right solutions among these `n`, in [0, 1].
    pub right: f64,
    /// Their mean self-evaluation, in [0, 1].
    pub mean: f64,
    /// [`auc`]: 0.5 is chance, 1 separates right from wrong.
    pub auc: Option<f64>,
    /// [`ece`]: 0 is calibrated.
    pub ece: Option<f64>,
}

/// Figures over all solutions and by the depth at which they end.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Figures of all solutions.
    #[serde(flatten)]
    pub all: Figures,
    /// Figures by the depth of the last step, in increasing order.
    pub by_depth: Vec<DepthFigures>,
    /// The calibration curve: mean self-evaluation and outcomes by bin. Empty in old reports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bins: Vec<CalibrationBin>,
}

/// Figures of the solutions that end at one depth.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct DepthFigures {
    /// Number of steps of the solutions.
    pub depth: u32,
    /// Figures of these solutions.
    #[serde(flatten)]
    pub figures: Figures,
}

/// Counts a tree's finished solutions that state no answer.
#[must_use]
pub fn unanswered(tree: &TreeRecord) -> Unanswered {
    let mut found = Unanswered::default();
    for (id, node) in tree.nodes.iter().enumerate().filter(|(_, node)| node.terminal) {
        let finish = node.finish.unwrap_or(Finish::Eos);
        found.add(&Statement::of(&tree.problem, &tree.turn(id as u32), finish), finish);
    }
    found
}

/// Judged solutions, collected tree by tree.
#[derive(Debug, Clone, Default)]
pub struct JudgedSolutions {
    depths: BTreeMap<u32, Vec<(Option<f64>, bool)>>,
}

impl JudgedSolutions {
    /// Adds the finished solutions of a tree whose steps were judged. If the search did not see the reference
    /// answer, the verifier checks the texts now. Solutions of a problem without a reference answer are not
    /// added, because it is unknown whether they are right; nor is a solution about which a verifier command
    /// gave no verdict.
    pub fn add(&mut self, tree: &TreeRecord, verifier: &dyn Verifier) {
        if !tree.problem.has_reference() {
            return;
        }
        if tree.judge_calls == 0 && tree.nodes.iter().all(|node| node.self_evaluation.is_none()) {
            return;
        }
        for (id, node) in tree.nodes.iter().enumerate().filter(|(_, node)| node.terminal) {
            let right = if let Some(finding) = node.checked() {
                let Some(right) = finding.correct else { continue };
                right
            } else if node.outcome == 0.0 {
                let finish = node.finish.unwrap_or(Finish::Eos);
                verifier.verify_finished(&tree.problem, &tree.turn(id as u32), finish).is_correct()
            } else {
                node.outcome > 0.0
            };
            self.depths.entry(node.depth).or_default().push((node.self_evaluation, right));
        }
    }

    /// Adds a finished solution that another judge has rated.
    pub(crate) fn record(&mut self, depth: u32, judged: Option<f64>, right: bool) {
        self.depths.entry(depth).or_default().push((judged, right));
    }

    /// The figures; `None` if no solution was added.
    #[must_use]
    pub fn calibration(&self) -> Option<Calibration> {
        let all: Vec<_> = self.depths.values().flatten().copied().collect();
        let by_depth = self.depths.iter();
        let by_depth =
            by_depth.map(|(&depth, seen)| DepthFigures { depth, figures: figures(seen) });
        let judged: Vec<Judged> =
            all.iter().filter_map(|&(own, right)| Some((own?, right))).collect();
        (!all.is_empty()).then(|| Calibration {
            all: figures(&all),
            by_depth: by_depth.collect(),
            bins: bins(&judged),
        })
    }
}

fn figures(seen: &[(Option<f64>, bool)]) -> Figures {
    let judged: Vec<Judged> = seen.iter().filter_map(|&(own, right)| Some((own?, right))).collect();
    let n = judged.len();
    let mean = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / n.max(1) as f64;
    Figures {
        n: n as u64,
        unknown: (seen.len() - n) as f64 / seen.len().max(1) as f64,
        right: mean(&mut judged.iter().map(|j| f64::from(u8::from(j.1)))),
        mean: mean(&mut judged.iter().map(|j| j.0)),
        auc: auc(&judged),
        ece: ece(&judged),
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = |v: Option<f64>| v.map_or_else(|| "-".to_owned(), |v| format!("{v:.3}"));
        write!(
            f,
            "AUC {}, ECE {} on {} solutions, {:.1} % unknown",
            shown(self.auc),
            shown(self.ece),
            self.n,
            100.0 * self.unknown
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(got: Option<f64>, wanted: f64) -> bool {
        got.is_some_and(|got| (got - wanted).abs() < 1e-12)
    }

    #[test]
    fn worked_values_of_auc() {
        // Pairs (right, wrong): 0.9 wins over 0.4 and 0.6; 0.6 wins over 0.4 and ties with 0.6.
        let judged = [(0.9, true), (0.6, true), (0.6, false), (0.4, false)];
        assert!(close(auc(&judged), 3.5 / 4.0));
        assert!(close(auc(&[(0.1, true), (0.2, false)]), 0.0));
        assert!(close(auc(&[(0.5, true), (0.5, false), (0.5, false)]), 0.5));
        assert_eq!(auc(&[(0.5, true)]), None);
        assert_eq!(auc(&[]), None);
    }

    #[test]
    fn worked_values_of_ece() {
        // Bin [0.9, 1]: means 0.95 and 0.5 over two of four; bin [0.2, 0.3): 0.2 and 0 over two.
        let judged = [(0.9, true), (1.0, false), (0.2, false), (0.2, false)];
        assert!(close(ece(&judged), 0.5 * 0.45 + 0.5 * 0.2));
        assert!(close(ece(&[(1.0, true), (0.0, false)]), 0.0));
        assert_eq!(ece(&[]), None);
        let curve = bins(&judged);
        assert_eq!(curve.iter().map(|b| (b.n, b.right)).collect::<Vec<_>>(), [(2, 0), (2, 1)]);
        assert!((curve[1].mean - 0.95).abs() < 1e-12);
    }

    #[test]
    fn what_is_unknown_is_counted_and_left_out() {
        let mut solutions = JudgedSolutions::default();
        solutions.depths.insert(2, vec![(Some(0.8), true), (None, true)]);
        solutions.depths.insert(3, vec![(Some(0.3), false), (Some(0.5), true)]);
        let found = solutions.calibration().unwrap();
        assert_eq!((found.all.n, found.all.unknown), (3, 0.25));
        assert!(close(found.all.auc, 1.0));
        assert_eq!(found.by_depth.iter().map(|d| d.depth).collect::<Vec<_>>(), [2, 3]);
        assert_eq!((found.by_depth[0].figures.unknown, found.by_depth[0].figures.auc), (0.5, None));
        assert_eq!(JudgedSolutions::default().calibration(), None);
    }
}
