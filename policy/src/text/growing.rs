//! Text of ids that go on from others: all of it, or as they come.
//!
//! Decoders treat the beginning of a text differently (Llama's takes a space off it), so ids are
//! decoded with a few before them. It knows nothing of steps. While ids come, a character of which
//! bytes are missing is not in the text yet.

use regrowth_datasets::TokenId;

use super::{CONTEXT, Tokenizer};
use crate::PolicyError;

/// What `ids` add to the text of the ids before them.
///
/// # Errors
/// When an id is outside the vocabulary.
pub(crate) fn text_after(
    tokenizer: &Tokenizer,
    before: &[TokenId],
    ids: &[TokenId],
) -> Result<String, PolicyError> {
    let context = context(tokenizer, before, false);
    let whole = tokenizer.decode(&[context, ids].concat())?;
    match whole.strip_prefix(tokenizer.decode(context)?.as_str()) {
        Some(text) => Ok(text.to_owned()),
        None => tokenizer.decode(ids),
    }
}

/// The last ids of `before`, or none where they end within a character.
fn context<'a>(tokenizer: &Tokenizer, before: &'a [TokenId], special: bool) -> &'a [TokenId] {
    let last = &before[before.len().saturating_sub(CONTEXT)..];
    let text = tokenizer.decode_as(last, special).unwrap_or_default();
    if text.is_empty() || text.ends_with('\u{fffd}') { &[] } else { last }
}

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
    /// The text, none yet, that goes on from the ids `before`; with `special` as in
    /// [`Self::follow`].
    pub(crate) fn after(tokenizer: &Tokenizer, before: &[TokenId], special: bool) -> Self {
        Self { ids: context(tokenizer, before, special).to_vec(), ..Self::default() }
    }

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
    fn a_step_keeps_the_space_that_begins_it() {
        let tokenizer = llama();
        let (before, step) = ([2, 3, 3], [2, 4, 3]);
        assert_eq!(tokenizer.decode(&step).unwrap(), "a b");
        assert_eq!(text_after(&tokenizer, &before, &step).unwrap(), " a b");
        let mut growing = Growing::after(&tokenizer, &before, false);
        assert_eq!(growing.follow(&tokenizer, &step, false).unwrap(), " a b");
        // Where nothing that shows stands before it, it begins a text.
        assert_eq!(text_after(&tokenizer, &[0], &step).unwrap(), "a b");
        // The first two bytes of a character of three, then the third.
        let [first, second, third] = [0xE2, 0x82, 0xAC].map(|byte| 7 + byte);
        assert_eq!(text_after(&tokenizer, &[2, first, second], &[third, 3]).unwrap(), "\u{fffd}b");
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
            before in prop::collection::vec(2u32..7, 0..20),
            ids in prop::collection::vec(0u32..263, 0..40),
            special: bool,
            by in 1usize..4,
        ) {
            let tokenizer = llama();
            let mut growing = Growing::after(&tokenizer, &before, special);
            let head = tokenizer.decode_as(&before, special).unwrap();
            let all = [before.as_slice(), ids.as_slice()].concat();
            for end in (by..=ids.len()).step_by(by) {
                let text = growing.follow(&tokenizer, &ids[..end], special).unwrap();
                let whole = tokenizer.decode_as(&all[..before.len() + end], special).unwrap();
                // Bytes of a character that is not whole yet are held back; one that was written as
                // a mark for such may stand before.
                if !whole.ends_with('\u{fffd}') && !head.ends_with('\u{fffd}') {
                    prop_assert_eq!(text, &whole[head.len()..]);
                    let at_once = text_after(&tokenizer, &before, &ids[..end]).unwrap();
                    prop_assert!(special || at_once == text);
                }
            }
        }
    }
}
