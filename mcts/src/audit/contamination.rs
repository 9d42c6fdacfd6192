//! Test problems that the pairs would train on: whole questions, and long word sequences from questions.

use std::collections::{BTreeSet, HashMap};

use regrowth_datasets::Problem;
use serde::{Deserialize, Serialize};

use super::row::AuditRow;
use super::words::words;

/// Number of words of a sequence that counts as overlap (GPT-3, arXiv:2005.14165, appendix C).
pub const OVERLAP_WORDS: usize = 13;
/// Minimum length in words of a question to look for: a shorter question occurs in many texts by chance (our
/// choice).
const SHORTEST_QUESTION: usize = 4;
/// Maximum number of test problems listed in a report.
const EXAMPLES: usize = 5;

/// Test problems found in the prompts and sides of pairs. Case, punctuation and spacing are ignored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contamination {
    /// Number of test problems.
    pub test_problems: u64,
    /// Number of test problems whose question is too short to look for (fewer than 4 words).
    pub too_short: u64,
    /// Number of test problems whose whole question occurs in a pair.
    pub exact: u64,
    /// Number of other test problems that share a sequence of [`OVERLAP_WORDS`] words with a pair.
    pub overlapping: u64,
    /// Number of pairs that contain a whole test question.
    pub pairs_exact: u64,
    /// Number of other pairs that share a sequence with a test question.
    pub pairs_overlapping: u64,
    /// Ids of the first test problems found; those found as a whole come first.
    pub examples: Vec<String>,
}

impl Contamination {
    /// Looks for the questions of `test` in `rows`.
    #[must_use]
    pub fn of(rows: &[AuditRow], test: &[Problem]) -> Self {
        let questions: Vec<Vec<String>> = test.iter().map(|p| words(&p.question)).collect();
        let index = Index::new(&questions);
        let (mut exact, mut overlapping) = (BTreeSet::new(), BTreeSet::new());
        let mut counts = Self { test_problems: test.len() as u64, ..Self::default() };
        for row in rows {
            let (mut whole, mut part) = (BTreeSet::new(), BTreeSet::new());
            for side in [&row.chosen, &row.rejected] {
                let text = words(&format!("{}\n{}", row.prompt, side.text));
                index.find(&text, &mut whole, &mut part);
            }
            counts.pairs_exact += u64::from(!whole.is_empty());
            counts.pairs_overlapping += u64::from(whole.is_empty() && !part.is_empty());
            exact.extend(whole);
            overlapping.extend(part);
        }
        overlapping.retain(|question| !exact.contains(question));
        counts.too_short = questions.iter().filter(|q| q.len() < SHORTEST_QUESTION).count() as u64;
        counts.exact = exact.len() as u64;
        counts.overlapping = overlapping.len() as u64;
        let found = exact.iter().chain(&overlapping).take(EXAMPLES);
        counts.examples = found.map(|&question: &usize| test[question].id.clone()).collect();
        counts
    }
}

/// Index of the questions' word sequences: if a text contains a sequence, its questions are compared.
struct Index<'a> {
    questions: &'a [Vec<String>],
    /// By number of words (at most [`OVERLAP_WORDS`]): sequences, and the indices of the questions that
    /// contain them. A short question is a single sequence.
    sequences: HashMap<usize, HashMap<&'a [String], Vec<usize>>>,
}

impl<'a> Index<'a> {
    fn new(questions: &'a [Vec<String>]) -> Self {
        let mut sequences: HashMap<usize, HashMap<&[String], Vec<usize>>> = HashMap::new();
        for (number, question) in questions.iter().enumerate() {
            if question.len() < SHORTEST_QUESTION {
                continue;
            }
            let n = question.len().min(OVERLAP_WORDS);
            let known = sequences.entry(n).or_default();
            question.windows(n).for_each(|words| known.entry(words).or_default().push(number));
        }
        Self { questions, sequences }
    }

    /// Adds to `whole` the questions that `text` contains as a whole, and to `part` those that share a
    /// sequence with it.
    fn find(&self, text: &[String], whole: &mut BTreeSet<usize>, part: &mut BTreeSet<usize>) {
        for (&n, known) in &self.sequences {
            for (at, sequence) in text.windows(n).enumerate() {
                for &number in known.get(sequence).into_iter().flatten() {
                    let question = &self.questions[number];
                    // A whole question is found at its first sequence.
                    match text[at..].starts_with(question) {
                        true => whole.insert(number),
                        false => part.insert(number),
                    };
                }
            }
        }
        part.retain(|number| !whole.contains(number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::row::AuditSide;
    use regrowth_datasets::AnswerKind;

    fn problem(id: &str, question: &str) -> Problem {
        Problem {
            id: id.to_owned(),
            source: "test".to_owned(),
            question: question.to_owned(),
            choices: Vec::new(),
            answer: "1".to_owned(),
            kind: AnswerKind::Number,
            solution: None,
            level: None,
        }
    }

    fn row(prompt: &str, chosen: &str) -> AuditRow {
        AuditRow {
            prompt: prompt.to_owned(),
            chosen: AuditSide { text: chosen.to_owned(), ..AuditSide::default() },
            ..AuditRow::default()
        }
    }

    #[test]
    fn whole_questions_and_long_sequences_are_told_apart() {
        let long = "a b c d e f g h i j k l m n o p";
        let test = [
            problem("whole", "How many apples, in all?"),
            problem("part", long),
            problem("short", "Why?"),
            problem("absent", "one two three four"),
        ];
        let rows = [
            row("Question: how many APPLES in all\nAnswer:", "why"),
            row("x b c d e f g h i j k l m", "n y"),
            row("a b c d e f g h i j k l", "five"),
            row("how many apples", "in all? 3"),
        ];
        let found = Contamination::of(&rows, &test);
        let counts = [found.exact, found.overlapping, found.pairs_exact, found.pairs_overlapping];
        assert_eq!(counts, [1, 1, 2, 1]);
        assert_eq!((found.test_problems, found.too_short), (4, 1));
        assert_eq!(found.examples, ["whole", "part"]);
    }
}
