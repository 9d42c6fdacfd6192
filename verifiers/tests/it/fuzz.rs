//! A seeded generator of broken and half-broken answers: nothing panics, nothing is slow, nothing
//! unrelated is accepted.
//!
//! The run is short by default; `REGROWTH_FUZZ_INPUTS=10000000 cargo test --release --test it fuzz::`
//! makes a long one. The seed is printed, and `REGROWTH_FUZZ_SEED` sets it.

use std::time::{Duration, Instant};

use regrowth_verifiers::{ChoiceOption, Form, Grader, Pair, Verdict, choose, equations, lm_eval};

/// Pieces of answers, and pieces that break answers. No combination of them can make 424243.
const PIECES: &[&str] = &[
    "\\int_{0}^{1}",
    "dx",
    "\\operatorname{cis}",
    "\\left<",
    "\\right>",
    "\\begin{array}{l}",
    "\\left\\{",
    "|x-1|",
    "x^2<",
    "\\mid",
    "\\in\\mathbb{Z}",
    "_{16}",
    "AF",
    "^T",
    "^{-1}",
    " cm^2",
    " m",
    "US$",
    "\\textbf{(C)}\\ ",
    "twenty",
    ", since ",
    "Answer\n",
    "0",
    "1",
    "5",
    "9",
    "10",
    "0.5",
    ".",
    ",",
    "1,000",
    "{,}",
    "1e5",
    "x",
    "y",
    "n",
    "e",
    "i",
    "f",
    "pi",
    "\\pi",
    "\\infty",
    "+",
    "-",
    "*",
    "/",
    "^",
    "_",
    "=",
    "<",
    ">",
    "\\le",
    "\\ne",
    "\\in",
    "\\approx",
    "!",
    "'",
    "%",
    "\\%",
    "$",
    "$$",
    "\\(",
    "\\)",
    "\\[",
    "\\]",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "\\{",
    "\\}",
    "|",
    "\\|",
    "\\frac",
    "\\frac{1}{2}",
    "\\dfrac",
    "\\sqrt",
    "\\sqrt[3]",
    "\\sin",
    "\\cos",
    "\\tan",
    "\\log",
    "\\log_2",
    "\\ln",
    "\\sum_{k=1}^{5}",
    "\\prod_{k=1}^{n}",
    "\\binom",
    "\\int",
    "\\lim",
    "\\pm",
    "\\mp",
    "\\cup",
    "\\cap",
    "\\setminus",
    "\\text{",
    "\\text{and}",
    "\\text{ cm}",
    "\\mathrm{e}",
    "\\mathbb{R}",
    "\\emptyset",
    "\\boxed{",
    "\\fbox{",
    "####",
    "\\begin{pmatrix}",
    "\\end{pmatrix}",
    "\\begin{cases}",
    "\\end{cases}",
    "\\begin",
    "\\end",
    "&",
    "\\\\",
    "\\",
    "\\left",
    "\\right",
    "\\left(",
    "\\right)",
    "\\lfloor",
    "\\rfloor",
    "\\lvert",
    "\\rvert",
    "\\langle",
    "\\rangle",
    "\\overline{3}",
    "\\overline",
    "\\bar",
    "^\\circ",
    "^{\\circ}",
    "\\circ",
    "\\bmod",
    "\\choose",
    "\\over",
    "\\mid",
    ":",
    ";",
    " and ",
    " or ",
    " to ",
    "The answer is ",
    "final answer: ",
    "</think>",
    "<think>",
    "not ",
    "A",
    "(B)",
    "C.",
    "yes",
    "cm",
    "miles",
    "percent",
    "\n",
    " ",
    "\t",
    "\u{200b}",
    "\u{202e}",
    "−",
    "½",
    "²",
    "√",
    "é",
    "中",
    "😀",
    "\u{0}",
    "\\def",
    "\\quadx",
    "\\,",
    "\\!",
    "\\ ",
    "~",
    "\"",
    "#",
    "@",
    "?",
    "...",
    "\\ldots",
    "2^10",
    "x_{12}",
    "1_2",
];

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit).unwrap()).unwrap()
    }

    fn text(&mut self) -> String {
        let pieces = 1 + self.below(14);
        (0..pieces).map(|_| PIECES[self.below(PIECES.len())]).collect()
    }

    /// The text with one character removed, doubled or replaced.
    fn mutated(&mut self, text: &str) -> String {
        let mut chars: Vec<char> = text.chars().collect();
        let at = self.below(chars.len().max(1));
        let piece = PIECES[self.below(PIECES.len())];
        match self.below(3) {
            0 if at < chars.len() => {
                chars.remove(at);
            }
            1 if at < chars.len() => chars.insert(at, chars[at]),
            _ => return format!("{text}{piece}"),
        }
        chars.into_iter().collect()
    }
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

/// Maximum number of retries of a slow input.
const TRIES: usize = 20;

#[test]
fn generated_inputs_are_safe() {
    let (inputs, seed) = (number("REGROWTH_FUZZ_INPUTS", 30_000), number("REGROWTH_FUZZ_SEED", 1));
    eprintln!("seed {seed}, {inputs} inputs");
    let mut random = Random(seed);
    let grader = Grader::default();
    let options = ["A", "B", "C"].map(|label| ChoiceOption { label, text: "x" });
    let (mut slowest, mut slowest_text) = (Duration::ZERO, String::new());
    for input in 0..inputs {
        let gold = random.text();
        let answer = if input % 2 == 0 { random.text() } else { random.mutated(&gold) };
        let start = Instant::now();
        let form = if input % 3 == 0 { Form::Text } else { Form::Answer };
        let _ =
            grader.grade(&Pair { answer_form: form, gold_form: form, ..Pair::new(&gold, &answer) });
        let foreign = grader.grade(&Pair { answer_form: form, ..Pair::new("424243", &answer) });
        assert_ne!(foreign.verdict, Verdict::Equal, "seed {seed}, input {input}: {answer:?}");
        if input % 16 == 0 {
            let _ = (choose(&answer, &options), equations(&answer));
            let _ =
                (lm_eval::minerva_math(&gold, &answer), lm_eval::hendrycks_math(&gold, &answer));
            let _ =
                (lm_eval::gsm8k_strict(&gold, &answer), lm_eval::gsm8k_flexible(&gold, &answer));
        }
        let mut time = start.elapsed();
        // A slow input is tried again and its shortest time counts, because the machine may be busy.
        for _ in 0..TRIES {
            if time < Duration::from_millis(50) {
                break;
            }
            let again = Instant::now();
            let pair = Pair::new(&gold, &answer);
            let _ = grader.grade(&Pair { answer_form: form, gold_form: form, ..pair });
            time = time.min(again.elapsed());
        }
        if time > slowest {
            (slowest, slowest_text) = (time, format!("{gold:?} {answer:?}"));
        }
    }
    eprintln!("slowest {slowest:?}: {slowest_text}");
    assert!(slowest < Duration::from_millis(400), "{slowest:?}: {slowest_text}");
}
