//! Reward models on servers, with mocks of vLLM and SGLang.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use regrowth_policy::http::HttpPolicy;
use regrowth_policy::{
    Grades, Judge, Judgement, OptionOrder, Policy, PolicyError, PromptOptions, Request, Response,
    Score, ServerOptions, call,
};
use serde_json::{Value, json};

use super::dialects::{self, bytes};
use super::mock::{Answer, Asked, Mock};

/// The server's output for the end of a text: one raw score per label.
type Scores = dyn Fn(&[u32]) -> Value + Send + Sync;

fn sigmoid(score: f64) -> f64 {
    1.0 / (1.0 + (-score).exp())
}

/// The raw score of a text: higher for longer texts and for texts that end with 7.
fn score(ids: &[u32]) -> f64 {
    0.1 * ids.len() as f64 - if ids.last() == Some(&u32::from(b'7')) { 0.0 } else { 3.0 }
}

fn one_label() -> Arc<Scores> {
    Arc::new(|ids| json!([score(ids)]))
}

fn two_labels() -> Arc<Scores> {
    Arc::new(|ids| json!([0.4, score(ids)]))
}

fn input_of(body: &Value, field: &str) -> Vec<u32> {
    match &body[field] {
        Value::String(text) => bytes(text),
        Value::Array(ids) => ids.iter().map(|id| id.as_u64().unwrap() as u32).collect(),
        other => panic!("{other}"),
    }
}

/// Applies vLLM's activation to raw scores.
fn activated(scores: &Value) -> Value {
    let scores: Vec<f64> = scores.as_array().unwrap().iter().filter_map(Value::as_f64).collect();
    match scores.as_slice() {
        [one] => json!([sigmoid(*one)]),
        all => {
            let total: f64 = all.iter().map(|score| score.exp()).sum();
            all.iter().map(|score| score.exp() / total).collect()
        }
    }
}

/// vLLM with a reward model: no completions, and scores with activation unless the request turns it off.
/// `heeds`: whether the server respects this field.
fn vllm(scores: Arc<Scores>, heeds: bool) -> impl Fn(&Asked) -> Answer + Send + Sync {
    let others = dialects::vllm(Arc::new(|_, _| String::new()));
    move |asked| match asked.path.as_str() {
        "/classify" => {
            let raw = scores(&input_of(&asked.body, "input"));
            let heard = heeds && asked.body["use_activation"] == false;
            let given = if heard || !raw.is_array() { raw } else { activated(&raw) };
            let count = given.as_array().map_or(0, Vec::len);
            let data = json!([{ "index": 0, "label": null, "probs": given, "num_classes": count }]);
            Answer::Json(json!({ "object": "list", "model": "tiny", "data": data }))
        }
        "/v1/completions" => Answer::Status(404, "no such path"),
        _ => others(asked),
    }
}

fn sglang(scores: Arc<Scores>, info: &'static str) -> impl Fn(&Asked) -> Answer + Send + Sync {
    let others = dialects::sglang(Arc::new(|_, _| String::new()));
    move |asked| match asked.path.as_str() {
        path if path == info => Answer::Json(json!({ "is_generation": false })),
        "/classify" => {
            let embedding = scores(&input_of(&asked.body, "input_ids"));
            Answer::Json(json!({ "embedding": embedding, "meta_info": { "prompt_tokens": 3 } }))
        }
        "/generate" => Answer::Status(400, "this model does not generate"),
        _ => others(asked),
    }
}

fn options() -> ServerOptions {
    ServerOptions { judges: true, ..super::options() }
}

fn meet(mock: &Mock) -> Result<HttpPolicy, PolicyError> {
    HttpPolicy::connect(&format!("{}/v1", mock.address), &options(), &PromptOptions::default())
}

fn request(step: &str) -> Judge {
    Judge {
        prefix: bytes("Question: 3 + 4?\n").into(),
        step: bytes(step).into(),
        hint: None,
        order: OptionOrder::Both,
        restated: None,
        grades: None,
    }
}

fn judge(policy: &dyn Policy, step: &str) -> Result<Judgement, PolicyError> {
    match call(policy, Request::Judge(request(step)))? {
        Response::Judgement(judgement) => Ok(judgement),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_score_becomes_a_probability_as_in_this_process() {
    // 17 characters of the question and 9 of the step give 2.6, which is 2.2 above the other label's 0.4.
    assert!((score(&bytes("Question: 3 + 4?\n3 + 4 = 7")) - 2.6).abs() < 1e-12);
    let [one, two] = [0.930_861_579_656_653_3, 0.900_249_510_880_314_9];
    let servers = [
        ("vllm", one, Mock::start(vllm(one_label(), true))),
        ("vllm", two, Mock::start(vllm(two_labels(), true))),
        ("sglang", one, Mock::start(sglang(one_label(), "/model_info"))),
        ("sglang", two, Mock::start(sglang(two_labels(), "/get_model_info"))),
    ];
    let mut identities = Vec::new();
    for (name, expected, mock) in &servers {
        let policy = meet(mock).unwrap();
        let found = judge(&policy, "3 + 4 = 7").unwrap();
        assert!((found.correct.unwrap() - expected).abs() < 1e-12, "{name}: {found:?}");
        assert_eq!((found.mass, found.usage.prefilled, found.usage.judged), (1.0, 26, 0));
        assert!(policy.identity().starts_with(name));
        identities.push(policy.identity().to_owned());
        // The ids are unchanged; one request per step; raw scores.
        let asked = mock.asked("/classify").pop().unwrap().body;
        let field = if *name == "vllm" { "input" } else { "input_ids" };
        assert_eq!(input_of(&asked, field), bytes("Question: 3 + 4?\n3 + 4 = 7"));
        assert!(*name != "vllm" || asked["use_activation"] == false);
    }
    // A head with one label and a head with two labels are different judges, even with the same model name.
    assert!(identities[0] != identities[1] && identities[2] != identities[3]);
}

#[test]
fn a_language_model_that_judges_is_asked_as_before() {
    for (name, mock) in dialects::all(|_, _| "x\n".into()) {
        let judging = meet(&mock).unwrap();
        let plain = super::connect(&mock);
        let found = judge(&judging, "3 + 4 = 7").unwrap();
        assert_eq!(found, judge(&plain, "3 + 4 = 7").unwrap(), "{name}");
        assert_eq!(judging.identity(), plain.identity(), "{name}");
    }
}

#[test]
fn a_policy_that_is_to_generate_is_not_asked_to_classify() {
    let mock = Mock::start(vllm(one_label(), true));
    super::connect(&mock);
    assert!(mock.asked("/classify").is_empty());
}

#[test]
fn a_reward_model_refuses_what_it_cannot_do() {
    let mock = Mock::start(vllm(one_label(), true));
    let policy = meet(&mock).unwrap();
    let refused = |request: Request| call(&policy, request).unwrap_err().to_string();
    let score = Score { prefix: bytes("a").into(), continuation: bytes("b").into() };
    assert!(refused(Request::Score(score)).contains("--judge-policy"));
    let hinted = Judge { hint: Some("7".into()), ..request("7") };
    assert!(refused(Request::Judge(hinted)).contains("hinted"));
    let graded = Judge { grades: Some(Grades::default().into()), ..request("7") };
    assert!(refused(Request::Judge(graded)).contains("grades"));
    let long = "7".repeat(5000);
    assert!(refused(Request::Judge(request(&long))).contains("context is 4096"));
}

#[test]
fn scores_that_are_not_raw_or_too_many_are_refused_at_the_start() {
    let deaf = Mock::start(vllm(one_label(), false));
    let said = meet(&deaf).err().unwrap().to_string();
    assert!(said.contains("use_activation") && said.contains(&deaf.address), "{said}");
    let many: Arc<Scores> = Arc::new(|_| json!([0.5, 2.0, -1.0]));
    let embeds: Arc<Scores> = Arc::new(|_| (0..64).map(f64::from).collect());
    let none: Arc<Scores> = Arc::new(|_| json!([]));
    for (mock, count) in [
        (Mock::start(vllm(many, true)), "3 numbers"),
        (Mock::start(sglang(embeds, "/model_info")), "64 numbers"),
        (Mock::start(sglang(none, "/model_info")), "0 numbers"),
    ] {
        let said = meet(&mock).err().unwrap().to_string();
        assert!(said.contains(count) && said.contains("second means correct"), "{said}");
    }
}

#[test]
fn hostile_scores_fail_alone_and_say_what_came() {
    for (given, expected) in [
        (json!([0.1, 0.2]), "expected 1 scores, as at the start, got 2"),
        (json!([]), "got 0"),
        (json!("high"), "expected a list"),
        (json!([null]), "expected a finite number"),
        (json!(["1"]), "expected a finite number"),
        (Value::Null, "`probs` is missing or null"),
    ] {
        let turns: Arc<Scores> = Arc::new(move |ids: &[u32]| match ids.ends_with(&bytes("bad")) {
            true => given.clone(),
            false => json!([score(ids)]),
        });
        let mock = Mock::start(vllm(turns, true));
        let policy = meet(&mock).unwrap();
        let said = judge(&policy, "bad").unwrap_err().to_string();
        assert!(said.contains(expected) && said.contains(&mock.address), "{said}");
        assert!(judge(&policy, "3 + 4 = 7").is_ok());
    }
    // Infinite scores are not valid JSON; very large scores give certainty.
    let huge: Arc<Scores> = Arc::new(|_| json!([-1e300]));
    let policy = meet(&Mock::start(vllm(huge, true))).map(|p| judge(&p, "x"));
    assert!(policy.is_ok_and(|found| found.is_ok_and(|found| found.correct == Some(0.0))));
}

#[test]
fn lost_and_garbled_scores_are_asked_for_again() {
    let inner = vllm(one_label(), true);
    let count = AtomicUsize::new(0);
    let mock = Mock::start(move |asked| {
        let step = asked.path == "/classify" && asked.body["input"].is_array();
        match step.then(|| count.fetch_add(1, Ordering::SeqCst)) {
            Some(0) => Answer::Status(503, "loading"),
            Some(1) => Answer::Raw("{\"data\": [{\"probs\": [0."),
            Some(2) => Answer::Cut,
            _ => inner(asked),
        }
    });
    let policy = meet(&mock).unwrap();
    let found = judge(&policy, "3 + 4 = 7").unwrap();
    assert!((found.correct.unwrap() - 0.930_861_579_656_653_3).abs() < 1e-12);
    assert_eq!(mock.asked("/classify").iter().filter(|a| a.body["input"].is_array()).count(), 4);
}
