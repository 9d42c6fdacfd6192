//! Named prompt forms, and forms in a user's file.
//!
//! Forms ask for an answer format that the verifiers parse. `plain` has no such instruction, nor has `gsm8k`
//! with worked examples or for a model that completes text. A form is one minijinja template with the
//! variables of [`values`], so a file can do everything that a named form does.

use std::path::Path;

use minijinja::{Value, context};
use regrowth_datasets::{AnswerKind, Choice, Problem};

use super::super::template::{self, Checked};
use crate::{Exemplar, PolicyError, PromptName};

/// Variables of a template.
const VARIABLES: [&str; 6] = ["question", "choices", "labels", "kind", "shots", "chat"];

/// Problem with its options on separate lines. `$of` is the prefix of the variables: empty for the problem,
/// `s.` for a worked example.
macro_rules! task {
    ($of:literal) => {
        concat!(
            "{{ ",
            $of,
            "question }}",
            "{% for c in ",
            $of,
            "choices %}\n({{ c.label }}) {{ c.text }}{% endfor %}"
        )
    };
}

/// Instruction of `boxed`: the sentence of the authors of Qwen2.5-Math and DeepSeek-R1, in the user turn, as
/// the authors of DeepSeek-R1 recommend.
macro_rules! boxed {
    ($of:literal) => {
        concat!(
            task!($of),
            "\n\nPlease reason step by step, and put ",
            "{% if ",
            $of,
            "choices %}the label of the right option ({{ ",
            $of,
            "labels }})",
            "{% elif kind == \"countdown\" %}your final expression",
            "{% else %}your final answer{% endif %} within \\boxed{}."
        )
    };
}

/// Instruction of `choice` if there are options.
macro_rules! choice {
    ($of:literal) => {
        concat!(
            task!($of),
            "\n\nPlease reason step by step, and end with a line of the form \"Answer: label\", ",
            "where label is that of the right option: {{ ",
            $of,
            "labels }}."
        )
    };
}

/// Adds a line break after the prompt of a model that completes text, so that the solution begins on the
/// next line.
macro_rules! begun {
    ($($prompt:tt)*) => {
        concat!($($prompt)*, "{% if not chat %}\n{% endif %}")
    };
}

const BOXED_SHOT: &str = concat!(
    boxed!("s."),
    "\n{{ s.solution }}{% if \"\\\\boxed\" not in s.solution %}\n",
    "The final answer is {{ \"\\\\boxed{\" ~ s.answer ~ \"}\" }}.{% endif %}\n\n"
);

const CHOICE_SHOT: &str = concat!(choice!("s."), "\n{{ s.solution }}\nAnswer: {{ s.answer }}\n\n");

const GSM8K: &str = concat!(
    "{% for s in shots %}Question: ",
    task!("s."),
    "\nAnswer: {{ s.solution }}\n#### {{ s.answer }}\n\n{% endfor %}",
    "{% if shots or not chat %}Question: ",
    task!(""),
    "\nAnswer:{% else %}",
    task!(""),
    "\n\nSolve it step by step. End with a line of the form \"#### answer\"",
    "{% if choices %}, the answer being the label of the right option ({{ labels }})",
    "{% endif %}.{% endif %}"
);

const PLAIN: &str = begun!(task!(""));

/// Returns the template of a named form.
pub(super) fn template(name: &PromptName) -> Result<String, PolicyError> {
    let boxed =
        || format!("{{% for s in shots %}}{BOXED_SHOT}{{% endfor %}}{}", begun!(boxed!("")));
    Ok(match name {
        PromptName::Boxed => boxed(),
        PromptName::Choice => format!(
            "{{% if choices %}}{{% for s in shots %}}{CHOICE_SHOT}{{% endfor %}}{}{{% else %}}{}\
             {{% endif %}}",
            begun!(choice!("")),
            boxed()
        ),
        PromptName::Gsm8k => GSM8K.to_owned(),
        PromptName::Plain => PLAIN.to_owned(),
        PromptName::File(path) => of_file(path)?,
    })
}

/// Returns the default form of a model: labels and boxed answers for a chat model, worked solutions for a
/// model that completes text.
pub(super) fn default_name(chat: bool) -> PromptName {
    if chat { PromptName::Choice } else { PromptName::Gsm8k }
}

/// Reads and checks a template in a file. A last line break is dropped, because editors add it.
fn of_file(path: &Path) -> Result<String, PolicyError> {
    let fail = |detail: String| PolicyError::PromptFile { path: path.to_owned(), detail };
    let text = std::fs::read_to_string(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => {
            let names = PromptName::NAMES.map(|(name, _)| name).join(", ");
            let path = path.display();
            PolicyError::Prompt(format!(
                "--prompt {path}: no such form and no such file; expected {names}, or the path of a \
                 template"
            ))
        }
        _ => fail(e.to_string()),
    })?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    match template::check(text, &VARIABLES) {
        Checked::Good => Ok(text.to_owned()),
        Checked::Malformed { line, detail } => Err(fail(format!("line {line}: {detail}"))),
        Checked::Unknown { line, name } => Err(fail(format!(
            "line {line}: there is no variable `{name}`; expected {}",
            VARIABLES.join(", ")
        ))),
    }
}

/// Whether a template shows worked examples.
pub(super) fn shows_shots(template: &str) -> bool {
    template::uses(template, "shots")
}

/// Returns the variables of a template for a problem.
pub(super) fn of_problem(problem: &Problem, shots: &[Exemplar], chat: bool) -> Value {
    let kind = match problem.kind {
        AnswerKind::Number => "number",
        AnswerKind::Math => "math",
        AnswerKind::Choice => "choice",
        AnswerKind::Countdown { .. } => "countdown",
        AnswerKind::Text => "text",
    };
    values(&problem.question, &problem.choices, kind, shots, chat)
}

/// Returns the variables of a template for a question without options.
pub(super) fn of_question(question: &str, shots: &[Exemplar], chat: bool) -> Value {
    values(question, &[], "text", shots, chat)
}

fn values(question: &str, choices: &[Choice], kind: &str, shots: &[Exemplar], chat: bool) -> Value {
    let shot = |s: &Exemplar| {
        context! {
            question => s.question.as_str(), choices => options(&s.choices), labels => labels(&s.choices),
            solution => s.solution.as_str(), answer => s.answer.as_str(),
        }
    };
    let shots: Vec<Value> = shots.iter().map(shot).collect();
    let (labels, choices) = (labels(choices), options(choices));
    context! { question, choices, labels, kind, shots, chat }
}

/// Returns options as template values.
pub(super) fn options(choices: &[Choice]) -> Vec<Value> {
    let value = |c: &Choice| context! { label => c.label.as_str(), text => c.text.as_str() };
    choices.iter().map(value).collect()
}

/// Joins the problem's labels as in `A, B, C or D`.
fn labels(choices: &[Choice]) -> String {
    let labels: Vec<&str> = choices.iter().map(|c| c.label.as_str()).collect();
    match labels.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        Some((last, _)) => (*last).to_owned(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PromptOptions;
    use crate::text::PromptForm;

    const BOX: &str = "Please reason step by step, and put your final answer within \\boxed{}.";

    fn problem(kind: AnswerKind, labels: &[&str]) -> Problem {
        let choice = |label: &&str| Choice { label: (*label).into(), text: format!("no {label}") };
        Problem {
            id: "p".into(),
            source: "test".into(),
            question: "How many?".into(),
            choices: labels.iter().map(choice).collect(),
            answer: "2".into(),
            kind,
            solution: None,
            level: None,
        }
    }

    fn sum() -> Problem {
        problem(AnswerKind::Number, &[])
    }

    fn shots(solution: &str) -> PromptOptions {
        let shot = Exemplar {
            question: "1 + 2?".into(),
            choices: vec![],
            solution: solution.into(),
            answer: "3".into(),
        };
        PromptOptions { form: None, shots: vec![shot].into() }
    }

    fn asked(chat: bool, wanted: &PromptOptions, problem: &Problem) -> String {
        PromptForm::of_kind(chat, wanted).unwrap().bare(problem).unwrap()
    }

    fn form(name: PromptName, chat: bool, problem: &Problem) -> String {
        let wanted = PromptOptions { form: Some(name), ..PromptOptions::default() };
        asked(chat, &wanted, problem)
    }

    #[test]
    fn a_chat_model_boxes_its_answer_or_names_a_label_of_the_problem_s_own() {
        let default = |problem: &Problem| asked(true, &PromptOptions::default(), problem);
        assert_eq!(default(&sum()), format!("How many?\n\n{BOX}"));
        let countdown = AnswerKind::Countdown { numbers: vec![1, 2], target: 3 };
        let countdown = default(&problem(countdown, &[]));
        assert!(countdown.ends_with("put your final expression within \\boxed{}."), "{countdown}");
        let digits = default(&problem(AnswerKind::Choice, &["1", "2", "3", "4"]));
        assert_eq!(
            digits,
            "How many?\n(1) no 1\n(2) no 2\n(3) no 3\n(4) no 4\n\nPlease reason step by step, and \
             end with a line of the form \"Answer: label\", where label is that of the right \
             option: 1, 2, 3 or 4."
        );
        let letters = default(&problem(AnswerKind::Choice, &["A", "B"]));
        assert!(letters.ends_with("option: A or B."), "{letters}");
    }

    #[test]
    fn a_model_that_completes_text_is_asked_as_gsm8k_after_worked_examples() {
        let none = PromptOptions::default();
        assert_eq!(asked(false, &none, &sum()), "Question: How many?\nAnswer:");
        assert_eq!(
            asked(false, &none, &problem(AnswerKind::Choice, &["A", "B"])),
            "Question: How many?\n(A) no A\n(B) no B\nAnswer:"
        );
        assert_eq!(
            asked(false, &shots("1 + 2 = 3"), &sum()),
            "Question: 1 + 2?\nAnswer: 1 + 2 = 3\n#### 3\n\nQuestion: How many?\nAnswer:"
        );
    }

    #[test]
    fn every_named_form_says_which_answer_it_wants() {
        let options = problem(AnswerKind::Choice, &["A", "B"]);
        for chat in [true, false] {
            let end = if chat { "" } else { "\n" };
            let boxed = form(PromptName::Boxed, chat, &options);
            let label = "put the label of the right option (A or B) within \\boxed{}.";
            assert!(boxed.ends_with(&format!("{label}{end}")), "{boxed}");
            assert_eq!(form(PromptName::Choice, chat, &sum()), format!("How many?\n\n{BOX}{end}"));
            let plain = form(PromptName::Plain, chat, &options);
            assert_eq!(plain, format!("How many?\n(A) no A\n(B) no B{end}"));
        }
        assert_eq!(
            form(PromptName::Gsm8k, true, &options),
            "How many?\n(A) no A\n(B) no B\n\nSolve it step by step. End with a line of the form \
             \"#### answer\", the answer being the label of the right option (A or B)."
        );
    }

    #[test]
    fn examples_are_worked_in_the_wording_of_the_form() {
        let boxed = |solution: &str| {
            let wanted = PromptOptions { form: Some(PromptName::Boxed), ..shots(solution) };
            asked(true, &wanted, &sum())
        };
        let first = format!("1 + 2?\n\n{BOX}\n1 + 2 = 3\nThe final answer is \\boxed{{3}}.\n\n");
        assert_eq!(boxed("1 + 2 = 3"), format!("{first}How many?\n\n{BOX}"));
        let own = boxed("It is \\boxed{3}.");
        assert!(own.starts_with(&format!("1 + 2?\n\n{BOX}\nIt is \\boxed{{3}}.\n\nHow")), "{own}");
        let plain = PromptOptions { form: Some(PromptName::Plain), ..shots("1 + 2 = 3") };
        let error = PromptForm::of_kind(true, &plain).unwrap_err().to_string();
        assert!(error.contains("`plain` shows no worked examples"), "{error}");
    }

    #[test]
    fn a_form_in_a_file_sees_all_variables_and_its_mistakes_have_a_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("form.txt");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            let wanted =
                PromptOptions { form: Some(PromptName::File(path.clone())), ..shots("so") };
            PromptForm::of_kind(true, &wanted)
        };
        let text = "{{ kind }} {{ chat }} {{ labels }}:\n{% for c in choices %}{{ c.label }}{% endfor %} \
                    {% for s in shots %}{{ s.question }}={{ s.answer }}, {{ s.solution }}{% endfor %}\n\
                    {{ question }}\n";
        let found = read(text).unwrap().bare(&problem(AnswerKind::Choice, &["A", "B"])).unwrap();
        assert_eq!(found, "choice True A or B:\nAB 1 + 2?=3, so\nHow many?");
        for (text, expected) in [
            ("{{ question }}\n{% for s in shots %}", "line 2: "),
            (
                "{{ shots }}\n{{ question }}\n{{ quetsion }}",
                "line 3: there is no variable `quetsion`",
            ),
            ("{{ question }}", "its template does not use `shots`"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains("form.txt") && error.contains(expected), "{error}");
        }
        let absent = PromptOptions {
            form: Some(PromptName::File(dir.path().join("boxd"))),
            ..PromptOptions::default()
        };
        let error = PromptForm::of_kind(true, &absent).unwrap_err().to_string();
        assert!(error.contains("no such form and no such file; expected boxed"), "{error}");
    }
}
