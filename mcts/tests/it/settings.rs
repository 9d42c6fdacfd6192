//! Settings files, flags that override them, and refused settings.

use std::path::Path;

use crate::common::{assert_code, mcts, read};

/// Runs a successful search in `folder`. Returns its stderr.
fn search(arguments: &str, folder: &Path) -> String {
    assert_code(&mcts(&format!("search {arguments} --out {}", folder.display())), 0)
}

fn write(path: &Path, text: &str) -> String {
    std::fs::write(path, text).expect("written");
    path.display().to_string()
}

#[test]
fn a_file_sets_all_that_flags_set_and_flags_win() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out");
    let config = write(
        &folder.path().join("config.toml"),
        &format!(
            "policy = \"scripted\"\nlimit = 3\n[run]\nout = \"{}\"\ntrees_in_flight = 2\n\
             no_log = true\nmax_seconds = 600\njson = true\n[engine]\nthreads = 2\nmax_batch = 8\n\
             cache = 32\ndevice = \"cpu\"\ndtype = \"f32\"\nserver_timeout = 7\n",
            out.display()
        ),
    );
    let output = mcts(&format!("search --config {config}"));
    assert_code(&output, 0);
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(said["trees"], 3);
    assert!(!out.join("steps.jsonl").exists());
    let written = read(out.join("config.toml"));
    for line in read(&config).lines().filter(|line| !line.contains("max_seconds")) {
        assert!(written.contains(line), "{line} in {written}");
    }
    assert!(written.contains("max_seconds = 600.0"), "{written}");

    // The written file reproduces the run without a flag, and flags override it.
    let trees = read(out.join("trees.jsonl"));
    let written = out.join("config.toml").display().to_string();
    assert_code(&mcts(&format!("search --config {written}")), 0);
    assert!(read(out.join("trees.jsonl")) == trees);
    let other = folder.path().join("other");
    search(&format!("--config {written} --no-log false --json false --threads 1"), &other);
    assert!(read(other.join("trees.jsonl")) == trees && other.join("steps.jsonl").exists());
    let text = read(other.join("config.toml"));
    assert!(text.contains("threads = 1") && text.contains("no_log = false"), "{text}");
    assert!(text.contains("max_batch = 8") && text.contains("trees_in_flight = 2"), "{text}");
}

#[test]
fn a_file_without_the_newer_tables_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = write(
        &folder.path().join("old.toml"),
        "policy = \"scripted\"\nproblems = \"builtin:choice\"\nlimit = 2\n[search]\nseed = 4\n\
         [pairs]\nmin_margin = 0.25\n",
    );
    let out = folder.path().join("out");
    search(&format!("--config {config}"), &out);
    assert!(read(out.join("config.toml")).contains("min_margin = 0.25"));
    assert_eq!(read(out.join("trees.jsonl")).lines().count(), 2);
}

#[test]
fn a_settings_file_of_a_run_serves_a_search() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = write(
        &folder.path().join("run.toml"),
        "policy = \"scripted\"\nlimit = 2\nrounds = 5\n[search]\nseed = 4\nprior = \"length-divided\"\n\
         boundary = \"tokens@9\"\n[dpo]\nbeta = 0.5\n",
    );
    let out = folder.path().join("out");
    let said = search(&format!("--config {config} --set search.c_puct=2"), &out);
    assert!(said.contains("run.toml: a search does not use dpo, rounds"), "{said}");
    let written = read(out.join("config.toml"));
    for line in ["seed = 4", "prior = \"length_divided\"", "tokens = 9", "c_puct = 2.0"] {
        assert!(written.contains(line), "{line} in {written}");
    }
    let again = folder.path().join("again.jsonl");
    let pairs = format!("pairs --trees {} --out {}", out.display(), again.display());
    let refused = mcts(&format!("{pairs} --set pairs.min_margn=1"));
    assert!(assert_code(&refused, 2).contains("the nearest is `pairs.min_margin`"));
    assert_code(&mcts(&format!("{pairs} --set pairs.min_margin=1")), 0);
}

#[test]
fn a_file_may_name_the_preset_it_starts_from() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out");
    let text =
        "preset = \"paper-choice\"\npolicy = \"scripted\"\nlimit = 2\n[search]\nmax_depth = 2\n";
    let config = write(&folder.path().join("choice.toml"), text);
    search(&format!("--config {config}"), &out);
    let written = read(out.join("config.toml"));
    for line in ["simulations = 5", "first_root_factor = 4", "breadth = [4, 2]", "max_depth = 2"] {
        assert!(written.contains(line), "{line} in {written}");
    }
    search(&format!("--config {config} --preset default --force"), &out);
    assert!(read(out.join("config.toml")).contains("simulations = 16"));
    // Rules for pairs that the file does not contain are those of the preset.
    let text = "preset = \"builtin\"\n[pairs]\nmin_margin = 0.25\n";
    let config = write(&folder.path().join("rules.toml"), text);
    let (rows, _) = cut(&out, &format!("--config {config}"));
    assert_eq!(cut(&out, "--all-parents --min-margin 0.25 --solved-only false").0, rows);
}

#[test]
fn what_can_do_nothing_is_refused_with_what_was_expected() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out");
    let refuse = |arguments: &str, code: i32, words: &str| {
        let command = format!("search --policy scripted {arguments} --out {}", out.display());
        let said = assert_code(&mcts(&command), code);
        assert!(said.contains(words), "{arguments}: {said}");
    };
    let counts = "--limit --trees-in-flight --threads --max-batch --cache --server-in-flight \
                  --server-timeout --server-attempts --server-context";
    for flag in counts.split_whitespace() {
        refuse(&format!("{flag} 0"), 2, "at least 1");
    }
    for rule in ["simulations", "nodes", "tokens", "millis"] {
        refuse(&format!("--stop {rule}@0"), 2, "at least 1");
    }
    for seconds in ["-1", "0", "NaN", "inf"] {
        refuse(&format!("--max-seconds {seconds}"), 2, "a number above 0");
    }
    let most = u64::MAX;
    for flag in ["--trees-in-flight", "--seed", "--simulations"] {
        refuse(&format!("{flag} {most}"), 2, "numbers up to 9223372036854775807");
    }
    for flag in [format!("--breadth {most},1"), format!("--strategy best-of@{most}")] {
        refuse(&flag, 2, "at most 524286");
    }
    refuse("--problems x.jsonl --format csv", 2, "gsm8k");
    refuse("--format csv", 2, "no format");
    refuse("--problems builtin:choice --format gsm8k", 2, "no format");
    let files = [
        ("limit = 0", "limit"),
        ("preset = \"best\"", "paper-choice"),
        ("[run]\ntrees_in_flight = 0", "trees_in_flight"),
        ("[engine]\nserver_attempts = 0", "server_attempts"),
        ("[engine]\ndevice = \"gpu\"", "cuda:N"),
        ("[run]\nthreads = 2", "threads"),
    ];
    for (text, word) in files {
        let config = write(&folder.path().join("wrong.toml"), text);
        refuse(&format!("--config {config}"), 3, word);
    }
    assert!(!out.exists(), "nothing was begun");
}

#[test]
fn every_commit_rule_has_a_flag() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, written) in [
        ("spread-visits", "commit = \"spread_visits\""),
        ("spread-value", "commit = \"spread_value\""),
        ("visits", "commit = \"visits\""),
        ("value", "commit = \"value\""),
        ("sampled", "commit = \"sampled\""),
        ("tempered@0.5", "[search.commit.tempered]\ntemperature = 0.5\ndecay = 1.0"),
        ("tempered@2,0.75", "[search.commit.tempered]\ntemperature = 2.0\ndecay = 0.75"),
    ] {
        let (out, again) = (folder.path().join(name), folder.path().join("again"));
        search(&format!("--policy scripted --limit 3 --commit {name}"), &out);
        let config = out.join("config.toml");
        assert!(read(&config).contains(written), "{name}: {}", read(&config));
        search(&format!("--config {} --force", config.display()), &again);
        assert!(read(again.join("trees.jsonl")) == read(out.join("trees.jsonl")), "{name}");
    }
    let out = folder.path().join("wrong").display().to_string();
    for (wrong, word) in [
        ("best", "tempered@T"),
        ("tempered", "tempered@T"),
        ("tempered@x", "x"),
        ("tempered@0", "above 0"),
        ("tempered@1,2", "at most 1"),
    ] {
        let said = mcts(&format!("search --policy scripted --commit {wrong} --out {out}"));
        assert!(assert_code(&said, 2).contains(word), "{wrong}");
    }
}

/// Returns the pairs that `mcts pairs` extracts from the trees in `folder`, and its stderr.
fn cut(folder: &Path, arguments: &str) -> (Vec<serde_json::Value>, String) {
    let (trees, pairs) = (folder.join("trees.jsonl"), folder.join("again.jsonl"));
    let (trees, out) = (trees.display(), pairs.display());
    let output = mcts(&format!("pairs --trees {trees} --out {out} {arguments}"));
    let said = assert_code(&output, 0);
    let rows = read(&pairs);
    (rows.lines().map(|row| serde_json::from_str(row).expect("JSON")).collect(), said)
}

#[test]
fn pairs_start_from_the_rules_of_their_search() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out");
    let rules = "--solved-only false --all-parents --min-margin 0.3 --max-pairs 3";
    search(&format!("--policy scripted --limit 8 {rules}"), &out);
    let (rows, said) = cut(&out, "");
    assert!(read(out.join("again.jsonl")) == read(out.join("pairs.jsonl")));
    assert!(said.contains("out/config.toml"), "{said}");
    let (more, _) = cut(&out, "--max-pairs 99 --min-margin 0");
    let (committed, _) = cut(&out, "--all-parents false");
    assert!(more.len() > rows.len() && committed.len() < rows.len());

    // A file overrides the rules of the search, and a flag overrides both; other tables of the file have no
    // effect.
    let file = folder.path().join("rules.toml");
    let file = write(&file, "limit = 3\n[search]\nseed = 9\n[pairs]\nmin_margin = 1.5\n");
    let (few, said) = cut(&out, &format!("--config {file}"));
    assert!(few.len() < rows.len(), "{} of {}", few.len(), rows.len());
    assert!(few.iter().all(|pair| pair["margin"].as_f64() > Some(1.5)));
    assert!(said.contains("config.toml, changed by") && said.contains("rules.toml"), "{said}");
    let (again, _) = cut(&out, &format!("--config {file} --min-margin 0.3"));
    assert_eq!(again, rows);
    let wrong = write(&folder.path().join("wrong.toml"), "[pairs]\nmin_margins = 1.5\n");
    let trees = out.join("trees.jsonl").display().to_string();
    let refused = mcts(&format!("show --trees {trees} --config {wrong}"));
    assert!(assert_code(&refused, 3).contains("min_margins"));

    // Pairs of trees without settings are extracted by the default rules.
    std::fs::remove_file(out.join("config.toml")).expect("removed");
    let (plain, said) = cut(&out, "");
    assert!(plain.len() != rows.len() && said.contains("default rules"), "{said}");
}

#[test]
fn every_rule_of_pairs_has_a_flag() {
    let folder = tempfile::tempdir().expect("a folder");
    search(
        "--policy scripted --limit 12 --solved-only false --all-parents --max-pairs 99",
        folder.path(),
    );
    let (all, _) = cut(folder.path(), "");
    let differ = |flags: &str| {
        let (rows, _) = cut(folder.path(), flags);
        assert!(rows != all, "{flags}");
        rows
    };
    let least = |rows: &[serde_json::Value], key: &str| {
        rows.iter().filter_map(|pair| pair[key].as_u64()).min()
    };
    assert!(least(&differ("--min-visits-chosen 2"), "n_chosen") >= Some(2));
    assert!(least(&differ("--min-visits-rejected 2"), "n_rejected") >= Some(2));
    let rows = differ("--min-visits 3 --min-visits-rejected 1");
    assert!(least(&rows, "n_chosen") >= Some(3) && least(&rows, "n_rejected") == Some(1));
    let rows = differ("--min-visits 1 --min-visits-chosen 3");
    assert!(least(&rows, "n_chosen") >= Some(3) && least(&rows, "n_rejected") == Some(1));
    assert!(differ("--smoothing false").iter().all(|pair| pair["alpha"] == 0.0));
    assert!(differ("--mixed").iter().all(|pair| pair["q_rejected"].as_f64() < Some(1.0)));
    assert_eq!(differ("--glue-chains false").len(), all.len());
    for flags in [
        "--rejected second",
        "--correct-only",
        "--solved-only",
        "--correct-only true --min-margin 0.1",
    ] {
        differ(flags);
    }
    assert_eq!(cut(folder.path(), "--mixed false --correct-only false --smoothing").0, all);
}

#[test]
fn a_shown_tree_is_marked_by_the_rules_of_its_search() {
    let folder = tempfile::tempdir().expect("a folder");
    search(
        "--policy scripted --limit 1 --solved-only false --all-parents --min-margin 0.2",
        folder.path(),
    );
    let shown = |flags: &str| {
        let trees = folder.path().join("trees.jsonl").display().to_string();
        let output = mcts(&format!("show --trees {trees} {flags}"));
        assert_code(&output, 0);
        let text = String::from_utf8(output.stdout).expect("text");
        text.lines().filter(|line| line.get(1..2) == Some("+")).count()
    };
    let pairs = read(folder.path().join("pairs.jsonl")).lines().count();
    assert!(pairs > 1, "{pairs}");
    assert_eq!(shown(""), pairs);
    assert_eq!(shown("--max-pairs 1"), 1);
    assert_eq!(shown("--min-margin 99"), 0);
}
