//! Separates thinking sections from the answer: `<think>` blocks and similar ones, and the channels of
//! gpt-oss before its `final` channel.
//!
//! Chat templates of reasoning models may end with the opening mark, so the output begins inside a
//! thought and contains only its end. Everything before a closing mark is thought; an output with nothing
//! after that mark states nothing.

use std::borrow::Cow;

/// Opening and closing marks.
const MARKS: [(&str, &str); 8] = [
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),
    ("\u{25c1}think\u{25b7}", "\u{25c1}/think\u{25b7}"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
];

/// Opening mark of the solution after a thought.
const SOLUTION: &str = "<|begin_of_solution|>";
/// Marks before the name of a channel and before its message.
const CHANNEL: &str = "<|channel|>";
const MESSAGE: &str = "<|message|>";
/// Name of the channel with the answer.
const FINAL: &str = "final";
/// Channel names in the output of a server that removes the marks: "analysis... assistantfinal...".
const UNMARKED: (&str, &str) = ("analysis", "assistantfinal");

/// Whether a text may contain a mark of a thought or of a chat template.
pub(super) fn is_marked(text: &str) -> bool {
    text.contains('<')
        || text.contains("THINK]")
        || text.contains('\u{25c1}')
        || text.starts_with(UNMARKED.0)
}

/// The text after all thoughts; empty if the text ends inside a thought or directly after one.
pub(super) fn behind_thoughts(text: &str) -> &str {
    if text.contains(CHANNEL) {
        return final_message(text).unwrap_or_default();
    }
    if let Some(at) = text.find(UNMARKED.1).filter(|_| text.starts_with(UNMARKED.0)) {
        return &text[at + UNMARKED.1.len()..];
    }
    let closed = MARKS.iter().filter_map(|(_, close)| Some(text.rfind(close)? + close.len())).max();
    let after = &text[closed.unwrap_or(0)..];
    let open = MARKS.iter().filter_map(|(open, _)| after.find(open)).min();
    let said = &after[..open.unwrap_or(after.len())];
    said.trim_start().strip_prefix(SOLUTION).unwrap_or(said)
}

/// The message of the last channel, if that is the final channel.
fn final_message(text: &str) -> Option<&str> {
    let (_, last) = text.rsplit_once(CHANNEL)?;
    let (_, message) = last.trim_start().strip_prefix(FINAL)?.split_once(MESSAGE)?;
    Some(message)
}

/// The complete turn of the model: if the prompt ends with the opening mark of a thought, that mark
/// followed by `text`.
#[must_use]
pub fn whole_turn<'a>(prompt: &str, text: &'a str) -> Cow<'a, str> {
    let prompt = prompt.trim_end();
    let channel = prompt.rfind(CHANNEL).filter(|_| prompt.ends_with(MESSAGE));
    let open = match channel {
        Some(at) => Some(&prompt[at..]),
        None => MARKS.iter().map(|(open, _)| *open).find(|open| prompt.ends_with(open)),
    };
    match open {
        Some(open) => Cow::Owned(format!("{open}\n{text}")),
        None => Cow::Borrowed(text),
    }
}

/// Whether a thought is still open at the end of `turn`, so that its text is no answer yet.
#[must_use]
pub fn is_thinking(turn: &str) -> bool {
    if turn.contains(CHANNEL) {
        return final_message(turn).is_none();
    }
    let last = |marks: fn(&(&'static str, &'static str)) -> &'static str| {
        MARKS.iter().filter_map(|pair| turn.rfind(marks(pair))).max()
    };
    last(|pair| pair.0) > last(|pair| pair.1)
}

#[cfg(test)]
mod tests {
    use regrowth_datasets::{Finish, Split, tasks::problems_from_spec};

    use super::*;
    use crate::Statement;

    #[test]
    fn a_thought_that_the_prompt_opened_states_nothing_before_its_end() {
        let problem = problems_from_spec("arithmetic", Split::Train, 0).unwrap().next().unwrap();
        let read = |prompt: &str, text: &str| {
            Statement::of(&problem, &whole_turn(prompt, text), Finish::Eos).answer
        };
        let (plain, opened) = ("<|assistant|>\n", "<|assistant|>\n<think>\n");
        let guess = "Maybe it is \\boxed{4}. But wait";
        assert_eq!((read(plain, guess), read(opened, guess)), ("4".into(), String::new()));
        let thought = format!("{guess}\n</think>\n\n\\boxed{{5}}");
        assert_eq!(read(opened, &thought), "5");
    }

    #[test]
    fn a_thought_is_open_until_its_end() {
        for (turn, open) in [
            ("4", false),
            ("<think>4", true),
            ("<think>4</think>5", false),
            ("<think>4</think>5<think>", true),
            ("4</think>5", false),
            ("<seed:think>4", true),
            ("<|begin_of_thought|>4", true),
            ("<|channel|>analysis<|message|>4", true),
            (
                "<|channel|>analysis<|message|>4<|end|><|start|>assistant<|channel|>final<|message|>5",
                false,
            ),
        ] {
            assert_eq!(is_thinking(turn), open, "{turn}");
        }
    }

    #[test]
    fn only_what_is_behind_the_thoughts_is_said() {
        for (text, said) in [
            ("<think>4</think>5", "5"),
            ("The answer is 4.\n</think>", ""),
            ("4</seed:think>5", "5"),
            ("<seed:think>4", ""),
            ("<think>4</think>5<think>6", "5"),
            ("<|begin_of_thought|>4<|end_of_thought|>\n<|begin_of_solution|>5", "5"),
            ("<|channel|>analysis<|message|>4<|end|>", ""),
            (
                "<|channel|>analysis<|message|>4<|end|><|start|>assistant<|channel|>final<|message|>5",
                "5",
            ),
            ("analysis4 it is.assistantfinal5", "5"),
            ("analysis shows 5", "analysis shows 5"),
        ] {
            assert_eq!(behind_thoughts(text), said, "{text}");
        }
    }

    #[test]
    fn a_channel_that_the_prompt_opened_is_part_of_the_turn() {
        let prompt = "<|start|>assistant<|channel|>analysis<|message|>";
        assert!(is_thinking(&whole_turn(prompt, "4")));
        assert!(!is_thinking(&whole_turn("<|start|>assistant<|channel|>final<|message|>", "4")));
    }
}
