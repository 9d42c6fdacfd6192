//! Names with a meaning: functions, constants, units, number words.
//!
//! This file contains tables only; their callers decide how to use them. Units have a dimension and a
//! factor to a base unit, so that 5 km equals 5000 m and not 5 m.

use super::tree::Function;

/// The function with this name, with or without a backslash before it.
pub(crate) fn function(name: &str) -> Option<Function> {
    Some(match name {
        "sin" => Function::Sin,
        "cos" => Function::Cos,
        "tan" | "tg" => Function::Tan,
        "cot" | "ctg" => Function::Cot,
        "sec" => Function::Sec,
        "csc" | "cosec" => Function::Csc,
        "arcsin" | "asin" => Function::Arcsin,
        "arccos" | "acos" => Function::Arccos,
        "arctan" | "atan" | "arctg" => Function::Arctan,
        "cis" => Function::Cis,
        "sinh" => Function::Sinh,
        "cosh" => Function::Cosh,
        "tanh" => Function::Tanh,
        "exp" => Function::Exp,
        "ln" => Function::Ln,
        "log" | "lg" => Function::Log,
        "abs" => Function::Abs,
        "floor" => Function::Floor,
        "ceil" => Function::Ceil,
        "max" => Function::Max,
        "min" => Function::Min,
        "gcd" => Function::Gcd,
        "lcm" => Function::Lcm,
        "det" => Function::Det,
        "Re" => Function::Re,
        "Im" => Function::Im,
        _ => return None,
    })
}

/// Whether a letter before a bracket is the name of a function and not a factor.
pub(crate) fn names_function(letter: &str) -> bool {
    matches!(letter, "f" | "g" | "h" | "F" | "G" | "H" | "P" | "Q" | "p" | "q" | "u")
}

/// Greek letters and other commands that are plain symbols.
pub(crate) fn symbol(command: &str) -> bool {
    matches!(
        command,
        "alpha"
            | "beta"
            | "gamma"
            | "delta"
            | "epsilon"
            | "varepsilon"
            | "zeta"
            | "eta"
            | "theta"
            | "vartheta"
            | "iota"
            | "kappa"
            | "lambda"
            | "mu"
            | "nu"
            | "xi"
            | "rho"
            | "sigma"
            | "tau"
            | "upsilon"
            | "phi"
            | "varphi"
            | "chi"
            | "psi"
            | "omega"
            | "Gamma"
            | "Delta"
            | "Theta"
            | "Lambda"
            | "Xi"
            | "Pi"
            | "Sigma"
            | "Phi"
            | "Psi"
            | "Omega"
            | "ell"
            | "hbar"
            | "partial"
            | "nabla"
            | "aleph"
            | "prime"
            | "ast"
            | "star"
            | "imath"
            | "jmath"
            | "diamond"
            | "square"
            | "bigstar"
            | "spadesuit"
            | "clubsuit"
            | "oplus"
    )
}

/// The value of a number word.
pub(crate) fn number_word(word: &str) -> Option<u32> {
    const WORDS: [&str; 21] = [
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
        "twenty",
    ];
    const TENS: [&str; 7] = ["thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
    let place = |words: &[&str]| {
        let at = words.iter().position(|w| w.eq_ignore_ascii_case(word))?;
        u32::try_from(at).ok()
    };
    place(&WORDS).or_else(|| Some(10 * place(&TENS)? + 30))
}

/// Dimension of a unit, with its factor to the base unit as a fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unit {
    /// Name of the dimension, without the power to which the unit is raised.
    pub dimension: &'static str,
    /// Numerator and denominator of the factor to the base unit.
    pub factor: (u64, u64),
}

/// Length of the longest name of a unit, in bytes.
const LONGEST: usize = 16;

/// The unit with this name, singular or plural.
pub(crate) fn unit(name: &str) -> Option<Unit> {
    if name.len() > LONGEST {
        return None;
    }
    let lower = name.to_ascii_lowercase();
    let stem = match lower.as_str() {
        "feet" => "foot",
        "inches" => "inch",
        "s" | "gs" => lower.as_str(),
        other => other.strip_suffix('s').filter(|s| s.len() > 1).unwrap_or(other),
    };
    singular(stem)
}

/// The unit with this name, lower case and singular.
fn singular(name: &str) -> Option<Unit> {
    let known = |dimension, numerator, denominator| {
        Some(Unit { dimension, factor: (numerator, denominator) })
    };
    match name {
        "mm" | "millimeter" | "millimetre" => known("length", 1, 1000),
        "cm" | "centimeter" | "centimetre" => known("length", 1, 100),
        "dm" | "decimeter" => known("length", 1, 10),
        "m" | "meter" | "metre" => known("length", 1, 1),
        "km" | "kilometer" | "kilometre" => known("length", 1000, 1),
        "inch" => known("length", 254, 10_000),
        "ft" | "foot" => known("length", 3048, 10_000),
        "yd" | "yard" => known("length", 9144, 10_000),
        "mile" => known("length", 1_609_344, 1000),
        "mg" | "milligram" => known("mass", 1, 1_000_000),
        "g" | "gram" => known("mass", 1, 1000),
        "kg" | "kilogram" => known("mass", 1, 1),
        "lb" | "pound" => known("mass", 45_359_237, 100_000_000),
        "ounce" | "oz" => known("mass", 45_359_237, 1_600_000_000),
        "ml" | "milliliter" => known("volume", 1, 1000),
        "l" | "liter" | "litre" => known("volume", 1, 1),
        "gallon" | "gal" => known("volume", 3_785_411_784, 1_000_000_000),
        "s" | "sec" | "second" => known("time", 1, 1),
        "min" | "minute" => known("time", 60, 1),
        "hr" | "hour" | "h" => known("time", 3600, 1),
        "day" => known("time", 86_400, 1),
        "week" => known("time", 604_800, 1),
        "cent" | "penny" => known("money", 1, 100),
        "dollar" | "usd" => known("money", 1, 1),
        "euro" | "eur" => known("euro", 1, 1),
        "gbp" => known("sterling", 1, 1),
        "pence" => known("sterling", 1, 100),
        "yen" | "jpy" => known("yen", 1, 1),
        "yuan" | "rmb" => known("yuan", 1, 1),
        "rupee" | "inr" => known("rupee", 1, 1),
        "peso" => known("peso", 1, 1),
        "month" => known("calendar", 1, 1),
        "year" => known("calendar", 12, 1),
        "decade" => known("calendar", 120, 1),
        "tonne" => known("mass", 1000, 1),
        "hectare" => known("area", 10_000, 1),
        "acre" => known("area", 40_468_564_224, 10_000_000),
        "joule" => known("energy", 1, 1),
        "kj" | "kilojoule" => known("energy", 1000, 1),
        "kwh" => known("energy", 3_600_000, 1),
        "watt" => known("power", 1, 1),
        "kw" | "kilowatt" => known("power", 1000, 1),
        "hz" | "hertz" => known("frequency", 1, 1),
        "khz" => known("frequency", 1000, 1),
        "newton" => known("force", 1, 1),
        "volt" => known("voltage", 1, 1),
        "ampere" | "amp" => known("current", 1, 1),
        "ohm" => known("resistance", 1, 1),
        "rad" | "radian" => known("angle", 1, 1),
        _ => None,
    }
}

/// Letters that are units if an upright style or a blank separates them from a number.
pub(crate) fn unit_letter(letter: &str) -> bool {
    matches!(letter, "m" | "g" | "s" | "h" | "l" | "L" | "t" | "N" | "J" | "W" | "V" | "K")
}

/// Words that are units wherever they follow a number, attached to it or not.
pub(crate) fn unit_word(word: &str) -> bool {
    unit(word).is_some() && word.len() >= 2
        || word.len() <= LONGEST
            && matches!(
                word.to_ascii_lowercase().as_str(),
                "percent"
                    | "pct"
                    | "percentage"
                    | "degrees"
                    | "degree"
                    | "deg"
                    | "radians"
                    | "rad"
                    | "units"
                    | "unit"
                    | "mph"
                    | "kph"
                    | "euro"
                    | "euros"
                    | "rupees"
                    | "pesos"
                    | "pounds"
                    | "sq"
                    | "cubic"
                    | "square"
                    | "am"
                    | "pm"
                    | "hz"
                    | "kw"
                    | "joules"
            )
}
