//! Tests of `regrowth iterate` through the binary: the files of a run, reproducibility by seed, resuming, and
//! errors.

use std::path::Path;

use crate::common::runs::{assert_same, contents};
use crate::common::{ok, regrowth, stderr, stdout, workshop};
use regrowth_mcts::likelihood::{LikelihoodCalibration, LikelihoodFit};
use regrowth_mcts::{TreeRecord, read_trees};
use regrowth_policy::candle::{Checkpoint, SaveOptions, Source, save_checkpoint};
use regrowth_verifiers::ProblemVerifier;
use serde_json::Value;

/// Arguments of a run with the scripted policy: it has no weights, so nothing is trained.
fn scripted<'a>(run: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec![
        "iterate",
        "--run",
        run,
        "--policy",
        "scripted",
        "--problems",
        "builtin:choice",
        "--problems-per-round",
        "12",
        "--rounds",
        "2",
        "--validation-problems",
        "20",
        "--test-problems",
        "30",
        "--simulations",
        "4",
    ];
    args.extend(more);
    args
}

fn tiny<'a>(run: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["iterate", "--config", "tiny.toml", "--run", run];
    args.extend(more);
    args
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn likelihoods_are_judged_on_the_scale_of_the_round() {
    let dir = workshop();
    std::fs::write(dir.path().join("scale.toml"), "calibration_problems = 60\n").unwrap();
    let options = "--run run --config scale.toml --policy scripted --problems builtin:choice --rounds 2 \
                   --judge likelihood --problems-per-round 80 --validation-problems 2 --test-problems 2";
    let args: Vec<&str> = ["iterate"].into_iter().chain(options.split_whitespace()).collect();
    ok(regrowth(dir.path(), &args));
    let run = dir.path().join("run");
    let mut before = LikelihoodCalibration::default();
    for round in ["round-0001", "round-0002"].map(|name| run.join(name)) {
        let report = json(&round.join("report.json"));
        let scale =
            |value: &Value| serde_json::from_value::<LikelihoodCalibration>(value.clone()).unwrap();
        let own = scale(&report["statistics"]["calibrated"]);
        let all = scale(&report["statistics"]["likelihood"]);
        let mut outcomes = LikelihoodFit::default();
        for (index, tree) in read_trees(&round.join("trees.jsonl")).unwrap().enumerate() {
            let tree = tree.unwrap();
            if index < 60 {
                outcomes.add(&tree, &ProblemVerifier);
            }
            assert_judged_on(&tree, if index < 60 { before } else { own });
        }
        assert_eq!(outcomes.scale(before), Some(own));
        assert_ne!(own, before);
        before = all;
    }
}

fn assert_judged_on(tree: &TreeRecord, scale: LikelihoodCalibration) {
    for (id, node) in tree.nodes.iter().enumerate().skip(1) {
        let path = tree.path(id as u32);
        let logps = path.iter().flat_map(|&step| &tree.nodes[step as usize].logps);
        let expected = scale.confidence(logps.map(|&l| f64::from(l)).sum(), node.terminal);
        assert!((node.self_evaluation.unwrap() - expected).abs() < 1e-9, "{}", tree.problem.id);
    }
}

#[test]
fn a_run_leaves_the_files_and_fields_of_the_contract() {
    let dir = workshop();
    let text = ok(regrowth(dir.path(), &tiny("run", &["--seed", "3"])));
    assert!(text.contains("Try next") && text.contains("run/report.html"), "{text}");
    assert!(text.contains("evaluate --policy run/"), "{text}");
    let run = dir.path().join("run");
    for file in ["run.json", "report.json", "report.html", "test.jsonl"] {
        assert!(run.join(file).is_file(), "{file}");
    }
    for file in ["pairs.jsonl", "trees.jsonl", "metrics.jsonl", "checkpoint/model.safetensors"] {
        assert!(run.join("round-0001").join(file).is_file(), "{file}");
        assert!(run.join("round-0002").join(file).is_file(), "{file}");
    }
    let settings = json(&run.join("run.json"));
    assert_eq!((&settings["version"], &settings["seed"]), (&1.into(), &3.into()));
    assert_eq!(settings["config"]["search"]["simulations"], 3);
    let report = json(&run.join("report.json"));
    assert_eq!(report["rounds"].as_array().unwrap().len(), 3);
    for (number, round) in report["rounds"].as_array().unwrap().iter().enumerate() {
        assert_eq!(round["round"], number);
        assert_eq!(round["test"]["n"], 8);
        assert_eq!(round["test"]["task"], "builtin:arithmetic");
        assert_eq!(round["validation"]["n"], 6);
        assert_eq!(round["test"]["ci95"].as_array().unwrap().len(), 2);
        for key in ["search", "train", "validate"] {
            assert!(round["seconds"][key].is_number());
        }
        for key in ["prompts", "prefilled", "sampled", "decoded", "trained"] {
            assert_eq!(round["tokens"][key].as_u64().unwrap() > 0, number > 0, "{key}");
        }
    }
    let first = &report["rounds"][1];
    assert!(first["pairs"].as_u64().unwrap() > 0);
    assert!(first["metrics"]["rewards/margins"].is_number());
    assert_eq!(first["on_policy_share"], 1.0);
    assert!(report["p_value"].as_f64().is_some_and(|p| p > 0.0 && p <= 1.0));
    let page = std::fs::read_to_string(run.join("report.html")).unwrap();
    for part in ["Greedy accuracy", "id=\"problems\"", "data-chart=\"loss\"", "class=\"viewer\""] {
        assert!(page.to_lowercase().contains(&part.to_lowercase()), "{part}");
    }
}

#[test]
fn example_trees_of_the_page_are_marked_by_the_rules_of_the_run() {
    let dir = workshop();
    let marked = |run: &str, rules: &str| {
        std::fs::write(dir.path().join("rules.toml"), rules).unwrap();
        ok(regrowth(dir.path(), &scripted(run, &["--config", "rules.toml"])));
        let page = std::fs::read_to_string(dir.path().join(run).join("report.html")).unwrap();
        page.matches("{\"chosen\":").count()
    };
    let usual = marked("usual", "[pairs]\nmin_margin = 0.1\n");
    let strict = marked("strict", "[pairs]\nmin_margin = 3.5\n");
    assert!(usual > 0 && strict == 0, "{usual} {strict}");
}

#[test]
fn same_seed_same_bytes_for_any_threads_and_batch() {
    let dir = workshop();
    ok(regrowth(dir.path(), &tiny("a", &["--threads", "1", "--max-batch", "1"])));
    ok(regrowth(dir.path(), &tiny("c", &["--seed", "1"])));
    let a = contents(&dir.path().join("a"));
    let c = contents(&dir.path().join("c"));
    assert_ne!(a["round-0001/pairs.jsonl"], c["round-0001/pairs.jsonl"]);
    for (threads, batch) in [("1", "64"), ("2", "1"), ("2", "64"), ("8", "1"), ("8", "64")] {
        let name = format!("{threads}-{batch}");
        let more = ["--threads", threads, "--max-batch", batch];
        ok(regrowth(dir.path(), &tiny(&name, &more)));
        // No file contains checkpoint paths, so the name of the run does not appear either.
        assert_same(&a, &contents(&dir.path().join(name)));
    }
}

#[test]
fn every_variant_runs_to_its_end_and_can_be_compared() {
    let dir = workshop();
    let variants = [
        "instance",
        "offline",
        "star",
        "chosen-sft",
        "no-self-evaluation",
        "no-outcome",
        "no-smoothing",
        "initial-reference",
    ];
    ok(regrowth(dir.path(), &tiny("step", &[])));
    ok(regrowth(dir.path(), &tiny("other-loss", &["--loss", "simpo:gamma=0.5"])));
    ok(regrowth(dir.path(), &tiny("other-judge", &["--judge", "follow-ups"])));
    let mut all = vec!["compare", "step", "other-loss", "other-judge"];
    for variant in variants {
        ok(regrowth(dir.path(), &tiny(variant, &["--variant", variant])));
        all.push(variant);
    }
    let table = ok(regrowth(dir.path(), &all));
    assert_eq!(table.lines().count(), 4 + variants.len(), "{table}");
    assert!(table.contains("step, simpo:gamma=0.5"), "{table}");
    assert!(table.contains("step, judge follow-ups"), "{table}");
    assert!(variants.iter().all(|v| table.contains(v)), "{table}");
    let report = json(&dir.path().join("offline/report.json"));
    assert_eq!(report["rounds"][2]["on_policy_share"], 0.0);
    all.push("--json");
    let value: Value = serde_json::from_str(&ok(regrowth(dir.path(), &all))).unwrap();
    assert_eq!(value["runs"][1]["against_first"]["n"], 8);
    assert_eq!(value["over_seeds"], serde_json::json!([]), "one seed says nothing of seeds");
}

#[test]
fn runs_of_several_seeds_are_compared_seed_by_seed() {
    let dir = workshop();
    let mut all = vec!["compare"];
    let runs = [("a0", "0", "step"), ("a1", "1", "step"), ("b1", "1", "star"), ("b2", "2", "star")];
    for (run, seed, variant) in runs {
        ok(regrowth(dir.path(), &tiny(run, &["--variant", variant, "--seed", seed])));
        all.push(run);
    }
    let table = ok(regrowth(dir.path(), &all));
    assert_eq!(table.lines().count(), 2 + runs.len() + 4, "{table}");
    all.push("--json");
    let value: Value = serde_json::from_str(&ok(regrowth(dir.path(), &all))).unwrap();
    let (runs, groups) = (&value["runs"], &value["over_seeds"]);
    let after = |run: usize| runs[run]["after"]["accuracy"].as_f64().unwrap();
    assert_eq!(groups[0]["seeds"], serde_json::json!([0, 1]));
    assert_eq!(groups[0]["after"]["mean"], (after(0) + after(1)) / 2.0);
    assert!(groups[0]["against_first"].is_null());
    // Only seed 1 is in both groups, so there is no interval.
    let against = serde_json::json!({ "n": 1, "mean": after(2) - after(1) });
    assert_eq!(groups[1]["against_first"], against);

    // Another prompt is another variant, not a third seed.
    ok(regrowth(dir.path(), &tiny("plain", &["--seed", "2", "--prompt", "plain"])));
    let text = ok(regrowth(dir.path(), &["compare", "a0", "a1", "plain", "--json"]));
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["runs"][2]["variant"], "step, prompt plain");
    let groups = value["over_seeds"].as_array().unwrap();
    let seeds: Vec<&Value> = groups.iter().map(|group| &group["seeds"]).collect();
    assert_eq!(seeds, [&serde_json::json!([0, 1]), &serde_json::json!([2])]);
}

#[test]
fn a_policy_without_weights_searches_and_says_why_nothing_was_trained() {
    let dir = tempfile::tempdir().unwrap();
    let output = regrowth(dir.path(), &scripted("run", &[]));
    assert!(stderr(&output).contains("no weights to train"), "{}", stderr(&output));
    ok(output);
    let report = json(&dir.path().join("run/report.json"));
    assert_eq!((&report["best_round"], &report["p_value"]), (&0.into(), &1.0.into()));
    assert!(report["rounds"][2]["pairs"].as_u64().unwrap() > 0);
    assert_eq!(report["rounds"][2]["test"], report["rounds"][0]["test"]);
}

#[test]
fn a_finished_run_says_so_and_does_nothing() {
    let dir = tempfile::tempdir().unwrap();
    ok(regrowth(dir.path(), &scripted("run", &[])));
    let before = contents(&dir.path().join("run"));
    let text = ok(regrowth(dir.path(), &scripted("run", &[])));
    assert!(text.contains("finished run"), "{text}");
    assert_same(&before, &contents(&dir.path().join("run")));
}

#[test]
fn replayed_pairs_are_mixed_in_and_counted() {
    let dir = workshop();
    ok(regrowth(dir.path(), &tiny("run", &["--replay", "0.5"])));
    let report = json(&dir.path().join("run/report.json"));
    let (first, second) = (&report["rounds"][1], &report["rounds"][2]);
    assert_eq!((&first["replayed"], &first["on_policy_share"]), (&0.into(), &1.0.into()));
    let replayed = second["replayed"].as_u64().unwrap();
    let (earlier, fresh) = (first["pairs"].as_u64().unwrap(), second["pairs"].as_u64().unwrap());
    assert_eq!(replayed, earlier.min(fresh));
    let share = fresh as f64 / (fresh + replayed) as f64;
    assert_eq!(second["on_policy_share"].as_f64(), Some(share));
    // Their reference log-probabilities are computed, because another policy sampled them.
    assert!(second["tokens"]["referenced"].as_u64() > Some(0));
    let output = regrowth(dir.path(), &tiny("bad", &["--replay", "1.0"]));
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("`replay`"), "{}", stderr(&output));
}

#[test]
fn the_best_round_is_exported_as_the_result() {
    let dir = workshop();
    // An external trainer whose result is known to be better: it returns a previously trained policy.
    let strong = dir.path().join("strong");
    let checkpoint = Checkpoint::read(Source::Embedded).unwrap();
    let Checkpoint { source, config, tensors, .. } = &checkpoint;
    save_checkpoint(&strong, config, tensors, source, SaveOptions::default()).unwrap();
    let command = "cp strong/* \"$REGROWTH_OUT\"";
    let more = ["--patience", "2", "--rounds", "5", "--validation-problems", "24"];
    let args = tiny("run", &[["--trainer-command", command].as_slice(), &more].concat());
    let settings = dir.path().join("tiny.toml");
    let text = std::fs::read_to_string(&settings).unwrap();
    std::fs::write(&settings, text.replace("tokens = 14", "tokens = 120")).unwrap();
    let output = regrowth(dir.path(), &args);
    assert!(stderr(&output).contains("no new best in 2 rounds"), "{}", stderr(&output));
    assert!(ok(output).contains("best policy: run/best"));
    let run = dir.path().join("run");
    let report = json(&run.join("report.json"));
    assert_eq!((&report["best_round"], &report["checkpoint"]), (&1.into(), &"best".into()));
    assert_eq!(
        (&report["stopped_early"], report["rounds"].as_array().unwrap().len()),
        (&true.into(), 4)
    );
    let files = |folder: &str| contents(&run.join(folder));
    assert_eq!(files("best"), files("round-0001/checkpoint"));
    assert!(files("best").contains_key("model.safetensors"));
    let kl_to_base = |round: usize| report["rounds"][round]["kl_to_base"]["per_token"].as_f64();
    assert!(
        kl_to_base(0).is_none() && kl_to_base(1).is_some_and(|kl| kl > 0.1),
        "{:?}",
        kl_to_base(1)
    );
    // The exported checkpoint can be used as a policy.
    let row = "{\"prompt\": \"1\", \"completion\": \"2\"}\n";
    std::fs::write(dir.path().join("rows.jsonl"), row).unwrap();
    ok(regrowth(dir.path(), &["score", "--policy", "run/best", "--input", "rows.jsonl"]));
    // If it is deleted, it is exported again.
    let whole = contents(&run);
    std::fs::remove_dir_all(run.join("best")).unwrap();
    ok(regrowth(dir.path(), &args));
    assert_same(&whole, &contents(&run));
}

#[test]
fn changed_settings_are_refused_by_name_and_can_be_forked() {
    let dir = workshop();
    ok(regrowth(dir.path(), &tiny("run", &[])));
    let output = regrowth(dir.path(), &tiny("run", &["--rounds", "3", "--beta", "0.5"]));
    assert_eq!(output.status.code(), Some(2));
    let text = stderr(&output);
    assert!(text.contains("rounds: 2 in the run, 3 now"), "{text}");
    assert!(text.contains("dpo.beta: 0.1 in the run, 0.5 now"), "{text}");
    ok(regrowth(dir.path(), &tiny("run", &["--beta", "0.5", "--rounds", "3", "--fork"])));
    let forked: Vec<_> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.file_name().unwrap().to_string_lossy().starts_with("run-"))
        .collect();
    let [fork] = forked.as_slice() else { panic!("{forked:?}") };
    let old = contents(&dir.path().join("run"));
    let new = contents(fork);
    assert_eq!(old["round-0002/pairs.jsonl"], new["round-0002/pairs.jsonl"]);
    assert!(fork.join("round-0003/checkpoint/model.safetensors").is_file());
    assert_eq!(json(&fork.join("run.json"))["fork"]["rounds"], 2);
}

#[test]
fn a_second_process_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let run = regrowth_trainer::rounds::RunDir::lock(&dir.path().join("run")).unwrap();
    let output = regrowth(dir.path(), &scripted("run", &[]));
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("another process"), "{}", stderr(&output));
    drop(run);
    ok(regrowth(dir.path(), &scripted("run", &[])));
}

#[test]
fn a_dry_run_writes_nothing() {
    let dir = workshop();
    let text = ok(regrowth(dir.path(), &tiny("run", &["--dry-run"])));
    assert!(text.contains("2 rounds of 5 problems"), "{text}");
    assert!(text.contains("estimate for the run") && text.contains("parameters"), "{text}");
    assert!(!dir.path().join("run").exists());
    // The estimate is within a factor of two of the run itself.
    let plan = ok(regrowth(dir.path(), &tiny("run", &["--dry-run", "--json"])));
    let plan: Value = serde_json::from_str(&plan).unwrap();
    ok(regrowth(dir.path(), &tiny("run", &[])));
    let report = json(&dir.path().join("run/report.json"));
    for name in ["sampled", "prompts", "trained"] {
        let rounds = report["rounds"].as_array().unwrap();
        let real: f64 = rounds.iter().filter_map(|r| r["tokens"][name].as_f64()).sum();
        let planned = plan["estimate"]["tokens"][name].as_f64().unwrap();
        assert!((0.5..2.0).contains(&(planned / real)), "{name}: {planned} for {real}");
    }
    assert!(plan["estimate"]["seconds"]["search"].as_f64() > Some(0.0));
    let memory = |flags: &[&str]| {
        let flags = [&["--dry-run", "--json"], flags].concat();
        let plan: Value =
            serde_json::from_str(&ok(regrowth(dir.path(), &tiny("lora", &flags)))).unwrap();
        ["parameters", "trained", "training_bytes"]
            .map(|name| plan["memory"][name].as_u64().unwrap())
    };
    let [all, trained, bytes] = memory(&[]);
    assert_eq!((trained, bytes), (all, 16 * all));
    let [all, trained, bytes] = memory(&["--lora", "2"]);
    assert!(trained < all / 5, "{trained} of {all}");
    assert_eq!(bytes, 4 * all + 16 * trained);
}

#[test]
fn own_problems_and_bad_input() {
    let dir = tempfile::tempdir().unwrap();
    // The text of problems is untrusted, too.
    let row = |i: u32| {
        let question = format!("<script>alert({i})</script> What is {i} + 2?");
        format!("{}\n", serde_json::json!({ "question": question, "answer": (i + 2).to_string() }))
    };
    let rows: String = (0..200).map(row).collect();
    std::fs::write(dir.path().join("own.jsonl"), rows).unwrap();
    let args = |problems: &'static str| {
        let mut args = scripted("run", &[]);
        args[6] = problems;
        args
    };
    let said = ok(regrowth(dir.path(), &args("own.jsonl")));
    // The suggested commands use the same problems and the same policy.
    for wanted in [
        "regrowth evaluate --policy scripted --problems own.jsonl --split test",
        "mcts search --policy scripted --problems own.jsonl --out search",
    ] {
        assert!(said.contains(wanted), "{said}");
    }
    let page = std::fs::read_to_string(dir.path().join("run/report.html")).unwrap();
    assert!(page.contains("\\u003cscript>alert") && !page.contains("<script>alert"));
    std::fs::write(dir.path().join("bad.jsonl"), "{\"question\": \"a\", \"answer\": \"1\"}\n{\n")
        .unwrap();
    for (problems, code, part) in [
        ("nowhere.jsonl", 3, "no such file"),
        ("bad.jsonl", 3, "bad.jsonl:2"),
        ("builtin:nothing", 2, "arithmetic"),
    ] {
        let mut args = args(problems);
        args[2] = "other";
        let output = regrowth(dir.path(), &args);
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        assert!(stderr(&output).contains(part), "{}", stderr(&output));
        assert_eq!(stdout(&output), "");
    }
}
