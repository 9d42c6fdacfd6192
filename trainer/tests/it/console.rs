//! Output of commands: closed pipes, first lines, folders that cannot be written.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::common::{command, ok, regrowth, stderr, stdout, workshop};

const RUN: [&str; 12] = [
    "iterate",
    "--run",
    "run",
    "--policy",
    "scripted",
    "--problems-per-round",
    "6",
    "--validation-problems",
    "30",
    "--test-problems",
    "30",
    "--simulations=2",
];

#[test]
fn a_closed_stderr_or_stdout_ends_nothing() {
    let dir = workshop();
    let commands: [&[&str]; 5] = [
        &RUN,
        &["evaluate", "--policy", "scripted", "--limit", "30"],
        &[
            "sft",
            "--policy",
            "tiny",
            "--data",
            "rows.jsonl",
            "--out",
            "out",
            "--batch-tokens",
            "256",
        ],
        &["status", "run"],
        &["report", "run"],
    ];
    let rows = "{\"prompt\": \"1 + 1 = \", \"completion\": \"2\\n\"}\n".repeat(40);
    std::fs::write(dir.path().join("rows.jsonl"), rows).unwrap();
    for args in commands {
        let mut command = command(dir.path(), args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop((child.stderr.take(), child.stdout.take()));
        assert_eq!(child.wait().unwrap().code(), Some(0), "{args:?}");
    }
    assert!(dir.path().join("run/report.json").exists());
    assert!(dir.path().join("out/train.json").exists());
}

#[test]
fn the_first_line_says_what_is_loaded() {
    let dir = workshop();
    let rows = "{\"prompt\": \"1 + 1 = \", \"completion\": \"2\\n\"}\n".repeat(40);
    std::fs::write(dir.path().join("rows.jsonl"), rows).unwrap();
    let commands: [(&[&str], &str); 3] = [
        (&RUN, "loading scripted and builtin:arithmetic"),
        (&["evaluate", "--policy", "tiny", "--limit", "3"], "loading tiny"),
        (
            &["sft", "--policy", "tiny", "--data", "rows.jsonl", "--out", "o"],
            "loading tiny and rows.jsonl",
        ),
    ];
    for (args, wanted) in commands {
        let mut command = command(dir.path(), args);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line.trim_end(), wanted);
        child.wait().unwrap();
    }
}

#[test]
fn a_place_that_is_a_file_is_a_mistake_in_the_command() {
    let dir = workshop();
    std::fs::write(dir.path().join("file"), "x").unwrap();
    std::fs::write(
        dir.path().join("rows.jsonl"),
        "{\"prompt\": \"1\", \"completion\": \"2\\n\"}\n",
    )
    .unwrap();
    for place in ["file", "file/inside"] {
        let commands: [&[&str]; 3] = [
            &["iterate", "--policy", "scripted", "--run", place],
            &["evaluate", "--policy", "scripted", "--limit", "2", "--out", place],
            &["sft", "--policy", "tiny", "--data", "rows.jsonl", "--out", place],
        ];
        for args in commands {
            let output = regrowth(dir.path(), args);
            assert_eq!(output.status.code(), Some(2), "{args:?}: {}", stderr(&output));
            assert!(
                stderr(&output).contains("is a file or lies inside one"),
                "{}",
                stderr(&output)
            );
            assert!(stderr(&output).contains(place), "{}", stderr(&output));
        }
    }
    assert_eq!(std::fs::read_to_string(dir.path().join("file")).unwrap(), "x");
}

#[test]
fn rounds_are_added_to_a_finished_run_and_nothing_else_is_changed() {
    let dir = workshop();
    let args = |run: &'static str, rounds: &'static str| {
        ["iterate", "--config", "tiny.toml", "--run", run, "--rounds", rounds]
    };
    ok(regrowth(dir.path(), &args("run", "1")));
    let first = std::fs::read(dir.path().join("run/round-0001/test.jsonl")).unwrap();
    let output = regrowth(dir.path(), &args("run", "2"));
    assert!(stderr(&output).contains("a run of 1 rounds: going on to 2"), "{}", stderr(&output));
    ok(output);
    ok(regrowth(dir.path(), &args("fresh", "2")));
    let file = |run: &str, name: &str| std::fs::read(dir.path().join(run).join(name)).unwrap();
    for name in
        ["round-0002/trees.jsonl", "round-0002/pairs.jsonl", "round-0002/test.jsonl", "test.jsonl"]
    {
        assert!(file("run", name) == file("fresh", name), "{name}");
    }
    assert!(file("run", "round-0001/test.jsonl") == first, "test answers are not asked for again");
    let report: serde_json::Value = serde_json::from_slice(&file("run", "report.json")).unwrap();
    assert_eq!(report["extended"], serde_json::json!([1]));
    // All other changes are refused; the error names the setting and both values.
    for (more, wanted) in [
        (["--rounds", "1"], "rounds: 2 in the run, 1 now"),
        (["--simulations", "9"], "search.simulations: 3 in the run, 9 now"),
    ] {
        let mut args = args("run", "2").to_vec();
        args.truncate(5);
        args.extend(more);
        let output = regrowth(dir.path(), &args);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(wanted), "{}", stderr(&output));
    }
}

#[test]
fn few_validation_problems_decide_nothing_and_a_warning_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let rows: String = (0..60)
        .map(|i| format!("{{\"question\": \"What is {i} + 1?\", \"answer\": \"{}\"}}\n", i + 1))
        .collect();
    std::fs::write(dir.path().join("p.jsonl"), rows).unwrap();
    let args = [
        "iterate",
        "--policy",
        "scripted",
        "--problems",
        "p.jsonl",
        "--rounds",
        "1",
        "--run",
        "run",
    ];
    let output = regrowth(dir.path(), &args);
    let said = stderr(&output);
    ok(output);
    assert!(
        said.contains("validation problems (") && said.contains("they decide nothing"),
        "{said}"
    );
    assert!(said.contains("test problems ("), "{said}");
    let run = dir.path().join("run");
    let status = stdout(&regrowth(dir.path(), &["status", "run"]));
    assert!(status.contains("finished; 1 of 1 rounds are done"), "{status}");
    assert!(run.join("report.html").exists());
}
