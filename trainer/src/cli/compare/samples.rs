//! Compares evaluations item by item, from the samples files of `evaluate --out` and lm-eval.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use regrowth_datasets::read_jsonl;
use serde_json::{Value, json};

use super::{aligned, difference, row};
use crate::TrainError;
use crate::stats::{Paired, Share, p_value};

/// Metrics of lm-eval that give right or wrong per item.
const METRICS: [&str; 4] = ["acc", "acc_norm", "exact_match", "math_verify"];

/// Results in a samples file.
#[derive(Debug)]
struct Samples {
    path: PathBuf,
    /// Whether each item is right: by filter and metric, then by `doc_id`.
    right: BTreeMap<(String, &'static str), BTreeMap<u64, bool>>,
    /// Reference answer of each item, by `doc_id`.
    targets: BTreeMap<u64, String>,
}

/// One line of the comparison.
struct Line<'a> {
    samples: &'a Samples,
    filter: &'a str,
    metric: &'static str,
    share: Share,
    /// Comparison with the first file, on the items in both; `None` for the first file.
    against: Option<Paired>,
}

/// Compares these files with the first one; returns text or one JSON object.
pub(super) fn compared(paths: &[PathBuf], as_json: bool) -> Result<String, TrainError> {
    let files: Vec<Samples> = paths.iter().map(|path| read(path)).collect::<Result<_, _>>()?;
    for file in &files[1..] {
        check_items(&files[0], file)?;
    }
    let lines: Vec<Line<'_>> = files.iter().flat_map(|file| lines(&files[0], file)).collect();
    if as_json {
        let rows: Vec<Value> = lines.iter().map(Line::json).collect();
        return Ok(json!({ "samples": rows }).to_string());
    }
    let head = ["samples", "filter", "metric", "share [95 %]", "against first [95 %]"];
    let mut rows = vec![row(head.map(str::to_owned))];
    rows.extend(lines.iter().map(Line::row));
    Ok(aligned(&rows))
}

fn read(path: &Path) -> Result<Samples, TrainError> {
    let rows: Vec<Value> = read_jsonl(path)?;
    let (mut right, mut targets) = (BTreeMap::<_, BTreeMap<_, _>>::new(), BTreeMap::new());
    for (index, row) in rows.iter().enumerate() {
        let id = row.get("doc_id").and_then(Value::as_u64).ok_or_else(|| TrainError::File {
            path: path.to_owned(),
            detail: format!(
                "line {}: field `doc_id`: expected a number, as in the samples files of `evaluate --out` and \
                 of lm-eval",
                index + 1
            ),
        })?;
        let filter = row.get("filter").and_then(Value::as_str).unwrap_or("none").to_owned();
        targets.insert(id, row.get("target").map(plain).unwrap_or_default());
        for metric in METRICS {
            if let Some(value) = row.get(metric).and_then(Value::as_f64) {
                right.entry((filter.clone(), metric)).or_default().insert(id, value >= 0.5);
            }
        }
    }
    if right.is_empty() {
        let detail = format!("no row has one of the metrics {}", METRICS.join(", "));
        return Err(TrainError::File { path: path.to_owned(), detail });
    }
    Ok(Samples { path: path.to_owned(), right, targets })
}

/// Returns a target without the quotes that only some programs write.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Returns an error if the two files have different items.
fn check_items(first: &Samples, second: &Samples) -> Result<(), TrainError> {
    let differs =
        |(id, target): (&u64, &String)| second.targets.get(id).is_some_and(|t| t != target);
    match first.targets.iter().find(|item| differs(*item)) {
        None => Ok(()),
        Some((id, target)) => Err(TrainError::File {
            path: second.path.clone(),
            detail: format!(
                "item {id} has the target {:?} here and {target:?} in {}; expected evaluations of the same \
                 items in the same order",
                second.targets[id],
                first.path.display()
            ),
        }),
    }
}

fn lines<'a>(first: &Samples, file: &'a Samples) -> Vec<Line<'a>> {
    let line = |((filter, metric), right): (&'a (String, &'static str), &BTreeMap<u64, bool>)| {
        let against = first.right.get(&(filter.clone(), *metric)).map(|before| {
            let both: BTreeSet<_> = before.keys().filter(|id| right.contains_key(id)).collect();
            Paired::of(both.into_iter().map(|id| (before[id], right[id])))
        });
        Line {
            samples: file,
            filter,
            metric,
            share: Share::of(right.values().copied()),
            against: against.filter(|_| !std::ptr::eq(first, file)),
        }
    };
    file.right.iter().map(line).collect()
}

impl Line<'_> {
    fn row(&self) -> Vec<String> {
        row([
            self.samples.path.display().to_string(),
            self.filter.to_owned(),
            self.metric.to_owned(),
            self.share.to_string(),
            self.against.map_or_else(String::new, |paired| match paired.n {
                0 => "no item in common".to_owned(),
                n => format!("{}, p {}, n {n}", difference(&paired), p_value(paired.p_value)),
            }),
        ])
    }

    fn json(&self) -> Value {
        json!({
            "samples": self.samples.path, "filter": self.filter, "metric": self.metric, "share": self.share,
            "against_first": self.against,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(dir: &Path, name: &str, rows: &[Value]) -> PathBuf {
        let path = dir.join(name);
        let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
        std::fs::write(&path, text).unwrap();
        path
    }

    fn sample(id: u64, right: u8, filter: &str) -> Value {
        json!({ "doc_id": id, "target": "7", "filter": filter, "exact_match": f64::from(right) })
    }

    #[test]
    fn items_are_paired_filter_by_filter() {
        let dir = tempfile::tempdir().unwrap();
        let rows = |right: [u8; 4]| -> Vec<Value> {
            let of = |filter| (0..4).map(move |i| sample(i, right[i as usize], filter));
            of("strict-match").chain(of("flexible-extract")).collect()
        };
        let a = file(dir.path(), "a.jsonl", &rows([1, 0, 0, 0]));
        // The other program writes numbers as targets, and evaluated one item less.
        let mut second = rows([1, 1, 1, 0]);
        second.retain(|row| row["doc_id"] != 3);
        second.iter_mut().for_each(|row| row["target"] = json!(7));
        let b = file(dir.path(), "b.jsonl", &second);
        let text = compared(&[a.clone(), b.clone()], true).unwrap();
        let found: Value = serde_json::from_str(&text).unwrap();
        let lines = found["samples"].as_array().unwrap();
        assert_eq!(lines.len(), 4);
        assert!(lines[0]["against_first"].is_null());
        let against = &lines[2]["against_first"];
        assert_eq!(
            (&against["n"], &against["gained"], &against["lost"]),
            (&json!(3), &json!(2), &json!(0))
        );
        let text = compared(&[a, b], false).unwrap();
        assert!(text.contains("flexible-extract") && text.contains("n 3"), "{text}");
    }

    #[test]
    fn other_items_and_other_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let a = file(dir.path(), "a.jsonl", &[sample(0, 1, "none")]);
        let mut row = sample(0, 1, "none");
        row["target"] = json!("8");
        let b = file(dir.path(), "b.jsonl", &[row]);
        let error = compared(&[a.clone(), b], false).unwrap_err().to_string();
        assert!(error.contains("b.jsonl") && error.contains("item 0"), "{error}");
        let c = file(dir.path(), "c.jsonl", &[json!({ "id": "x" })]);
        let error = compared(&[a, c], false).unwrap_err().to_string();
        assert!(error.contains("c.jsonl") && error.contains("`doc_id`"), "{error}");
    }
}
