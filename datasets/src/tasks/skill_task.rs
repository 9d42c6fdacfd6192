//! Skill tasks: the single skills that a solution needs, as problems of their own.
//!
//! Facts of the four operations, recall of one number among several, copying a clause, repeating facts or
//! options in another order. In a first recipe a small model learnt sums early and binding late, so the
//! first part of a corpus contains many skill tasks.

use std::collections::BTreeSet;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::choice::{Relation, answer_line};
use super::task::Task;
use super::words::{
    ANIMALS, FOODS, LABELS, NAMES, OBJECTS, PEOPLE, PLACES, QUALITIES, chance, pick, pick_some,
    shuffle,
};
use super::worked::final_line;
use crate::{AnswerKind, Choice, Problem, content_hash};

/// A skill task: a problem of level 0, and the lines to learn.
pub(super) fn skill_task(rng: &mut ChaCha8Rng, task: Task) -> (Problem, Vec<String>) {
    match (task, rng.random_range(0..3)) {
        (Task::Arithmetic, 0) => equation(rng),
        (Task::Arithmetic, 1) => recall(rng),
        (Task::Arithmetic, _) => echo(rng),
        (Task::Choice, _) if chance(rng, 0.5) => recite(rng),
        (Task::Choice, _) => list_options(rng),
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

/// Recall: several people have several things; how many does one of them have?
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

/// One event among a few sentences, repeated and computed: the smallest word problem.
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

/// Copying: a list of words, repeated from one of its words to the end. No knowledge is needed, only one
/// look-up per word.
///
/// Binding consists of looking up the word that followed the same word earlier. A model of this size learnt
/// it from 0.4 million tokens of this skill task alone, and not at all from 6 million tokens of problems.
pub(super) fn copy(rng: &mut ChaCha8Rng) -> (Problem, Vec<String>) {
    let all = [&NAMES[..], &ANIMALS, &FOODS, &PLACES, &QUALITIES, &OBJECTS].concat();
    let size = rng.random_range(8..=30);
    let words = pick_some(rng, &all, size);
    let start = rng.random_range(0..size / 2);
    let line = format!("Words: {}.", words[start..].join(" "));
    let question = format!("Words: {}. What is said?", words.join(" "));
    (problem(question, Vec::new(), line.clone(), AnswerKind::Text), vec![line])
}

/// Several facts, all repeated in another order: a look-up in every line.
fn recite(rng: &mut ChaCha8Rng) -> (Problem, Vec<String>) {
    let size = rng.random_range(2..=9);
    let mut relation = *pick(rng, &Relation::ALL);
    let (mut known, mut facts) = (BTreeSet::new(), Vec::new());
    while facts.len() < size {
        if chance(rng, 0.3) {
            relation = *pick(rng, &Relation::ALL);
        }
        let (subjects, objects) = relation.sides();
        let subject = subjects[rng.random_range(0..subjects.len())];
        let fact = relation.sentence(subject, objects[rng.random_range(0..objects.len())]);
        if known.insert(format!("{relation:?} {subject}")) {
            facts.push(fact);
        }
    }
    let question = format!("{} What is said?", facts.join(" "));
    shuffle(rng, &mut facts);
    let last = facts.last().cloned().unwrap_or_default();
    (problem(question, Vec::new(), last, AnswerKind::Text), lines(facts))
}

/// All options with their labels, in another order.
fn list_options(rng: &mut ChaCha8Rng) -> (Problem, Vec<String>) {
    let relation = *pick(rng, &Relation::ALL);
    let options = pick_some(rng, relation.sides().1, LABELS.len());
    let mut labelled: Vec<_> = options.iter().zip(LABELS).collect();
    shuffle(rng, &mut labelled);
    let at = labelled.last().and_then(|&(_, l)| LABELS.iter().position(|&label| label == l));
    let steps = labelled.iter().map(|&(option, label)| answer_line(option, label)).collect();
    let question = "Which option is which?".to_owned();
    (with_options(question, &options, at.unwrap_or_default()), lines(steps))
}

/// Sentences as lines, without a line break after the last.
fn lines(sentences: Vec<String>) -> Vec<String> {
    let last = sentences.len().saturating_sub(1);
    let line = |(i, s): (usize, String)| {
        let text = s.trim_end();
        if i < last { format!("{text}\n") } else { text.to_owned() }
    };
    sentences.into_iter().enumerate().map(line).collect()
}

/// A problem with a number as its answer.
fn free(question: String, answer: u32) -> Problem {
    problem(question, Vec::new(), answer.to_string(), AnswerKind::Number)
}

/// A problem with these options; option `at` is right.
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
