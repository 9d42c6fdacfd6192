//! The judge's question: right after a step, or in a fresh prompt that restates problem and solution.

use minijinja::context;
use regrowth_datasets::Message;
use serde::Serialize;

use super::super::template::render;
use super::super::tokenizer::Tokenizer;
use super::{ChatTemplate, PromptForm, chat, forms};
use crate::{Ask, PolicyError, Restated};

/// The paper's self-evaluation question in our words (docs/paper.md).
pub(super) const JUDGE: &str = "{% if hint %}\nA reference solution:\n{{ hint }}\n{% endif %}\n\
    Is the last step above correct? \
    {% if correct_first %}(A) Correct (B) Incorrect{% else %}(A) Incorrect (B) Correct{% endif %}\n\
    The answer is (";

/// Text before a question about grades if the judge sees a reference solution.
const HINT: &str = "{% if hint %}\nA reference solution:\n{{ hint }}\n{% endif %}";

/// Text before the judge's question in a fresh prompt (the paper's form, our words).
const RESTATED: &str = "A problem:\n{{ question }}\n\
    {% for c in choices %}({{ c.label }}) {{ c.text }}\n{% endfor %}\n\
    Its solution so far:\n{{ solution }}";

/// Text and question of a fresh prompt about the whole solution so far (the form of the authors' code, our
/// words). The reference solution comes before the proposed one.
const DIRECTION: [&str; 2] = [
    "A problem:\n{{ question }}\n\
     {% for c in choices %}({{ c.label }}) {{ c.text }}\n{% endfor %}\n\
     {% if hint %}A solution that is known to be right:\n{{ hint }}\n\n{% endif %}\
     A proposed solution so far:\n{{ solution }}",
    "Does the proposed solution head in the right direction\
     {% if hint %}, going by the one that is right{% endif %}?\n\
     {% if correct_first %}(A) Correct\n(B) Incorrect{% else %}(A) Incorrect\n(B) Correct{% endif %}\n\
     The answer is (",
];

/// Placeholders for solution and question in a conversation that is rendered to find the template's text
/// around them.
const SOLUTION: &str = "a solution so far";
const QUESTION: &str = "a question about it";

/// A judge's fresh prompt, for a user turn or as plain text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Restating {
    /// Problem and solution; the same for both orders of the options.
    pub(crate) body: String,
    /// The question, and separately its last line, which the label completes.
    pub(crate) question: [String; 2],
}

/// The text that a chat template puts around a question that the user asks after the assistant's unfinished
/// solution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JudgeTurn {
    /// Ends the assistant's turn and begins the user's.
    before: String,
    /// Ends the user's turn and begins the assistant's next.
    after: String,
}

impl JudgeTurn {
    /// Returns the text that ends the assistant's turn.
    #[cfg(feature = "http")]
    pub(crate) fn end_of_answer(&self) -> &str {
        &self.before
    }

    /// Returns a conversation whose rendering shows the text around its last turn.
    pub(crate) fn talk() -> [Message; 3] {
        [("user", "a problem"), ("assistant", SOLUTION), ("user", QUESTION)]
            .map(|(role, content)| Message { role: role.into(), content: content.into() })
    }

    /// Extracts the text from a chat template; `None` if the template fails to render the conversation.
    pub(crate) fn rendered(template: &ChatTemplate) -> Option<Self> {
        chat(template, &Self::talk(), true).ok().as_deref().and_then(Self::of)
    }

    /// Extracts the text from the rendered conversation; `None` if a turn is missing.
    pub(crate) fn of(talk: &str) -> Option<Self> {
        let (_, rest) = talk.split_once(SOLUTION)?;
        let (before, after) = rest.split_once(QUESTION)?;
        Some(Self { before: before.to_owned(), after: after.to_owned() })
    }
}

impl PromptForm {
    /// Returns the question about a step with this text: in a chat as a user turn, otherwise on a separate
    /// line.
    ///
    /// In a chat, the last line of the template becomes the beginning of the assistant's answer. A template
    /// with one line continues the solution itself.
    ///
    /// # Errors
    /// When the template fails.
    pub fn question(
        &self,
        step: &str,
        correct_first: bool,
        hint: Option<&str>,
    ) -> Result<String, PolicyError> {
        self.asking(step, Ask::Options { correct_first }, hint)
    }

    /// Returns [`Self::question`] for any kind of question.
    pub(crate) fn asking(
        &self,
        step: &str,
        ask: Ask<'_>,
        hint: Option<&str>,
    ) -> Result<String, PolicyError> {
        let asked = words(&self.judge, ask, hint)?;
        let text = on_its_own_line(step, &asked);
        let parts = text.trim_start().rsplit_once('\n');
        Ok(match (&self.turn, parts) {
            (Some(JudgeTurn { before, after }), Some((asked, open))) => {
                format!("{before}{}{after}{open}", asked.trim_end())
            }
            _ => text,
        })
    }

    /// Renders the parts of a judge's fresh prompt.
    ///
    /// # Errors
    /// When a template fails.
    pub(crate) fn restating(
        &self,
        restated: &Restated,
        ask: Ask<'_>,
        hint: Option<&str>,
    ) -> Result<Restating, PolicyError> {
        let (question, solution) = (restated.question.as_str(), restated.solution.as_str());
        let choices = forms::options(&restated.choices);
        let (template, options) = match restated.direction {
            true => (DIRECTION[0], DIRECTION[1]),
            false => (self.restated.as_deref().unwrap_or(RESTATED), self.judge.as_str()),
        };
        let body = render(template, context! { question, choices, solution, hint })?;
        let asked = on_its_own_line(&body, &words(options, ask, hint)?);
        let last = asked.rfind('\n').map_or(0, |at| at + 1);
        let question = [asked[..last].to_owned(), asked[last..].to_owned()];
        Ok(Restating { body, question })
    }

    /// Renders a judge's fresh prompt as text. Also returns the number of bytes before the question.
    ///
    /// # Errors
    /// When a template fails.
    pub fn render_restated(
        &self,
        restated: &Restated,
        ask: Ask<'_>,
        hint: Option<&str>,
        tokenizer: &Tokenizer,
    ) -> Result<(String, usize), PolicyError> {
        let Restating { body, question: [asked, open] } = self.restating(restated, ask, hint)?;
        let text = self.framed(format!("{body}{asked}"), tokenizer)? + &open;
        // If the chat template trims the turn, the body is not found; then the full text counts as the
        // question.
        let before = text.find(&body).map_or(0, |at| at + body.len());
        Ok((text, before))
    }
}

/// Renders the words of the question with the template `options`. For grades they are the user's own words,
/// which are not a template.
fn words(options: &str, ask: Ask<'_>, hint: Option<&str>) -> Result<String, PolicyError> {
    match ask {
        Ask::Options { correct_first } => render(options, context! { correct_first, hint }),
        Ask::Grades(grades) => Ok(render(HINT, context! { hint })? + "\n" + &grades.question),
    }
}

/// Returns `asked` on a separate line after `text`.
fn on_its_own_line(text: &str, asked: &str) -> String {
    let line = if text.ends_with('\n') { "" } else { "\n" };
    format!("{line}{asked}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Grades, PromptOptions};
    use regrowth_datasets::Choice;

    const FIRST: Ask<'static> = Ask::Options { correct_first: true };

    #[test]
    fn the_judge_question_offers_both_orders() {
        let form = PromptForm::of_kind(false, &PromptOptions::default()).unwrap();
        let first = form.question("2\n", true, None).unwrap();
        assert!(first.contains("(A) Correct (B) Incorrect") && first.ends_with("is ("));
        assert!(form.question("2", false, None).unwrap().contains("(B) Correct"));
        assert!(form.question("2", true, Some("1 + 1 = 2")).unwrap().contains("1 + 1 = 2"));
        assert_eq!(form.question("2", true, None).unwrap(), format!("\n{first}"));
    }

    #[test]
    fn grades_are_asked_for_in_the_users_own_words() {
        let grades =
            Grades { question: "How good, {{ x }}?\nGrade: (".into(), ..Grades::default() };
        let ask = Ask::Grades(&grades);
        let mut form = PromptForm::of_kind(false, &PromptOptions::default()).unwrap();
        let asked = |form: &PromptForm, hint| form.asking("1 + 1 = 2\n", ask, hint).unwrap();
        assert_eq!(asked(&form, None), "\nHow good, {{ x }}?\nGrade: (");
        let hinted = "\nA reference solution:\n2\n\nHow good, {{ x }}?\nGrade: (";
        assert_eq!(asked(&form, Some("2")), hinted);
        form.turn =
            JudgeTurn::of("a solution so far<end><user>a question about it<end><assistant>");
        assert_eq!(asked(&form, None), "<end><user>How good, {{ x }}?<end><assistant>Grade: (");
    }

    #[test]
    fn in_a_chat_the_judge_is_asked_in_a_turn_of_the_user() {
        let talk = "<user>a problem<end><assistant>a solution so far<end><user>a question about it<end>\
                    <assistant>";
        let mut form = PromptForm::of_kind(true, &PromptOptions::default()).unwrap();
        form.turn = JudgeTurn::of(talk);
        assert_eq!(
            form.question("1 + 1 = 2\n", true, Some("2")).unwrap(),
            "<end><user>A reference solution:\n2\n\nIs the last step above correct? (A) Correct (B) \
             Incorrect<end><assistant>The answer is ("
        );
        // A question of one line has no separate last line that could begin the assistant's answer.
        form.judge = "Right? A or B:".into();
        assert_eq!(form.question("1 + 1 = 2", true, None).unwrap(), "\nRight? A or B:");
        assert_eq!(JudgeTurn::of("<user>a problem<end><user>a question about it<end>"), None);
    }

    #[test]
    fn a_judge_s_own_prompt_restates_problem_and_solution_before_the_question() {
        let form = PromptForm::of_kind(false, &PromptOptions::default()).unwrap();
        let choice = |label: &str, text: &str| Choice { label: label.into(), text: text.into() };
        let restated = Restated {
            question: "1 + 1?".into(),
            choices: vec![choice("A", "two"), choice("B", "three")],
            solution: "1 + 1 = 2".into(),
            direction: false,
        };
        let found = form.restating(&restated, FIRST, None).unwrap();
        assert_eq!(
            found.body,
            "A problem:\n1 + 1?\n(A) two\n(B) three\n\nIts solution so far:\n1 + 1 = 2"
        );
        let [asked, open] = &found.question;
        assert!(asked.starts_with('\n') && asked.ends_with("(B) Incorrect\n"), "{asked:?}");
        assert_eq!(open, "The answer is (");
        let own = PromptForm { restated: Some("{{ solution }}\n".into()), ..form };
        assert_eq!(own.restating(&restated, FIRST, None).unwrap().body, "1 + 1 = 2\n");
    }

    #[test]
    fn a_question_about_the_direction_shows_what_is_right_before_the_solution() {
        let form = PromptForm::of_kind(false, &PromptOptions::default()).unwrap();
        let restated = Restated {
            question: "1 + 1?".into(),
            choices: vec![],
            solution: "One more than 1 is 2.\n".into(),
            direction: true,
        };
        let asked = |correct_first, hint| {
            let ask = Ask::Options { correct_first };
            let Restating { body, question: [asked, open] } =
                form.restating(&restated, ask, hint).unwrap();
            body + &asked + &open
        };
        assert_eq!(
            asked(false, Some("1 + 1 = 2")),
            "A problem:\n1 + 1?\n\nA solution that is known to be right:\n1 + 1 = 2\n\n\
             A proposed solution so far:\nOne more than 1 is 2.\n\
             Does the proposed solution head in the right direction, going by the one that is right?\n\
             (A) Incorrect\n(B) Correct\nThe answer is ("
        );
        let unaided = asked(true, None);
        assert!(unaided.contains("direction?\n(A) Correct\n(B) Incorrect\n"), "{unaided}");
        assert!(!unaided.contains("known to be right"));
    }
}
