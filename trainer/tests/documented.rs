//! `regrowth` takes every command that the documentation gives.

#[path = "../../datasets/tests/documented/mod.rs"]
mod documented;

#[test]
fn documented_commands_are_taken() {
    let (wrong, count) = documented::refused("regrowth", env!("CARGO_BIN_EXE_regrowth"));
    assert!(count > 20, "only {count} commands found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
