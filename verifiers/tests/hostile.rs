//! Hostile answers and references: every one is answered quickly, none panics, none is accepted.

use std::time::{Duration, Instant};

use regrowth_verifiers::{
    ChoiceOption, Form, Grader, Pair, Verdict, choose, equations, extract, lm_eval, verify_jsonl,
};

/// Longest time for one comparison in an optimised build; debug builds get four times as much.
const LIMIT: Duration =
    if cfg!(debug_assertions) { Duration::from_millis(400) } else { Duration::from_millis(100) };

/// Times that a slow comparison is tried again.
const TRIES: usize = 5;

fn hostile() -> Vec<(&'static str, String)> {
    let deep =
        |open: &str, close: &str, n: usize| format!("{}1{}", open.repeat(n), close.repeat(n));
    vec![
        ("unbalanced braces", "{".repeat(1_000_000)),
        ("closing braces", "}".repeat(1_000_000)),
        ("deep braces", deep("{", "}", 1_000_000)),
        ("deep boxes", deep("\\boxed{", "}", 100_000)),
        ("boxed deep braces", format!("\\boxed{{{}}}", deep("{", "}", 5000))),
        ("deep brackets", deep("(", ")", 8000)),
        ("deep fractions", format!("{}1{}", "\\frac{1}{1+".repeat(1200), "}".repeat(1200))),
        ("deep roots", deep("\\sqrt{", "}", 2000)),
        ("deep exponents", format!("{}2{}", "2^{".repeat(4000), "}".repeat(4000))),
        ("deep bars", "|".repeat(16_000)),
        ("deep sets", deep("\\{", "\\}", 4000)),
        ("signs", format!("{}1", "-".repeat(16_000))),
        ("plus-minus", "1\\pm ".repeat(3000) + "1"),
        ("primes", format!("x{}", "'".repeat(10_000))),
        ("factorials", format!("5{}", "!".repeat(10_000))),
        ("tower", "9^{9^{9^{9^{9^9}}}}".into()),
        ("tower of plain carets", "9^9^9^9^9^9".into()),
        ("large factorial", "999999999!".into()),
        ("nested factorial", "((10!)!)!".into()),
        ("factorial quotient", "\\frac{1000000!}{999999!}".into()),
        ("binomial", "\\binom{1000000000}{500000000}".into()),
        ("million digits", "7".repeat(1_000_000)),
        ("many digits", "7".repeat(16_000)),
        ("many decimals", format!("0.{}", "7".repeat(16_000))),
        ("large exponent", "1e999999999".into()),
        ("small exponent", "1e-999999999".into()),
        ("power of a decimal", "1.0000001^{1000000000}".into()),
        ("negative power", "10^{-999999999999}".into()),
        ("irrational power", "\\sqrt{2}^{1000000000000}".into()),
        ("expansion", "(a+b+c+d+e+f+g+h)^{1000000}".into()),
        ("wide expansion", "(x+1)".repeat(3000)),
        ("many symbols", (0..1000).map(|k| format!("x_{{{k}}}+")).collect::<String>() + "1"),
        ("many items", (0..5000).map(|k| format!("{k},")).collect()),
        ("many radicals", (2..1500).map(|k| format!("\\sqrt{{{k}}}+")).collect::<String>() + "1"),
        ("many radical items", (2..1500).map(|k| format!("\\sqrt{{{k}}},")).collect()),
        ("many sines", "\\sin(x+".repeat(40) + "1" + &")".repeat(40)),
        ("long sum", "\\sum_{k=1}^{1000000000} k".into()),
        ("nested sums", "\\sum_{i=1}^{9999}\\sum_{j=1}^{9999}\\sum_{k=1}^{9999} ijk".into()),
        ("product of sums", "\\prod_{k=1}^{9999} (k^{1000}+1)".into()),
        ("unions", "(0,1)\\cup".repeat(3000) + "(0,1)"),
        (
            "interval ends",
            (0..400).map(|k| format!("(\\sqrt{{{k}}},\\sqrt{{{k}}}+1)\\cup")).collect::<String>()
                + "(0,1)",
        ),
        ("relations", "x<".repeat(5000) + "1"),
        ("big matrix", format!("\\begin{{pmatrix}}{}\\end{{pmatrix}}", "1&".repeat(7000))),
        (
            "determinant",
            format!("\\begin{{vmatrix}}{}\\end{{vmatrix}}", "a&b&c&d&e&f&g&h\\\\".repeat(8)),
        ),
        ("matrix product", "\\begin{pmatrix}a&b\\\\c&d\\end{pmatrix}".repeat(300)),
        ("short matrix product", "\\begin{pmatrix}a&b\\\\c&d\\end{pmatrix}".repeat(60)),
        ("unclosed environment", "\\begin{pmatrix}1&2".repeat(500)),
        ("macro", "\\def\\x{\\x\\x}\\x".into()),
        ("new command", "\\newcommand{\\a}{4}\\a".into()),
        ("catcode", "\\catcode`\\$=12 $4$".into()),
        ("python", "__import__('os').system('touch /tmp/owned')".into()),
        ("sympy", "Integer(4).__class__".into()),
        ("format", "{0.__class__}%s%n%x".into()),
        ("bidi", "\u{202e}4\u{202c}1".into()),
        ("zero width", "\u{200b}".repeat(5000)),
        ("control", "\u{0}\u{1}\u{2}\u{1b}[31m".into()),
        ("combining", "e\u{301}".repeat(4000)),
        ("many boxes", "\\boxed{4}, ".repeat(20_000) + "\\boxed{5}"),
        ("many dollars", "$".repeat(300_000)),
        ("dollar pairs", "$ a b c $ ".repeat(30_000)),
        ("many answers", "the answer is ".repeat(50_000)),
        ("answer answer", "answer ".repeat(100_000)),
        ("many hashes", "#### ".repeat(50_000)),
        ("many thinks", "</think>".repeat(50_000)),
        ("round delimiters", "\\(".repeat(50_000) + &"\\)".repeat(50_000)),
        ("backslashes", "\\".repeat(100_000)),
        ("commas", ",".repeat(16_000)),
        ("thousands", "1".to_owned() + &",000".repeat(4000)),
        ("equations", "1+1=2 ".repeat(20_000)),
        ("log of zero", "\\ln 0".into()),
        ("division by zero", "\\frac{1}{0}".into()),
        ("zero to the zero", "0^0".into()),
        ("infinite minus infinite", "\\infty-\\infty".into()),
        ("tangent at a pole", "\\tan\\frac{\\pi}{2}".into()),
        ("near zero", "\\frac{1}{\\sin\\pi}".into()),
        ("gamma pole", "(-1)!".into()),
        ("empty", String::new()),
        ("blank", "   \n\t ".into()),
    ]
}

/// The verdict and the shortest of a few times: the machine may be busy with other tests.
fn graded(gold: &str, answer: &str, form: Form) -> (Verdict, Duration) {
    let pair = Pair { answer_form: form, ..Pair::new(gold, answer) };
    let mut best = Duration::MAX;
    for _ in 0..TRIES {
        let start = Instant::now();
        let verdict = Grader::default().grade(&pair).verdict;
        best = best.min(start.elapsed());
        if best <= LIMIT {
            return (verdict, best);
        }
    }
    (Grader::default().grade(&pair).verdict, best)
}

#[test]
fn answers_are_bounded_and_never_accepted() {
    let mut slow = Vec::new();
    for (name, text) in hostile() {
        let golds = [
            "424243",
            "x^2+\\sqrt{424243}",
            "(\\frac{1}{424243},\\pi)",
            "\\{\\sqrt{2},x_1,424243\\}",
            "x<424243",
        ];
        for gold in golds {
            for form in [Form::Answer, Form::Text] {
                let (verdict, time) = graded(gold, &text, form);
                assert_ne!(verdict, Verdict::Equal, "{name} accepted for {gold}");
                if time > LIMIT {
                    slow.push((name, gold, time));
                }
            }
        }
    }
    assert!(slow.is_empty(), "{slow:#?}");
}

#[test]
fn references_are_bounded() {
    let mut slow = Vec::new();
    for (name, gold) in hostile() {
        for answer in ["424243", "\\boxed{\\sqrt{2}+x}", "(1,2)\\cup(3,4)"] {
            let (verdict, time) = graded(&gold, answer, Form::Text);
            assert_ne!(verdict, Verdict::Equal, "{name} accepted {answer}");
            if time > LIMIT {
                slow.push((name, answer, time));
            }
        }
    }
    assert!(slow.is_empty(), "{slow:#?}");
}

/// Both sides hostile and a little different, so that nothing short-cuts.
#[test]
fn hostile_pairs_are_bounded() {
    let mut slow = Vec::new();
    for (name, text) in hostile() {
        let (_, time) = graded(&text, &format!("{text} + 1"), Form::Answer);
        if time > LIMIT {
            slow.push((name, time));
        }
    }
    assert!(slow.is_empty(), "{slow:#?}");
}

/// An output of the form that `minerva_math` reads.
const CLOSING: &str = "Final Answer: The final answer is 1. I hope it is correct.";

#[test]
fn other_readers_are_bounded() {
    let options = ["A", "B", "C", "D"].map(|label| ChoiceOption { label, text: "some text" });
    for (name, text) in hostile() {
        let mut best = Duration::MAX;
        for _ in 0..TRIES {
            let start = Instant::now();
            let _ = (choose(&text, &options), equations(&text), extract(&text));
            let _ = (lm_eval::gsm8k_flexible("1", &text), lm_eval::gsm8k_strict("1", &text));
            let _ = lm_eval::hendrycks_math("\\boxed{1}", &text);
            let _ = lm_eval::minerva_math("\\boxed{1}", &text);
            let _ = lm_eval::minerva_math(&text, CLOSING);
            best = best.min(start.elapsed());
            if best < 4 * LIMIT {
                break;
            }
        }
        assert!(best < 4 * LIMIT, "{name} {best:?}");
    }
}

#[test]
fn invalid_utf8_is_no_error() {
    let mut row = b"{\"id\":1,\"gold\":\"4\",\"pred\":\"".to_vec();
    row.extend([0xff, 0xc0, 0x80, b'4']);
    row.extend(b"\"}\n");
    let tally = verify_jsonl(&Grader::default(), row.as_slice(), std::io::sink(), 2).unwrap();
    assert_eq!(tally.rows, 1);
}
