//! Verdicts of EleutherAI's lm-evaluation-harness, for tables that must match published ones.
//!
//! Each function reproduces one metric of the harness, with that metric's known faults. None of them is
//! used by [`crate::Grader`], and none is meant for rewards. Function names contain the task's name:
//! `gsm8k` with its two filters, `minerva_math`, `hendrycks_math`. Where the harness uses SymPy, this
//! crate parses the formulas as SymPy does and compares their values itself.

mod hendrycks;
mod minerva;
mod minerva_words;
mod sympy;

pub use hendrycks::hendrycks_math;
pub use minerva::minerva_math;

/// `gsm8k`, filter `strict-match`: the number after the first `#### ` that is followed by one.
#[must_use]
pub fn gsm8k_strict_answer(output: &str) -> Option<&str> {
    output.match_indices("#### ").find_map(|(at, mark)| strict_number(&output[at + mark.len()..]))
}

/// `gsm8k_cot`, filter `strict-match`: the number after the first `The answer is ` that is followed by a
/// number and one more character.
#[must_use]
pub fn gsm8k_cot_answer(output: &str) -> Option<&str> {
    output.match_indices("The answer is ").find_map(|(at, mark)| {
        let rest = &output[at + mark.len()..];
        let number = strict_number(rest)?;
        if rest[number.len()..].starts_with(|next| next != '\n') {
            return Some(number);
        }
        // Otherwise the last character of the number itself is the "one more character" of the pattern.
        let shorter = &number[..number.len() - 1];
        (!matches!(shorter, "" | "-")).then_some(shorter)
    })
}

/// `gsm8k` and `gsm8k_cot`, filter `flexible-extract`: the last number of the output.
#[must_use]
pub fn gsm8k_flexible_answer(output: &str) -> Option<&str> {
    last_loose_number(output)
}

/// Whether an answer found by one of the filters matches the target: the solution with its `#### number`
/// line, or that number.
#[must_use]
pub fn gsm8k_matches(target: &str, answer: Option<&str>) -> bool {
    answer.is_some_and(|answer| exact_match(target, answer))
}

/// `gsm8k` with the filter `strict-match`.
#[must_use]
pub fn gsm8k_strict(target: &str, output: &str) -> bool {
    gsm8k_matches(target, gsm8k_strict_answer(output))
}

/// `gsm8k` with the filter `flexible-extract`.
#[must_use]
pub fn gsm8k_flexible(target: &str, output: &str) -> bool {
    gsm8k_matches(target, gsm8k_flexible_answer(output))
}

/// `\-?[0-9\.\,]+` at the beginning of the text.
fn strict_number(text: &str) -> Option<&str> {
    let sign = usize::from(text.starts_with('-'));
    let digit = |b: &u8| b.is_ascii_digit() || matches!(b, b'.' | b',');
    let length = text.as_bytes()[sign..].iter().take_while(|b| digit(b)).count();
    (length > 0).then(|| &text[..sign + length])
}

/// The last match of `(-?[$0-9.,]{2,})|(-?[0-9]+)`, scanning as regular expressions do.
fn last_loose_number(text: &str) -> Option<&str> {
    let bytes = text.as_bytes();
    let loose = |b: &u8| b.is_ascii_digit() || matches!(b, b'$' | b'.' | b',');
    let mut last = None;
    let mut at = 0;
    while at < bytes.len() {
        let sign = usize::from(bytes[at] == b'-');
        let wide = bytes[at + sign..].iter().take_while(|b| loose(b)).count();
        let digits = bytes[at + sign..].iter().take_while(|b| b.is_ascii_digit()).count();
        let length = if wide >= 2 { wide } else { digits };
        if length == 0 {
            at += 1;
            continue;
        }
        last = Some(&text[at..at + sign + length]);
        at += sign + length;
    }
    last
}

/// Equality after the task's `regexes_to_ignore`: commas, dollar signs, everything before the last `#### `
/// and one full stop at the end are removed; letter case is ignored.
fn exact_match(target: &str, answer: &str) -> bool {
    let plain = |text: &str| {
        let text = text.replace([',', '$'], "");
        let text = text.rsplit("#### ").next().unwrap_or_default().to_lowercase();
        text.strip_suffix('.').map(str::to_owned).unwrap_or(text)
    };
    plain(target) == plain(answer)
}

/// The content of the last box, as both MATH tasks read it. `None` if the harness itself fails: no box,
/// an unclosed box, `\fbox`.
fn last_box(solution: &str) -> Option<&str> {
    if let Some((_, rest)) = solution.rsplit_once("\\boxed ") {
        return rest.split('$').next();
    }
    let content = solution[solution.rfind("\\boxed")?..].strip_prefix("\\boxed{")?;
    let mut depth = 1_usize;
    for (at, byte) in content.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(&content[..at]);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strict_takes_the_first_mark() {
        assert!(gsm8k_strict("2+3=5\n#### 1,005", "so #### 1005.\n#### 7"));
        assert!(!gsm8k_strict("5", "The answer is 5"));
        assert!(!gsm8k_strict("5", "####5"));
        assert!(!gsm8k_strict("5", "#### $5"));
        assert!(!gsm8k_strict("5", "#### 5.0"));
    }

    #[test]
    fn chains_of_thought_name_their_answer() {
        assert_eq!(gsm8k_cot_answer("The answer is x. The answer is 1,005. Q"), Some("1,005."));
        assert_eq!(gsm8k_cot_answer("The answer is -7 apples"), Some("-7"));
        // As in the original pattern, one more character must follow, if necessary the last digit.
        assert_eq!(gsm8k_cot_answer("The answer is 12"), Some("1"));
        assert_eq!(gsm8k_cot_answer("The answer is 12.\n"), Some("12"));
        assert_eq!(gsm8k_cot_answer("The answer is 7\nQ"), None);
        assert!(gsm8k_matches("9", gsm8k_cot_answer("So it is. The answer is 9.")));
    }

    #[test]
    fn flexible_takes_the_last_number() {
        assert!(gsm8k_flexible("#### 18", "She makes $18 every day."));
        assert!(gsm8k_flexible("18", "It is 18 dollars. $"));
        assert!(!gsm8k_flexible("18", "18 for 3 days"));
        assert_eq!(last_loose_number("a - 5, b -7. c"), Some("-7."));
        assert_eq!(last_loose_number("wait..."), Some("..."));
        assert_eq!(last_loose_number("none"), None);
    }
}
