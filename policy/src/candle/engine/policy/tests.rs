use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::Device;
use rand::RngExt;

use super::*;
use crate::candle::checkpoint::source::Source;
use crate::candle::model::forward::TokenRow;
use crate::{Boundary, Propose, Response, Sampling, Score, StopAt, call};

fn builtin() -> Checkpoint {
    Checkpoint::read(Source::named("builtin").unwrap()).unwrap()
}

/// The tokens of a candidate and their log-probabilities.
type Drawn = (Vec<TokenId>, Vec<f32>);

/// Samples six candidates of at most 24 tokens after a prompt.
fn ask(policy: &CandlePolicy, prompt: &str) -> Result<Vec<Drawn>, PolicyError> {
    let mut rng = regrowth_datasets::keyed_rng(3, &[prompt.as_bytes()]);
    let request = Request::Propose(Propose {
        prefix: policy.encode(prompt)?.into(),
        keys: (0..6).map(|_| rng.random()).collect(),
        sampling: Sampling::default(),
        boundary: Boundary::Newline,
        stop_at: StopAt::default(),
        max_tokens: 24,
        greedy_first: true,
    });
    match call(policy, request)? {
        Response::Candidates(answer) => {
            let steps = answer.candidates.into_iter().map(|c| (c.step.ids, c.step.logps));
            Ok(steps.collect())
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_engine_over_tensors_samples_what_one_on_the_processor_does() {
    let options = LoadOptions { threads: 1, cache_bytes: Some(1 << 22), ..LoadOptions::default() };
    let cpu = CandlePolicy::taking(builtin(), &options).unwrap();
    let device = CandlePolicy::over(builtin(), &options, |config, tensors, capacity| {
        let decoder = DeviceDecoder::new(config, tensors, &Device::Cpu, DType::F32).unwrap();
        let model = OnDevice::new(Arc::new(decoder), capacity.slots).unwrap();
        Ok(vec![Box::new(model)])
    });
    let device = device.unwrap();
    for prompt in ["Start with 7. Add 5, then double it.", "12", "A bag holds 30 beads."] {
        let pairs = ask(&cpu, prompt).unwrap().into_iter().zip(ask(&device, prompt).unwrap());
        for ((ids, logps), (other_ids, other_logps)) in pairs {
            assert_eq!(ids, other_ids, "{prompt}");
            assert!(logps.iter().zip(&other_logps).all(|(a, b)| (a - b).abs() < 1e-4));
        }
    }
}

/// A model whose device fails at every fortieth forward pass.
struct Failing(Box<dyn Forward>, u32);

impl Forward for Failing {
    fn hidden(&mut self, rows: &[TokenRow], hidden: &mut Vec<f32>) -> candle_core::Result<()> {
        self.1 += 1;
        match self.1 % 40 {
            0 => candle_core::bail!("the device is out of memory"),
            _ => self.0.hidden(rows, hidden),
        }
    }

    fn logits(&mut self, hidden: &[f32], logits: &mut Vec<f32>) -> candle_core::Result<()> {
        self.0.logits(hidden, logits)
    }
}

/// A model that panics at its first forward pass.
struct Panicking;

impl Forward for Panicking {
    fn hidden(&mut self, _: &[TokenRow], _: &mut Vec<f32>) -> candle_core::Result<()> {
        panic!("as it is told to");
    }

    fn logits(&mut self, _: &[f32], _: &mut Vec<f32>) -> candle_core::Result<()> {
        Ok(())
    }
}

#[test]
fn what_is_asked_of_a_shard_that_panics_is_answered_through_a_log() {
    let options = LoadOptions { threads: 1, cache_bytes: Some(1 << 20), ..LoadOptions::default() };
    let policy = CandlePolicy::over(builtin(), &options, |_, _, _| Ok(vec![Box::new(Panicking)]));
    let dir = tempfile::tempdir().unwrap();
    let policy =
        crate::Recording::open(Arc::new(policy.unwrap()), &dir.path().join(crate::LOG_FILE))
            .unwrap();
    // The first request is in progress when the shard panics; the second finds no running shard.
    for text in ["1 + 1", "2 + 2"] {
        let prefix = policy.encode(text).unwrap();
        let score = Score { prefix: prefix.clone().into(), continuation: prefix.into() };
        let error = call(&policy, Request::Score(score)).unwrap_err();
        assert!(matches!(error, PolicyError::Panicked | PolicyError::Gone), "{error}");
    }
}

/// A model that takes 50 ms per forward pass and counts the passes.
struct Slow(Box<dyn Forward>, Arc<AtomicUsize>);

impl Forward for Slow {
    fn hidden(&mut self, rows: &[TokenRow], hidden: &mut Vec<f32>) -> candle_core::Result<()> {
        self.1.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(std::time::Duration::from_millis(50));
        self.0.hidden(rows, hidden)
    }

    fn logits(&mut self, hidden: &[f32], logits: &mut Vec<f32>) -> candle_core::Result<()> {
        self.0.logits(hidden, logits)
    }
}

#[test]
fn what_is_in_work_when_a_policy_is_let_go_is_given_up() {
    let options = LoadOptions { threads: 1, cache_bytes: Some(1 << 20), ..LoadOptions::default() };
    let passes = Arc::new(AtomicUsize::new(0));
    let counted = passes.clone();
    let policy = CandlePolicy::over(builtin(), &options, move |config, tensors, capacity| {
        let decoder = Arc::new(Decoder::new(config, tensors, Dtype::F32).unwrap());
        Ok(vec![Box::new(Slow(on_cpu(decoder, capacity.slots), counted))])
    });
    let policy = policy.unwrap();
    let (reply, answers) = unbounded();
    let propose = Propose {
        prefix: policy.encode("12 plus 30").unwrap().into(),
        keys: vec![1],
        sampling: Sampling { temperature: 3.0, ..Sampling::default() },
        greedy_first: false,
        boundary: Boundary::End,
        stop_at: StopAt::default(),
        max_tokens: 100,
    };
    policy.submit(Call::new(0, Request::Propose(propose), reply));
    drop(policy);
    let answered = answers.recv().unwrap();
    assert!(matches!(answered.result, Err(PolicyError::Gone)), "{:?}", answered.result);
    let passes = passes.load(Ordering::Relaxed);
    assert!(passes < 20, "{passes} passes of up to 100");
}

#[test]
fn a_device_that_fails_fails_its_requests_and_no_other() {
    let options = LoadOptions { threads: 1, cache_bytes: Some(1 << 20), ..LoadOptions::default() };
    let policy = CandlePolicy::over(builtin(), &options, |config, tensors, capacity| {
        let decoder = Arc::new(Decoder::new(config, tensors, Dtype::F32).unwrap());
        Ok(vec![Box::new(Failing(on_cpu(decoder, capacity.slots), 0))])
    });
    let policy = policy.unwrap();
    let sound = CandlePolicy::taking(builtin(), &options).unwrap();
    let mut failed = 0;
    // Many more requests than the cache could hold if failed requests kept their KV slots.
    for i in 0..200 {
        let prompt = format!("{i} plus {i}");
        match ask(&policy, &prompt) {
            Ok(answer) => assert_eq!(answer, ask(&sound, &prompt).unwrap()),
            Err(error) => {
                failed += 1;
                assert!(error.to_string().contains("out of memory"), "{error}");
            }
        }
    }
    assert!((20..180).contains(&failed), "{failed}");
}
