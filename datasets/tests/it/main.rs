//! Tests through the public API: one module per area, linked into one binary.

mod documentation;
mod errors;
mod layouts;
mod odd_rows;
mod pairs;
mod published;
mod samples;
