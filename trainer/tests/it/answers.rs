//! How models write the answer that the prompt asks for, and how `evaluate` reads it.

use std::path::Path;

use crate::common::{ok, regrowth, stderr};
use regrowth_datasets::read_jsonl;
use serde_json::{Value, json};

/// Evaluates a policy that writes each of these texts as the solution of a separate problem. Returns the
/// result, the rows of the samples file and stderr.
fn evaluate(
    dir: &Path,
    problem: impl Fn(usize) -> Value,
    texts: &[&str],
) -> (Value, Vec<Value>, String) {
    let rows: Vec<String> = (0..texts.len()).map(|i| problem(i).to_string()).collect();
    std::fs::write(dir.join("rows.jsonl"), rows.join("\n")).unwrap();
    let entry = |(i, text): (usize, &&str)| {
        json!({ "after": "", "question": format!("Problem {i}:"),
                "candidates": [{ "text": text, "end": true }] })
    };
    let entries: Vec<Value> = texts.iter().enumerate().map(entry).collect();
    std::fs::write(dir.join("script.json"), json!({ "entries": entries }).to_string()).unwrap();
    let args = [
        "evaluate",
        "--policy",
        "scripted:script.json",
        "--problems",
        "rows.jsonl",
        "--json",
        "--out",
        "out",
    ];
    let output = regrowth(dir, &args);
    let said = stderr(&output);
    let result: Value = serde_json::from_str(&ok(output)).unwrap();
    let results = dir.join(result["results"].as_str().unwrap());
    let name = results.file_name().unwrap().to_string_lossy().replace("results_", "");
    let samples = std::fs::read_dir(results.parent().unwrap()).unwrap();
    let stamp = name.replace(".json", ".jsonl");
    let path = samples
        .map(|entry| entry.unwrap().path())
        .find(|path| path.to_string_lossy().ends_with(&stamp))
        .unwrap();
    (result, read_jsonl(&path).unwrap(), said)
}

#[test]
fn every_wording_of_an_answer_that_a_form_asks_for_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let number = |i| json!({ "question": format!("Problem {i}: two and five?"), "answer": "7" });
    let texts = [
        "2 + 5 = 7, so \\boxed{7}.",
        "2 + 5 = 7\n#### 7",
        "2 + 5 = 7\n#### answer: 7",
        "2 + 5 = 7\n#### The answer is 7.",
        "2 + 5 = 7\n**Answer:** 7",
        "The final answer is \\boxed{7}.",
    ];
    let (result, rows, said) = evaluate(dir.path(), number, &texts);
    assert_eq!(result["eval"]["accuracy"], 1.0, "{rows:?}");
    assert_eq!((&result["no_answer"], &result["cut_off"]), (&json!(0), &json!(0)));
    assert!(rows.iter().all(|row| row["filtered_resps"] == json!(["7"])), "{rows:?}");
    assert_eq!(
        (&rows[0]["answer_source"], &rows[1]["answer_source"]),
        (&json!("boxed"), &json!("hashes"))
    );
    assert!(!said.contains("warning"), "{said}");

    let dir = tempfile::tempdir().unwrap();
    let choice = |i| {
        json!({ "question": format!("Problem {i}: which?"), "answer": "2",
                "choices": [{ "label": "1", "text": "wood" }, { "label": "2", "text": "steel" }] })
    };
    let texts = ["It rusts.\nAnswer: 2", "It rusts.\nAnswer: (2)", "So \\boxed{2}.", "#### 2"];
    let (result, rows, _) = evaluate(dir.path(), choice, &texts);
    assert_eq!(result["eval"]["accuracy"], 1.0, "{rows:?}");
    assert!(rows.iter().all(|row| row["filtered_resps"] == json!(["2"])), "{rows:?}");
}

#[test]
fn what_is_silent_or_cut_off_is_counted_and_warned_of() {
    let dir = tempfile::tempdir().unwrap();
    let number = |i| json!({ "question": format!("Problem {i}: two and five?"), "answer": "7" });
    // A token is a byte, and the limit is 512: the answer 70 is cut off after its first digit.
    let statement = "The answer is 7";
    let open = format!("{}{statement}0.", "x".repeat(512 - statement.len()));
    let texts = ["\\boxed{7}", "I cannot tell.", open.as_str(), "#### 7"];
    let (result, rows, said) = evaluate(dir.path(), number, &texts);
    assert_eq!(result["eval"]["accuracy"], 0.5, "{rows:?}");
    assert_eq!((&result["no_answer"], &result["cut_off"]), (&json!(1), &json!(1)));
    let sources: Vec<&str> = rows.iter().map(|r| r["answer_source"].as_str().unwrap()).collect();
    assert_eq!(sources, ["boxed", "no_answer", "cut_off", "hashes"]);
    assert_eq!(rows[2]["filtered_resps"], json!([""]));
    assert!(said.contains("1 of 4 solutions state no answer"), "{said}");
    assert!(
        said.contains("1 of 4 solutions were cut off") && said.contains("--max-tokens"),
        "{said}"
    );
    let path = dir.path().join(result["results"].as_str().unwrap());
    let written: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let task = written["results"].as_object().unwrap().values().next().unwrap();
    assert_eq!((&task["no_answer"], &task["cut_off"]), (&json!(1), &json!(1)));
}

#[test]
fn log_likelihoods_carry_no_settings_of_generation() {
    let dir = tempfile::tempdir().unwrap();
    let args = [
        "evaluate",
        "--policy",
        "scripted",
        "--problems",
        "builtin:choice",
        "--log-likelihood",
        "--limit",
        "5",
        "--out",
        "out",
        "--json",
    ];
    let result: Value = serde_json::from_str(&ok(regrowth(dir.path(), &args))).unwrap();
    let path = dir.path().join(result["results"].as_str().unwrap());
    let written: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let config = &written["configs"]["builtin:choice"];
    assert_eq!(config["output_type"], "multiple_choice");
    assert!(config.get("temperature").is_none() && config.get("max_tokens").is_none(), "{config}");
}

#[test]
fn the_prompt_is_shown_and_its_form_must_exist() {
    let dir = tempfile::tempdir().unwrap();
    let shown = |more: &[&str]| {
        let args = ["evaluate", "--policy", "builtin", "--show-prompt"];
        regrowth(dir.path(), &[args.as_slice(), more].concat())
    };
    let own = ok(shown(&[]));
    assert!(!own.contains("step by step"), "{own}");
    let boxed = ok(shown(&["--prompt", "boxed"]));
    assert!(boxed.trim_end().ends_with("put your final answer within \\boxed{}."), "{boxed}");
    let worked = ok(shown(&["--prompt", "gsm8k", "--shots", "2"]));
    assert_eq!(worked.matches("Question: ").count(), 3, "{worked}");
    assert_eq!(worked.matches("####").count(), 2, "{worked}");
    std::fs::write(dir.path().join("form.txt"), "{{ question }}\n{{ qestion }}").unwrap();
    for (form, code, expected) in [
        ("boxd", 2, "no such form and no such file"),
        ("form.txt", 3, "line 2: there is no variable"),
    ] {
        let output = shown(&["--prompt", form]);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(expected), "{said}");
    }
}
