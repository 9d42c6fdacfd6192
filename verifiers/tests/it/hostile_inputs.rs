//! Texts that try to hang, crash or fool a verifier, with names.
//!
//! They were written independently of the code: nesting, power towers, large numbers, expansion blow-ups,
//! macros, injected programs, invisible characters, floods of announcements. Modelled on bug reports
//! against other verifiers.

/// A name and a text.
type Named = (&'static str, String);

/// Every hostile text with its name.
pub fn all() -> Vec<Named> {
    [nesting(), values(), injections(), floods(), repeated(), poles(), conditions()].concat()
}

/// Deep and unbalanced brackets.
fn nesting() -> Vec<Named> {
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
    ]
}

/// Short texts with large or many values.
fn values() -> Vec<Named> {
    vec![
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
    ]
}

/// Macros, programs, invisible characters.
fn injections() -> Vec<Named> {
    vec![
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
        ("colours", "\\color{".repeat(2000)),
    ]
}

/// Many announcements, delimiters and separators.
fn floods() -> Vec<Named> {
    vec![
        ("many boxes", "\\boxed{4}, ".repeat(20_000) + "\\boxed{5}"),
        ("many dollars", "$".repeat(300_000)),
        ("dollar pairs", "$ a b c $ ".repeat(30_000)),
        ("many answers", "the answer is ".repeat(50_000)),
        ("answer answer", "answer ".repeat(100_000)),
        ("many hashes", "#### ".repeat(50_000)),
        ("many thinks", "</think>".repeat(50_000)),
        ("channels", "<|channel|>final<|message|>".repeat(20_000)),
        ("grouping marks", "1'000".repeat(3000)),
        ("embedded clauses", "I see that there are ".repeat(20_000) + "1"),
        ("minus signs in words", "minus ".repeat(20_000) + "1"),
        ("yes", "Yes, ".repeat(50_000)),
        ("round delimiters", "\\(".repeat(50_000) + &"\\)".repeat(50_000)),
        ("backslashes", "\\".repeat(100_000)),
        ("commas", ",".repeat(16_000)),
        ("thousands", "1".to_owned() + &",000".repeat(4000)),
        ("equations", "1+1=2 ".repeat(20_000)),
        ("labels", "(A) ".repeat(4000) + "1"),
        ("headings", "answer\n".repeat(100_000)),
        ("asides", "the answer is 1, since ".repeat(30_000)),
        ("points", "(1, 2) and ".repeat(50_000)),
        ("open points", "(1, ".repeat(50_000) + ")"),
        ("emphasis", "**a".repeat(100_000)),
        ("bold", "\\textbf{".repeat(50_000)),
        ("reversed", "]0,1[ \\cup ".repeat(1000)),
        ("colons", "1:".repeat(200_000)),
        ("exponents", "1e".repeat(200_000)),
    ]
}

/// One piece repeated many times, alone and after an announcement. A search that is repeated after every
/// piece would take quadratic time.
fn repeated() -> Vec<Named> {
    let pieces = [
        ("unclosed text", "\\text{", 1_000_000),
        ("unclosed begin", "\\begin{", 1_000_000),
        ("unclosed end", "\\end{", 1_000_000),
        ("letters", "a", 1_000_000),
        ("capitals", "I", 15_000),
        ("Chinese answers", "\u{7b54}", 1_000_000),
        ("Cyrillic letters", "\u{42d}", 1_000_000),
        ("Arabic digits", "\u{663}", 120_000),
        ("factorial product", "5!", 3000),
        ("percent product", "1% ", 3000),
        ("letter list", "A, ", 15_000),
        ("conjunctions", "one and ", 120_000),
        ("functions", "sin ", 120_000),
        ("angles", "<", 1_000_000),
        ("withdrawals", "The answer is 1. Wait, no. ", 120_000),
        ("denials", "The answer is not 1. ", 120_000),
        ("struck", "~~1~~ ", 120_000),
        ("conditions", "9 only if ", 120_000),
        ("blank groups", "1 000 ", 120_000),
        ("open lefts", "\\left(", 120_000),
    ];
    let alone = pieces.map(|(name, piece, bytes)| (name, piece.repeat(bytes / piece.len())));
    let announced = alone.clone().map(|(name, text)| (name, format!("The answer is {text}")));
    alone.into_iter().chain(announced).collect()
}

/// Values that do not exist.
fn poles() -> Vec<Named> {
    vec![
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

/// Conditions, sets and integrals that would take long to solve.
fn conditions() -> Vec<Named> {
    let factors: String = (1..40).map(|k| format!("(x-{k})")).collect();
    vec![
        ("high power", "x^{1000000}<1".into()),
        ("many roots", format!("{factors}<0")),
        ("twelve roots", "(x-1)(x-2)(x-3)(x-4)(x-5)(x-6)(x-7)(x-8)(x-9)(x^3-2)<0".into()),
        ("large coefficients", format!("{}x^3+x+{}<0", "9".repeat(300), "7".repeat(300))),
        ("many divisors", "720720x^3+x^2+720720<0".into()),
        ("many conditions", "x^2<4, ".repeat(2000) + "x>1"),
        ("many integers", "\\{x\\in\\mathbb{Z} \\mid 0<x<10^{100}\\}".into()),
        ("a million integers", "\\{x\\in\\mathbb{Z} \\mid 0<x<1000000\\}".into()),
        ("matrix power", "\\begin{pmatrix}a&b\\\\c&d\\end{pmatrix}^6".repeat(20)),
        ("integrals", "\\int_{0}^{1} (x+1)^{12} dx ".repeat(200)),
        ("nested integrals", "\\int_{0}^{1}".repeat(300) + "x" + &" dx".repeat(300)),
        ("absolute values", "|".repeat(40) + "x" + &"-1|".repeat(40) + "<3"),
    ]
}
