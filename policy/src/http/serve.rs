//! Serves orders with requests to the servers: prompts, candidates, judgements, scores.
//!
//! This file composes answers from their parts, independently of the dialect. A candidate may need several
//! requests: servers stop at strings, and only the text up to the stop shows whether a step ends there.

use std::sync::Arc;

use crossbeam::channel::Sender;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use regrowth_datasets::{Finish, Problem, Step, TokenId, stream_key};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;

use super::completion::{Completed, Completion, End};
use super::fault::Fault;
use super::fleet::Fleet;
use super::model::{Chat, Model};
use super::openai::packed;
use super::{reward, vllm};
use crate::Dialect;
use crate::boundary::{Cut, finish_of, part_tokens, stops};
use crate::check::{check, scored};
use crate::text::{CONTEXT, PromptForm, Restating, prompt, user};
use crate::{
    Call, Candidate, Candidates, Judge, Judgement, LabelMass, PolicyError, Prompt, Propose,
    Request, Response, Sampling, Score, Scores, Usage,
};

/// An order for the service thread.
pub(super) enum Order {
    /// A request.
    Call(Call),
    /// The prompt of a problem.
    Prompt { problem: Box<Problem>, reply: Sender<Result<Prompt, PolicyError>> },
    /// Ids of a text.
    Encode { text: String, reply: Sender<Result<Vec<TokenId>, PolicyError>> },
    /// Text of ids.
    Decode { ids: Vec<TokenId>, reply: Sender<Result<String, PolicyError>> },
}

/// The servers and the facts about their model.
pub(super) struct Service {
    fleet: Fleet,
    pub(super) model: Model,
    pub(super) form: PromptForm,
}

/// A judge's question, including all tokens before it.
struct Question {
    ids: Vec<TokenId>,
    /// Number of tokens before the question.
    base: usize,
}

/// The part of a candidate that has been sampled so far.
struct Drawn {
    ids: Vec<TokenId>,
    logps: Vec<f32>,
    exact: bool,
    usage: Usage,
}

impl Service {
    pub(super) fn new(fleet: Fleet, model: Model, form: PromptForm) -> Self {
        Self { fleet, model, form }
    }

    /// Serves orders until all senders are gone; orders still in flight are then dropped.
    pub(super) async fn run(self: Arc<Self>, mut orders: UnboundedReceiver<Order>) {
        let mut tasks = JoinSet::new();
        while let Some(order) = orders.recv().await {
            while tasks.try_join_next().is_some() {}
            tasks.spawn(self.clone().serve(order));
        }
    }

    /// Serves one order. A closed reply channel means that the caller no longer waits, so send errors are
    /// ignored.
    async fn serve(self: Arc<Self>, order: Order) {
        match order {
            Order::Call(call) => {
                let Call { request, caller } = call;
                caller.answer(self.answer(request).await.map_err(PolicyError::from));
            }
            Order::Prompt { problem, reply } => {
                let _ = reply.send(self.prompt(&problem).await);
            }
            Order::Encode { text, reply } => {
                let _ = reply.send(self.encode(&text).await.map_err(PolicyError::from));
            }
            Order::Decode { ids, reply } => {
                let _ = reply.send(self.decode(&ids).await.map_err(PolicyError::from));
            }
        }
    }

    async fn encode(&self, text: &str) -> Result<Vec<TokenId>, Fault> {
        self.fleet.ask(&[], async |server| self.model.encode(&server, text).await).await
    }

    async fn decode(&self, ids: &[TokenId]) -> Result<String, Fault> {
        self.fleet.ask(ids, async |server| self.model.decode(&server, ids).await).await
    }

    /// Text that `ids` add to the text of the ids before them. For decoders that treat the beginning of a
    /// text differently, a few of the ids before are decoded, too.
    async fn decode_after(&self, before: &[TokenId], ids: &[TokenId]) -> Result<String, Fault> {
        if self.model.context_free {
            return self.decode(ids).await;
        }
        let last = &before[before.len().saturating_sub(CONTEXT)..];
        let head = self.decode(last).await?;
        let whole = self.decode(&[last, ids].concat()).await?;
        match whole.strip_prefix(head.as_str()) {
            Some(text) if !head.ends_with('\u{fffd}') => Ok(text.to_owned()),
            _ => self.decode(ids).await,
        }
    }

    async fn prompt(&self, problem: &Problem) -> Result<Prompt, PolicyError> {
        let bare = self.form.bare(problem)?;
        let (text, ids) = self.framed(bare).await?;
        if ids.len() >= self.model.context {
            return Err(PolicyError::Request(format!(
                "the prompt of problem `{}` has {} tokens, but the context is {}",
                problem.id,
                ids.len(),
                self.model.context
            )));
        }
        self.fleet.note_prompt(&ids);
        Ok(Prompt { text, ids: ids.into() })
    }

    /// Text and ids of the prompt: as a user turn if there is a chat template, otherwise as plain text.
    async fn framed(&self, bare: String) -> Result<(String, Vec<TokenId>), Fault> {
        Ok(match &self.model.chat {
            Chat::Server => {
                let turn = [user(bare)];
                let ask = async |server: Arc<_>| vllm::chat(&self.model, &server, &turn).await;
                let ids = self.fleet.ask(&[], ask).await?;
                (self.decode(&ids).await?, ids)
            }
            Chat::Template(template) => {
                let text = prompt::chat(template, &[user(self.model.clean(&bare))], true)?;
                let mut ids = self.encode(&text).await?;
                if self.model.begins_chats() && !ids.starts_with(&self.model.begin) {
                    ids.splice(..0, self.model.begin.iter().copied());
                }
                let shown = match &self.model.tokenizer {
                    Some(own) => own.without_frame(&text).to_owned(),
                    None if self.model.is_packed() => packed::without_marks(&text),
                    None => text,
                };
                (shown, ids)
            }
            Chat::Plain => {
                let ids = self.begun(&bare).await?;
                (bare, ids)
            }
        })
    }

    /// Ids of a text, with BOS before them.
    async fn begun(&self, text: &str) -> Result<Vec<TokenId>, Fault> {
        let mut ids = self.model.begin.clone();
        ids.extend(self.encode(text).await?);
        Ok(ids)
    }

    async fn answer(&self, request: Request) -> Result<Response, Fault> {
        if let Some(labels) = self.model.scored_labels {
            return self.score_of(request, labels).await;
        }
        let questions = self.questions(&request).await?;
        let asked = questions.iter().map(|q| q.ids.len()).max().unwrap_or(0);
        check(&request, asked, None, self.model.context)?;
        match request {
            Request::Propose(propose) => self.propose(&propose).await,
            Request::Judge(judge) => self.judge(&judge, questions).await,
            Request::Score(score) => self.score(&score).await,
            Request::Hidden(_) => Err(Fault::Unsupported(
                "servers show no hidden states; give --policy the model's weights".to_owned(),
            )),
        }
    }

    /// A reward model's judgement of a step: the score at its last token, EOS included.
    async fn score_of(&self, request: Request, labels: usize) -> Result<Response, Fault> {
        let judge = scored(&request)?;
        let ids = [&*judge.prefix, &*judge.step].concat();
        check(&request, ids.len(), None, self.model.context)?;
        let ask =
            async |server: Arc<_>| reward::probability(&self.model, &server, &ids, labels).await;
        let correct = Some(self.fleet.ask(&judge.prefix, ask).await?);
        let usage = Usage { prefilled: ids.len() as u64, ..Usage::default() };
        Ok(Response::Judgement(Judgement { correct, mass: 1.0, usage }))
    }

    /// Samples all candidates at once, each with its own seed.
    async fn propose(&self, propose: &Propose) -> Result<Response, Fault> {
        let candidate = async |index| {
            let _turn = self.fleet.turn().await;
            // Boxed, because most candidates wait for their turn, and the state of a request is large.
            (index, Box::pin(self.candidate(propose, index)).await)
        };
        let mut pending: FuturesUnordered<_> = (0..propose.keys.len()).map(candidate).collect();
        let mut found: Vec<Option<Candidate>> = vec![None; propose.keys.len()];
        let mut usage = Usage::default();
        while let Some((index, candidate)) = pending.next().await {
            let (candidate, cost) = candidate?;
            usage += cost;
            found[index] = Some(candidate);
        }
        let candidates = found.into_iter().flatten().collect();
        Ok(Response::Candidates(Candidates { candidates, usage }))
    }

    /// Samples one candidate, in as many requests as its boundary needs.
    async fn candidate(
        &self,
        propose: &Propose,
        index: usize,
    ) -> Result<(Candidate, Usage), Fault> {
        let greedy = propose.greedy_first && index == 0;
        let sampling = if greedy { Sampling::greedy() } else { propose.sampling };
        let exact = propose.sampling.is_exact() && !greedy;
        let mut drawn = Drawn { ids: vec![], logps: vec![], exact, usage: Usage::default() };
        if self.model.dialect == Dialect::OpenAi {
            return self.cut_candidate(propose, index, (sampling, drawn)).await;
        }
        let (mut text, mut cut) = (String::new(), Cut::default());
        for part in 0u64.. {
            let ask = Completion {
                prompt: [&*propose.prefix, &drawn.ids].concat().into(),
                max_tokens: part_tokens(propose, drawn.ids.len()),
                sampling,
                seed: stream_key(propose.keys[index], &[b"part", &part.to_le_bytes()]),
                stops: stops(propose, drawn.ids.len(), &text),
            };
            let complete = async |server: Arc<_>| self.model.complete(&server, &ask).await;
            let done = self.fleet.ask(&propose.prefix, complete).await?;
            if done.ids.is_empty() && done.end != End::Eos {
                return Err(Fault::Reply("the server generated nothing and no end".into()));
            }
            let end = done.end;
            drawn.take(&ask, done, propose.max_tokens, &self.model.eos);
            let stopped = drawn.stop_at(&propose.stop_at.ids);
            text = self.decode_after(&propose.prefix, &drawn.ids).await?;
            let read = finish_of(propose, drawn.ids.len(), &text);
            let finish = match end {
                _ if stopped => Some(Finish::Stop),
                End::Eos => Some(Finish::Eos),
                _ if read.is_some() => read,
                _ if drawn.ids.len() >= propose.max_tokens => Some(Finish::Length),
                _ => None,
            };
            cut.note(&propose.boundary, drawn.ids.len(), &text);
            let Some(mut finish) = finish else { continue };
            if let (Finish::Length, Some(kept)) = (finish, cut.kept()) {
                finish = Finish::Boundary;
                drawn.truncate(kept);
                text = self.decode_after(&propose.prefix, &drawn.ids).await?;
            }
            let step = Step { ids: drawn.ids, text, logps: drawn.logps, finish };
            return Ok((Candidate { step, logps_exact: drawn.exact }, drawn.usage));
        }
        Err(Fault::Reply("a candidate without end".into()))
    }

    /// Samples one candidate from a server that does not report which stop string ended it: all tokens that a
    /// step may have are sampled, and the step is cut out of them.
    async fn cut_candidate(
        &self,
        propose: &Propose,
        index: usize,
        (sampling, mut drawn): (Sampling, Drawn),
    ) -> Result<(Candidate, Usage), Fault> {
        let ask = Completion {
            prompt: propose.prefix.clone(),
            max_tokens: propose.max_tokens,
            sampling,
            seed: stream_key(propose.keys[index], &[b"part", &0u64.to_le_bytes()]),
            stops: vec![],
        };
        let complete = async |server: Arc<_>| self.model.complete(&server, &ask).await;
        let done = self.fleet.ask(&propose.prefix, complete).await?;
        if done.ids.is_empty() && done.end != End::Eos {
            return Err(Fault::Reply("the server generated nothing and no end".into()));
        }
        let ended = done.end == End::Eos && done.ids.len() <= propose.max_tokens;
        drawn.take(&ask, done, propose.max_tokens, &self.model.eos);
        drawn.stop_at(&propose.stop_at.ids);
        let whole = self.decode_after(&propose.prefix, &drawn.ids).await?;
        let (mut text, mut cut, mut finish) = (String::new(), Cut::default(), None);
        for count in 1..=drawn.ids.len() {
            text = self.decode_after(&propose.prefix, &drawn.ids[..count]).await?;
            finish = finish_of(propose, count, &text);
            cut.note(&propose.boundary, count, &text);
            // A solution may end with a line break: do not cut it off.
            let is_rest = ended && whole.get(text.len()..).is_some_and(|r| r.trim().is_empty());
            if finish.is_some() && !is_rest {
                drawn.truncate(count);
                break;
            }
        }
        let stopped = drawn.ids.last().is_some_and(|id| propose.stop_at.ids.contains(id));
        let finish = match (finish, cut.kept()) {
            (_, _) if stopped => Finish::Stop,
            (Some(Finish::Stop), _) => Finish::Stop,
            (Some(finish), _) if !ended || whole.len() > text.len() => finish,
            _ if ended => Finish::Eos,
            (_, Some(kept)) => {
                drawn.truncate(kept);
                text = self.decode_after(&propose.prefix, &drawn.ids).await?;
                Finish::Boundary
            }
            _ => Finish::Length,
        };
        let step = Step { ids: drawn.ids, text, logps: drawn.logps, finish };
        Ok((Candidate { step, logps_exact: drawn.exact }, drawn.usage))
    }

    /// The questions of a judge request, such as one for each order of the options; empty for other requests.
    /// A judged step loses its EOS, because the question continues its text.
    async fn questions(&self, request: &Request) -> Result<Vec<Question>, Fault> {
        let Request::Judge(judge) = request else { return Ok(vec![]) };
        let (base, hint) = ([&*judge.prefix, self.judged(judge)].concat(), judge.hint.as_deref());
        let step = match judge.restated {
            None => self.decode(self.judged(judge)).await?,
            Some(_) => String::new(),
        };
        let mut questions = Vec::new();
        for ask in judge.asks() {
            let (mut ids, text) = match &judge.restated {
                None => (base.clone(), self.form.asking(&step, ask, hint)?),
                Some(restated) => {
                    let Restating { body, question: [asked, open] } =
                        self.form.restating(restated, ask, hint)?;
                    (self.framed(body + &asked).await?.1, open)
                }
            };
            let base = ids.len();
            ids.extend(self.encode(&text).await?);
            questions.push(Question { ids, base });
        }
        Ok(questions)
    }

    /// The judged step without EOS, unless EOS is its only token.
    fn judged<'a>(&self, judge: &'a Judge) -> &'a [TokenId] {
        match judge.step.split_last() {
            Some((last, rest)) if self.model.eos.contains(last) && !rest.is_empty() => rest,
            _ => &judge.step,
        }
    }

    async fn judge(&self, judge: &Judge, questions: Vec<Question>) -> Result<Response, Fault> {
        let mut answers = Vec::new();
        let mut usage = Usage::default();
        for (Question { ids, base }, asked) in questions.into_iter().zip(judge.asks()) {
            let ask = async |server: Arc<_>| {
                let labels = self.model.labels(&server, asked).await?;
                self.model.label_masses(&server, &ids, &labels).await
            };
            let masses = self.fleet.ask(&judge.prefix, ask).await?;
            let weighed = |masses: Vec<f64>| {
                let labels = asked.values().into_iter().zip(masses);
                labels.map(|(value, mass)| LabelMass { value, mass }).collect()
            };
            answers.push(masses.map(weighed));
            if judge.restated.is_some() {
                usage.restated += ids.len() as u64;
            } else {
                usage.prefilled += base as u64;
                usage.judged += (ids.len() - base) as u64;
            }
        }
        Ok(Response::Judgement(Judgement::from_labels(&answers, usage)))
    }

    async fn score(&self, score: &Score) -> Result<Response, Fault> {
        let (prefix, continuation) = (&*score.prefix, &*score.continuation);
        let ask = async |server: Arc<_>| self.model.score(&server, prefix, continuation).await;
        let scored = self.fleet.ask(prefix, ask).await?;
        let all = (prefix.len() + continuation.len()) as u64;
        let reused = scored.reused.min(all);
        let usage = Usage { prefilled: all - reused, reused, ..Usage::default() };
        Ok(Response::Scores(Scores { logps: scored.logps, greedy: scored.greedy, usage }))
    }
}

impl Drawn {
    /// Adds the response to one request. Text that is tokenised again may have more tokens than requested. An
    /// EOS that the server does not list is added if its id is known; its probability is not known.
    fn take(&mut self, ask: &Completion, done: Completed, most: usize, eos: &[TokenId]) {
        self.exact &= done.exact;
        let reused = done.reused.min(ask.prompt.len() as u64);
        self.usage.reused += reused;
        self.usage.prefilled += ask.prompt.len() as u64 - reused;
        self.usage.sampling_rows += done.ids.len() as u64;
        self.ids.extend(done.ids);
        self.logps.extend(done.logps);
        if done.end == End::Eos
            && let Some(&id) = eos.first()
            && !self.ids.last().is_some_and(|last| eos.contains(last))
        {
            self.ids.push(id);
            self.logps.push(0.0);
            self.exact = false;
        }
        self.exact &= self.ids.len() <= most;
        self.truncate(most);
    }

    /// Ends the candidate at the first of these ids, if one was sampled, and returns whether one was. Servers
    /// are not given the ids, so tokens sampled after the stop are discarded.
    fn stop_at(&mut self, stops: &[TokenId]) -> bool {
        let stopped = self.ids.iter().position(|id| stops.contains(id));
        if let Some(at) = stopped {
            self.truncate(at + 1);
        }
        stopped.is_some()
    }

    fn truncate(&mut self, most: usize) {
        self.ids.truncate(most);
        self.logps.truncate(most);
    }
}
