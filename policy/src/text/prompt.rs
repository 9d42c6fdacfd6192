//! Prompt forms: how problems are presented to a model.
//!
//! A checkpoint may have its own form in `regrowth.json`. Otherwise the form depends on the model: a model
//! with a chat template reasons towards a boxed answer or a label, a model without one completes
//! `Question: ... Answer:`. A user may choose another form. Templates are minijinja; no model runs here.

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

/// Name of the prompt form's file in a checkpoint folder.
pub const PROMPT_FILE: &str = "regrowth.json";
/// Version of this file's format.
const VERSION: u32 = 1;

/// Prompt templates of one checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromptForm {
    /// Version of this file; 1.
    pub version: u32,
    /// Template of the prompt. Variables: `question`, `choices` (each with `label` and `text`), `labels`,
    /// `kind`, `shots` and `chat`.
    pub prompt: String,
    /// Template of the judge's question, which follows a step. Variables: `correct_first` and `hint`. The
    /// model's next token is read as the label A or B.
    pub judge: String,
    /// Template of the text before `judge` in a fresh prompt that restates the problem and its solution.
    /// Variables: `question`, `choices` and `solution`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restated: Option<String>,
    /// Whether `prompt` is a user turn of the checkpoint's chat template. A judge's fresh prompt is then a
    /// user turn, too.
    #[serde(default)]
    pub chat: bool,
    /// System message before that turn; none by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// Further variables for the chat template, such as `{"enable_thinking": false}` for Qwen3; none by
    /// default. Variables that every chat template gets (`messages`, `add_generation_prompt`, special
    /// tokens) cannot be changed here.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub template_kwargs: Map<String, serde_json::Value>,
    /// Worked examples (few-shot) that `prompt` may show; none by default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shots: Vec<Exemplar>,
    /// Text of the chat template around the judge's question. Derived from the template and therefore not
    /// in the file.
    #[serde(skip_deserializing, skip_serializing_if = "Option::is_none")]
    pub turn: Option<JudgeTurn>,
    /// Name of the form in `prompt`; `None` for a checkpoint's own form. `prompt` has the content, so the
    /// name is not in the file.
    #[serde(skip)]
    pub name: Option<PromptName>,
}

impl PromptForm {
    /// Reads the form of a checkpoint: its own, or the default for its kind, with the user's changes.
    ///
    /// # Errors
    /// If `regrowth.json` is malformed, has another version, or sets chat template variables without using
    /// the chat template; if the user's template is malformed, or does not show worked examples although
    /// there are some.
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

    /// Whether a model only completes text: it has no chat template and no form of its own.
    ///
    /// # Errors
    /// When a file cannot be read.
    #[cfg(feature = "candle")]
    pub(crate) fn is_of_completion(source: &(impl Files + ?Sized)) -> Result<bool, PolicyError> {
        Ok(Self::own(source)?.is_none() && !has_chat_template(source)?)
    }

    /// Reads the form in `regrowth.json`; `None` if there is no such file.
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

    /// Returns the system message and variables for the chat template.
    pub(crate) fn told(&self) -> Told {
        Told { system: self.system.clone(), values: self.template_kwargs.clone() }
    }

    /// Builds the default form of a model with or without a chat template.
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

    /// Returns this form with the prompt that the user wants; the judge's question and the chat template
    /// stay.
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

    /// Renders the prompt of a problem.
    ///
    /// # Errors
    /// When a template fails.
    pub fn render(&self, problem: &Problem, tokenizer: &Tokenizer) -> Result<String, PolicyError> {
        self.framed(self.bare(problem)?, tokenizer)
    }

    /// Returns the text that a model should write after the prompt of a problem: its worked solution with
    /// the answer in the style of this form; the unchanged solution if the form is a checkpoint's own.
    /// `None` if the problem has no solution.
    #[must_use]
    pub fn worked(&self, problem: &Problem) -> Option<String> {
        match &self.name {
            Some(name) => Exemplar::of(problem).map(|worked| name.answered(&worked)),
            None => problem.solution.clone(),
        }
    }

    /// Renders the prompt of a problem without the chat template.
    pub(crate) fn bare(&self, problem: &Problem) -> Result<String, PolicyError> {
        render(&self.prompt, forms::of_problem(problem, &self.shots, self.chat))
    }

    /// Renders the prompt of a question without options.
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

    /// Applies the chat template to a prompt if the form uses it and there is one.
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
