//! Groups runs of one variant with several seeds into one row, for claims about a method.
//!
//! Variants are compared seed by seed, so that effects of the seed on both (problems, order) cancel. Single
//! problems are compared run by run.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Run, accuracy, percent, tokens, variant};
use crate::stats::Mean;

/// Runs of one variant with the same base policy and prompt that differ in their seed.
pub(super) struct Group<'a> {
    variant: String,
    problems: &'a str,
    /// Identity of the base policy, which includes its prompt.
    start: Option<&'a str>,
    /// Runs by seed; if two runs have the same seed, the last one counts.
    runs: BTreeMap<u64, &'a Run>,
}

/// Returns the groups in the order of their first run; empty if no variant has two seeds.
pub(super) fn groups(runs: &[Run]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for run in runs {
        let (variant, problems) = (variant(run), run.report.config.problems.as_str());
        let start = run.report.round(0).map(|round| round.policy.as_str());
        let same = |g: &Group<'_>| (&g.variant, g.problems, g.start) == (&variant, problems, start);
        let at = groups.iter().position(same).unwrap_or_else(|| {
            groups.push(Group { variant, problems, start, runs: BTreeMap::new() });
            groups.len() - 1
        });
        groups[at].runs.insert(run.report.seed, run);
    }
    if groups.iter().all(|group| group.runs.len() < 2) {
        groups.clear();
    }
    groups
}

/// Column headings of [`Group::row`].
pub(super) const HEAD: [&str; 10] = [
    "variant",
    "problems",
    "seeds",
    "before",
    "after [95 %]",
    "gain",
    "equations that hold",
    "sampled",
    "trained",
    "against first [95 %]",
];

impl Group<'_> {
    fn mean(&self, figure: impl Fn(&Run) -> f64) -> Mean {
        Mean::of(&self.runs.values().map(|run| figure(run)).collect::<Vec<_>>())
    }

    fn before(&self) -> Mean {
        self.mean(|run| accuracy(run, 0).map_or(0.0, |share| share.accuracy))
    }

    fn after(&self) -> Mean {
        self.mean(after)
    }

    /// Share of correct equations in the solutions of the best rounds; `None` if a run has no equations.
    fn equations(&self) -> Option<Mean> {
        let share = |run: &Run| Some(best(run)?.equations?.accuracy);
        let values: Option<Vec<f64>> = self.runs.values().map(|run| share(run)).collect();
        values.map(|values| Mean::of(&values))
    }

    /// Accuracy of this group minus that of the first, over the seeds in both.
    fn against(&self, first: &Group<'_>) -> Mean {
        let difference =
            |(seed, run): (&u64, &&Run)| Some(after(run) - after(first.runs.get(seed)?));
        Mean::of(&self.runs.iter().filter_map(difference).collect::<Vec<_>>())
    }

    /// Returns the group as a table row; `first` is the group to compare with.
    pub(super) fn row(&self, first: Option<&Group<'_>>) -> Vec<String> {
        let (before, after) = (self.before(), self.after());
        let whole = |mean: Mean| format!("{:.0}", mean.mean);
        vec![
            self.variant.clone(),
            self.problems.to_owned(),
            self.runs.len().to_string(),
            percent(before.mean),
            format!("{}{}", percent(after.mean), interval(&after, false)),
            format!("{:+.1}", 100.0 * (after.mean - before.mean)),
            self.equations().map_or("-".to_owned(), |mean| percent(mean.mean)),
            whole(self.mean(|run| tokens(run, |t| t.sampled) as f64)),
            whole(self.mean(|run| tokens(run, |t| t.trained) as f64)),
            first.map_or_else(String::new, |first| {
                let mean = self.against(first);
                match mean.n {
                    0 => "no seed in common".to_owned(),
                    _ => format!("{:+.1}{}", 100.0 * mean.mean, interval(&mean, true)),
                }
            }),
        ]
    }

    /// Returns the group as a JSON object.
    pub(super) fn json(&self, first: Option<&Group<'_>>) -> Value {
        json!({
            "variant": self.variant, "problems": self.problems,
            "seeds": self.runs.keys().collect::<Vec<_>>(),
            "before": self.before(), "after": self.after(), "equations": self.equations(),
            "sampled_tokens": self.mean(|run| tokens(run, |t| t.sampled) as f64),
            "trained_tokens": self.mean(|run| tokens(run, |t| t.trained) as f64),
            "against_first": first.map(|first| self.against(first)),
        })
    }
}

fn best(run: &Run) -> Option<&crate::rounds::EvalReport> {
    run.report.round(run.report.best_round)?.test.as_ref()
}

fn after(run: &Run) -> f64 {
    best(run).map_or(0.0, |test| test.share.accuracy)
}

/// ` [low, high]` in points or percent; empty if there is no interval.
fn interval(mean: &Mean, signed: bool) -> String {
    let Some([low, high]) = mean.ci95.map(|ci| ci.map(|v| 100.0 * v)) else {
        return String::new();
    };
    if signed { format!(" [{low:+.1}, {high:+.1}]") } else { format!(" [{low:.1}, {high:.1}]") }
}
