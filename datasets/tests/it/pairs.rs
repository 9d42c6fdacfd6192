//! Files of pairs: round trips, and files that are refused.

use std::fs;
use std::path::{Path, PathBuf};

use regrowth_datasets::{
    DataError, PAIR_VERSION, PreferencePair, Problem, StepDpoRow, StepwiseRow, UnpairedRow,
    read_jsonl, read_pairs, read_problems, write_jsonl, write_pairs,
};
use tempfile::TempDir;

fn pair(n: u32) -> PreferencePair {
    PreferencePair {
        version: PAIR_VERSION,
        problem_id: format!("gsm8k/{n}"),
        round: 1,
        policy: "scripted".into(),
        oracle: true,
        hinted: false,
        injected: false,
        timed: false,
        depth: 2,
        prompt: "Question: 2 + 3?\nAnswer: Add.\n".into(),
        chosen: "So it is 5.\n".into(),
        rejected: "So it is \"6\" – ä.\n".into(),
        prompt_ids: if n.is_multiple_of(2) { vec![] } else { vec![1, 2, u32::MAX] },
        chosen_ids: vec![n + 1, 7],
        rejected_ids: vec![n + 1],
        chosen_logps: vec![-0.1, -1.234_567_9e-8],
        rejected_logps: vec![-3.0e-39],
        logps_exact: true,
        q_chosen: 0.1 + 0.2,
        q_rejected: -1.0 / 3.0,
        advantage_chosen: (n != 1).then_some(0.7 - 0.1),
        advantage_rejected: (n != 1).then_some(-0.25),
        n_chosen: 6,
        n_rejected: u64::MAX,
        prior_chosen: 0.602_57,
        prior_rejected: 0.0,
        self_evaluation_chosen: Some(1.0),
        self_evaluation_rejected: None,
        outcome_chosen: 0.0,
        outcome_rejected: -1.0,
        terminal_chosen: false,
        terminal_rejected: true,
        alpha: 0.25,
        margin: 0.1 + 0.2 + 1.0 / 3.0,
        weight: 1.0,
    }
}

fn file(text: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pairs.jsonl");
    fs::write(&path, text).unwrap();
    (folder, path)
}

fn message(path: &Path) -> String {
    let error = read_pairs(path).unwrap_err().to_string();
    error.replace(&path.display().to_string(), "F")
}

#[test]
fn pairs_go_there_and_back_bit_for_bit() {
    let pairs: Vec<_> = (0..5).map(pair).collect();
    let (_folder, path) = file("");
    assert_eq!(read_pairs(&path).unwrap(), []);
    write_pairs(&path, &pairs).unwrap();
    assert_eq!(read_pairs(&path).unwrap(), pairs);
    let first = fs::read(&path).unwrap();
    write_pairs(&path, &pairs).unwrap();
    assert_eq!(fs::read(&path).unwrap(), first);
    // As other tools write them: one array.
    fs::write(&path, serde_json::to_string_pretty(&pairs).unwrap()).unwrap();
    assert_eq!(read_pairs(&path).unwrap(), pairs);
}

#[test]
fn rows_have_the_columns_of_trl() {
    let (_folder, path) = file("");
    write_pairs(&path, &[pair(1)]).unwrap();
    let row: serde_json::Value =
        serde_json::from_str(fs::read_to_string(&path).unwrap().lines().next().unwrap()).unwrap();
    for column in ["prompt", "chosen", "rejected"] {
        assert!(row[column].is_string(), "{column}");
    }
    assert!(!row["chosen"].as_str().unwrap().starts_with(row["prompt"].as_str().unwrap()));
}

#[test]
fn unknown_columns_are_ignored_and_newer_versions_refused() {
    let row = serde_json::to_string(&pair(1)).unwrap();
    let (_folder, path) = file(&row.replacen('{', "{\"note\":[1],", 1));
    assert_eq!(read_pairs(&path).unwrap(), [pair(1)]);
    let newer = row.replacen("\"version\":1", "\"version\":2", 1);
    let (_folder, path) = file(&format!("{row}\n{newer}\n"));
    assert!(matches!(
        read_pairs(&path).unwrap_err(),
        DataError::Version { line: 2, found: 2, known: 1, .. }
    ));
}

#[test]
fn files_of_other_programs_and_torn_files_are_named() {
    let (_folder, path) = file("{\"prompt\":\"a\",\"chosen\":\"b\",\"rejected\":\"c\"}\n");
    let expected = "F:1: field `version`: expected the version of a pair row, 1 to 1, got nothing";
    assert_eq!(message(&path), expected);
    let row = serde_json::to_string(&pair(1)).unwrap();
    for cut in [1, 40, row.len() / 2, row.len() - 1] {
        let (_folder, path) = file(&format!("{row}\n{}", &row[..cut]));
        assert!(matches!(read_pairs(&path).unwrap_err(), DataError::Torn { line: 2, .. }), "{cut}");
    }
}

#[test]
fn values_out_of_range_are_refused_by_reader_and_writer() {
    type Change = fn(&mut PreferencePair);
    let cases: [(&str, Change); 8] = [
        ("alpha", |p| p.alpha = 0.6),
        ("margin", |p| p.margin = 0.0),
        ("weight", |p| p.weight = f64::INFINITY),
        ("q_chosen", |p| p.q_chosen = f64::NAN),
        ("chosen_logps", |p| p.chosen_logps = vec![-1.0]),
        ("rejected_logps", |p| p.rejected_logps = vec![f32::NEG_INFINITY]),
        ("rejected_ids", |p| p.rejected_ids = vec![]),
        ("rejected_ids", |p| {
            p.rejected_ids.clone_from(&p.chosen_ids);
            p.rejected_logps.clone_from(&p.chosen_logps);
        }),
    ];
    for (field, change) in cases {
        let mut wrong = pair(1);
        change(&mut wrong);
        let (_folder, path) = file("old");
        let error = write_pairs(&path, &[pair(0), wrong.clone()]).unwrap_err().to_string();
        assert!(error.contains(&format!(":2: field `{field}`")), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        fs::write(&path, format!("{}\n", serde_json::to_string(&wrong).unwrap())).unwrap();
        let error = message(&path);
        assert!(error.starts_with(&format!("F:1: field `{field}")), "{error}");
    }
}

#[test]
fn exports_have_the_columns_of_their_readers() {
    let pair = pair(1);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.jsonl");
    write_jsonl(&path, UnpairedRow::of_pair(&pair)).unwrap();
    let rows: Vec<UnpairedRow> = read_jsonl(&path).unwrap();
    assert_eq!((rows[0].label, rows[1].label), (true, false));
    assert_eq!(rows[1].completion, pair.rejected);
    let [better, worse] = StepwiseRow::of_pair(&pair);
    assert_eq!((better.completions, better.labels), (vec![pair.chosen.clone()], vec![true]));
    assert_eq!(worse.labels, [false]);

    let problem = problem_of("{\"question\": \"2 + 3?\", \"answer\": 5}");
    let row = StepDpoRow::of_pair(&pair, &problem, "Question: 2 + 3?\nAnswer: ").unwrap();
    assert_eq!(row.initial_reason_steps, "Add.\n");
    assert_eq!(row.full_chosen, "Add.\nSo it is 5.\n");
    assert_eq!((row.prompt.as_str(), row.dataset.as_str()), ("2 + 3?", "generic"));
    assert_eq!(StepDpoRow::of_pair(&pair, &problem, "Question: other"), None);
}

fn problem_of(row: &str) -> Problem {
    let (_folder, path) = file(row);
    read_problems(&path, None).unwrap().remove(0)
}

#[cfg(not(feature = "parquet"))]
#[test]
fn without_the_feature_parquet_is_refused_by_name() {
    let (folder, path) = file("PAR1");
    assert!(message(&path).contains("--features parquet"));
    let error = write_pairs(&folder.path().join("p.parquet"), &[pair(1)]).unwrap_err();
    assert!(error.to_string().contains("--features parquet"));
}

#[cfg(feature = "parquet")]
#[test]
fn parquet_holds_the_same_pairs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pairs.parquet");
    let pairs: Vec<_> = (0..20_000).map(pair).collect();
    write_pairs(&path, &pairs).unwrap();
    assert!(read_pairs(&path).unwrap() == pairs);
    write_pairs(&path, &[]).unwrap();
    assert_eq!(read_pairs(&path).unwrap(), []);
}

#[cfg(feature = "parquet")]
#[test]
fn damaged_parquet_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pairs.parquet");
    write_pairs(&path, &[pair(1)]).unwrap();
    let whole = fs::read(&path).unwrap();
    for cut in (4..whole.len()).step_by(97) {
        fs::write(&path, &whole[..cut]).unwrap();
        assert!(message(&path).contains("F: cannot be read as Parquet"), "{cut}");
    }
    // A changed byte never makes the reader panic: it reads something or says what is wrong.
    for i in (4..whole.len()).step_by(5) {
        let mut changed = whole.clone();
        changed[i] ^= 0x80;
        fs::write(&path, &changed).unwrap();
        let _ = read_pairs(&path);
    }
}
