//! Every question to a server, handed on to the file of its dialect.
//!
//! Ids and text are turned into each other by the tokenizer of a folder where one is given, else by the
//! server.

use regrowth_datasets::TokenId;

use super::completion::{Completed, Completion, LABEL_TEXTS, Scored};
use super::fault::Fault;
use super::model::Model;
use super::openai::{self, Talk, packed};
use super::server::Server;
use super::{llama_cpp, llama_cpp_python, sglang, vllm};
use crate::Dialect;
use crate::text::is_label;

/// Texts whose ids are remembered: judge questions and the like.
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

    /// A sampled continuation.
    pub(super) async fn complete(
        &self,
        server: &Server,
        ask: &Completion,
    ) -> Result<Completed, Fault> {
        let _company = server.company.read().await;
        match self.dialect {
            Dialect::Vllm => vllm::complete(self, server, ask).await,
            Dialect::Sglang => sglang::complete(self, server, ask).await,
            Dialect::LlamaCpp => llama_cpp::complete(server, ask).await,
            Dialect::LlamaCppPython => llama_cpp_python::complete(self, server, ask).await,
            Dialect::OpenAi => openai::complete(self, server, ask).await,
        }
    }

    /// Probabilities of (A) and (B) after `prompt`; `None` where the server lists one of them not.
    pub(super) async fn label_masses(
        &self,
        server: &Server,
        prompt: &[TokenId],
    ) -> Result<Option<[f64; 2]>, Fault> {
        let _company = server.company.read().await;
        match self.dialect {
            Dialect::Vllm => vllm::labels(self, server, prompt).await,
            Dialect::Sglang => sglang::labels(self, server, prompt).await,
            Dialect::LlamaCpp => llama_cpp::labels(self, server, prompt).await,
            Dialect::LlamaCppPython => llama_cpp_python::labels(self, server, prompt).await,
            Dialect::OpenAi => openai::labels(self, server, prompt).await,
        }
    }

    /// Log-probabilities of `continuation`.
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

    /// The talk that a prompt of a chat server is.
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

    /// Whether the server begins a chat with its own BOS where the template writes none: llama.cpp, and
    /// its Python server, which begins every text so. Elsewhere the template alone decides.
    pub(super) fn begins_chats(&self) -> bool {
        self.tokenizer.is_none() || self.dialect == Dialect::LlamaCppPython
    }

    /// Whether ids decode one by one to what they are together.
    pub(super) async fn is_context_free(&self, server: &Server) -> Result<bool, Fault> {
        let ids = self.encode(server, "a a").await?;
        let mut apart = String::new();
        for &id in &ids {
            apart += &self.decode(server, &[id]).await?;
        }
        Ok(apart == self.decode(server, &ids).await?)
    }

    /// Ids that begin every text.
    pub(super) async fn find_begin(&self, server: &Server) -> Result<Vec<TokenId>, Fault> {
        if let Some(tokenizer) = &self.tokenizer {
            let begin = match self.dialect {
                // It puts BOS before every text by itself.
                Dialect::LlamaCppPython => tokenizer.bos(),
                _ => tokenizer.opening(),
            };
            return Ok(begin.into_iter().collect());
        }
        // Some servers refuse an empty text, so a letter is taken off again.
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

    /// The ids that mean each label: all of the vocabulary where it is at hand, else those of the
    /// usual ways to write it.
    pub(super) async fn find_labels(&self, server: &Server) -> Result<[Vec<TokenId>; 2], Fault> {
        let mut labels: [Vec<TokenId>; 2] = Default::default();
        for (found, label) in labels.iter_mut().zip(LABEL_TEXTS) {
            if let Some(tokenizer) = &self.tokenizer {
                *found = tokenizer.label_ids(label);
                continue;
            }
            for before in ["", " ", "(", " ("] {
                let ids = self.encode(server, &format!("{before}{label}")).await?;
                let Some(&last) = ids.last() else { continue };
                if !found.contains(&last) && is_label(&self.decode(server, &[last]).await?, label) {
                    found.push(last);
                }
            }
        }
        Ok(labels)
    }
}
