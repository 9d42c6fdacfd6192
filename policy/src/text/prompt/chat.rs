//! Turns of a talk through a chat template.

use minijinja::value::Serde;
use minijinja::{Value, context};
use regrowth_datasets::Message;
use serde_json::Map;

use super::super::template::render_chat;
use crate::PolicyError;

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

/// Messages through a chat template, after what it is told; with `open`, up to where the assistant
/// begins.
///
/// BOS is not among the text: it is an id that goes before it
/// ([`Tokenizer::opening`](super::super::Tokenizer::opening)).
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

/// A turn of the user.
pub(crate) fn user(content: String) -> Message {
    Message { role: "user".into(), content }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chat_turn_ends_where_the_assistant_begins() {
        let text = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}\
                    {% if add_generation_prompt %}<assistant>{% endif %}\
                    {% if thinking is false %}<done>{% endif %}";
        let mut template = ChatTemplate { text: text.into(), told: Told::default() };
        let shown =
            |template: &ChatTemplate| chat(template, &[user("Hi".into())], true, "").unwrap();
        assert_eq!(shown(&template), "<user>Hi<assistant>");
        template.told.system = Some("Be brief.".into());
        template.told.values.insert("thinking".into(), false.into());
        template.told.values.insert("add_generation_prompt".into(), false.into());
        assert_eq!(shown(&template), "<system>Be brief.<user>Hi<assistant><done>");
    }
}
