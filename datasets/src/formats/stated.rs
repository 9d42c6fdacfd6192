//! Extracts the reference from a worked solution in the answer column: after `####` (GSM8K), in `<answer>`
//! tags, or in the last `\boxed{}` of a text of several lines. Readers of open questions call it, so that a
//! whole solution is never used as the reference. Text without such a mark is the reference itself.

use super::gsm8k::ANSWER_MARK;
use super::{math, number};
use crate::AnswerKind;
use crate::fault::{Fault, quote};

/// Longest text reference, in characters, that a solution may be expected to repeat word for word; not
/// tuned.
const LONG: usize = 100;

const TAGS: (&str, &str) = ("<answer>", "</answer>");

/// A reference, and the worked solution from which it was extracted.
#[derive(Debug, PartialEq)]
pub(super) struct Stated {
    pub answer: String,
    pub solution: Option<String>,
}

/// The reference in `text` of column `name`: extracted from a solution, or `text` itself.
///
/// # Errors
/// Text with `####` or answer tags that do not contain one final answer.
pub(super) fn stated(name: &str, text: &str) -> Result<Stated, Fault> {
    if let Some((solution, end)) = text.rsplit_once(ANSWER_MARK) {
        let expected = "a solution that ends in `#### N`, or the answer alone";
        let answer = of_last_line(end).ok_or_else(|| Fault::new(name, expected, quote(end)))?;
        return Ok(Stated { answer, solution: filled(solution) });
    }
    if let Some((solution, end)) = text.rsplit_once(TAGS.0) {
        let expected = "one answer in `<answer>` tags, or the answer alone";
        let answer = end.split_once(TAGS.1).and_then(|(inside, _)| filled(inside));
        let answer = answer.ok_or_else(|| Fault::new(name, expected, quote(end)))?;
        return Ok(Stated { answer, solution: filled(solution) });
    }
    // A box in a single line may be part of the answer itself; the verifier unwraps it.
    let boxed = math::last_boxed(text).filter(|_| text.contains('\n')).and_then(filled);
    Ok(match boxed {
        Some(answer) => Stated { answer, solution: filled(text) },
        None => Stated { answer: text.to_owned(), solution: None },
    })
}

/// The answer after the last `####`: a number, mathematics or one word, alone on its line. MetaMath
/// repeats it on the next line, `The answer is: N`.
fn of_last_line(text: &str) -> Option<String> {
    let (line, rest) = text.trim_start().split_once('\n').unwrap_or((text.trim(), ""));
    let (line, rest) = (line.trim(), rest.trim().trim_end_matches('.'));
    let plain = number::plain(line);
    let fits = match number::kind_of(line) {
        AnswerKind::Text => !line.is_empty() && !line.contains(char::is_whitespace),
        _ => true,
    };
    let repeated = rest.strip_suffix(line).is_some_and(|before| !before.contains('\n'));
    (fits && (rest.is_empty() || repeated)).then(|| plain.unwrap_or_else(|| line.to_owned()))
}

fn filled(text: &str) -> Option<String> {
    Some(text.trim()).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// Whether a reference looks like a solution or an essay, so that no answer can equal it.
pub(crate) fn is_doubtful(answer: &str, kind: &AnswerKind) -> bool {
    let lines = answer.trim().lines().count();
    match kind {
        AnswerKind::Text => lines > 1 || answer.chars().count() > LONG,
        // Matrices and cases are written over several lines.
        AnswerKind::Math => lines > 1 && !answer.contains("\\begin"),
        AnswerKind::Number => {
            let digits = answer.chars().any(char::is_numeric);
            lines > 1 || !digits && answer.split_whitespace().count() > 1
        }
        AnswerKind::Choice | AnswerKind::Countdown { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_is_what_a_solution_states() {
        let cases = [
            ("It is 3+4=7\n#### 7", "7", Some("It is 3+4=7")),
            ("so\n#### $1,200 ", "1200", Some("so")),
            ("#### 7", "7", None),
            ("so\n#### \\frac{1}{2}", "\\frac{1}{2}", Some("so")),
            ("so\n#### yes", "yes", Some("so")),
            ("so\n#### 7\nThe answer is: 7", "7", Some("so")),
            ("<think>so</think><answer> 7 </answer>", "7", Some("<think>so</think>")),
            ("so\n$\\boxed{7}$.", "7", Some("so\n$\\boxed{7}$.")),
            ("$\\boxed{7}$ or $\\boxed{8}$", "$\\boxed{7}$ or $\\boxed{8}$", None),
            ("so\nthe answer is 7", "so\nthe answer is 7", None),
            ("Paris", "Paris", None),
        ];
        for (text, answer, solution) in cases {
            let wanted = Stated { answer: answer.into(), solution: solution.map(str::to_owned) };
            assert_eq!(stated("answer", text), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn a_mark_without_one_answer_is_refused_by_name() {
        for text in [
            "so\n#### ",
            "so\n#### The answer is 7",
            "#### Step 1\nWe add.",
            "so\n#### 7\nThe answer is: 8",
            "so <answer>",
            "so <answer> </answer>",
        ] {
            assert_eq!(stated("result", text).unwrap_err().field, "result", "{text}");
        }
    }

    #[test]
    fn long_texts_and_several_lines_are_doubtful() {
        let long = "word ".repeat(30);
        assert!(is_doubtful("so\nit is", &AnswerKind::Text));
        assert!(is_doubtful(&long, &AnswerKind::Text));
        assert!(is_doubtful("x = 1\ny = 2", &AnswerKind::Math));
        assert!(is_doubtful("about five", &AnswerKind::Number));
        assert!(!is_doubtful("five", &AnswerKind::Number));
        assert!(!is_doubtful("\\begin{pmatrix} 1 \\\\\n 2 \\end{pmatrix}", &AnswerKind::Math));
        assert!(!is_doubtful(&"x+".repeat(90), &AnswerKind::Math));
        assert!(!is_doubtful("the capital of France", &AnswerKind::Text));
    }
}
