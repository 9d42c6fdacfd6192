//! Report on the agreement of a second judge with the labels of pairs.

use regrowth_datasets::PreferencePair;
use serde::{Deserialize, Serialize};

use super::{Ratings, Rejudged};
use crate::interval::wilson;

/// Number of buckets of equal size into which judged pairs are divided by margin.
const BUCKETS: usize = 4;

/// Agreement of a judge with the labels of pairs, or with outcomes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// Number of pairs for which the judge prefers one side.
    pub pairs: u64,
    /// Number of these pairs for which the judge agrees.
    pub agree: u64,
    /// `agree / pairs`; `None` if there are no pairs.
    pub share: Option<f64>,
    /// Wilson's 95 % interval of the share.
    pub ci95: [f64; 2],
}

impl Agreement {
    fn of(agrees: impl Iterator<Item = bool>) -> Self {
        let (pairs, agree) =
            agrees.fold((0, 0), |(n, agree), agrees| (n + 1, agree + u64::from(agrees)));
        let share = (pairs > 0).then(|| agree as f64 / pairs as f64);
        Self { pairs, agree, share, ci95: wilson(agree, pairs) }
    }
}

/// Agreement among pairs with similar margins.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BucketAgreement {
    /// Smallest and largest margin.
    pub margins: [f64; 2],
    /// The agreement.
    #[serde(flatten)]
    pub agreement: Agreement,
}

/// Results of rejudging.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RejudgeReport {
    /// Pairs in the file.
    pub pairs: u64,
    /// Pairs submitted to the judge.
    pub asked: u64,
    /// Pairs whose sides got the same score.
    pub tied: u64,
    /// Pairs with a side that got no score.
    pub unknown: u64,
    /// Sides that could not be judged.
    pub failed: u64,
    /// Agreement of the judge with the labels.
    pub agreement: Agreement,
    /// Cohen's kappa of judge and labels on which side is better, the first or the second: 0 is chance, 1
    /// full agreement. The first side is the one that is first in alphabetical order, because in a file the
    /// chosen side always comes first. `None` if there are no pairs or if chance agreement is 1.
    pub kappa: Option<f64>,
    /// Agreement of the judge with outcomes, over pairs with one verified right and one verified wrong side.
    pub outcomes: Agreement,
    /// Agreement with the labels in four parts of equal size by margin, smallest first.
    pub by_margin: Vec<BucketAgreement>,
    /// Tokens that the judge computed: prefixes, steps and questions.
    pub tokens: u64,
}

/// A pair for which the judge prefers one side.
struct Judged<'a> {
    pair: &'a PreferencePair,
    agrees: bool,
}

impl RejudgeReport {
    /// Computes the report from these ratings of `pairs`.
    #[must_use]
    pub fn of(pairs: &[PreferencePair], rejudged: &Rejudged) -> Self {
        let asked: Vec<(&PreferencePair, Ratings)> =
            pairs.iter().zip(&rejudged.ratings).filter_map(|(p, r)| Some((p, (*r)?))).collect();
        let strengths: Vec<(&PreferencePair, f64)> =
            asked.iter().filter_map(|(pair, r)| Some((*pair, r.strength()?))).collect();
        let judged: Vec<Judged> = strengths
            .iter()
            .filter(|(_, strength)| *strength != 0.0)
            .map(|&(pair, strength)| Judged { pair, agrees: strength > 0.0 })
            .collect();
        let usage = rejudged.usage;
        Self {
            pairs: pairs.len() as u64,
            asked: asked.len() as u64,
            tied: (strengths.len() - judged.len()) as u64,
            unknown: (asked.len() - strengths.len()) as u64,
            failed: rejudged.failed,
            agreement: Agreement::of(judged.iter().map(|j| j.agrees)),
            kappa: kappa(&judged),
            outcomes: Agreement::of(judged.iter().filter_map(Judged::meets_outcome)),
            by_margin: by_margin(judged),
            tokens: usage.prefilled + usage.judged + usage.restated,
        }
    }

    /// The report as lines of text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = format!(
            "{} of {} pairs asked about ({} rated alike, {} without a rating, {} sides failed), {} tokens",
            self.asked, self.pairs, self.tied, self.unknown, self.failed, self.tokens
        );
        out.push_str(&format!("\nagrees with the labels: {}", shown(&self.agreement)));
        if let Some(kappa) = self.kappa {
            out.push_str(&format!(", Cohen's kappa {kappa:.3}"));
        }
        if self.outcomes.pairs > 0 {
            out.push_str(&format!("\nagrees with outcomes: {}", shown(&self.outcomes)));
        }
        for bucket in &self.by_margin {
            let [low, high] = bucket.margins;
            let agreement = shown(&bucket.agreement);
            out.push_str(&format!("\n  margins {low:.3} to {high:.3}: {agreement}"));
        }
        out
    }
}

fn shown(agreement: &Agreement) -> String {
    let Agreement { pairs, agree, share, ci95 } = agreement;
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    match share {
        None => "no pair to compare".to_owned(),
        Some(share) => format!(
            "{} [{}, {}] ({agree} of {pairs})",
            percent(*share),
            percent(ci95[0]),
            percent(ci95[1])
        ),
    }
}

impl Judged<'_> {
    /// Whether the judge prefers the side that is verified right; `None` unless one side is verified right
    /// and the other verified wrong.
    fn meets_outcome(&self) -> Option<bool> {
        let pair = self.pair;
        let finished = pair.oracle && pair.terminal_chosen && pair.terminal_rejected;
        let differ = finished && pair.outcome_chosen * pair.outcome_rejected < 0.0;
        differ.then_some(self.agrees == (pair.outcome_chosen > 0.0))
    }

    /// Whether the chosen side is the first in alphabetical order.
    fn chosen_first(&self) -> bool {
        self.pair.chosen < self.pair.rejected
    }
}

/// `(observed - chance) / (1 - chance)` (Cohen 1960).
fn kappa(judged: &[Judged]) -> Option<f64> {
    let n = judged.len() as f64;
    let share = |count: usize| count as f64 / n;
    let observed = share(judged.iter().filter(|j| j.agrees).count());
    let by_label = share(judged.iter().filter(|j| j.chosen_first()).count());
    let by_judge = share(judged.iter().filter(|j| j.chosen_first() == j.agrees).count());
    let chance = by_label * by_judge + (1.0 - by_label) * (1.0 - by_judge);
    (n > 0.0 && chance < 1.0).then(|| (observed - chance) / (1.0 - chance))
}

fn by_margin(mut judged: Vec<Judged>) -> Vec<BucketAgreement> {
    judged.sort_by(|a, b| a.pair.margin.total_cmp(&b.pair.margin));
    let size = judged.len().div_ceil(BUCKETS).max(1);
    let bucket = |part: &[Judged]| {
        let (first, last) = (part.first()?, part.last()?);
        Some(BucketAgreement {
            margins: [first.pair.margin, last.pair.margin],
            agreement: Agreement::of(part.iter().map(|j| j.agrees)),
        })
    };
    judged.chunks(size).filter_map(bucket).collect()
}
