//! How problems are put to a model.
//!
//! A checkpoint may bring its own form in `regrowth.json`; else it is that of its kind: a model with a
//! chat template reasons to a box or a label, one without completes `Question: ... Answer:`. A user may
//! name another. Templates are minijinja; nothing here runs a model.

mod chat;
mod forms;
mod judge;

use regrowth_datasets::Problem;
use serde::{Deserialize, Serialize};
use serde_json::Map;

pub(crate) use chat::{ChatTemplate, Specials, Told, chat, user};
pub use judge::JudgeTurn;
#[cfg(feature = "http")]
pub(crate) use judge::Restating;

use super::files::Files;
use super::template::{Checked, check, render};
use super::tokenizer::Tokenizer;
#[cfg(feature = "candle")]
use super::tokenizer::has_chat_template;
use crate::{Exemplar, PolicyError, PromptName, PromptOptions};

/// Name of the file in a checkpoint folder.
pub const PROMPT_FILE: &str = "regrowth.json";
/// Version of that file.
const VERSION: u32 = 1;

/// Templates of one checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromptForm {
    /// Version of this file; 1.
    pub version: u32,
    /// The prompt, from `question`, `choices` (each with `label` and `text`), `labels`, `kind`, `shots`
    /// and `chat`.
    pub prompt: String,
    /// What follows a step to ask whether it is correct, from `correct_first` and `hint`; the
    /// model's next token is read as the label A or B.
    pub judge: String,
    /// What a new prompt says before `judge` when it restates the problem and its solution, from
    /// `question`, `choices` and `solution`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restated: Option<String>,
    /// Whether `prompt` is the user's turn of the checkpoint's chat template; a judge's own prompt is
    /// then one, too.
    #[serde(default)]
    pub chat: bool,
    /// A system message before that turn; none by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// What the chat template is given besides, such as `{"enable_thinking": false}` for Qwen3; nothing
    /// by default. What every chat template is given (`messages`, `add_generation_prompt`, special tokens)
    /// cannot be changed here.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub template_kwargs: Map<String, serde_json::Value>,
    /// Worked examples that `prompt` may show; none by default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shots: Vec<Exemplar>,
    /// How a chat template turns to the judge's question; follows from the template, so no file says it.
    #[serde(skip_deserializing, skip_serializing_if = "Option::is_none")]
    pub turn: Option<JudgeTurn>,
    /// Which form `prompt` is; `None` for a checkpoint's own. What it says is in `prompt`, so no file says
    /// it.
    #[serde(skip)]
    pub name: Option<PromptName>,
}

impl PromptForm {
    /// The form of a checkpoint: its own or that of its kind, with what the user wants in its place.
    ///
    /// # Errors
    /// When its `regrowth.json` is malformed, of another version, or tells a chat template something
    /// and does not use it; when the user's template is malformed, or shows no examples where there
    /// are some to show.
    pub fn read(
        source: &(impl Files + ?Sized),
        tokenizer: &Tokenizer,
        wanted: &PromptOptions,
    ) -> Result<Self, PolicyError> {
        let mut form = match Self::own(source)? {
            Some(own) => own.changed(wanted)?,
            None => Self::of_kind(tokenizer.chat_template().is_some(), wanted)?,
        };
        if let Some(template) = tokenizer.template(form.told()).filter(|_| form.chat) {
            form.turn = JudgeTurn::rendered(&template);
        }
        Ok(form)
    }

    /// Whether a model only completes text: it has no chat template and brings no form.
    ///
    /// # Errors
    /// When a file cannot be read.
    #[cfg(feature = "candle")]
    pub(crate) fn is_of_completion(source: &(impl Files + ?Sized)) -> Result<bool, PolicyError> {
        Ok(Self::own(source)?.is_none() && !has_chat_template(source)?)
    }

    /// The form that a checkpoint brings, if it brings one.
    fn own(source: &(impl Files + ?Sized)) -> Result<Option<Self>, PolicyError> {
        let Some(bytes) = source.optional(PROMPT_FILE)? else { return Ok(None) };
        let form: Self =
            serde_json::from_slice(&bytes).map_err(|e| source.error(PROMPT_FILE, e.to_string()))?;
        form.check().map_err(|detail| source.error(PROMPT_FILE, detail))?;
        Ok(Some(form))
    }

    fn check(&self) -> Result<(), String> {
        if self.version != VERSION {
            return Err(format!("`version` is {}; expected {VERSION}", self.version));
        }
        if !self.chat && self.told() != Told::default() {
            return Err("`system` and `template_kwargs` are told to a chat template; expected \
                        `chat` true beside them"
                .into());
        }
        let templates = [("prompt", Some(&self.prompt)), ("judge", Some(&self.judge))];
        for (name, template) in templates.into_iter().chain([("restated", self.restated.as_ref())])
        {
            if let Some(Checked::Malformed { line, detail }) = template.map(|t| check(t, &[])) {
                return Err(format!("the template `{name}`, line {line}: {detail}"));
            }
        }
        Ok(())
    }

    /// What a chat template is told besides the turns.
    pub(crate) fn told(&self) -> Told {
        Told { system: self.system.clone(), values: self.template_kwargs.clone() }
    }

    /// The form of a model that brings none, with a chat template or without.
    ///
    /// # Errors
    /// As [`PromptForm::read`].
    pub(crate) fn of_kind(chat: bool, wanted: &PromptOptions) -> Result<Self, PolicyError> {
        let form = Self {
            version: VERSION,
            prompt: forms::template(&forms::default_name(chat))?,
            judge: judge::JUDGE.into(),
            restated: None,
            chat,
            system: None,
            template_kwargs: Map::new(),
            shots: vec![],
            turn: None,
            name: Some(forms::default_name(chat)),
        };
        form.changed(wanted)
    }

    /// This form with the prompt that the user wants; judging and the chat template stay.
    ///
    /// # Errors
    /// As [`PromptForm::read`].
    pub(crate) fn changed(mut self, wanted: &PromptOptions) -> Result<Self, PolicyError> {
        if let Some(name) = &wanted.form {
            self.prompt = forms::template(name)?;
            self.name = Some(name.clone());
        }
        if !wanted.shots.is_empty() {
            if !forms::shows_shots(&self.prompt) {
                return Err(PolicyError::Prompt(format!(
                    "the prompt form {} shows no worked examples (its template does not use \
                     `shots`); leave --shots out, or choose another form with --prompt",
                    wanted.form.as_ref().map_or("of this model".into(), |f| format!("`{f}`")),
                )));
            }
            self.shots = wanted.shots.to_vec();
        }
        Ok(self)
    }

    /// The prompt of a problem.
    ///
    /// # Errors
    /// When a template fails.
    pub fn render(&self, problem: &Problem, tokenizer: &Tokenizer) -> Result<String, PolicyError> {
        self.framed(self.bare(problem)?, tokenizer)
    }

    /// What a model is to write behind the prompt of a problem: its worked solution with the answer as
    /// the form asks for it, or as it stands where the form is a checkpoint's own. `None` where the
    /// problem has no solution.
    #[must_use]
    pub fn worked(&self, problem: &Problem) -> Option<String> {
        match &self.name {
            Some(name) => Exemplar::of(problem).map(|worked| name.answered(&worked)),
            None => problem.solution.clone(),
        }
    }

    /// The prompt of a problem before any chat template.
    pub(crate) fn bare(&self, problem: &Problem) -> Result<String, PolicyError> {
        render(&self.prompt, forms::of_problem(problem, &self.shots, self.chat))
    }

    /// The prompt of a bare question, without options.
    ///
    /// # Errors
    /// When a template fails.
    pub fn render_question(
        &self,
        question: &str,
        tokenizer: &Tokenizer,
    ) -> Result<String, PolicyError> {
        let values = forms::of_question(question, &self.shots, self.chat);
        self.framed(render(&self.prompt, values)?, tokenizer)
    }

    /// The prompt as the user's turn, where the form asks for that and there is a template.
    fn framed(&self, text: String, tokenizer: &Tokenizer) -> Result<String, PolicyError> {
        match tokenizer.template(self.told()).filter(|_| self.chat) {
            Some(template) => chat(&template, &[user(text)], true),
            None if self.told() != Told::default() => Err(PolicyError::Request(format!(
                "`system` and `template_kwargs` of {PROMPT_FILE} are told to a chat template, and the \
                 checkpoint has none"
            ))),
            None => Ok(text),
        }
    }
}
