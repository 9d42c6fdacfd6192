//! Tests of `regrowth check` through the binary, and of its time limit with a slow policy.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::common::{ok, regrowth, stderr, workshop};
use regrowth_datasets::{Problem, Split, tasks::problems_from_spec};
use regrowth_mcts::SearchConfig;
use regrowth_policy::Scripted;
use regrowth_policy::decorate::{Delay, Delayed};
use regrowth_trainer::check::{MOST_PROBLEMS, check};
use serde_json::{Value, json};

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

#[test]
fn a_check_tells_solutions_steps_answers_speed_and_cost() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["check", "--policy", "builtin", "--problems", "builtin:arithmetic", "--json"];
    let found = parse(&ok(regrowth(dir.path(), &args)));
    assert_eq!((&found["problems"], &found["unfinished"]), (&8.into(), &0.into()), "{found}");
    assert!(
        found["no_answer"].as_u64() < Some(4) && found["cut_off"].as_u64() < Some(4),
        "{found}"
    );
    let steps = found["steps_per_solution"].as_f64().unwrap();
    assert!((2.0..=8.0).contains(&steps), "{found}");
    for key in ["tokens_per_step", "tokens_per_second", "memory_mib"] {
        assert!(found[key].as_f64() > Some(0.0), "{key}: {found}");
    }
    let samples = found["samples"].as_array().unwrap();
    let first = &samples[0]["steps"].as_array().unwrap();
    assert!(first.iter().all(|step| step["content"] == true), "{found}");
    assert_eq!(samples.iter().filter(|s| s["correct"] == true).count() as u64, found["correct"]);
    assert_eq!(found["projected"]["trees"], 3 * 800);
    assert!(found["tree"]["sampled_tokens"].as_f64() > Some(50.0), "{found}");
    assert!(found["recommended"]["max_depth"].as_u64() > Some(2), "{found}");
    // The same solutions again, whatever else the machine is doing.
    let again = parse(&ok(regrowth(dir.path(), &args)));
    assert_eq!(again["samples"], found["samples"]);

    let text = ok(regrowth(dir.path(), &args[..5]));
    for part in [
        "--- the first prompt",
        "--- solution 8",
        "the verifier reads",
        "tokens per second",
        "a tree:",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn solutions_that_are_cut_off_are_counted_and_given_more_room() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("short.toml"), "[search]\nmax_solution_tokens = 6\n").unwrap();
    let args = ["check", "--policy", "scripted", "--config", "short.toml", "--json"];
    let output = regrowth(dir.path(), &args);
    assert!(stderr(&output).contains("8 of 8 solutions are cut off"), "{}", stderr(&output));
    let found = parse(&ok(output));
    assert_eq!((&found["cut_off"], &found["unfinished"]), (&8.into(), &0.into()), "{found}");
    assert_eq!(found["recommended"]["max_solution_tokens"], 12);
}

#[test]
fn a_checkpoint_starts_from_the_preset_of_instruction_models() {
    let dir = workshop();
    let args = ["check", "--config", "tiny.toml", "--json"];
    let found = parse(&ok(regrowth(dir.path(), &args)));
    assert_eq!(found["recommended"]["sampling"]["top_p"].as_f64().map(|p| p < 1.0), Some(true));
    assert_eq!(found["projected"]["trees"], 10, "{found}");
}

#[test]
fn a_slow_policy_ends_in_time_and_its_solutions_are_unfinished_not_cut_off() {
    let problems: Vec<Problem> =
        problems_from_spec("arithmetic", Split::Train, 0).unwrap().take(MOST_PROBLEMS).collect();
    // Solutions that do not end, one line per wave.
    let line = "and then we see\n";
    let entries: Vec<Value> = (0..40)
        .map(|lines| json!({ "after": line.repeat(lines), "candidates": [{ "text": line }] }))
        .collect();
    let endless = Scripted::from_json(&json!({ "entries": entries }).to_string()).unwrap();
    let delay = |millis: u64| {
        let latency = Duration::from_millis(millis);
        let delay = Delay { batch: 1, latency, jitter: 0.0, seed: 0 };
        Delayed::new(Arc::new(endless.clone()), delay)
    };
    let look = |millis: u64| {
        let started = Instant::now();
        let (search, limit) = (SearchConfig::default(), Duration::from_millis(600));
        let found = check(&delay(millis), &problems, &search, limit, &mut |_, _| {}).unwrap();
        assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
        found
    };
    // No answer arrives in time.
    let found = look(900);
    assert_eq!((found.problems, found.unfinished, found.cut_off), (1, 1, 0));
    assert!(found.tree.is_none() && found.warnings()[0].contains("--seconds"));
    // A few waves are finished in time.
    let found = look(60);
    assert!(found.problems < MOST_PROBLEMS && found.unfinished > 0, "{}", found.problems);
    assert_eq!((found.cut_off, found.no_answer), (0, 0));
}
