//! `regrowth` accepts all commands in the documentation.

use crate::documented_commands;
#[test]
fn documented_commands_are_taken() {
    let (wrong, count) = documented_commands::refused("regrowth", env!("CARGO_BIN_EXE_regrowth"));
    assert!(count > 20, "only {count} commands found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
