//! Settings files and runs of versions in which the test problems were called `eval` and the KL estimate
//! `probe`.

use std::path::Path;

use crate::common::{TINY, ok, regrowth, stderr, workshop};
use sha2::{Digest, Sha256};

/// Names in the files of a run, and the names that older versions wrote.
const NAMES: [(&str, &str); 7] = [
    ("\"test\": {", "\"eval\": {"),
    ("\"test_problems\":", "\"eval_problems\":"),
    ("\"test_seed\":", "\"eval_seed\":"),
    ("\"kl_problems\":", "\"probe_problems\":"),
    ("\"validate\":", "\"evaluate\":"),
    ("\"kl\":", "\"probe\":"),
    ("\"test.jsonl\":", "\"eval.jsonl\":"),
];

/// A settings file of an older version.
fn old_settings() -> String {
    format!("probe_problems = 4\n{}", TINY.replace("test_problems", "eval_problems"))
}

/// Renames the files of a run, and the names in them, to those of an older version.
fn make_older(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name.starts_with("round-") {
            make_older(&path);
        }
        for (new, old) in [("test.jsonl", "eval.jsonl"), ("kl_samples.jsonl", "probe.jsonl")] {
            if let Some(ending) = name.strip_prefix(new) {
                std::fs::rename(&path, folder.join(format!("{old}{ending}"))).unwrap();
            }
        }
        if ["run.json", "report.json", "cost.json"].contains(&name.as_str()) {
            let text = std::fs::read_to_string(&path).unwrap();
            std::fs::write(&path, older(&text)).unwrap();
        }
    }
}

/// Returns the file with the older names; if it has a checksum, with a new one.
fn older(text: &str) -> String {
    let renamed =
        |text: &str| NAMES.iter().fold(text.to_owned(), |text, (new, old)| text.replace(new, old));
    let Some((open, _)) = text.rsplit_once(",\n  \"sha256\": \"") else { return renamed(text) };
    let open = renamed(open);
    let sum = Sha256::digest(format!("{open}\n}}"));
    let sum: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{open},\n  \"sha256\": \"{sum}\"\n}}\n")
}

#[test]
fn a_run_of_an_older_version_goes_on_with_its_own_names() {
    let dir = workshop();
    std::fs::write(dir.path().join("old.toml"), old_settings()).unwrap();
    let iterate = |run: &str, rounds: &str| {
        let args = ["iterate", "--config", "old.toml", "--run", run, "--rounds", rounds];
        ok(regrowth(dir.path(), &args))
    };
    iterate("fresh", "3");
    iterate("run", "2");
    let run = dir.path().join("run");
    make_older(&run);
    assert!(std::fs::read_to_string(run.join("report.json")).unwrap().contains("eval_problems"));
    assert!(iterate("run", "2").contains("is a finished run"));
    ok(regrowth(dir.path(), &["compare", "run", "fresh"]));
    // As if the run had been stopped in its second round, after the validation.
    for name in ["report.json", "round-0002/report.json", "round-0002/eval.jsonl"] {
        std::fs::remove_file(run.join(name)).unwrap();
    }
    iterate("run", "2");
    iterate("run", "3");
    for name in ["round-0000/test.jsonl", "round-0001/kl_samples.jsonl", "test.jsonl"] {
        assert!(!run.join(name).exists(), "{name}");
    }
    let same = |name: &str, fresh: &str| {
        let fresh = dir.path().join("fresh").join(fresh);
        assert!(std::fs::read(run.join(name)).unwrap() == std::fs::read(fresh).unwrap(), "{name}");
    };
    same("eval.jsonl", "test.jsonl");
    same("round-0001/eval.jsonl", "round-0001/test.jsonl");
    same("round-0002/probe.jsonl", "round-0002/kl_samples.jsonl");
    same("round-0003/test.jsonl", "round-0003/test.jsonl");
    same("round-0003/kl_samples.jsonl", "round-0003/kl_samples.jsonl");
}

#[test]
fn old_flags_and_keys_are_read_and_not_beside_the_new_ones() {
    let dir = workshop();
    std::fs::write(dir.path().join("old.toml"), old_settings()).unwrap();
    let args = "iterate --config old.toml --run run --rounds 1 --eval builtin:arithmetic --eval-problems 5 \
                --set eval_seed=3 --set probe_problems=2";
    ok(regrowth(dir.path(), &args.split_whitespace().collect::<Vec<_>>()));
    let text = std::fs::read_to_string(dir.path().join("run/run.json")).unwrap();
    let settings: serde_json::Value = serde_json::from_str(&text).unwrap();
    let config = &settings["config"];
    assert_eq!(config["test"], "builtin:arithmetic");
    assert_eq!((&config["test_problems"], &config["test_seed"]), (&5.into(), &3.into()));
    assert_eq!(config["kl_problems"], 2);
    let both = format!("test_problems = 8\n{}", old_settings());
    std::fs::write(dir.path().join("both.toml"), both).unwrap();
    let output = regrowth(dir.path(), &["iterate", "--config", "both.toml", "--run", "both"]);
    assert_eq!(output.status.code(), Some(3));
    let said = stderr(&output);
    assert!(said.contains("`eval_problems` is the old name of `test_problems`"), "{said}");
}
