//! Built-in tasks, generated from a seed.
