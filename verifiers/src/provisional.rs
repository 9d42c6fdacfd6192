//! Compares plain numbers and normalised text until the parser takes over.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::Zero;

use crate::Verdict;

pub(crate) fn compare(gold: &str, answer: &str) -> Verdict {
    if answer.is_empty() {
        return Verdict::Undecided("no-answer".to_owned());
    }
    let (gold, answer) = (normal(gold), normal(answer));
    if gold == answer {
        return Verdict::Equal;
    }
    match (number(&gold), number(&answer)) {
        (Some(g), Some(a)) if g == a => Verdict::Equal,
        _ => Verdict::Different,
    }
}

fn normal(text: &str) -> String {
    let mut out = text.replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac");
    for gone in ["\\left", "\\right", "\\!", "\\,", "\\$", "\\%", "$", "%", "^\\circ", "{,}", " "] {
        out = out.replace(gone, if gone == "{,}" { "," } else { "" });
    }
    out.trim_end_matches('.').to_lowercase()
}

fn number(text: &str) -> Option<BigRational> {
    let text = text.replace(',', "");
    let text = text.trim_end_matches(|c: char| c.is_alphabetic());
    let (top, bottom) = match text.strip_prefix("\\frac{").and_then(|t| t.strip_suffix('}')) {
        Some(inner) => inner.split_once("}{")?,
        None => text.split_once('/').unwrap_or((text, "1")),
    };
    let bottom = decimal(bottom)?;
    (!bottom.is_zero()).then(|| Some(decimal(top)? / bottom))?
}

fn decimal(text: &str) -> Option<BigRational> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if text.len() > 400 || !part.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let digits: BigInt = format!("{whole}{part}").parse().ok()?;
    Some(BigRational::new(digits, BigInt::from(10).pow(u32::try_from(part.len()).ok()?)))
}
