//! Formats numbers and names for readers.

use regrowth_mcts::pairs::DropReason;
use serde::Deserialize;
use serde::de::value::StrDeserializer;

use crate::stats::Share;

/// `47.8 %`, with a no-break space.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1}\u{a0}%", 100.0 * share)
}

/// A part of a whole in percent; empty if the whole is 0.
pub(super) fn part(part: u64, whole: u64) -> String {
    if whole == 0 { String::new() } else { percent(part as f64 / whole as f64) }
}

/// The mean with one decimal; empty if `n` is 0.
pub(super) fn mean(sum: u64, n: u64) -> String {
    if n == 0 { String::new() } else { format!("{:.1}", sum as f64 / n as f64) }
}

/// `+28.8`, in percentage points, with a typographic minus sign.
pub(super) fn points(difference: f64) -> String {
    signed(100.0 * difference, 1)
}

/// A number with its sign, with a typographic minus sign.
pub(super) fn signed(value: f64, digits: usize) -> String {
    let sign = if value < 0.0 { '\u{2212}' } else { '+' };
    format!("{sign}{:.digits$}", value.abs())
}

/// `44.7 to 50.9`, in percent.
pub(super) fn interval(share: &Share) -> String {
    format!("{:.1} to {:.1}", 100.0 * share.ci95[0], 100.0 * share.ci95[1])
}

/// `1,234,567`.
pub(super) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 round`, `2 rounds`, `2,400 problems`.
pub(super) fn counted(n: u64, one: &str) -> String {
    format!("{} {one}{}", count(n), if n == 1 { "" } else { "s" })
}

/// `1 h 12 min`, `3 min 5 s`, `4.2 s`.
pub(super) fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole / 60 % 60),
    }
}

/// `512 MB`, `1.23 GB`; decimal units.
pub(super) fn bytes(n: u64) -> String {
    let megabytes = n as f64 / 1e6;
    if megabytes < 1000.0 {
        format!("{megabytes:.0} MB")
    } else {
        format!("{:.2} GB", megabytes / 1e3)
    }
}

/// Describes a reason for dropped pairs; training's own reasons are descriptions already.
pub(super) fn drop_reason(name: &str) -> String {
    let known = DropReason::deserialize(StrDeserializer::<serde::de::value::Error>::new(name));
    known.map_or_else(|_| name.replace('_', " "), |reason| reason.in_words().to_owned())
}

/// Describes why a solution states no answer.
pub(super) fn unanswered(name: &str) -> String {
    match name {
        "cut_off" => "cut off by the token limit".to_owned(),
        "no_answer" => "no answer can be read".to_owned(),
        other => other.replace('_', " "),
    }
}

/// Describes a training metric; empty if it is not known here.
pub(super) fn metric(name: &str) -> &'static str {
    let set = name.strip_prefix("train/").or_else(|| name.strip_prefix("held_out/"));
    match set.unwrap_or(name) {
        "alignment_gap" => "idealised less actual ranking accuracy",
        "joint/accuracies" => "share of joint pairs whose right side has the higher reward",
        "joint/loss" => "sigmoid loss of joint pairs",
        "joint/margins" => "reward of the right side of a joint pair less that of the wrong one",
        "judge/accuracies" => "share of steps whose self-evaluation agrees with their label",
        "judge/loss" => "cross entropy of self-evaluations and labels",
        "logps/chosen" => "log-probability of the chosen side",
        "logps/rejected" => "log-probability of the rejected side",
        "nll" => "negative log-likelihood of a token",
        // Named `on_policy_share` in runs of older versions.
        "newest_round_share" | "on_policy_share" => "share of pairs from the newest round",
        "ranking_accuracy" => "share of pairs whose chosen side is the likelier one",
        "ranking_accuracy_idealised" => "the same if the loss were minimised exactly",
        "ranking_accuracy_reference" => "the same for the reference policy",
        "rewards/accuracies" => "share of pairs whose chosen side has the higher reward",
        "rewards/chosen" => "beta times the log-ratio of policy and reference, chosen side",
        "rewards/margins" => "chosen less rejected",
        "rewards/rejected" => "beta times the log-ratio of policy and reference, rejected side",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        let counts = [0, 999, 1000, 1_234_567].map(count);
        assert_eq!(counts, ["0", "999", "1,000", "1,234,567"]);
        let durations = [4.24, 185.0, 4320.0].map(duration);
        assert_eq!(durations, ["4.2 s", "3 min 5 s", "1 h 12 min"]);
        assert_eq!([512_400_000, 1_234_000_000].map(bytes), ["512 MB", "1.23 GB"]);
        assert_eq!(points(-0.0512), "\u{2212}5.1");
        assert_eq!(
            (part(1, 4), part(0, 0), mean(3, 2)),
            ("25.0\u{a0}%".into(), "".into(), "1.5".into())
        );
    }

    #[test]
    fn reasons_are_words() {
        assert_eq!(drop_reason("no_sibling"), "no sibling to compare with");
        assert_eq!(drop_reason("longer than the context"), "longer than the context");
    }
}
