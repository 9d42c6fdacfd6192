//! What the pairs and trees of a round are like: where pairs come from, how clear they are, and the
//! biases they carry. Counts only, summed tree by tree, so a round of any size fits in memory.

use std::collections::BTreeMap;

use regrowth_mcts::TreeRecord;
use regrowth_mcts::calibration::{Calibration, unanswered};
use regrowth_mcts::likelihood::LikelihoodCalibration;
use regrowth_mcts::pairs::ExtractedPairs;
use regrowth_verifiers::Unanswered;
use serde::{Deserialize, Serialize};

/// Lower edges of the margin histogram's bins; a margin belongs to the last edge not above it.
/// Values lie in [-2, 2], so margins lie in (0, 4].
pub const HISTOGRAM_EDGES: [f64; 9] = [0.0, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0];

/// Pairs at one depth.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DepthCount {
    /// Depth of the two steps, from 1.
    pub depth: u32,
    /// Pairs.
    pub pairs: u64,
}

/// Counts over the trees of a round.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RoundStatistics {
    /// Trees.
    pub trees: u64,
    /// Nodes, roots included.
    pub nodes: u64,
    /// Simulations.
    pub simulations: u64,
    /// Trees whose committed answer is right (the search saw the reference: no accuracy).
    pub committed_correct: u64,
    /// Trees with right and with wrong solutions: only these can teach by outcome.
    pub mixed: u64,
    /// Trees with wrong solutions only.
    pub all_wrong: u64,
    /// Finished solutions, those without an answer that can be read and those that the token limit cut
    /// off before they stated one.
    #[serde(flatten)]
    pub unanswered: Unanswered,
    /// Pairs.
    pub pairs: u64,
    /// Pairs left out, by reason.
    pub pairs_dropped: BTreeMap<String, u64>,
    /// Pairs by depth.
    pub depths: Vec<DepthCount>,
    /// Pairs by margin, one count for each of [`HISTOGRAM_EDGES`].
    pub margins: Vec<u64>,
    /// Tokens of all chosen sides.
    pub chosen_tokens: u64,
    /// Tokens of all rejected sides; a gap to the chosen ones is a length bias.
    pub rejected_tokens: u64,
    /// Pairs whose chosen side is the longer one.
    pub chosen_longer: u64,
    /// Candidates dropped because a sibling had the same tokens.
    pub duplicates: u64,
    /// Finished solutions with a self-evaluation.
    pub judged_solutions: u64,
    /// Those whose self-evaluation (above or below one half) and outcome disagree.
    pub judge_disagrees: u64,
    /// Self-evaluations against verified outcomes; absent when nothing was judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub self_evaluation: Option<Calibration>,
    /// What the outcomes say of log-likelihoods: the next round's scale where they judge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub likelihood: Option<LikelihoodCalibration>,
    /// The scale on which likelihoods judged behind the first problems, which it comes from; absent where
    /// there was none of the round's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calibrated: Option<LikelihoodCalibration>,
    /// Judges that are fitted to outcomes, each solution judged by what was fitted to other problems; none
    /// where trees keep no hidden states.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub held_out: BTreeMap<String, Calibration>,
    /// Identity of the probe that the outcomes of all trees gave: the next round's first one where probes judge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe: Option<String>,
    /// Identity of the probe that judged behind the first problems, which it comes from; absent where there was
    /// none of the round's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_probe: Option<String>,
    /// Tokens of the prompts, each tree's once: what a perfect prefix cache would read.
    pub prompt_tokens: u64,
    /// Tokens sampled.
    pub sampled_tokens: u64,
    /// Requests for candidates and judgements.
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
