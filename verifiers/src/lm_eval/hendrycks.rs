//! `hendrycks_math`: string normal forms of the text between the first and the last dollar sign.
//!
//! The normal form is that of the MATH paper's own grader (arXiv:2103.03874). It does not look for a
//! box in the output.

use super::last_box;

/// The verdict of `hendrycks_math`'s `exact_match` on a MATH solution and an output.
#[must_use]
pub fn hendrycks_math(solution: &str, output: &str) -> bool {
    let dollars: Vec<usize> = output.match_indices('$').map(|(at, _)| at).collect();
    let answer = match dollars.as_slice() {
        [first, .., last] => &output[first + 1..*last],
        _ => output,
    };
    last_box(solution).is_some_and(|gold| normal_form(answer) == normal_form(gold))
}

fn normal_form(text: &str) -> String {
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
    if let Some((value, unit)) = s.split_once("\\text{ ")
        && !unit.contains("\\text{ ")
    {
        s = value.to_owned();
    }
    s = s.replace("\\%", "").replace(" .", " 0.").replace("{.", "{0.");
    if s.starts_with('.') {
        s.insert(0, '0');
    }
    if let Some((left, right)) = s.split_once('=')
        && !right.contains('=')
        && left.chars().count() <= 2
    {
        s = right.to_owned();
    }
    s = braced_roots(&s).replace(' ', "");
    s = braced_fractions(&s);
    if s == "0.5" {
        s = "\\frac{1}{2}".to_owned();
    }
    slashed(&s)
}

/// `\sqrt3` becomes `\sqrt{3}`.
fn braced_roots(text: &str) -> String {
    let mut parts = text.split("\\sqrt");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str("\\sqrt");
        match part.chars().next() {
            Some(first) if first != '{' => {
                out.push('{');
                out.push(first);
                out.push('}');
                out.push_str(&part[first.len_utf8()..]);
            }
            _ => out.push_str(part),
        }
    }
    out
}

/// `\frac12` and `\frac1{72}` get their braces.
fn braced_fractions(text: &str) -> String {
    let mut parts = text.split("\\frac");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str("\\frac");
        let mut chars = part.chars();
        match (chars.next(), chars.next()) {
            (Some('{'), _) => out.push_str(part),
            (Some(above), Some(below)) => {
                out.push_str(&format!("{{{above}}}"));
                if below == '{' {
                    out.push_str(&part[above.len_utf8()..]);
                } else {
                    out.push_str(&format!("{{{below}}}"));
                    out.push_str(chars.as_str());
                }
            }
            // The published grader gives up on such a fraction and keeps the whole text.
            _ => return text.to_owned(),
        }
    }
    out
}

/// `3/4` of two whole numbers becomes a fraction.
fn slashed(text: &str) -> String {
    let whole = |t: &str| t.parse::<i64>().ok().filter(|n| n.to_string() == t);
    match text.split_once('/').map(|(a, b)| (whole(a), whole(b))) {
        Some((Some(a), Some(b))) => format!("\\frac{{{a}}}{{{b}}}"),
        _ => text.to_owned(),
    }
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
    fn does_not_look_for_boxes() {
        assert!(!hendrycks_math("\\boxed{5}", "so it is \\boxed{5}"));
        assert!(!hendrycks_math("\\boxed{5}", "from $x=4$ we get $x=5$"));
    }
}
