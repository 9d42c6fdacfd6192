//! Decoding speed of the inference engine on a checkpoint, for a comparison with other engines.
//!
//! `engine_speed DIR BATCH TOKENS THREADS` decodes BATCH sequences of TOKENS tokens each, after
//! prompts of 16 tokens that differ, and prints tokens per second, prompts included.
//! `benches/peers/engines.py` runs it alternately with other engines.

use std::time::Instant;

use crossbeam::channel::unbounded;
use regrowth_policy::{
    Boundary, Call, LoadOptions, Propose, Request, Response, Sampling, StopAt, load,
};

/// Tokens of a prompt.
const PROMPT: u32 = 16;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, batch, tokens, threads] = &arguments[..] else {
        eprintln!("usage: engine_speed DIR BATCH TOKENS THREADS");
        std::process::exit(2);
    };
    let number = |text: &str| text.parse::<usize>().expect("a number");
    let (batch, tokens) = (number(batch), number(tokens));
    let options =
        LoadOptions { threads: number(threads), max_batch: batch, ..LoadOptions::default() };
    let policy = load(folder, &options).expect("the policy loads");
    let (reply, answers) = unbounded();
    // The first round is a warm-up; the second has different prompts.
    for round in 0..2u32 {
        let start = Instant::now();
        for request_id in 0..batch as u64 {
            let word = |i: u32| 300 + (request_id as u32 * 31 + i * 7 + round * 1013) % 3000;
            let request = Request::Propose(Propose {
                prefix: (0..PROMPT).map(word).collect(),
                keys: vec![request_id],
                sampling: Sampling::default(),
                greedy_first: false,
                boundary: Boundary::End,
                stop_at: StopAt::default(),
                max_tokens: tokens,
            });
            policy.submit(Call::new(request_id, request, reply.clone()));
        }
        let sampled: usize = answers
            .iter()
            .take(batch)
            .map(|answer| match answer.result {
                Ok(Response::Candidates(c)) => c.candidates[0].step.ids.len(),
                other => panic!("expected candidates, got {other:?}"),
            })
            .sum();
        if round == 1 {
            println!("{:.1}", sampled as f64 / start.elapsed().as_secs_f64());
        }
    }
}
