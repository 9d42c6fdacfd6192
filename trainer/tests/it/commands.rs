//! Tests of subcommands without a file of their own, through the binary.

use crate::common;
use crate::common::{ok, regrowth, stderr, workshop};
use serde_json::{Value, json};

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

#[test]
fn evaluate_reports_accuracy_levels_and_pass_at_k_and_writes_the_harness_files() {
    let dir = tempfile::tempdir().unwrap();
    let args = [
        "evaluate",
        "--policy",
        "scripted",
        "--problems",
        "builtin:choice",
        "--limit",
        "60",
        "--samples",
        "8",
        "--out",
        "out",
        "--json",
    ];
    let value = parse(&ok(regrowth(dir.path(), &args)));
    assert_eq!(value["eval"]["n"], 60);
    let pass: Vec<f64> =
        ["1", "2", "4", "8"].iter().map(|k| value["pass_at"][k].as_f64().unwrap()).collect();
    assert!(pass.is_sorted() && pass[0] > 0.1 && pass[3] > pass[0], "{pass:?}");
    assert!(value["levels"].as_object().is_some_and(|l| !l.is_empty()));
    let results = dir.path().join(value["results"].as_str().unwrap());
    let written = parse(&std::fs::read_to_string(&results).unwrap());
    let task = &written["results"]["builtin:choice"];
    assert_eq!(task["exact_match,none"], value["eval"]["accuracy"]);
    assert_eq!(written["n-samples"]["builtin:choice"]["effective"], 60);
    let samples = std::fs::read_dir(results.parent().unwrap()).unwrap().count();
    assert_eq!(samples, 2);
    // The same command again gives the same answers.
    let again = parse(&ok(regrowth(dir.path(), &args)));
    assert_eq!((&again["eval"], &again["pass_at"]), (&value["eval"], &value["pass_at"]));
}

#[test]
fn evaluate_scores_options_and_refuses_to_without_options() {
    let dir = tempfile::tempdir().unwrap();
    let args = |problems| {
        [
            "evaluate",
            "--policy",
            "scripted",
            "--problems",
            problems,
            "--log-likelihood",
            "--limit",
            "50",
        ]
    };
    let text = ok(regrowth(dir.path(), &args("builtin:choice")));
    assert!(text.contains("acc:") && text.contains("acc_norm:"), "{text}");
    let output = regrowth(dir.path(), &args("builtin:arithmetic"));
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("has no options"), "{}", stderr(&output));
}

#[test]
fn score_gives_one_row_a_row_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let rows: String = (0..150)
        .map(|i| format!("{{\"prompt\": \"p{i}\", \"completion\": \" c{i}\"}}\n"))
        .collect();
    std::fs::write(dir.path().join("rows.jsonl"), rows).unwrap();
    let args = ["score", "--policy", "scripted", "--input", "rows.jsonl"];
    let text = ok(regrowth(dir.path(), &args));
    let lines: Vec<Value> = text.lines().map(parse).collect();
    assert_eq!(lines.len(), 150);
    for (i, line) in lines.iter().enumerate() {
        let bytes: Vec<u64> = format!(" c{i}").bytes().map(u64::from).collect();
        let tokens: Vec<u64> =
            line["tokens"].as_array().unwrap().iter().map(|t| t.as_u64().unwrap()).collect();
        assert_eq!(tokens, bytes);
        let logps = line["logprobs"].as_array().unwrap();
        let sum: f64 = logps.iter().map(|l| l.as_f64().unwrap()).sum();
        assert!(logps.len() == bytes.len() && (line["sum"].as_f64().unwrap() - sum).abs() < 1e-6);
    }
    // Longer than the scripted policy's context of 64 KiB.
    let long = "c".repeat(70_000);
    for (prompt, completion, field) in
        [("", "c", "prompt"), ("p", "", "completion"), ("p", &*long, "completion")]
    {
        let rows = [["p", "c"], [prompt, completion]]
            .map(|[prompt, completion]| json!({"prompt": prompt, "completion": completion}));
        let text = format!("{}\n\n{}\n", rows[0], rows[1]);
        std::fs::write(dir.path().join("rows.jsonl"), text).unwrap();
        let output = regrowth(dir.path(), &args);
        assert_eq!(output.status.code(), Some(3));
        let expected = format!("rows.jsonl:3: field `{field}`");
        assert!(stderr(&output).contains(&expected), "{}", stderr(&output));
    }
}

#[test]
fn score_with_chat_begins_with_the_bos_where_the_template_writes_it() {
    let dir = workshop();
    std::fs::write(
        dir.path().join("rows.jsonl"),
        "{\"prompt\": \"1 + 1\", \"completion\": \" = 2\"}\n",
    )
    .unwrap();
    let path = dir.path().join("tiny/tokenizer_config.json");
    let mut settings = parse(&std::fs::read_to_string(&path).unwrap());
    settings["bos_token"] = settings["eos_token"].clone();
    let mut sum = |template: &str, flags: &[&str]| {
        settings["chat_template"] = template.into();
        std::fs::write(&path, settings.to_string()).unwrap();
        let args = [&["score", "--policy", "tiny", "--input", "rows.jsonl"], flags].concat();
        parse(&ok(regrowth(dir.path(), &args)))["sum"].as_f64().unwrap()
    };
    let bare = "{{ messages[0]['content'] }}";
    let with = format!("{{{{ bos_token }}}}{bare}");
    let (plain, begun) = (sum(bare, &[]), sum(bare, &["--bos"]));
    assert_ne!(plain, begun);
    assert_eq!(sum(&with, &["--chat"]), begun);
    assert_eq!(sum(&with, &["--chat", "--bos"]), begun);
    assert_eq!(sum(bare, &["--chat"]), plain);
}

#[test]
fn sft_learns_rows_conversations_and_worked_problems() {
    let dir = workshop();
    let path = dir.path().join("tiny/tokenizer_config.json");
    let mut settings = parse(&std::fs::read_to_string(&path).unwrap());
    let template = "{% for m in messages %}{{ m.content }}{% if m.role == 'assistant' %}{{ eos_token }}\
                    {% else %}{{ '\\n' }}{% endif %}{% endfor %}";
    settings["chat_template"] = template.into();
    std::fs::write(&path, settings.to_string()).unwrap();
    let trained = |name: &str, row: Value, flags: &[&str]| {
        let (file, out) = (format!("{name}.jsonl"), format!("{name}-out"));
        std::fs::write(dir.path().join(&file), row.to_string()).unwrap();
        let args = ["sft", "--policy", "tiny", "--data", &file, "--out", &out];
        ok(regrowth(dir.path(), &[&args, flags].concat()));
        std::fs::read(dir.path().join(out).join("checkpoint/model.safetensors")).unwrap()
    };
    let solution = "2 + 5 = 7\nThe answer is 7.";
    let text = trained("text", json!({ "prompt": "2 + 5\n", "completion": solution }), &[]);
    let turn = |role: &str, content: &str| json!({ "role": role, "content": content });
    let (question, answer) = (turn("user", "2 + 5"), turn("assistant", solution));
    let parts = json!({ "prompt": [question], "completion": [answer] });
    assert!(trained("parts", parts, &[]) == text, "prompt and completion of messages");
    let talk = json!({ "messages": [question, answer] });
    assert!(trained("talk", talk, &[]) == text, "a conversation");
    // The model's own prompt form has no chat template; with another form, the completion continues the
    // prompt's line.
    let problem = json!({ "question": "2 + 5", "answer": "7", "solution": "2 + 5 = 7\n#### 7" });
    let other = trained("problem", problem, &["--prompt", "plain"]);
    assert!(other == text, "a worked problem");
    let half =
        ["sft", "--policy", "tiny", "--data", "text.jsonl", "--out", "half", "--dtype", "f16"];
    let said = stderr(&regrowth(dir.path(), &half));
    assert!(said.contains("--dtype f16") && said.contains("f32 is used"), "{said}");

    let refused = |row: Value, expected: &str| {
        std::fs::write(dir.path().join("bad.jsonl"), row.to_string()).unwrap();
        let args = ["sft", "--policy", "tiny", "--data", "bad.jsonl", "--out", "bad"];
        let said = stderr(&regrowth(dir.path(), &args));
        assert!(said.contains("bad.jsonl") && said.contains(expected), "{said}");
    };
    refused(json!({ "question": "2 + 5", "answer": "7" }), "has no solution");
    refused(json!({ "prompt": "2", "completion": "5 ".repeat(5000) }), "model's context");
}

#[test]
fn an_adapter_is_trained_further_on_the_same_base() {
    let dir = workshop();
    let row = json!({ "prompt": "2 + 5\n", "completion": "2 + 5 = 7\nThe answer is 7." });
    std::fs::write(dir.path().join("rows.jsonl"), row.to_string()).unwrap();
    let train = |policy: &str, rank: &str, out: &str| {
        let args = ["sft", "--policy", policy, "--data", "rows.jsonl", "--out", out];
        regrowth(dir.path(), &[&args[..], &["--lora", rank, "--learning-rate", "0.01"]].concat())
    };
    ok(train("tiny", "2", "first"));
    ok(train("first/adapter", "2", "second"));
    let sum = |policy: &str| {
        let args = ["score", "--policy", policy, "--input", "rows.jsonl"];
        parse(&ok(regrowth(dir.path(), &args)))["sum"].as_f64().unwrap()
    };
    let sums = ["tiny", "first/adapter", "second/adapter"].map(sum);
    assert!(sums[0] < sums[1] && sums[1] < sums[2], "{sums:?}");
    assert!((sum("second/checkpoint") - sums[2]).abs() < 1e-4);
    let said = stderr(&train("first/adapter", "3", "third"));
    assert!(said.contains("rank 2") && said.contains("merged model"), "{said}");
}

#[test]
fn an_adapter_keeps_its_shape_where_no_other_is_asked_for() {
    let dir = workshop();
    let row = json!({ "prompt": "2 + 5\n", "completion": "2 + 5 = 7\nThe answer is 7." });
    std::fs::write(dir.path().join("rows.jsonl"), row.to_string()).unwrap();
    let sft = |policy: &str, out: &str, more: &[&str]| {
        let args = ["sft", "--policy", policy, "--data", "rows.jsonl", "--out", out];
        ok(regrowth(dir.path(), &[&args[..], more].concat()));
        let path = dir.path().join(out).join("adapter/adapter_config.json");
        path.exists().then(|| parse(&std::fs::read_to_string(path).unwrap()))
    };
    let shape = ["--lora", "2", "--lora-alpha", "6", "--lora-targets", "q_proj,up_proj"];
    let first = sft("tiny", "first", &shape).unwrap();
    let second = sft("first/adapter", "second", &[]).unwrap();
    for key in ["r", "lora_alpha", "target_modules", "base_model_name_or_path"] {
        assert_eq!(first[key], second[key], "{key}");
    }
    assert_eq!(sft("first/adapter", "whole", &["--lora", "0"]), None);

    // `iterate` reports this at once, before it searches.
    let iterate = |more: &[&str]| {
        let args = ["iterate", "--policy", "first/adapter", "--preset", "chat", "--run", "run"];
        let few = ["--rounds", "1", "--problems-per-round", "2", "--validation-problems", "1"];
        let few =
            [&few[..], &["--test-problems", "1", "--min-pairs", "1", "--depth", "2"]].concat();
        regrowth(dir.path(), &[&args[..], &few, more].concat())
    };
    let output = iterate(&["--lora", "3"]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("rank 2, alpha 6 on q_proj, up_proj") && said.contains("rank 3"),
        "{said}"
    );
    assert!(!dir.path().join("run/round-0000").exists());
    ok(iterate(&[]));
    let run = parse(&std::fs::read_to_string(dir.path().join("run/run.json")).unwrap());
    assert_eq!(run["config"]["dpo"]["lora"]["rank"], 2);
}

#[test]
fn score_and_evaluate_run_on_a_checkpoint() {
    let dir = workshop();
    std::fs::write(
        dir.path().join("rows.jsonl"),
        "{\"prompt\": \"1 + 1\", \"completion\": \" = 2\"}\n",
    )
    .unwrap();
    let line =
        parse(&ok(regrowth(dir.path(), &["score", "--policy", "tiny", "--input", "rows.jsonl"])));
    assert!(line["sum"].as_f64().unwrap() < 0.0);
    let output =
        regrowth(dir.path(), &["score", "--policy", "tiny", "--input", "rows.jsonl", "--bos"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("BOS"), "{}", stderr(&output));
    ok(regrowth(
        dir.path(),
        &[
            "evaluate",
            "--policy",
            "tiny",
            "--limit",
            "10",
            "--max-tokens",
            "8",
            "--strategy",
            "majority@3",
        ],
    ));
}

#[test]
fn train_makes_a_checkpoint_of_pairs() {
    let dir = workshop();
    ok(regrowth(
        dir.path(),
        &["iterate", "--config", "tiny.toml", "--run", "run", "--rounds", "1"],
    ));
    let args = [
        "train",
        "--method",
        "dpo",
        "--pairs",
        "run/round-0001/pairs.jsonl",
        "--policy",
        "tiny",
        "--out",
        "better",
        "--loss",
        "sigmoid",
        "--learning-rate",
        "1e-3",
    ];
    let text = ok(regrowth(dir.path(), &args));
    assert!(text.contains("better/checkpoint"), "{text}");
    ok(regrowth(
        dir.path(),
        &["evaluate", "--policy", "better/checkpoint", "--limit", "5", "--max-tokens", "8"],
    ));
    let mut bad = args;
    bad[10] = "no-such-loss";
    assert_eq!(regrowth(dir.path(), &bad).status.code(), Some(2));
}

#[test]
fn verify_grades_rows_whatever_the_verdicts() {
    let dir = tempfile::tempdir().unwrap();
    let rows = "{\"id\": \"a\", \"gold\": \"1/2\", \"pred\": \"so it is \\\\boxed{0.5}\"}\n\
                {\"id\": \"b\", \"gold\": \"3\", \"pred\": \"#### 4\"}\n";
    std::fs::write(dir.path().join("cases.jsonl"), rows).unwrap();
    let args = ["verify", "--input", "cases.jsonl", "--output", "verdicts.jsonl"];
    let text = ok(regrowth(dir.path(), &args));
    assert!(text.contains("1 equal, 1 different"), "{text}");
    let verdicts = std::fs::read_to_string(dir.path().join("verdicts.jsonl")).unwrap();
    let verdicts: Vec<Value> = verdicts.lines().map(parse).collect();
    assert_eq!(
        (&verdicts[0]["verdict"], &verdicts[1]["verdict"]),
        (&"equal".into(), &"different".into())
    );
    std::fs::write(dir.path().join("cases.jsonl"), "{\"id\": \"a\"}\n").unwrap();
    let output = regrowth(dir.path(), &args);
    assert_eq!(output.status.code(), Some(3));
    let message = stderr(&output);
    for part in ["cases.jsonl", "line 1", "`gold`"] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn verify_reads_and_writes_streams() {
    let dir = tempfile::tempdir().unwrap();
    let rows = "{\"id\": 1, \"gold\": \"4\", \"pred\": \"\\ud83d \\\\boxed{4}\"}\n";
    std::fs::write(dir.path().join("cases.jsonl"), rows).unwrap();
    let input = std::fs::File::open(dir.path().join("cases.jsonl")).unwrap();
    let output = common::command(dir.path(), &["verify", "--input", "-", "--output", "-"])
        .stdin(input)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let verdict = parse(String::from_utf8(output.stdout).unwrap().trim());
    assert_eq!(verdict["verdict"], "equal");
    let args = ["verify", "--input", "cases.jsonl", "--output", "out.jsonl", "--json"];
    let counts = parse(&ok(regrowth(dir.path(), &args)));
    assert_eq!((&counts["rows"], &counts["equal"]), (&1.into(), &1.into()));
}

#[test]
#[cfg(unix)]
fn verify_never_replaces_a_device() {
    use std::os::unix::fs::FileTypeExt;
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("cases.jsonl"), "{\"id\":1,\"gold\":\"4\",\"pred\":\"4\"}")
        .unwrap();
    ok(regrowth(dir.path(), &["verify", "--input", "cases.jsonl", "--output", "/dev/null"]));
    assert!(std::fs::metadata("/dev/null").unwrap().file_type().is_char_device());
}

#[test]
fn the_report_page_can_be_written_again() {
    let dir = workshop();
    ok(regrowth(
        dir.path(),
        &["iterate", "--config", "tiny.toml", "--run", "run", "--rounds", "1"],
    ));
    let page = dir.path().join("run/report.html");
    let before = std::fs::read(&page).unwrap();
    std::fs::remove_file(&page).unwrap();
    ok(regrowth(dir.path(), &["report", "run"]));
    assert_eq!(std::fs::read(&page).unwrap(), before);
    let output = regrowth(dir.path(), &["report", "nowhere"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("regrowth iterate"), "{}", stderr(&output));
}

#[test]
fn a_gpu_is_refused_before_anything_is_read_where_there_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let evaluate = ["evaluate", "--policy", "builtin", "--limit", "1", "--device", "cuda:1"];
    let output = regrowth(dir.path(), &evaluate);
    let text = stderr(&output);
    assert!(!output.status.success());
    let how = if cfg!(feature = "cuda") { "--device cpu" } else { "--policy http" };
    for word in ["`cuda:1`", how] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let train =
        ["train", "--policy", "builtin", "--pairs", "none", "--out", "x", "--device", "cuda"];
    assert!(stderr(&regrowth(dir.path(), &train)).contains("training computes on the processor"));
    // The CPU computes in f32 and bf16; f16 is supported on GPUs only.
    let half = ["evaluate", "--policy", "builtin", "--limit", "1", "--dtype", "f16", "--json"];
    let output = regrowth(dir.path(), &half);
    assert!(stderr(&output).contains("f32 is used"), "{}", stderr(&output));
    let half = half.map(|word| if word == "f16" { "bf16" } else { word });
    let output = regrowth(dir.path(), &half);
    assert!(String::from_utf8_lossy(&output.stdout).contains("+bf16"), "{output:?}");
    ok(output);
}
