//! Stop strings that span tokens and stop token ids, with every boundary.

use regrowth_datasets::{Finish, Split, Step, tasks::problems_from_spec};
use regrowth_policy::{
    Boundary, LoadOptions, Policy, PolicyError, Propose, Request, Response, Sampling, StopAt, call,
    load, step_lengths,
};

/// The bundled model's greedy step or solution for one problem.
fn greedy(policy: &dyn Policy, boundary: Boundary, stop_at: StopAt) -> Result<Step, PolicyError> {
    let problem = problems_from_spec("arithmetic", Split::Train, 0).unwrap().next().unwrap();
    let request = Propose {
        prefix: policy.prompt(&problem)?.ids,
        keys: vec![0, 1],
        sampling: Sampling::greedy(),
        greedy_first: false,
        boundary,
        stop_at,
        max_tokens: 128,
    };
    match call(policy, Request::Propose(request))? {
        Response::Candidates(mut found) => {
            assert_eq!(found.candidates[0], found.candidates[1], "lanes that are shared end alike");
            Ok(found.candidates.remove(0).step)
        }
        other => panic!("{other:?}"),
    }
}

/// The greedy solution in steps of at most `max_tokens` tokens, sampled as in a search.
fn in_steps(policy: &dyn Policy, boundary: &Boundary, max_tokens: usize) -> Vec<Step> {
    let problem = problems_from_spec("arithmetic", Split::Train, 0).unwrap().next().unwrap();
    let mut prefix = policy.prompt(&problem).unwrap().ids.to_vec();
    let mut steps: Vec<Step> = Vec::new();
    while steps.last().is_none_or(|step| step.finish != Finish::Eos) {
        let request = Propose {
            prefix: prefix.clone().into(),
            keys: vec![0, 1],
            sampling: Sampling::greedy(),
            greedy_first: false,
            boundary: boundary.clone(),
            stop_at: StopAt::default(),
            max_tokens,
        };
        let Ok(Response::Candidates(found)) = call(policy, Request::Propose(request)) else {
            panic!("{boundary:?} gave no candidates");
        };
        assert_eq!(found.candidates[0], found.candidates[1], "lanes that are shared end alike");
        let step = found.candidates[0].step.clone();
        assert_eq!(step.logps.len(), step.ids.len());
        prefix.extend(&step.ids);
        steps.push(step);
    }
    steps
}

#[test]
fn steps_put_together_are_the_solution_and_end_as_a_replay_of_it_does() {
    let policy = load("builtin", &LoadOptions::default()).unwrap();
    let whole = greedy(&*policy, Boundary::End, StopAt::default()).unwrap();
    let read = |end: usize| policy.decode(&whole.ids[..end]).unwrap();
    let piece = |at: usize| read(at + 1)[read(at).len()..].to_owned();
    let pieces: Vec<String> = (0..whole.ids.len()).map(piece).collect();
    for boundary in [Boundary::Paragraph, Boundary::Lines, Boundary::Newline] {
        for max_tokens in [9, 24, 128] {
            let steps = in_steps(&*policy, &boundary, max_tokens);
            let ids: Vec<u32> = steps.iter().flat_map(|step| step.ids.clone()).collect();
            assert_eq!(ids, whole.ids, "{boundary} {max_tokens}");
            let lengths: Vec<usize> = steps.iter().map(|step| step.ids.len()).collect();
            assert_eq!(step_lengths(&boundary, max_tokens, &pieces), lengths, "{boundary}");
        }
    }
    let lines = in_steps(&*policy, &Boundary::Lines, 24);
    let cut = &lines[..lines.len() - 1];
    assert!(!cut.is_empty() && cut.iter().all(|step| step.text.ends_with('\n')), "{lines:?}");
}

fn strings(all: &[&str]) -> StopAt {
    StopAt { strings: all.iter().map(|s| (*s).to_owned()).collect(), ids: vec![] }
}

#[test]
fn a_stop_string_may_begin_and_end_within_tokens() {
    let policy = load("builtin", &LoadOptions::default()).unwrap();
    let whole = greedy(&*policy, Boundary::End, StopAt::default()).unwrap();
    assert_eq!(whole.finish, Finish::Eos);
    // Every text of three characters in the solution, wherever its tokens begin and end.
    let places: Vec<usize> = whole.text.char_indices().map(|(at, _)| at).collect();
    let texts = places.iter().zip(&places[3..]).map(|(&from, &to)| &whole.text[from..to]);
    for text in texts {
        let step = greedy(&*policy, Boundary::End, strings(&["never", text])).unwrap();
        assert_eq!(step.finish, Finish::Stop, "{text:?}");
        assert_eq!(step.ids, whole.ids[..step.ids.len()]);
        let before = policy.decode(&step.ids[..step.ids.len() - 1]).unwrap();
        assert!(step.text.contains(text) && !before.contains(text), "{text:?}: {:?}", step.text);
    }
}

#[test]
fn a_stop_ends_more_than_a_boundary_does() {
    let policy = load("builtin", &LoadOptions::default()).unwrap();
    let line = greedy(&*policy, Boundary::Newline, StopAt::default()).unwrap();
    assert_eq!(line.finish, Finish::Boundary);
    let stopped = greedy(&*policy, Boundary::Newline, strings(&["\n"])).unwrap();
    assert_eq!(stopped, Step { finish: Finish::Stop, ..line.clone() });
    let last = *line.ids.last().unwrap();
    let by_id = StopAt { strings: vec![], ids: vec![last] };
    assert_eq!(greedy(&*policy, Boundary::Newline, by_id).unwrap(), stopped);
    let first = StopAt { strings: vec![], ids: vec![line.ids[0]] };
    let step = greedy(&*policy, Boundary::End, first).unwrap();
    assert_eq!((step.ids.as_slice(), step.finish), (&line.ids[..1], Finish::Stop));
}

#[test]
fn an_empty_stop_string_is_refused() {
    let policy = load("builtin", &LoadOptions::default()).unwrap();
    let error = greedy(&*policy, Boundary::End, strings(&[""])).unwrap_err();
    assert!(error.to_string().contains("stop string is empty"), "{error}");
}
