//! Values on the right side of an equation: a calculation in a sentence ("24 + 5 = 29 apples"), or an
//! assignment at its end ("so x = 29").

use super::predicate::{is_predicate, is_refused, praises};
use super::{MAX_ASIDE, words};

/// Words after a calculation that take its result back. Conditions and denials after a calculation are
/// not among them, because they are about the things that are counted.
const RETREATS: [&str; 6] = ["but", "wrong", "however", "impossible", "although", "though"];

/// Whether a sentence performs the calculation before the value and does not take the result back.
pub(super) fn is_made(lead: &str, tail: &str, behind: &[String]) -> bool {
    let retreats = behind.iter().any(|w| RETREATS.contains(&w.as_str()));
    !(retreats || is_refused(behind) || is_unmade(lead) || goes_on(tail))
}

/// Whether an equation such as "x = 29" is the statement of a sentence, and not its premise.
pub(super) fn is_result(lead: &str, behind: &[String]) -> bool {
    let works = behind.first().is_some_and(|w| w == "works" || w == "holds");
    let short = works || behind.len() <= MAX_ASIDE;
    short && !is_predicate(behind) && !is_subordinate(lead) || praises(behind)
}

/// Whether a value is the right side of an equation or contains an equation or inequality itself.
pub(super) fn is_equation(lead: &str, value: &str) -> bool {
    let signs =
        ["=", "≈", ">>", "⟹", "⇒", "→", "\\approx", "\\Rightarrow", "\\implies", "=>", "\\to"];
    signs.iter().any(|sign| lead.trim_end().ends_with(sign))
        || ["=", "<", ">", "≤", "≥", "\\le", "\\ge", "\\in", "\\lt", "\\gt"]
            .iter()
            .any(|s| value.contains(s))
}

/// Whether the text before a value ends with a calculation: "24 + 5 =", or its annotation `<<24+5=29>>`.
pub(super) fn is_calculated(lead: &str) -> bool {
    let lead = lead.trim_end();
    let left = lead.trim_end_matches(['=', '≈']).trim_end();
    lead.ends_with(">>") || left.len() < lead.len() && has_digit(left)
}

fn has_digit(text: &str) -> bool {
    text.contains(|c: char| c.is_ascii_digit())
}

/// Whether the words before a calculation show that it is not performed: "one might compute", "we cannot
/// use".
fn is_unmade(lead: &str) -> bool {
    let clause = lead.rsplit([',', ';', ':']).next().unwrap_or(lead);
    let said = words(clause);
    let counterfactual =
        words(lead).iter().any(|w| w == "had") && said.iter().any(|w| w == "would");
    counterfactual
        || said.iter().any(|w| matches!(w.as_str(), "might" | "cannot" | "can't" | "wrongly"))
}

/// Whether a sentence continues after its result with a clause that makes it an intermediate or wrong
/// result: ", and we still need the price", ", which ignores the tax".
fn goes_on(tail: &str) -> bool {
    let Some((_, clause)) = tail.split_once(", ") else { return false };
    let clause = words(clause);
    let first = clause.first().map_or("", String::as_str);
    clause.len() > MAX_ASIDE
        && matches!(first, "which" | "and" | "so" | "then")
        && clause.iter().any(|w| {
            matches!(
                w.as_str(),
                "still" | "need" | "next" | "ignores" | "forgets" | "overlooks" | "misses"
            )
        })
}

/// Whether the words before an equation make it a premise and not a result: "when x =", "given that".
fn is_subordinate(lead: &str) -> bool {
    let clause = lead.rsplit([',', ';', ':']).next().unwrap_or(lead);
    let premises = [
        "for", "when", "where", "given", "if", "since", "because", "while", "whenever", "once",
        "as",
    ];
    let said = words(clause);
    let opens = said.first().is_some_and(|w| premises.contains(&w.as_str()));
    opens || said.iter().any(|w| matches!(w.as_str(), "when" | "given" | "if" | "where"))
}
