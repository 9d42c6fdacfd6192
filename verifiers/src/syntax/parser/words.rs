//! Answers in words: "all real numbers", "no solution", names, yes and no.
//!
//! Only answers without numbers and formulas are handled here. Phrases with a mathematical meaning become
//! that meaning; everything else remains text.

use super::units::is_english;
use super::{Kind, Node, Parser};
use crate::fuel::Reason;
use crate::syntax::names;
use crate::syntax::tree::{Constant, Id, Named};

/// Three-letter answers that are words and not products.
const SHORT_WORDS: [&str; 22] = [
    "yes", "odd", "one", "two", "six", "ten", "red", "may", "sun", "mon", "tue", "wed", "thu",
    "fri", "sat", "jan", "feb", "dne", "win", "all", "any", "the",
];

impl Parser<'_, '_> {
    /// The whole answer as a phrase, if it consists only of words.
    pub(super) fn phrase(&mut self) -> Result<Option<Id>, Reason> {
        let tokens = &self.tokens[self.at..];
        let wordy = |k: Kind| matches!(k, Kind::Word | Kind::Text | Kind::And | Kind::Or);
        let mark = |k: Kind| {
            matches!(
                k,
                Kind::Sign(',' | '.' | '\'' | '-' | '!' | '?' | ':' | '{' | '}' | '(' | ')')
            )
        };
        let foreign = |k: Kind| matches!(k, Kind::Sign(c) if !c.is_ascii());
        if tokens.is_empty()
            || !tokens.iter().all(|t| wordy(t.kind) || mark(t.kind) || foreign(t.kind))
        {
            return Ok(None);
        }
        let texts = tokens.iter().any(|t| t.kind == Kind::Text || foreign(t.kind));
        let words: Vec<&str> = tokens.iter().filter(|t| wordy(t.kind)).map(|t| t.text).collect();
        let english = words
            .iter()
            .any(|w| is_english(w, 4) || SHORT_WORDS.iter().any(|s| s.eq_ignore_ascii_case(w)))
            || matches!(words.as_slice(), ["no" | "No" | "NO"]);
        let known = matches!(words.as_slice(), ["infinity" | "inf" | "Infinity" | "pi"]);
        let brackets = tokens.iter().any(|t| matches!(t.kind, Kind::Sign('(' | '{')));
        let list = self.is_list_of_texts(brackets);
        if known || !english && (!texts || list) {
            return Ok(None);
        }
        if !texts
            && tokens.iter().any(|t| matches!(t.kind, Kind::Sign('(' | '\'')))
            && words.len() < 3
        {
            return Ok(None);
        }
        let phrase = plain_text(&tokens.iter().map(|t| t.text).collect::<Vec<_>>().join(" "));
        let unsigned = ["negative ", "minus "].iter().find_map(|sign| phrase.strip_prefix(sign));
        if let Some((value, unit)) = spoken_number(unsigned.unwrap_or(&phrase)) {
            let value = num_bigint::BigInt::from(value);
            let value = if unsigned.is_some() { -value } else { value }.into();
            let number = self.add(Node::Number { value, decimals: None })?;
            return match unit {
                "" => Ok(Some(number)),
                unit => self.add(Node::Quantity(number, unit.to_owned())).map(Some),
            };
        }
        let node = match meaning(&phrase) {
            Some(node) => node,
            None if list => return Ok(None),
            None => Node::Text(phrase),
        };
        self.add(node).map(Some)
    }

    /// Whether there are several texts with separators between them, which form a list and not a phrase.
    fn is_list_of_texts(&self, brackets: bool) -> bool {
        let tokens = &self.tokens[self.at..];
        let texts = tokens.iter().filter(|t| t.kind == Kind::Text).count();
        let commas =
            tokens.iter().filter(|t| matches!(t.kind, Kind::Sign(',') | Kind::And)).count();
        commas >= 1 && (texts >= 2 || brackets)
    }
}

/// The number at the beginning of a phrase in words, and the unit after it: "twenty five percent".
fn spoken_number(phrase: &str) -> Option<(u32, &str)> {
    let (mut total, mut last, mut rest) = (0_u32, None, phrase);
    while !rest.is_empty() {
        let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
        total = match (word, names::number_word(word), last) {
            ("hundred", _, Some(1..=9)) => total * 100,
            ("and", _, Some(100)) => total,
            (_, Some(value), None) => value,
            (_, Some(value @ 1..=9), Some(20..=90)) => total + value,
            (_, Some(value @ 1..=99), Some(100)) => total + value,
            _ => break,
        };
        last = match word {
            "hundred" | "and" => Some(100),
            _ => names::number_word(word),
        };
        rest = after;
    }
    last.filter(|_| rest.is_empty() || names::unit_word(rest) || is_counted_noun(rest))
        .map(|_| (total, rest))
}

/// Whether the single word after a number word is the thing counted: "twelve apples", but not "two
/// thirds".
fn is_counted_noun(word: &str) -> bool {
    let parts = ["half", "third", "quarter", "fourth", "fifth", "sixth", "eighth", "tenth"];
    let scales = ["hundred", "thousand", "million", "billion", "dozen", "point", "minus", "plus"];
    let stem = word.trim_end_matches('s');
    word.len() >= 4
        && word.ends_with('s')
        && word.bytes().all(|b| b.is_ascii_lowercase())
        && !parts.contains(&stem)
        && !scales.contains(&stem)
        && !matches!(stem, "halve" | "time" | "way" | "solution")
}

/// Beginnings of phrases that mean "infinitely many".
const INFINITE: [&str; 7] = [
    "infinitely many",
    "infinite solutions",
    "infinite number of",
    "an infinite number of",
    "there are infinitely many",
    "infinite many",
    "an infinity of",
];

/// The mathematical meaning of a phrase; `None` if it has none.
fn meaning(phrase: &str) -> Option<Node> {
    if INFINITE.iter().any(|words| phrase.starts_with(words)) {
        return Some(Node::Text("infinitely many".to_owned()));
    }
    Some(match phrase {
        "all real numbers" | "all reals" | "real numbers" | "the real numbers" | "all real" => {
            Node::Named(Named::Reals)
        }
        "all integers" | "integers" => Node::Named(Named::Integers),
        "all positive integers" | "positive integers" => Node::Named(Named::PositiveIntegers),
        "empty set"
        | "the empty set"
        | "no solution"
        | "no solutions"
        | "no real solutions"
        | "no real solution"
        | "there are no solutions"
        | "there is no solution"
        | "no roots"
        | "no real roots"
        | "none"
        | "no such numbers" => Node::Named(Named::Empty),
        "infinity" => Node::Constant(Constant::Infinity),
        "undefined" | "does not exist" | "dne" | "doesnt exist" | "not defined" => {
            Node::Text("undefined".to_owned())
        }
        _ => return None,
    })
}

/// The text reduced to lower-case letters, digits and single blanks.
pub(crate) fn plain_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_alphanumeric() {
            out.extend(c.to_lowercase());
        } else if c != '\'' && !out.ends_with(' ') && !out.is_empty() {
            out.push(' ');
        }
    }
    out.truncate(out.trim_end().len());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_spoken_numbers() {
        assert_eq!(spoken_number("five"), Some((5, "")));
        assert_eq!(spoken_number("twenty five percent"), Some((25, "percent")));
        assert_eq!(spoken_number("one hundred and six"), Some((106, "")));
        assert_eq!(spoken_number("three hundred seventeen"), Some((317, "")));
        for text in ["two thirds", "five five", "hundred", "twenty eleven", "monday", ""] {
            assert_eq!(spoken_number(text), None, "{text}");
        }
    }
}
