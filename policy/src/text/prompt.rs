//! How problems and (A)/(B) questions are put to a model.
//!
//! A checkpoint may bring its own form in `regrowth.json`; else its chat template is used with a
//! short instruction, or a plain question form. Templates are minijinja; nothing here runs a model.

use minijinja::value::Serde;
use minijinja::{Environment, Value, context};
use regrowth_datasets::{Choice, Message, Problem};
use serde::{Deserialize, Serialize};
use serde_json::Map;

use super::files::Files;
use super::template::{render, render_chat};
use super::tokenizer::Tokenizer;
use crate::{PolicyError, Restated};

/// Name of the file in a checkpoint folder.
pub const PROMPT_FILE: &str = "regrowth.json";
/// Version of that file.
const VERSION: u32 = 1;

const PLAIN: &str = "Question: {{ question }}\n\
    {% for c in choices %}({{ c.label }}) {{ c.text }}\n{% endfor %}Answer:";

const CHAT: &str = "{{ question }}\n\
    {% for c in choices %}({{ c.label }}) {{ c.text }}\n{% endfor %}\n\
    Solve it step by step, one short step a line. \
    End with a line of the form \"#### answer\"\
    {% if choices %}, the answer being the letter of the right option{% endif %}.";

/// The paper's self-evaluation question in our words (method, section 1).
const JUDGE: &str = "{% if hint %}\nA reference solution:\n{{ hint }}\n{% endif %}\n\
    Is the last step above correct? \
    {% if correct_first %}(A) Correct (B) Incorrect{% else %}(A) Incorrect (B) Correct{% endif %}\n\
    The answer is (";

/// What a new prompt says before that question when it restates everything (paper's form, our words).
const RESTATED: &str = "A problem:\n{{ question }}\n\
    {% for c in choices %}({{ c.label }}) {{ c.text }}\n{% endfor %}\n\
    Its solution so far:\n{{ solution }}";

/// A judge's own prompt: a user's turn, or plain text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Restating {
    /// Problem and solution, the same for both orders of the options.
    pub(crate) body: String,
    /// The question, on lines of its own; its last line, which the label completes, apart.
    pub(crate) question: [String; 2],
}

/// Templates of one checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromptForm {
    /// Version of this file; 1.
    pub version: u32,
    /// The prompt, from `question` and `choices` (each with `label` and `text`).
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
    /// by default. What every chat template is given (`messages`, `add_generation_prompt`, `bos_token`,
    /// `eos_token`) cannot be changed here.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub template_kwargs: Map<String, serde_json::Value>,
}

/// What a chat template is told besides the turns of a talk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// A system message before them.
    pub(crate) system: Option<String>,
    /// Further variables.
    pub(crate) values: Map<String, serde_json::Value>,
}

/// A chat template and what it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChatTemplate {
    pub(crate) text: String,
    pub(crate) told: Told,
}

impl PromptForm {
    /// The form of a checkpoint.
    ///
    /// # Errors
    /// When its `regrowth.json` is malformed, of another version, or tells a chat template something
    /// and does not use it.
    pub fn read(
        source: &(impl Files + ?Sized),
        tokenizer: &Tokenizer,
    ) -> Result<Self, PolicyError> {
        let form: Self = match source.optional(PROMPT_FILE)? {
            Some(bytes) => serde_json::from_slice(&bytes)
                .map_err(|e| source.error(PROMPT_FILE, e.to_string()))?,
            None => Self::default_form(tokenizer.chat_template().is_some()),
        };
        form.check().map_err(|detail| source.error(PROMPT_FILE, detail))?;
        for template in [&form.prompt, &form.judge].into_iter().chain(&form.restated) {
            Environment::new()
                .template_from_str(template)
                .map_err(|e| source.error(PROMPT_FILE, format!("template: {e}")))?;
        }
        Ok(form)
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
        Ok(())
    }

    /// What a chat template is told besides the turns.
    pub(crate) fn told(&self) -> Told {
        Told { system: self.system.clone(), values: self.template_kwargs.clone() }
    }

    /// The form of a model that brings none, with a chat template or without.
    pub(crate) fn default_form(chat: bool) -> Self {
        let prompt = if chat { CHAT } else { PLAIN };
        Self {
            version: VERSION,
            prompt: prompt.into(),
            judge: JUDGE.into(),
            restated: None,
            chat,
            system: None,
            template_kwargs: Map::new(),
        }
    }

    /// The prompt of a problem.
    ///
    /// # Errors
    /// When a template fails.
    pub fn render(&self, problem: &Problem, tokenizer: &Tokenizer) -> Result<String, PolicyError> {
        self.framed(self.bare(problem)?, tokenizer)
    }

    /// The prompt of a problem before any chat template.
    pub(crate) fn bare(&self, problem: &Problem) -> Result<String, PolicyError> {
        let choices = values(&problem.choices);
        render(&self.prompt, context! { question => problem.question.as_str(), choices })
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
        let choices: [Value; 0] = [];
        self.framed(render(&self.prompt, context! { question, choices })?, tokenizer)
    }

    /// The prompt as the user's turn, where the form asks for that and there is a template.
    fn framed(&self, text: String, tokenizer: &Tokenizer) -> Result<String, PolicyError> {
        match tokenizer.chat_template().filter(|_| self.chat) {
            Some(template) => {
                let template = ChatTemplate { text: template.to_owned(), told: self.told() };
                let turn = Message { role: "user".into(), content: text };
                chat(&template, &[turn], true, &tokenizer.eos_text())
            }
            None if self.told() != Told::default() => Err(PolicyError::Request(format!(
                "`system` and `template_kwargs` of {PROMPT_FILE} are told to a chat template, and the \
                 checkpoint has none"
            ))),
            None => Ok(text),
        }
    }

    /// What follows a step with this text to ask for a judgement: on a line of its own.
    ///
    /// # Errors
    /// When the template fails.
    pub fn question(
        &self,
        step: &str,
        correct_first: bool,
        hint: Option<&str>,
    ) -> Result<String, PolicyError> {
        let line = if step.ends_with('\n') { "" } else { "\n" };
        Ok(format!("{line}{}", render(&self.judge, context! { correct_first, hint })?))
    }

    /// A judge's own prompt in its parts.
    ///
    /// # Errors
    /// When a template fails.
    pub(crate) fn restating(
        &self,
        restated: &Restated,
        correct_first: bool,
        hint: Option<&str>,
    ) -> Result<Restating, PolicyError> {
        let (question, solution) = (restated.question.as_str(), restated.solution.as_str());
        let choices = values(&restated.choices);
        let template = self.restated.as_deref().unwrap_or(RESTATED);
        let body = render(template, context! { question, choices, solution })?;
        let asked = self.question(&body, correct_first, hint)?;
        let last = asked.rfind('\n').map_or(0, |at| at + 1);
        let question = [asked[..last].to_owned(), asked[last..].to_owned()];
        Ok(Restating { body, question })
    }

    /// A judge's own prompt as text, and how much of it stands before the question.
    ///
    /// # Errors
    /// When a template fails.
    pub fn render_restated(
        &self,
        restated: &Restated,
        correct_first: bool,
        hint: Option<&str>,
        tokenizer: &Tokenizer,
    ) -> Result<(String, usize), PolicyError> {
        let Restating { body, question: [asked, open] } =
            self.restating(restated, correct_first, hint)?;
        let text = self.framed(format!("{body}{asked}"), tokenizer)? + &open;
        // A template may trim a turn; then nothing of it is told apart.
        let before = text.find(&body).map_or(0, |at| at + body.len());
        Ok((text, before))
    }
}

fn values(choices: &[Choice]) -> Vec<Value> {
    let value = |c: &Choice| context! { label => c.label.as_str(), text => c.text.as_str() };
    choices.iter().map(value).collect()
}

/// Messages through a chat template, after what it is told; with `open`, up to where the assistant
/// begins.
///
/// BOS is not among the text: it is an id that goes before it ([`Tokenizer::opening`]).
pub(crate) fn chat(
    template: &ChatTemplate,
    messages: &[Message],
    open: bool,
    eos: &str,
) -> Result<String, PolicyError> {
    let ChatTemplate { text, told } = template;
    let system = told.system.as_deref().map(|content| ("system", content));
    let turns = messages.iter().map(|m| (m.role.as_str(), m.content.as_str()));
    let messages: Vec<Value> =
        system.into_iter().chain(turns).map(|(role, content)| context! { role, content }).collect();
    let values = context! {
        messages, add_generation_prompt => open, bos_token => "", eos_token => eos,
        ..Value::from(Serde(&told.values))
    };
    render_chat(text, values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_judge_question_offers_both_orders() {
        let form = PromptForm::default_form(false);
        let first = form.question("2\n", true, None).unwrap();
        assert!(first.contains("(A) Correct (B) Incorrect") && first.ends_with("is ("));
        assert!(form.question("2", false, None).unwrap().contains("(B) Correct"));
        assert!(form.question("2", true, Some("1 + 1 = 2")).unwrap().contains("1 + 1 = 2"));
        assert_eq!(form.question("2", true, None).unwrap(), format!("\n{first}"));
    }

    #[test]
    fn a_judge_s_own_prompt_restates_problem_and_solution_before_the_question() {
        let form = PromptForm::default_form(false);
        let choice = |label: &str, text: &str| Choice { label: label.into(), text: text.into() };
        let restated = Restated {
            question: "1 + 1?".into(),
            choices: vec![choice("A", "two"), choice("B", "three")],
            solution: "1 + 1 = 2".into(),
        };
        let found = form.restating(&restated, true, None).unwrap();
        assert_eq!(
            found.body,
            "A problem:\n1 + 1?\n(A) two\n(B) three\n\nIts solution so far:\n1 + 1 = 2"
        );
        let [asked, open] = &found.question;
        assert!(asked.starts_with('\n') && asked.ends_with("(B) Incorrect\n"), "{asked:?}");
        assert_eq!(open, "The answer is (");
        let own = PromptForm { restated: Some("{{ solution }}\n".into()), ..form };
        assert_eq!(own.restating(&restated, true, None).unwrap().body, "1 + 1 = 2\n");
    }

    #[test]
    fn a_chat_turn_ends_where_the_assistant_begins() {
        let text = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}\
                    {% if add_generation_prompt %}<assistant>{% endif %}\
                    {% if thinking is false %}<done>{% endif %}";
        let mut template = ChatTemplate { text: text.into(), told: Told::default() };
        let turn = Message { role: "user".into(), content: "Hi".into() };
        let shown = |template: &ChatTemplate| {
            chat(template, std::slice::from_ref(&turn), true, "").unwrap()
        };
        assert_eq!(shown(&template), "<user>Hi<assistant>");
        template.told.system = Some("Be brief.".into());
        template.told.values.insert("thinking".into(), false.into());
        template.told.values.insert("add_generation_prompt".into(), false.into());
        assert_eq!(shown(&template), "<system>Be brief.<user>Hi<assistant><done>");
    }
}
