//! What ends a solution besides EOS: strings across token borders, token ids, in every boundary.
#![cfg(feature = "candle")]

use regrowth_datasets::{Finish, Split, Step, tasks::problems_from_spec};
use regrowth_policy::{
    Boundary, LoadOptions, Policy, PolicyError, Propose, Request, Response, Sampling, StopAt, call,
    load,
};

/// The embedded model's most likely step or solution for one problem.
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

fn strings(all: &[&str]) -> StopAt {
    StopAt { strings: all.iter().map(|s| (*s).to_owned()).collect(), ids: vec![] }
}

#[test]
fn a_stop_string_may_begin_and_end_within_tokens() {
    let policy = load("builtin", &LoadOptions::default()).unwrap();
    let whole = greedy(&*policy, Boundary::End, StopAt::default()).unwrap();
    assert_eq!(whole.finish, Finish::Eos);
    // Every text of three characters in the solution, wherever the borders of its tokens are.
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
