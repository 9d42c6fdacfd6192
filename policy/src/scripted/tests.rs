//! Tests of the properties that tests with the scripted policy rely on.

use regrowth_datasets::AnswerKind;

use super::*;
use crate::{OptionOrder, Sampling, call};

fn problem() -> Problem {
    Problem {
        id: "p".to_owned(),
        source: "test".to_owned(),
        question: "Ann has 3 apples and buys 1,004 more. How many?".to_owned(),
        choices: Vec::new(),
        answer: "1007".to_owned(),
        kind: AnswerKind::Number,
        solution: None,
        level: None,
    }
}

fn propose(prefix: &[TokenId], keys: Vec<u64>, boundary: Boundary) -> Request {
    Request::Propose(Propose {
        prefix: Arc::from(prefix),
        keys,
        sampling: Sampling::default(),
        greedy_first: false,
        boundary,
        stop_at: StopAt::default(),
        max_tokens: 200,
    })
}

fn candidates(policy: &Scripted, request: Request) -> Vec<Candidate> {
    match call(policy, request).expect("an answer") {
        Response::Candidates(c) => c.candidates,
        other => panic!("asked for candidates, got {other:?}"),
    }
}

#[test]
fn what_stops_a_solution_ends_the_step() {
    let policy = Scripted::new();
    let prompt = policy.prompt(&problem()).expect("a prompt");
    let Request::Propose(ask) = propose(&prompt.ids, vec![5], Boundary::End) else {
        panic!("a proposal")
    };
    let whole = candidates(&policy, Request::Propose(ask.clone())).remove(0).step;
    let at = whole.text.find(' ').expect("several words");
    let text = StopAt { strings: vec![whole.text[at..at + 2].to_owned()], ids: vec![] };
    let id = StopAt { strings: vec![], ids: vec![b' '.into()] };
    for (stop_at, length) in [(text, at + 2), (id, at + 1)] {
        let step = candidates(&policy, Request::Propose(Propose { stop_at, ..ask.clone() }))
            .remove(0)
            .step;
        assert_eq!((step.ids.as_slice(), step.finish), (&whole.ids[..length], Finish::Stop));
        assert_eq!(step.logps, whole.logps[..length]);
    }
}

#[test]
fn a_candidate_depends_on_its_own_key_only() {
    let policy = Scripted::new();
    let prompt = policy.prompt(&problem()).expect("a prompt");
    let both = candidates(&policy, propose(&prompt.ids, vec![5, 9], Boundary::Newline));
    let one = candidates(&policy, propose(&prompt.ids, vec![9], Boundary::Newline));
    assert_eq!(both[1], one[0]);
}

#[test]
fn whole_solutions_end_within_four_steps_and_some_are_right() {
    let policy = Scripted::new();
    let prompt = policy.prompt(&problem()).expect("a prompt");
    let all = candidates(&policy, propose(&prompt.ids, (0..64).collect(), Boundary::End));
    assert!(all.iter().all(|c| c.step.finish == Finish::Eos));
    assert!(all.iter().all(|c| c.step.ids.last() == Some(&EOS)));
    assert!(all.iter().all(|c| (1..=MAX_STEPS).contains(&c.step.text.lines().count())));
    assert!(all.iter().any(|c| c.step.text.contains("The answer is 1007.")));
    assert!(all.iter().any(|c| !c.step.text.contains("The answer is 1007.")));
}

#[test]
fn scoring_agrees_with_sampling() {
    let policy = Scripted::new();
    let prompt = policy.prompt(&problem()).expect("a prompt");
    let step = candidates(&policy, propose(&prompt.ids, vec![1], Boundary::Newline)).remove(0).step;
    let score = Score { prefix: prompt.ids, continuation: Arc::from(step.ids) };
    let Response::Scores(scores) = call(&policy, Request::Score(score)).expect("scores") else {
        panic!("asked for scores");
    };
    assert_eq!(scores.logps, step.logps);
}

#[test]
fn options_become_answers() {
    let policy = Scripted::new();
    let question = "Question: Which?\n(A) red\n(B) blue\nAnswer:\n";
    let ids = policy.encode(question).expect("bytes");
    let all = candidates(&policy, propose(&ids, (0..32).collect(), Boundary::End));
    for label in ["(A)", "(B)"] {
        assert!(all.iter().any(|c| c.step.text.ends_with(&format!("answer is {label}.\n"))));
    }
}

#[test]
fn the_token_budget_cuts_a_step() {
    let policy = Scripted::new();
    let prompt = policy.prompt(&problem()).expect("a prompt");
    let Request::Propose(mut request) = propose(&prompt.ids, vec![0], Boundary::End) else {
        unreachable!()
    };
    request.max_tokens = 4;
    let cut = candidates(&policy, Request::Propose(request)).remove(0).step;
    assert_eq!((cut.ids.len(), cut.logps.len(), cut.finish), (4, 4, Finish::Length));
}

#[test]
fn a_script_is_played_and_a_missing_entry_is_an_error() {
    let json = r#"{"entries": [{"candidates": [
        {"text": "go\n", "correct": 0.7, "logp": -0.5}, {"text": "stop", "end": true}]}]}"#;
    let policy = Scripted::from_json(json).expect("a script");
    let prompt = policy.prompt(&problem()).expect("a prompt");
    let two = candidates(&policy, propose(&prompt.ids, vec![0, 0], Boundary::Newline));
    assert_eq!(two[0].step.text, "go\n");
    assert_eq!(two[0].step.logps, vec![-0.5; 3]);
    assert_eq!(two[1].step.finish, Finish::Eos);

    let judge = |step: &[TokenId]| {
        let judge = Judge {
            prefix: prompt.ids.clone(),
            step: Arc::from(step),
            hint: None,
            order: OptionOrder::default(),
            restated: None,
            grades: None,
        };
        match call(&policy, Request::Judge(judge)).expect("a judgement") {
            Response::Judgement(j) => j.correct,
            other => panic!("asked for a judgement, got {other:?}"),
        }
    };
    assert_eq!(judge(&two[0].step.ids), Some(0.7));
    assert_eq!(judge(&two[1].step.ids), None);

    let prefix: Vec<TokenId> = prompt.ids.iter().chain(&two[0].step.ids).copied().collect();
    let error = call(&policy, propose(&prefix, vec![0], Boundary::Newline));
    assert!(matches!(error, Err(PolicyError::Model(_))));
    assert!(Scripted::from_json(r#"{"entries": [{"candidates": []}]}"#).is_err());
}
