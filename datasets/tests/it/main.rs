//! The crate as its users see it: one module an area, linked once.

mod documentation;
mod errors;
mod layouts;
mod odd_rows;
mod pairs;
mod published;
mod samples;
