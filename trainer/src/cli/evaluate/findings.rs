//! Collects the results of an evaluation until they are printed and written.

use regrowth_datasets::Problem;
use regrowth_mcts::config::JudgePolicy;
use regrowth_mcts::console::log;
use regrowth_verifiers::Unanswered;
use serde_json::{Map, Value, json};

use crate::evaluate::Curve;

/// Results of an evaluation, for stdout and for files.
pub(super) struct Findings {
    /// Metrics by `name,filter`.
    pub(super) metrics: Vec<(String, f64)>,
    /// JSON object for stdout.
    pub(super) json: Map<String, Value>,
    /// Text lines for stdout.
    pub(super) text: Vec<String>,
    /// Rows of the samples file.
    pub(super) samples: Vec<Value>,
    /// Counts of unreadable answers of the strategy; `None` if nothing was generated.
    pub(super) unanswered: Option<Unanswered>,
    /// Accuracy by tokens; `None` without `--curve`.
    pub(super) curve: Option<Curve>,
}

impl Findings {
    /// Findings without results: one sample row per problem.
    pub(super) fn of(problems: &[Problem]) -> Self {
        let samples = problems.iter().enumerate().map(|(i, p)| sample_row(i, p)).collect();
        let (metrics, json, text) = (Vec::new(), Map::new(), Vec::new());
        Self { metrics, json, text, samples, unanswered: None, curve: None }
    }

    /// Records how many answers could not be read, and warns if there are many.
    pub(super) fn count(&mut self, unanswered: Unanswered) {
        let Unanswered { no_answer, cut_off, .. } = unanswered;
        if no_answer + cut_off > 0 {
            self.text.push(format!(
                "  {no_answer} without an answer that can be read, {cut_off} cut off by the token limit"
            ));
        }
        self.put("no_answer", json!(no_answer));
        self.put("cut_off", json!(cut_off));
        self.unanswered = Some(unanswered);
        unanswered.warnings("--max-tokens").iter().for_each(|warning| log(warning));
    }

    /// Records how many bad rows of the problem files were skipped, if any.
    pub(super) fn skipped(&mut self, bad_rows: usize) {
        if bad_rows > 0 {
            self.put("bad_rows", json!(bad_rows));
            self.text.push(format!("{bad_rows} bad rows of the problem files were skipped"));
        }
    }

    /// Records the calls and tokens of the judge policy, if there is one.
    pub(super) fn judged(&mut self, judge: Option<&JudgePolicy>) {
        let Some(JudgePolicy { policy, meter }) = judge else { return };
        let (name, calls, tokens) = (policy.identity(), meter.calls(), meter.tokens());
        self.put("judge", json!({ "policy": name, "calls": calls, "tokens": tokens }));
        self.text.push(format!("  judge {name}: {calls} judgements, {tokens} tokens"));
    }

    pub(super) fn put(&mut self, key: &str, value: Value) {
        self.json.insert(key.to_owned(), value);
    }

    /// Adds a field to the row of a problem.
    pub(super) fn set(&mut self, index: usize, key: &str, value: Value) {
        if let Some(Value::Object(row)) = self.samples.get_mut(index) {
            row.insert(key.to_owned(), value);
        }
    }
}

fn sample_row(index: usize, problem: &Problem) -> Value {
    json!({ "doc_id": index, "doc": problem, "target": problem.answer })
}
