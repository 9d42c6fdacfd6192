//! `mcts` takes every command that the documentation gives.

#![cfg(feature = "cli")]

#[path = "../../datasets/tests/documented/mod.rs"]
mod documented;

#[test]
fn documented_commands_are_taken() {
    let (wrong, count) = documented::refused("mcts", env!("CARGO_BIN_EXE_mcts"));
    assert!(count > 5, "only {count} commands found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
