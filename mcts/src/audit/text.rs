//! An audit as text for a terminal.

use std::fmt::Write;

use super::{Contamination, FactorAudit, OVERLAP_WORDS, PairAudit};
use crate::foreign::shown;

/// The audit as lines of text.
#[must_use]
pub fn render(audit: &PairAudit) -> String {
    let mut out = format!("{} pairs", audit.pairs);
    if let Some(problems) = audit.problems {
        let _ = write!(out, " of {problems} problems");
    }
    out.push('\n');
    if audit.pairs == 0 {
        return out;
    }
    factors(&mut out, audit);
    length(&mut out, audit);
    evidence(&mut out, audit);
    repeats(&mut out, audit);
    if let Some(found) = &audit.contamination {
        contamination(&mut out, found);
    }
    drift(&mut out, audit);
    out
}

fn factors(out: &mut String, audit: &PairAudit) {
    out.push_str("\nFactors: tau-b is 1 if the chosen side always has more, -1 if always less\n");
    let _ = writeln!(
        out,
        "{:<18}{:>8}{:>18}{:>10}{:>10}{:>8}{:>8}{:>8}{:>9}{:>8}{:>8}",
        "factor",
        "tau-b",
        "95 %",
        "chosen",
        "rejected",
        "more",
        "less",
        "same",
        "unknown",
        "before",
        "after"
    );
    for factor in &audit.factors {
        let counts = factor.counts;
        let _ = writeln!(
            out,
            "{:<18}{:>8}{:>18}{:>10}{:>10}{:>8}{:>8}{:>8}{:>9}{:>8}{:>8}",
            name(factor),
            signed(factor.tau_b),
            factor.ci95.map(|[low, high]| format!("{low:+.2} to {high:+.2}")).unwrap_or_default(),
            plain(factor.mean_chosen),
            plain(factor.mean_rejected),
            counts.agree,
            counts.against,
            counts.tied,
            factor.unknown,
            signed(factor.policy_tau_b),
            signed(factor.trained_tau_b),
        );
    }
    for (name, policy, ranking) in [
        ("before", "that sampled the sides", audit.policy),
        ("after", "that was trained on the pairs", audit.trained),
    ] {
        let Some(ranking) = ranking else { continue };
        let _ = writeln!(
            out,
            "{name}: tau-b with the ranking of the policy {policy}, which finds the chosen side likelier in {} of \
             {} pairs",
            percent(ranking.ranking_accuracy),
            ranking.pairs
        );
    }
}

/// Name of a factor. A user may have given it, so it is made safe for a terminal.
fn name(factor: &FactorAudit) -> String {
    factor.name.chars().map(shown).collect()
}

fn length(out: &mut String, audit: &PairAudit) {
    let Some(bias) = &audit.length_bias else { return };
    let Some(share) = bias.share else { return };
    let [low, high] = bias.ci95.map(percent);
    let _ = writeln!(
        out,
        "\nLength: the chosen side is longer in {} [{low}, {high}] of the pairs that differ in {}",
        percent(share),
        bias.unit
    );
}

fn evidence(out: &mut String, audit: &PairAudit) {
    out.push_str("\nWhat preferences rest on\n");
    for count in &audit.evidence {
        let _ = writeln!(
            out,
            "{:>8} {:>8}  {}",
            count.pairs,
            percent(count.share),
            count.class.in_words()
        );
    }
}

fn repeats(out: &mut String, audit: &PairAudit) {
    let r = audit.repeats;
    let _ = writeln!(
        out,
        "\nRepeats: {} prompts; {} pairs repeat an earlier one, {} contradict one, {} have two sides of one text",
        r.prompts, r.identical, r.swapped, r.same_sides
    );
}

fn contamination(out: &mut String, found: &Contamination) {
    let _ = writeln!(
        out,
        "\nTest problems: of {}, {} stand whole in {} pairs, {} more share {OVERLAP_WORDS} words in a row with {} \
         pairs; {} too short to look for",
        found.test_problems,
        found.exact,
        found.pairs_exact,
        found.overlapping,
        found.pairs_overlapping,
        found.too_short
    );
    if !found.examples.is_empty() {
        let names: String = found.examples.join(", ").chars().map(shown).collect();
        let _ = writeln!(out, "  first found: {names}");
    }
}

fn drift(out: &mut String, audit: &PairAudit) {
    if audit.rounds.is_empty() {
        return;
    }
    let columns = |out: &mut String, cells: &mut dyn Iterator<Item = String>| {
        cells.for_each(|cell| {
            let _ = write!(out, "{cell:>10}");
        });
    };
    for (title, of_tau) in [("Tau-b by round", true), ("Mean over both sides by round", false)] {
        let _ = write!(out, "\n{title}\n{:<18}", "factor");
        columns(out, &mut audit.rounds.iter().map(|r| format!("{}", r.round)));
        out.push_str("   95 % of the change by round\n");
        for (at, factor) in audit.factors.iter().enumerate() {
            let _ = write!(out, "{:<18}", name(factor));
            let cell =
                |f: &super::RoundFactor| if of_tau { signed(f.tau_b) } else { plain(f.mean) };
            columns(out, &mut audit.rounds.iter().map(|r| cell(&r.factors[at])));
            let drift = audit.drift.iter().find(|d| d.name == factor.name);
            let settled = drift.and_then(|d| if of_tau { d.tau_b_settled } else { d.mean_settled });
            let settled = settled.map_or_else(String::new, |round| round.to_string());
            let _ = writeln!(out, "   {settled}");
        }
    }
}

fn signed(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |v| format!("{v:+.3}"))
}

fn plain(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |v| format!("{v:.3}"))
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}
