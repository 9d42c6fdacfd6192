//! Builds the report of a round from the results of its phases.

use super::report::{EvalReport, GateReport, KlToBase, RoundReport, RoundTokens, Seconds};
use super::round_policy::RoundPolicy;
use super::search::SearchDone;
use super::test_evaluation::EvalRow;
use super::training::TrainDone;
use regrowth_datasets::Problem;

/// Results of a round's phases.
pub(super) struct PhaseResults<'a> {
    pub(super) number: u32,
    pub(super) start: &'a RoundPolicy,
    pub(super) policy_after: &'a RoundPolicy,
    pub(super) searched: SearchDone,
    pub(super) trained: TrainDone,
    pub(super) gate: GateReport,
    pub(super) kl_to_base: Option<KlToBase>,
    /// Whether the search saw the reference answers.
    pub(super) oracle: bool,
    /// The validation problems.
    pub(super) validation: &'a [Problem],
    pub(super) seconds: Seconds,
}

/// The report of round 0.
pub(super) fn base(base: &RoundPolicy, validation: &[Problem], seconds: Seconds) -> RoundReport {
    RoundReport {
        validation: accuracy(validation, &base.validation),
        tokens: RoundTokens { validated: tokens(&base.validation), ..RoundTokens::default() },
        seconds,
        ..RoundReport::of(0, base.identity.clone())
    }
}

impl PhaseResults<'_> {
    pub(super) fn report(self) -> RoundReport {
        let Self { number, start, policy_after, searched, trained, .. } = self;
        let statistics = searched.statistics;
        let mut pairs_dropped = statistics.pairs_dropped.clone();
        pairs_dropped.extend(trained.skipped);
        let changed = |before: bool| {
            let pairs = start.validation.iter().zip(&policy_after.validation);
            pairs.filter(|(a, b)| (a.correct, b.correct) == (before, !before)).count() as u64
        };
        let asked = policy_after.validated_in == Some(number);
        RoundReport {
            validation: accuracy(self.validation, &policy_after.validation),
            gate: Some(self.gate),
            validated: policy_after.validated_in.is_some(),
            trained: trained.not_trained.is_none(),
            not_trained: trained.not_trained,
            problems: searched.problems,
            pairs: statistics.pairs,
            pairs_dropped,
            trees: statistics.trees,
            steps: trained.steps,
            tokens: RoundTokens {
                prompts: statistics.prompt_tokens,
                sampled: statistics.sampled_tokens,
                trained: trained.tokens,
                referenced: trained.reference_tokens,
                validated: if asked { tokens(&policy_after.validation) } else { 0 },
            },
            metrics: trained.metrics,
            on_policy_share: trained.mix.on_policy as f64 / trained.mix.rows.max(1) as f64,
            replayed: trained.mix.replayed,
            kl_to_base: self.kl_to_base,
            oracle: self.oracle,
            forgotten: changed(true),
            learned: changed(false),
            statistics,
            seconds: self.seconds,
            ..RoundReport::of(number, policy_after.identity.clone())
        }
    }
}

/// Accuracy of the answers `rows` on the validation problems.
fn accuracy(validation: &[Problem], rows: &[EvalRow]) -> EvalReport {
    EvalReport::of(validation.first().map_or("", |problem| problem.source.as_str()), rows)
}

fn tokens(rows: &[EvalRow]) -> u64 {
    rows.iter().map(|r| r.tokens).sum()
}
