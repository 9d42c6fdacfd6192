//! Policies on servers, through the public interface, with mocks of the servers.

mod dialects;
mod fleet;
mod mock;
mod openai;
mod reward;
mod tls;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use self::dialects::{BOS, EOS, bytes, logp};
use self::mock::{Answer, Asked, Mock};
use regrowth_datasets::{Finish, Problem, Split, tasks::problems_from_spec};
use regrowth_policy::http::HttpPolicy;
use regrowth_policy::{
    Boundary, Candidate, Grades, Judge, Judgement, OptionOrder, Policy, PolicyError, PromptOptions,
    Propose, Request, Response, Sampling, Score, Scores, ServerOptions, StopAt, call,
};
use serde_json::{Value, json};

fn options() -> ServerOptions {
    ServerOptions { attempts: 4, timeout: Duration::from_secs(20), ..ServerOptions::default() }
}

fn connect(mock: &Mock) -> HttpPolicy {
    HttpPolicy::connect(&format!("{}/v1", mock.address), &options(), &PromptOptions::default())
        .unwrap()
}

fn propose(policy: &dyn Policy, prefix: &str, boundary: Boundary) -> Vec<Candidate> {
    match call(policy, Request::Propose(request(prefix, boundary))).unwrap() {
        Response::Candidates(found) => found.candidates,
        other => panic!("{other:?}"),
    }
}

fn request(prefix: &str, boundary: Boundary) -> Propose {
    let mut prefix = bytes(prefix);
    prefix.insert(0, BOS);
    Propose {
        prefix: prefix.into(),
        keys: vec![11, 22, 33],
        sampling: Sampling::default(),
        greedy_first: false,
        boundary,
        stop_at: StopAt::default(),
        max_tokens: 40,
    }
}

fn judge(policy: &dyn Policy, order: OptionOrder) -> Judgement {
    let judge = Judge {
        prefix: bytes("Question: 1 + 1?\n").into(),
        step: bytes("1 + 1 = 2\n").into(),
        hint: None,
        order,
        restated: None,
        grades: None,
    };
    match call(policy, Request::Judge(judge)).unwrap() {
        Response::Judgement(judgement) => judgement,
        other => panic!("{other:?}"),
    }
}

fn score(policy: &dyn Policy) -> Result<Scores, PolicyError> {
    let mut prefix = bytes("1 + 1");
    prefix.insert(0, BOS);
    let score = Score { prefix: prefix.into(), continuation: bytes(" = 2").into() };
    match call(policy, Request::Score(score))? {
        Response::Scores(scores) => Ok(scores),
        other => panic!("{other:?}"),
    }
}

fn problem() -> Problem {
    problems_from_spec("arithmetic", Split::Train, 0).unwrap().next().unwrap()
}

#[test]
fn every_dialect_proposes_steps_with_ids_and_raw_log_probabilities() {
    for (name, mock) in dialects::all(|_, seed| format!("{} + 1\nmore", seed % 1000)) {
        let policy = connect(&mock);
        let found = propose(&policy, "Q\n", Boundary::Newline);
        assert_eq!(found.len(), 3, "{name}");
        for candidate in &found {
            let step = &candidate.step;
            assert!(step.text.ends_with(" + 1\n"), "{name}: {:?}", step.text);
            assert_eq!(step.ids, bytes(&step.text), "{name}");
            let expected: Vec<f32> = step.ids.iter().map(|id| logp(*id) as f32).collect();
            assert_eq!(step.logps, expected, "{name}");
            assert_eq!(step.finish, Finish::Boundary, "{name}");
            assert_eq!(candidate.logps_exact, name != "llama-cpp-python");
        }
        assert_ne!(found[0].step.text, found[1].step.text, "{name}: one seed per candidate");
        assert_eq!(propose(&policy, "Q\n", Boundary::Newline), found, "{name}");
        assert!(policy.identity().starts_with(name), "{}", policy.identity());
    }
}

#[test]
fn samplers_are_neutral_whatever_the_servers_defaults() {
    let [vllm, sglang, llama_cpp, python] = dialects::all(|_, _| "x\n".into());
    for (_, mock) in [&vllm, &sglang, &llama_cpp, &python] {
        propose(&connect(mock), "Q", Boundary::Newline);
    }
    let body = &vllm.1.asked("/v1/completions")[0].body;
    assert_eq!((&body["top_k"], &body["min_p"]), (&json!(-1), &json!(0.0)));
    assert_eq!(body["repetition_penalty"], 1.0);
    assert_eq!(body["include_stop_str_in_output"], true);
    assert_eq!(body["prompt"][0], BOS);
    let sampling = &sglang.1.asked("/generate")[0].body["sampling_params"];
    assert_eq!((&sampling["top_k"], &sampling["no_stop_trim"]), (&json!(-1), &json!(true)));
    let body = &llama_cpp.1.asked("/completion")[0].body;
    assert_eq!((&body["top_k"], &body["post_sampling_probs"]), (&json!(0), &json!(false)));
    assert_eq!(body["samplers"], json!(["top_k", "temperature", "top_p", "min_p"]));
    let body = &python.1.asked("/v1/completions")[0].body;
    assert_eq!((&body["top_k"], &body["prompt"]), (&json!(0), &json!("Q")));
}

#[test]
fn steps_end_where_their_text_says_and_not_at_every_stop_string() {
    // The server stops at the blank line before the step and at the decimal point, but the step does not
    // end there.
    let script = |prompt: &str, _| match prompt {
        "Q" => "\nIt is 3.5 apples. Then".to_owned(),
        "Q\n" => "It is 3.5 apples. Then".to_owned(),
        "Q\nIt is 3." => "5 apples. Then".to_owned(),
        other => panic!("{other:?}"),
    };
    for (name, mock) in dialects::all(script) {
        let policy = connect(&mock);
        for candidate in propose(&policy, "Q", Boundary::Sentence) {
            assert_eq!(candidate.step.text, "\nIt is 3.5 apples.", "{name}");
            assert_eq!(candidate.step.logps.len(), candidate.step.ids.len(), "{name}");
        }
    }
}

#[test]
fn paragraphs_and_lines_end_behind_servers_as_they_do_here() {
    const SOLUTION: &str = "To add them:\n\\[\n3 + 4 = 7\n\\]\n\nThe answer is 7.";
    for (name, mock) in dialects::all(|prompt, _| SOLUTION[prompt.len() - 1..].to_owned()) {
        let policy = connect(&mock);
        for candidate in propose(&policy, "Q", Boundary::Paragraph) {
            assert_eq!(candidate.step.text, SOLUTION[..29], "{name}");
            assert_eq!(candidate.step.finish, Finish::Boundary, "{name}");
        }
        // The limit of 40 tokens is within the last line, which is left to the next step.
        for candidate in propose(&policy, "Q", Boundary::Lines) {
            assert_eq!(candidate.step.text, SOLUTION[..30], "{name}");
            assert_eq!(candidate.step.finish, Finish::Boundary, "{name}");
            assert_eq!(candidate.step.logps.len(), candidate.step.ids.len(), "{name}");
        }
    }
}

#[test]
fn prompts_begin_as_the_tokenizer_of_the_folder_begins_them() {
    let special = json!({ "id": 0, "content": "<s>", "single_word": false, "lstrip": false,
                          "rstrip": false, "normalized": false, "special": true });
    let file = json!({
        "version": "1.0", "pre_tokenizer": { "type": "Whitespace" }, "added_tokens": [special],
        "model": { "type": "WordLevel", "vocab": { "<s>": 0, "a": 1, "A": 2, "B": 3 },
                   "unk_token": "a" },
    });
    let frame = json!({
        "type": "TemplateProcessing", "pair": [],
        "single": [{ "SpecialToken": { "id": "<s>", "type_id": 0 } },
                   { "Sequence": { "id": "A", "type_id": 0 } }],
        "special_tokens": { "<s>": { "id": "<s>", "ids": [0], "tokens": ["<s>"] } },
    });
    let plain = json!({ "bos_token": "<s>" });
    let chats = json!({ "bos_token": "<s>", "chat_template": "{{ messages[0].content }}" });
    for (frame, settings, begins) in
        [(&Value::Null, &plain, false), (&frame, &plain, true), (&frame, &chats, false)]
    {
        let mut file = file.clone();
        file["post_processor"] = frame.clone();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("tokenizer.json"), file.to_string()).unwrap();
        std::fs::write(dir.path().join("tokenizer_config.json"), settings.to_string()).unwrap();
        let [(_, mock), ..] = dialects::all(|_, _| "x\n".into());
        let own = ServerOptions { tokenizer: Some(dir.path().to_owned()), ..options() };
        let policy =
            HttpPolicy::connect(&format!("{}/v1", mock.address), &own, &PromptOptions::default())
                .unwrap();
        let ids = policy.prompt(&problem()).unwrap().ids;
        assert_eq!(ids[0] == 0, begins, "{settings}");
    }
}

#[test]
fn steps_keep_the_space_that_a_server_takes_off_a_text() {
    let handler = dialects::vllm(Arc::new(|prompt: &str, _: u64| match prompt {
        "Q" => " One.\n".to_owned(),
        _ => "more\n".to_owned(),
    }));
    let mock = Mock::start(move |asked: &Asked| match handler(asked) {
        Answer::Json(mut body) if asked.path == "/detokenize" => {
            let text = body["prompt"].as_str().unwrap();
            body["prompt"] = json!(text.strip_prefix(' ').unwrap_or(text));
            Answer::Json(body)
        }
        other => other,
    });
    let found = propose(&connect(&mock), "Q", Boundary::Newline);
    assert_eq!(found[0].step.text, " One.\n");
    assert_eq!(found[0].step.ids, bytes(" One.\n"));
}

#[test]
fn solutions_end_at_stop_strings_and_stop_tokens() {
    let text = "1 + 1 = 2\n#### 2\n\nQuestion: more";
    let ends = |strings: &[&str], ids: &[u8]| {
        let strings = strings.iter().map(|s| (*s).to_owned()).collect();
        StopAt { strings, ids: ids.iter().map(|&id| id.into()).collect() }
    };
    for (name, mock) in dialects::all(|_, _| text.to_owned()) {
        let policy = connect(&mock);
        for (stop_at, end) in [
            (ends(&["Question:"], &[]), text.len() - " more".len()),
            (ends(&[], b"#"), "1 + 1 = 2\n#".len()),
            (ends(&["= 2"], b"#"), "1 + 1 = 2".len()),
        ] {
            let request = Propose { stop_at, ..request("Q", Boundary::End) };
            let answer = call(&policy, Request::Propose(request)).unwrap();
            let Response::Candidates(found) = answer else { panic!("{answer:?}") };
            let step = &found.candidates[0].step;
            assert_eq!((step.text.as_str(), step.finish), (&text[..end], Finish::Stop), "{name}");
        }
    }
}

#[test]
fn solutions_end_with_eos_and_at_the_budget() {
    for (name, mock) in dialects::all(|_, _| "#### 2\u{3}".into()) {
        let found = propose(&connect(&mock), "Q", Boundary::End);
        assert_eq!(found[0].step.finish, Finish::Eos, "{name}");
        assert_eq!(found[0].step.text, "#### 2", "{name}");
        let last = found[0].step.ids.last();
        // llama-cpp-python neither returns EOS nor reports its id.
        assert_eq!(last == Some(&EOS), name != "llama-cpp-python", "{name}");
    }
    for (name, mock) in dialects::all(|_, _| "x".repeat(99)) {
        let found = propose(&connect(&mock), "Q", Boundary::Newline);
        assert_eq!((found[0].step.finish, found[0].step.ids.len()), (Finish::Length, 40), "{name}");
    }
}

#[test]
fn every_dialect_judges() {
    for (name, mock) in dialects::all(|_, _| "x".into()) {
        let policy = connect(&mock);
        let (a, b) = ((-0.5f64).exp(), (-1.5f64).exp());
        let first = judge(&policy, OptionOrder::CorrectFirst);
        assert!((first.correct.unwrap() - a / (a + b)).abs() < 1e-12, "{name}");
        assert!((first.mass - (a + b)).abs() < 1e-12, "{name}");
        let last = judge(&policy, OptionOrder::CorrectLast);
        assert!((last.correct.unwrap() - b / (a + b)).abs() < 1e-12, "{name}");
        assert!((judge(&policy, OptionOrder::Both).correct.unwrap() - 0.5).abs() < 1e-12, "{name}");
    }
}

#[test]
fn every_dialect_grades() {
    let graded = |policy: &dyn Policy, labels: [&str; 2], values: [f64; 2]| {
        let grades = Grades {
            question: "How good?\n(".into(),
            labels: labels.map(str::to_owned).into(),
            values: values.into(),
        };
        let judge = Judge {
            prefix: bytes("Question: 1 + 1?\n").into(),
            step: bytes("1 + 1 = 2\n").into(),
            hint: None,
            order: OptionOrder::Both,
            restated: None,
            grades: Some(grades.into()),
        };
        match call(policy, Request::Judge(judge)) {
            Ok(Response::Judgement(judgement)) => judgement,
            other => panic!("{other:?}"),
        }
    };
    for (name, mock) in dialects::all(|_, _| "x\n".into()) {
        let policy = connect(&mock);
        // The servers list A at -0.5, B at -1.5 and x at -4.
        let [b, x] = [(-1.5f64).exp(), (-4f64).exp()];
        let found = graded(&policy, ["B", "x"], [0.8, 0.3]);
        let expected = (0.8 * b + 0.3 * x) / (b + x);
        assert!((found.correct.unwrap() - expected).abs() < 1e-12, "{name}: {found:?}");
        assert!((found.mass - b - x).abs() < 1e-12, "{name}");
        let question = bytes("\nHow good?\n(").len() as u64;
        assert_eq!(found.usage.judged, question, "{name}: asked once");
        // If a label is not listed, the judgement is unknown, not 0.
        assert_eq!(graded(&policy, ["B", "C"], [1.0, 0.0]).correct, None, "{name}");
    }
}

#[test]
fn a_label_outside_the_listed_tokens_is_unknown() {
    let script: Arc<dialects::Script> = Arc::new(|_: &str, _| "x".into());
    let vllm = dialects::vllm(script);
    let mock = Mock::start(move |asked| match vllm(asked) {
        Answer::Json(mut value) if asked.body["logprobs"] == 20 => {
            let listed = value["choices"][0]["logprobs"]["top_logprobs"][0].as_object_mut();
            listed.unwrap().remove("token_id:66");
            Answer::Json(value)
        }
        other => other,
    });
    let unknown = judge(&connect(&mock), OptionOrder::CorrectFirst);
    assert_eq!(unknown.correct, None);
}

#[test]
fn every_dialect_scores_given_text() {
    for (name, mock) in dialects::all(|_, _| "x".into()) {
        let scores = score(&connect(&mock)).unwrap();
        let expected: Vec<f32> = bytes(" = 2").iter().map(|id| logp(*id) as f32).collect();
        assert_eq!(scores.logps, expected, "{name}");
        if name != "llama-cpp-python" {
            let greedy: Vec<bool> = bytes(" = 2").iter().map(|id| id % 2 == 0).collect();
            assert_eq!(scores.greedy, greedy, "{name}");
        }
    }
}

#[test]
fn what_a_server_cannot_do_is_said() {
    let script: Arc<dialects::Script> = Arc::new(|_: &str, _| "x".into());
    let mock = Mock::start(dialects::llama_cpp_python(false, script));
    let policy = connect(&mock);
    let notes = policy.notes().join("\n");
    assert!(notes.contains("text, not token ids") && notes.contains("--tokenizer"), "{notes}");
    let error = score(&policy).unwrap_err();
    assert!(error.to_string().contains("without BOS"), "{error}");
    assert!(!error.is_final());
}

#[test]
fn prompts_begin_with_bos_and_follow_the_servers_chat_template() {
    let [vllm, ..] = dialects::all(|_, _| "x".into());
    let prompt = connect(&vllm.1).prompt(&problem()).unwrap();
    assert!(prompt.text.starts_with("Question: ") && prompt.text.ends_with("Answer:"));
    assert_eq!(prompt.ids[0], BOS);
    assert_eq!(prompt.ids[1..], bytes(&prompt.text));
    let script: Arc<dialects::Script> = Arc::new(|_: &str, _| "x".into());
    let plain = dialects::vllm(script);
    let mock = Mock::start(move |asked| match asked.body["messages"][0]["content"].as_str() {
        Some(turn) => Answer::Json(json!({ "tokens": bytes(&format!("<user>{turn}<assistant>")) })),
        None => plain(asked),
    });
    let prompt = connect(&mock).prompt(&problem()).unwrap();
    assert!(prompt.text.starts_with("<user>") && prompt.text.ends_with("<assistant>"));
    assert!(prompt.text.contains("step by step"), "{}", prompt.text);
}

#[test]
fn a_folder_s_form_is_told_to_the_chat_template_of_the_server() {
    let dir = tempfile::tempdir().unwrap();
    let file = json!({
        "version": "1.0", "added_tokens": [],
        "model": { "type": "WordLevel", "vocab": { "a": 1, "A": 2, "B": 3 }, "unk_token": "a" },
    });
    let form = json!({ "version": 1, "prompt": "{{ question }}", "judge": "?", "chat": true,
                       "system": "Be brief.", "template_kwargs": { "enable_thinking": false } });
    std::fs::write(dir.path().join("tokenizer.json"), file.to_string()).unwrap();
    std::fs::write(dir.path().join("regrowth.json"), form.to_string()).unwrap();
    let own = ServerOptions { tokenizer: Some(dir.path().to_owned()), ..options() };
    let plain = dialects::vllm(Arc::new(|_: &str, _| "x".into()));
    let mock = Mock::start(move |asked| match &asked.body["messages"] {
        Value::Null => plain(asked),
        _ => Answer::Json(json!({ "tokens": [1, 2, 3] })),
    });
    let policy =
        HttpPolicy::connect(&format!("{}/v1", mock.address), &own, &PromptOptions::default())
            .unwrap();
    assert_eq!(*policy.prompt(&problem()).unwrap().ids, [1, 2, 3]);
    let asked = mock.asked("/tokenize").pop().unwrap().body;
    let system = json!({ "role": "system", "content": "Be brief." });
    assert_eq!((&asked["messages"][0], &asked["messages"][1]["role"]), (&system, &json!("user")));
    assert_eq!(asked["chat_template_kwargs"], json!({ "enable_thinking": false }));
}

/// Response of a server in place of a completion.
type Fault = fn() -> Answer;

/// A vLLM that responds to the first `count` completions with `fault`.
fn faulty(count: usize, fault: Fault) -> Mock {
    let script: Arc<dialects::Script> = Arc::new(|_: &str, seed| format!("{seed}\n"));
    let vllm = dialects::vllm(script);
    let seen = AtomicUsize::new(0);
    Mock::start(move |asked| {
        let completion = asked.path == "/v1/completions";
        if completion && seen.fetch_add(1, Ordering::SeqCst) < count {
            fault()
        } else {
            vllm(asked)
        }
    })
}

#[test]
fn passing_faults_are_tried_again_with_the_same_result() {
    let whole = propose(&connect(&faulty(0, || Answer::Cut)), "Q", Boundary::Newline);
    let faults: [Fault; 4] = [
        || Answer::Cut,
        || Answer::Status(503, "loading"),
        || Answer::Status(429, "slow down"),
        || Answer::Status(500, "out of memory"),
    ];
    for fault in faults {
        let mock = faulty(3, fault);
        assert_eq!(propose(&connect(&mock), "Q", Boundary::Newline), whole);
        assert_eq!(mock.asked("/v1/completions").len(), 6);
    }
}

#[test]
fn unusable_replies_are_errors_that_name_place_expected_and_got() {
    let cases: [(Fault, &str); 7] = [
        (|| Answer::Raw("{\"choices\": [NaN]}"), "not valid JSON"),
        (|| Answer::Raw("<html>"), "not valid JSON"),
        (|| Answer::Json(json!({ "choices": [] })), "choices: expected at least 1 elements"),
        (|| Answer::Json(json!({ "error": "x" })), "field `choices` is missing"),
        (|| Answer::Json(with_logps(json!([-0.5]))), "one log-probability for each of 2 tokens"),
        (|| Answer::Json(with_logps(json!([-0.5, null]))), "token_logprobs[1]: expected a finite"),
        (|| Answer::Json(with_logps(json!([-0.5, 3.0]))), "at most 0, got 3.0"),
    ];
    for (fault, expected) in cases {
        let mock = faulty(usize::MAX, fault);
        let policy = connect(&mock);
        let error = call(&policy, Request::Propose(request("Q", Boundary::Newline))).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(expected), "{text}");
        assert!(text.contains(&mock.address) && text.contains("/v1/completions"), "{text}");
        assert!(!error.is_final());
    }
}

fn with_logps(logps: Value) -> Value {
    let logprobs = json!({ "tokens": ["token_id:1", "token_id:2"], "token_logprobs": logps });
    json!({ "choices": [{ "logprobs": logprobs, "finish_reason": "length", "stop_reason": null }] })
}

#[test]
fn a_refused_request_fails_alone_and_a_missing_key_is_named() {
    let mock = faulty(usize::MAX, || Answer::Status(400, "prompt too long"));
    // Only one candidate: if one of several is refused, candidates that were not requested yet are dropped.
    let one = Propose { keys: vec![11], ..request("Q", Boundary::End) };
    let error = call(&connect(&mock), Request::Propose(one)).unwrap_err();
    assert!(matches!(error, PolicyError::Request(_)) && error.to_string().contains("too long"));
    assert_eq!(mock.asked("/v1/completions").len(), 1, "it is not asked again");
    let mock = faulty(usize::MAX, || Answer::Status(401, "who are you"));
    let error = call(&connect(&mock), Request::Propose(request("Q", Boundary::End))).unwrap_err();
    assert!(error.to_string().contains("REGROWTH_API_KEY"), "{error}");
}

#[test]
fn another_server_takes_over_and_the_last_one_ends_the_run() {
    let script: Arc<dialects::Script> = Arc::new(|_: &str, seed| format!("{seed}\n"));
    let servers = [(); 2].map(|()| Mock::start(dialects::vllm(script.clone())));
    let spec = format!("{}/v1#tiny,{}/v1#tiny", servers[0].address, servers[1].address);
    let policy = HttpPolicy::connect(
        &spec,
        &ServerOptions { attempts: 2, ..options() },
        &PromptOptions::default(),
    )
    .unwrap();
    let count = |i: usize| servers[i].asked("/v1/completions").len();
    let prefixes: Vec<String> = (0..12).map(|i| format!("Question {i}:")).collect();
    let whole: Vec<_> = prefixes.iter().map(|p| propose(&policy, p, Boundary::Newline)).collect();
    assert!(count(0) > 0 && count(1) > 0, "both are used");
    assert_eq!((count(0) % 3, count(1) % 3), (0, 0), "a prefix stays with its server");
    servers[0].stop();
    let again: Vec<_> = prefixes.iter().map(|p| propose(&policy, p, Boundary::Newline)).collect();
    assert_eq!(again, whole, "who answers changes nothing");
    servers[1].stop();
    let error = call(&policy, Request::Propose(request("Q", Boundary::End))).unwrap_err();
    assert!(error.is_final() && error.to_string().contains("docs/servers.md"), "{error}");
}

#[test]
fn a_server_that_is_loading_its_model_is_waited_for() {
    let loading = |times: usize| {
        let (answer, left) =
            (dialects::vllm(Arc::new(|_: &str, _| "x".into())), AtomicUsize::new(times));
        Mock::start(move |asked: &Asked| {
            let less = |n: usize| n.checked_sub(1);
            let busy = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok();
            if busy { Answer::Status(503, "Loading model") } else { answer(asked) }
        })
    };
    // More attempts than are made at a server that cannot be reached.
    let patient = ServerOptions { attempts: 4, ..options() };
    let met = |server: &Mock| {
        HttpPolicy::connect(&format!("{}/v1", server.address), &patient, &PromptOptions::default())
    };
    assert!(met(&loading(3)).is_ok());
    let error = met(&loading(usize::MAX)).err().unwrap().to_string();
    assert!(error.contains("Loading model") && error.contains("--server-attempts"), "{error}");
}

#[test]
fn a_server_that_hangs_is_left() {
    let mock = faulty(usize::MAX, || Answer::Late(Duration::from_secs(600)));
    // Long enough, even on a busy machine, for the requests during discovery, which are answered.
    let brief = ServerOptions { attempts: 1, timeout: Duration::from_secs(5), ..options() };
    let policy = HttpPolicy::connect(&mock.address, &brief, &PromptOptions::default()).unwrap();
    let error = call(&policy, Request::Propose(request("Q", Boundary::End))).unwrap_err();
    assert!(error.is_final(), "{error}");
}

#[test]
fn what_cannot_be_connected_says_what_to_do() {
    let brief = ServerOptions { attempts: 1, ..options() };
    let refused =
        |spec: &str| HttpPolicy::connect(spec, &brief, &PromptOptions::default()).err().unwrap();
    let error = refused("http://127.0.0.1:1/v1");
    assert!(error.is_final() && error.to_string().contains("check host and port"), "{error}");
    let unknown =
        Mock::start(|_| Answer::Json(json!({ "data": [{ "id": "m", "owned_by": "?" }] })));
    let error = refused(&unknown.address).to_string();
    assert!(error.contains("--server-dialect") && error.contains("choices"), "{error}");
    let [vllm, sglang, ..] = dialects::all(|_, _| "x".into());
    let error = refused(&format!("{}/v1#other", vllm.1.address)).to_string();
    assert!(error.contains("serves tiny"), "{error}");
    let error = refused(&format!("{},{}", vllm.1.address, sglang.1.address)).to_string();
    assert!(error.contains("one model"), "{error}");
}

#[test]
fn requests_beyond_the_context_are_not_sent() {
    let [vllm, ..] = dialects::all(|_, _| "x".into());
    let policy = connect(&vllm.1);
    let long = Propose { max_tokens: 5000, ..request("Q", Boundary::End) };
    let error = call(&policy, Request::Propose(long)).unwrap_err();
    assert!(error.to_string().contains("the context is 4096"), "{error}");
    assert!(vllm.1.asked("/v1/completions").is_empty());
}
