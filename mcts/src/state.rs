//! The policy's hidden state at the end of a step, as stored in a tree.
//!
//! Values are rounded to bf16 once, when they come from the policy. So a search and a later reader of its
//! tree compute bit-identical results from a state. A row grows by 2.7 bytes per value.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use half::bf16;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Hidden state of a step's last token: output of the last layer after the final norm.
#[derive(Debug, Clone, PartialEq)]
pub struct StepState(Vec<bf16>);

impl StepState {
    /// Rounds the values of a policy's response to bf16.
    #[must_use]
    pub fn new(values: &[f32]) -> Self {
        Self(values.iter().map(|&value| bf16::from_f32(value)).collect())
    }

    /// The values, `[hidden]`.
    pub fn values(&self) -> impl ExactSizeIterator<Item = f32> + '_ {
        self.0.iter().map(|value| value.to_f32())
    }
}

/// Base64 of little-endian bf16.
impl Serialize for StepState {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> = self.0.iter().flat_map(|value| value.to_le_bytes()).collect();
        to.serialize_str(&STANDARD.encode(bytes))
    }
}

impl<'de> Deserialize<'de> for StepState {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let bytes = STANDARD.decode(String::deserialize(from)?).map_err(D::Error::custom)?;
        let (values, rest) = bytes.as_chunks::<2>();
        let values: Vec<bf16> = values.iter().map(|value| bf16::from_le_bytes(*value)).collect();
        match rest.is_empty() && values.iter().all(|value| value.is_finite()) {
            true => Ok(Self(values)),
            false => Err(D::Error::custom("expected finite bf16 values in base64")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_survive_json_and_what_is_no_state_is_refused() {
        let state = StepState::new(&[0.0, -1.5, 3.140_625, 1e30]);
        let text = serde_json::to_string(&state).expect("JSON");
        assert_eq!(serde_json::from_str::<StepState>(&text).expect("parses"), state);
        let values: Vec<f32> = state.values().collect();
        assert_eq!(values[..3], [0.0, -1.5, 3.140_625]);
        assert!((values[3] / 1e30 - 1.0).abs() < 0.004);
        // Three bytes; not a number; no base64.
        for text in ["\"AAAA\"", "\"wH8=\"", "\"?\""] {
            assert!(serde_json::from_str::<StepState>(text).is_err(), "{text}");
        }
    }
}
