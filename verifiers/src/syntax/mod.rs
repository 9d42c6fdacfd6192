//! Converts text into a tree: cleaning, lexing, parsing.
//!
//! Each side of a comparison is parsed on its own. Every stage is linear in its input and bounded by
//! fuel, by a node count and by a depth.

pub(crate) mod clean;
pub(crate) mod lexer;
pub(crate) mod names;
pub(crate) mod parser;
pub(crate) mod tree;
