//! Propose, judge and score reasoning steps: the [`Policy`] interface and its engines.
//!
//! A request carries the token ids of the whole prefix, and the answer arrives on a channel. A policy finds
//! by itself which cached prefix it can reuse. So the interface is stateless, and a search treats an engine
//! in this process, a server with a prefix cache of its own and a scripted test double alike.

mod boundary;
#[cfg(feature = "candle")]
mod bundled;
#[cfg(feature = "candle")]
pub mod candle;
mod cgroup;
#[cfg(any(feature = "candle", feature = "http"))]
mod check;
mod content;
pub mod decorate;
mod device;
mod error;
mod grades;
#[cfg(feature = "http")]
pub mod http;
mod load;
mod memory;
mod options;
mod policy;
mod prompts;
mod record;
mod replay;
mod request;
mod scripted;
mod server_features;
#[cfg(any(feature = "candle", feature = "http"))]
pub mod text;

pub use boundary::step_lengths;
pub use content::has_content;
pub use device::{ComputeDevice, Dtype};
pub use error::PolicyError;
pub use grades::{Ask, BadGrades, Grades, LabelMass};
pub use load::{joined, load, plan, wants_shots};
pub use memory::{DevicePlan, MemoryPlan, available_memory};
pub use options::{Dialect, LoadOptions, ServedAdapter, ServedWeights, ServerOptions};
pub use policy::{Answered, Call, Caller, Limits, Policy, Prompt, call};
pub use prompts::{Exemplar, PromptName, PromptOptions};
pub use record::{LOG_FILE, LOG_VERSION, Recording};
pub use replay::Replay;
pub use request::{
    Boundary, Candidate, Candidates, Hidden, HiddenState, Judge, Judgement, OptionOrder, Propose,
    Request, Response, Restated, Sampling, Score, Scores, StopAt, Usage,
};
pub use scripted::Scripted;
pub use server_features::{ServerFeatures, TemplateSource};
