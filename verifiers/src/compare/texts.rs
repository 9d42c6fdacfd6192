//! Compares answers in words, ignoring letter case and punctuation.
//!
//! A formula that consists only of letters counts as the word that they spell, because answers write `E`
//! and `\text{E}` for the same thing.

use super::{Comparison, Tri};
use crate::syntax::tree::{Constant, Id, Node};

/// Words before a name that do not change it.
const TITLES: [&str; 4] = ["the ", "a ", "an ", "option "];

impl Comparison<'_> {
    /// Compares two nodes of which at least one is text.
    pub(super) fn texts(&self, gold: Id, answer: Id) -> Tri {
        match (self.spelled(gold), self.spelled(answer)) {
            (Some(g), Some(a)) => {
                Tri::from_bool(untitled(&g) == untitled(&a) || unlinked(&g) == unlinked(&a))
            }
            _ => Tri::Different,
        }
    }

    /// The word that a node spells.
    fn spelled(&self, id: Id) -> Option<String> {
        match self.tree.get(id) {
            Node::Text(text) => Some(text.clone()),
            Node::Symbol(symbol) => Some(self.tree.name(*symbol).to_lowercase()),
            Node::Constant(Constant::E) => Some("e".to_owned()),
            Node::Constant(Constant::I) => Some("i".to_owned()),
            Node::Number { value, decimals: None } if value.is_integer() => Some(value.to_string()),
            Node::Product(items) => items.iter().map(|i| self.spelled(*i)).collect(),
            Node::List(items) => {
                let words: Option<Vec<String>> = items.iter().map(|i| self.spelled(*i)).collect();
                words.map(|w| w.join(" and "))
            }
            _ => None,
        }
    }
}

/// The words of a text without the joining words "and" and "or": "a, c" equals "a and c".
fn unlinked(text: &str) -> Vec<&str> {
    text.split(' ').filter(|word| !matches!(*word, "and" | "or")).collect()
}

fn untitled(text: &str) -> &str {
    TITLES.iter().find_map(|t| text.strip_prefix(t)).unwrap_or(text)
}
