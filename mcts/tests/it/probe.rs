//! Searches with a judge that is a probe on hidden states.

use std::path::Path;
use std::process::Output;

use crate::common::{assert_code, mcts, read, trees};
use regrowth_datasets::{Problem, Split, TokenId, tasks::problems_from_spec};
use regrowth_mcts::config::{JudgeForm, ValueConfig};
use regrowth_mcts::probe::{PROBE_FILE, StateProbe};
use regrowth_mcts::{Search, SearchConfig};
use regrowth_policy::{Call, Limits, Policy, PolicyError, Prompt, Scripted};
use regrowth_verifiers::ProblemVerifier;
use serde_json::Value;

fn search(out: &Path, more: &str) -> Output {
    mcts(&format!("search --policy scripted --out {} {more}", out.display()))
}

fn summary(out: &Path) -> Value {
    serde_json::from_str(&read(out.join("summary.json"))).unwrap()
}

#[test]
fn a_search_fits_a_probe_and_the_next_one_is_judged_by_it() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = ["first", "second"].map(|name| folder.path().join(name));
    let said = assert_code(&search(&first, "--judge probe --limit 60"), 0);
    let probe = StateProbe::read(&first.join(PROBE_FILE)).unwrap();
    assert!(probe.step.is_some() && probe.end.is_some(), "{said}");
    for tree in trees(&first) {
        assert_eq!((&tree.probe, tree.judge_calls), (&None, 0));
        let steps = &tree.nodes[1..];
        assert!(steps.iter().all(|n| n.self_evaluation.is_none() && n.hidden_state.is_some()));
    }
    let found = summary(&first);
    assert_eq!(found["probe"], probe.identity());
    assert!(found["self_evaluation"].is_null());
    let ends = found["held_out"]["probe"]["n"].as_u64().unwrap();
    for judge in ["likelihood", "answers", "probe"] {
        let figures = &found["held_out"][judge];
        assert_eq!(figures["n"], ends, "{judge}");
        assert!(figures["auc"].is_number() && figures["ece"].is_number(), "{judge}");
        assert!(figures["by_depth"].as_array().is_some_and(|depths| depths.len() > 1), "{judge}");
    }

    let more = format!(
        "--judge probe --limit 8 --set search.value.probe={}",
        first.join(PROBE_FILE).display()
    );
    assert_code(&search(&second, &more), 0);
    let rows = read(second.join("trees.jsonl"));
    for tree in trees(&second) {
        assert_eq!(tree.probe.as_deref(), Some(probe.identity().as_str()));
        for node in &tree.nodes[1..] {
            let state = node.hidden_state.as_ref().unwrap();
            assert_eq!(node.self_evaluation, probe.confidence(state, node.terminal));
        }
    }
    let judged = summary(&second)["self_evaluation"]["n"].as_u64();
    assert!(judged.is_some_and(|judged| judged > 8), "{judged:?}");
    // Again from the log, and with several threads.
    assert_code(&search(&second, &more), 0);
    assert_eq!(read(second.join("trees.jsonl")), rows);
    assert_code(&search(&second, &format!("{more} --no-log --threads 3")), 0);
    assert_eq!(read(second.join("trees.jsonl")), rows);
}

#[test]
fn states_are_kept_beside_any_judge_and_change_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let [with, without] = ["with", "without"].map(|name| folder.path().join(name));
    assert_code(&search(&with, "--limit 20 --set search.value.hidden_states=true"), 0);
    assert_code(&search(&without, "--limit 20"), 0);
    let mut kept = trees(&with);
    for node in kept.iter_mut().flat_map(|tree| &mut tree.nodes[1..]) {
        assert!(node.hidden_state.take().is_some());
    }
    assert_eq!(kept, trees(&without));
    let (with, without) = (summary(&with), summary(&without));
    assert_eq!(with["self_evaluation"], without["self_evaluation"]);
    assert!(with["held_out"].is_object() && without.get("held_out").is_none());
}

#[test]
fn settings_of_a_probe_that_cannot_judge_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let said = assert_code(&search(&out, "--judge probe --set search.value.oracle=false"), 2);
    assert!(said.contains("value.probe") && said.contains("judge_probe.json"), "{said}");
    let said = assert_code(&search(&out, "--set search.value.probe=x.json"), 2);
    assert!(said.contains("value.probe"), "{said}");
    let given = |path: &Path| format!("--judge probe --set search.value.probe={}", path.display());
    let said = assert_code(&search(&out, &given(&folder.path().join("none.json"))), 3);
    assert!(said.contains("none.json"), "{said}");
    let narrow = folder.path().join("narrow.json");
    let weights = r#"{"steps": 100, "l2": 1.0, "intercept": 0.0, "weights": [1.0, 2.0]}"#;
    let text = format!(r#"{{"version": 1, "step": null, "end": {weights}}}"#);
    std::fs::write(&narrow, text).unwrap();
    let output = search(&out, &given(&narrow));
    assert_code(&output, 4);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("2 values, and this policy's have 5"), "{said}");
}

/// A policy that provides no hidden states, like servers.
struct Hiding(Scripted);

impl Policy for Hiding {
    fn identity(&self) -> &str {
        self.0.identity()
    }

    fn limits(&self) -> Limits {
        self.0.limits()
    }

    fn prompt(&self, problem: &Problem) -> Result<Prompt, PolicyError> {
        self.0.prompt(problem)
    }

    fn encode(&self, text: &str) -> Result<Vec<TokenId>, PolicyError> {
        self.0.encode(text)
    }

    fn decode(&self, ids: &[TokenId]) -> Result<String, PolicyError> {
        self.0.decode(ids)
    }

    fn eos(&self) -> Option<TokenId> {
        self.0.eos()
    }

    fn gives_hidden_states(&self) -> bool {
        false
    }

    fn submit(&self, call: Call) {
        self.0.submit(call);
    }
}

#[test]
fn a_policy_that_shows_no_states_is_refused_before_the_search() {
    let problems: Vec<Problem> =
        problems_from_spec("arithmetic", Split::Train, 0).unwrap().take(2).collect();
    let judged = ValueConfig { judge: JudgeForm::Probe, ..ValueConfig::default() };
    let kept = ValueConfig { hidden_states: true, ..ValueConfig::default() };
    for value in [judged, kept] {
        let config = SearchConfig { value, ..SearchConfig::default() };
        let policy = Hiding(Scripted::new());
        let error = Search::new(&policy, &ProblemVerifier, &config).run(&problems, |_| ());
        let error = error.unwrap_err().to_string();
        assert!(error.contains("value.judge") && error.contains("servers show no"), "{error}");
    }
}
