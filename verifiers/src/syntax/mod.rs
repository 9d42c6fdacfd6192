//! From text to tree: cleaning, lexing, parsing.
//!
//! It does not know that there are two sides to compare. Every stage is linear in its input and
//! bounded by fuel, by a node count and by a depth.

pub(crate) mod clean;
pub(crate) mod lexer;
pub(crate) mod names;
pub(crate) mod parser;
pub(crate) mod tree;
