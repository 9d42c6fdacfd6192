//! Range checks of all settings of a search.
//!
//! Every reader of settings from files or flags calls these checks before a search begins.

use regrowth_policy::{BadGrades, Boundary, OptionOrder};

use super::{
    BackupWeights, CommitRule, DepthLimit, FirstPlay, JudgeForm, RootNoise, SearchConfig, Strategy,
    ValueConfig,
};
use crate::SearchError;
use crate::stop::StopRule;
use crate::tree::bits::{MAX_CHILDREN, MAX_IN_FLIGHT};

/// Maximum number of candidates of a node. One child is reserved, because a step of the reference solution
/// may be added.
const MOST_CANDIDATES: usize = MAX_CHILDREN - 1;

impl SearchConfig {
    /// Checks every range.
    ///
    /// # Errors
    /// [`SearchError::Config`] naming the first field that is out of its range.
    pub fn check(&self) -> Result<(), SearchError> {
        let width = match self.strategy {
            Strategy::Mcts => 1,
            Strategy::Beam { width } => width as u64,
        };
        let at_least_one = [
            ("simulations", self.simulations),
            ("first_root_factor", self.first_root_factor),
            ("max_depth", u64::from(self.max_depth)),
            ("leaves_in_flight", self.leaves_in_flight as u64),
            ("max_step_tokens", self.max_step_tokens as u64),
            ("max_solution_tokens", self.max_solution_tokens as u64),
            ("strategy.beam.width", width),
        ];
        for (field, value) in at_least_one {
            check(field, "at least 1", value, value >= 1)?;
        }
        self.check_breadth()?;
        self.verifier.check()?;
        self.check_judge()?;
        let wide = self.leaves_in_flight as u64 <= MAX_IN_FLIGHT;
        check("leaves_in_flight", "at most 65535", self.leaves_in_flight, wide)?;
        self.check_numbers()?;
        self.check_options()?;
        let temperature = self.sampling.temperature;
        check(
            "temperature",
            "at least 0",
            temperature,
            temperature.is_finite() && temperature >= 0.0,
        )
    }

    /// Checks that the judge's settings are compatible with its form.
    fn check_judge(&self) -> Result<(), SearchError> {
        let asks = matches!(
            self.value.judge,
            JudgeForm::Question | JudgeForm::Restated | JudgeForm::Direction | JudgeForm::Graded
        );
        let expected = "false unless the judge is asked a question";
        check("value.hinted", expected, self.value.hinted, asks || !self.value.hinted)?;
        self.check_texts()?;
        let expected = "none unless the judge is asked something";
        let judge = &self.value.judge_policy;
        let ok = judge.is_none() || self.value.asks();
        check("value.judge_policy", expected, judge.clone().unwrap_or_default(), ok)?;
        let judges = self.value.judges_states();
        let probe = &self.value.probe;
        let ok = judges || probe.is_none();
        let expected = "none unless `value.judge` is `probe`";
        check("value.probe", expected, probe.clone().unwrap_or_default(), ok)?;
        let ok = !judges || self.value.oracle || probe.is_some();
        let expected = "the judge_probe.json of a search with reference answers, as without them none is fitted";
        check("value.probe", expected, "none", ok)?;
        let expected = "finite numbers, slopes of at least 0";
        let scale = &self.value.likelihood;
        check("value.likelihood", expected, format!("{scale:?}"), scale.is_usable())?;
        let expected = "another than `answers`, which judges anew, where returns are summed";
        let sums = self.backup_weights == BackupWeights::Returns;
        let ok = !(sums && self.value.judges_answers());
        check("value.judge", expected, format!("{:?}", self.value.judge), ok)
    }

    /// Checks the user-defined texts of the judge: grades and follow-ups.
    fn check_texts(&self) -> Result<(), SearchError> {
        let ValueConfig { judge, grades, follow_ups, order, .. } = &self.value;
        grades.check().map_err(|BadGrades { field, expected, got }| SearchError::Config {
            field: match field {
                "labels" => "value.grades.labels",
                "values" => "value.grades.values",
                _ => "value.grades.question",
            },
            expected,
            got,
        })?;
        let graded = *judge == JudgeForm::Graded;
        let expected = "correct_first where grades judge, which have no order";
        let ok = !graded || *order == OptionOrder::default();
        check("value.order", expected, format!("{order:?}"), ok)?;
        let expected = "at least one sentence in `approving` and one in `disapproving`, none blank";
        check("value.follow_ups", expected, format!("{follow_ups:?}"), follow_ups.are_usable())
    }

    /// Checks the ranges of real numbers.
    fn check_numbers(&self) -> Result<(), SearchError> {
        let not_negative = [
            ("c_puct", self.c_puct),
            ("prior_lambda", self.prior_lambda),
            ("arithmetic", self.value.arithmetic),
        ];
        for (field, value) in not_negative {
            check(field, "a number of at least 0", value, value.is_finite() && value >= 0.0)?;
        }
        let unit = [
            ("gamma", self.gamma),
            ("unknown", self.value.unknown),
            ("unasked", self.value.unasked),
        ];
        for (field, value) in unit {
            check(field, "a number in [0, 1]", value, (0.0..=1.0).contains(&value))?;
        }
        Ok(())
    }

    /// Checks the bound of a stopping rule, and that the rule can take effect with the other settings.
    fn check_stop(&self, rule: StopRule) -> Result<(), SearchError> {
        let check = |expected, ok| check("stop", expected, format!("{rule:?}"), ok);
        check("bounds of at least 1", rule.bound() != Some(0))?;
        let beam = self.strategy != Strategy::Mcts;
        let whole = self.depth_limit != DepthLimit::Relative && self.max_depth == 1;
        check("no rule where whole solutions are sampled at once", !(beam && whole))?;
        let counted = matches!(rule, StopRule::Simulations(_) | StopRule::Decided);
        check(
            "nodes, sampled tokens, milliseconds or same outcome for a beam, which simulates nothing",
            !(beam && counted),
        )?;
        check(
            "no `same_outcome` without `value.oracle`, which verifies the outcomes",
            self.value.oracle || !matches!(rule, StopRule::SameOutcome(_)),
        )?;
        let by_visits = matches!(self.commit, CommitRule::Visits | CommitRule::SpreadVisits);
        check(
            "`decided` with a commit by visits or spread visits: others may choose another child",
            rule != StopRule::Decided || by_visits,
        )
    }

    /// Checks that a node can hold the configured number of children.
    fn check_breadth(&self) -> Result<(), SearchError> {
        let counts = [
            ("breadth[0]", self.breadth[0]),
            ("breadth[1]", self.breadth[1]),
            ("final_breadth", self.final_breadth),
            ("final_breadth_choice", self.final_breadth_choice),
        ];
        for (field, count) in counts {
            check(field, "at least 1", count, count >= 1)?;
            check(field, "at most 524286", count, count <= MOST_CANDIDATES)?;
        }
        Ok(())
    }

    /// Checks the settings that are off by default.
    fn check_options(&self) -> Result<(), SearchError> {
        for rule in &self.stop {
            self.check_stop(*rule)?;
        }
        if let Some(RootNoise { alpha, weight }) = self.root_noise {
            let sound = alpha.is_finite() && alpha > 0.0;
            check("root_noise.alpha", "a number above 0", alpha, sound)?;
            let sound = (0.0..=1.0).contains(&weight);
            check("root_noise.weight", "a number in [0, 1]", weight, sound)?;
        }
        if let Some(most) = self.similarity {
            check("similarity", "a number in [0, 1]", most, (0.0..=1.0).contains(&most))?;
        }
        if let FirstPlay::Fixed(value) | FirstPlay::BelowParent(value) = self.first_play {
            check("first_play", "a finite number", value, value.is_finite())?;
        }
        if let CommitRule::Tempered { temperature, decay } = self.commit {
            let sound = temperature.is_finite() && temperature > 0.0;
            check("commit.tempered.temperature", "a number above 0", temperature, sound)?;
            let sound = decay > 0.0 && decay <= 1.0;
            check("commit.tempered.decay", "a number above 0, at most 1", decay, sound)?;
        }
        if let Boundary::Marker(marker) = &self.boundary {
            check("boundary.marker", "a text that is not empty", marker, !marker.is_empty())?;
        }
        for text in &self.stop_at.strings {
            check("stop_at.strings", "texts that are not empty", text, !text.is_empty())?;
        }
        for (field, share) in [("top_p", self.sampling.top_p), ("min_p", self.sampling.min_p)] {
            check(field, "a number in [0, 1]", share, (0.0..=1.0).contains(&share))?;
        }
        Ok(())
    }
}

/// Returns an error unless `ok`. `expected` is shown to the user who set `field`.
pub(crate) fn check(
    field: &'static str,
    expected: &'static str,
    got: impl ToString,
    ok: bool,
) -> Result<(), SearchError> {
    if ok { Ok(()) } else { Err(SearchError::Config { field, expected, got: got.to_string() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_out_of_its_range_is_refused_by_name() {
        for (text, field) in [
            ("breadth = [524287, 1]", "breadth[0]"),
            ("breadth = [5, 4611686018427387904]", "breadth[1]"),
            ("final_breadth = 524287", "final_breadth"),
            ("final_breadth_choice = 0", "final_breadth_choice"),
            ("root_noise = { alpha = nan, weight = 0.2 }", "root_noise.alpha"),
            ("root_noise = { alpha = -1e300, weight = 0.2 }", "root_noise.alpha"),
            ("root_noise = { alpha = 0.3, weight = 7.0 }", "root_noise.weight"),
            ("similarity = -1.0", "similarity"),
            ("first_play = { fixed = nan }", "first_play"),
            ("boundary = { marker = '' }", "boundary.marker"),
            ("commit = { tempered = { temperature = 0.0 } }", "tempered.temperature"),
            ("commit = { tempered = { temperature = nan } }", "tempered.temperature"),
            ("commit = { tempered = { temperature = 1.0, decay = 1.5 } }", "tempered.decay"),
            ("stop = ['decided', { millis = 0 }]", "stop"),
            ("commit = 'value'\nstop = ['decided']", "got Decided"),
            ("commit = 'spread_value'\nstop = ['decided']", "commit by visits"),
            ("commit = 'sampled'\nstop = ['decided']", "commit by visits"),
            (
                "commit = { tempered = { temperature = 1.0 } }\nstop = ['decided']",
                "commit by visits",
            ),
            ("strategy = { beam = { width = 2 } }\nstop = ['decided']", "for a beam"),
            ("value = { oracle = false }\nstop = [{ same_outcome = 4 }]", "value.oracle"),
            ("stop = [{ same_outcome = 0 }]", "at least 1"),
            ("strategy = { beam = { width = 2 } }\nstop = [{ simulations = 3 }]", "Simulations(3)"),
            (
                "strategy = { beam = { width = 1 } }\nmax_depth = 1\nstop = [{ nodes = 3 }]",
                "at once",
            ),
            ("backup_weights = 'returns'\nvalue = { judge = 'answers' }", "value.judge"),
            ("value = { grades = { labels = ['A', 'A'] } }", "value.grades.labels"),
            ("value = { grades = { labels = [] } }", "value.grades.labels"),
            ("value = { grades = { values = [1.0, nan, 0.5, 0.2, 0.0] } }", "value.grades.values"),
            ("value = { grades = { values = [2.0, 0.7, 0.5, 0.2, 0.0] } }", "value.grades.values"),
            ("value = { grades = { question = '' } }", "value.grades.question"),
            ("value = { judge = 'graded', order = 'both' }", "value.order"),
            ("value = { follow_ups = { approving = [] } }", "value.follow_ups"),
            ("value = { follow_ups = { disapproving = ['No.', ' '] } }", "value.follow_ups"),
            ("stop_at = { strings = ['Q:', ''] }", "stop_at.strings"),
            ("sampling = { top_p = nan }", "top_p"),
            ("sampling = { min_p = 2.0 }", "min_p"),
        ] {
            let config: SearchConfig = toml::from_str(text).expect(text);
            let error = config.check().expect_err(text).to_string();
            assert!(error.contains(field), "{text}: {error}");
        }
    }

    #[test]
    fn a_zero_budget_is_refused_by_name() {
        let config = SearchConfig { simulations: 0, ..SearchConfig::default() };
        let error = config.check().expect_err("zero");
        assert!(error.to_string().contains("simulations"), "{error}");
        let stop = vec![StopRule::Nodes(3), StopRule::Millis(5), StopRule::SampledTokens(9)];
        assert!(SearchConfig { stop, ..SearchConfig::beam(2) }.check().is_ok());
        let config = SearchConfig { gamma: f64::NAN, ..SearchConfig::default() };
        assert!(config.check().is_err());
        assert!(SearchConfig::default().check().is_ok());
        let widest = SearchConfig { breadth: [MOST_CANDIDATES; 2], ..SearchConfig::default() };
        assert!(widest.check().is_ok() && MOST_CANDIDATES == 524_286);
    }
}
