#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod agree;
mod batch;
mod benchmark;
mod calculator;
mod choice;
mod compare;
mod countdown;
mod error;
mod external;
mod extract;
mod finding;
mod fuel;
mod grader;
mod jsonl;
mod label;
pub mod lm_eval;
mod problem;
mod squeeze;
mod syntax;
mod unanswered;
mod value;
mod verifier;

pub use agree::{Statement, agrees, stated};
pub use batch::{Timed, grade_batch, timed};
pub use benchmark::Benchmark;
pub use calculator::{Equation, equations, true_share};
pub use choice::{ChoiceOption, Chosen, choose};
pub use compare::{Rules, Tolerance};
pub use countdown::check_countdown;
pub use error::VerifyError;
pub use external::{CommandOptions, CommandVerifier, VerifierLog};
pub use extract::{Extracted, Source, Span, bare, extract, is_thinking, whole_turn};
pub use finding::{About, Claim, Finding, FoundBy};
pub use fuel::Reason;
pub use grader::{Form, Graded, Grader, Pair};
pub use jsonl::{Tally, verify_jsonl, verify_jsonl_with};
pub use problem::ProblemVerifier;
pub use unanswered::Unanswered;
pub use verifier::{Verdict, Verifier};
