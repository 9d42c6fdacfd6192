//! Splits cleaned LaTeX into tokens: numbers, words, commands, texts and signs.
//!
//! The lexer knows the notation of numbers (separators, decimals, thin spaces) and the commands without
//! meaning, but no grammar. Commas between digits are read in one of three ways, chosen by the caller,
//! because the text alone cannot distinguish `1,234` from a list.

mod commands;
mod numbers;

use crate::fuel::{Fuel, Reason};

/// Reading of a comma between digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Commas {
    /// As a thousands separator, if groups of three follow and no bracket is open.
    Thousands,
    /// As a separator of list items.
    List,
    /// As a decimal comma.
    Decimal,
}

/// Kind of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Digits with at most one decimal point; separators are not removed yet.
    Number,
    /// A sequence of letters.
    Word,
    /// A command, without its backslash.
    Command,
    /// Content of a text command.
    Text,
    /// "and" between items.
    And,
    /// "or" between items.
    Or,
    /// `\{`
    OpenSet,
    /// `\}`
    CloseSet,
    /// `\\`
    Row,
    /// A currency sign before an amount; the text is the name of the unit.
    Currency,
    /// Any other sign.
    Sign(char),
}

/// One token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub kind: Kind,
    pub text: &'a str,
    /// Whether white space precedes the token.
    pub spaced: bool,
}

/// Currency codes before an amount, with the names of their units. Codes with an empty name are skipped: a
/// currency sign follows them, or they are the dollars of some country.
const CURRENCIES: [(&str, &str); 8] = [
    ("US", ""),
    ("USD", "dollar"),
    ("EUR", "euro"),
    ("GBP", "gbp"),
    ("Rs", "rupee"),
    ("INR", "rupee"),
    ("CAD", ""),
    ("AUD", ""),
];

/// Tokens of a cleaned text.
pub(crate) fn lex<'a>(
    text: &'a str,
    commas: Commas,
    fuel: &mut Fuel,
) -> Result<Vec<Token<'a>>, Reason> {
    fuel.spend(20 * text.len() as u64)?;
    // A single dollar sign is not a delimiter of a formula.
    let lone_dollar = text.matches('$').count() - text.matches("\\$").count() == 1;
    let mut lexer = Lexer {
        text,
        at: 0,
        commas,
        brackets: 0,
        tables: 0,
        spaced: false,
        lone_dollar,
        joiner: None,
    };
    let mut tokens = Vec::with_capacity(text.len() / 3 + 4);
    while let Some(token) = lexer.next_token() {
        tokens.push(token);
    }
    Ok(tokens)
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    commas: Commas,
    /// Number of open round, square and set brackets.
    brackets: usize,
    /// Number of open tables (matrices), in which `\\` begins a row.
    tables: usize,
    spaced: bool,
    /// Whether the text has only one dollar sign, which is then not a delimiter.
    lone_dollar: bool,
    /// "and" or "or" at the end of a text, which becomes a separate token.
    joiner: Option<Kind>,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn next_token(&mut self) -> Option<Token<'a>> {
        if let Some(joiner) = self.joiner.take() {
            return Some(self.token(joiner, "and"));
        }
        loop {
            let rest = self.rest();
            let first = rest.chars().next()?;
            let kind = match first {
                '0'..='9' => return Some(self.number()),
                '.' if rest[1..].starts_with(|c: char| c.is_ascii_digit()) => {
                    return Some(self.number());
                }
                'a'..='z' | 'A'..='Z' => match self.word() {
                    Some(token) => return Some(token),
                    None => continue,
                },
                '$' if self.lone_dollar && is_price(rest) => {
                    self.at += 1;
                    return Some(self.token(Kind::Currency, "dollar"));
                }
                '\\' => match self.command() {
                    Some(token) => return Some(token),
                    None => continue,
                },
                c if c.is_whitespace() || matches!(c, '$' | '~' | '`' | '"') => None,
                '*' if rest.starts_with("**") && !self.is_power() => {
                    self.at += 1;
                    None
                }
                c => Some(Kind::Sign(c)),
            };
            let length = first.len_utf8();
            self.at += length;
            match kind {
                None => self.spaced = true,
                Some(kind) => {
                    self.track(first);
                    return Some(self.token(kind, &rest[..length]));
                }
            }
        }
    }

    /// Whether `**` is a power, as in `2**3`, and not emphasis, as in `**3**`.
    fn is_power(&self) -> bool {
        let before = self.text[..self.at].chars().next_back();
        let after = self.text[self.at + 2..].chars().next();
        let operand = |c: char| c.is_alphanumeric() || matches!(c, '(' | ')' | '-' | '{' | '}');
        before.is_some_and(operand) && after.is_some_and(operand)
    }

    fn track(&mut self, sign: char) {
        match sign {
            '(' | '[' => self.brackets += 1,
            ')' | ']' => self.brackets = self.brackets.saturating_sub(1),
            _ => {}
        }
    }

    fn token(&mut self, kind: Kind, text: &'a str) -> Token<'a> {
        let spaced = std::mem::take(&mut self.spaced);
        Token { kind, text, spaced }
    }

    /// Reads a word; `None` if it is a currency before a price.
    fn word(&mut self) -> Option<Token<'a>> {
        let rest = self.rest();
        if let Some(half) = half_day(rest) {
            self.at += "p.m.".len().min(rest.len());
            return Some(self.token(Kind::Text, half));
        }
        let length = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let word = &rest[..length];
        self.at += length;
        if let Some((_, name)) = CURRENCIES.iter().find(|(known, _)| *known == word)
            && is_price(&rest[length..])
        {
            self.at += usize::from(self.rest().starts_with('.'));
            let signed = self.rest().trim_start().starts_with(['$', '\\']);
            return (!name.is_empty() && !signed).then(|| self.token(Kind::Currency, name));
        }
        let kind = match word {
            "and" | "And" | "AND" => Kind::And,
            "or" | "Or" | "OR" => Kind::Or,
            // "3 to 4" is a ratio.
            "to" => Kind::Sign(':'),
            _ => Kind::Word,
        };
        Some(self.token(kind, word))
    }
}

/// Whether an amount follows a currency: `$5`, `. 5`, ` 5`.
fn is_price(rest: &str) -> bool {
    rest.trim_start_matches(['.', '\\', '$', ' ']).starts_with(|c: char| c.is_ascii_digit())
        && rest.starts_with(['.', '\\', '$', ' '])
}

/// Reads "a.m." or "p.m." at the beginning of a text.
fn half_day(text: &str) -> Option<&'static str> {
    let starts = |mark: &str| text.get(..3).is_some_and(|head| head.eq_ignore_ascii_case(mark));
    if starts("p.m") {
        Some("pm")
    } else if starts("a.m") {
        Some("am")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str, commas: Commas) -> Vec<String> {
        lex(text, commas, &mut Fuel::full()).unwrap().iter().map(|t| t.text.to_owned()).collect()
    }

    #[test]
    fn reads_separated_numbers() {
        assert_eq!(texts("1,234,567.5", Commas::Thousands), ["1,234,567.5"]);
        assert_eq!(texts("1,234", Commas::List), ["1", ",", "234"]);
        assert_eq!(texts("(1,234)", Commas::Thousands), ["(", "1", ",", "234", ")"]);
        assert_eq!(texts("14{,}916", Commas::Thousands), ["14{,}916"]);
        assert_eq!(texts("11,\\! 111,\\! 100", Commas::Thousands), ["11,\\! 111,\\! 100"]);
        assert_eq!(texts("14 {, }916", Commas::Thousands), ["14 {, }916"]);
        assert_eq!(texts("32, 349", Commas::Thousands), ["32", ",", "349"]);
        assert_eq!(texts("0,111", Commas::Thousands), ["0", ",", "111"]);
        assert_eq!(texts("1000,99", Commas::Decimal), ["1000,99"]);
        assert_eq!(texts("1234,567", Commas::Thousands), ["1234", ",", "567"]);
    }

    #[test]
    fn drops_what_means_nothing() {
        assert_eq!(texts("$\\left(1\\right)$", Commas::Thousands), ["(", "1", ")"]);
        assert_eq!(texts("\\quadx_2", Commas::Thousands), ["x", "_", "2"]);
        assert_eq!(texts("\\text{14}", Commas::Thousands), ["{", "14", "}"]);
        assert_eq!(texts("5\\text{ cm}", Commas::Thousands), ["5", "cm"]);
    }
}
