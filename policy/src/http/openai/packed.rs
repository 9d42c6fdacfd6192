//! Token ids for text without a tokenizer: up to three bytes of UTF-8 per id, the first byte lowest.
//!
//! Text and ids are converted into each other without a server. A new id begins at each word, and before and
//! after line breaks, so that a step that is cut between two ids ends at the end of a word. Budgets in tokens
//! then count these ids; a token of a model has about four letters.

use regrowth_datasets::TokenId;

/// Number of bytes per id.
const BYTES: usize = 3;

/// Marks of a user turn and of an assistant turn in the text of a prompt: code points that no other text may
/// contain, so [`clean`] replaces them.
pub(super) const USER: char = '\u{fdd0}';
pub(super) const ASSISTANT: char = '\u{fdd1}';

/// A chat template that writes these marks.
pub(in crate::http) const TEMPLATE: &str = "{% for m in messages %}\
    {% if m.role == 'assistant' %}\u{fdd1}{% else %}\u{fdd0}{% endif %}{{ m.content }}{% endfor %}\
    {% if add_generation_prompt %}\u{fdd1}{% endif %}";

/// Ids of a text.
pub(in crate::http) fn encode(text: &str) -> Vec<TokenId> {
    let mut ids = Vec::with_capacity(text.len() / 2);
    let (mut id, mut held, mut before) = (0u32, 0usize, None);
    for c in text.chars() {
        if held > 0 && before.is_some_and(|before| parts(before, c)) {
            ids.push(std::mem::take(&mut id));
            held = 0;
        }
        for &byte in c.encode_utf8(&mut [0; 4]).as_bytes() {
            if held == BYTES {
                ids.push(std::mem::take(&mut id));
                held = 0;
            }
            id |= u32::from(byte) << (8 * held);
            held += 1;
        }
        before = Some(c);
    }
    if held > 0 {
        ids.push(id);
    }
    ids
}

/// Whether two neighbouring characters belong to different ids.
fn parts(before: char, c: char) -> bool {
    let is_mark = |c| matches!(c, USER | ASSISTANT);
    is_mark(before)
        || is_mark(c)
        || (c == '\n') != (before == '\n')
        || c.is_whitespace() && !before.is_whitespace()
}

/// Text of ids, with the marks of turns.
pub(in crate::http) fn decode(ids: &[TokenId]) -> String {
    let of = |id: &TokenId| {
        let bytes = id.to_le_bytes();
        let used = bytes[..BYTES].iter().rposition(|byte| *byte != 0).map_or(1, |last| last + 1);
        bytes.into_iter().take(used)
    };
    String::from_utf8_lossy(&ids.iter().flat_map(of).collect::<Vec<u8>>()).into_owned()
}

/// Text without the marks of turns.
pub(in crate::http) fn without_marks(text: &str) -> String {
    text.replace([USER, ASSISTANT], "")
}

/// Text of a user or a model, with marks and NUL replaced.
pub(in crate::http) fn clean(text: &str) -> String {
    text.replace([USER, ASSISTANT, '\0'], "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_and_line_breaks_begin_an_id() {
        let pieces = |text: &str| -> Vec<String> {
            encode(text).iter().map(|id| decode(std::slice::from_ref(id))).collect()
        };
        assert_eq!(pieces("So 12.\n\nA"), ["So", " 12", ".", "\n\n", "A"]);
        assert_eq!(pieces("\u{fdd0}Hi\u{fdd1}x"), ["\u{fdd0}", "Hi", "\u{fdd1}", "x"]);
    }

    proptest! {
        #[test]
        fn text_comes_back(text in ".{0,40}", more in "\\PC{0,20}") {
            let text = clean(&text);
            prop_assert_eq!(&decode(&encode(&text)), &text);
            let both = [encode(&text), encode(&clean(&more))].concat();
            prop_assert_eq!(decode(&both), text + &clean(&more));
        }
    }
}
