//! Checks that `mcts` accepts every command in the documentation.

use crate::documented_commands;
#[test]
fn documented_commands_are_taken() {
    let (wrong, count) = documented_commands::refused("mcts", env!("CARGO_BIN_EXE_mcts"));
    assert!(count > 5, "only {count} commands found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
