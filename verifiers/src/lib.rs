//! Did it come out right? Three-valued checking of mathematical and multiple-choice answers.

mod verifier;

pub use verifier::{Verdict, Verifier};
