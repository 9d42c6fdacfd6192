//! Decodes ids that continue other ids: all at once, or incrementally as they are sampled.
//!
//! Decoders treat the beginning of a text differently (Llama's strips a space), so ids are decoded together
//! with a few ids before them. While ids arrive, a character with missing bytes is not part of the text
//! yet.

use regrowth_datasets::TokenId;

use super::tokenizer::DecodeStream;
use super::{CONTEXT, Tokenizer};
use crate::PolicyError;

/// Returns the text that `ids` add to the text of the ids before them.
///
/// # Errors
/// When an id is outside the vocabulary.
pub(crate) fn text_after(
    tokenizer: &Tokenizer,
    before: &[TokenId],
    ids: &[TokenId],
) -> Result<String, PolicyError> {
    added(tokenizer, context(tokenizer, before, false), ids, false)
}

/// Returns the text that `ids` add to the text of `context`, the ids right before them.
fn added(
    tokenizer: &Tokenizer,
    context: &[TokenId],
    ids: &[TokenId],
    special: bool,
) -> Result<String, PolicyError> {
    let whole = tokenizer.decode_as(&[context, ids].concat(), special)?;
    match whole.strip_prefix(tokenizer.decode_as(context, special)?.as_str()) {
        Some(text) => Ok(text.to_owned()),
        None => tokenizer.decode_as(ids, special),
    }
}

/// Returns the last ids of `before`; none if they end within a character.
fn context<'a>(tokenizer: &Tokenizer, before: &'a [TokenId], special: bool) -> &'a [TokenId] {
    let last = &before[before.len().saturating_sub(CONTEXT)..];
    let text = tokenizer.decode_as(last, special).unwrap_or_default();
    if text.ends_with('\u{fffd}') { &[] } else { last }
}

/// The decoded text of ids that arrive one after another.
#[derive(Debug, Clone, Default)]
pub(crate) struct IncrementalDetokenizer {
    text: String,
    /// The ids right before the text.
    context: Vec<TokenId>,
    /// Number of ids that were decoded.
    taken: usize,
    stream: DecodeStream,
}

impl IncrementalDetokenizer {
    /// Starts with an empty text after the ids `before`; `special` as in [`Self::follow`].
    pub(crate) fn after(tokenizer: &Tokenizer, before: &[TokenId], special: bool) -> Self {
        let context = context(tokenizer, before, special).to_vec();
        let stream = DecodeStream { ids: context.clone(), ..DecodeStream::default() };
        Self { stream, context, ..Self::default() }
    }

    /// Decodes the new ids of `all` and returns the text of all of them; if `special`, including special
    /// tokens. `all` must begin with the ids of the previous call.
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
        let Self { text, stream, .. } = self;
        match tokenizer.decode_more(new, special, stream) {
            Ok(piece) => text.push_str(&piece),
            // The decoder has changed text that it returned before, or an id is unknown. Decode everything
            // again.
            Err(_) => {
                *text = added(tokenizer, &self.context, all, special)?;
                let ids = [self.context.as_slice(), all].concat();
                *stream = DecodeStream { ids, ..DecodeStream::default() };
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

    /// A tokenizer of words and bytes, in the style of published models.
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

    /// Llama's decoder: underscores become spaces, bytes are joined, and one leading space is stripped.
    fn llama() -> Tokenizer {
        tokenizer(&json!({ "type": "Sequence", "decoders": [
            { "type": "Replace", "pattern": { "String": "\u{2581}" }, "content": " " },
            { "type": "ByteFallback" }, { "type": "Fuse" },
            { "type": "Strip", "content": " ", "start": 1, "stop": 0 },
        ] }))
    }

    /// A word or special token, one byte that is a character, or the three bytes of one character.
    fn characters() -> impl Strategy<Value = Vec<TokenId>> {
        let euro = "\u{20ac}".bytes().map(|byte| 7 + TokenId::from(byte)).collect::<Vec<_>>();
        prop_oneof![
            (0u32..6).prop_map(|id| vec![id]),
            (7 + 0x20..7 + 0x7Fu32).prop_map(|id| vec![id]),
            Just(euro),
        ]
    }

    #[test]
    fn a_step_keeps_the_space_that_begins_it() {
        let tokenizer = llama();
        let (before, step) = ([2, 3, 3], [2, 4, 3]);
        assert_eq!(tokenizer.decode(&step).unwrap(), "a b");
        assert_eq!(text_after(&tokenizer, &before, &step).unwrap(), " a b");
        let mut incremental_detokenizer = IncrementalDetokenizer::after(&tokenizer, &before, false);
        assert_eq!(incremental_detokenizer.follow(&tokenizer, &step, false).unwrap(), " a b");
        // After a special token, which has no visible text, the step begins the text.
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
        let mut incremental_detokenizer = IncrementalDetokenizer::default();
        assert_eq!(incremental_detokenizer.follow(&tokenizer, &[2], false).unwrap(), "\u{2581}a");
        assert_eq!(
            incremental_detokenizer.follow(&tokenizer, &[2, 3], false).unwrap(),
            "a long word"
        );
    }

    proptest! {
        #[test]
        fn text_that_grows_is_that_of_all_ids(
            before in prop::collection::vec(2u32..6, 0..20),
            ids in prop::collection::vec(characters(), 0..30).prop_map(|parts| parts.concat()),
            special: bool,
            by in 1usize..4,
        ) {
            let tokenizer = llama();
            let mut incremental_detokenizer = IncrementalDetokenizer::after(&tokenizer, &before, special);
            let head = tokenizer.decode_as(&before, special).unwrap();
            let all = [before.as_slice(), ids.as_slice()].concat();
            for end in (by..=ids.len()).step_by(by) {
                let text = incremental_detokenizer.follow(&tokenizer, &ids[..end], special).unwrap();
                let whole = tokenizer.decode_as(&all[..before.len() + end], special).unwrap();
                // Bytes of an incomplete character are held back.
                if !whole.contains('\u{fffd}') {
                    prop_assert_eq!(text, &whole[head.len()..]);
                    let at_once = text_after(&tokenizer, &before, &ids[..end]).unwrap();
                    prop_assert!(special || at_once == text);
                }
            }
        }
    }
}
