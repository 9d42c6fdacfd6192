//! Scaling of rotary frequencies (RoPE) for longer contexts, as in transformers (`modeling_rope_utils.py`):
//! the settings of a `config.json` and the resulting frequencies.
//!
//! In transformers, two kinds depend on the length of the sequence: `dynamic` beyond
//! `max_position_embeddings` and `longrope` beyond `original_max_position_embeddings`. Stored keys would
//! have to be rotated again when a sequence grows past that length. So the context ends at that length
//! here; below it, everything equals transformers.

use std::f64::consts::PI;

use serde_json::{Map, Value};

/// Scaling of the rotary frequencies for longer contexts.
#[derive(Debug, Clone, PartialEq)]
pub enum RopeScaling {
    /// Unchanged. Also `dynamic` (NTK), which changes nothing below the length where the context ends here.
    None,
    /// Positions are divided by the factor.
    Linear {
        /// Divisor of the positions, above 0.
        factor: f64,
    },
    /// Llama 3.1: low frequencies are divided, high ones are kept, with a ramp between them.
    Llama3 {
        /// Divides the low frequencies.
        factor: f64,
        /// Wavelengths above `original / low` are divided.
        low_freq_factor: f64,
        /// Wavelengths below `original / high` are kept.
        high_freq_factor: f64,
        /// Context before scaling.
        original: f64,
    },
    /// YaRN (Peng et al. 2023, arXiv:2309.00071): low frequencies are divided, high ones are kept, with a
    /// ramp over the pairs of a head between them.
    Yarn {
        /// Divides the low frequencies.
        factor: f64,
        /// Indices of the pairs between which the ramp goes from kept to divided.
        ramp: (f64, f64),
        /// Multiplies cosines and sines.
        scale: f64,
    },
    /// LongRoPE (Ding et al. 2024, arXiv:2402.13753) up to the original context.
    LongRope {
        /// Divides the frequency of each pair of a head.
        short_factor: Vec<f64>,
        /// Multiplies cosines and sines.
        scale: f64,
    },
}

impl RopeScaling {
    /// Returns the frequency of each pair of a head, `head_dim / 2` values.
    pub(crate) fn frequencies(&self, theta: f64, head_dim: usize) -> Vec<f32> {
        let pairs = 0..head_dim / 2;
        let plain = |pair: usize| theta.powf(2.0 * pair as f64 / head_dim as f64).recip();
        pairs.map(|pair| self.apply(pair, plain(pair)) as f32).collect()
    }

    /// Returns the factor on cosines and sines.
    pub(crate) fn scale(&self) -> f64 {
        match self {
            Self::Yarn { scale, .. } | Self::LongRope { scale, .. } => *scale,
            Self::None | Self::Linear { .. } | Self::Llama3 { .. } => 1.0,
        }
    }

    /// Returns the scaled frequency of a pair.
    fn apply(&self, pair: usize, frequency: f64) -> f64 {
        match self {
            Self::None => frequency,
            Self::Linear { factor } => frequency / factor,
            // Llama 3.1's ramp between kept and divided frequencies, by wavelength.
            Self::Llama3 { factor, low_freq_factor, high_freq_factor, original } => {
                let wavelength = 2.0 * PI / frequency;
                if wavelength > original / low_freq_factor {
                    frequency / factor
                } else if wavelength < original / high_freq_factor {
                    frequency
                } else {
                    let smooth = (original / wavelength - low_freq_factor)
                        / (high_freq_factor - low_freq_factor);
                    (1.0 - smooth) * frequency / factor + smooth * frequency
                }
            }
            Self::Yarn { factor, ramp: (low, high), .. } => {
                let divided = ((pair as f64 - low) / (high - low)).clamp(0.0, 1.0);
                frequency / factor * divided + frequency * (1.0 - divided)
            }
            Self::LongRope { short_factor, .. } => frequency / short_factor[pair],
        }
    }
}

/// Rotary settings of a `config.json`.
#[derive(Debug, PartialEq)]
pub(crate) struct Rope {
    /// Base of the frequencies.
    pub(crate) theta: f64,
    pub(crate) scaling: RopeScaling,
    /// Longest context in tokens.
    pub(crate) context: usize,
}

impl Rope {
    /// Reads `rope_theta` and `rope_scaling` (transformers 4) or the nested `rope_parameters` (transformers
    /// 5), for this head size and a `max_position_embeddings` of `context`. If a file has both tables, only
    /// `rope_scaling` is used; `rope_parameters` and its `rope_theta` are ignored
    /// (`convert_rope_params_to_dict` in transformers 5.24, `modeling_rope_utils.py`).
    pub(crate) fn read(
        raw: &Map<String, Value>,
        head_dim: usize,
        context: usize,
    ) -> Result<Self, String> {
        let settings = Settings::new(raw, context)?;
        let plain = |scaling| Ok(Self { theta: settings.theta, scaling, context });
        match settings.kind {
            "default" => plain(RopeScaling::None),
            "linear" => plain(RopeScaling::Linear { factor: settings.need("factor")? }),
            "llama3" => plain(RopeScaling::Llama3 {
                factor: settings.need("factor")?,
                low_freq_factor: settings.need("low_freq_factor")?,
                high_freq_factor: settings.need("high_freq_factor")?,
                original: settings.original()?,
            }),
            "dynamic" => {
                settings.need("factor")?;
                plain(RopeScaling::None)
            }
            "yarn" => settings.yarn(head_dim),
            "longrope" | "su" => settings.longrope(head_dim),
            other => Err(format!(
                "rope scaling `{other}` is not supported; supported are default, linear, llama3, \
                 dynamic, yarn, longrope"
            )),
        }
    }
}

/// The RoPE settings of a `config.json`: the nested table and the fields outside it.
struct Settings<'a> {
    /// `rope_scaling` or `rope_parameters`.
    table: Option<&'a Value>,
    raw: &'a Map<String, Value>,
    kind: &'a str,
    theta: f64,
    context: usize,
}

impl<'a> Settings<'a> {
    fn new(raw: &'a Map<String, Value>, context: usize) -> Result<Self, String> {
        let outer = |name: &str| raw.get(name).filter(|v| !v.is_null());
        let scaling = outer("rope_scaling").filter(|table| !is_empty(table));
        let table = scaling.or_else(|| outer("rope_parameters"));
        let kind = table.and_then(|t| t.get("rope_type").or_else(|| t.get("type")));
        let kind = kind.and_then(Value::as_str).unwrap_or("default");
        let mut settings = Self { table, raw, kind, theta: 10_000.0, context };
        if let Some(theta) = settings.field("rope_theta").or_else(|| outer("rope_theta")) {
            settings.theta = positive("rope_theta", theta)?;
        }
        let part = settings.field("partial_rotary_factor");
        match part.or_else(|| outer("partial_rotary_factor")) {
            Some(part) if part.as_f64() != Some(1.0) => Err(format!(
                "`partial_rotary_factor` is {part}; expected 1: whole heads are turned here"
            )),
            _ => Ok(settings),
        }
    }

    fn field(&self, name: &str) -> Option<&'a Value> {
        self.table?.get(name).filter(|v| !v.is_null())
    }

    fn need(&self, name: &str) -> Result<f64, String> {
        positive(name, self.field(name).unwrap_or(&Value::Null))
    }

    fn optional(&self, name: &str) -> Result<Option<f64>, String> {
        self.field(name).map(|value| positive(name, value)).transpose()
    }

    /// Returns the context before scaling: from outside the table, from the table, or the longest context.
    fn original(&self) -> Result<f64, String> {
        const NAME: &str = "original_max_position_embeddings";
        let outer = self.raw.get(NAME).filter(|v| !v.is_null());
        outer.or_else(|| self.field(NAME)).map_or(Ok(self.context as f64), |v| positive(NAME, v))
    }

    fn yarn(&self, head_dim: usize) -> Result<Rope, String> {
        let original = self.original()?;
        let factor = self.optional("factor")?.unwrap_or(self.context as f64 / original);
        let growth =
            |scale: f64, by: f64| if scale <= 1.0 { 1.0 } else { 0.1 * by * scale.ln() + 1.0 };
        let scale = match (self.optional("attention_factor")?, self.field("mscale")) {
            (Some(scale), _) => scale,
            (None, Some(_)) if self.field("mscale_all_dim").is_some() => {
                growth(factor, self.need("mscale")?) / growth(factor, self.need("mscale_all_dim")?)
            }
            _ => growth(factor, 1.0),
        };
        // Index of the pair of a head that makes this many rotations within the original context.
        let dim = head_dim as f64;
        let pair =
            |turns: f64| dim * (original / (turns * 2.0 * PI)).ln() / (2.0 * self.theta.ln());
        let mut low = pair(self.optional("beta_fast")?.unwrap_or(32.0));
        let mut high = pair(self.optional("beta_slow")?.unwrap_or(1.0));
        if self.field("truncate").and_then(Value::as_bool).unwrap_or(true) {
            (low, high) = (low.floor(), high.ceil());
        }
        (low, high) = (low.max(0.0), high.min(dim - 1.0));
        if low == high {
            high += 0.001;
        }
        let context = self.context.max((factor * original) as usize);
        let scaling = RopeScaling::Yarn { factor, ramp: (low, high), scale };
        Ok(Rope { theta: self.theta, scaling, context })
    }

    fn longrope(&self, head_dim: usize) -> Result<Rope, String> {
        let original = self.original()?;
        let factor = self.optional("factor")?.unwrap_or(self.context as f64 / original);
        let grown = (1.0 + factor.ln() / original.ln()).sqrt();
        let default = if factor <= 1.0 { 1.0 } else { grown };
        let scale = self.optional("attention_factor")?.unwrap_or(default);
        let listed = self.field("short_factor").and_then(Value::as_array);
        let listed = listed.ok_or("rope: `short_factor` is missing; expected a list of numbers")?;
        let short_factor: Vec<f64> =
            listed.iter().map(|value| positive("short_factor", value)).collect::<Result<_, _>>()?;
        if short_factor.len() != head_dim / 2 {
            let (n, expected) = (short_factor.len(), head_dim / 2);
            return Err(format!("rope: `short_factor` has {n} numbers; expected {expected}"));
        }
        let context = self.context.min(original as usize);
        let scaling = RopeScaling::LongRope { short_factor, scale };
        Ok(Rope { theta: self.theta, scaling, context })
    }
}

/// Returns a warning if a file has both tables and they differ.
pub(crate) fn warning(raw: &Map<String, Value>) -> Option<String> {
    let (scaling, parameters) = (raw.get("rope_scaling")?, raw.get("rope_parameters")?);
    let both = !is_empty(scaling) && !is_empty(parameters) && scaling != parameters;
    both.then(|| {
        let theta = scaling.get("rope_theta").or_else(|| raw.get("rope_theta"));
        let theta = theta.map_or_else(|| "10000, the default".into(), Value::to_string);
        format!(
            "config.json holds `rope_scaling` and `rope_parameters`: as in transformers, `rope_scaling` \
             counts alone, with a `rope_theta` of {theta}"
        )
    })
}

fn is_empty(table: &Value) -> bool {
    table.is_null() || table.as_object().is_some_and(Map::is_empty)
}

fn positive(name: &str, value: &Value) -> Result<f64, String> {
    let number = value.as_f64().filter(|number| *number > 0.0 && number.is_finite());
    number.ok_or_else(|| format!("rope: `{name}` is {value}; expected a number above 0"))
}
