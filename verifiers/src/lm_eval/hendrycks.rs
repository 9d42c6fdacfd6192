//! `hendrycks_math`: compares normal forms of the text between the first and the last dollar sign.
//!
//! The normal form is that of the MATH paper's own grader (arXiv:2103.03874). Boxes in the output are not
//! looked for.

use super::last_box;

/// The verdict of `hendrycks_math`'s `exact_match` on a MATH solution and an output.
#[must_use]
pub fn hendrycks_math(solution: &str, output: &str) -> bool {
    let dollars: Vec<usize> = output.match_indices('$').map(|(at, _)| at).collect();
    let answer = match dollars.as_slice() {
        [first, .., last] => &output[first + 1..*last],
        _ => output,
    };
    let Some(gold) = last_box(solution) else { return false };
    match (normal_form(answer), normal_form(gold)) {
        (Some(answer), Some(gold)) => answer == gold,
        _ => answer == gold,
    }
}

/// The normal form; `None` if the published grader fails on the text, in which case it compares both texts as
/// written.
fn normal_form(text: &str) -> Option<String> {
    let mut s = text.replace('\n', "").replace("\\!", "").replace("\\\\", "\\");
    for (from, to) in [
        ("tfrac", "frac"),
        ("dfrac", "frac"),
        ("\\left", ""),
        ("\\right", ""),
        ("^{\\circ}", ""),
        ("^\\circ", ""),
        ("\\$", ""),
    ] {
        s = s.replace(from, to);
    }
    if let Some((value, unit)) = s.split_once("\\text{ ") {
        if unit.contains("\\text{ ") {
            return None;
        }
        s = value.to_owned();
    }
    s = s.replace("\\%", "").replace(" .", " 0.").replace("{.", "{0.");
    if s.is_empty() {
        return Some(s);
    }
    if s.starts_with('.') {
        s.insert(0, '0');
    }
    if let Some((left, right)) = s.split_once('=')
        && !right.contains('=')
        && left.chars().count() <= 2
    {
        s = right.to_owned();
    }
    s = braced_roots(&s)?.replace(' ', "");
    s = braced_fractions(&s)?;
    if s == "0.5" {
        s = "\\frac{1}{2}".to_owned();
    }
    slashed(&s)
}

/// Converts `\sqrt3` into `\sqrt{3}`.
fn braced_roots(text: &str) -> Option<String> {
    let mut parts = text.split("\\sqrt");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let first = part.chars().next()?;
        if first == '{' {
            out.push_str(&format!("\\sqrt{part}"));
        } else {
            out.push_str(&format!("\\sqrt{{{first}}}{}", &part[first.len_utf8()..]));
        }
    }
    Some(out)
}

/// Adds braces to `\frac12` and `\frac1{72}`. If a fraction has only one character, the text is
/// unchanged.
fn braced_fractions(text: &str) -> Option<String> {
    let mut parts = text.split("\\frac");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let mut rest = part.chars();
        match (rest.next()?, rest.next()) {
            ('{', _) => out.push_str(&format!("\\frac{part}")),
            (above, Some('{')) => {
                out.push_str(&format!("\\frac{{{above}}}{}", &part[above.len_utf8()..]));
            }
            (above, Some(below)) => {
                out.push_str(&format!("\\frac{{{above}}}{{{below}}}{}", rest.as_str()));
            }
            (_, None) => return Some(text.to_owned()),
        }
    }
    Some(out)
}

/// Converts `3/4` of two integers into a fraction; `None` for `x/4`, on which the published grader fails.
fn slashed(text: &str) -> Option<String> {
    let mut sides = text.split('/');
    let (Some(above), Some(below), None) = (sides.next(), sides.next(), sides.next()) else {
        return Some(text.to_owned());
    };
    if is_plain(python_integer(above)?) && is_plain(python_integer(below)?) {
        return Some(format!("\\frac{{{above}}}{{{below}}}"));
    }
    Some(text.to_owned())
}

/// The text, if Python's `int` can parse it.
fn python_integer(text: &str) -> Option<&str> {
    let digits = text.trim();
    let digits = digits.strip_prefix(['+', '-']).unwrap_or(digits);
    let group = |g: &str| !g.is_empty() && g.bytes().all(|b| b.is_ascii_digit());
    digits.split('_').all(group).then_some(text)
}

/// Whether an integer is written as Python prints it.
fn is_plain(integer: &str) -> bool {
    let digits = integer.strip_prefix('-').unwrap_or(integer);
    let leading = digits.starts_with('0') && integer != "0";
    !leading && digits.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compares_normal_forms() {
        assert!(hendrycks_math("\\boxed{\\frac{1}{2}}", "The answer is $\\tfrac12$."));
        assert!(hendrycks_math("\\boxed{\\frac{3}{4}}", "$3/4$"));
        assert!(hendrycks_math("\\boxed{0.5}", "$\\frac12$"));
        assert!(hendrycks_math("\\boxed{\\sqrt{3}}", "$x=\\sqrt3$"));
        assert!(hendrycks_math("\\boxed{5\\text{ cm}}", "5"));
        assert!(hendrycks_math("\\boxed{(1,2)}", "$\\left(1, 2\\right)$"));
    }

    #[test]
    fn compares_as_written_what_the_published_grader_fails_on() {
        assert!(!hendrycks_math("\\boxed{\\frac{x}{2}}", "$x/2$"));
        assert!(!hendrycks_math("\\boxed{x/2}", "$x / 2$"));
        assert!(hendrycks_math("\\boxed{x/2}", "$x/2$"));
        assert!(!hendrycks_math("\\boxed{\\sqrt{2}}", "$\\sqrt$"));
        assert!(hendrycks_math("\\boxed{03/4}", "$03 / 4$"));
        assert!(!hendrycks_math("\\boxed{\\frac{3}{4}}", "$03/4$"));
    }

    #[test]
    fn does_not_look_for_boxes() {
        assert!(!hendrycks_math("\\boxed{5}", "so it is \\boxed{5}"));
        assert!(!hendrycks_math("\\boxed{5}", "from $x=4$ we get $x=5$"));
    }
}
