//! Pairs a second on one core: `cargo run --release --example throughput -- cases.jsonl [rounds]`.
//!
//! Rows are those of `regrowth verify`; every round grades all rows, extraction included.

use std::time::{Duration, Instant};

use regrowth_verifiers::{ChoiceOption, Form, Grader, Pair};
use serde_json::Value;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("usage: throughput cases.jsonl [rounds]")?;
    let rounds: usize = arguments.next().map_or(Ok(20), |r| r.parse())?;
    let text = std::fs::read_to_string(path)?;
    let rows: Vec<Value> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let options: Vec<Vec<ChoiceOption<'_>>> = rows.iter().map(options).collect();
    let pairs: Vec<Pair<'_>> = rows.iter().zip(&options).map(|(row, o)| pair(row, o)).collect();
    let grader = Grader::default();
    let mut times: Vec<Duration> = Vec::new();
    let mut rates = Vec::new();
    for _ in 0..rounds {
        let start = Instant::now();
        for pair in &pairs {
            let single = Instant::now();
            std::hint::black_box(grader.grade(pair));
            times.push(single.elapsed());
        }
        rates.push(f64::from(u32::try_from(pairs.len())?) / start.elapsed().as_secs_f64());
    }
    rates.sort_by(f64::total_cmp);
    times.sort();
    let at = |share: usize| times[(times.len() - 1) * share / 1000];
    println!(
        "{} pairs, {rounds} rounds: {:.0} pairs/s (min {:.0}, max {:.0}); p50 {:?}, p99 {:?}, p99.9 {:?}, max {:?}",
        pairs.len(),
        rates[rates.len() / 2],
        rates[0],
        rates[rates.len() - 1],
        at(500),
        at(990),
        at(999),
        times[times.len() - 1],
    );
    Ok(())
}

fn options(row: &Value) -> Vec<ChoiceOption<'_>> {
    let labels = row["choices"].as_array().map_or(&[][..], Vec::as_slice);
    labels
        .iter()
        .filter_map(Value::as_str)
        .map(|label| ChoiceOption { label, text: row["options"][label].as_str().unwrap_or("") })
        .collect()
}

fn pair<'a>(row: &'a Value, options: &'a [ChoiceOption<'a>]) -> Pair<'a> {
    let form = |field: &str, default| match row[field].as_str() {
        Some("answer") => Form::Answer,
        Some("text") => Form::Text,
        _ => default,
    };
    Pair {
        gold: row["gold"].as_str().unwrap_or(""),
        answer: row["pred"].as_str().unwrap_or(""),
        gold_form: form("gold_form", Form::Answer),
        answer_form: form("form", Form::Text),
        options,
    }
}
