//! Writes results in the format of the lm-evaluation-harness, so that its tools and leaderboards can read
//! them: `results_<time>.json`, and one row per problem in `samples_<task>_<time>.jsonl`.

use std::path::{Path, PathBuf};

use regrowth_datasets::{atomic_write, content_hash, write_jsonl};
use regrowth_verifiers::Unanswered;
use serde_json::{Map, Value, json};

use crate::TrainError;

/// Results of one evaluated task.
#[derive(Debug, Clone)]
pub struct LmEvalRun {
    /// Name of the task.
    pub task: String,
    /// Name of the model as given by the user.
    pub model: String,
    /// Metrics by `name,filter`, in [0, 1].
    pub metrics: Vec<(String, f64)>,
    /// Configuration of the evaluation.
    pub config: Value,
    /// Counts of unreadable answers; `None` if no text was generated.
    pub unanswered: Option<Unanswered>,
    /// Number of few-shot examples in each prompt.
    pub shots: usize,
    /// Number of problems in the file, and number of problems evaluated.
    pub problems: (usize, usize),
    /// Rows with `doc_id`, `doc`, `target`, `resps`, ... and one number per metric.
    pub samples: Vec<Value>,
    /// Wall time of the evaluation, in seconds.
    pub seconds: f64,
    /// Time of the run (ISO 8601, UTC).
    pub time: String,
}

/// Folder in `out` for the results of `model`.
#[must_use]
pub fn results_folder(out: &Path, model: &str) -> PathBuf {
    out.join(sanitize(model))
}

/// Writes both files to `out/<model>/` and returns the path of the results file.
///
/// # Errors
/// If a file cannot be written.
pub fn write_lm_eval(out: &Path, run: &LmEvalRun) -> Result<PathBuf, TrainError> {
    let (name, folder) = (sanitize(&run.model), results_folder(out, &run.model));
    std::fs::create_dir_all(&folder).map_err(TrainError::io(&folder))?;
    let stamp = run.time.replace(':', "-");
    let samples = folder.join(format!("samples_{}_{stamp}.jsonl", sanitize(&run.task)));
    write_jsonl(&samples, &run.samples)?;
    let path = folder.join(format!("results_{stamp}.json"));
    let text = format!("{:#}\n", results(run, &name));
    atomic_write(&path, |file| std::io::Write::write_all(file, text.as_bytes()))?;
    Ok(path)
}

fn results(run: &LmEvalRun, name: &str) -> Value {
    let n = run.problems.1.max(2) as f64;
    let mut metrics = Map::new();
    metrics.insert("alias".into(), json!(run.task));
    let mut better = Map::new();
    for (metric, value) in &run.metrics {
        metrics.insert(metric.clone(), json!(value));
        let (metric, filter) = metric.split_once(',').unwrap_or((metric, "none"));
        // Standard error of a mean of zeros and ones, with the sample variance.
        let error = (value * (1.0 - value) / (n - 1.0)).sqrt();
        metrics.insert(format!("{metric}_stderr,{filter}"), json!(error));
        better.insert(metric.to_owned(), json!(true));
    }
    if let Some(Unanswered { no_answer, cut_off, .. }) = run.unanswered {
        metrics.insert("no_answer".into(), json!(no_answer));
        metrics.insert("cut_off".into(), json!(cut_off));
    }
    let task = &run.task;
    json!({
        "results": { task: metrics },
        "group_subtasks": { task: [] },
        "configs": { task: run.config },
        "versions": { task: 1 },
        "n-shot": { task: run.shots },
        "higher_is_better": { task: better },
        "n-samples": { task: { "original": run.problems.0, "effective": run.problems.1 } },
        "config": { "model": "regrowth", "model_args": run.model },
        "date": run.time,
        "task_hashes": { task: task_hash(run) },
        "model_source": "regrowth",
        "model_name": run.model,
        "model_name_sanitized": name,
        "total_evaluation_time_seconds": run.seconds.to_string(),
    })
}

/// Hash over all problems, so that results on other problems are not mistaken for the same task.
fn task_hash(run: &LmEvalRun) -> String {
    let docs: Vec<String> = run
        .samples
        .iter()
        .map(|s| s.get("doc").map(Value::to_string).unwrap_or_default())
        .collect();
    content_hash(&docs.join("\n"))
}

/// Returns the name with characters replaced that are unsafe in a path.
fn sanitize(name: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "-._".contains(c) { c } else { '_' };
    let name: String = name.trim_matches(['.', '/']).chars().map(safe).collect();
    if name.is_empty() { "model".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_the_harness_writes() {
        let dir = tempfile::tempdir().unwrap();
        let run = LmEvalRun {
            task: "builtin:arithmetic".into(),
            model: "../runs/x y".into(),
            metrics: vec![("exact_match,strict".into(), 0.5)],
            config: json!({ "strategy": "greedy" }),
            unanswered: Some(Unanswered { solutions: 2, no_answer: 1, cut_off: 0 }),
            shots: 4,
            problems: (10, 2),
            samples: vec![json!({ "doc_id": 0, "doc": { "question": "?" } })],
            seconds: 1.0,
            time: "2024-05-06T07:08:09".into(),
        };
        let path = write_lm_eval(dir.path(), &run).unwrap();
        assert!(path.ends_with("runs_x_y/results_2024-05-06T07-08-09.json"), "{path:?}");
        let value: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let task = &value["results"]["builtin:arithmetic"];
        assert_eq!(task["exact_match,strict"], 0.5);
        assert!((task["exact_match_stderr,strict"].as_f64().unwrap() - 0.5).abs() < 1e-12);
        assert_eq!((&task["no_answer"], &task["cut_off"]), (&json!(1), &json!(0)));
        assert_eq!(value["n-shot"]["builtin:arithmetic"], 4);
        assert_eq!(value["n-samples"]["builtin:arithmetic"]["effective"], 2);
        let samples = path.with_file_name("samples_builtin_arithmetic_2024-05-06T07-08-09.jsonl");
        assert_eq!(std::fs::read_to_string(samples).unwrap().lines().count(), 1);
    }
}
