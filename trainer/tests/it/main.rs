//! Tests of the library and its binary as users see them: one module per area, linked once.

#[cfg(unix)]
#[allow(dead_code, reason = "the tests of the crate `policy` use the rest")]
#[path = "../../../policy/tests/it/http/dialects.rs"]
mod dialects;
#[path = "../../../datasets/tests/documented/mod.rs"]
mod documented_commands;
#[cfg(unix)]
#[allow(dead_code, reason = "the tests of the crate `policy` use the rest")]
#[path = "../../../policy/tests/it/http/mock.rs"]
mod mock;

mod answers;
mod check;
mod commands;
mod common;
#[cfg(unix)]
mod console;
#[cfg(unix)]
mod crash;
mod damage;
mod documented;
#[cfg(unix)]
mod hand_off;
mod iterate;
mod losses;
mod old_names;
mod reference;
#[cfg(unix)]
mod serve;
#[cfg(unix)]
mod served;
mod shared_schedule;
#[cfg(unix)]
mod stops;
#[cfg(unix)]
mod storage;
mod train;
mod updates;
#[cfg(unix)]
mod verifier;
