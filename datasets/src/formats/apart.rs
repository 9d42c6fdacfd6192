//! Sets that publish the right answer in one column and the wrong ones in others, without labels: SciQ
//! (Welbl et al. 2017, arXiv:1707.06209), GPQA (Rein et al. 2023, arXiv:2311.12022) and TruthfulQA's
//! first form (Lin et al. 2021, arXiv:2109.07958). The options are shuffled and lettered. The order depends
//! on the texts alone, so the right option has different positions in different problems, but the same
//! position in every file and run.

use serde_json::Value;

use super::{choices, multiple_choice};
use crate::fault::Fault;
use crate::rows::{Row, scalar};
use crate::{Problem, content_hash, stream_key};

/// SciQ: question, correct_answer, distractor1 to distractor3.
pub(super) fn sciq(row: &Row) -> Result<Problem, Fault> {
    let wrong = ["distractor1", "distractor2", "distractor3"];
    let columns = Columns { question: "question", right: "correct_answer", wrong: &wrong };
    apart(row, b"sciq", &columns, &["id"])
}

/// GPQA: "Question", "Correct Answer", "Incorrect Answer 1" to 3.
pub(super) fn gpqa(row: &Row) -> Result<Problem, Fault> {
    let wrong = ["Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3"];
    let columns = Columns { question: "Question", right: "Correct Answer", wrong: &wrong };
    apart(row, b"gpqa", &columns, &["Record ID", "id"])
}

/// Names of the columns of the question and its answers.
struct Columns<'a> {
    question: &'a str,
    right: &'a str,
    wrong: &'a [&'a str],
}

fn apart(row: &Row, set: &[u8], columns: &Columns, ids: &[&str]) -> Result<Problem, Fault> {
    let &Columns { question, right, wrong } = columns;
    let question = row.text(question)?;
    let field = |name| {
        row.scalar(name).ok_or_else(|| Fault::of(name, "text that is not empty", row.get(name)))
    };
    let answer = field(right)?;
    let wrong = wrong.iter().map(|name| field(name)).collect::<Result<_, _>>()?;
    let problem = shuffled(set, question, right, answer, wrong)?;
    let id = ids.iter().find_map(|name| row.scalar(name));
    Ok(Problem { id: id.unwrap_or_default(), ..problem })
}

/// TruthfulQA with one right answer: question, mc1_targets {choices, labels}; one label is 1, the others
/// 0.
pub(super) fn truthfulqa(row: &Row) -> Result<Problem, Fault> {
    const NAME: &str = "mc1_targets";
    let question = row.text("question")?;
    let targets = row.get(NAME);
    let fault = || Fault::of(NAME, "{choices: [..], labels: [..]} with one label 1", targets);
    let list = |key| targets.and_then(|t| t.get(key)).and_then(Value::as_array);
    let (Some(texts), Some(labels)) = (list("choices"), list("labels")) else {
        return Err(fault());
    };
    let texts: Vec<String> = texts.iter().map(scalar).collect::<Option<_>>().ok_or_else(fault)?;
    let right: Vec<usize> = (0..labels.len()).filter(|&i| labels[i].as_u64() == Some(1)).collect();
    match right[..] {
        [place] if texts.len() == labels.len() => {
            let mut wrong = texts;
            let answer = wrong.remove(place);
            shuffled(b"truthfulqa", question, NAME, answer, wrong)
        }
        _ => Err(fault()),
    }
}

/// A problem whose options are ordered by a hash of `set`, question and option text. `name` is the column
/// of the right option.
fn shuffled(
    set: &[u8],
    question: &str,
    name: &str,
    right: String,
    wrong: Vec<String>,
) -> Result<Problem, Fault> {
    let key = content_hash(question);
    let mut texts = wrong;
    texts.push(right.clone());
    texts.sort_by_cached_key(|text| {
        (stream_key(0, &[set, key.as_bytes(), text.as_bytes()]), text.clone())
    });
    let place = texts.iter().position(|text| *text == right).unwrap_or_default();
    let choices = choices::lettered(texts).unwrap_or_default();
    let label = choices.get(place).map(|choice| choice.label.clone()).unwrap_or_default();
    multiple_choice(question.to_owned(), choices, name, &label)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::tests::row;

    fn sciq(question: &str, [a, b, c, d]: [&str; 4]) -> Problem {
        let json = format!(
            r#"{{"question": "{question}", "correct_answer": "{a}", "distractor1": "{b}", "distractor2": "{c}", "distractor3": "{d}"}}"#
        );
        super::sciq(&row(&json)).unwrap()
    }

    #[test]
    fn the_order_depends_on_the_texts_and_not_on_their_fields() {
        let a = sciq("Q?", ["iron", "tin", "lead", "zinc"]);
        let b = sciq("Q?", ["iron", "zinc", "tin", "lead"]);
        assert_eq!(a, b);
        let text = &a.choices.iter().find(|c| c.label == a.answer).unwrap().text;
        assert_eq!(text, "iron");
    }

    #[test]
    fn every_place_is_used_about_equally() {
        let mut counts = [0; 4];
        for i in 0..400 {
            let label = sciq(&format!("Question {i}?"), ["iron", "tin", "lead", "zinc"]).answer;
            counts["ABCD".find(&label).unwrap()] += 1;
        }
        // Mean 100, standard deviation 8.7.
        assert!(counts.iter().all(|n| (70..=130).contains(n)), "{counts:?}");
    }

    #[test]
    fn gpqa_and_truthfulqa_keep_the_right_option() {
        let gpqa = gpqa(&row(
            r#"{"Question": "Q?", "Correct Answer": "iron", "Incorrect Answer 1": "tin",
                "Incorrect Answer 2": "lead", "Incorrect Answer 3": "zinc", "Record ID": "rec1"}"#,
        ))
        .unwrap();
        let truthful = truthfulqa(&row(
            r#"{"question": "Q?", "mc1_targets": {"choices": ["iron", "tin"], "labels": [1, 0]}}"#,
        ))
        .unwrap();
        assert_eq!((gpqa.id.as_str(), gpqa.choices.len(), truthful.choices.len()), ("rec1", 4, 2));
        for p in [gpqa, truthful] {
            assert_eq!(p.choices.iter().find(|c| c.label == p.answer).unwrap().text, "iron");
        }
        let two = r#"{"question": "Q?", "mc1_targets": {"choices": ["a", "b"], "labels": [1, 1]}}"#;
        assert_eq!(truthfulqa(&row(two)).unwrap_err().field, "mc1_targets");
    }
}
