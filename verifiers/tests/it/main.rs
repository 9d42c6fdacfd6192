//! Tests of the verifiers through their public API: one module per area, linked into one binary.

mod cases;
mod development_set;
#[cfg(unix)]
mod external;
mod fuzz;
mod hostile;
mod hostile_inputs;
mod lm_eval_verdicts;
mod model_outputs;
mod properties;
mod published;
mod published_sets;
mod table;
