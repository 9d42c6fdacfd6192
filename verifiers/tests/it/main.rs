//! The verifiers as their users see them: one module an area, linked once.

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
