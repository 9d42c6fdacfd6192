//! Tests of the search and its binary through their public interfaces: one module per area, linked into one
//! test binary.

#[cfg(feature = "cli")]
#[path = "../../../datasets/tests/documented/mod.rs"]
mod documented_commands;

#[cfg(all(unix, feature = "http"))]
#[allow(dead_code, reason = "the tests of the crate `policy` use the rest")]
#[path = "../../../policy/tests/it/http/dialects.rs"]
mod dialects;
#[cfg(all(unix, feature = "http"))]
mod fault_proxy;
#[cfg(all(unix, feature = "http"))]
#[allow(dead_code, reason = "the tests of the crate `policy` use the rest")]
#[path = "../../../policy/tests/it/http/mock.rs"]
mod mock;

#[cfg(feature = "cli")]
mod audit;
#[cfg(feature = "cli")]
mod cli;
mod common;
#[cfg(feature = "cli")]
mod documented;
mod driver;
mod endings;
#[cfg(all(feature = "candle", feature = "cli"))]
mod engine;
#[cfg(all(unix, feature = "http"))]
mod faults;
#[cfg(feature = "cli")]
mod folder;
mod golden;
#[cfg(feature = "cli")]
mod judge_policy;
mod options;
#[cfg(all(unix, feature = "cli"))]
mod places;
#[cfg(feature = "cli")]
mod probe;
mod reference;
#[cfg(feature = "cli")]
mod rejudge;
#[cfg(feature = "cli")]
mod resume;
mod search;
#[cfg(feature = "cli")]
mod settings;
#[cfg(feature = "cli")]
mod shards;
#[cfg(feature = "cli")]
mod skipped;
#[cfg(all(unix, feature = "cli"))]
mod terminal;
#[cfg(all(feature = "candle", feature = "cli"))]
mod tokens;
mod variants;
#[cfg(all(unix, feature = "cli"))]
mod verifier;
#[cfg(unix)]
mod verifier_examples;
