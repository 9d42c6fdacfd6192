//! Text of ids that go on from others: all of it, or as they come.
//!
//! Decoders treat the beginning of a text differently (Llama's takes a space off it), so ids are
//! decoded with a few before them. While ids come, a character of which bytes are missing is not in
//! the text yet.

use regrowth_datasets::TokenId;

use super::tokenizer::DecodeStream;
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
    added(tokenizer, context(tokenizer, before, false), ids, false)
}

/// What `ids` add to the text of the ids right before them.
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

/// The last ids of `before`, or none where they end within a character.
fn context<'a>(tokenizer: &Tokenizer, before: &'a [TokenId], special: bool) -> &'a [TokenId] {
    let last = &before[before.len().saturating_sub(CONTEXT)..];
    let text = tokenizer.decode_as(last, special).unwrap_or_default();
    if text.ends_with('\u{fffd}') { &[] } else { last }
}

/// The decoded text of ids that come one after another.
#[derive(Debug, Clone, Default)]
pub(crate) struct IncrementalDetokenizer {
    text: String,
    /// The ids right before the text.
    context: Vec<TokenId>,
    /// How many ids are taken in.
    taken: usize,
    stream: DecodeStream,
}

impl IncrementalDetokenizer {
    /// The text, none yet, that goes on from the ids `before`; with `special` as in
    /// [`Self::follow`].
    pub(crate) fn after(tokenizer: &Tokenizer, before: &[TokenId], special: bool) -> Self {
        let context = context(tokenizer, before, special).to_vec();
        let stream = DecodeStream { ids: context.clone(), ..DecodeStream::default() };
        Self { stream, context, ..Self::default() }
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
        let Self { text, stream, .. } = self;
        match tokenizer.decode_more(new, special, stream) {
            Ok(piece) => text.push_str(&piece),
            // The decoder changes what it has written already, or does not know an id.
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

    /// A word or special token, the byte of one character, or the three bytes of one.
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
                // Bytes of a character that is not whole yet are held back.
                if !whole.contains('\u{fffd}') {
                    prop_assert_eq!(text, &whole[head.len()..]);
                    let at_once = text_after(&tokenizer, &before, &ids[..end]).unwrap();
                    prop_assert!(special || at_once == text);
                }
            }
        }
    }
}
