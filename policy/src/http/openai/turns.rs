//! Recovers the turns of a chat from the text of its prompt.
//!
//! Everywhere else prompts are token ids made by a chat template, but a chat server needs the turns
//! themselves. The text that the template writes around turns is learnt from a chat whose turns are known.

use regrowth_datasets::Message;

use crate::text::{ChatTemplate, prompt, user};

/// Contents of the known chat from which the template's own text is learnt.
const PROBLEM: &str = "a problem";
const SOLUTION: &str = "a solution so far";
const QUESTION: &str = "a question about it";

/// An assistant turn.
pub(super) fn assistant(content: String) -> Message {
    Message { role: "assistant".into(), content }
}

/// Text that a chat template writes around turns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::http) struct Turns {
    /// Before the first turn.
    head: String,
    /// Between the first turn and the assistant's.
    open: String,
    /// Text before and after a question that follows the assistant turn; `None` if the template does not
    /// render one.
    again: Option<[String; 2]>,
}

/// A chat that ends within an assistant turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::http) struct Talk {
    problem: String,
    solution: String,
    /// A question about the solution, and the beginning of its answer; `None` if no question follows.
    asked: Option<[String; 2]>,
}

impl Turns {
    /// Learns the text around turns from a chat template; `None` if the template leaves out the messages'
    /// contents.
    pub(in crate::http) fn of(template: &ChatTemplate) -> Option<Self> {
        let first = prompt::chat(template, &[user(PROBLEM.into())], true).ok()?;
        let (head, open) = first.split_once(PROBLEM)?;
        let talk = [user(PROBLEM.into()), assistant(SOLUTION.into()), user(QUESTION.into())];
        let talk = prompt::chat(template, &talk, true).ok();
        let again = talk.as_deref().and_then(|talk| {
            let (_, rest) = talk.split_once(SOLUTION)?;
            let (before, after) = rest.split_once(QUESTION)?;
            Some([before.to_owned(), after.to_owned()])
        });
        (!open.is_empty()).then(|| Self { head: head.to_owned(), open: open.to_owned(), again })
    }

    /// Splits the text of a prompt into turns; `None` if this template did not make the prompt.
    pub(in crate::http) fn read(&self, text: &str) -> Option<Talk> {
        let rest = text.strip_prefix(self.head.as_str())?;
        let (problem, rest) = rest.split_once(self.open.as_str())?;
        let again = self.again.as_ref().and_then(|[before, after]| {
            let (solution, asked) = rest.rsplit_once(before.as_str())?;
            let (question, opening) = asked.split_once(after.as_str())?;
            Some((solution, [question.to_owned(), opening.to_owned()]))
        });
        let (solution, asked) = match again {
            Some((solution, asked)) => (solution, Some(asked)),
            None => (rest, None),
        };
        Some(Talk { problem: problem.to_owned(), solution: solution.to_owned(), asked })
    }
}

impl Talk {
    /// The problem and the solution so far.
    pub(super) fn opened(self) -> (String, String) {
        (self.problem, self.solution)
    }

    /// All turns; the last one is the assistant's and is to be continued.
    pub(super) fn messages(self) -> Vec<Message> {
        let mut messages = vec![user(self.problem), assistant(self.solution)];
        if let Some([question, opening]) = self.asked {
            messages.extend([user(question), assistant(opening)]);
        }
        messages
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHATML: &str = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n\
                          {% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

    #[test]
    fn turns_are_found_again() {
        for text in [CHATML, super::super::packed::TEMPLATE] {
            let template = ChatTemplate { text: text.into(), ..ChatTemplate::default() };
            let turns = Turns::of(&template).unwrap();
            let [problem, steps, question] = ["1 + 1?", "It is\n", "Right?\n(A) or (B)"];
            let opened = prompt::chat(&template, &[user(problem.into())], true).unwrap() + steps;
            let talk = turns.read(&opened).unwrap();
            assert_eq!(talk.opened(), (problem.to_owned(), steps.to_owned()));
            let [before, after] = turns.again.clone().unwrap();
            let asked = format!("{opened}{before}{question}{after}The answer is (");
            let messages = turns.read(&asked).unwrap().messages();
            let said: Vec<&str> = messages.iter().map(|m| m.content.as_str()).collect();
            assert_eq!(said, [problem, steps, question, "The answer is ("]);
        }
    }

    #[test]
    fn a_template_without_the_users_turn_is_none() {
        let template = ChatTemplate { text: "Hello".into(), ..ChatTemplate::default() };
        assert_eq!(Turns::of(&template), None);
    }
}
