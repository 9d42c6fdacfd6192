//! Tests of the tasks through their public API; a small evaluator derives every answer again.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::{AnswerKind, Problem, Split};

const SPLITS: [Split; 3] = [Split::Train, Split::Validation, Split::Test];

/// Value of an expression with spaces between all its parts; `None` if it is malformed or a division is
/// not exact.
fn evaluate(text: &str) -> Option<i64> {
    let words: Vec<&str> = text.split(' ').collect();
    let mut at = 0;
    let value = sum(&words, &mut at)?;
    (at == words.len()).then_some(value)
}

fn sum(words: &[&str], at: &mut usize) -> Option<i64> {
    let mut value = product(words, at)?;
    while let Some(sign @ ("+" | "-")) = words.get(*at).copied() {
        *at += 1;
        let right = product(words, at)?;
        value = if sign == "+" { value + right } else { value - right };
    }
    Some(value)
}

fn product(words: &[&str], at: &mut usize) -> Option<i64> {
    let mut value = factor(words, at)?;
    while let Some(sign @ ("*" | "/")) = words.get(*at).copied() {
        *at += 1;
        let right = factor(words, at)?;
        value = match sign {
            "*" => value * right,
            _ if right != 0 && value % right == 0 => value / right,
            _ => return None,
        };
    }
    Some(value)
}

fn factor(words: &[&str], at: &mut usize) -> Option<i64> {
    let word = *words.get(*at)?;
    *at += 1;
    if word != "(" {
        return word.parse().ok();
    }
    let value = sum(words, at)?;
    *at += 1;
    (words.get(*at - 1) == Some(&")")).then_some(value)
}

/// All integers in a text.
fn numbers(text: &str) -> Vec<i64> {
    text.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok()).collect()
}

/// The lines before the last, and the text after `#### `.
fn parts(solution: &str) -> (Vec<&str>, &str) {
    let (lines, answer) = solution.rsplit_once('\n').unwrap_or(("", solution));
    (lines.lines().collect(), answer.strip_prefix("#### ").expect("a last line"))
}

fn take(task: Task, split: Split, seed: u64, n: usize) -> Vec<Problem> {
    task.problems(split, seed).take(n).collect()
}

/// Checks an equation line, adds its result to the known numbers and returns it.
fn check_line(line: &str, known: &mut BTreeSet<i64>) -> i64 {
    let (_, equation) = line.split_once(": ").expect("clause: equation");
    let (expression, result) = equation.split_once(" = ").expect("expression = result");
    let result: i64 = result.parse().expect("a number");
    assert_eq!(evaluate(expression), Some(result), "{line}");
    assert!((0..=99).contains(&result), "{line}");
    for number in numbers(expression) {
        assert!(known.contains(&number), "{number} of `{line}` comes from nowhere");
    }
    known.insert(result);
    result
}

#[test]
fn arithmetic_solutions_are_right() {
    for problem in take(Task::Arithmetic, Split::Train, 11, 1_500) {
        let (lines, answer) = parts(problem.solution.as_deref().unwrap());
        let mut known: BTreeSet<i64> = numbers(&problem.question).into_iter().collect();
        if problem.question.contains(" half ") {
            known.insert(2);
        }
        assert!(known.iter().all(|n| (0..=99).contains(n)));
        let last = lines.iter().map(|line| check_line(line, &mut known)).last();
        assert_eq!(last, answer.parse().ok(), "{problem:?}");
        assert_eq!(answer, problem.answer);
        assert_eq!(lines.len(), problem.level.unwrap() as usize);
        assert_eq!(problem.kind, AnswerKind::Number);
    }
}

#[test]
fn choice_solutions_walk_facts_of_the_question() {
    let mut positions = BTreeMap::new();
    for problem in take(Task::Choice, Split::Train, 12, 2_000) {
        let texts: BTreeSet<&str> = problem.choices.iter().map(|c| c.text.as_str()).collect();
        assert_eq!(texts.len(), 4, "options are distinct");
        let (lines, label) = parts(problem.solution.as_deref().unwrap());
        let (stated, hops) = lines.split_last().unwrap();
        assert_eq!(hops.len(), problem.level.unwrap() as usize);
        assert!(hops.iter().all(|hop| problem.question.contains(hop)), "{problem:?}");
        let option = problem.choices.iter().find(|c| c.label == label).unwrap();
        assert_eq!(*stated, format!("So it is {} {label}", option.text));
        assert!(hops[hops.len() - 1].contains(&option.text));
        assert_eq!(label, problem.answer);
        let mentioned = |c: &&crate::Choice| problem.question.contains(&format!(" {}.", c.text));
        assert!(problem.choices.iter().filter(mentioned).count() >= 2, "a rival shares the words");
        *positions.entry(label.to_owned()).or_insert(0) += 1;
    }
    // Four standard deviations of 500 are 77.
    assert!(positions.values().all(|n| (423..=577).contains(n)), "{positions:?}");
}

#[test]
fn countdown_answers_reach_the_target() {
    for spec in ["countdown", "countdown:3"] {
        for problem in problems_from_spec(spec, Split::Train, 13).unwrap().take(700) {
            let AnswerKind::Countdown { numbers: given, target } = &problem.kind else {
                panic!("{problem:?}")
            };
            assert_eq!(evaluate(&problem.answer), Some(i64::from(*target)), "{problem:?}");
            let mut free: Vec<i64> = given.iter().map(|&n| n.into()).collect();
            for number in numbers(&problem.answer) {
                let at = free.iter().position(|&n| n == number).expect("used at most once");
                free.remove(at);
            }
            let (lines, answer) = parts(problem.solution.as_deref().unwrap());
            assert_eq!(answer, problem.answer);
            assert!((10..=99).contains(target) && given.iter().all(|n| (1..=20).contains(n)));
            for line in lines {
                let (equation, _) = line.split_once(", left ").unwrap();
                let (expression, result) = equation.split_once(" = ").unwrap();
                assert_eq!(evaluate(expression), result.parse().ok(), "{line}");
                assert!((1..=99).contains(&evaluate(expression).unwrap()), "{line}");
            }
        }
    }
}

#[test]
fn splits_never_meet_whatever_the_seeds() {
    for task in Task::ALL {
        let mut home = BTreeMap::new();
        for (seed, split) in [1, 2].into_iter().flat_map(|seed| SPLITS.map(|s| (seed, s))) {
            for problem in take(task, split, seed, 300) {
                let key = match &problem.kind {
                    AnswerKind::Countdown { numbers, .. } => {
                        let mut sorted = numbers.clone();
                        sorted.sort_unstable();
                        format!("{sorted:?}")
                    }
                    _ => problem.question.clone(),
                };
                assert_eq!(*home.entry(key).or_insert(split), split, "{problem:?}");
            }
        }
    }
}

#[test]
fn streams_are_reproducible_without_repeats_and_differ_by_seed() {
    for task in Task::ALL {
        let first = take(task, Split::Test, 5, 200);
        assert_eq!(first, take(task, Split::Test, 5, 200));
        assert_ne!(first, take(task, Split::Test, 6, 200));
        let ids: BTreeSet<&String> = first.iter().map(|p| &p.id).collect();
        assert_eq!(ids.len(), first.len());
        assert!(ids.iter().all(|id| id.starts_with(&format!("{}-", task.name()))));
        assert_eq!(first[0].source, format!("builtin:{}", task.name()));
    }
}

#[test]
fn an_exhausted_part_ends() {
    // One move on two numbers: a few hundred problems in all.
    let all = problems_from_spec("builtin:countdown:1", Split::Test, 1).unwrap();
    let n = all.take(10_000).count();
    assert!((20..2_000).contains(&n), "{n}");
}

#[test]
fn specs_parse_print_and_refuse() {
    for text in ["builtin:arithmetic", "builtin:arithmetic:5-7", "builtin:choice:2"] {
        assert_eq!(text.parse::<TaskSpec>().unwrap().to_string(), text);
    }
    let five = problems_from_spec("builtin:arithmetic:5-7", Split::Validation, 1).unwrap();
    let levels: BTreeSet<u32> = five.take(60).filter_map(|p| p.level).collect();
    assert_eq!(levels, BTreeSet::from([5, 6, 7]));
    let unknown = problems_from_spec("builtin:algebra", Split::Train, 1).unwrap_err().to_string();
    assert!(unknown.contains("algebra") && unknown.contains("arithmetic, choice, countdown"));
    for bad in ["builtin:choice:0", "builtin:choice:3-2", "builtin:arithmetic:9", "choice:x", ""] {
        assert!(bad.parse::<TaskSpec>().is_err(), "{bad}");
    }
}

#[test]
fn corpus_examples_depend_on_their_index_only() {
    let stream = corpus(&CorpusConfig::default());
    let listed: Vec<CorpusExample> = stream.clone().take(50).collect();
    for (i, example) in listed.iter().enumerate() {
        assert_eq!(*example, stream.example(i as u64));
    }
    let other = CorpusConfig { seed: 1, ..CorpusConfig::default() };
    assert_ne!(listed, corpus(&other).take(50).collect::<Vec<_>>());
}

#[test]
fn corpus_shares_are_as_configured_and_only_train_is_used() {
    let config = CorpusConfig { drill_share: 0.5, drill_decay: 1_000.0, ..CorpusConfig::default() };
    let (mut skill_tasks, mut judged, mut right, mut wrong_solutions) = ([0; 2], 0, 0, 0);
    let known: BTreeSet<String> = SPLITS[1..]
        .iter()
        .flat_map(|&split| take(Task::Countdown, split, 3, 2_000))
        .map(|problem| problem.question)
        .collect();
    for (i, example) in corpus(&config).take(10_000).enumerate() {
        assert!(!known.contains(&example.problem().question));
        match &example {
            CorpusExample::SkillTask { .. } => skill_tasks[usize::from(i >= 1_000)] += 1,
            CorpusExample::Judged { correct, .. } => {
                judged += 1;
                right += usize::from(*correct);
            }
            CorpusExample::Solution { problem, steps } => {
                let answer = steps.last().unwrap().strip_prefix("#### ").unwrap();
                let wrong = matches!(problem.kind, AnswerKind::Number) && answer != problem.answer;
                wrong_solutions += usize::from(wrong);
            }
        }
    }
    assert!((250..400).contains(&skill_tasks[0]) && skill_tasks[1] < 250, "{skill_tasks:?}");
    assert!((3_150..3_550).contains(&judged), "{judged}");
    assert!((judged * 45 / 100..judged * 56 / 100).contains(&right), "{right} of {judged}");
    assert!((250..450).contains(&wrong_solutions), "{wrong_solutions}");
}

#[test]
fn corpus_starts_with_easier_levels() {
    let mean = |config: &CorpusConfig, from: u64| {
        let stream = corpus(config);
        let levels: Vec<u32> = (from..from + 1_500)
            .map(|i| stream.example(i))
            .filter(|example| !matches!(example, CorpusExample::SkillTask { .. }))
            .filter_map(|example| example.problem().level)
            .collect();
        f64::from(levels.iter().sum::<u32>()) / levels.len() as f64
    };
    let tasks = vec![(Task::Arithmetic.into(), 1.0)];
    let config = CorpusConfig { tasks, ..CorpusConfig::default() };
    let (early, late) = (mean(&config, 0), mean(&config, 1_000_000));
    assert!(early < 3.7 && (3.85..4.15).contains(&late), "{early} {late}");
}

#[test]
fn right_judged_steps_are_right() {
    let config = CorpusConfig {
        tasks: vec![(Task::Arithmetic.into(), 1.0)],
        judged_share: 1.0,
        drill_share: 0.0,
        ..CorpusConfig::default()
    };
    for example in corpus(&config).take(1_000) {
        let CorpusExample::Judged { problem, steps, correct } = example else {
            panic!("only judged examples were asked for")
        };
        let last = steps.last().unwrap();
        if let Some(answer) = last.strip_prefix("#### ") {
            assert_eq!(answer == problem.answer, correct, "{problem:?} {steps:?}");
        } else if correct {
            let equation = last.trim_end().split_once(": ").unwrap().1;
            let (expression, result) = equation.split_once(" = ").unwrap();
            assert_eq!(evaluate(expression), result.parse().ok(), "{last}");
        }
    }
}

#[test]
fn vocabulary_covers_every_text_and_stays_small() {
    let list = vocabulary();
    assert!(list.len() < 300, "{} pre-tokens", list.len());
    let known: BTreeSet<&str> = list.iter().map(String::as_str).collect();
    let check = |text: &str| {
        for piece in pre_tokens(text) {
            assert!(known.contains(piece), "{piece:?} of {text:?}");
        }
    };
    for (i, task) in Task::ALL.into_iter().enumerate() {
        let spec = TaskSpec::new(task, task.allowed_levels()).unwrap();
        let config = CorpusConfig {
            seed: 90 + i as u64,
            tasks: vec![(spec, 1.0)],
            ..CorpusConfig::default()
        };
        for example in corpus(&config).take(3_000) {
            let problem = example.problem();
            check(&problem.question);
            problem.choices.iter().for_each(|c| check(&format!(" {} {}", c.text, c.label)));
            example.steps().iter().for_each(|step| check(step));
        }
        for problem in spec.problems(Split::Test, 91).take(300) {
            check(&problem.question);
            check(&format!("#### {}", problem.answer));
            check(problem.solution.as_deref().unwrap());
        }
    }
}

#[test]
fn texts_are_short_enough_for_a_small_context() {
    let aims = [(Task::Arithmetic, 45, 60), (Task::Choice, 70, 35), (Task::Countdown, 15, 40)];
    for (task, question, solution) in aims {
        let problems = take(task, Split::Train, 14, 1_000);
        let mean = |length: &dyn Fn(&Problem) -> usize| {
            problems.iter().map(length).sum::<usize>() / problems.len()
        };
        let asked = mean(&|p| {
            let options: usize = p.choices.iter().map(|c| 3 + pre_tokens(&c.text).len()).sum();
            pre_tokens(&p.question).len() + options
        });
        assert!(asked <= question, "{task:?}: {asked}");
        let solved = mean(&|p| pre_tokens(p.solution.as_deref().unwrap_or_default()).len());
        assert!(solved <= solution, "{task:?}: {solved}");
    }
}

#[test]
fn pieces_are_cut_as_documented() {
    assert_eq!(
        pre_tokens("She buys 12 more: 3 + 4 = 7\n#### ( 3"),
        [
            "She", " buys", " 1", "2", " more", ":", " 3", " +", " 4", " =", " 7", "\n", "####",
            " (", " 3"
        ]
    );
}

proptest! {
    #[test]
    fn pieces_concatenate_to_the_text(text in "\\PC*|[a-c1-3 \n:]*") {
        prop_assert_eq!(pre_tokens(&text).concat(), text.clone());
        prop_assert!(pre_tokens(&text).iter().all(|piece| !piece.is_empty()));
    }
}
