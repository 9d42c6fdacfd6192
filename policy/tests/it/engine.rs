//! The engine through its public interface: it agrees with the differentiable decoder, and its results are
//! bit-identical for any batching, caching and sharing.

use crate::common;
use std::path::Path;
use std::sync::{Arc, Mutex};

use crossbeam::channel::unbounded;
use rand::RngExt;
use regrowth_datasets::keyed_rng;
use regrowth_policy::candle::{CandlePolicy, Checkpoint, PackedLayout, PromptForm, Transformer};
use regrowth_policy::{
    Ask, Boundary, Call, Candidates, Dtype, Grades, Hidden, HiddenState, Judge, LoadOptions,
    OptionOrder, Policy, PolicyError, PromptOptions, Propose, Request, Response, Restated,
    Sampling, Score, StopAt, Usage, call,
};
use serde_json::{Map, Value, json};

/// A small random checkpoint.
fn checkpoint(dir: &Path, change: impl FnOnce(&mut Map<String, Value>)) -> Checkpoint {
    common::checkpoint(dir, change, &seeded)
}

/// Seeded values, large enough that probabilities are far from uniform.
fn seeded(name: &str, n: usize) -> Vec<f32> {
    let mut rng = keyed_rng(1, &[name.as_bytes()]);
    let norm = name.contains("norm");
    (0..n).map(|_| if norm { 1.0 } else { rng.random_range(-0.35f32..0.35) }).collect()
}

fn options(threads: usize, max_batch: usize) -> LoadOptions {
    LoadOptions { threads, max_batch, ..LoadOptions::default() }
}

fn propose(prefix: &[u32], keys: std::ops::Range<u64>) -> Request {
    Request::Propose(Propose {
        prefix: prefix.into(),
        keys: keys.collect(),
        sampling: Sampling::default(),
        greedy_first: false,
        boundary: Boundary::Newline,
        stop_at: StopAt::default(),
        max_tokens: 24,
    })
}

fn candidates(response: Response) -> Candidates {
    match response {
        Response::Candidates(c) => c,
        other => panic!("expected candidates, got {other:?}"),
    }
}

fn judge(prefix: &[u32], step: &[u32], order: OptionOrder) -> Request {
    Request::Judge(Judge {
        prefix: prefix.into(),
        step: step.into(),
        hint: None,
        order,
        restated: None,
        grades: None,
    })
}

/// Log-probabilities of `ids[from..]` by the differentiable decoder.
fn reference(checkpoint: &Checkpoint, ids: &[u32], from: usize) -> Vec<f32> {
    let transformer = Transformer::new(&checkpoint.config, &checkpoint.tensors).unwrap();
    let mut layout = PackedLayout::default();
    layout.push(None, ids.len());
    let hidden = transformer.hidden(ids, &Arc::new(layout)).unwrap();
    let rows = hidden.narrow(0, from - 1, ids.len() - from).unwrap();
    transformer.log_probs(&rows, &ids[from..]).unwrap().to_vec1().unwrap()
}

fn close(a: &[f32], b: &[f32]) {
    assert_eq!(a.len(), b.len());
    for (x, y) in a.iter().zip(b) {
        assert!((x - y).abs() < 2e-5, "{x} and {y}");
    }
}

#[test]
fn scores_equal_the_differentiable_form_in_every_family() {
    for (name, extra) in [
        ("LlamaForCausalLM", json!({"tie_word_embeddings": false, "num_key_value_heads": 2})),
        (
            "LlamaForCausalLM",
            json!({"rope_scaling": {"rope_type": "llama3", "factor": 4.0,
            "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64}}),
        ),
        ("MistralForCausalLM", json!({"sliding_window": 7})),
        ("Qwen2ForCausalLM", json!({"num_key_value_heads": 1})),
        ("Qwen3ForCausalLM", json!({"head_dim": 16})),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let checkpoint = checkpoint(dir.path(), |raw| {
            raw.insert("architectures".into(), json!([name]));
            raw.extend(extra.as_object().unwrap().clone());
        });
        let policy = CandlePolicy::new(&checkpoint, &options(1, 8)).unwrap();
        let ids: Vec<u32> = (0..40).map(|i| 1 + (i * 7) % 50).collect();
        let request =
            Request::Score(Score { prefix: ids[..15].into(), continuation: ids[15..].into() });
        let Response::Scores(scores) = call(&policy, request).unwrap() else { panic!() };
        close(&scores.logps, &reference(&checkpoint, &ids, 15));
    }
}

fn hidden(policy: &dyn Policy, prefix: &[u32], step: &[u32]) -> HiddenState {
    let request = Hidden { prefix: prefix.into(), step: step.into() };
    match call(policy, Request::Hidden(request)).unwrap() {
        Response::Hidden(state) => state,
        other => panic!("expected a hidden state, got {other:?}"),
    }
}

#[test]
fn hidden_states_equal_the_differentiable_form_in_every_family() {
    for name in ["LlamaForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"] {
        let dir = tempfile::tempdir().unwrap();
        let checkpoint = checkpoint(dir.path(), |raw| {
            raw.insert("architectures".into(), json!([name]));
        });
        let policy = CandlePolicy::new(&checkpoint, &options(1, 8)).unwrap();
        let ids: Vec<u32> = (0..40).map(|i| 1 + (i * 7) % 50).collect();
        let transformer = Transformer::new(&checkpoint.config, &checkpoint.tensors).unwrap();
        let mut layout = PackedLayout::default();
        layout.push(None, ids.len());
        let all = transformer.hidden(&ids, &Arc::new(layout)).unwrap();
        for end in [16, 23, 40] {
            let expected: Vec<f32> = all.get(end - 1).unwrap().to_vec1().unwrap();
            close(&hidden(&policy, &ids[..15], &ids[15..end]).values, &expected);
        }
    }
}

#[test]
fn the_state_after_a_sampled_step_costs_a_token_that_going_on_saves() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoint = checkpoint(dir.path(), |_| {});
    let policy = CandlePolicy::new(&checkpoint, &options(1, 8)).unwrap();
    let prefix = policy.encode("2 + 3 = ?\n").unwrap();
    let found = candidates(call(&policy, propose(&prefix, 0..1)).unwrap());
    let step = &found.candidates[0].step.ids;
    let read = hidden(&policy, &prefix, step);
    assert_eq!((read.usage.prefilled, read.usage.recomputed), (1, 0));
    let whole = [&prefix[..], step].concat();
    let next = candidates(call(&policy, propose(&whole, 5..6)).unwrap());
    assert_eq!((next.usage.prefilled, next.usage.reused), (0, whole.len() as u64));
    let again = hidden(&policy, &prefix, step);
    assert_eq!((again.values, again.usage.prefilled), (read.values, 0));
}

#[test]
fn recorded_log_probabilities_are_those_of_a_forward_pass() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoint = checkpoint(dir.path(), |_| {});
    let policy = CandlePolicy::new(&checkpoint, &options(1, 8)).unwrap();
    let prefix = policy.encode("2 + 3 = ?\n").unwrap();
    let found = candidates(call(&policy, propose(&prefix, 0..4)).unwrap());
    assert_eq!(found.candidates.len(), 4);
    for candidate in &found.candidates {
        let ids: Vec<u32> = prefix.iter().chain(&candidate.step.ids).copied().collect();
        close(&candidate.step.logps, &reference(&checkpoint, &ids, prefix.len()));
        assert!(candidate.logps_exact);
    }
}

/// Sampling with temperature, top-k, top-p and min-p.
const TRUNCATED: Sampling = Sampling { temperature: 0.8, top_k: 20, top_p: 0.9, min_p: 0.02 };

/// Returns the answers to a fixed set of requests, all submitted at once.
fn answers(policy: &dyn Policy, sampling: Sampling) -> Vec<Response> {
    let base = policy.encode("Tom has 3 caps.\n").unwrap();
    let mut requests = Vec::new();
    for i in 0..12u32 {
        let mut prefix = base.clone();
        prefix.extend((0..i % 5).map(|j| 3 + i + j));
        let keys = u64::from(i) * 10..u64::from(i) * 10 + 1 + u64::from(i % 4);
        requests.push(match propose(&prefix, keys) {
            Request::Propose(ask) => Request::Propose(Propose { sampling, ..ask }),
            other => other,
        });
        requests.push(judge(&base, &prefix[base.len() - 2..], OptionOrder::Both));
        requests.push(Request::Score(Score {
            prefix: prefix.clone().into(),
            continuation: [5, 6, 7].into(),
        }));
        requests.push(Request::Hidden(Hidden { prefix: prefix.into(), step: [5, 6].into() }));
    }
    let (reply, receive) = unbounded();
    let n = requests.len();
    for (request_id, request) in requests.into_iter().enumerate() {
        policy.submit(Call::new(request_id as u64, request, reply.clone()));
    }
    let mut all: Vec<_> = receive.iter().take(n).collect();
    all.sort_by_key(|a| a.request_id);
    all.into_iter().map(|a| without_usage(a.result.unwrap())).collect()
}

/// Returns an answer without its usage, which depends on the cache.
fn without_usage(response: Response) -> Response {
    match response {
        Response::Candidates(c) => {
            Response::Candidates(Candidates { usage: Default::default(), ..c })
        }
        Response::Judgement(j) => {
            Response::Judgement(regrowth_policy::Judgement { usage: Default::default(), ..j })
        }
        Response::Scores(s) => {
            Response::Scores(regrowth_policy::Scores { usage: Default::default(), ..s })
        }
        Response::Hidden(h) => Response::Hidden(HiddenState { usage: Default::default(), ..h }),
    }
}

#[test]
fn the_same_bits_for_any_batch_thread_count_and_cache() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoint = checkpoint(dir.path(), |raw| {
        raw.insert("num_key_value_heads".into(), json!(2));
    });
    let answers = |policy: &CandlePolicy| answers(policy, Sampling::default());
    let engine = |dtype, threads, max_batch| {
        CandlePolicy::new(&checkpoint, &LoadOptions { dtype, ..options(threads, max_batch) })
            .unwrap()
    };
    for dtype in [Dtype::Bf16, Dtype::Int8, Dtype::F32] {
        let reference = answers(&engine(dtype, 1, 1));
        for (threads, max_batch) in [(1, 8), (1, 64), (2, 64), (3, 5)] {
            let policy = engine(dtype, threads, max_batch);
            let how = format!("{dtype}, {threads} threads, batch {max_batch}");
            assert_eq!(answers(&policy), reference, "cold, {how}");
            assert_eq!(answers(&policy), reference, "warm, {how}");
        }
    }
    let reference = answers(&engine(Dtype::F32, 1, 1));
    let slot = 2 * 2 * 16 * 4;
    let small = LoadOptions { cache_bytes: Some(130 * slot), ..options(1, 64) };
    let policy = CandlePolicy::new(&checkpoint, &small).unwrap();
    assert_eq!(answers(&policy), reference, "with a cache that must give up prefixes");
}

#[test]
fn log_probabilities_in_bf16_and_int8_are_near_those_in_f32_and_the_identity_says_which() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoint = checkpoint(dir.path(), |_| {});
    let engine =
        |dtype| CandlePolicy::new(&checkpoint, &LoadOptions { dtype, ..options(1, 8) }).unwrap();
    let scores = |policy: &CandlePolicy| {
        let score = Score { prefix: [3, 4, 5].into(), continuation: (5..25).collect() };
        match call(policy, Request::Score(score)) {
            Ok(Response::Scores(scores)) => scores.logps,
            other => panic!("{other:?}"),
        }
    };
    let full = engine(Dtype::F32);
    for (dtype, most) in [(Dtype::Bf16, 0.1), (Dtype::Int8, 0.2)] {
        let reduced = engine(dtype);
        assert_eq!(format!("{}+{dtype}", full.identity()), reduced.identity());
        let (full, reduced) = (scores(&full), scores(&reduced));
        assert!(full != reduced);
        let distance = full.iter().zip(&reduced).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(distance < most, "{dtype}: {distance}");
    }
}

#[test]
fn log_probabilities_in_int8_do_not_count_as_exact() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoint = checkpoint(dir.path(), |_| {});
    for (dtype, exact) in [(Dtype::F32, true), (Dtype::Bf16, true), (Dtype::Int8, false)] {
        let policy =
            CandlePolicy::new(&checkpoint, &LoadOptions { dtype, ..options(1, 8) }).unwrap();
        let Candidates { candidates, .. } =
            candidates(call(&policy, propose(&[3, 4, 5], 0..4)).unwrap());
        assert!(candidates.iter().all(|candidate| candidate.logps_exact == exact), "{dtype}");
    }
}

/// Architectures with different attention: plain, with a sliding window, with biases, with norms of queries
/// and keys. Products and attention of an engine step are large enough to be split among threads.
fn wide(dir: &Path) -> Vec<(&'static str, Checkpoint)> {
    let kinds = [
        ("LlamaForCausalLM", json!({ "num_key_value_heads": 2 })),
        ("MistralForCausalLM", json!({ "sliding_window": 7 })),
        ("Qwen2ForCausalLM", json!({ "num_key_value_heads": 1 })),
        ("Qwen3ForCausalLM", json!({ "head_dim": 24 })),
    ];
    let made = |(name, extra): (&'static str, Value)| {
        let checkpoint = checkpoint(&dir.join(name), |raw| {
            raw.insert("architectures".into(), json!([name]));
            raw.insert("hidden_size".into(), json!(128));
            raw.insert("head_dim".into(), json!(32));
            raw.insert("intermediate_size".into(), json!(192));
            raw.extend(extra.as_object().unwrap().clone());
        });
        (name, checkpoint)
    };
    kinds.into_iter().map(made).collect()
}

#[test]
fn the_same_bits_where_threads_share_a_shard() {
    let dir = tempfile::tempdir().unwrap();
    for (name, checkpoint) in wide(dir.path()) {
        let c = &checkpoint.config;
        let slot = c.layers * 2 * c.kv_heads * c.head_dim * size_of::<f32>();
        // Enough for one sequence of the full context and therefore for one shard only, with any number of
        // threads.
        let one_shard = |threads, max_batch| LoadOptions {
            cache_bytes: Some((c.context + c.context / 2) * slot),
            ..options(threads, max_batch)
        };
        for sampling in [Sampling::default(), TRUNCATED] {
            let alone = CandlePolicy::new(&checkpoint, &options(1, 1)).unwrap();
            let reference = answers(&alone, sampling);
            for (threads, max_batch) in [(2, 64), (3, 64), (3, 9)] {
                let policy =
                    CandlePolicy::new(&checkpoint, &one_shard(threads, max_batch)).unwrap();
                for state in ["cold", "warm"] {
                    let case = format!("{name}, {state}, {threads} threads, batch {max_batch}");
                    assert_eq!(answers(&policy, sampling), reference, "{case}, {sampling:?}");
                }
            }
        }
    }
}

#[test]
fn every_token_is_computed_once() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoint = checkpoint(dir.path(), |_| {});
    let policy = CandlePolicy::new(&checkpoint, &options(1, 64)).unwrap();
    let prefix = policy.encode("Ann has 12 cards. How many?\n").unwrap();
    let first = candidates(call(&policy, propose(&prefix, 0..5)).unwrap());
    assert_eq!(first.usage.prefilled as usize, prefix.len());
    let step = first.candidates[0].step.ids.clone();
    let request = judge(&prefix, &step, OptionOrder::CorrectFirst);
    let Response::Judgement(judged) = call(&policy, request).unwrap() else { panic!() };
    // Only the step's last token is new: it was sampled but not fed back.
    assert_eq!(judged.usage.prefilled, 1);
    let whole: Vec<u32> = prefix.iter().chain(&step).copied().collect();
    let second = candidates(call(&policy, propose(&whole, 9..10)).unwrap());
    assert_eq!(second.usage.prefilled, 0);
    assert_eq!(second.usage.reused as usize, whole.len());
}

/// Number of distinct prefixes of `all` that are longer than `shared` ids.
fn beginnings<'a>(all: impl Iterator<Item = &'a [u32]>, shared: usize) -> usize {
    let mut found = std::collections::BTreeSet::new();
    for ids in all {
        found.extend((shared + 1..=ids.len()).map(|n| &ids[..n]));
    }
    found.len()
}

#[test]
fn candidates_share_their_tokens_until_they_part() {
    let dir = tempfile::tempdir().unwrap();
    // Peaked probabilities, so that candidates often begin alike.
    let checkpoint = common::checkpoint(dir.path(), |_| {}, &|name, n| {
        seeded(name, n).iter().map(|w| if name.contains("embed") { 4.0 * w } else { *w }).collect()
    });
    let policy = CandlePolicy::new(&checkpoint, &options(1, 64)).unwrap();
    let prefix = policy.encode("Ann has 12 cards.\n").unwrap();
    let same = Request::Propose(Propose {
        keys: vec![7; 6],
        ..match propose(&prefix, 0..1) {
            Request::Propose(p) => p,
            _ => unreachable!(),
        }
    });
    let found = candidates(call(&policy, same).unwrap());
    assert_eq!(found.usage.sampling_rows as usize, found.candidates[0].step.ids.len() - 1);
    let other = policy.encode("Bob has 7 pens.\n").unwrap();
    let found = candidates(call(&policy, propose(&other, 0..40)).unwrap());
    // A step's last token is not computed, because nothing follows it here.
    let steps = || found.candidates.iter().map(|c| c.step.ids.split_last().unwrap().1);
    let unique = beginnings(steps(), 0);
    assert!(unique < steps().map(<[u32]>::len).sum(), "nothing to share");
    assert_eq!(found.usage.sampling_rows as usize, unique);
}

#[test]
fn requests_in_flight_share_the_prefix_they_repeat() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoint = checkpoint(dir.path(), |_| {});
    let policy = CandlePolicy::new(&checkpoint, &options(1, 64)).unwrap();
    let text = "Ann has 12 cards and Bob has 7 pens. How many things have they?\n".repeat(8);
    let prefix = policy.encode(&text).unwrap();
    let (reply, receive) = unbounded();
    for request_id in 0..6 {
        // Half of the requests differ from the others from token 400 on.
        let mut ids = prefix.clone();
        ids[400] = 1 + u32::from(request_id % 2 == 0);
        let request = propose(&ids, request_id..request_id + 1);
        policy.submit(Call::new(request_id, request, reply.clone()));
    }
    let all: Vec<_> = receive.iter().take(6).map(|a| candidates(a.result.unwrap())).collect();
    let prefilled: u64 = all.iter().map(|c| c.usage.prefilled).sum();
    assert_eq!(prefilled as usize, prefix.len() + prefix.len() - 400);
}

#[test]
fn a_judgement_computes_a_suffix_of_fixed_length() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoint = checkpoint(dir.path(), |_| {});
    let policy = CandlePolicy::new(&checkpoint, &options(1, 64)).unwrap();
    let form = PromptForm::read(&checkpoint.source, policy.tokenizer(), &PromptOptions::default())
        .unwrap();
    let length = |first| policy.encode(&form.question("\n", first, None).unwrap()).unwrap().len();
    for text in ["1 + 1\n", "Ann has 12 cards. How many?\n"] {
        let prefix = policy.encode(text).unwrap();
        let first = candidates(call(&policy, propose(&prefix, 0..1)).unwrap());
        for (order, expected) in [
            (OptionOrder::CorrectFirst, length(true)),
            (OptionOrder::CorrectLast, length(false)),
            (OptionOrder::Both, length(true) + length(false)),
        ] {
            let mut step = first.candidates[0].step.ids.clone();
            step.truncate(step.len() - 1);
            step.extend(policy.encode("\n").unwrap());
            let request = judge(&prefix, &step, order);
            let Response::Judgement(judged) = call(&policy, request).unwrap() else { panic!() };
            assert_eq!(judged.usage.judged as usize, expected, "{order:?} after {text:?}");
            assert!(judged.usage.prefilled <= 1);
        }
    }
}

#[test]
fn a_judge_s_own_prompt_restates_everything_and_is_counted_apart() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoint = checkpoint(dir.path(), |_| {});
    let restated = Restated {
        question: "1 + 1?".into(),
        choices: vec![],
        solution: "1 + 1 = 2\n".into(),
        direction: false,
    };
    let policy = CandlePolicy::new(&checkpoint, &options(1, 64)).unwrap();
    let form = PromptForm::read(&checkpoint.source, policy.tokenizer(), &PromptOptions::default())
        .unwrap();
    let length = |text: &str| policy.encode(text).unwrap().len();
    let parts = |first| {
        let (text, before) = form
            .render_restated(
                &restated,
                Ask::Options { correct_first: first },
                None,
                policy.tokenizer(),
            )
            .unwrap();
        let bos = usize::from(policy.tokenizer().opening().is_some());
        (bos + length(&text[..before]), length(&text[before..]), text)
    };
    let ask = |order, prefix: &str| {
        let judge = Judge {
            prefix: policy.encode(prefix).unwrap().into(),
            step: policy.encode("1 + 1 = 2\n").unwrap().into(),
            hint: None,
            order,
            restated: Some(restated.clone()),
            grades: None,
        };
        match call(&policy, Request::Judge(judge)).unwrap() {
            Response::Judgement(judgement) => judgement,
            other => panic!("{other:?}"),
        }
    };
    let (body, asked, text) = parts(true);
    assert!(text.contains("1 + 1?") && text.contains("1 + 1 = 2\n"), "{text}");
    // The first request computes the full prompt, later requests only the question.
    let cold = ask(OptionOrder::CorrectFirst, "Ann has 12 cards.\n");
    assert_eq!(cold.usage, Usage { restated: (body + asked) as u64, ..Usage::default() });
    // The searched prefix has no effect, because the prompt restates the solution.
    let warm = ask(OptionOrder::CorrectFirst, "Bob has 7 pens.\n");
    assert_eq!((warm.usage.restated, warm.usage.reused), (asked as u64, body as u64));
    assert_eq!((warm.correct, warm.mass), (cold.correct, cold.mass));
    let both = ask(OptionOrder::Both, "x").usage.restated as usize;
    assert_eq!(both, asked + parts(false).1);
}

#[test]
fn a_cache_too_small_for_all_candidates_takes_them_in_turns() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoint = checkpoint(dir.path(), |_| {});
    let roomy = CandlePolicy::new(&checkpoint, &options(1, 64)).unwrap();
    let prefix = roomy.encode("Ann has 12 cards.\n").unwrap();
    let expected = candidates(call(&roomy, propose(&prefix, 0..5)).unwrap()).candidates;
    let slot = 2 * 2 * 32 * 4;
    for slots in [prefix.len() + 24, prefix.len() + 2 * 24 + 5] {
        let small = LoadOptions { cache_bytes: Some(slots * slot), ..options(1, 64) };
        let policy = CandlePolicy::new(&checkpoint, &small).unwrap();
        let found = candidates(call(&policy, propose(&prefix, 0..5)).unwrap());
        assert_eq!(found.candidates, expected);
    }
}

#[test]
fn a_cache_that_is_too_small_is_said_once_with_the_numbers() {
    static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let dir = tempfile::tempdir().unwrap();
    let checkpoint = checkpoint(dir.path(), |_| {});
    let (slot, slots) = (2 * 2 * 32 * 4, 70);
    let say: fn(&str) = |text| SAID.lock().unwrap().push(text.to_owned());
    let small = LoadOptions { cache_bytes: Some(slots * slot), log: Some(say), ..options(1, 64) };
    let policy = CandlePolicy::new(&checkpoint, &small).unwrap();
    let prefix = |i: u32| (1..40).map(|p| p % 30).chain([i]).collect::<Vec<u32>>();
    let ask = |i| candidates(call(&policy, propose(&prefix(i), 0..1)).unwrap()).usage;
    // The cache holds one prompt. These two share all tokens but the last, so no message is due.
    assert_eq!(ask(30).recomputed, 0);
    ask(31);
    assert!(SAID.lock().unwrap().is_empty());
    // Two prompts that differ from the first token on alternate, so each evicts the other.
    let other = |i: u32| (i..39 + i).map(|p| 29 - p % 30).collect::<Vec<u32>>();
    let again: u64 = (0..20)
        .map(|i| candidates(call(&policy, propose(&other(i % 2), 0..1)).unwrap()).usage.recomputed)
        .sum();
    assert!(again > 256, "{again}");
    let said = SAID.lock().unwrap();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("holds 70 tokens") && said[0].contains("computed before"), "{said:?}");
}

#[test]
fn option_orders_are_averaged() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoint = checkpoint(dir.path(), |_| {});
    let policy = CandlePolicy::new(&checkpoint, &options(1, 64)).unwrap();
    let (prefix, step) = (policy.encode("1+1\n").unwrap(), policy.encode("= 2\n").unwrap());
    let mass = |order| {
        let Response::Judgement(j) = call(&policy, judge(&prefix, &step, order)).unwrap() else {
            panic!()
        };
        j.mass
    };
    let (first, last) = (mass(OptionOrder::CorrectFirst), mass(OptionOrder::CorrectLast));
    assert!((mass(OptionOrder::Both) - (first + last) / 2.0).abs() < 1e-9);
}

#[test]
fn grades_are_weighed_by_the_probabilities_of_their_labels() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoint = checkpoint(dir.path(), |_| {});
    let policy = CandlePolicy::new(&checkpoint, &options(1, 8)).unwrap();
    // All ten digits, because fewer labels have too little probability in a random model.
    let grades = Grades {
        question: "How good is it?\nGrade: (".into(),
        labels: (0..10).map(|digit| digit.to_string()).collect(),
        values: (0..10).map(|digit| f64::from(digit * digit) / 81.0).collect(),
    };
    let [prefix, step] = ["Ann has 12.\n", "1 + 1 = 2\n"].map(|t| policy.encode(t).unwrap());
    let ask = |last: &str| {
        let mut grades = grades.clone();
        grades.labels[9] = last.to_owned();
        let Request::Judge(judge) = judge(&prefix, &step, OptionOrder::Both) else { panic!() };
        call(&policy, Request::Judge(Judge { grades: Some(grades.into()), ..judge }))
    };
    let Ok(Response::Judgement(found)) = ask("9") else { panic!() };
    // Compute the same from the log-probabilities of all tokens that decode to a label.
    let question = policy.encode(&format!("\n{}", grades.question)).unwrap();
    let before = [prefix.clone(), step.clone(), question.clone()].concat();
    let mass = |label: &String| -> f64 {
        let ids = policy.tokenizer().label_ids(label);
        assert!(!ids.is_empty(), "{label}");
        let probability = |id: &u32| {
            let score = Score { prefix: before.clone().into(), continuation: [*id].into() };
            match call(&policy, Request::Score(score)).unwrap() {
                Response::Scores(scores) => f64::from(scores.logps[0]).exp(),
                other => panic!("{other:?}"),
            }
        };
        ids.iter().map(probability).sum()
    };
    let masses: Vec<f64> = grades.labels.iter().map(mass).collect();
    let total: f64 = masses.iter().sum();
    assert!((found.mass - total).abs() < 1e-6, "{} {total}", found.mass);
    let expected: f64 = grades.values.iter().zip(&masses).map(|(v, p)| v * p).sum::<f64>() / total;
    assert!((found.correct.unwrap() - expected).abs() < 1e-6, "{found:?} {expected}");
    // Grades have one order, whatever the request's `order`.
    assert_eq!(found.usage.judged as usize, question.len());
    let error = ask("345678").unwrap_err().to_string();
    assert!(error.contains("`345678`") && error.contains("grades.labels"), "{error}");
}

#[test]
fn requests_that_cannot_be_served_are_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoint = checkpoint(dir.path(), |_| {});
    let policy = CandlePolicy::new(&checkpoint, &options(1, 4)).unwrap();
    let refused = |request, what: &str| match call(&policy, request) {
        Err(PolicyError::Request(detail)) => assert!(detail.contains(what), "{detail}"),
        other => panic!("expected a refusal, got {other:?}"),
    };
    refused(propose(&[], 0..1), "empty");
    refused(propose(&[1], 0..0), "at least one key");
    refused(propose(&[9999], 0..1), "outside the vocabulary");
    refused(propose(&vec![1; 1100], 0..1), "context");
    let tight = LoadOptions { cache_bytes: Some(4096), ..options(1, 4) };
    let policy = CandlePolicy::new(&checkpoint, &tight).unwrap();
    let error = call(&policy, propose(&[1, 2, 3], 0..4)).unwrap_err();
    assert!(error.to_string().contains("cache budget"), "{error}");
}

#[test]
fn damaged_checkpoints_are_named_with_file_and_tensor() {
    use candle_core::Device;
    use regrowth_policy::candle::Source;
    let dir = tempfile::tempdir().unwrap();
    let checkpoint = checkpoint(dir.path(), |_| {});
    let folder = dir.path().join("checkpoint");
    let read = || Checkpoint::read(Source::folder(&folder).unwrap()).unwrap_err().to_string();
    let file = folder.join("model.safetensors");
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    assert!(read().contains("model.safetensors"));
    let mut tensors = checkpoint.tensors.clone();
    let name = "model.norm.weight";
    tensors.insert(name.into(), candle_core::Tensor::new(&[f32::NAN; 32], &Device::Cpu).unwrap());
    safetensors::serialize_to_file(&tensors, None, &file).unwrap();
    let error = read();
    assert!(error.contains(name) && error.contains("finite"), "{error}");
    tensors.remove(name);
    safetensors::serialize_to_file(&tensors, None, &file).unwrap();
    assert!(read().contains("is missing"));
}
