//! The page: result first, then rounds, pairs, costs, example trees, settings.

use std::collections::BTreeMap;

use regrowth_mcts::calibration::{Calibration, ECE_BINS, Figures};
use regrowth_mcts::show::escape_html;

use super::chart;
use super::html::{bars, table};
use crate::rounds::{HISTOGRAM_EDGES, RoundReport, RunReport};
use crate::stats::p_value;

const STYLE: &str = "
:root{color-scheme:light dark;--ink:#1d2129;--dim:#667080;--line:#d9dde3;--paper:#fff;
--test:#0b6e4f;--validation:#9aa3af}
@media(prefers-color-scheme:dark){:root{--ink:#e6e8eb;--dim:#9aa3af;--line:#363c45;--paper:#16191d;
--test:#4cc38a;--validation:#78828f}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:60rem;
margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2.2rem}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:.25rem .7rem;text-align:right;border-bottom:1px solid var(--line)}
th:first-child{text-align:left}thead th{color:var(--dim);font-weight:500}
tbody th{font-weight:500}.scroll{overflow-x:auto}.bars .bar{width:14rem}
.bar span{display:block;height:.7rem;background:var(--test)}
.chart{width:100%;max-width:40rem;font-size:12px}.chart text{fill:var(--dim)}
.chart path{fill:none}.grid{stroke:var(--line)}.interval{stroke:var(--test);stroke-width:1.5}
path.test{stroke:var(--test);stroke-width:2}circle.test{fill:var(--test)}
path.validation{stroke:var(--validation);stroke-dasharray:4 3}circle.validation{fill:var(--validation)}
.dim{color:var(--dim)}pre{overflow-x:auto;padding:.8rem;border:1px solid var(--line);font-size:13px}
";

/// The whole page.
pub(super) fn render(report: &RunReport, examples: &[String]) -> String {
    let mut body = headline(report);
    body += &rounds(report);
    for round in report.rounds.iter().filter(|r| r.trees > 0) {
        body += &pairs(round);
    }
    body += &costs(report);
    if !examples.is_empty() {
        body += "<h2>Example trees</h2>\n";
        for example in examples {
            body += &format!("<pre>{}</pre>\n", escape_html(example));
        }
    }
    body += &settings(report);
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>Regrowth: {}</title><style>{STYLE}</style></head>\n<body>\n{body}</body></html>\n",
        escape_html(&report.config.problems)
    )
}

fn percent(accuracy: f64) -> String {
    format!("{:.1} %", 100.0 * accuracy)
}

fn headline(report: &RunReport) -> String {
    let mut out = format!("<h1>Regrowth on {}</h1>\n", escape_html(&report.config.problems));
    let eval = |round: u32| report.round(round).and_then(|r| r.eval.as_ref());
    if let (Some(before), Some(after)) = (eval(0), eval(report.best_round)) {
        let compared = &report.comparison;
        let [low, high] = compared.ci95.map(|v| 100.0 * v);
        out += &format!(
            "<p>Greedy accuracy on {} unseen test problems: <b>{}</b> before, <b>{}</b> after \
             round {} (difference {:+.1} points, 95 % interval {low:+.1} to {high:+.1}; {} \
             problems gained, {} lost; exact McNemar test p = {}).</p>\n",
            after.share.n,
            percent(before.share.accuracy),
            percent(after.share.accuracy),
            report.best_round,
            100.0 * compared.difference,
            compared.gained,
            compared.lost,
            p_value(report.p_value),
        );
    }
    out += "<p class=\"dim\">The best round was chosen by validation problems; test problems were \
            looked at once, at the end. Solid: test, with 95 % intervals. Dashed: validation.</p>\n";
    out + &chart::accuracy(report)
}

fn rounds(report: &RunReport) -> String {
    let head = [
        "round",
        "validation",
        "test",
        "95 % interval",
        "trees",
        "pairs",
        "steps",
        "forgotten",
        "learned",
        "KL to initial",
        "equations that hold",
        "gate",
    ];
    let rows: Vec<Vec<String>> = report.rounds.iter().map(|r| round_row(report, r)).collect();
    let early = if report.stopped_early {
        " The run ended early: rounds in a row brought no new best."
    } else {
        ""
    };
    let looks = report.earlier_looks().map(|looks| format!(" Note: {looks}.")).unwrap_or_default();
    format!(
        "<h2>Rounds</h2>\n{}<p class=\"dim\">Forgotten: validation problems that the round's start \
         solved and its end does not; learned: the reverse. KL to initial: divergence from the \
         base policy, in nats a token of {} sampled probe solutions. \
         Equations that hold: of those in the solutions of validation problems.{early}{looks}</p>\n",
        table(&head, &rows),
        report.rounds.iter().filter_map(|r| r.kl_to_base).map(|d| d.problems).max().unwrap_or(0),
    )
}

fn round_row(report: &RunReport, round: &RoundReport) -> Vec<String> {
    let eval = round.eval.as_ref().map(|e| e.share);
    let gate = match (&round.gate, &round.not_trained) {
        (_, Some(reason)) => format!("not trained: {reason}"),
        (Some(gate), None) if gate.accepted => "accepted".to_owned(),
        (Some(gate), None) => format!("kept round {}", gate.start_round),
        (None, None) => String::new(),
    };
    let best = if round.round == report.best_round { " (best)" } else { "" };
    vec![
        format!("{}{best}", round.round),
        percent(round.validation.share.accuracy),
        eval.map(|s| percent(s.accuracy)).unwrap_or_default(),
        eval.map(|s| format!("{:.1} to {:.1}", 100.0 * s.ci95[0], 100.0 * s.ci95[1]))
            .unwrap_or_default(),
        round.trees.to_string(),
        round.pairs.to_string(),
        round.steps.to_string(),
        round.forgotten.to_string(),
        round.learned.to_string(),
        round.kl_to_base.map(|d| format!("{:.4}", d.per_token)).unwrap_or_default(),
        round.validation.equations.map(|s| percent(s.accuracy)).unwrap_or_default(),
        gate,
    ]
}

fn pairs(round: &RoundReport) -> String {
    let statistics = &round.statistics;
    let mut out = format!("<h2>Pairs of round {}</h2>\n", round.round);
    let per = |sum: u64, n: u64| if n == 0 { 0.0 } else { sum as f64 / n as f64 };
    let share = |part: u64, n: u64| percent(per(part, n));
    let rows = [
        ("trees with right and wrong solutions", share(statistics.mixed, statistics.trees)),
        ("trees with wrong solutions only", share(statistics.all_wrong, statistics.trees)),
        ("trained pairs by the round's own policy", percent(round.on_policy_share)),
        ("trained pairs replayed from earlier rounds", round.replayed.to_string()),
        (
            "tokens of a chosen side",
            format!("{:.1}", per(statistics.chosen_tokens, statistics.pairs)),
        ),
        (
            "tokens of a rejected side",
            format!("{:.1}", per(statistics.rejected_tokens, statistics.pairs)),
        ),
        ("pairs whose chosen side is longer", share(statistics.chosen_longer, statistics.pairs)),
        (
            "candidates dropped as duplicates",
            share(
                statistics.duplicates,
                statistics.duplicates + statistics.nodes.saturating_sub(statistics.trees),
            ),
        ),
        (
            "solutions on which self-evaluation and outcome disagree",
            share(statistics.judge_disagrees, statistics.judged_solutions),
        ),
    ];
    let rows: Vec<Vec<String>> =
        rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    out += &table(&["", "value"], &rows);
    out += &statistics.self_evaluation.as_ref().map(self_evaluation).unwrap_or_default();
    let depths: Vec<(String, u64)> =
        statistics.depths.iter().map(|d| (d.depth.to_string(), d.pairs)).collect();
    out += &bars("depth", &depths);
    out += &bars("margin", &margins(&statistics.margins));
    let dropped: Vec<(String, u64)> =
        round.pairs_dropped.iter().map(|(k, v)| (k.clone(), *v)).collect();
    out + &bars("left out because", &dropped)
}

/// How well the judge foretold the outcome, by the depth at which solutions end.
fn self_evaluation(found: &Calibration) -> String {
    let head = ["solutions of", "judged", "unknown", "right", "mean self-evaluation", "AUC", "ECE"];
    let shown = |v: Option<f64>| v.map(|v| format!("{v:.3}")).unwrap_or_default();
    let row = |name: String, f: &Figures| {
        let (n, unknown, right) = (f.n.to_string(), percent(f.unknown), percent(f.right));
        vec![name, n, unknown, right, format!("{:.3}", f.mean), shown(f.auc), shown(f.ece)]
    };
    let mut rows = vec![row("any depth".to_owned(), &found.all)];
    rows.extend(found.by_depth.iter().map(|d| row(format!("{} steps", d.depth), &d.figures)));
    format!(
        "{}<p class=\"dim\">Self-evaluation against verified outcome. AUC: probability that a right \
         solution is rated above a wrong one (0.5 knows nothing); ECE over {ECE_BINS} equal bins.</p>\n",
        table(&head, &rows)
    )
}

fn margins(counts: &[u64]) -> Vec<(String, u64)> {
    let label = |i: usize| match HISTOGRAM_EDGES.get(i + 1) {
        Some(next) => format!("{} to {next}", HISTOGRAM_EDGES[i]),
        None => format!("{} and more", HISTOGRAM_EDGES[i]),
    };
    counts.iter().take(HISTOGRAM_EDGES.len()).enumerate().map(|(i, &n)| (label(i), n)).collect()
}

fn costs(report: &RunReport) -> String {
    let head = [
        "round",
        "prompt tokens",
        "sampled",
        "trained",
        "model calls",
        "search s",
        "train s",
        "evaluate s",
        "probe s",
    ];
    let row = |r: &RoundReport| {
        let seconds = [
            r.seconds.search,
            r.seconds.train,
            r.seconds.evaluate + r.seconds.test,
            r.seconds.probe,
        ];
        let mut row = vec![
            r.round.to_string(),
            r.tokens.prompts.to_string(),
            r.tokens.sampled.to_string(),
            r.tokens.trained.to_string(),
            r.statistics.model_calls.to_string(),
        ];
        row.extend(seconds.map(|s| format!("{s:.1}")));
        row
    };
    let rows: Vec<Vec<String>> = report.rounds.iter().map(row).collect();
    let metrics: BTreeMap<&String, Vec<String>> = report
        .rounds
        .iter()
        .flat_map(|r| r.metrics.iter())
        .map(|(name, _)| {
            let value = |r: &RoundReport| r.metrics.get(name).map(|v| format!("{v:.4}"));
            let values = report.rounds.iter().filter(|r| r.trained);
            (name, values.map(|r| value(r).unwrap_or_default()).collect())
        })
        .collect();
    let mut out = format!("<h2>Cost</h2>\n{}", table(&head, &rows));
    if !metrics.is_empty() {
        let trained = report.rounds.iter().filter(|r| r.trained);
        let names: Vec<String> = trained.map(|r| format!("round {}", r.round)).collect();
        let mut head = vec!["last step of training"];
        head.extend(names.iter().map(String::as_str));
        let row = |(name, values): (&String, Vec<String>)| {
            std::iter::once(name.clone()).chain(values).collect()
        };
        let rows: Vec<Vec<String>> = metrics.into_iter().map(row).collect();
        out += &table(&head, &rows);
    }
    out
}

fn settings(report: &RunReport) -> String {
    let text = serde_json::to_string_pretty(&report.config).unwrap_or_default();
    format!(
        "<h2>Settings</h2>\n<details><summary>Effective settings, seed {}</summary><pre>{}</pre>\
         </details>\n",
        report.seed,
        escape_html(&text)
    )
}
