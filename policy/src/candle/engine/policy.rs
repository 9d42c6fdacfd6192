//! [`CandlePolicy`]: a checkpoint behind the [`Policy`] interface.
//!
//! It renders and checks requests and hands them to the engine's shards. All requests about one problem go
//! to the same shard, so that they share its prefix cache.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;

use candle_core::{DType, Tensor};
use crossbeam::channel::{Sender, unbounded};
use regrowth_datasets::{Problem, TokenId};

use crate::candle::checkpoint::config::ModelConfig;
use crate::candle::checkpoint::identity::{dtype_suffix, identity_of};
use crate::candle::checkpoint::weights_file::Checkpoint;
use crate::candle::engine::capacity::Capacity;
use crate::candle::engine::request::{Label, Question, RequestState};
use crate::candle::engine::router::Router;
use crate::candle::engine::scheduler::{Shard, Shared};
use crate::candle::model::cuda;
use crate::candle::model::decoder::{Decoder, on_cpu};
use crate::candle::model::forward::Forward;
use crate::candle::model::on_device::{DeviceDecoder, OnDevice};
use crate::check::check;
use crate::text::{PROMPT_FILE, PromptForm, Tokenizer};
use crate::{
    Ask, Call, ComputeDevice, Dtype, Judge, Limits, LoadOptions, Policy, PolicyError, Prompt,
    Request, Restated,
};

/// A checkpoint that answers requests in this process.
pub struct CandlePolicy {
    shared: Arc<Shared>,
    form: PromptForm,
    identity: String,
    notes: Vec<String>,
    limits: Limits,
    router: Router,
    calls: Vec<Sender<RequestState>>,
    threads: Vec<JoinHandle<()>>,
}

impl CandlePolicy {
    /// Starts an engine over a checkpoint. The weights are in memory twice while the caller keeps
    /// `checkpoint`; [`Self::taking`] avoids this.
    ///
    /// # Errors
    /// If the tokenizer or prompt files do not fit, or a thread cannot be started.
    pub fn new(checkpoint: &Checkpoint, options: &LoadOptions) -> Result<Self, PolicyError> {
        Self::taking(checkpoint.clone(), options)
    }

    /// Starts an engine and takes over the checkpoint's weights. Each tensor is freed as soon as it is
    /// converted to the engine's own form, so the weights are never in memory twice unless the caller keeps
    /// a copy.
    ///
    /// # Errors
    /// If the tokenizer or prompt files do not fit, or a thread cannot be started.
    pub fn taking(checkpoint: Checkpoint, options: &LoadOptions) -> Result<Self, PolicyError> {
        Self::over(checkpoint, options, |config, tensors, capacity| {
            models(config, tensors, capacity, options)
        })
    }

    /// Starts an engine; `models` builds one model per shard from the weights.
    fn over(
        checkpoint: Checkpoint,
        options: &LoadOptions,
        models: impl FnOnce(&ModelConfig, Weights, &Capacity) -> Result<Models, PolicyError>,
    ) -> Result<Self, PolicyError> {
        let tokenizer = Tokenizer::read(&checkpoint.source, &checkpoint.config)?;
        let form = PromptForm::read(&checkpoint.source, &tokenizer, &options.prompt)?;
        let mut identity = identity_of(&checkpoint, &tokenizer, &form)?;
        match (options.device, options.dtype) {
            (ComputeDevice::Cuda(_), dtype) => identity = format!("{identity}+cuda-{dtype}"),
            (ComputeDevice::Cpu, dtype) => identity.push_str(dtype_suffix(dtype)),
        }
        let config = checkpoint.config;
        let capacity = Capacity::new(&config, options);
        let models = models(&config, checkpoint.tensors, &capacity)?;
        let limits = Limits {
            context: config.context,
            in_flight: 2 * capacity.sequences * capacity.shards,
            question: longest_question(&form, &tokenizer)?,
        };
        let shared = Arc::new(Shared::new(config, tokenizer, options));
        let mut policy = Self {
            shared,
            form,
            identity,
            notes: checkpoint.warnings,
            limits,
            router: Router::new(capacity.shards),
            calls: vec![],
            threads: vec![],
        };
        for model in models {
            policy.start(&capacity, model)?;
        }
        Ok(policy)
    }

    fn start(&mut self, capacity: &Capacity, model: Box<dyn Forward>) -> Result<(), PolicyError> {
        let (send, receive) = unbounded();
        let Capacity { slots, sequences, threads, .. } = *capacity;
        let shared = self.shared.clone();
        let fail = |e: String| PolicyError::Model(format!("an engine thread did not start: {e}"));
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .map_err(|e| fail(e.to_string()))?;
        let thread = std::thread::Builder::new()
            .name("regrowth-engine".into())
            .spawn(move || {
                pool.install(|| Shard::new(shared, model, slots, sequences).run(&receive))
            })
            .map_err(|e| fail(e.to_string()))?;
        self.calls.push(send);
        self.threads.push(thread);
        Ok(())
    }

    /// The tokenizer of the checkpoint.
    #[must_use]
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.shared.tokenizer
    }

    /// Returns the tokens before the text of a prompt: BOS, if the tokenizer adds it and no chat template
    /// renders the text.
    fn opening(&self) -> Vec<TokenId> {
        let chats = self.form.chat && self.tokenizer().chat_template().is_some();
        self.tokenizer().opening().filter(|_| !chats).into_iter().collect()
    }

    /// Renders the questions of a judge request, one for each option order; empty for other requests.
    fn questions(&self, request: &Request) -> Result<Vec<Question>, PolicyError> {
        let Request::Judge(judge) = request else { return Ok(vec![]) };
        let asks = judge.asks().into_iter();
        match &judge.restated {
            Some(restated) => asks.map(|ask| self.restating(judge, restated, ask)).collect(),
            None => {
                let step = self.decode(&judge.step)?;
                asks.map(|ask| self.extending(judge, &step, ask)).collect()
            }
        }
    }

    /// Builds a question that continues the searched prefix and the judged step.
    fn extending(&self, judge: &Judge, step: &str, ask: Ask<'_>) -> Result<Question, PolicyError> {
        let suffix = self.form.asking(step, ask, judge.hint.as_deref())?;
        let base = judge.prefix.iter().chain(&*judge.step).copied().collect();
        self.asked(base, &suffix, ask)
    }

    /// Tokenises a question. A question without tokens is refused, because its labels would be read from the
    /// logits after the step.
    fn asked(
        &self,
        base: Vec<TokenId>,
        suffix: &str,
        ask: Ask<'_>,
    ) -> Result<Question, PolicyError> {
        let suffix = self.encode(suffix)?;
        if suffix.is_empty() {
            let detail =
                format!("the judge's question has no tokens; see `judge` in {PROMPT_FILE}");
            return Err(PolicyError::Request(detail));
        }
        Ok(Question { base, suffix, labels: self.labels(ask)? })
    }

    /// Returns the labels of a question with their token ids. If (A) or (B) is not a token of the
    /// vocabulary, the judgement is unknown. For a grade this is an error, because the user can choose
    /// other grades.
    fn labels(&self, ask: Ask<'_>) -> Result<Vec<Label>, PolicyError> {
        let labels = ask.labels().into_iter().zip(ask.values());
        labels
            .map(|(label, value)| match (self.shared.label_ids(label), ask) {
                (ids, Ask::Grades(_)) if ids.is_empty() => Err(PolicyError::Request(format!(
                    "the grade `{label}` is no single token of this model; choose other labels (`grades.labels`)"
                ))),
                (ids, _) => Ok(Label { value, ids }),
            })
            .collect()
    }

    /// Builds a question with a fresh prompt that restates problem and solution.
    fn restating(
        &self,
        judge: &Judge,
        restated: &Restated,
        ask: Ask<'_>,
    ) -> Result<Question, PolicyError> {
        let (hint, tokenizer) = (judge.hint.as_deref(), self.tokenizer());
        let (text, before) = self.form.render_restated(restated, ask, hint, tokenizer)?;
        let mut base = self.opening();
        base.extend(self.encode(&text[..before])?);
        self.asked(base, &text[before..], ask)
    }

    /// Checks a request and renders its questions. EOS is removed from a judged step, because the question
    /// continues its text.
    fn prepare(&self, request: &mut Request) -> Result<Vec<Question>, PolicyError> {
        if let Request::Judge(judge) = request
            && let Some((last, rest)) = judge.step.split_last()
            && self.shared.tokenizer.is_eos(*last)
            && !rest.is_empty()
        {
            judge.step = rest.into();
        }
        let questions = self.questions(request)?;
        let asked = questions.iter().map(Question::len).max().unwrap_or(0);
        let vocabulary = self.shared.config.vocab_size;
        check(request, asked, Some(vocabulary), self.limits.context)?;
        Ok(questions)
    }
}

/// Returns the number of tokens of the judge's question after a step, for the longer of its two option
/// orders.
fn longest_question(form: &PromptForm, tokenizer: &Tokenizer) -> Result<usize, PolicyError> {
    let question = |first| tokenizer.encode(&form.question("", first, None)?);
    Ok(question(true)?.len().max(question(false)?.len()))
}

impl Policy for CandlePolicy {
    fn identity(&self) -> &str {
        &self.identity
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    fn notes(&self) -> &[String] {
        &self.notes
    }

    fn prompt(&self, problem: &Problem) -> Result<Prompt, PolicyError> {
        let text = self.form.render(problem, &self.shared.tokenizer)?;
        let mut ids = self.opening();
        ids.extend(self.encode(&text)?);
        if ids.len() >= self.limits.context {
            return Err(PolicyError::Request(format!(
                "the prompt of problem `{}` has {} tokens, but the context is {}",
                problem.id,
                ids.len(),
                self.limits.context
            )));
        }
        if ids.is_empty() {
            let detail = format!("the prompt of problem `{}` is empty", problem.id);
            return Err(PolicyError::Request(detail));
        }
        self.router.remember(&ids);
        let text = self.shared.tokenizer.without_frame(&text).to_owned();
        Ok(Prompt { text, ids: ids.into() })
    }

    fn encode(&self, text: &str) -> Result<Vec<TokenId>, PolicyError> {
        self.shared.tokenizer.encode(text)
    }

    fn decode(&self, ids: &[TokenId]) -> Result<String, PolicyError> {
        self.shared.tokenizer.decode(ids)
    }

    fn eos(&self) -> Option<TokenId> {
        self.shared.tokenizer.eos()
    }

    fn submit(&self, mut call: Call) {
        match self.prepare(&mut call.request) {
            Ok(questions) => {
                let shard = self.router.shard(call.request.prefix());
                // If the shard has ended, `send` returns the state; dropping it answers the caller with an
                // error.
                drop(self.calls[shard].send(RequestState::new(call, questions)));
            }
            Err(error) => call.caller.answer(Err(error)),
        }
    }
}

impl Drop for CandlePolicy {
    fn drop(&mut self) {
        self.calls.clear();
        for thread in self.threads.drain(..) {
            // If the shard panicked, its callers were answered when their requests were dropped.
            let _ = thread.join();
        }
    }
}

/// Weights by tensor name.
type Weights = BTreeMap<String, Tensor>;

/// One model per shard.
type Models = Vec<Box<dyn Forward>>;

/// Builds one model per shard; the shards share the weights.
fn models(
    config: &ModelConfig,
    tensors: Weights,
    capacity: &Capacity,
    options: &LoadOptions,
) -> Result<Models, PolicyError> {
    let fail = |e: candle_core::Error| PolicyError::Model(e.to_string());
    let shards = 0..capacity.shards;
    match options.device {
        ComputeDevice::Cpu => {
            let decoder = Arc::new(Decoder::new(config, tensors, options.dtype).map_err(fail)?);
            let model = |_| on_cpu(decoder.clone(), capacity.slots);
            Ok(shards.map(model).collect())
        }
        ComputeDevice::Cuda(number) => {
            let dtype = match options.dtype {
                Dtype::F32 => DType::F32,
                Dtype::Bf16 => DType::BF16,
                Dtype::F16 => DType::F16,
                Dtype::Int8 => {
                    return Err(PolicyError::Model(
                        "--dtype int8 is for the CPU; give --dtype bf16 or f16 for a GPU".into(),
                    ));
                }
            };
            let device = cuda::open(number)?;
            let decoder = DeviceDecoder::new(config, tensors, &device, dtype).map_err(fail)?;
            let decoder = Arc::new(decoder);
            let model = |_| Ok(Box::new(OnDevice::new(decoder.clone(), capacity.slots)?) as _);
            shards.map(model).collect::<candle_core::Result<_>>().map_err(fail)
        }
    }
}

/// Returns the free bytes of a GPU's memory; `None` for the CPU, or if the driver does not report them.
///
/// # Errors
/// If there is no such device, or this build has no support for it.
pub fn free_on(device: ComputeDevice) -> Result<Option<u64>, PolicyError> {
    match device {
        ComputeDevice::Cpu => Ok(None),
        ComputeDevice::Cuda(number) => {
            // The CUDA context takes memory too, so it is created before the free memory is read.
            let _opened = cuda::open(number)?;
            Ok(cuda::free_bytes())
        }
    }
}

#[cfg(test)]
mod tests;
