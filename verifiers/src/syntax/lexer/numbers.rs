//! Lexes numbers: digits, thousands separators, decimal signs, exponents.
//!
//! A separator counts only before exactly three digits. A bare comma counts only if the caller chose that
//! reading and no bracket is open.

use super::{Commas, Kind, Lexer, Token};

/// Marks between groups of three digits.
const SEPARATORS: [&str; 12] =
    ["{,}\\!", " {, }", " {,}", "{, }", "{,}", ",\\!", "\\,", "\\ ", "{\\,}", "~", " ", ","];

impl<'a> Lexer<'a> {
    pub(super) fn number(&mut self) -> Token<'a> {
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

    /// Length of a thousands separator before exactly three digits.
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

    /// Reads the exponent of `1.5e-3`, written without spaces.
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
