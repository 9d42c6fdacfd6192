//! Equality of two formulas as SymPy's `parse_latex` and `simplify` decide it.
//!
//! The grammar is that of SymPy 1.14 (ported there from latex2sympy), with its peculiarities: the longest
//! beginning that parses as a formula counts, names have no values, digits separated by spaces form one
//! number. Values are compared by this crate's evaluators, so an identity that `simplify` does not find
//! is equal here. Integrals, sums, products over an index, limits, derivatives, substitutions and bras
//! are not parsed; two different texts of which one contains any of them are not equal.

mod atoms;
mod formula;
mod functions;
mod tokens;

use crate::compare;
use crate::fuel::{Fuel, Reason};
use crate::syntax::tree::{Constant, Id, Node, Tree};

/// Longest text that is parsed, in bytes.
const MAX_LENGTH: usize = 2000;

/// Why a text is not compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unread {
    /// A character outside the grammar. Unlike the other faults, it makes the parse fail as soon as the
    /// parser looks ahead at it.
    Character,
    /// The formula is of an unsupported kind, or SymPy parses it and fails later, or it would take too
    /// much work.
    Foreign,
    /// SymPy fails to parse it.
    Formula,
}

impl From<Reason> for Unread {
    fn from(_: Reason) -> Self {
        Self::Foreign
    }
}

/// Whether SymPy parses both texts as formulas and their difference is zero.
pub(super) fn equal(gold: &str, answer: &str) -> bool {
    if gold.len().max(answer.len()) > MAX_LENGTH {
        return false;
    }
    let (mut tree, mut fuel) = (Tree::default(), Fuel::full());
    let mut read = |text: &str| formula::read(text, &mut tree, &mut fuel);
    let (Ok(gold), Ok(answer)) = (read(gold), read(answer)) else { return false };
    // The difference of two infinities is not a number.
    let endless = |id: Id| tree.any(id, &|n| matches!(n, Node::Constant(Constant::Infinity)));
    !endless(gold) && !endless(answer) && compare::equal_values(&mut tree, gold, answer, &mut fuel)
}

#[cfg(test)]
mod tests {
    use super::equal;

    #[test]
    fn values_are_compared() {
        assert!(equal("\\frac{1}{2}", "0.5"));
        assert!(equal("1\\frac{1}{2}", "\\frac{1}{2}"));
        assert!(equal("2x3", "6"));
        assert!(equal("3:4", "\\frac{3}{4}"));
        assert!(equal("\\sqrt{8}", "2\\sqrt{2}"));
        assert!(equal("x^12", "x^{12}"));
        assert!(equal("1,234", "1234"));
        assert!(equal("00", "0"));
        assert!(equal("016.5", "16.5"));
        assert!(!equal("016", "16"));
        assert!(equal("|-3|", "\\left(3\\right)"));
        assert!(equal("\\log_{2}{8}", "3"));
        assert!(equal("2^3^2", "64"));
        assert!(equal("a_1+b", "b+a_{1}"));
        assert!(equal("\\binom{5}{2}", "10"));
        assert!(equal("5!", "120"));
        assert!(equal("\\{5\\}", "[5]"));
    }

    #[test]
    fn names_have_no_value() {
        assert!(equal("2\\pi", "\\pi2"));
        assert!(!equal("\\sin(\\pi)", "0"));
        assert!(!equal("i^2", "-1"));
        assert!(equal("eat", "tea"));
        assert!(!equal("x(x+1)", "x^2+x"));
        assert!(!equal("dx", "xd"));
        assert!(equal("\\alpha b", "b\\alpha"));
        assert!(!equal("\\infty", "+\\infty"));
    }

    #[test]
    fn the_longest_beginning_counts() {
        assert!(equal("1,2", "1,3"));
        assert!(equal("5)", "5"));
        assert!(equal("21_7", "21_8"));
        assert!(!equal("12%", "12"));
        assert!(!equal("12,%", "12"));
        assert!(!equal("5.", "5"));
        assert!(!equal("(1,2)", "(1,2.0)"));
        assert!(!equal("x<5", "5>x"));
        assert!(equal("5(", "5"));
        assert!(equal("5+", "5^"));
        assert!(equal("4\\sqrt(2)", "4"));
        assert!(equal("x(1,2", "x"));
        assert!(equal("x\\in[2,5)", "x\\in[3,7)"));
        assert!(equal("2\\left|x\\right|", "2"));
        assert!(!equal("\\left|x\\right|", "x"));
        assert!(!equal("(5(", "5"));
        assert!(!equal("", "5"));
    }

    #[test]
    fn arguments_of_functions() {
        assert!(equal("\\sin x\\cos y", "\\cos y\\sin x"));
        assert!(equal("\\sin 2x/2", "\\sin x"));
        assert!(equal("\\sin^2 x+\\cos^2 x", "1"));
        assert!(equal("\\sin(x)^2", "\\sin^{2}x"));
        assert!(equal("\\sin^{-1}x", "\\arcsin x"));
        assert!(equal("\\ln x", "\\log x"));
        assert!(equal("\\log_28", "3"));
        assert!(equal("\\log_2 16", "\\log_{21}6"));
        assert!(!equal("\\int x", "\\int y"));
    }

    #[test]
    fn deep_and_long_texts_are_not_read() {
        assert!(!equal(&"(".repeat(1900), "1"));
        assert!(!equal(&"x(".repeat(900), "y"));
        assert!(!equal(&"-".repeat(1900), "1"));
        assert!(!equal(&"\\sin".repeat(400), "1"));
        assert!(!equal(&"1".repeat(5000), "1"));
    }
}
