//! Renders the turns of a conversation with a chat template.

use std::collections::BTreeMap;

use minijinja::value::Serde;
use minijinja::{Value, context};
use regrowth_datasets::Message;
use serde_json::Map;

use super::super::template::render_chat;
use crate::PolicyError;

/// Input of a chat template besides the turns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// System message before the turns.
    pub(crate) system: Option<String>,
    /// Further variables.
    pub(crate) values: Map<String, serde_json::Value>,
}

/// Texts of special tokens, by their names in templates, such as `bos_token`.
pub(crate) type Specials = BTreeMap<String, String>;

/// A chat template with its special tokens, system message and variables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ChatTemplate {
    pub(crate) text: String,
    pub(crate) specials: Specials,
    pub(crate) told: Told,
}

/// Renders messages with a chat template, after its system message; if `open`, up to where the assistant's
/// answer begins.
///
/// As in transformers, special tokens are part of the text, which is then tokenised without adding special
/// tokens, and `tools` and `documents` are none unless they are set.
pub(crate) fn chat(
    template: &ChatTemplate,
    messages: &[Message],
    open: bool,
) -> Result<String, PolicyError> {
    let ChatTemplate { text, specials, told } = template;
    let system = told.system.as_deref().map(|content| ("system", content));
    let turns = messages.iter().map(|m| (m.role.as_str(), m.content.as_str()));
    let messages: Vec<Value> =
        system.into_iter().chain(turns).map(|(role, content)| context! { role, content }).collect();
    // Later entries override earlier ones.
    let none = ["tools", "documents"].map(|name| (name, Value::from(())));
    let mut values: BTreeMap<&str, Value> = none.into();
    values.extend(told.values.iter().map(|(k, v)| (k.as_str(), Value::from(Serde(v)))));
    values.extend(specials.iter().map(|(k, v)| (k.as_str(), Value::from(v))));
    values.insert("messages", messages.into());
    values.insert("add_generation_prompt", open.into());
    render_chat(text, Value::from(values))
}

/// Builds a user turn.
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
        let mut template = ChatTemplate { text: text.into(), ..ChatTemplate::default() };
        let shown = |template: &ChatTemplate| chat(template, &[user("Hi".into())], true).unwrap();
        assert_eq!(shown(&template), "<user>Hi<assistant>");
        template.told.system = Some("Be brief.".into());
        template.told.values.insert("thinking".into(), false.into());
        template.told.values.insert("add_generation_prompt".into(), false.into());
        assert_eq!(shown(&template), "<system>Be brief.<user>Hi<assistant><done>");
    }
}
