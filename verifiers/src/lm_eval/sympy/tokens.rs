//! Tokens of SymPy's LaTeX grammar.

use super::Unread;

/// One token.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Add,
    Subtract,
    Multiply,
    Divide,
    /// An opening bracket, with the kind of bracket that must close it.
    Open(Bracket),
    Close(Bracket),
    Bar,
    Digit(char),
    Comma,
    Point,
    /// A letter, a command without a meaning of its own, or `d` with its variable; the text is its name
    /// as a variable.
    Letter(String),
    Symbol(String),
    Differential(String),
    Quotes(usize),
    Underscore,
    Caret,
    Bang,
    Relation,
    /// A function, followed by its argument.
    Function(&'static str),
    Root,
    Overline,
    Fraction,
    Binomial,
    Upright,
    /// An integral, sum, product or limit, which are not supported.
    Unfollowed,
    /// A token that cannot begin a value.
    Other,
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bracket {
    Round,
    Square,
    Brace,
    WrittenBrace,
    Floor,
    Ceiling,
}

/// Functions whose argument may have brackets or not.
const FUNCTIONS: [&str; 22] = [
    "exp", "log", "lg", "ln", "sin", "cos", "tan", "csc", "sec", "cot", "arcsin", "arccos",
    "arctan", "arccsc", "arcsec", "arccot", "sinh", "cosh", "tanh", "arsinh", "arcosh", "artanh",
];

/// Commands that count as space.
const SKIPPED: [&str; 16] = [
    "thinspace",
    "medspace",
    "thickspace",
    "quad",
    "qquad",
    "negthinspace",
    "negmedspace",
    "negthickspace",
    "left",
    "right",
    "vrule",
    "vcenter",
    "vbox",
    "vskip",
    "vspace",
    "hfil",
];

/// The tokens of a text, up to the first character outside the grammar. The last entry is [`Token::End`]
/// or the fault.
pub(super) fn tokens(text: &str) -> Vec<Result<Token, Unread>> {
    let mut rest = text.trim();
    let mut out = Vec::new();
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            ' ' | '\t' | '\r' | '\n' => (None, 1),
            '\\' => match command(rest) {
                Some(read) => read,
                None => {
                    out.push(Err(Unread::Character));
                    return out;
                }
            },
            'd' => differential(rest),
            _ => match single(rest, first) {
                Some((token, length)) => (Some(token), length),
                None => {
                    out.push(Err(Unread::Character));
                    return out;
                }
            },
        };
        out.extend(token.map(Ok));
        rest = &rest[length..];
    }
    out.push(Ok(Token::End));
    out
}

/// A token that is not a command.
fn single(rest: &str, first: char) -> Option<(Token, usize)> {
    let token = match first {
        '+' => Token::Add,
        '-' => Token::Subtract,
        '*' => Token::Multiply,
        '/' | ':' => Token::Divide,
        '(' => Token::Open(Bracket::Round),
        ')' => Token::Close(Bracket::Round),
        '[' => Token::Open(Bracket::Square),
        ']' => Token::Close(Bracket::Square),
        '{' => Token::Open(Bracket::Brace),
        '}' => Token::Close(Bracket::Brace),
        '|' => Token::Bar,
        ',' => Token::Comma,
        '.' => Token::Point,
        '_' => Token::Underscore,
        '^' => Token::Caret,
        '!' => Token::Bang,
        '=' | '<' | '>' => Token::Relation,
        '&' if rest[1..].trim_start().starts_with('=') => {
            return Some((Token::Relation, rest.find('=')? + 1));
        }
        '\'' => {
            let length = rest.bytes().take_while(|b| *b == b'\'').count();
            return Some((Token::Quotes(length), length));
        }
        c if c.is_ascii_digit() => Token::Digit(c),
        c if c.is_ascii_alphabetic() => Token::Letter(c.to_string()),
        _ => return None,
    };
    Some((token, 1))
}

/// `dx` and `d\theta` are one token; a `d` alone is a letter.
fn differential(rest: &str) -> (Option<Token>, usize) {
    let variable = rest[1..].trim_start_matches([' ', '\t', '\r', '\n']);
    let start = rest.len() - variable.len();
    let letters = |t: &str| t.bytes().take_while(u8::is_ascii_alphabetic).count();
    match variable.strip_prefix('\\').map(letters) {
        Some(length) if length > 0 => {
            let name = format!("d{}", &variable[1..=length]);
            (Some(Token::Differential(name)), start + 1 + length)
        }
        None if letters(variable) > 0 => {
            (Some(Token::Differential(format!("d{}", &variable[..1]))), start + 1)
        }
        _ => (Some(Token::Letter("d".into())), 1),
    }
}

/// A command and its length; no token if it counts as space.
fn command(rest: &str) -> Option<(Option<Token>, usize)> {
    let letters = rest[1..].bytes().take_while(u8::is_ascii_alphabetic).count();
    if letters == 0 {
        let token = match rest[1..].chars().next()? {
            ',' | ':' | ';' | '!' | '*' | '-' | '.' | '/' | '"' | '(' | '=' => None,
            '{' => Some(Token::Open(Bracket::WrittenBrace)),
            '}' => Some(Token::Close(Bracket::WrittenBrace)),
            _ => return None,
        };
        return Some((token, 2));
    }
    let name = &rest[1..=letters];
    if matches!(name, "left" | "right") && rest[1 + letters..].starts_with('|') {
        return Some((Some(Token::Other), letters + 2));
    }
    let token = (!SKIPPED.contains(&name)).then(|| named(name));
    Some((token, letters + 1))
}

fn named(name: &str) -> Token {
    if let Some(function) = FUNCTIONS.iter().find(|f| **f == name) {
        return Token::Function(function);
    }
    match name {
        "times" | "cdot" => Token::Multiply,
        "div" => Token::Divide,
        "frac" | "dfrac" | "tfrac" => Token::Fraction,
        "binom" | "dbinom" | "tbinom" => Token::Binomial,
        "sqrt" => Token::Root,
        "overline" => Token::Overline,
        "mathit" => Token::Upright,
        "lfloor" => Token::Open(Bracket::Floor),
        "rfloor" => Token::Close(Bracket::Floor),
        "lceil" => Token::Open(Bracket::Ceiling),
        "rceil" => Token::Close(Bracket::Ceiling),
        "neq" | "le" | "leq" | "leqq" | "leqslant" | "ge" | "geq" | "geqq" | "geqslant" => {
            Token::Relation
        }
        "int" | "sum" | "prod" | "lim" => Token::Unfollowed,
        "langle" | "rangle" | "to" | "rightarrow" | "Rightarrow" | "longrightarrow"
        | "Longrightarrow" => Token::Other,
        _ => Token::Symbol(name.to_owned()),
    }
}
