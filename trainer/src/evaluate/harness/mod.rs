//! Scores benchmarks item by item as the lm-evaluation-harness does (version 0.4.13): its prompts, few-shot
//! examples, stop strings, filters and metrics.
//!
//! `task` lists the tasks, `document` converts rows to items, `python_random` draws few-shot examples, `run`
//! sends the requests and counts. These figures are never mixed with those of `super::strategy`, which reads
//! answers in more forms.

mod document;
mod python_random;
mod run;
mod task;

use std::path::Path;

use regrowth_datasets::{DataError, RawRow, read_raw_rows};

use self::document::Document;
use self::python_random::PythonRandom;
pub use self::run::HarnessResult;
pub use self::task::HarnessTask;
use crate::TrainError;

/// Seed of the few-shot examples (`fewshot_random_seed` of lm-eval).
const FEW_SHOT_SEED: u32 = 1234;

/// Files of a task's items and few-shot examples.
#[derive(Debug, Clone, Copy)]
pub struct HarnessFiles<'a> {
    /// File of the items, in any container from which problems are read.
    pub items: &'a Path,
    /// File of the training part; `None` if the task has few-shot examples of its own.
    pub examples: Option<&'a Path>,
}

/// The items of a task with their prompts.
#[derive(Debug)]
pub struct Harness {
    task: HarnessTask,
    documents: Vec<Document>,
    /// Prompts with few-shot examples, one per document.
    prompts: Vec<String>,
    shots: usize,
    /// Number of items in the file.
    original: usize,
}

impl Harness {
    /// Reads the first `limit` items and builds their prompts with `shots` few-shot examples.
    ///
    /// # Errors
    /// [`TrainError::Data`] if a file cannot be read or a row does not fit the task; [`TrainError::Setting`]
    /// if the task draws its few-shot examples from a file, and none is given or it has too few.
    pub fn read(
        task: HarnessTask,
        files: HarnessFiles<'_>,
        shots: usize,
        limit: usize,
    ) -> Result<Self, TrainError> {
        let rows = read_raw_rows(files.items)?;
        let original = rows.len();
        let document = |row| Document::read(task, row, files.items);
        let documents: Vec<Document> =
            rows.into_iter().take(limit).map(document).collect::<Result<_, _>>()?;
        let mut examples = Examples::read(task, files.examples, shots)?;
        let prompts = documents.iter().map(|d| examples.before(shots) + &d.prompt).collect();
        Ok(Self { task, documents, prompts, shots, original })
    }

    /// The task.
    #[must_use]
    pub fn task(&self) -> HarnessTask {
        self.task
    }

    /// Number of few-shot examples in each prompt.
    #[must_use]
    pub fn shots(&self) -> usize {
        self.shots
    }

    /// Number of items in the file, and number of items evaluated.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        (self.original, self.documents.len())
    }

    /// The prompts, in the order of the items.
    #[must_use]
    pub fn prompts(&self) -> &[String] {
        &self.prompts
    }
}

/// Few-shot examples, and how they are chosen for each item.
struct Examples {
    texts: Vec<String>,
    /// Generator of the draws; `None` if the first examples are always used.
    drawn: Option<PythonRandom>,
}

impl Examples {
    fn read(task: HarnessTask, file: Option<&Path>, shots: usize) -> Result<Self, TrainError> {
        if shots == 0 {
            return Ok(Self { texts: Vec::new(), drawn: None });
        }
        let (documents, drawn) = match task.own_examples() {
            Some(rows) => (own(task, rows)?, None),
            None => (trained(task, file)?, Some(PythonRandom::new(FEW_SHOT_SEED))),
        };
        if documents.len() < shots {
            return Err(TrainError::Setting {
                name: "shots",
                detail: format!(
                    "is {shots}, but there are only {} worked examples",
                    documents.len()
                ),
            });
        }
        let texts = documents.iter().map(|d| format!("{} {}\n\n", d.prompt, d.target)).collect();
        Ok(Self { texts, drawn })
    }

    /// Returns the few-shot examples of the next item.
    fn before(&mut self, shots: usize) -> String {
        match &mut self.drawn {
            None => self.texts[..shots].concat(),
            Some(random) => {
                let places = random.sample(self.texts.len() as u32, shots);
                places.into_iter().map(|place| self.texts[place as usize].as_str()).collect()
            }
        }
    }
}

/// Reads the few-shot examples that belong to a task.
fn own(task: HarnessTask, rows: &str) -> Result<Vec<Document>, DataError> {
    let name = Path::new("worked examples of the task");
    let document = |(index, line): (usize, &str)| {
        let fields = serde_json::from_str(line).unwrap_or_default();
        Document::read(task, RawRow { line: index + 1, fields }, name)
    };
    rows.lines().enumerate().map(document).collect()
}

/// Reads the few-shot examples of the training part.
fn trained(task: HarnessTask, file: Option<&Path>) -> Result<Vec<Document>, TrainError> {
    let file = file.ok_or_else(|| TrainError::Setting {
        name: "shots-from",
        detail: "is missing: lm-eval draws this task's worked examples from the training part; name its \
                 file, or --shots 0"
            .into(),
    })?;
    let rows = read_raw_rows(file)?.into_iter();
    Ok(rows.map(|row| Document::read(task, row, file)).collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests;
