//! Hostile answers and references: each is graded quickly, none panics, none is accepted.

use crate::hostile_inputs;
use std::time::{Duration, Instant};

use regrowth_verifiers::{
    ChoiceOption, Chosen, Form, Grader, Pair, Verdict, choose, equations, extract, lm_eval,
    verify_jsonl,
};

/// Longest time for one comparison in an optimised build; debug builds get four times as much.
const LIMIT: Duration =
    if cfg!(debug_assertions) { Duration::from_millis(400) } else { Duration::from_millis(100) };

/// Time of nearly every comparison; a slower one is tried again.
const USUAL: Duration = Duration::from_millis(5);

/// Number of slow comparisons that are listed.
const SHOWN: usize = 12;

/// Maximum number of attempts for a slow comparison.
const TRIES: usize = 5;

/// The verdict, and the shortest time of a few attempts, because the machine may be busy with other
/// tests.
fn graded(gold: &str, answer: &str, form: Form) -> (Verdict, Duration) {
    let pair = Pair { answer_form: form, ..Pair::new(gold, answer) };
    let mut best = Duration::MAX;
    for _ in 0..TRIES {
        let start = Instant::now();
        let verdict = Grader::default().grade(&pair).verdict;
        best = best.min(start.elapsed());
        if best <= USUAL {
            return (verdict, best);
        }
    }
    (Grader::default().grade(&pair).verdict, best)
}

/// Asserts that the slowest of all comparisons was fast enough, and prints which one it was.
fn assert_bounded(mut times: Vec<(Duration, String)>) {
    times.sort();
    let (slowest, name) = times.last().expect("something was compared");
    eprintln!("{} comparisons, slowest {slowest:?}: {name}", times.len());
    for (time, name) in times.iter().rev().take(SHOWN) {
        eprintln!("    {time:?} {name}");
    }
    assert!(*slowest <= LIMIT, "{slowest:?}: {name}");
}

#[test]
fn answers_are_bounded_and_never_accepted() {
    let golds = [
        "424243",
        "x^2+\\sqrt{424243}",
        "(\\frac{1}{424243},\\pi)",
        "\\{\\sqrt{2},x_1,424243\\}",
        "x<424243",
    ];
    let mut times = Vec::new();
    for (name, text) in hostile_inputs::all() {
        for gold in golds {
            for form in [Form::Answer, Form::Text] {
                let (verdict, time) = graded(gold, &text, form);
                assert_ne!(verdict, Verdict::Equal, "{name} accepted for {gold}");
                times.push((time, format!("{name} for {gold}")));
            }
        }
    }
    assert_bounded(times);
}

#[test]
fn references_are_bounded() {
    let mut times = Vec::new();
    for (name, gold) in hostile_inputs::all() {
        for answer in ["424243", "\\boxed{\\sqrt{2}+x}", "(1,2)\\cup(3,4)"] {
            let (verdict, time) = graded(&gold, answer, Form::Text);
            assert_ne!(verdict, Verdict::Equal, "{name} accepted {answer}");
            times.push((time, format!("{name} against {answer}")));
        }
    }
    assert_bounded(times);
}

/// Programs that read the text later may treat a NUL in different ways. So no answer with a NUL is
/// accepted, not even if the reference is identical.
#[test]
fn answers_with_a_nul_are_never_accepted() {
    let options = ["A", "B"].map(|label| ChoiceOption { label, text: "some text" });
    for (name, text) in hostile_inputs::all() {
        for (gold, answer) in
            [("4", format!("{text}\0 The answer is 4.")), ("4", format!("\\boxed{{4}}\0{text}"))]
        {
            for form in [Form::Answer, Form::Text, Form::Truncated] {
                let (verdict, _) = graded(gold, &answer, form);
                assert_ne!(verdict, Verdict::Equal, "{name} with a NUL");
            }
        }
        assert_eq!(choose(&format!("{text} The answer is A.\0"), &options), Chosen::None, "{name}");
    }
    for gold in ["4\0", "\0", "\\boxed{4}\0"] {
        let (verdict, _) = graded(gold, gold, Form::Answer);
        assert_ne!(verdict, Verdict::Equal, "{gold:?}");
    }
}

/// Rows of JSON lines with a hostile answer and a NUL in it: all get a verdict, none is accepted.
#[test]
fn rows_with_a_nul_are_never_accepted() {
    let rows = hostile_inputs::all().into_iter().filter(|(_, text)| text.len() < 50_000);
    let rows: Vec<String> = rows
        .map(|(name, text)| {
            let pred = serde_json::Value::from(format!("{text}\0 #### 4"));
            format!("{{\"id\":\"{name}\",\"gold\":\"4\",\"pred\":{pred}}}\n")
        })
        .collect();
    let input = rows.concat();
    let tally = verify_jsonl(&Grader::default(), input.as_bytes(), std::io::sink(), 2).unwrap();
    assert_eq!((tally.rows, tally.equal), (rows.len(), 0));
}

/// Both sides are hostile and differ slightly, so that no short cut applies.
#[test]
fn hostile_pairs_are_bounded() {
    let times = hostile_inputs::all().into_iter().map(|(name, text)| {
        let (_, time) = graded(&text, &format!("{text} + 1"), Form::Answer);
        (time, name.to_owned())
    });
    assert_bounded(times.collect());
}

/// An output in the form that `minerva_math` reads.
const CLOSING: &str = "Final Answer: The final answer is 1. I hope it is correct.";

/// The shortest time of a few attempts, because the machine may be busy with other tests.
fn shortest(read: impl Fn()) -> Duration {
    let mut best = Duration::MAX;
    for _ in 0..TRIES {
        let start = Instant::now();
        read();
        best = best.min(start.elapsed());
        if best <= USUAL {
            break;
        }
    }
    best
}

#[test]
fn other_readers_are_bounded() {
    let options = ["A", "B", "C", "D"].map(|label| ChoiceOption { label, text: "some text" });
    let mut times = Vec::new();
    for (name, text) in hostile_inputs::all() {
        let mut note = |reader: &str, read: &dyn Fn()| {
            times.push((shortest(read), format!("{reader} of {name}")));
        };
        note("choose", &|| {
            let _ = choose(&text, &options);
        });
        note("equations", &|| {
            let _ = equations(&text);
        });
        note("extract", &|| {
            let _ = extract(&text);
        });
        note("gsm8k flexible", &|| {
            let _ = lm_eval::gsm8k_flexible("1", &text);
        });
        note("gsm8k strict", &|| {
            let _ = lm_eval::gsm8k_strict("1", &text);
        });
        note("hendrycks", &|| {
            let _ = lm_eval::hendrycks_math("\\boxed{1}", &text);
        });
        note("minerva", &|| {
            let _ = lm_eval::minerva_math("\\boxed{1}", &text);
        });
        note("minerva reference", &|| {
            let _ = lm_eval::minerva_math(&text, CLOSING);
        });
    }
    assert_bounded(times);
}

#[test]
fn invalid_utf8_is_no_error() {
    let mut row = b"{\"id\":1,\"gold\":\"4\",\"pred\":\"".to_vec();
    row.extend([0xff, 0xc0, 0x80, b'4']);
    row.extend(b"\"}\n");
    let tally = verify_jsonl(&Grader::default(), row.as_slice(), std::io::sink(), 2).unwrap();
    assert_eq!(tally.rows, 1);
}
