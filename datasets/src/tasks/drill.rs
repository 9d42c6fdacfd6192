//! Drills: the small skills that a solution is made of, as problems of their own.
//!
//! Facts of the four operations, recall of one number among several, copying a clause, one-hop and
//! option look-ups, listing what is left. A first recipe showed that a small model learns sums early
//! and binding late, so the first part of a corpus is rich in these. It knows nothing of the corpus.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::Task;
use super::words::{LABELS, OBJECTS, PEOPLE, PLACES, QUALITIES, chance, pick, pick_some};
use super::worked::final_line;
use crate::{AnswerKind, Choice, Problem, content_hash};

/// A drill of a task: a problem of level 0 and the lines to be learnt.
pub(super) fn drill(rng: &mut ChaCha8Rng, task: Task) -> (Problem, Vec<String>) {
    match (task, rng.random_range(0..3)) {
        (Task::Arithmetic, 0) => equation(rng),
        (Task::Arithmetic, 1) => recall(rng),
        (Task::Arithmetic, _) => echo(rng),
        (Task::Choice, 0) => look_up_label(rng, true),
        (Task::Choice, 1) => look_up_label(rng, false),
        (Task::Choice, _) => copy_fact(rng),
        (Task::Countdown, _) => equation(rng),
    }
}

/// `12 + 7` -> `12 + 7 = 19`.
fn equation(rng: &mut ChaCha8Rng) -> (Problem, Vec<String>) {
    let (text, result) = fact(rng);
    let question = format!("How many is {text}?");
    (
        free(question, result),
        vec![format!("Now: {text} = {result}\n"), final_line(&result.to_string())],
    )
}

/// An equation of numbers from 0 to 99, sums and differences more often.
fn fact(rng: &mut ChaCha8Rng) -> (String, u32) {
    match rng.random_range(0..6) {
        0 | 1 => {
            let sum = rng.random_range(2..=99);
            let a = rng.random_range(1..sum);
            (format!("{a} + {}", sum - a), sum)
        }
        2 | 3 => {
            let a = rng.random_range(2..=99);
            let b = rng.random_range(1..=a);
            (format!("{a} - {b}"), a - b)
        }
        4 => {
            let a = rng.random_range(2..=20);
            let b = rng.random_range(2..=(99 / a).min(9));
            (format!("{a} * {b}"), a * b)
        }
        _ => {
            let b = rng.random_range(2..=5);
            let quotient = rng.random_range(1..=99 / b);
            (format!("{} / {b}", quotient * b), quotient)
        }
    }
}

/// Several people have several things; how many has one of them?
fn recall(rng: &mut ChaCha8Rng) -> (Problem, Vec<String>) {
    let size = rng.random_range(2..=4);
    let people = pick_some(rng, &PEOPLE, size);
    let objects = pick_some(rng, &OBJECTS, size);
    let numbers: Vec<u32> = (0..size).map(|_| rng.random_range(2..=99)).collect();
    let facts: Vec<String> =
        (0..size).map(|i| format!("{} has {} {}.", people[i].0, numbers[i], objects[i])).collect();
    let at = rng.random_range(0..size);
    let question =
        format!("{} How many {} does {} have?", facts.join(" "), objects[at], people[at].0);
    let steps = vec![format!("{}\n", facts[at]), final_line(&numbers[at].to_string())];
    (free(question, numbers[at]), steps)
}

/// One event among a few sentences, echoed and computed: the smallest word problem.
fn echo(rng: &mut ChaCha8Rng) -> (Problem, Vec<String>) {
    let cast = pick_some(rng, &PEOPLE, 2);
    let ((name, pronoun), (friend, _)) = (cast[0], cast[1]);
    let object = *pick(rng, &OBJECTS);
    let start = rng.random_range(4..=60);
    let gains = chance(rng, 0.5);
    let amount = rng.random_range(2..=if gains { 99 - start } else { start });
    let (rest, sign, result) = if gains {
        (format!("buys {amount} more"), '+', start + amount)
    } else {
        (format!("gives {amount} to {friend}"), '-', start - amount)
    };
    let question = format!(
        "{name} has {start} {object}. {pronoun} {rest}. How many {object} does {name} have now?"
    );
    let line = format!("{pronoun} {rest}: {start} {sign} {amount} = {result}\n");
    (free(question, result), vec![line, final_line(&result.to_string())])
}

/// Which option says this? With the answer line in words before the label, or the label at once.
fn look_up_label(rng: &mut ChaCha8Rng, in_words: bool) -> (Problem, Vec<String>) {
    let list = if chance(rng, 0.5) { &PLACES } else { &QUALITIES };
    let options = pick_some(rng, list, LABELS.len());
    let at = rng.random_range(0..options.len());
    let question = format!("Which option is {}?", options[at]);
    let line = in_words.then(|| format!("So it is {}.\n", options[at]));
    let steps = line.into_iter().chain([final_line(LABELS[at])]).collect();
    (with_options(question, &options, at), steps)
}

/// Several facts; which is said of one subject?
fn copy_fact(rng: &mut ChaCha8Rng) -> (Problem, Vec<String>) {
    let size = rng.random_range(2..=4);
    let subjects = pick_some(rng, &PLACES, size);
    let options = pick_some(rng, &QUALITIES, LABELS.len());
    let ends = pick_some(rng, &options, size);
    let facts: Vec<String> =
        (0..size).map(|i| format!("The {} is {}.", subjects[i], ends[i])).collect();
    let asked = rng.random_range(0..size);
    let at = options.iter().position(|&o| o == ends[asked]).unwrap_or_default();
    let question = format!("{} What is the {} like?", facts.join(" "), subjects[asked]);
    let steps = vec![
        format!("{}\n", facts[asked]),
        format!("So it is {}.\n", ends[asked]),
        final_line(LABELS[at]),
    ];
    (with_options(question, &options, at), steps)
}

/// A problem with a number as its answer.
fn free(question: String, answer: u32) -> Problem {
    problem(question, Vec::new(), answer.to_string(), AnswerKind::Number)
}

/// A problem with options of which `at` is right.
fn with_options(question: String, options: &[&str], at: usize) -> Problem {
    let choices = LABELS
        .iter()
        .zip(options)
        .map(|(label, text)| Choice { label: (*label).into(), text: (*text).into() })
        .collect();
    problem(question, choices, LABELS[at].into(), AnswerKind::Choice)
}

fn problem(question: String, choices: Vec<Choice>, answer: String, kind: AnswerKind) -> Problem {
    Problem {
        id: format!("drill-{}", content_hash(&question)),
        source: "builtin:drill".into(),
        question,
        choices,
        answer,
        kind,
        solution: None,
        level: Some(0),
    }
}
