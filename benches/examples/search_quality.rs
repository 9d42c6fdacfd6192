//! Whether a search with many leaves in flight finds the best step as often as a serial search.
//!
//! `cargo run --release -p regrowth-benches --example search_quality [TREES]`
//!
//! Every problem is a stored tree: four steps of four candidates. The probability of a right solution drifts
//! from step to step. The true value of a candidate is the share of right solutions below it, so the best
//! first step is known. The policy's judgement is that share plus noise. Both searches get the same tree, so
//! the difference of their success rates is paired.

use std::error::Error;
use std::sync::Arc;

use rand::RngExt;
use regrowth_benches::machine;
use regrowth_datasets::{AnswerKind, Finish, Problem, Step, TokenId, keyed_rng};
use regrowth_mcts::config::CommitRule;
use regrowth_mcts::{RunOptions, Search, SearchConfig, TreeRecord};
use regrowth_policy::{
    Call, Candidate, Candidates, Judgement, Limits, Policy, PolicyError, Prompt, Request, Response,
    Usage,
};
use regrowth_verifiers::{Verdict, Verifier};

const BREADTH: usize = 4;
const DEPTH: usize = 4;
/// Approximate standard deviation of the judgement around the true share.
const NOISE: f64 = 0.15;

/// A stored tree; nodes are in heap order: children of `i` are `4 i + 1 ..= 4 i + 4`.
struct Stored {
    /// Share of right solutions below each node.
    worth: Vec<f64>,
    /// The policy's judgement of each node.
    judged: Vec<f64>,
    /// Log-probability of each step.
    logp: Vec<f32>,
}

fn child(node: usize, step: usize) -> usize {
    BREADTH * node + 1 + step
}

impl Stored {
    fn new(index: u64) -> Self {
        let mut rng = keyed_rng(index, &[b"stored tree"]);
        let first_end = (BREADTH.pow(DEPTH as u32) - 1) / (BREADTH - 1);
        let size = first_end + BREADTH.pow(DEPTH as u32);
        let mut chance = vec![0.5; size];
        for node in 1..size {
            let drift = 0.6 * (rng.random::<f64>() - 0.5);
            chance[node] = (chance[(node - 1) / BREADTH] + drift).clamp(0.0, 1.0);
        }
        let mut worth = vec![0.0; size];
        for node in (0..size).rev() {
            worth[node] = if node >= first_end {
                f64::from(u8::from(rng.random::<f64>() < chance[node]))
            } else {
                (0..BREADTH).map(|step| worth[child(node, step)]).sum::<f64>() / BREADTH as f64
            };
        }
        let mut noisy = |w: &f64| {
            let noise = (0..3).map(|_| rng.random::<f64>() - 0.5).sum::<f64>() * 2.0 * NOISE;
            (w + noise).clamp(0.0, 1.0)
        };
        let judged = worth.iter().map(&mut noisy).collect();
        let logp = (0..size).map(|_| -0.5 - rng.random::<f32>()).collect();
        Self { worth, judged, logp }
    }

    /// Whether no other first step has a higher true value.
    fn is_best(&self, step: usize) -> bool {
        (0..BREADTH).all(|other| self.worth[child(0, other)] <= self.worth[child(0, step)])
    }
}

/// The node at the end of a path of steps, given by the indices of the steps.
fn node_at(steps: impl Iterator<Item = usize>) -> usize {
    steps.fold(0, child)
}

/// Parses the steps of a text: one digit each.
fn named(text: &str) -> usize {
    node_at(text.bytes().filter(u8::is_ascii_digit).map(|digit| usize::from(digit - b'0')))
}

/// A policy that answers from stored trees. A prompt is the number of a tree, a step the number of a child.
struct Player(Vec<Stored>);

impl Player {
    fn tree(&self, prefix: &[TokenId]) -> (&Stored, usize) {
        let steps = prefix[1..].iter().map(|&id| id as usize);
        (&self.0[prefix[0] as usize], node_at(steps))
    }

    fn answer(&self, request: &Request) -> Result<Response, PolicyError> {
        let usage = Usage::default();
        match request {
            Request::Propose(ask) => {
                let (tree, node) = self.tree(&ask.prefix);
                let finish = if ask.prefix.len() == DEPTH { Finish::Eos } else { Finish::Boundary };
                let candidate = |step| Candidate {
                    step: Step {
                        ids: vec![step as TokenId],
                        text: format!("{step}\n"),
                        logps: vec![tree.logp[child(node, step)]],
                        finish,
                    },
                    logps_exact: true,
                };
                let candidates = (0..ask.keys.len().min(BREADTH)).map(candidate).collect();
                Ok(Response::Candidates(Candidates { candidates, usage }))
            }
            Request::Judge(ask) => {
                let (tree, node) = self.tree(&ask.prefix);
                let correct = Some(tree.judged[child(node, ask.step[0] as usize)]);
                Ok(Response::Judgement(Judgement { correct, mass: 1.0, usage }))
            }
            Request::Score(_) | Request::Hidden(_) => {
                Err(PolicyError::Request("nothing to score or read here".to_owned()))
            }
        }
    }
}

impl Policy for Player {
    fn identity(&self) -> &str {
        "stored trees"
    }

    fn limits(&self) -> Limits {
        Limits { context: 64, in_flight: 64, question: 0 }
    }

    fn prompt(&self, problem: &Problem) -> Result<Prompt, PolicyError> {
        let number = problem.answer.parse().map_err(|_| PolicyError::Gone)?;
        let ids: Arc<[TokenId]> = Arc::from([number]);
        Ok(Prompt { text: problem.question.clone(), ids })
    }

    fn encode(&self, _: &str) -> Result<Vec<TokenId>, PolicyError> {
        Err(PolicyError::Request("nothing to encode here".to_owned()))
    }

    fn decode(&self, _: &[TokenId]) -> Result<String, PolicyError> {
        Err(PolicyError::Request("nothing to decode here".to_owned()))
    }

    fn eos(&self) -> Option<TokenId> {
        None
    }

    fn submit(&self, call: Call) {
        let result = self.answer(&call.request);
        // The channel is closed if nobody waits for the answer any more.
        call.caller.answer(result);
    }
}

impl Verifier for Player {
    fn verify(&self, problem: &Problem, solution: &str) -> Verdict {
        let number: usize = problem.answer.parse().unwrap_or_default();
        let right = self.0[number].worth[named(solution)] > 0.5;
        if right { Verdict::Equal } else { Verdict::Different }
    }

    fn states_answer(&self, _: &Problem, _: &str) -> bool {
        false
    }
}

fn problem(number: usize) -> Problem {
    Problem {
        id: format!("tree/{number}"),
        source: "stored".to_owned(),
        question: String::new(),
        choices: Vec::new(),
        answer: number.to_string(),
        kind: AnswerKind::Number,
        solution: None,
        level: None,
    }
}

/// For each tree, whether a search finds the best first step.
fn successes(
    player: &Player,
    problems: &[Problem],
    config: &SearchConfig,
) -> Result<Vec<bool>, Box<dyn Error>> {
    let mut found = Vec::with_capacity(problems.len());
    let options = RunOptions { threads: 2, ..RunOptions::default() };
    Search::new(player, player, config).options(&options).run(problems, |tree: TreeRecord| {
        let number: usize = tree.problem.answer.parse().unwrap_or_default();
        let first = tree.nodes[tree.committed[0] as usize].ids[0] as usize;
        found.push(player.0[number].is_best(first));
    })?;
    Ok(found)
}

fn main() -> Result<(), Box<dyn Error>> {
    let trees = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(10_000);
    let player = Player((0..trees as u64).map(Stored::new).collect());
    let problems: Vec<_> = (0..trees).map(problem).collect();
    println!("{}, {trees} trees, 95 % intervals are paired", machine());
    for commit in [CommitRule::SpreadVisits, CommitRule::Visits] {
        for simulations in [16, 64, 256] {
            // The whole budget is spent at the first root, because only its commit is evaluated.
            let config = SearchConfig {
                simulations: 1,
                first_root_factor: simulations,
                breadth: [BREADTH; 2],
                final_breadth: BREADTH,
                max_depth: DEPTH as u32,
                commit,
                ..SearchConfig::default()
            };
            let serial = successes(&player, &problems, &config)?;
            for leaves_in_flight in [4, 16] {
                let many = SearchConfig { leaves_in_flight, ..config.clone() };
                let parallel = successes(&player, &problems, &many)?;
                report(simulations, commit, leaves_in_flight, &serial, &parallel);
            }
        }
    }
    Ok(())
}

fn report(simulations: u64, commit: CommitRule, leaves: usize, serial: &[bool], many: &[bool]) {
    let n = serial.len() as f64;
    let share = |found: &[bool]| found.iter().filter(|&&f| f).count() as f64 / n;
    let gain: Vec<f64> = serial
        .iter()
        .zip(many)
        .map(|(&s, &m)| f64::from(u8::from(m)) - f64::from(u8::from(s)))
        .collect();
    let mean = gain.iter().sum::<f64>() / n;
    let variance = gain.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let half = 1.96 * (variance / n).sqrt();
    println!(
        "K {simulations:3}, {commit:?}: serial {:.2} %, {leaves:2} in flight {:.2} %, difference \
         {:+.2} points [{:+.2}, {:+.2}]",
        100.0 * share(serial),
        100.0 * share(many),
        100.0 * mean,
        100.0 * (mean - half),
        100.0 * (mean + half),
    );
}
