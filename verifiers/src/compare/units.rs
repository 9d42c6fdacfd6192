//! Compares values with units: percent, degrees, currency, lengths, times.
//!
//! A unit on one side only is taken off. Units of one dimension are converted exactly; units of
//! different dimensions make the answers different. The percent sign is a unit, never a factor.

use num_rational::BigRational;

use super::{Comparison, Outcome, Tri};
use crate::fuel::Reason;
use crate::syntax::names;
use crate::syntax::tree::{Constant, Id, Node};

impl Comparison<'_> {
    /// Compares where at least one side carries a unit.
    pub(super) fn quantities(&mut self, gold: Id, answer: Id) -> Outcome {
        let (gold_value, gold_unit) = self.taken_apart(gold);
        let (answer_value, answer_unit) = self.taken_apart(answer);
        if let (Some(g), Some(a)) = (&gold_unit, &answer_unit) {
            match conversion(g, a) {
                Conversion::Same => {}
                Conversion::Foreign if self.rules.check_units => return Ok(Tri::Different),
                Conversion::Foreign => {}
                Conversion::Factor(factor) => {
                    let factor =
                        self.tree.add(Node::Number { value: factor, decimals: None }, self.fuel)?;
                    let scaled =
                        self.tree.add(Node::Product(vec![answer_value, factor]), self.fuel)?;
                    return self.compare(gold_value, scaled);
                }
            }
        }
        if let Some(product) = self.letter_product(gold, answer)? {
            return self.compare(product, answer);
        }
        if let Some(product) = self.letter_product(answer, gold)? {
            return self.compare(gold, product);
        }
        let plain = self.compare(gold_value, answer_value)?;
        let degrees = |unit: &Option<String>| unit.as_deref() == Some("deg");
        if plain == Tri::Equal || degrees(&gold_unit) == degrees(&answer_unit) {
            return Ok(plain);
        }
        // 90 degrees and pi/2 are the same angle.
        let (in_degrees, other) = if degrees(&gold_unit) {
            (gold_value, answer_value)
        } else {
            (answer_value, gold_value)
        };
        if !self.tree.any(other, &|n| matches!(n, Node::Constant(Constant::Pi))) {
            return Ok(plain);
        }
        let angle = self.in_radians(in_degrees)?;
        self.compare(angle, other)
    }

    /// `5 m` as a product where the other side has a variable of that name.
    fn letter_product(&mut self, id: Id, other: Id) -> Result<Option<Id>, Reason> {
        let Node::Quantity(value, unit) = self.tree.get(id).clone() else { return Ok(None) };
        if !names::unit_letter(&unit) {
            return Ok(None);
        }
        let symbols = self.tree.free_symbols(other);
        let Some(symbol) = symbols.into_iter().find(|s| self.tree.name(*s) == unit) else {
            return Ok(None);
        };
        let letter = self.tree.add(Node::Symbol(symbol), self.fuel)?;
        self.tree.add(Node::Product(vec![value, letter]), self.fuel).map(Some)
    }

    /// The value and its unit.
    fn taken_apart(&self, id: Id) -> (Id, Option<String>) {
        match self.tree.get(id) {
            Node::Quantity(value, unit) => {
                let (inner, _) = self.taken_apart(*value);
                (inner, Some(unit.clone()))
            }
            _ => (id, None),
        }
    }
}

/// How the answer's unit relates to the reference's.
enum Conversion {
    Same,
    Foreign,
    /// Factor from the answer's unit to the reference's.
    Factor(BigRational),
}

fn conversion(gold: &str, answer: &str) -> Conversion {
    let bare = |unit: &str| unit.replace([' ', '.', '\\'], "");
    let (gold, answer) = (bare(gold), bare(answer));
    if gold == answer {
        return Conversion::Same;
    }
    let percent = |unit: &str| unit == "%" || unit.starts_with("percent") || unit == "pct";
    let angle = |unit: &str| unit.starts_with("deg");
    if percent(&gold) && angle(&answer) || angle(&gold) && percent(&answer) {
        return Conversion::Foreign;
    }
    let half_day = |unit: &str| matches!(unit.to_ascii_lowercase().as_str(), "am" | "pm");
    if half_day(&gold) && half_day(&answer) && !gold.eq_ignore_ascii_case(&answer) {
        return Conversion::Foreign;
    }
    let split = |unit: &str| -> (String, u32) {
        let (name, power) = unit.split_once('^').unwrap_or((unit, "1"));
        (name.to_owned(), power.parse().unwrap_or(1))
    };
    let ((gold, gold_power), (answer, answer_power)) = (split(&gold), split(&answer));
    match (names::unit(&gold), names::unit(&answer)) {
        (Some(g), Some(a)) if g.dimension != a.dimension => Conversion::Foreign,
        (Some(g), Some(a)) if gold_power == answer_power && gold_power <= 3 && g != a => {
            let ratio = |(n, d): (u64, u64)| BigRational::new(n.into(), d.into());
            let one = ratio(a.factor) / ratio(g.factor);
            let power = i32::try_from(gold_power).unwrap_or(1);
            Conversion::Factor(num_traits::Pow::pow(one, power))
        }
        _ => Conversion::Same,
    }
}
