//! Answers between tags: `<answer>4</answer>`, and the special tokens with which some models box their
//! answer.
//!
//! An opening tag without a closing one marks an answer that was cut off.

use crate::fuel::Reason;

/// Opening and closing tags.
const TAGS: [(&str, &str); 8] = [
    ("<answer>", "</answer>"),
    ("<final_answer>", "</final_answer>"),
    ("<|begin_of_box|>", "<|end_of_box|>"),
    ("<|box_start|>", "<|box_end|>"),
    ("<ans>", "</ans>"),
    ("<choice>", "</choice>"),
    ("<box>", "</box>"),
    ("<boxed>", "</boxed>"),
];

/// Content of the pair of tags that is closed last; an error if a later opening tag is not closed. `None`
/// if there are no tags.
pub(crate) fn last(text: &str) -> Option<Result<&str, Reason>> {
    if !text.contains('<') {
        return None;
    }
    let closed = TAGS
        .iter()
        .filter_map(|(open, close)| {
            let end = text.rfind(close)?;
            let start = text[..end].rfind(open)? + open.len();
            let content = text[start..end].trim();
            (!content.is_empty()).then_some((end, content))
        })
        .max_by_key(|(end, _)| *end);
    let opened = TAGS.iter().filter_map(|(open, _)| text.rfind(open)).max();
    match (closed, opened) {
        (Some((end, _)), Some(open)) if open > end => Some(Err(Reason::Truncated)),
        (Some((_, content)), _) => Some(Ok(content)),
        (None, Some(_)) => Some(Err(Reason::Truncated)),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_pair_counts_and_an_open_one_is_cut_off() {
        assert_eq!(last("<answer>4</answer> <answer> 5 </answer>"), Some(Ok("5")));
        assert_eq!(last("<|begin_of_box|>B<|end_of_box|>"), Some(Ok("B")));
        assert_eq!(last("<answer>4</answer><answer>5"), Some(Err(Reason::Truncated)));
        assert_eq!(last("<answer>4"), Some(Err(Reason::Truncated)));
        assert_eq!(last("1 < 2"), None);
    }
}
