//! A policy without a model: every answer is a seeded hash of the request, or comes from a script.
//!
//! The policy answers at once in the calling thread, and an answer is a pure function of the request, so a
//! search is exactly reproducible. It is not only for tests: it is the default policy of examples and
//! benches, and allows users to try a search without a model.

mod script;

use std::sync::Arc;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use regrowth_datasets::{Finish, Problem, Step, TokenId, keyed_rng};

use self::script::Script;
use crate::{
    Boundary, Call, Candidate, Candidates, Grades, Hidden, HiddenState, Judge, Judgement,
    LabelMass, Limits, Policy, PolicyError, Prompt, Propose, Request, Response, Score, Scores,
    StopAt, Usage,
};

/// EOS; ids 0 to 255 are the bytes of UTF-8.
const EOS: TokenId = 256;
/// Text between the question and the solution.
const ANSWER: &str = "\nAnswer:\n";
/// Maximum number of steps of a solution (not tuned: short trees that still have depth).
const MAX_STEPS: usize = 4;
/// Tokens are bytes, so a context of 64 KiB holds any published problem.
const CONTEXT: usize = 1 << 16;

/// The scripted policy: bytes as tokens, seeded hashes as answers.
///
/// Each solution has 1 to 4 short steps. The last step states an answer drawn from the numbers or the
/// options of the question, so that some solutions are right and there are pairs.
#[derive(Debug, Clone)]
pub struct Scripted {
    identity: String,
    script: Option<Script>,
}

impl Default for Scripted {
    fn default() -> Self {
        Self { identity: "scripted".to_owned(), script: None }
    }
}

impl Scripted {
    /// Creates a policy whose candidates, log-probabilities and self-evaluations are seeded hashes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates a policy that plays the script in the file at `path`.
    ///
    /// The file is one JSON object: `{"entries": [{"after": "text of the solution so far",
    /// "question": "part of the question, or absent for any", "candidates": [{"text": "next
    /// step\n", "end": false, "correct": 0.7, "logp": -0.4}]}]}`. Candidate `i` of a request is
    /// `candidates[i]`; if there are fewer, they repeat from the first one. `end` (default false) appends
    /// EOS, `correct` (default null: unknown) is the self-evaluation, `logp` (default: hashed) the
    /// log-probability of each byte. The first entry that matches is played; if no entry matches a prefix,
    /// the request fails.
    ///
    /// # Errors
    /// [`PolicyError::File`] when the file cannot be read or is not of that form.
    pub fn from_file(path: &std::path::Path) -> Result<Self, PolicyError> {
        let text = std::fs::read_to_string(path).map_err(|e| PolicyError::File {
            path: path.to_owned(),
            detail: format!("{e}; expected a script in JSON"),
        })?;
        Self::from_json(&text).map_err(|detail| PolicyError::File { path: path.to_owned(), detail })
    }

    /// Creates a policy that plays the script in `json`; see [`Scripted::from_file`] for the format.
    ///
    /// # Errors
    /// A description of what is wrong with the script.
    pub fn from_json(json: &str) -> Result<Self, String> {
        let script = Script::parse(json)?;
        Ok(Self { identity: format!("scripted:{}", script.hash()), script: Some(script) })
    }

    /// Returns the answer to a request, which [`Policy::submit`] sends.
    ///
    /// # Errors
    /// [`PolicyError::Request`] for a request outside the limits, [`PolicyError::Model`] if a script has no
    /// matching entry.
    pub fn answer(&self, request: &Request) -> Result<Response, PolicyError> {
        match request {
            Request::Propose(propose) => self.propose(propose).map(Response::Candidates),
            Request::Judge(judge) => self.judge(judge).map(Response::Judgement),
            Request::Score(score) => Ok(Response::Scores(score_continuation(score))),
            Request::Hidden(hidden) => Ok(Response::Hidden(hidden_state(hidden))),
        }
    }

    fn propose(&self, request: &Propose) -> Result<Candidates, PolicyError> {
        if request.prefix.is_empty() || request.max_tokens == 0 {
            return Err(PolicyError::Request("an empty prefix or no token to sample".to_owned()));
        }
        let (question, so_far) = split_prefix(&request.prefix)?;
        let start = hash_ids(0, &request.prefix);
        let mut candidates = Vec::with_capacity(request.keys.len());
        let mut usage = Usage { prefilled: request.prefix.len() as u64, ..Usage::default() };
        for (index, &key) in request.keys.iter().enumerate() {
            let greedy =
                request.sampling.temperature == 0.0 || (request.greedy_first && index == 0);
            let (text, end, logp) = match &self.script {
                Some(script) => {
                    let line = script.candidate(&question, &so_far, index)?;
                    (line.text.clone(), line.end, line.logp)
                }
                None => {
                    let mut rng = keyed_rng(if greedy { 0 } else { key }, &[&start.to_le_bytes()]);
                    let (text, end) = improvise(&question, &so_far, &request.boundary, &mut rng);
                    (text, end, None)
                }
            };
            let step = step_of(start, &text, end, logp, request);
            usage.sampling_rows += step.ids.len() as u64;
            candidates.push(Candidate { step, logps_exact: true });
        }
        Ok(Candidates { candidates, usage })
    }

    fn judge(&self, request: &Judge) -> Result<Judgement, PolicyError> {
        let (question, so_far) = split_prefix(&request.prefix)?;
        let length = request.prefix.len() + request.step.len();
        let usage = Usage { judged: 1, prefilled: length as u64, ..Usage::default() };
        let correct = match &self.script {
            Some(script) => script.correct(&question, &so_far, &decode(&request.step)?),
            None => {
                let hash = hash_ids(hash_ids(1, &request.prefix), &request.step);
                if let Some(grades) = &request.grades {
                    return Ok(Judgement::from_labels(&[Some(graded(grades, hash))], usage));
                }
                Some(0.05 + 0.9 * unit(hash))
            }
        };
        Ok(Judgement { correct, mass: if correct.is_some() { 1.0 } else { 0.0 }, usage })
    }
}

impl Policy for Scripted {
    fn identity(&self) -> &str {
        &self.identity
    }

    fn limits(&self) -> Limits {
        Limits { context: CONTEXT, in_flight: 64, question: 0 }
    }

    fn prompt(&self, problem: &Problem) -> Result<Prompt, PolicyError> {
        let mut text = format!("Question: {}", problem.question);
        for choice in &problem.choices {
            text.push_str(&format!("\n({}) {}", choice.label, choice.text));
        }
        text.push_str(ANSWER);
        let ids = self.encode(&text)?;
        if ids.len() >= CONTEXT {
            return Err(PolicyError::Request(format!("a prompt of {} bytes", ids.len())));
        }
        Ok(Prompt { text, ids: Arc::from(ids) })
    }

    fn encode(&self, text: &str) -> Result<Vec<TokenId>, PolicyError> {
        Ok(text.bytes().map(TokenId::from).collect())
    }

    fn decode(&self, ids: &[TokenId]) -> Result<String, PolicyError> {
        decode(ids)
    }

    fn eos(&self) -> Option<TokenId> {
        Some(EOS)
    }

    fn submit(&self, call: Call) {
        let result = self.answer(&call.request);
        call.caller.answer(result);
    }
}

fn decode(ids: &[TokenId]) -> Result<String, PolicyError> {
    let mut bytes = Vec::with_capacity(ids.len());
    for &id in ids {
        match u8::try_from(id) {
            Ok(byte) => bytes.push(byte),
            Err(_) if id == EOS => {}
            Err(_) => return Err(PolicyError::Request(format!("token {id} is above {EOS}"))),
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Splits a prefix into question and solution so far. A prefix in another format counts as the question.
fn split_prefix(ids: &[TokenId]) -> Result<(String, String), PolicyError> {
    let text = decode(ids)?;
    Ok(match text.rsplit_once(ANSWER) {
        Some((question, so_far)) => (question.to_owned(), so_far.to_owned()),
        None => (text, String::new()),
    })
}

/// Returns the next step (for [`Boundary::End`], all remaining steps), and whether the solution ends with
/// it.
fn improvise(
    question: &str,
    so_far: &str,
    boundary: &Boundary,
    rng: &mut ChaCha8Rng,
) -> (String, bool) {
    let marker = match boundary {
        Boundary::Marker(marker) => marker.as_str(),
        _ => "",
    };
    let mut done = so_far.lines().count();
    let mut text = String::new();
    loop {
        done += 1;
        let last = done >= MAX_STEPS || rng.random_range(0..MAX_STEPS) < done - 1;
        text.push_str(&one_step(question, last, rng));
        if last {
            return (text, true);
        }
        if *boundary != Boundary::End {
            return (text + marker, false);
        }
    }
}

/// Returns one line: arithmetic with two numbers of the question, or the answer.
fn one_step(question: &str, last: bool, rng: &mut ChaCha8Rng) -> String {
    let labels = option_labels(question);
    if last && !labels.is_empty() {
        return format!("The answer is ({}).\n", labels[rng.random_range(0..labels.len())]);
    }
    let numbers = numbers_of(question);
    if numbers.is_empty() {
        let end = if last { "The answer is unknown." } else { "There is no number here." };
        return format!("{end}\n");
    }
    let a = numbers[rng.random_range(0..numbers.len())];
    let b = numbers[rng.random_range(0..numbers.len())];
    let (sign, value) = match rng.random_range(0..3u8) {
        0 => ('+', a.saturating_add(b)),
        1 => ('-', a.saturating_sub(b)),
        _ => ('*', a.saturating_mul(b)),
    };
    if last { format!("The answer is {value}.\n") } else { format!("{a} {sign} {b} = {value}.\n") }
}

/// Returns the labels of lines of the form `(A) text`.
fn option_labels(question: &str) -> Vec<&str> {
    question
        .lines()
        .filter_map(|line| line.strip_prefix('(')?.split_once(") "))
        .map(|(label, _)| label)
        .filter(|label| !label.is_empty() && label.len() <= 2)
        .collect()
}

/// Returns the whole numbers of at most nine digits, in the order of the text; commas are ignored.
fn numbers_of(question: &str) -> Vec<i64> {
    question
        .replace(',', "")
        .split(|c: char| !c.is_ascii_digit())
        .filter(|digits| digits.len() <= 9)
        .filter_map(|digits| digits.parse().ok())
        .collect()
}

/// Builds a step from the bytes of `text`, and EOS if `end`, truncated at the request's first stop or token
/// limit.
fn step_of(start: u64, text: &str, end: bool, logp: Option<f32>, request: &Propose) -> Step {
    let mut ids: Vec<TokenId> = text.bytes().map(TokenId::from).collect();
    if end {
        ids.push(EOS);
    }
    let stop = stop_of(text, &ids, &request.stop_at);
    let finish = match (stop.unwrap_or(ids.len()) > request.max_tokens, stop, end) {
        (true, ..) => Finish::Length,
        (false, Some(_), _) => Finish::Stop,
        (false, None, true) => Finish::Eos,
        (false, None, false) => Finish::Boundary,
    };
    ids.truncate(stop.unwrap_or(ids.len()).min(request.max_tokens));
    let bytes: Vec<u8> = ids.iter().filter_map(|&id| u8::try_from(id).ok()).collect();
    let mut logps = token_logps(start, &ids);
    if let Some(logp) = logp {
        logps.fill(logp);
    }
    Step { text: String::from_utf8_lossy(&bytes).into_owned(), ids, logps, finish }
}

/// Returns the number of ids up to and including the first stop; `None` if nothing stops the text.
fn stop_of(text: &str, ids: &[TokenId], stop_at: &StopAt) -> Option<usize> {
    let strings = stop_at.strings.iter().filter_map(|s| Some(text.find(s.as_str())? + s.len()));
    let id = ids.iter().position(|id| stop_at.ids.contains(id)).map(|at| at + 1);
    strings.chain(id).min()
}

fn score_continuation(score: &Score) -> Scores {
    let logps = token_logps(hash_ids(0, &score.prefix), &score.continuation);
    let greedy = logps.iter().map(|&l| l > -0.1).collect();
    let usage = Usage { prefilled: score.prefix.len() as u64, ..Usage::default() };
    Scores { logps, greedy, usage }
}

/// Returns the probability of each grade, in proportion to a hash of the step and the grade.
fn graded(grades: &Grades, hash: u64) -> Vec<LabelMass> {
    let weigh = |i: u32| unit(hash_ids(hash, &[i]));
    let weights: Vec<f64> = (0..grades.labels.len() as u32).map(weigh).collect();
    let total: f64 = weights.iter().sum();
    let labels = grades.values.iter().zip(weights);
    labels.map(|(&value, weight)| LabelMass { value, mass: weight / total }).collect()
}

/// Returns five values in [-1, 1): hashes of everything up to the step's end.
fn hidden_state(hidden: &Hidden) -> HiddenState {
    let hash = hash_ids(hash_ids(2, &hidden.prefix), &hidden.step);
    let values = (0..5).map(|i| (2.0 * unit(hash_ids(hash, &[i])) - 1.0) as f32).collect();
    let usage = Usage { prefilled: 1, ..Usage::default() };
    HiddenState { values, usage }
}

/// Returns the log-probability of each id, in (-0.25, 0]: a hash of everything before it and of the id
/// itself, so that `Propose` and `Score` agree.
fn token_logps(start: u64, ids: &[TokenId]) -> Vec<f32> {
    let mut hash = start;
    ids.iter()
        .map(|&id| {
            hash = hash_ids(hash, &[id]);
            -(0.25 * unit(hash)) as f32
        })
        .collect()
}

/// Running hash of a token sequence: `hash_ids(hash_ids(s, a), b) == hash_ids(s, ab)`.
fn hash_ids(start: u64, ids: &[TokenId]) -> u64 {
    ids.iter().fold(start, |hash, &id| {
        // The finaliser of SplitMix64 (Steele, Lea and Flood 2014).
        let mut z = hash.wrapping_add(u64::from(id)).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}

/// Returns the upper 53 bits as a number in [0, 1).
fn unit(hash: u64) -> f64 {
    (hash >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests;
