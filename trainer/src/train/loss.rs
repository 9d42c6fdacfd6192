//! Preference losses as pure functions of log-probabilities, with their exact derivatives.
//!
//! Notation of one pair: c = chosen, r = rejected, s = sum log pi_theta, s0 = sum log pi_ref, D = (s_c -
//! s0_c) - (s_r - s0_r), l = number of tokens. Every loss returns its value and its derivatives with respect
//! to s_c and s_r; nothing here depends on models or batches.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Inputs of a loss for one pair.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PairLogps {
    /// Sum of the chosen side's log-probabilities under the policy, s_c.
    pub chosen: f64,
    /// Sum of the rejected side's log-probabilities under the policy, s_r.
    pub rejected: f64,
    /// Sum of the chosen side's log-probabilities under the reference, s0_c.
    pub reference_chosen: f64,
    /// Sum of the rejected side's log-probabilities under the reference, s0_r.
    pub reference_rejected: f64,
    /// Scored tokens of the chosen side, l_c, at least 1.
    pub len_chosen: f64,
    /// Scored tokens of the rejected side, l_r, at least 1.
    pub len_rejected: f64,
    /// Label smoothing of this pair (TRL: `label_smoothing`): probability that chosen and rejected
    /// are swapped, in [0, 0.5].
    pub alpha: f64,
    /// Margin of the pair: the value gap Q_c - Q_r of the two steps in the search tree, unless `pairs.ensemble`
    /// replaced it by the mean strength of the tree's judges.
    pub margin: f64,
    /// Q_c minus the mean Q of all siblings of the chosen step.
    pub advantage_chosen: f64,
    /// Q_r minus the mean Q of all siblings of the rejected step.
    pub advantage_rejected: f64,
}

impl PairLogps {
    /// Returns D, the chosen minus the rejected log-ratio; `beta D` is TRL's `rewards/margins`.
    #[must_use]
    pub fn delta(&self) -> f64 {
        self.ratio_chosen() - self.ratio_rejected()
    }

    /// Returns a_c = s_c - s0_c, the chosen log-ratio; `beta a_c` is TRL's `rewards/chosen`.
    #[must_use]
    pub fn ratio_chosen(&self) -> f64 {
        self.chosen - self.reference_chosen
    }

    /// Returns a_r = s_r - s0_r, the rejected log-ratio; `beta a_r` is TRL's `rewards/rejected`.
    #[must_use]
    pub fn ratio_rejected(&self) -> f64 {
        self.rejected - self.reference_rejected
    }
}

/// Value of a loss and its derivatives.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LossValue {
    /// The loss.
    pub loss: f64,
    /// Derivative with respect to s_c.
    pub by_chosen: f64,
    /// Derivative with respect to s_r.
    pub by_rejected: f64,
}

/// A preference loss with its settings.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "name", deny_unknown_fields)]
pub enum PreferenceLoss {
    /// DPO (Rafailov et al. 2023, arXiv:2305.18290, eq. 7).
    Sigmoid,
    /// Conservative DPO: label smoothing by each pair's alpha (Xie et al. 2024, arXiv:2405.00451,
    /// eq. 5; TRL has one `label_smoothing` for all pairs).
    Conservative,
    /// DPO with label smoothing `1 - sigmoid(margin / temperature)`, where margin is the value gap
    /// (Online Self-Preferring Language Models, 2024).
    Soft {
        /// Value gap that counts as one unit, above 0.
        temperature: f64,
    },
    /// Robust to a share of swapped labels (Provably Robust DPO, arXiv:2403.00409).
    Robust {
        /// Share of swapped labels, in [0, 0.5); by default the flip rate: among pairs with one verified
        /// right and one verified wrong side, the share that prefers the wrong side (refused if there are
        /// none).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        flip: Option<f64>,
    },
    /// IPO on log-ratios averaged over tokens: TRL's `ipo`.
    Ipo,
    /// IPO on summed log-ratios (Azar et al. 2023, arXiv:2310.12036, eq. 17 as it is written).
    IpoSum,
    /// SLiC's hinge (Zhao et al. 2023, arXiv:2305.10425).
    Hinge,
    /// SimPO: length-normalised, no reference (Meng et al. 2024, arXiv:2405.14734, eq. 6).
    Simpo {
        /// Target margin.
        gamma: f64,
    },
    /// DPO on length-normalised log-ratios (Tulu 3, arXiv:2411.15124).
    SigmoidNorm,
    /// DPO with a margin of `kappa * (Q_c - Q_r)` (the adaptive margin of Secrets of RLHF II,
    /// arXiv:2401.06080). Siblings share their parent, so the value gap is the difference of their
    /// Q - V(parent), as in the regret-based preference model of Contrastive Preference Learning (arXiv:2310.13639).
    Margin {
        /// Margin per unit of value gap.
        kappa: f64,
    },
    /// DPO plus a regression on the degree of preference: `lambda` times the squared difference of `beta D`
    /// and `kappa * (Q_c - Q_r)`, the same target as in the `margin` loss. Our own form, not the loss of a
    /// paper.
    Degree {
        /// Target per unit of value gap.
        kappa: f64,
        /// Weight of the regression.
        lambda: f64,
    },
    /// GPO (arXiv:2410.02197): a regression of each side's log-ratio on `g / beta`, where g is the mean of
    /// logit P(side beats j) over its siblings j and, as in `soft`, P = sigmoid((Q - Q_j) / temperature). The
    /// loss is the mean over both sides; whole steps are scored.
    Gpo {
        /// Value gap that counts as one unit, above 0.
        temperature: f64,
    },
}

impl PreferenceLoss {
    /// Value and derivatives for one pair at inverse temperature `beta`, without the NLL term.
    #[must_use]
    pub fn value(&self, beta: f64, pair: &PairLogps) -> LossValue {
        let delta = pair.delta();
        let x = beta * delta;
        match *self {
            Self::Sigmoid => of_sums(smoothed(x, 0.0), beta),
            Self::Conservative => of_sums(smoothed(x, pair.alpha), beta),
            Self::Soft { temperature } => {
                of_sums(smoothed(x, 1.0 - sigmoid(pair.margin / temperature)), beta)
            }
            Self::Robust { flip } => {
                // `Self::with_flip_rate` sets `flip` before training; without it, this is plain DPO.
                let flip = flip.unwrap_or(0.0);
                let scale = 1.0 - 2.0 * flip;
                let loss = (flip * log_sigmoid(-x) - (1.0 - flip) * log_sigmoid(x)) / scale;
                let slope = -((1.0 - flip) * sigmoid(-x) + flip * sigmoid(x)) / scale;
                of_sums((loss, slope), beta)
            }
            Self::Ipo => {
                let gap = normalised(pair) - 0.5 / beta;
                of_means((gap * gap, 2.0 * gap), 1.0, pair)
            }
            Self::IpoSum => {
                let gap = delta - 0.5 / beta;
                of_sums((gap * gap, 2.0 * gap), 1.0)
            }
            Self::Hinge => of_sums(((1.0 - x).max(0.0), if x < 1.0 { -1.0 } else { 0.0 }), beta),
            Self::Simpo { gamma } => {
                let gap = pair.chosen / pair.len_chosen - pair.rejected / pair.len_rejected;
                of_means(smoothed(beta * gap - gamma, 0.0), beta, pair)
            }
            Self::SigmoidNorm => of_means(smoothed(beta * normalised(pair), 0.0), beta, pair),
            Self::Margin { kappa } => of_sums(smoothed(x - kappa * pair.margin, 0.0), beta),
            Self::Degree { kappa, lambda } => {
                let (loss, slope) = smoothed(x, 0.0);
                let miss = x - kappa * pair.margin;
                of_sums((loss + lambda * miss * miss, slope + 2.0 * lambda * miss), beta)
            }
            Self::Gpo { temperature } => {
                let target = |advantage: f64| advantage / (temperature * beta);
                let chosen = pair.ratio_chosen() - target(pair.advantage_chosen);
                let rejected = pair.ratio_rejected() - target(pair.advantage_rejected);
                let loss = f64::midpoint(chosen * chosen, rejected * rejected);
                LossValue { loss, by_chosen: chosen, by_rejected: rejected }
            }
        }
    }

    /// Whether the loss needs the advantages of both sides.
    #[must_use]
    pub fn needs_advantages(&self) -> bool {
        matches!(self, Self::Gpo { .. })
    }

    /// Checks the settings' ranges.
    ///
    /// # Errors
    /// A sentence with the setting and its range.
    pub fn check(&self) -> Result<(), String> {
        let sound = match *self {
            Self::Soft { temperature } | Self::Gpo { temperature } => {
                temperature > 0.0 && temperature.is_finite()
            }
            Self::Robust { flip } => flip.is_none_or(|flip| (0.0..0.5).contains(&flip)),
            Self::Simpo { gamma } => gamma.is_finite(),
            Self::Margin { kappa } => kappa.is_finite(),
            Self::Degree { kappa, lambda } => {
                kappa.is_finite() && lambda >= 0.0 && lambda.is_finite()
            }
            _ => true,
        };
        let ranges =
            "expected finite numbers, temperature above 0, flip in [0, 0.5), lambda at least 0";
        if sound { Ok(()) } else { Err(format!("{self:?} is out of range: {ranges}")) }
    }

    /// [`Self::value`] plus `weight * (-s_c / l_c)` (Iterative RPO, arXiv:2404.19733, eq. 2).
    #[must_use]
    pub fn with_nll(&self, beta: f64, weight: f64, pair: &PairLogps) -> LossValue {
        let mut value = self.value(beta, pair);
        value.loss -= weight * pair.chosen / pair.len_chosen;
        value.by_chosen -= weight / pair.len_chosen;
        value
    }
}

/// Parses `NAME` or `NAME:KEY=VALUE,KEY=VALUE`; hyphens and underscores in the name are interchangeable.
impl FromStr for PreferenceLoss {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, settings) = text.split_once(':').unwrap_or((text, ""));
        let mut object = Map::new();
        object.insert("name".into(), Value::from(name.replace('-', "_")));
        for setting in settings.split(',').filter(|s| !s.is_empty()) {
            let (key, value) = setting
                .split_once('=')
                .ok_or_else(|| format!("`{setting}`: expected KEY=VALUE"))?;
            let number = value.parse().ok().filter(|number: &f64| number.is_finite());
            let number = number.ok_or_else(|| format!("`{setting}`: expected a finite number"))?;
            object.insert(key.into(), Value::from(number));
        }
        serde_json::from_value(Value::Object(object)).map_err(|e| format!("`{text}`: {e}"))
    }
}

/// Writes the form that [`FromStr`] parses.
impl fmt::Display for PreferenceLoss {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Ok(Value::Object(mut object)) = serde_json::to_value(self) else {
            return Err(fmt::Error);
        };
        let name = object.remove("name");
        f.write_str(name.as_ref().and_then(Value::as_str).unwrap_or_default())?;
        for (i, (key, value)) in object.iter().enumerate() {
            write!(f, "{}{key}={value}", if i == 0 { ':' } else { ',' })?;
        }
        Ok(())
    }
}

/// `-(1 - alpha) log sigmoid(x) - alpha log sigmoid(-x)` and its derivative with respect to x.
fn smoothed(x: f64, alpha: f64) -> (f64, f64) {
    let loss = -(1.0 - alpha) * log_sigmoid(x) - alpha * log_sigmoid(-x);
    (loss, alpha * sigmoid(x) - (1.0 - alpha) * sigmoid(-x))
}

/// Value and derivatives of a loss f(x) with `x = scale * (s_c - s_r + const)`, from f(x) and f'(x), by the
/// chain rule.
fn of_sums((loss, slope): (f64, f64), scale: f64) -> LossValue {
    LossValue { loss, by_chosen: scale * slope, by_rejected: -scale * slope }
}

/// The same for `x = scale * (s_c / l_c - s_r / l_r + const)`: per-token means instead of sums.
fn of_means((loss, slope): (f64, f64), scale: f64, pair: &PairLogps) -> LossValue {
    LossValue {
        loss,
        by_chosen: scale * slope / pair.len_chosen,
        by_rejected: -scale * slope / pair.len_rejected,
    }
}

/// a_c / l_c - a_r / l_r.
fn normalised(pair: &PairLogps) -> f64 {
    pair.ratio_chosen() / pair.len_chosen - pair.ratio_rejected() / pair.len_rejected
}

/// Logistic function without overflow.
#[must_use]
pub fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 {
        1.0 / (1.0 + (-x).exp())
    } else {
        let e = x.exp();
        e / (1.0 + e)
    }
}

/// Returns `log(sigmoid(x))` without overflow or cancellation.
#[must_use]
pub fn log_sigmoid(x: f64) -> f64 {
    if x >= 0.0 { -(-x).exp().ln_1p() } else { x - x.exp().ln_1p() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [PreferenceLoss; 12] = [
        PreferenceLoss::Sigmoid,
        PreferenceLoss::Conservative,
        PreferenceLoss::Soft { temperature: 0.7 },
        PreferenceLoss::Robust { flip: Some(0.2) },
        PreferenceLoss::Ipo,
        PreferenceLoss::IpoSum,
        PreferenceLoss::Hinge,
        PreferenceLoss::Simpo { gamma: 0.5 },
        PreferenceLoss::SigmoidNorm,
        PreferenceLoss::Margin { kappa: 0.3 },
        PreferenceLoss::Degree { kappa: 0.3, lambda: 0.1 },
        PreferenceLoss::Gpo { temperature: 0.7 },
    ];

    fn pair(delta: f64, alpha: f64) -> PairLogps {
        PairLogps {
            chosen: -4.0 + delta,
            rejected: -6.0,
            reference_chosen: -4.0,
            reference_rejected: -6.0,
            len_chosen: 4.0,
            len_rejected: 3.0,
            alpha,
            margin: 0.8,
            advantage_chosen: 0.5,
            advantage_rejected: -0.7,
        }
    }

    #[test]
    fn losses_parse_with_and_without_settings() {
        assert_eq!("sigmoid".parse(), Ok(PreferenceLoss::Sigmoid));
        assert_eq!("ipo-sum".parse(), Ok(PreferenceLoss::IpoSum));
        assert_eq!("robust".parse(), Ok(PreferenceLoss::Robust { flip: None }));
        for bad in ["simpo", "simpo:gamma", "simpo:beta=1", "nothing"] {
            assert!(bad.parse::<PreferenceLoss>().is_err(), "{bad}");
        }
        for bad in ["simpo:gamma=x", "degree:kappa=1,lambda=inf", "soft:temperature=NaN"] {
            let said = bad.parse::<PreferenceLoss>().unwrap_err();
            assert!(said.ends_with("expected a finite number"), "{said}");
        }
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        let loss = |temperature, kappa, lambda| {
            [
                PreferenceLoss::Soft { temperature },
                PreferenceLoss::Gpo { temperature },
                PreferenceLoss::Degree { kappa, lambda },
            ]
            .map(|loss| loss.check().is_ok())
        };
        assert_eq!(loss(1.0, -1.0, 0.0), [true; 3]);
        assert_eq!(loss(0.0, 1.0, f64::INFINITY), [false; 3]);
        assert_eq!(loss(f64::INFINITY, 1.0, -1.0), [false; 3]);
        assert_eq!(loss(f64::NAN, f64::NAN, 1.0), [false; 3]);
        let flip = |flip| PreferenceLoss::Robust { flip: Some(flip) }.check().is_ok();
        assert_eq!([flip(0.0), flip(0.5), flip(f64::NAN)], [true, false, false]);
    }

    #[test]
    fn losses_are_shown_as_they_are_parsed() {
        for loss in ALL {
            assert_eq!(loss.to_string().parse(), Ok(loss), "{loss}");
        }
        let degree = PreferenceLoss::Degree { kappa: 0.3, lambda: 0.1 };
        assert_eq!(degree.to_string(), "degree:kappa=0.3,lambda=0.1");
    }

    #[test]
    fn worked_values_of_the_method() {
        let loss = |delta, alpha| PreferenceLoss::Conservative.value(0.1, &pair(delta, alpha)).loss;
        assert!((loss(5.0, 0.25) - 0.59908).abs() < 5e-6);
        assert!((loss(5.0, 0.0) - 0.47408).abs() < 5e-6);
        for alpha in [0.0, 0.2, 0.5] {
            assert!((loss(0.0, alpha) - 2f64.ln()).abs() < 1e-12);
        }
    }

    #[test]
    fn fixed_points_at_zero() {
        let at_zero = |l: PreferenceLoss| l.value(0.1, &pair(0.0, 0.3)).loss;
        assert!((at_zero(PreferenceLoss::Sigmoid) - 2f64.ln()).abs() < 1e-12);
        assert!((at_zero(PreferenceLoss::Robust { flip: Some(0.3) }) - 2f64.ln()).abs() < 1e-12);
        assert!((at_zero(PreferenceLoss::Ipo) - 25.0).abs() < 1e-9);
        assert!((at_zero(PreferenceLoss::Hinge) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn the_slope_at_zero_is_not_lost() {
        let value = PreferenceLoss::Sigmoid.value(0.1, &pair(0.0, 0.0));
        assert!((value.by_chosen + 0.05).abs() < 1e-12);
        assert!((value.by_rejected - 0.05).abs() < 1e-12);
    }

    #[test]
    fn derivatives_equal_finite_differences() {
        const H: f64 = 1e-6;
        for loss in ALL {
            for delta in [-30.0, -3.0, 0.5, 4.0, 30.0] {
                let p = pair(delta, 0.2);
                let f = |c: f64, r: f64| {
                    let shifted = PairLogps { chosen: p.chosen + c, rejected: p.rejected + r, ..p };
                    loss.with_nll(0.2, 0.5, &shifted).loss
                };
                let value = loss.with_nll(0.2, 0.5, &p);
                let by_chosen = (f(H, 0.0) - f(-H, 0.0)) / (2.0 * H);
                let by_rejected = (f(0.0, H) - f(0.0, -H)) / (2.0 * H);
                let close = |a: f64, b: f64| (a - b).abs() < 1e-6 * (1.0 + b.abs());
                assert!(close(value.by_chosen, by_chosen), "{loss:?} at {delta}");
                assert!(close(value.by_rejected, by_rejected), "{loss:?} at {delta}");
            }
        }
    }

    #[test]
    fn extreme_log_ratios_stay_finite() {
        for loss in ALL {
            let value = loss.value(0.1, &pair(-1e6, 0.4));
            assert!(value.loss.is_finite() && value.by_chosen.is_finite());
        }
    }
}
