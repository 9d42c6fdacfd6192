//! SciQ (Welbl et al. 2017, arXiv:1707.06209): the right answer and three distractors in fields of
//! their own, without labels. They get A to D in an order that the texts alone decide, so that the
//! right answer is not always at one place and is at the same place in every file and run.

use super::{choices, multiple_choice};
use crate::fault::Fault;
use crate::rows::Row;
use crate::{Problem, content_hash, stream_key};

const DISTRACTORS: [&str; 3] = ["distractor1", "distractor2", "distractor3"];

pub(super) fn problem(row: &Row) -> Result<Problem, Fault> {
    let question = row.text("question")?;
    let field = |name| {
        row.scalar(name).ok_or_else(|| Fault::of(name, "text that is not empty", row.get(name)))
    };
    let right = field("correct_answer")?;
    let mut texts = vec![right.clone()];
    for name in DISTRACTORS {
        texts.push(field(name)?);
    }
    let key = content_hash(question);
    texts.sort_by_cached_key(|text| {
        (stream_key(0, &[b"sciq", key.as_bytes(), text.as_bytes()]), text.clone())
    });
    let place = texts.iter().position(|text| *text == right).unwrap_or_default();
    let choices = choices::lettered(texts).unwrap_or_default();
    let label = choices[place].label.clone();
    let problem = multiple_choice(question.to_owned(), choices, "correct_answer", &label)?;
    Ok(Problem { id: row.scalar("id").unwrap_or_default(), ..problem })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::tests::row;

    fn sciq(question: &str, [a, b, c, d]: [&str; 4]) -> Problem {
        let json = format!(
            r#"{{"question": "{question}", "correct_answer": "{a}", "distractor1": "{b}", "distractor2": "{c}", "distractor3": "{d}"}}"#
        );
        problem(&row(&json)).unwrap()
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
}
