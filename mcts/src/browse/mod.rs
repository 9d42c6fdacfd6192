//! `mcts show --browse`: trees in a terminal, for use on a machine without a browser.
//!
//! [`Catalog`] lists the trees of the files and reads one at a time. [`App`] is the whole state: a pure
//! function of the pressed keys and the opened trees, so tests need no terminal. `draw` draws the state, and
//! only `terminal` accesses the terminal. Text comes from models and problem files, so every character that
//! could act on a terminal is replaced before it is drawn (`text`).

mod app;
mod catalog;
mod details;
mod draw;
mod keys;
mod list;
mod rows;
mod search;
mod terminal;
mod text;
mod walk;

#[cfg(test)]
mod tests;

pub(crate) use self::app::App;
pub(crate) use self::catalog::Catalog;
pub(crate) use self::terminal::{check_terminal, run};
