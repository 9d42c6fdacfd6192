//! Features of a server, from its dialect and from its replies during discovery.

use super::lora;
use super::model::{Chat, Model};
use crate::{Dialect, ServerFeatures, TemplateSource};

impl ServerFeatures {
    /// Features of the server of `model`, after discovery.
    pub(super) fn of(model: &Model) -> Self {
        let form = model.form.as_ref();
        Self {
            kind: model.dialect.name(),
            model: model.name.clone(),
            token_ids: takes_ids(model.dialect),
            listed_tokens: listed(model),
            seeds: form.is_none_or(|form| form.seed),
            continues: form.is_none_or(|form| form.continuation.is_some()),
            context: model.context,
            chat_template: match model.chat {
                Chat::Server => TemplateSource::Server,
                Chat::Template(_) => TemplateSource::Told,
                Chat::Plain => TemplateSource::None,
            },
            eos_known: !model.eos.is_empty(),
            loads_adapters: lora::loads_adapters(model.dialect),
        }
    }
}

fn takes_ids(dialect: Dialect) -> bool {
    match dialect {
        Dialect::Vllm | Dialect::Sglang | Dialect::LlamaCpp => true,
        Dialect::LlamaCppPython | Dialect::OpenAi => false,
    }
}

fn listed(model: &Model) -> Option<usize> {
    match model.dialect {
        Dialect::Vllm => Some(super::vllm::TOP),
        Dialect::Sglang => None,
        Dialect::LlamaCpp => Some(super::llama_cpp::TOP),
        Dialect::LlamaCppPython => Some(super::llama_cpp_python::TOP),
        Dialect::OpenAi => Some(model.form.as_ref().map_or(0, |form| form.top)),
    }
}
