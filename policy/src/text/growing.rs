//! Text of a sequence of ids that grows: every id is decoded with a few before it, not with all.
//!
//! It knows nothing of steps. A character of which bytes are still to come is not in the text yet.

use regrowth_datasets::TokenId;

use super::Tokenizer;
use crate::PolicyError;

/// The decoded text of ids that come one after another.
#[derive(Debug, Clone, Default)]
pub(crate) struct Growing {
    text: String,
    /// How many ids are taken in.
    taken: usize,
    /// State of `tokenizers::step_decode_stream`: the last ids, their text, how many of them it is.
    ids: Vec<TokenId>,
    prefix: String,
    prefix_index: usize,
}

impl Growing {
    /// Takes in the ids of `all` that are new, and gives the text of all; with `special`, special
    /// tokens are part of it. `all` begins with what was taken in before.
    ///
    /// # Errors
    /// When an id is outside the vocabulary.
    pub(crate) fn follow(
        &mut self,
        tokenizer: &Tokenizer,
        all: &[TokenId],
        special: bool,
    ) -> Result<&str, PolicyError> {
        let new = all.get(self.taken..).unwrap_or_default();
        let Self { text, ids, prefix, prefix_index, .. } = self;
        match tokenizer.decode_more(new, special, ids, prefix, prefix_index) {
            Ok(piece) => text.push_str(&piece),
            // The decoder changes what it has written already, or does not know an id.
            Err(_) => {
                let text = tokenizer.decode_as(all, special)?;
                *self = Self { text, ids: all.to_vec(), ..Self::default() };
            }
        }
        self.taken = all.len();
        Ok(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    /// A tokenizer of words and bytes, written as published models write theirs.
    fn tokenizer(decoder: &Value) -> Tokenizer {
        let words = ["<s>", "</s>", "\u{2581}a", "b", "\u{2581}", "\n", "\u{fffd}"];
        let bytes = (0..=255u8).map(|byte| format!("<0x{byte:02X}>"));
        let words = words.iter().map(|w| (*w).to_owned()).chain(bytes);
        let vocab: serde_json::Map<String, Value> =
            words.enumerate().map(|(id, word)| (word, json!(id))).collect();
        let special = |id: u32, content: &str| {
            json!({ "id": id, "content": content, "single_word": false, "lstrip": false,
                    "rstrip": false, "normalized": false, "special": true })
        };
        let file = json!({
            "version": "1.0", "added_tokens": [special(0, "<s>"), special(1, "</s>")],
            "decoder": decoder,
            "model": { "type": "BPE", "vocab": vocab, "merges": [], "byte_fallback": true },
        });
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("tokenizer.json"), file.to_string()).unwrap();
        Tokenizer::from_files(dir.path(), &Value::Null).unwrap()
    }

    /// Llama's: spaces for underscores, bytes joined, one leading space taken off.
    fn llama() -> Tokenizer {
        tokenizer(&json!({ "type": "Sequence", "decoders": [
            { "type": "Replace", "pattern": { "String": "\u{2581}" }, "content": " " },
            { "type": "ByteFallback" }, { "type": "Fuse" },
            { "type": "Strip", "content": " ", "start": 1, "stop": 0 },
        ] }))
    }

    #[test]
    fn a_decoder_that_changes_what_it_wrote_is_given_everything() {
        let tokenizer = tokenizer(&json!({ "type": "Sequence", "decoders": [
            { "type": "Fuse" },
            { "type": "Replace", "pattern": { "Regex": "^.*b$" }, "content": "a long word" },
        ] }));
        let mut growing = Growing::default();
        assert_eq!(growing.follow(&tokenizer, &[2], false).unwrap(), "\u{2581}a");
        assert_eq!(growing.follow(&tokenizer, &[2, 3], false).unwrap(), "a long word");
    }

    proptest! {
        #[test]
        fn text_that_grows_is_that_of_all_ids(
            ids in prop::collection::vec(0u32..263, 0..40), special: bool, by in 1usize..4,
        ) {
            let (tokenizer, mut growing) = (llama(), Growing::default());
            for end in (by..=ids.len()).step_by(by) {
                let text = growing.follow(&tokenizer, &ids[..end], special).unwrap();
                let whole = tokenizer.decode_as(&ids[..end], special).unwrap();
                // Bytes of a character that is not whole yet are held back.
                if !whole.ends_with('\u{fffd}') {
                    prop_assert_eq!(text, whole);
                }
            }
        }
    }
}
