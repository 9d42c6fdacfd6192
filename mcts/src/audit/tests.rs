//! Audits of hand-made rows with known figures.

use super::*;

fn side(text: &str, logp: f64) -> AuditSide {
    AuditSide {
        text: text.to_owned(),
        tokens: Some(text.len()),
        logp: Some(logp),
        ..AuditSide::default()
    }
}

fn row(round: u32, chosen: (&str, f64), rejected: (&str, f64)) -> AuditRow {
    AuditRow {
        problem: Some(format!("p{round}")),
        round,
        prompt: "She has 3 apples and 2 pears.\n".to_owned(),
        chosen: side(chosen.0, chosen.1),
        rejected: side(rejected.0, rejected.1),
        ..AuditRow::default()
    }
}

/// The chosen side is longer in two of four pairs and shorter in one.
fn rows() -> Vec<AuditRow> {
    vec![
        row(1, ("3 + 2 = 5 so", -1.0), ("3 + 2 = 6", -2.0)),
        row(1, ("She has 3 apples", -9.0), ("5 fruits", -2.0)),
        row(2, ("two", -1.0), ("three", -0.5)),
        row(2, ("ab", -1.0), ("cd", -1.0)),
    ]
}

fn factor<'a>(audit: &'a PairAudit, name: &str) -> &'a FactorAudit {
    audit.factors.iter().find(|f| f.name == name).unwrap()
}

#[test]
fn factors_are_counted_by_the_side_that_has_more() {
    let mut factors = Factor::builtin();
    factors.push("digits=[0-9]".parse().unwrap());
    let audit = audit(&rows(), &factors, None);
    let tokens = factor(&audit, "tokens");
    assert_eq!((tokens.counts.agree, tokens.counts.against, tokens.counts.tied), (2, 1, 1));
    // (2 - 1) / sqrt(3 * 4)
    assert!((tokens.tau_b.unwrap() - 1.0 / 12f64.sqrt()).abs() < 1e-12);
    let wrong = factor(&audit, "false_equations");
    assert_eq!((wrong.counts.agree, wrong.counts.against, wrong.counts.tied), (0, 1, 3));
    assert_eq!(wrong.tau_b, Some(-0.5));
    let digits = factor(&audit, "digits");
    assert_eq!((digits.mean_chosen, digits.mean_rejected), (Some(1.0), Some(1.0)));
    assert_eq!((digits.counts.agree, digits.counts.against, digits.counts.tied), (0, 0, 4));
    assert_eq!(factor(&audit, "restating").unknown, 3, "sides of fewer than three words");
    assert_eq!(factor(&audit, "self_evaluation").unknown, 4);
    let bias = audit.length_bias.unwrap();
    assert_eq!((bias.unit.as_str(), bias.share), ("tokens", Some(2.0 / 3.0)));
}

#[test]
fn the_ranking_of_the_policy_is_that_of_the_sums_of_log_probabilities() {
    let audit = audit(&rows(), &Factor::builtin(), None);
    let policy = audit.policy.unwrap();
    assert_eq!((policy.pairs, policy.ranking_accuracy), (4, 0.25));
    // For each pair, whether the chosen side is likelier, and whether it is longer: pair 1 yes, yes; 2 no,
    // yes; 3 no, no; 4 tied in both.
    let tau = factor(&audit, "tokens").policy_tau_b.unwrap();
    assert!((tau - 1.0 / 3.0).abs() < 1e-12, "{tau}");
}

#[test]
fn the_ranking_after_training_stands_beside_that_before() {
    let mut rows = rows();
    rows.iter_mut().for_each(|row| row.trained = Some([-1.0, -2.0]));
    rows[3].trained = None;
    let audit = audit(&rows, &Factor::builtin(), None);
    assert_eq!(audit.trained.unwrap().ranking_accuracy, 1.0);
    let tau = factor(&audit, "tokens").trained_tau_b.unwrap();
    assert!((tau - 1.0 / 3.0).abs() < 1e-12, "two longer, one shorter: {tau}");
}

#[test]
fn rounds_are_shown_where_there_are_several() {
    let rows = rows();
    let both = audit(&rows, &Factor::builtin(), None);
    let tokens: Vec<_> = both.rounds.iter().map(|r| r.factors[0].tau_b).collect();
    assert_eq!(tokens, [Some(1.0), Some(-1.0 / 2f64.sqrt())]);
    assert_eq!(both.drift[0].name, "tokens");
    assert_eq!(both.drift[0].mean, [(12 + 9 + 16 + 8) as f64 / 4.0, (3 + 5 + 2 + 2) as f64 / 4.0]);
    assert_eq!(both.drift[0].mean_settled, Some(2));
    assert!(audit(&rows[..2], &Factor::builtin(), None).rounds.is_empty());
}

#[test]
fn no_pairs_are_no_failure_and_names_cannot_act() {
    let empty = audit(&[], &Factor::builtin(), Some(&[]));
    assert_eq!(render(&empty), "0 pairs\n");
    let factors = ["x\u{1b}[31m=a".parse().unwrap()];
    let text = render(&audit(&rows(), &factors, None));
    assert!(!text.contains('\u{1b}') && text.contains('\u{fffd}'), "{text}");
}

#[test]
fn factors_of_ones_own_have_a_free_name_and_a_regular_expression() {
    for bad in ["digits", "=a", "tokens=a", "x=("] {
        assert!(bad.parse::<Factor>().is_err(), "{bad}");
    }
}
