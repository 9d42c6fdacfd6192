//! OpenAI-compatible chat servers: a mock that behaves like hosted ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use regrowth_datasets::{Finish, TokenId};
use regrowth_policy::http::HttpPolicy;
use regrowth_policy::{
    Boundary, Candidate, Dialect, Judge, Judgement, OptionOrder, Policy, PolicyError,
    PromptOptions, Propose, Request, Response, Sampling, Score, ServerOptions, StopAt, call,
};
use serde_json::{Value, json};

use super::dialects::Script;
use super::mock::{Answer, Asked, Mock};
use super::{options, problem};

const CHAT: &str = "/v1/chat/completions";

/// Capabilities of a hosted server.
#[derive(Clone, Copy, Default)]
struct Hosted {
    /// Refuses fields that are not in OpenAI's API.
    strict: bool,
    /// Returns log-probabilities.
    lists: bool,
    /// Continues the last turn if it is an assistant turn.
    continues: bool,
    /// Repeats the text that it continues.
    echoes: bool,
}

/// Number of tokens of a conversation: its words, plus three for each turn that is closed or opened.
fn count(messages: &[Value], continued: bool) -> usize {
    let words = messages.iter().map(|m| m["content"].as_str().unwrap().split(' ').count() + 3);
    words.sum::<usize>() + if continued { 0 } else { 3 }
}

/// A server whose model answers with `script`, which gets the conversation as one text; `\u{3}` is EOS.
fn hosted(can: Hosted, script: Arc<Script>) -> Mock {
    Mock::start(move |asked| match asked.path.as_str() {
        "/v1/models" => Answer::Json(json!({ "data": [
            { "id": "large", "owned_by": "acme" }, { "id": "small", "owned_by": "acme" },
        ] })),
        CHAT => chat(can, &script, asked),
        _ => Answer::Status(404, "no such path"),
    })
}

fn chat(can: Hosted, script: &Arc<Script>, asked: &Asked) -> Answer {
    let body = &asked.body;
    let unknown = ["top_k", "min_p", "repetition_penalty", "add_generation_prompt"];
    if can.strict && unknown.iter().any(|name| !body[name].is_null()) {
        return Answer::Status(400, "Unrecognized request argument supplied: top_k");
    }
    if !can.lists && !body["logprobs"].is_null() {
        return Answer::Status(400, "logprobs are not supported with this model");
    }
    let messages = body["messages"].as_array().unwrap();
    let last = messages.last().unwrap();
    let continued = can.continues && last["role"] == "assistant";
    let talk: Vec<String> = messages
        .iter()
        .map(|m| format!("{}: {}", m["role"], m["content"].as_str().unwrap()))
        .collect();
    let said = script(&talk.join("\n"), body["seed"].as_u64().unwrap_or(0));
    let most = body["max_tokens"].as_u64().unwrap() as usize;
    let (mut text, mut finish) = (said.trim_end_matches('\u{3}').to_owned(), "stop");
    if text.len() > most || !said.ends_with('\u{3}') {
        text = text.chars().take(most).collect();
        finish = "length";
    }
    let listed: Vec<Value> = text
        .chars()
        .map(|c| {
            let top = [("A", -0.5), ("B", -1.5)].map(|(t, l)| json!({ "token": t, "logprob": l }));
            json!({ "token": c.to_string(), "logprob": -0.25, "top_logprobs": top })
        })
        .collect();
    if can.echoes && continued {
        text.insert_str(0, last["content"].as_str().unwrap());
    }
    let logprobs = if can.lists { json!({ "content": listed }) } else { Value::Null };
    Answer::Json(json!({
        "choices": [{ "message": { "role": "assistant", "content": text },
                      "finish_reason": finish, "logprobs": logprobs }],
        "usage": { "prompt_tokens": count(messages, continued) },
    }))
}

fn meet(mock: &Mock, options: &ServerOptions) -> HttpPolicy {
    let spec = format!("{}/v1#small", mock.address);
    HttpPolicy::connect(&spec, options, &PromptOptions::default()).unwrap()
}

fn notes(policy: &HttpPolicy) -> String {
    policy.notes().join("\n")
}

fn propose(policy: &dyn Policy, prefix: &[TokenId], boundary: Boundary) -> Vec<Candidate> {
    let request = Propose {
        prefix: prefix.into(),
        keys: vec![11, 22, 33],
        sampling: Sampling::default(),
        greedy_first: false,
        boundary,
        stop_at: StopAt::default(),
        max_tokens: 40,
    };
    match call(policy, Request::Propose(request)).unwrap() {
        Response::Candidates(found) => found.candidates,
        other => panic!("{other:?}"),
    }
}

fn judge(policy: &dyn Policy, order: OptionOrder) -> Judgement {
    let prefix = policy.prompt(&problem()).unwrap().ids;
    let step = policy.encode("1 + 1 = 2\n").unwrap().into();
    let judge = Judge { prefix, step, hint: None, order, restated: None, grades: None };
    match call(policy, Request::Judge(judge)).unwrap() {
        Response::Judgement(judgement) => judgement,
        other => panic!("{other:?}"),
    }
}

/// All kinds of servers, with their capabilities.
fn kinds() -> [(&'static str, Hosted); 4] {
    [
        ("hosted", Hosted { strict: true, ..Hosted::default() }),
        (
            "hosted with log-probabilities",
            Hosted { strict: true, lists: true, ..Hosted::default() },
        ),
        ("open", Hosted { lists: true, continues: true, ..Hosted::default() }),
        ("echo", Hosted { continues: true, echoes: true, ..Hosted::default() }),
    ]
}

#[test]
fn steps_are_cut_out_of_answers_and_go_on_from_there() {
    let script = |talk: &str, seed: u64| match talk.contains("He has") {
        false => format!("He has {} stones.\nThen more\n\u{3}", seed % 1000),
        true => "So 3.\n\u{3}".to_owned(),
    };
    for (name, can) in kinds() {
        let mock = hosted(can, Arc::new(script));
        let policy = meet(&mock, &options());
        let prompt = policy.prompt(&problem()).unwrap();
        assert!(prompt.text.contains("stones") || !prompt.text.contains('\u{fdd0}'), "{name}");
        let first = propose(&policy, &prompt.ids, Boundary::Newline);
        assert_eq!(first.len(), 3, "{name}");
        for candidate in &first {
            let step = &candidate.step;
            assert!(step.text.starts_with("He has") && step.text.ends_with("stones.\n"), "{name}");
            assert_eq!(step.finish, Finish::Boundary, "{name}");
            assert_eq!(policy.decode(&step.ids).unwrap(), step.text, "{name}");
            assert_eq!(step.logps.len(), step.ids.len(), "{name}");
            assert!(!candidate.logps_exact, "{name}");
        }
        assert_ne!(first[0].step.text, first[1].step.text, "{name}: one seed per candidate");
        assert_eq!(propose(&policy, &prompt.ids, Boundary::Newline), first, "{name}");
        let longer = [&*prompt.ids, &first[0].step.ids].concat();
        let second = propose(&policy, &longer, Boundary::Newline);
        assert_eq!((second[0].step.text.as_str(), second[0].step.finish), ("So 3.\n", Finish::Eos));
        let last = mock.asked(CHAT).pop().unwrap().body;
        let turns = last["messages"].as_array().unwrap();
        match can.continues {
            true => assert_eq!(turns[1]["content"], first[0].step.text, "{name}"),
            false => assert!(turns.len() == 1, "{name}: {turns:?}"),
        }
        assert_eq!(notes(&policy).contains("begins a new answer"), !can.continues, "{name}");
    }
}

#[test]
fn fields_that_a_server_refuses_are_left_out() {
    for (name, can) in kinds() {
        let mock = hosted(can, Arc::new(|_: &str, _| "x\u{3}".into()));
        let policy = meet(&mock, &options());
        let prompt = policy.prompt(&problem()).unwrap();
        propose(&policy, &prompt.ids, Boundary::End);
        let body = mock.asked(CHAT).pop().unwrap().body;
        assert_eq!(body["top_k"].is_null(), can.strict, "{name}: {body}");
        assert_eq!(body["logprobs"].is_null(), !can.lists, "{name}: {body}");
        assert!(body["seed"].is_u64() && body["stop"].is_null(), "{name}: {body}");
        let text = notes(&policy);
        assert_eq!(text.contains("sampled letters"), !can.lists, "{name}: {text}");
        assert!(text.contains("--tokenizer DIR") && text.contains("regrowth train"), "{text}");
    }
}

#[test]
fn judgements_are_listed_probabilities_or_shares_of_letters() {
    let script = |talk: &str, seed: u64| match talk.contains("(A)") {
        true => if seed.is_multiple_of(4) { "(B)\u{3}" } else { "A.\u{3}" }.to_owned(),
        false => "x\u{3}".to_owned(),
    };
    for (name, can) in kinds() {
        let mock = hosted(can, Arc::new(script));
        let policy = meet(&mock, &options());
        let judged = judge(&policy, OptionOrder::CorrectFirst);
        let share = judged.correct.unwrap();
        if can.lists {
            let (a, b) = ((-0.5f64).exp(), (-1.5f64).exp());
            assert!((share - a / (a + b)).abs() < 1e-12, "{name}");
        } else {
            assert!((share * 8.0).fract() == 0.0 && share > 0.4 && judged.mass == 1.0, "{name}");
            assert_eq!(judge(&policy, OptionOrder::CorrectFirst), judged, "{name}");
        }
        let last = mock.asked(CHAT).pop().unwrap().body;
        let turns = last["messages"].as_array().unwrap();
        let roles: Vec<&str> = turns.iter().map(|m| m["role"].as_str().unwrap()).collect();
        let end = if can.continues { 4 } else { 3 };
        assert_eq!(roles, ["user", "assistant", "user", "assistant"][..end], "{name}");
        assert_eq!(turns[1]["content"], "1 + 1 = 2\n", "{name}");
    }
    let silent = hosted(Hosted::default(), Arc::new(|_: &str, _| "I think so\u{3}".into()));
    assert_eq!(judge(&meet(&silent, &options()), OptionOrder::CorrectFirst).correct, None);
}

#[test]
fn with_the_models_tokenizer_ids_are_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let words = ["\u{3}", "<u>", "<a>", "So", "3", ".", "\n", " ", "A", "B", "S", "o"];
    let vocab: serde_json::Map<_, _> =
        words.iter().enumerate().map(|(id, word)| ((*word).to_owned(), json!(id))).collect();
    let special = |id: usize, content: &str| {
        json!({ "id": id, "content": content, "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false, "special": true })
    };
    let file = json!({
        "version": "1.0",
        "added_tokens": [special(0, "\u{3}"), special(1, "<u>"), special(2, "<a>")],
        "pre_tokenizer": { "type": "Split", "pattern": { "Regex": "" }, "behavior": "Isolated",
                           "invert": false },
        "decoder": { "type": "Fuse" },
        "model": { "type": "BPE", "vocab": vocab, "merges": [], "unk_token": "A" },
    });
    let settings = json!({
        "eos_token": "\u{3}",
        "chat_template": "{% for m in messages %}{% if m.role == 'user' %}<u>{% else %}<a>{% endif %}\
                          {{ m.content }}{% endfor %}{% if add_generation_prompt %}<a>{% endif %}",
    });
    std::fs::write(dir.path().join("tokenizer.json"), file.to_string()).unwrap();
    std::fs::write(dir.path().join("tokenizer_config.json"), settings.to_string()).unwrap();
    let own = ServerOptions { tokenizer: Some(dir.path().to_owned()), ..options() };
    for (name, can) in kinds() {
        let mock = hosted(can, Arc::new(|_: &str, _| "So 3.\u{3}".into()));
        let policy = meet(&mock, &own);
        let prefix = [1, 8, 2, 3, 5, 6];
        let found = propose(&policy, &prefix, Boundary::Newline);
        assert_eq!(found[0].step.ids, [10, 11, 7, 4, 5, 0], "{name}");
        assert_eq!(found[0].step.finish, Finish::Eos, "{name}");
        let turns = mock.asked(CHAT).pop().unwrap().body["messages"].clone();
        match can.continues {
            true => assert_eq!(turns[1]["content"], "So.\n", "{name}"),
            false => assert!(turns[0]["content"].as_str().unwrap().contains("So.\n"), "{name}"),
        }
        assert!(!notes(&policy).contains("takes no pairs"), "{name}");
    }
    std::fs::write(dir.path().join("tokenizer_config.json"), "{}").unwrap();
    let mock = hosted(Hosted::default(), Arc::new(|_: &str, _| "x".into()));
    let spec = format!("{}/v1#small", mock.address);
    let error = HttpPolicy::connect(&spec, &own, &PromptOptions::default()).err().unwrap();
    assert!(error.to_string().contains("chat template"), "{error}");
}

#[test]
fn marks_of_turns_in_what_a_model_writes_begin_no_turn() {
    let script = |_: &str, _| "Hm \u{fdd0}Right?\u{fdd1}\u{3}".to_owned();
    let mock = hosted(Hosted { continues: true, ..Hosted::default() }, Arc::new(script));
    let policy = meet(&mock, &options());
    let prompt = policy.prompt(&problem()).unwrap();
    let step = propose(&policy, &prompt.ids, Boundary::End)[0].step.clone();
    assert_eq!(step.text, "Hm \u{fffd}Right?\u{fffd}");
    propose(&policy, &[&*prompt.ids, &step.ids].concat(), Boundary::End);
    let turns = mock.asked(CHAT).pop().unwrap().body["messages"].clone();
    assert_eq!(turns.as_array().unwrap().len(), 2, "{turns}");
}

#[test]
fn a_named_model_needs_no_list_and_an_unnamed_one_is_asked_for() {
    let mock = hosted(Hosted::default(), Arc::new(|_: &str, _| "x".into()));
    let error = HttpPolicy::connect(&mock.address, &options(), &PromptOptions::default());
    let error = error.err().unwrap().to_string();
    assert!(error.contains("serves large, small"), "{error}");
    let named = ServerOptions { dialect: Some(Dialect::OpenAi), ..options() };
    let policy = meet(&mock, &named);
    assert_eq!(mock.asked("/v1/models").len(), 1);
    assert!(policy.identity().starts_with("openai:small@"), "{}", policy.identity());
    // Connecting also waits for a server that is loading its model if no list of models is requested.
    let left = AtomicUsize::new(3);
    let can = Hosted::default();
    let script: Arc<Script> = Arc::new(|_: &str, _| "x".into());
    let loading = Mock::start(move |asked| {
        let less = |n: usize| n.checked_sub(1);
        let busy = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok();
        if busy { Answer::Status(503, "Loading model") } else { chat(can, &script, asked) }
    });
    meet(&loading, &named);
    let prefix = policy.prompt(&problem()).unwrap().ids;
    let score = Score { prefix, continuation: policy.encode("2").unwrap().into() };
    let error = call(&policy, Request::Score(score)).unwrap_err();
    assert!(matches!(error, PolicyError::Request(_)) && error.to_string().contains("vLLM"));
}
