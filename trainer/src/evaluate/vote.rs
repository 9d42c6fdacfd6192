//! Weighted voting: solutions with the same answer vote together.
//!
//! With equal weights this is the majority voting of Wang et al. 2022 (arXiv:2203.11171).

use regrowth_datasets::Problem;
use regrowth_verifiers::{Verifier, agrees};

/// A solution, the answer that it states, and the weight of its vote, at least 0.
pub(super) struct Ballot<'a> {
    pub(super) text: &'a str,
    /// Empty if the solution states no answer.
    pub(super) answer: &'a str,
    pub(super) weight: f64,
}

/// Solutions with the same answer.
struct Group<'a> {
    /// Index and weight of the heaviest solution; the first one on a tie.
    best: (usize, f64),
    /// The common answer; empty if they state none.
    answer: &'a str,
    weight: f64,
}

/// Returns the index of the heaviest solution with the most-voted answer; the first one on a tie. Solutions
/// without an answer win only if no solution has one.
pub(super) fn elect(
    verifier: &dyn Verifier,
    problem: &Problem,
    ballots: &[Ballot<'_>],
) -> Option<usize> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for (index, &Ballot { text, answer, weight }) in ballots.iter().enumerate() {
        let same = groups.iter_mut().find(|g| agrees(verifier, problem, g.answer, answer, text));
        match same {
            Some(group) => {
                group.weight += weight;
                if weight > group.best.1 {
                    group.best = (index, weight);
                }
            }
            None => groups.push(Group { best: (index, weight), answer, weight }),
        }
    }
    let votes = |g: &Group<'_>| (!g.answer.is_empty(), g.weight);
    // The first one wins a tie; `max_by` alone would return the last.
    let most = groups.iter().rev().max_by(|a, b| {
        let (a, b) = (votes(a), votes(b));
        a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
    });
    most.map(|g| g.best.0)
}

#[cfg(test)]
mod tests {
    use regrowth_datasets::{Split, tasks::problems_from_spec};
    use regrowth_verifiers::{ProblemVerifier, stated};

    use super::*;

    fn elected(votes: &[(&str, f64)]) -> Option<usize> {
        let problem = problems_from_spec("arithmetic", Split::Train, 0).unwrap().next().unwrap();
        let answers: Vec<String> = votes.iter().map(|(text, _)| stated(&problem, text)).collect();
        let ballots = votes.iter().zip(&answers);
        let ballots: Vec<Ballot<'_>> =
            ballots.map(|(&(text, weight), answer)| Ballot { text, answer, weight }).collect();
        elect(&ProblemVerifier, &problem, &ballots)
    }

    #[test]
    fn equal_answers_in_other_words_vote_together() {
        let ballots = ["#### 7", "", "#### 12", "The answer is 12.0", ""].map(|text| (text, 1.0));
        assert_eq!(elected(&ballots), Some(2));
        assert_eq!(elected(&ballots[..2]), Some(0));
        assert_eq!(elected(&ballots[..1]), Some(0));
        assert_eq!(elected(&[]), None);
        // Any answer beats solutions without an answer.
        assert_eq!(elected(&[("", 9.0), ("#### 7", 0.0)]), Some(1));
    }

    #[test]
    fn votes_count_what_they_weigh() {
        let ballots = [("#### 7", 1.0), ("#### 12", 0.2), ("#### 12.0", 0.6)];
        assert_eq!(elected(&ballots), Some(0));
        assert_eq!(elected(&[ballots[0], ballots[1], ballots[2], ballots[2]]), Some(2));
    }
}
