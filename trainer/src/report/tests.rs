//! The report page for runs of various kinds, rendered from files that the tests write.

use std::path::Path;

use regrowth_datasets::{Problem, Split, tasks::problems_from_spec, write_jsonl, write_pairs};
use regrowth_mcts::{PairConfig, Preset, RunOptions, Search, SearchConfig, extract_pairs};
use regrowth_policy::Scripted;
use regrowth_verifiers::ProblemVerifier;
use serde_json::{Value, json};

use super::write_html;
use crate::rounds::{EvalRow, RoundReport, RunConfig, RunFile, RunReport, Variant};

const HOSTILE: &str = "</script><script>alert(1)</script> <!-- {{ report }} \\boxed{1}";

fn share(correct: u64, n: u64) -> Value {
    let share = serde_json::to_value(crate::stats::Share::new(correct, n)).unwrap();
    let mut eval = json!({ "task": "builtin:choice" });
    eval.as_object_mut().unwrap().extend(share.as_object().unwrap().clone());
    eval
}

/// The report of a round, overridden by `more`.
fn round(number: u32, more: Value) -> RoundReport {
    let mut report = json!({
        "version": 1, "round": number, "policy": format!("policy {number}"), "validation": share(8, 20),
        "trained": false, "problems": 0, "pairs": 0, "pairs_dropped": {}, "trees": 0, "steps": 0, "tokens": {
            "trained": 0, "referenced": 0, "validated": 0 },
        "metrics": {}, "on_policy_share": 0.0, "oracle": true, "forgotten": 0, "learned": 0, "statistics": {},
        "seconds": {},
    });
    report.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(report).unwrap()
}

fn run(config: RunConfig, rounds: Vec<RoundReport>, best: u32) -> RunReport {
    let compared = crate::stats::Paired::new(20, 6, 2);
    serde_json::from_value(json!({
        "version": 1, "seed": 0, "config": config, "rounds": rounds, "best_round": best,
        "p_value": compared.p_value, "comparison": compared, "stopped_by_gate": false,
    }))
    .unwrap()
}

fn page(folder: &Path, report: &RunReport, test: &[Problem]) -> String {
    let file = RunFile::new(report.config.clone(), "policy 0", Default::default());
    std::fs::write(folder.join("run.json"), serde_json::to_string(&file).unwrap()).unwrap();
    write_html(folder, report, test).unwrap();
    let page = std::fs::read_to_string(folder.join("report.html")).unwrap();
    well_formed(folder, &page);
    page
}

/// Checks that no placeholder is left, that the page loads no other file, and that all sections in the table
/// of contents and all linked files exist (except `report.json`, which is written after the page).
fn well_formed(folder: &Path, page: &str) {
    let text = page.split("<script").next().unwrap();
    for unfilled in ["{{ ", "{% ", "undefined", "NaN"] {
        assert!(!text.replace("{{ report }}", "").contains(unfilled), "{unfilled}");
    }
    for resource in ["src=", "<link", "@import", "url(", "href=\"http"] {
        assert!(!text.contains(resource), "{resource}");
    }
    for link in text.split("href=\"#").skip(1) {
        let id = link.split('"').next().unwrap();
        assert!(text.contains(&format!("id=\"{id}\"")), "{id}");
    }
    for link in text.split("href=\"").skip(1).filter(|link| !link.starts_with('#')) {
        let path = link.split('"').next().unwrap().replace("&#x2f;", "/");
        assert!(path == "report.json" || folder.join(&path).exists(), "{path}");
    }
    assert_eq!(page.matches("<script").count(), page.matches("</script>").count());
}

fn answers(problems: &[Problem], right: impl Fn(usize) -> bool, text: &str) -> Vec<EvalRow> {
    let row = |(at, problem): (usize, &Problem)| EvalRow {
        version: 1,
        id: problem.id.clone(),
        level: None,
        correct: right(at),
        tokens: 3,
        text: text.to_owned(),
        failure: None,
        unanswered: None,
    };
    problems.iter().enumerate().map(row).collect()
}

/// A folder with all files of a run of one round; if `evil`, its texts are hostile.
fn full_run(folder: &Path, evil: bool) -> (RunReport, Vec<Problem>) {
    let mut problems: Vec<Problem> =
        problems_from_spec("choice", Split::Train, 0).unwrap().take(20).collect();
    for problem in problems.iter_mut().filter(|_| evil) {
        problem.question = format!("{HOSTILE} {}", problem.question);
    }
    let (first, second) = (folder.join("round-0000"), folder.join("round-0001"));
    for round in [&first, &second] {
        std::fs::create_dir_all(round).unwrap();
    }
    let (mut trees, mut pairs) = (Vec::new(), Vec::new());
    let config = SearchConfig::default();
    let options = RunOptions::default();
    Search::new(&Scripted::new(), &ProblemVerifier, &config)
        .options(&options)
        .run(&problems, |tree| {
            pairs.extend(extract_pairs(&tree, &PairConfig::default()).pairs);
            trees.push(tree);
        })
        .unwrap();
    write_jsonl(&second.join("trees.jsonl"), &trees).unwrap();
    write_pairs(&second.join("pairs.jsonl"), &pairs).unwrap();
    let metric =
        |step: u32| json!({ "step": step, "loss": 1.0 / f64::from(step), "rewards/margins": 0.1 });
    write_jsonl(&second.join("metrics.jsonl"), (1..700).map(metric)).unwrap();
    let text = if evil { HOSTILE } else { "So #### A" };
    write_jsonl(&first.join("test.jsonl"), answers(&problems, |at| at < 8, text)).unwrap();
    write_jsonl(&second.join("test.jsonl"), answers(&problems, |at| at > 1 && at < 14, text))
        .unwrap();
    std::fs::write(folder.join("test.jsonl"), "").unwrap();
    let trained = json!({ "version": 1, "steps": 699, "skipped": { "too long": 4, "step label too long": 9 },
        "tokens": 30, "reference_tokens": 0, "metrics": {}, "checksums": {},
        "mix": { "rows": 1237, "on_policy": 1237, "replayed": 0 } });
    crate::artefact::write_checksummed(&second.join("train.json"), &trained).unwrap();
    let machine = json!({ "processor": "Some CPU", "cores": 4, "threads": 3, "peak_memory": 2_345_600_000_u64,
        "planned_memory": 67_000_000 });
    let times = json!({ "began": 1_700_000_000, "ended": 1_700_003_600 });
    let cost = json!({ "machine": machine, "times": times });
    std::fs::write(second.join("cost.json"), cost.to_string()).unwrap();
    let bins = json!([{ "n": 5, "mean": 0.2, "right": 1 }, { "n": 5, "mean": 0.9, "right": 4 }]);
    let judged = json!({ "n": 10, "unknown": 0.0, "right": 0.5, "mean": 0.5, "auc": 0.55, "ece": 0.1,
        "by_depth": [], "bins": bins });
    let more = json!({
        "test": share(12, 20), "trained": true, "trees": trees.len(), "pairs": pairs.len(), "problems": 20,
        "pairs_dropped": { "no_sibling": 7 }, "steps": 699, "gate": {
            "start_round": 0, "accepted": true, "reason": "better" },
        "metrics": { "loss": 0.01 }, "statistics": { "trees": trees.len(), "mixed": 11, "all_wrong": 3, "margins": [0, 3, 4],
            "depths": [{ "depth": 1, "pairs": 7 }], "self_evaluation": judged },
        "tokens": { "prompts": 10, "sampled": 20, "trained": 30, "referenced": 0, "validated": 5 },
    });
    let rounds = vec![round(0, json!({ "test": share(8, 20) })), round(1, more)];
    (run(RunConfig::of(Preset::Builtin), rounds, 1), problems)
}

#[test]
fn a_full_run_tells_its_story() {
    let folder = tempfile::tempdir().unwrap();
    let (report, problems) = full_run(folder.path(), false);
    let page = page(folder.path(), &report, &problems);
    for told in [
        "Training made no difference that these test problems can show: greedy accuracy on 20 unseen",
        "no sibling to compare with",
        "hardly told right solutions from wrong ones (AUC 0.55",
        "Gained: 6",
        "Lost: 2",
        "The largest margin of the round.",
        "data-chart=\"calibration\"",
        "data-chart=\"factors\"",
        "length in tokens",
        "What pairs rest on",
        "data-chart=\"tokens\"",
        "<a href=\"round-0001&#x2f;trees.jsonl\">",
        "regrowth iterate --run ",
        "started 2023-11-14 22:13 UTC, tested 2023-11-14 23:13 UTC",
        "Machine: Some CPU, 4 cores, 3 threads used; the process held 2.3",
        "All settings are those of the preset",
        "Some CPU, 4 cores, 3 threads used",
        "2.35 GB",
        "at most 67 MB",
        "<dt>McNemar test</dt>",
        "Accuracy by question",
    ] {
        assert!(page.contains(told), "{told}");
    }
    // 1,237 rows minus 4 pairs that were too long; step labels are not counted as rows. Of 20 trees, 6 have
    // no wrong solution.
    assert_eq!(row(&page, "pairs trained on"), ["1,233"]);
    assert_eq!(row(&page, "tokens trained on"), ["30"]);
    assert_eq!(row(&page, "trees with right and wrong solutions"), ["11 (55.0\u{a0}%)"]);
    assert_eq!(row(&page, "trees without a wrong solution"), ["6 (30.0\u{a0}%)"]);
    assert_eq!(row(&page, "trees with wrong solutions only"), ["3 (15.0\u{a0}%)"]);
    // Of 20 problems, 8 are right before and 12 after training; 6 are gained and 2 lost.
    assert_eq!(row(&page, "another answer, without an equation"), ["12", "8", "6", "2"]);
    // Long curves are averaged to as many points as a screen can show.
    assert!(page.matches("\"x\":").count() < 800, "{}", page.matches("\"x\":").count());
    // Preferences have columns for rounds only; results and costs also have one for the base policy.
    assert!(page.contains("What preferences follow"));
    assert_eq!(page.matches("<th scope=\"col\">base policy").count(), 2);
}

/// The non-empty cells of a table row, without their explanations.
fn row(page: &str, name: &str) -> Vec<String> {
    let mut rows = page.split("<th scope=\"row\">").skip(1).filter(|row| row.starts_with(name));
    let row = rows.next().expect(name).split("</tr>").next().unwrap();
    let cells = row.split("<td>").skip(1).map(|cell| cell.split('<').next().unwrap().to_owned());
    cells.filter(|cell| !cell.is_empty()).collect()
}

#[test]
fn hostile_text_stays_text() {
    let folder = tempfile::tempdir().unwrap();
    let (report, problems) = full_run(folder.path(), true);
    let evil = page(folder.path(), &report, &problems);
    let other = tempfile::tempdir().unwrap();
    let (report, problems) = full_run(other.path(), false);
    let plain = page(other.path(), &report, &problems);
    for tag in ["<script", "</script", "<!--"] {
        assert_eq!(evil.matches(tag).count(), plain.matches(tag).count(), "{tag}");
    }
    assert!(evil.contains("&lt;script&gt;alert(1)") && evil.contains("\\u003cscript>alert(1)"));
}

#[test]
fn what_is_missing_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let config = RunConfig::of(Preset::Builtin);
    // Nothing was evaluated, searched or trained.
    let bare = run(config.clone(), vec![round(0, json!({}))], 0);
    let text = page(folder.path(), &bare, &[]);
    assert!(text.contains("no test evaluation") && !text.contains("class=\"viewer\""));
    // A round without pairs.
    let none = json!({ "trees": 3, "problems": 3, "not_trained": "0 pairs, at least 32 are needed",
        "pairs_dropped": { "small_margin": 3 }, "test": share(8, 20) });
    let rounds = vec![round(0, json!({ "test": share(8, 20) })), round(1, none)];
    let text = page(folder.path(), &run(config.clone(), rounds, 0), &[]);
    assert!(
        text.contains("No round beat the base policy") && text.contains("Round 1 was not trained")
    );
    // Only the base policy was evaluated.
    let rounds =
        vec![round(0, json!({ "test": share(8, 20) })), round(1, json!({ "trained": true }))];
    page(folder.path(), &run(config, rounds, 1), &[]);
}

#[test]
fn a_variant_says_how_it_trained() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = RunConfig::of(Preset::Builtin);
    Variant::Star.apply(&mut config);
    let rounds =
        vec![round(0, json!({ "test": share(8, 20) })), round(1, json!({ "trained": true }))];
    let text = page(folder.path(), &run(config, rounds, 0), &[]);
    assert!(text.contains("supervised training on right solutions (STaR)"));
    assert!(text.contains("variant star") && text.contains("--variant star"));
}

#[test]
fn without_the_problems_ids_stand_for_questions() {
    let folder = tempfile::tempdir().unwrap();
    let (report, problems) = full_run(folder.path(), false);
    let text = page(folder.path(), &report, &[]);
    assert!(text.contains("The problems themselves could not be read again"));
    assert!(text.contains(&problems[0].id));
}

#[test]
fn a_settings_text_cannot_leave_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = RunConfig::of(Preset::Builtin);
    config.problems = HOSTILE.to_owned();
    let rounds = vec![round(0, json!({ "test": share(8, 20) }))];
    let text = page(folder.path(), &run(config, rounds, 0), &[]);
    assert!(!text.contains("<script>alert") && text.contains("&lt;script&gt;alert"));
}
