//! Compares values with units: percent, degrees, currency, lengths, times.
//!
//! A unit on only one side is ignored. Units of one dimension are converted exactly; units of different
//! dimensions make the answers different. The percent sign is a unit, never a factor.

use std::collections::BTreeMap;

use num_rational::BigRational;
use num_traits::One;

use super::{Comparison, Outcome, Tri};
use crate::fuel::Reason;
use crate::syntax::names;
use crate::syntax::tree::{Constant, Id, Node};

impl Comparison<'_> {
    /// Compares two nodes of which at least one has a unit.
    pub(super) fn quantities(&mut self, gold: Id, answer: Id) -> Outcome {
        let (gold_value, gold_unit) = self.taken_apart(gold);
        let (answer_value, answer_unit) = self.taken_apart(answer);
        if let (Some(g), Some(a)) = (&gold_unit, &answer_unit) {
            match (is_degree(g), is_radian(g), is_degree(a), is_radian(a)) {
                (true, _, _, true) => {
                    let angle = self.in_radians(gold_value)?;
                    return self.compare(angle, answer_value);
                }
                (_, true, true, _) => {
                    let angle = self.in_radians(answer_value)?;
                    return self.compare(gold_value, angle);
                }
                _ => {}
            }
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

    /// Reads `5 m` as a product, if the other side has a variable with the name of the unit.
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

    /// Splits a node into its value and its unit.
    fn taken_apart(&self, id: Id) -> (Id, Option<String>) {
        match self.tree.get(id) {
            Node::Quantity(value, unit) => {
                let (inner, currency) = self.taken_apart(*value);
                // `$5 per hour`: the sign before the number and the unit after it form one unit.
                let rated = unit.starts_with('/') || unit.starts_with("per");
                let unit = match currency.filter(|c| is_currency(c)) {
                    Some(currency) if rated => format!("{currency} {unit}"),
                    Some(currency) => currency,
                    None => unit.clone(),
                };
                (inner, Some(unit))
            }
            _ => (id, None),
        }
    }
}

/// Whether a unit is a currency or a part of one.
fn is_currency(unit: &str) -> bool {
    let dimensions = ["money", "euro", "sterling", "yen", "yuan", "rupee", "peso"];
    names::unit(unit).is_some_and(|unit| dimensions.contains(&unit.dimension))
}

fn is_degree(unit: &str) -> bool {
    unit.starts_with("deg") && scale(unit).is_none()
}

fn is_radian(unit: &str) -> bool {
    unit.starts_with("rad")
}

/// The temperature scale of a unit in degrees; `None` for an angle.
fn scale(unit: &str) -> Option<char> {
    let lower = unit.to_ascii_lowercase();
    let named = |letter: char, name: &str| unit.ends_with(letter) || lower.contains(name);
    if !lower.starts_with("deg") {
        None
    } else if named('C', "celsius") {
        Some('C')
    } else if named('F', "fahrenheit") {
        Some('F')
    } else if named('K', "kelvin") {
        Some('K')
    } else {
        None
    }
}

/// Relation of the answer's unit to the reference's.
enum Conversion {
    Same,
    Foreign,
    /// Factor from the answer's unit to the reference's.
    Factor(BigRational),
}

fn conversion(gold: &str, answer: &str) -> Conversion {
    let bare = |unit: &str| unit.replace('.', "").replace(['\\', '~'], " ").trim().to_owned();
    let (gold, answer) = (bare(gold), bare(answer));
    if gold.replace(' ', "") == answer.replace(' ', "") {
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
    if let (Some(g), Some(a)) = (scale(&gold), scale(&answer)) {
        return if g == a { Conversion::Same } else { Conversion::Foreign };
    }
    // "Pound" is a weight, but counts as sterling if the other side is in sterling.
    let pound = |unit: &str| matches!(unit, "pound" | "pounds");
    let sterling = |unit: &str| unit == "gbp";
    if pound(&gold) && sterling(&answer) || sterling(&gold) && pound(&answer) {
        return Conversion::Same;
    }
    // "$5" and "$5 per hour" are the same amount.
    if let (Some(g), Some(a)) = (rated(&gold), rated(&answer))
        && (g == gold || a == answer)
        && is_currency(g)
        && is_currency(a)
        && (g != gold || a != answer)
    {
        return conversion(g, a);
    }
    let bare_number = |unit: &str| percent(unit) || angle(unit);
    match (Measure::of(&gold), Measure::of(&answer)) {
        (None, Some(_)) if bare_number(&gold) => Conversion::Foreign,
        (Some(_), None) if bare_number(&answer) => Conversion::Foreign,
        (Some(g), Some(a)) if g.dimensions != a.dimensions => Conversion::Foreign,
        (Some(g), Some(a)) if g.factor != a.factor => Conversion::Factor(a.factor / g.factor),
        _ => Conversion::Same,
    }
}

/// The unit before "per" or "/".
fn rated(unit: &str) -> Option<&str> {
    unit.split([' ', '/']).next().filter(|name| !name.is_empty())
}

/// Dimensions and factor of a compound unit: `km/h`, `square feet`, `miles per hour`.
#[derive(Debug, PartialEq)]
struct Measure {
    /// Exponents of the base dimensions, none of them zero.
    dimensions: BTreeMap<&'static str, i32>,
    /// Factor to the base units.
    factor: BigRational,
}

impl Measure {
    /// Parses a unit; `None` if any of its words is not a known unit.
    fn of(unit: &str) -> Option<Self> {
        let mut measure = Self { dimensions: BTreeMap::new(), factor: BigRational::one() };
        let (mut sign, mut prefix) = (1, 1);
        let spaced = unit.replace('/', " per ").replace(" ^", "^");
        for word in spaced.split_whitespace() {
            match word {
                "per" => sign = -1,
                "square" | "sq" => prefix = 2,
                "cubic" => prefix = 3,
                "mph" => {
                    measure.multiply("mile", sign)?;
                    measure.multiply("hour", -sign)?;
                }
                _ => {
                    let (name, power) = word.split_once('^').unwrap_or((word, "1"));
                    let power: i32 = power.trim_matches(['{', '}']).parse().ok()?;
                    if !(1..=4).contains(&power) {
                        return None;
                    }
                    measure.multiply(name, sign * prefix * power)?;
                    prefix = 1;
                }
            }
        }
        measure.dimensions.retain(|_, power| *power != 0);
        (!spaced.trim().is_empty()).then_some(measure)
    }

    fn multiply(&mut self, name: &str, power: i32) -> Option<()> {
        let unit = names::unit(name)?;
        let (numerator, denominator) = unit.factor;
        let mut factor = BigRational::new(numerator.into(), denominator.into());
        // A litre is a cubic decimetre.
        let (dimension, times) = match unit.dimension {
            "volume" => {
                factor /= BigRational::from_integer(1000.into());
                ("length", 3)
            }
            "area" => ("length", 2),
            other => (other, 1),
        };
        *self.dimensions.entry(dimension).or_default() += times * power;
        self.factor *= num_traits::Pow::pow(factor, power);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compound_units_are_measured() {
        assert_eq!(Measure::of("km/h").unwrap(), Measure::of("kilometers per hour").unwrap());
        assert_eq!(Measure::of("square cm").unwrap(), Measure::of("cm^2").unwrap());
        assert_eq!(Measure::of("dm^3").unwrap(), Measure::of("liter").unwrap());
        assert_ne!(Measure::of("cm^2").unwrap(), Measure::of("cm^3").unwrap());
        assert_eq!(Measure::of("apples"), None);
    }
}
