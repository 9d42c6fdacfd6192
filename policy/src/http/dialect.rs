//! Dispatches every operation on a server to the file of the server's dialect.
//!
//! Text is tokenised and ids are decoded by the folder's tokenizer if there is one, otherwise by the server.

use regrowth_datasets::TokenId;

use super::completion::{Completed, Completion, Label, Scored};
use super::fault::Fault;
use super::model::Model;
use super::openai::{self, Talk, packed};
use super::server::Server;
use super::{llama_cpp, llama_cpp_python, sglang, vllm};
use crate::{Ask, Dialect};

/// Maximum number of texts whose ids are cached, such as judge questions.
const REMEMBERED: usize = 4096;

impl Model {
    /// Ids of `text` without special tokens around it.
    pub(super) async fn encode(&self, server: &Server, text: &str) -> Result<Vec<TokenId>, Fault> {
        if let Some(tokenizer) = &self.tokenizer {
            return Ok(tokenizer.encode(text)?);
        }
        if text.is_empty() {
            return Ok(vec![]);
        }
        if let Some(ids) = self.known.get(text) {
            return Ok(ids.clone());
        }
        let ids = match self.dialect {
            Dialect::Vllm => vllm::encode(self, server, text, false).await?,
            Dialect::Sglang => sglang::encode(server, text, false).await?,
            Dialect::LlamaCpp => llama_cpp::encode(server, text, false).await?,
            Dialect::LlamaCppPython => {
                let ids = llama_cpp_python::encode(self, server, text).await?;
                ids.strip_prefix(self.begin.as_slice()).map(<[_]>::to_vec).unwrap_or(ids)
            }
            Dialect::OpenAi => return Ok(packed::encode(text)),
        };
        if self.known.len() < REMEMBERED {
            self.known.insert(text.to_owned(), ids.clone());
        }
        Ok(ids)
    }

    /// Text of `ids`, without BOS at the beginning and EOS at the end.
    pub(super) async fn decode(&self, server: &Server, ids: &[TokenId]) -> Result<String, Fault> {
        if let Some(tokenizer) = &self.tokenizer {
            return Ok(tokenizer.decode(ids)?);
        }
        let ids = ids.strip_prefix(self.begin.as_slice()).unwrap_or(ids);
        let ids = ids.split_last().filter(|(last, _)| self.eos.contains(last)).map_or(ids, |l| l.1);
        if ids.is_empty() {
            return Ok(String::new());
        }
        match self.dialect {
            Dialect::Vllm => vllm::decode(self, server, ids).await,
            Dialect::Sglang => sglang::decode(server, ids).await,
            Dialect::LlamaCpp => llama_cpp::decode(server, ids).await,
            Dialect::LlamaCppPython => llama_cpp_python::decode(self, server, ids).await,
            Dialect::OpenAi => Ok(packed::without_marks(&packed::decode(ids))),
        }
    }

    /// Samples a continuation.
    pub(super) async fn complete(
        &self,
        server: &Server,
        ask: &Completion,
    ) -> Result<Completed, Fault> {
        let _company = server.company.read().await;
        let done = match self.dialect {
            Dialect::Vllm => vllm::complete(self, server, ask).await?,
            Dialect::Sglang => sglang::complete(self, server, ask).await?,
            Dialect::LlamaCpp => llama_cpp::complete(server, ask).await?,
            Dialect::LlamaCppPython => llama_cpp_python::complete(self, server, ask).await?,
            Dialect::OpenAi => openai::complete(self, server, ask).await?,
        };
        server.generated(done.ids.len());
        Ok(done)
    }

    /// Probabilities of the labels after `prompt`; `None` if the server lists no token of one label.
    pub(super) async fn label_masses(
        &self,
        server: &Server,
        prompt: &[TokenId],
        labels: &[Label],
    ) -> Result<Option<Vec<f64>>, Fault> {
        let _company = server.company.read().await;
        match self.dialect {
            Dialect::Vllm => vllm::labels(self, server, prompt, labels).await,
            Dialect::Sglang => sglang::labels(self, server, prompt, labels).await,
            Dialect::LlamaCpp => llama_cpp::labels(server, prompt, labels).await,
            Dialect::LlamaCppPython => llama_cpp_python::labels(self, server, prompt, labels).await,
            Dialect::OpenAi => openai::labels(self, server, prompt, labels).await,
        }
    }

    /// Log-probabilities of `continuation` after `prefix`.
    pub(super) async fn score(
        &self,
        server: &Server,
        prefix: &[TokenId],
        continuation: &[TokenId],
    ) -> Result<Scored, Fault> {
        let (_alone, _company) = match self.scores_alone && self.dialect == Dialect::Vllm {
            true => (Some(server.company.write().await), None),
            false => (None, Some(server.company.read().await)),
        };
        match self.dialect {
            Dialect::Vllm => vllm::score(self, server, prefix, continuation).await,
            Dialect::Sglang => sglang::score(self, server, prefix, continuation).await,
            Dialect::LlamaCpp => llama_cpp::score(server, prefix, continuation).await,
            Dialect::LlamaCppPython => {
                llama_cpp_python::score(self, server, prefix, continuation).await
            }
            Dialect::OpenAi => openai::score(server),
        }
    }

    /// Parses a chat server's prompt into its messages.
    pub(super) fn talk(&self, prompt: &[TokenId]) -> Result<Talk, Fault> {
        let text = match &self.tokenizer {
            Some(tokenizer) => tokenizer.decode_as(prompt, true)?,
            None => packed::decode(prompt),
        };
        let talk = self.turns.as_ref().and_then(|turns| turns.read(&text));
        talk.ok_or_else(|| {
            Fault::Refused(
                "a prompt that does not begin with a turn of the user in the chat template of \
                 --tokenizer DIR: was it made with another one?"
                    .into(),
            )
        })
    }

    /// Whether a chat gets BOS even if the template writes none: without a folder's tokenizer, as llama.cpp
    /// does, and with llama-cpp-python, which puts BOS before every text. Otherwise the template alone
    /// decides.
    pub(super) fn begins_chats(&self) -> bool {
        self.tokenizer.is_none() || self.dialect == Dialect::LlamaCppPython
    }

    /// Whether ids decoded one by one give the same text as the ids decoded together.
    pub(super) async fn is_context_free(&self, server: &Server) -> Result<bool, Fault> {
        let ids = self.encode(server, "a a").await?;
        let mut apart = String::new();
        for &id in &ids {
            apart += &self.decode(server, &[id]).await?;
        }
        Ok(apart == self.decode(server, &ids).await?)
    }

    /// Finds the ids that begin every text (BOS).
    pub(super) async fn find_begin(&self, server: &Server) -> Result<Vec<TokenId>, Fault> {
        if let Some(tokenizer) = &self.tokenizer {
            let begin = match self.dialect {
                // The server itself puts BOS before every text.
                Dialect::LlamaCppPython => tokenizer.bos(),
                _ => tokenizer.opening(),
            };
            return Ok(begin.into_iter().collect());
        }
        // Some servers refuse an empty text, so a letter is encoded and its ids are removed.
        const LETTER: &str = "a";
        let (framed, bare) = match self.dialect {
            Dialect::Vllm => (
                vllm::encode(self, server, LETTER, true).await?,
                vllm::encode(self, server, LETTER, false).await?,
            ),
            Dialect::Sglang => (
                sglang::encode(server, LETTER, true).await?,
                sglang::encode(server, LETTER, false).await?,
            ),
            Dialect::LlamaCpp => (
                llama_cpp::encode(server, LETTER, true).await?,
                llama_cpp::encode(server, LETTER, false).await?,
            ),
            Dialect::LlamaCppPython => {
                return llama_cpp_python::encode(self, server, "").await;
            }
            Dialect::OpenAi => return Ok(vec![]),
        };
        Ok(framed.strip_suffix(bare.as_slice()).map(<[_]>::to_vec).unwrap_or_default())
    }

    /// Returns a label with its token ids: with a folder's tokenizer, all ids of the vocabulary that decode
    /// to the label; otherwise the ids of its usual spellings.
    pub(super) async fn label(&self, server: &Server, text: &str) -> Result<Label, Fault> {
        let mut label = Label { text: text.to_owned(), ids: vec![] };
        if let Some(tokenizer) = &self.tokenizer {
            label.ids = tokenizer.label_ids(text);
            return Ok(label);
        }
        for before in ["", " ", "(", " ("] {
            let ids = self.encode(server, &format!("{before}{text}")).await?;
            let Some(&last) = ids.last() else { continue };
            if !label.ids.contains(&last) && label.is(&self.decode(server, &[last]).await?) {
                label.ids.push(last);
            }
        }
        Ok(label)
    }

    /// The labels of a question. The ids of each label are looked up once and then cached.
    pub(super) async fn labels(&self, server: &Server, ask: Ask<'_>) -> Result<Vec<Label>, Fault> {
        let mut labels = Vec::new();
        for text in ask.labels() {
            // Cloned, so that no lock of the map is held during a request to the server.
            let known = self.labels.get(text).map(|label| label.clone());
            let label = match known {
                Some(label) => label,
                None => self.label(server, text).await?,
            };
            self.labels.insert(text.to_owned(), label.clone());
            labels.push(label);
        }
        Ok(labels)
    }
}
