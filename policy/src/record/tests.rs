//! Tests of logs that are continued, truncated, from another policy, or replayed.

use regrowth_datasets::AnswerKind;

use super::*;
use crate::{Boundary, Propose, Replay, Request, Sampling, Scripted, StopAt, call};

fn problem() -> Problem {
    Problem {
        id: "p".to_owned(),
        source: "test".to_owned(),
        question: "Ann has 3 apples and buys 4 more. How many?".to_owned(),
        choices: Vec::new(),
        answer: "7".to_owned(),
        kind: AnswerKind::Number,
        solution: None,
        level: None,
    }
}

fn ask(policy: &dyn Policy, key: u64) -> Result<Response, PolicyError> {
    let prompt = policy.prompt(&problem())?;
    let propose = Propose {
        prefix: prompt.ids,
        keys: vec![key],
        sampling: Sampling::default(),
        greedy_first: false,
        boundary: Boundary::Newline,
        stop_at: StopAt::default(),
        max_tokens: 50,
    };
    call(policy, Request::Propose(propose))
}

#[test]
fn the_folder_of_a_search_is_replayed_by_its_log() {
    let (folder, path) = log();
    let first = {
        let policy = Recording::open(Arc::new(Scripted::new()), &path).expect("a log");
        ask(&policy, 1).expect("an answer")
    };
    let replay = Replay::open(folder.path()).expect("the log inside");
    assert_eq!(ask(&replay, 1).expect("recorded"), first);
    let empty = tempfile::tempdir().expect("a folder");
    let error = Replay::open(empty.path()).expect_err("no log");
    assert!(error.to_string().contains(LOG_FILE), "{error}");
}

/// A policy that must not be called.
struct Silent(Scripted);

impl Policy for Silent {
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
    fn submit(&self, call: Call) {
        call.caller.answer(Err(PolicyError::Model("asked again".to_owned())));
    }
}

fn log() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(LOG_FILE);
    (folder, path)
}

#[test]
fn what_was_answered_is_not_asked_again() {
    let (_folder, path) = log();
    let first = {
        let policy = Recording::open(Arc::new(Scripted::new()), &path).expect("a log");
        ask(&policy, 1).expect("an answer")
    };
    let again = Recording::open(Arc::new(Silent(Scripted::new())), &path).expect("the log");
    assert_eq!(again.recorded(), 1);
    assert_eq!(ask(&again, 1).expect("recorded"), first);
    assert!(ask(&again, 2).is_err(), "a new request reaches the policy");
    assert_eq!(ask(&Scripted::new(), 1).expect("an answer"), first);
}

#[test]
fn a_torn_last_line_is_cut_off_and_the_log_goes_on() {
    let (_folder, path) = log();
    {
        let policy = Recording::open(Arc::new(Scripted::new()), &path).expect("a log");
        ask(&policy, 1).expect("an answer");
        ask(&policy, 2).expect("an answer");
    }
    let whole = std::fs::read(&path).expect("a log");
    for cut in [whole.len() - 1, whole.len() - 40, 5, 0] {
        std::fs::write(&path, &whole[..cut]).expect("written");
        {
            let policy = Recording::open(Arc::new(Scripted::new()), &path).expect("a torn log");
            ask(&policy, 1).expect("an answer");
            ask(&policy, 2).expect("an answer");
        }
        assert_eq!(std::fs::read(&path).expect("a log"), whole);
    }
}

#[test]
fn another_policys_log_is_refused() {
    let (_folder, path) = log();
    drop(Recording::open(Arc::new(Scripted::new()), &path).expect("a log"));
    let script = r#"{"entries": [{"candidates": [{"text": "x"}]}]}"#;
    let other = Scripted::from_json(script).expect("a script");
    let error = Recording::open(Arc::new(other), &path).err().expect("refused");
    assert!(error.to_string().contains("holds answers of the policy scripted"), "{error}");
    std::fs::write(&path, "{\"id\": 1}\n").expect("written");
    assert!(Recording::open(Arc::new(Scripted::new()), &path).is_err());
}

#[test]
fn a_replay_knows_what_was_recorded_and_nothing_else() {
    let (_folder, path) = log();
    let first = {
        let policy = Recording::open(Arc::new(Scripted::new()), &path).expect("a log");
        policy.encode("seven").expect("ids");
        ask(&policy, 1).expect("an answer")
    };
    let replay = Replay::open(&path).expect("a log");
    let scripted = Scripted::new();
    assert_eq!(replay.identity(), scripted.identity());
    assert_eq!((replay.limits(), replay.eos()), (scripted.limits(), scripted.eos()));
    assert_eq!(ask(&replay, 1).expect("recorded"), first);
    assert_eq!(replay.encode("seven").expect("ids"), scripted.encode("seven").expect("ids"));
    let unknown = ask(&replay, 2).expect_err("never asked").to_string();
    assert!(unknown.contains("config.toml"), "{unknown}");
    assert!(replay.encode("eight").is_err());
    assert!(replay.prompt(&Problem { id: "q".to_owned(), ..problem() }).is_err());
}

#[test]
fn an_answer_that_json_cannot_hold_does_not_spoil_the_log() {
    let (_folder, path) = log();
    let rates = crate::decorate::FaultRates { nan: 1.0, ..Default::default() };
    let faulty = || Arc::new(crate::decorate::Faulty::new(Arc::new(Scripted::new()), rates, 0));
    let policy = Recording::open(faulty(), &path).expect("a log");
    ask(&policy, 1).expect("an answer");
    assert_eq!(Recording::open(faulty(), &path).expect("the log").recorded(), 0);
}

#[test]
fn a_damaged_row_costs_the_answers_behind_it_and_a_replay_refuses_it() {
    let (_folder, path) = log();
    {
        let policy = Recording::open(Arc::new(Scripted::new()), &path).expect("a log");
        (1..=3).for_each(|key| drop(ask(&policy, key).expect("an answer")));
    }
    let text = std::fs::read_to_string(&path).expect("a log");
    let mut lines: Vec<&str> = text.lines().collect();
    let second = lines.iter().rposition(|line| line.contains("answer")).expect("answers") - 1;
    // A power failure may leave a block of zeros in the middle.
    lines[second] = "\0\0\0\0";
    std::fs::write(&path, lines.join("\n") + "\n").expect("written");
    assert!(Replay::open(&path).is_err());
    let policy = Recording::open(Arc::new(Scripted::new()), &path).expect("a damaged log");
    assert!(policy.damage().expect("damage").contains("expected a log row"));
    assert_eq!(policy.recorded(), 1);
    drop(policy);
    let again = Recording::open(Arc::new(Scripted::new()), &path).expect("the log");
    assert_eq!((again.damage(), again.recorded()), (None, 1));
}

#[test]
fn a_log_begun_anew_keeps_what_it_held_once() {
    let (_folder, path) = log();
    let policy = Recording::open(Arc::new(Scripted::new()), &path).expect("a log");
    for key in 1..=3 {
        ask(&policy, key).expect("an answer");
        policy.rotate().expect("begun anew");
    }
    ask(&policy, 4).expect("an answer");
    drop(policy);
    let again = Recording::open(Arc::new(Silent(Scripted::new())), &path).expect("the log");
    let known: Vec<u64> = (1..=4).filter(|&key| ask(&again, key).is_ok()).collect();
    assert_eq!(known, [3, 4]);
    Recording::remove(&path).expect("removed");
    assert!(!path.exists() && !before(&path).exists());
}
