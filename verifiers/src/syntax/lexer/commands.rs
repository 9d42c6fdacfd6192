//! Lexes commands: layout without meaning, texts, upright letters, control signs.
//!
//! Commands that only change the look, and commands that contain text, are listed here. All others become
//! tokens with their name, which the parser accepts or refuses.

use super::{Kind, Lexer, Token};
use crate::syntax::names;

/// Commands that do not affect the value.
const IGNORED: [&str; 47] = [
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
    "large",
    "Large",
    "LARGE",
    "huge",
    "Huge",
    "small",
    "tiny",
    "normalsize",
    "footnotesize",
    "scriptsize",
    "scriptscriptstyle",
    "checkmark",
    "therefore",
    "because",
    "ensuremath",
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
const STYLES: [&str; 12] = [
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
    "underline",
    "smash",
];

/// Longest braced argument of a text command, in bytes.
const MAX_ARGUMENT: usize = 2048;

/// Commands whose first argument is not displayed.
const UNSEEN: [&str; 9] =
    ["color", "textcolor", "hspace", "vspace", "phantom", "hphantom", "vphantom", "tag", "label"];

impl<'a> Lexer<'a> {
    /// Reads a command; `None` if it has no meaning.
    pub(super) fn command(&mut self) -> Option<Token<'a>> {
        let rest = self.rest();
        let name_length = rest[1..].bytes().take_while(u8::is_ascii_alphabetic).count();
        if name_length == 0 {
            return self.control_sign();
        }
        let name = &rest[1..=name_length];
        self.at += 1 + name_length;
        match (name, self.rest().chars().next()) {
            ("left", Some('<')) => return Some(self.angle("langle")),
            ("right", Some('>')) => return Some(self.angle("rangle")),
            ("cr", _) if self.tables > 0 => return Some(self.token(Kind::Row, name)),
            _ => {}
        }
        if IGNORED.contains(&name) || STYLES.contains(&name) || matches!(name, "boxed" | "fbox") {
            self.spaced = true;
            return None;
        }
        if name == "forall" {
            return Some(self.token(Kind::Sign(','), name));
        }
        if let Some(unit) = currency(name) {
            return self.currency(unit);
        }
        if UNSEEN.contains(&name) {
            self.skip_group();
            self.spaced = true;
            return None;
        }
        if let Some(bracket) = bracket(name) {
            self.track(bracket);
            return Some(self.token(Kind::Sign(bracket), name));
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

    /// `\left<` and `\right>` are angle brackets, not relations.
    fn angle(&mut self, name: &'static str) -> Token<'a> {
        self.at += 1;
        self.token(Kind::Command, name)
    }

    /// Skips a braced argument.
    fn skip_group(&mut self) {
        let rest = self.rest();
        let inner = rest.trim_start_matches(['*', ' ']);
        if let Some(close) = inner.strip_prefix('{').and_then(closing) {
            self.at += rest.len() - inner.len() + close + 2;
        }
    }

    /// Reads a backslash followed by a character that is not a letter.
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
            '$' => return self.currency("dollar"),
            '|' => Kind::Sign('‖'),
            '&' | '_' | '#' => Kind::Sign(sign),
            _ => {
                self.spaced = true;
                return None;
            }
        };
        Some(self.token(kind, &rest[..length]))
    }

    /// Reads upright text: `\mathrm{e}` is a letter; `\mathrm{cm}` is a text, and so is the unit in
    /// `5\mathrm{m}`.
    fn upright(&mut self, name: &str, value_before: bool) -> Option<Token<'a>> {
        let rest = self.rest().trim_start();
        let inner = rest.strip_prefix('{').and_then(|r| r.split('}').next())?.trim();
        let unit = value_before && names::unit_letter(inner);
        if inner.len() <= 1 && !unit || name == "operatorname" && names::function(inner).is_none() {
            return None;
        }
        self.text_argument()
    }

    /// Reads a currency sign before an amount, or after it as its unit.
    fn currency(&mut self, unit: &'static str) -> Option<Token<'a>> {
        let after = self.rest().trim_start_matches([' ', '{', '}', '~', '\\', ',', '-']);
        if after.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            let braces = self.rest().len() - self.rest().trim_start_matches(['{', '}']).len();
            // `{\$}5`: the braces contain only the sign.
            if self.rest().starts_with('}') && self.text[..self.at].contains('{') && braces == 0 {
                return None;
            }
            return Some(self.token(Kind::Currency, unit));
        }
        let before = self.text[..self.at].trim_end_matches(|c: char| !c.is_ascii_digit());
        if self.at - before.len() <= 24 && !before.is_empty() && after.is_empty() {
            return Some(self.token(Kind::Text, unit));
        }
        self.spaced = true;
        None
    }

    /// Whether a digit or bracket ends before `at`, ignoring blanks.
    fn value_before(&self, at: usize) -> bool {
        let mut before = self.text[..at].trim_end_matches([' ', '~']);
        while let Some(shorter) = before.strip_suffix("\\,").or(before.strip_suffix("\\")) {
            before = shorter.trim_end_matches([' ', '~']);
        }
        before.ends_with(|c: char| c.is_ascii_digit() || matches!(c, '}' | ')'))
    }

    /// Reads the content of a text command as one token; `None` if it is lexed as a formula, because it
    /// contains a number or a single letter.
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
        if let Some(unit) = currency(inner.trim_start_matches('\\').trim_end_matches('.')) {
            self.at = close + 1;
            return self.currency(unit);
        }
        if formula {
            return None;
        }
        self.at = close + 1;
        self.spaced = true;
        let bare = inner.trim_matches([',', ' ', '~']);
        if QUANTIFIERS.iter().any(|q| bare.starts_with(q)) || bare == "for" {
            return Some(self.token(Kind::Sign(','), ","));
        }
        if let Some(unit) = bare.strip_suffix(" and").filter(|unit| !unit.is_empty()) {
            self.joiner = Some(Kind::And);
            return Some(self.token(Kind::Text, unit));
        }
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
}

/// Brackets written as words.
fn bracket(name: &str) -> Option<char> {
    Some(match name {
        "lparen" => '(',
        "rparen" => ')',
        "lbrack" => '[',
        "rbrack" => ']',
        _ => return None,
    })
}

/// Texts after which only the range of a name follows.
const QUANTIFIERS: [&str; 5] = ["for all", "for every", "for any", "for each", "for arbitrary"];

/// The unit for the command or name of a currency.
fn currency(name: &str) -> Option<&'static str> {
    Some(match name {
        "$" | "textdollar" | "dollar" | "USD" | "US$" | "US\\$" => "dollar",
        "euro" | "texteuro" | "EUR" => "euro",
        "pounds" | "textsterling" | "GBP" => "gbp",
        "yen" | "textyen" => "yen",
        "rupee" | "Rs" | "INR" => "rupee",
        _ => return None,
    })
}

/// Splits a spacing command that is attached to a letter, such as `\quadx`; returns the rest, which is
/// lexed again.
fn glued(name: &str) -> Option<&str> {
    ["qquad", "quad"].iter().find_map(|known| name.strip_prefix(known)).filter(|r| !r.is_empty())
}

/// Position of the brace that closes the group at the beginning of `text`; `None` if the brace is missing
/// or too far away.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().take(MAX_ARGUMENT) {
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
