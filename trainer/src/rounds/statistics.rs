//! Round statistics: how many pairs there are at which depth and margin, and their biases, such as length.
//! They are counts, summed tree by tree, so memory does not grow with the round.

use std::collections::BTreeMap;

use regrowth_mcts::TreeRecord;
use regrowth_mcts::calibration::{Calibration, unanswered};
use regrowth_mcts::likelihood::LikelihoodCalibration;
use regrowth_mcts::pairs::{ExtractedPairs, JointCounts};
use regrowth_verifiers::Unanswered;
use serde::{Deserialize, Serialize};

/// Lower edges of the bins of the margin histogram; a margin falls into the last bin whose edge is not above
/// it. Values are in [-2, 2], so margins are in (0, 4].
pub const HISTOGRAM_EDGES: [f64; 9] = [0.0, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0];

/// Number of pairs at one depth.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DepthCount {
    /// Depth of the two steps, from 1.
    pub depth: u32,
    /// Pairs.
    pub pairs: u64,
}

/// Counts over the trees and pairs of a round.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RoundStatistics {
    /// Number of trees.
    pub trees: u64,
    /// Number of nodes, including roots.
    pub nodes: u64,
    /// Number of simulations.
    pub simulations: u64,
    /// Trees whose committed answer is right. Not an accuracy if the search saw the reference answers.
    pub committed_correct: u64,
    /// Trees with both right and wrong solutions: only these give a training signal from outcomes.
    pub mixed: u64,
    /// Trees with wrong solutions only.
    pub all_wrong: u64,
    /// Number of finished solutions, of those without a readable answer, and of those that the token limit
    /// cut off before an answer.
    #[serde(flatten)]
    pub unanswered: Unanswered,
    /// Number of pairs.
    pub pairs: u64,
    /// Number of dropped pairs by reason.
    pub pairs_dropped: BTreeMap<String, u64>,
    /// Counts of joint pairs and of trees without contrast; absent if `pairs.joint` is 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub joint: Option<JointCounts>,
    /// Number of pairs by depth.
    pub depths: Vec<DepthCount>,
    /// Number of pairs by margin, one count per bin of [`HISTOGRAM_EDGES`].
    pub margins: Vec<u64>,
    /// Tokens of all chosen sides.
    pub chosen_tokens: u64,
    /// Tokens of all rejected sides; a difference from `chosen_tokens` is a length bias.
    pub rejected_tokens: u64,
    /// Pairs whose chosen side is longer.
    pub chosen_longer: u64,
    /// Candidates dropped because a sibling had the same tokens.
    pub duplicates: u64,
    /// Finished solutions with a self-evaluation.
    pub judged_solutions: u64,
    /// Finished solutions whose self-evaluation (above or below one half) disagrees with the outcome.
    pub judge_disagrees: u64,
    /// Calibration of self-evaluations against verified outcomes; absent if nothing was judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub self_evaluation: Option<Calibration>,
    /// Calibration of log-likelihoods by the outcomes of all trees. If the judge uses likelihoods, the next
    /// round begins with this calibration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub likelihood: Option<LikelihoodCalibration>,
    /// Calibration that was fitted to the first problems and judged the others; absent if the round fitted
    /// none of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calibrated: Option<LikelihoodCalibration>,
    /// Held-out calibration of the judges that are fitted to outcomes: each solution is judged by a fit to
    /// other problems. Empty if trees keep no hidden states.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub held_out: BTreeMap<String, Calibration>,
    /// Identity of the probe fitted to the outcomes of all trees. If the judge is a probe, the next round
    /// begins with this probe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe: Option<String>,
    /// Identity of the probe that was fitted to the first problems and judged the others; absent if the round
    /// fitted none of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_probe: Option<String>,
    /// Tokens of the prompts, counted once per tree, as with a perfect prefix cache.
    pub prompt_tokens: u64,
    /// Number of sampled tokens.
    pub sampled_tokens: u64,
    /// Number of requests for candidates and for judgements.
    pub model_calls: u64,
}

impl RoundStatistics {
    /// Adds a tree and the pairs extracted from it.
    pub fn add(&mut self, tree: &TreeRecord, extracted: &ExtractedPairs) {
        self.add_tree(tree);
        for (reason, count) in &extracted.dropped {
            *self.pairs_dropped.entry(reason.name().to_owned()).or_default() += count;
        }
        for pair in &extracted.pairs {
            self.pairs += 1;
            self.add_depth(pair.depth);
            self.margins.resize(HISTOGRAM_EDGES.len(), 0);
            let bin = HISTOGRAM_EDGES.iter().rposition(|&edge| pair.margin >= edge);
            self.margins[bin.unwrap_or(0)] += 1;
            let (chosen, rejected) = (pair.chosen_ids.len(), pair.rejected_ids.len());
            self.chosen_tokens += chosen as u64;
            self.rejected_tokens += rejected as u64;
            self.chosen_longer += u64::from(chosen > rejected);
        }
    }

    fn add_tree(&mut self, tree: &TreeRecord) {
        self.trees += 1;
        self.nodes += tree.nodes.len() as u64;
        self.simulations += tree.simulations;
        self.committed_correct += u64::from(tree.correct);
        self.unanswered.merge(unanswered(tree));
        self.duplicates += tree.duplicates;
        self.prompt_tokens += tree.prompt_ids.len() as u64;
        self.sampled_tokens += tree.sampled_tokens;
        self.model_calls += tree.propose_calls + tree.judge_calls;
        let (mut right, mut wrong) = (false, false);
        for node in tree.nodes.iter().filter(|n| n.terminal) {
            right |= node.outcome > 0.0;
            wrong |= node.outcome < 0.0;
            if let Some(own) = node.self_evaluation.filter(|_| node.outcome != 0.0) {
                self.judged_solutions += 1;
                self.judge_disagrees += u64::from((own > 0.5) != (node.outcome > 0.0));
            }
        }
        self.mixed += u64::from(right && wrong);
        self.all_wrong += u64::from(wrong && !right);
    }

    fn add_depth(&mut self, depth: u32) {
        match self.depths.binary_search_by_key(&depth, |d| d.depth) {
            Ok(at) => self.depths[at].pairs += 1,
            Err(at) => self.depths.insert(at, DepthCount { depth, pairs: 1 }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regrowth_datasets::{Problem, Split, tasks::problems_from_spec};
    use regrowth_mcts::{PairConfig, RunOptions, Search, SearchConfig, extract_pairs};
    use regrowth_policy::Scripted;
    use regrowth_verifiers::ProblemVerifier;

    #[test]
    fn counts_add_up() {
        let problems: Vec<Problem> =
            problems_from_spec("choice", Split::Train, 0).unwrap().take(40).collect();
        let mut statistics = RoundStatistics::default();
        let summary = Search::new(&Scripted::new(), &ProblemVerifier, &SearchConfig::default())
            .options(&RunOptions::default())
            .run(&problems, |tree| {
                statistics.add(&tree, &extract_pairs(&tree, &PairConfig::default()))
            })
            .unwrap();
        assert_eq!((statistics.trees, statistics.nodes), (summary.trees, summary.nodes));
        assert_eq!(statistics.model_calls, summary.model_calls);
        assert!(statistics.pairs > 0);
        assert_eq!(statistics.depths.iter().map(|d| d.pairs).sum::<u64>(), statistics.pairs);
        assert!(statistics.depths.is_sorted_by_key(|d| d.depth));
        assert_eq!(statistics.margins.iter().sum::<u64>(), statistics.pairs);
        assert!(statistics.mixed + statistics.all_wrong <= statistics.trees);
        assert!(
            statistics.judge_disagrees > 0
                && statistics.judge_disagrees < statistics.judged_solutions
        );
    }
}
