//! Thoughts that a prompt opens: chat templates of reasoning models end with `<think>`, so what the model
//! writes begins inside a thought and holds no more than its end.

use std::borrow::Cow;

use super::REASONING;

/// What the model says as a whole: `text` behind the mark of a thought, where its prompt ends with one.
#[must_use]
pub fn whole_turn<'a>(prompt: &str, text: &'a str) -> Cow<'a, str> {
    let prompt = prompt.trim_end();
    match REASONING.iter().find(|(open, _)| prompt.ends_with(open)) {
        Some((open, _)) => Cow::Owned(format!("{open}\n{text}")),
        None => Cow::Borrowed(text),
    }
}

/// Whether a thought is open where `turn` ends: whatever it says there is no answer yet.
#[must_use]
pub fn is_thinking(turn: &str) -> bool {
    let last = |marks: fn(&(&'static str, &'static str)) -> &'static str| {
        REASONING.iter().filter_map(|pair| turn.rfind(marks(pair))).max()
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
        ] {
            assert_eq!(is_thinking(turn), open, "{turn}");
        }
    }
}
