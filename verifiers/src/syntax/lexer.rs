//! Cuts cleaned LaTeX into tokens: numbers, words, commands, texts and signs.
//!
//! It knows how numbers are written (separators, decimals, thin spaces) and which commands mean
//! nothing, but no grammar. Commas between digits are read in one of three ways, chosen by the
//! caller, because text alone cannot tell `1,234` from a list.

use super::names;
use crate::fuel::{Fuel, Reason};

/// How a comma between digits is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Commas {
    /// As a thousands separator where groups of three follow and no bracket is open.
    Thousands,
    /// As a separator of list items.
    List,
    /// As a decimal sign.
    Decimal,
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Digits with at most one point; separators are still inside.
    Number,
    /// A run of letters.
    Word,
    /// A command, without its backslash.
    Command,
    /// Content of a text command.
    Text,
    /// "and", "or" between items.
    And,
    /// "or" between items.
    Or,
    /// `\{`
    OpenSet,
    /// `\}`
    CloseSet,
    /// `\\`
    Row,
    /// Any other sign.
    Sign(char),
}

/// One token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub kind: Kind,
    pub text: &'a str,
    /// Whether white space stands before it.
    pub spaced: bool,
}

/// Commands without meaning for the value.
const IGNORED: [&str; 34] = [
    "left",
    "right",
    "big",
    "Big",
    "bigg",
    "Bigg",
    "bigl",
    "bigr",
    "Bigl",
    "Bigr",
    "biggl",
    "biggr",
    "quad",
    "qquad",
    "displaystyle",
    "textstyle",
    "limits",
    "nolimits",
    "space",
    "hfill",
    "hspace",
    "vspace",
    "mathstrut",
    "hline",
    "middle",
    "scriptstyle",
    "thinspace",
    "enspace",
    "noindent",
    "centering",
    "rm",
    "bf",
    "it",
    "strut",
];

/// Commands whose argument is text.
const TEXTS: [&str; 11] = [
    "text",
    "textbf",
    "textrm",
    "textit",
    "textnormal",
    "textsf",
    "texttt",
    "mbox",
    "hbox",
    "textup",
    "emph",
];

/// Commands that only change the look of their argument.
const STYLES: [&str; 10] = [
    "mathbf",
    "boldsymbol",
    "mathit",
    "mathsf",
    "mathtt",
    "bm",
    "pmb",
    "mathcal",
    "mathscr",
    "mathfrak",
];

/// Currencies that stand in front of an amount.
const CURRENCIES: [&str; 8] = ["US", "USD", "EUR", "GBP", "Rs", "INR", "CAD", "AUD"];

/// Marks between groups of three digits.
const SEPARATORS: [&str; 11] =
    ["{,}\\!", " {, }", " {,}", "{, }", "{,}", ",\\!", "\\,", "\\ ", "{\\,}", " ", ","];

/// Tokens of a cleaned text.
pub(crate) fn lex<'a>(
    text: &'a str,
    commas: Commas,
    fuel: &mut Fuel,
) -> Result<Vec<Token<'a>>, Reason> {
    fuel.spend(20 * text.len() as u64)?;
    let mut lexer = Lexer { text, at: 0, commas, brackets: 0, tables: 0, spaced: false };
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
    /// Open round, square and set brackets.
    brackets: usize,
    /// Open tables (matrices), in which `\\` starts a row.
    tables: usize,
    spaced: bool,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn next_token(&mut self) -> Option<Token<'a>> {
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

    /// `2**3` is a power; `**3**` is emphasis.
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

    /// Reads a word; `None` where it is a currency in front of a price.
    fn word(&mut self) -> Option<Token<'a>> {
        let rest = self.rest();
        if let Some(half) = half_day(rest) {
            self.at += "p.m.".len().min(rest.len());
            return Some(self.token(Kind::Text, half));
        }
        let length = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let word = &rest[..length];
        self.at += length;
        if CURRENCIES.contains(&word) && is_price(&rest[length..]) {
            return None;
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

    /// Reads a command; `None` when it means nothing.
    fn command(&mut self) -> Option<Token<'a>> {
        let rest = self.rest();
        let name_length = rest[1..].bytes().take_while(u8::is_ascii_alphabetic).count();
        if name_length == 0 {
            return self.control_sign();
        }
        let name = &rest[1..=name_length];
        self.at += 1 + name_length;
        if IGNORED.contains(&name) || STYLES.contains(&name) || matches!(name, "boxed" | "fbox") {
            self.spaced = true;
            return None;
        }
        if TEXTS.contains(&name) {
            return self.text_argument();
        }
        if matches!(name, "mathrm" | "operatorname") {
            let value_before = self.value_before(self.at - 1 - name_length);
            return self.upright(name, value_before);
        }
        if let Some(rest) = glued(name) {
            self.at -= rest.len();
            self.spaced = true;
            return None;
        }
        match name {
            "begin" => self.tables += 1,
            "end" => self.tables = self.tables.saturating_sub(1),
            _ => {}
        }
        Some(self.token(Kind::Command, name))
    }

    /// A backslash followed by something that is no letter.
    fn control_sign(&mut self) -> Option<Token<'a>> {
        let rest = self.rest();
        let mut chars = rest.char_indices().skip(1);
        let Some((_, sign)) = chars.next() else {
            self.at += 1;
            return None;
        };
        let length = 1 + sign.len_utf8();
        self.at += length;
        let kind = match sign {
            '{' => {
                self.brackets += 1;
                Kind::OpenSet
            }
            '}' => {
                self.brackets = self.brackets.saturating_sub(1);
                Kind::CloseSet
            }
            '\\' if self.tables > 0 => Kind::Row,
            '\\' if self
                .rest()
                .starts_with(|c: char| c.is_ascii_alphabetic() || "{}%$,;!".contains(c)) =>
            {
                // A backslash that was escaped once too often.
                self.at -= 1;
                self.spaced = true;
                return None;
            }
            // A line break outside of tables separates answers.
            '\\' => Kind::Sign(','),
            '%' => Kind::Sign('%'),
            '|' => Kind::Sign('‖'),
            '&' | '_' | '#' => Kind::Sign(sign),
            _ => {
                self.spaced = true;
                return None;
            }
        };
        Some(self.token(kind, &rest[..length]))
    }

    /// `\mathrm{e}` is the letter; `\mathrm{cm}` is a text, and so is the unit in `5\mathrm{m}`.
    fn upright(&mut self, name: &str, value_before: bool) -> Option<Token<'a>> {
        let rest = self.rest().trim_start();
        let inner = rest.strip_prefix('{').and_then(|r| r.split('}').next())?.trim();
        let unit = value_before && names::unit_letter(inner);
        if inner.len() <= 1 && !unit || name == "operatorname" && names::function(inner).is_none() {
            return None;
        }
        self.text_argument()
    }

    /// Whether a digit or bracket ends in front of `at`, blanks aside.
    fn value_before(&self, at: usize) -> bool {
        let mut before = self.text[..at].trim_end_matches([' ', '~']);
        while let Some(shorter) = before.strip_suffix("\\,").or(before.strip_suffix("\\")) {
            before = shorter.trim_end_matches([' ', '~']);
        }
        before.ends_with(|c: char| c.is_ascii_digit() || matches!(c, '}' | ')'))
    }

    /// Content of a text command: one token, or read on as formula when it holds a number or a
    /// single letter.
    fn text_argument(&mut self) -> Option<Token<'a>> {
        let rest = self.rest();
        let skipped = rest.len() - rest.trim_start().len();
        if !rest[skipped..].starts_with('{') {
            return None;
        }
        let open = self.at + skipped + 1;
        let close = open + closing(&self.text[open..])?;
        let inner = self.text[open..close].trim();
        let letters = inner.chars().filter(char::is_ascii_alphabetic).count();
        let formula = inner.starts_with(|c: char| c.is_ascii_digit() || "-+\\$(".contains(c))
            && (letters <= 1 || inner.starts_with(|c: char| c.is_ascii_digit()));
        if formula {
            return None;
        }
        self.at = close + 1;
        self.spaced = true;
        let bare = inner.trim_matches([',', ' ', '~']);
        if names::function(bare).is_some() {
            return Some(self.token(Kind::Word, bare));
        }
        let kind = match bare {
            "and" | "And" | "&" => Kind::And,
            "or" | "Or" => Kind::Or,
            "to" => Kind::Sign(':'),
            label if label.ends_with(':') || label.ends_with(" is") => return None,
            "" => {
                return inner.contains(',').then(|| self.token(Kind::Sign(','), ","));
            }
            _ => Kind::Text,
        };
        Some(self.token(kind, inner))
    }

    fn number(&mut self) -> Token<'a> {
        let start = self.at;
        self.digits();
        loop {
            if self.at - start > 3 && !self.text[start..self.at].contains([',', '\\', ' ']) {
                break;
            }
            match self.separator(start) {
                Some(length) => self.at += length + 3,
                None => break,
            }
        }
        let rest = self.rest();
        let point = match self.commas {
            Commas::Decimal if self.brackets == 0 => rest.starts_with([',', '.']),
            _ => rest.starts_with('.'),
        };
        if point && rest[1..].starts_with(|c: char| c.is_ascii_digit()) {
            self.at += 1;
            self.digits();
        }
        self.exponent();
        let text = &self.text[start..self.at];
        self.token(Kind::Number, text)
    }

    fn digits(&mut self) {
        self.at += self.rest().bytes().take_while(u8::is_ascii_digit).count();
    }

    /// Length of a thousands separator in front of exactly three digits.
    fn separator(&self, start: usize) -> Option<usize> {
        if self.at == start || self.text[start..].starts_with('0') {
            return None;
        }
        let rest = self.rest();
        let comma = matches!(self.commas, Commas::Thousands) && self.brackets == 0;
        for mark in SEPARATORS {
            if mark == "," && !comma {
                continue;
            }
            let Some(after) = rest.strip_prefix(mark) else { continue };
            let blank = after.len() - after.trim_start_matches(' ').len();
            let blank = if mark.ends_with('!') { blank } else { 0 };
            let digits = after[blank..].bytes().take_while(u8::is_ascii_digit).count();
            if digits == 3 {
                return Some(mark.len() + blank);
            }
        }
        None
    }

    /// `1.5e-3`, written without spaces.
    fn exponent(&mut self) {
        let rest = self.rest();
        let Some(after) = rest.strip_prefix(['e', 'E']) else { return };
        let sign = usize::from(after.starts_with(['+', '-']));
        let digits = after[sign..].bytes().take_while(u8::is_ascii_digit).count();
        let next = after[sign + digits..].chars().next();
        if digits > 0 && !next.is_some_and(|c| c.is_ascii_alphabetic() || c == '^' || c == '_') {
            self.at += 1 + sign + digits;
        }
    }
}

/// Whether an amount follows a currency: `$5`, `. 5`, ` 5`.
fn is_price(rest: &str) -> bool {
    rest.trim_start_matches(['.', '\\', '$', ' ']).starts_with(|c: char| c.is_ascii_digit())
        && rest.starts_with(['.', '\\', '$', ' '])
}

/// `\quadx`: a spacing command glued to a letter; what is to be read again.
fn glued(name: &str) -> Option<&str> {
    ["qquad", "quad"].iter().find_map(|known| name.strip_prefix(known)).filter(|r| !r.is_empty())
}

/// "a.m." and "p.m." in front of a text.
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

/// Position of the brace that closes the group in which `text` starts.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'{' => depth += 1,
            b'}' if depth == 0 => return Some(at),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
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
