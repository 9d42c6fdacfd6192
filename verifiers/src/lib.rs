//! Did it come out right? Three-valued checking of mathematical and multiple-choice answers.

#![forbid(unsafe_code)]

mod choice;
mod countdown;
mod extract;
mod problem;
mod provisional;
mod verifier;

pub use choice::{ChoiceOption, Chosen, choose};
pub use countdown::check_countdown;
pub use extract::{Extracted, Source, bare, extract};
pub use problem::ProblemVerifier;
pub use verifier::{Verdict, Verifier};
