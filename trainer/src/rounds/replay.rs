//! Pairs of earlier rounds mixed into the training of a later one.
//!
//! Every pair of the earlier rounds is drawn with equal probability; the draw depends only on the seed and
//! the pairs. The pairs of one round are in memory at a time. A replayed pair keeps the identity of the
//! policy that sampled it, so a trainer can tell that it is not from the start policy.

use std::collections::BTreeMap;
use std::path::PathBuf;

use regrowth_datasets::{PreferencePair, read_pairs, stream_key};

use crate::TrainError;

/// Number of pairs to replay in addition to `fresh` new pairs, so that replayed pairs are `share` of all.
pub(super) fn count(share: f64, fresh: usize) -> usize {
    (fresh as f64 * share / (1.0 - share)).round() as usize
}

/// Draws `count` pairs, or all if there are fewer, from files of pairs. Returns them in file order.
///
/// Every pair gets a pseudo-random number from its place and content, and the pairs with the lowest numbers
/// are kept: sampling without replacement in one pass.
pub(super) fn draw(
    files: &[PathBuf],
    count: usize,
    seed: u64,
) -> Result<Vec<PreferencePair>, TrainError> {
    let mut lowest: BTreeMap<(u64, usize, usize), PreferencePair> = BTreeMap::new();
    for (file, path) in files.iter().enumerate() {
        for (line, pair) in read_pairs(path)?.into_iter().enumerate() {
            let place = (line as u64).to_le_bytes();
            let round = pair.round.to_le_bytes();
            let parts: [&[u8]; 4] = [b"replay", &round, pair.problem_id.as_bytes(), &place];
            lowest.insert((stream_key(seed, &parts), file, line), pair);
            if lowest.len() > count {
                lowest.pop_last();
            }
        }
    }
    let mut drawn: Vec<_> =
        lowest.into_iter().map(|((_, file, line), p)| (file, line, p)).collect();
    drawn.sort_unstable_by_key(|(file, line, _)| (*file, *line));
    Ok(drawn.into_iter().map(|(_, _, pair)| pair).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use regrowth_datasets::{Problem, Split, tasks::problems_from_spec, write_pairs};
    use regrowth_mcts::{PairConfig, RunOptions, Search, SearchConfig, extract_pairs};
    use regrowth_policy::Scripted;
    use regrowth_verifiers::ProblemVerifier;

    fn pairs(round: u32) -> Vec<PreferencePair> {
        let problems: Vec<Problem> = problems_from_spec("choice", Split::Train, u64::from(round))
            .unwrap()
            .take(30)
            .collect();
        let options = RunOptions { round, ..RunOptions::default() };
        let config = SearchConfig::default();
        let mut pairs = Vec::new();
        Search::new(&Scripted::new(), &ProblemVerifier, &config)
            .options(&options)
            .run(&problems, |tree| {
                pairs.extend(extract_pairs(&tree, &PairConfig::default()).pairs);
            })
            .unwrap();
        pairs
    }

    #[test]
    fn a_share_is_of_all_pairs() {
        assert_eq!(count(0.0, 100), 0);
        assert_eq!(count(0.5, 100), 100);
        assert_eq!(count(0.2, 100), 25);
    }

    #[test]
    fn draws_are_distinct_seeded_ordered_and_from_every_round() {
        let dir = tempfile::tempdir().unwrap();
        let mut total = 0;
        let files: Vec<PathBuf> = (1..=2)
            .map(|round| {
                let path = dir.path().join(format!("{round}.jsonl"));
                let pairs = pairs(round);
                total += pairs.len();
                write_pairs(&path, &pairs).unwrap();
                path
            })
            .collect();
        let half = draw(&files, total / 2, 1).unwrap();
        assert_eq!(half.len(), total / 2);
        assert_eq!(half, draw(&files, total / 2, 1).unwrap());
        assert_ne!(half, draw(&files, total / 2, 2).unwrap());
        assert!(half.is_sorted_by_key(|p| p.round));
        let first = half.iter().filter(|p| p.round == 1).count();
        assert!(first > total / 8 && first < 3 * total / 8, "{first} of {total}");
        let all = draw(&files, usize::MAX, 1).unwrap();
        assert_eq!(all.len(), total);
        assert!(half.iter().all(|p| all.contains(p)));
    }
}
