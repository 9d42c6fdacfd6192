//! Reads the chosen label out of a multiple-choice answer: `A`, `(B)`, `C.`, `D: text`, `\boxed{E}`,
//! labels `1` to `5`, or the text of an option.
//!
//! It does not know the right label; it returns what the text chooses. A negated letter ("not D") is
//! no choice, and the article "A" is one only where the sentence chooses.

use std::borrow::Cow;

use crate::extract::{self, Source};

/// What a text chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chosen<'a> {
    /// One label, by a rule.
    Label(&'a str, Source),
    /// The text names a label and the text of another option.
    Conflict,
    /// Nothing is chosen, or several labels at once.
    None,
}

/// One option: its label and its text, which may be empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChoiceOption<'a> {
    /// Label as published.
    pub label: &'a str,
    /// Option text; empty where only labels are known.
    pub text: &'a str,
}

/// Bytes at the end of a text that are searched.
const SEARCHED: usize = 64 << 10;
/// Announcements that are tried, from the last one on.
const MAX_ANCHORS: usize = 16;

/// The label that `text` chooses among `options`.
#[must_use]
pub fn choose<'a>(text: &str, options: &[ChoiceOption<'a>]) -> Chosen<'a> {
    let folded = ascii(text);
    choose_in(&folded, options)
}

/// The text with full-width letters, digits and brackets in their ASCII form.
fn ascii(text: &str) -> Cow<'_, str> {
    let wide = |c: char| matches!(c, '\u{ff01}'..='\u{ff5e}');
    if !text.contains(wide) {
        return Cow::Borrowed(text);
    }
    let narrow = |c: char| char::from_u32(c as u32 - 0xfee0).unwrap_or(c);
    Cow::Owned(text.chars().map(|c| if wide(c) { narrow(c) } else { c }).collect())
}

fn choose_in<'a>(text: &str, options: &[ChoiceOption<'a>]) -> Chosen<'a> {
    let text = extract::spoken(text);
    let boxes = extract::boxes::last_boxes(text);
    if let Some(last) = boxes.last() {
        return named(statement(&text[last.content.range()], options, true), Source::Boxed);
    }
    let text = extract::tail(text, SEARCHED).trim();
    if let Some(tagged) = extract::tagged(text)
        && let Some(chosen) = found(statement(tagged, options, true), Source::Anchor)
    {
        return chosen;
    }
    if let Some(hashes) = extract::hashes(text)
        && let Some(chosen) = found(statement(hashes, options, true), Source::Hashes)
    {
        return chosen;
    }
    if let Some(chosen) = announced(text, options) {
        return chosen;
    }
    if let Some(chosen) = found(statement(text, options, false), Source::Whole) {
        return chosen;
    }
    match standing(text, options).or_else(|| concluded(text, options)) {
        Some(option) => Chosen::Label(option.label, Source::Number),
        None => Chosen::None,
    }
}

/// The option whose text equals `text`, whatever case and punctuation.
pub(crate) fn by_text<'a>(text: &str, options: &[ChoiceOption<'a>]) -> Option<ChoiceOption<'a>> {
    let wanted = plain(text);
    if wanted.is_empty() {
        return None;
    }
    let mut equal = options.iter().filter(|o| plain(o.text) == wanted);
    let first = equal.next()?;
    equal.next().is_none().then_some(*first)
}

/// What a statement chooses; the label stands at its front or it is an option's text.
enum Statement<'a> {
    Label(ChoiceOption<'a>),
    Conflict,
    Several,
    Silent,
}

fn named<'a>(statement: Statement<'a>, source: Source) -> Chosen<'a> {
    found(statement, source).unwrap_or(Chosen::None)
}

fn found<'a>(statement: Statement<'a>, source: Source) -> Option<Chosen<'a>> {
    match statement {
        Statement::Label(option) => Some(Chosen::Label(option.label, source)),
        Statement::Conflict => Some(Chosen::Conflict),
        Statement::Several => Some(Chosen::None),
        Statement::Silent => None,
    }
}

/// The last announcement that names a label or an option.
fn announced<'a>(text: &str, options: &[ChoiceOption<'a>]) -> Option<Chosen<'a>> {
    let mut end = text.len();
    for _ in 0..MAX_ANCHORS {
        let anchor = extract::last_anchor(&text[..end])?;
        let tail = extract::stated_tail(&text[anchor.end..]);
        if let Some(chosen) = found(statement(tail, options, true), Source::Anchor) {
            return Some(chosen);
        }
        if let Some(option) = standing(tail, options).or_else(|| mentioned(tail, options)) {
            return Some(Chosen::Label(option.label, Source::Anchor));
        }
        end = anchor.start;
    }
    None
}

/// Reads a statement. After an announcement (`announced`) a label may be followed by anything that
/// is not another label; elsewhere it must be marked as a label or stand alone.
fn statement<'a>(text: &str, options: &[ChoiceOption<'a>], announced: bool) -> Statement<'a> {
    let text = unwrap_markup(text);
    let text = text.trim();
    if let Some(option) = by_text(text, options) {
        return Statement::Label(option);
    }
    let text = strip_noun(text);
    for option in options {
        let Some(front) = front_label(text, option.label) else { continue };
        let rest = front.rest.trim();
        if names_another(rest, option.label, options) {
            return Statement::Several;
        }
        let body = rest.trim_start_matches([':', '.', ')', ',', '-', ' ', '\u{2013}', '\u{2014}']);
        if let Some(other) = by_text(body, options)
            && other.label != option.label
        {
            return Statement::Conflict;
        }
        let alone = body.is_empty() || ["because ", "since "].iter().any(|w| body.starts_with(w));
        let same_text = !option.text.is_empty() && plain(body) == plain(option.text);
        if alone || same_text || announced && (front.marked || ends_label(rest)) {
            return Statement::Label(*option);
        }
    }
    Statement::Silent
}

/// A label at the front of a statement.
struct Front<'t> {
    /// Whether brackets or a closing mark say that it is a label.
    marked: bool,
    rest: &'t str,
}

fn front_label<'t>(text: &'t str, label: &str) -> Option<Front<'t>> {
    let open = text.trim_start_matches(['(', '[', '{']);
    let bracketed = open.len() != text.len();
    let same = open
        .get(..label.len())
        .is_some_and(|head| head == label || bracketed && head.eq_ignore_ascii_case(label));
    if !same {
        return None;
    }
    let rest = &open[label.len()..];
    if bracketed {
        let closed = rest.trim_start().strip_prefix([')', ']', '}'])?;
        return Some(Front { marked: true, rest: closed });
    }
    if rest.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '\'' | '\u{2019}' | '_'))
        || is_number_part(label, rest)
    {
        return None;
    }
    let marked = rest.starts_with([')', ':'])
        || rest.starts_with('.') && !rest[1..].starts_with(|c: char| c.is_ascii_digit());
    Some(Front { marked, rest })
}

/// `2.5`, `2/3` and `2:30` do not start with the label 2.
fn is_number_part(label: &str, rest: &str) -> bool {
    let mut next = rest.chars();
    label.ends_with(|c: char| c.is_ascii_digit())
        && next.next().is_some_and(|c| ".,/:%^*+-".contains(c))
        && next.next().is_some_and(|c| c.is_ascii_digit())
}

/// After an unmarked label the sentence must end or pause: "A dry palm" is no choice of A.
fn ends_label(rest: &str) -> bool {
    rest.is_empty()
        || rest.starts_with([',', ';', '.', '!', '-', '\u{2014}', '\u{3002}', '\u{ff0c}'])
        || ["because", "since", "as ", "which", "for ", "("].iter().any(|w| rest.starts_with(w))
}

/// "A and B", "A or C", "A, C": more than one label.
fn names_another(rest: &str, label: &str, options: &[ChoiceOption<'_>]) -> bool {
    let separators = ["and ", "or ", ", and ", ", or ", ",", "/", "&"];
    separators.iter().filter_map(|s| rest.strip_prefix(s)).any(|next| {
        options.iter().any(|o| {
            o.label != label
                && front_label(next.trim(), o.label).is_some_and(|f| {
                    let after = f.rest.trim();
                    f.marked || after.is_empty() || after.starts_with([',', '.'])
                })
        })
    })
}

/// Takes LaTeX and Markdown wrapping off a statement.
fn unwrap_markup(text: &str) -> String {
    let mut out = text.trim().to_owned();
    for command in ["\\textbf", "\\textrm", "\\text", "\\mathrm", "\\mathbf", "\\mathsf", "\\mbox"]
    {
        out = out.replace(command, "");
    }
    for mark in ["**", "$", "\\(", "\\)", "\\[", "\\]", "`", "\\left", "\\right", "\\ ", "\\,"] {
        out = out.replace(mark, if mark == "\\," || mark == "\\ " { " " } else { "" });
    }
    let mut trimmed = out.trim();
    while let Some(inner) = trimmed.strip_prefix('{').and_then(|t| t.strip_suffix('}')) {
        trimmed = inner.trim();
    }
    trimmed
        .replace(['{', '}'], "")
        .trim_matches(['"', '\'', '\u{201c}', '\u{201d}', '\u{2713}', '\u{2714}', '\u{2705}', ' '])
        .to_owned()
}

/// Takes "option", "choice" and similar nouns off the front.
fn strip_noun(text: &str) -> &str {
    let nouns =
        ["the correct option is", "option", "choice", "answer", "letter", "label", "statement"];
    for noun in nouns {
        if let Some(head) = text.get(..noun.len())
            && head.eq_ignore_ascii_case(noun)
            && text[noun.len()..].starts_with([' ', ':', '('])
        {
            return text[noun.len()..].trim_start_matches([' ', ':']);
        }
    }
    text
}

/// The last label that stands as a word of its own and is not negated.
fn standing<'a>(text: &str, options: &[ChoiceOption<'a>]) -> Option<ChoiceOption<'a>> {
    let mut best: Option<(usize, ChoiceOption<'a>)> = None;
    for option in options {
        if let Some(at) = last_standing(text, option.label)
            && best.is_none_or(|(before, _)| at > before)
        {
            best = Some((at, *option));
        }
    }
    best.map(|(_, option)| option)
}

fn last_standing(text: &str, label: &str) -> Option<usize> {
    let mut end = text.len();
    loop {
        let at = text[..end].rfind(label)?;
        let before = &text[..at];
        let after = &text[at + label.len()..];
        let isolated = !before
            .ends_with(|c: char| c.is_alphanumeric() || matches!(c, '\'' | '\u{2019}' | '_' | '.'))
            && !after.starts_with(|c: char| {
                c.is_alphanumeric() || matches!(c, '\'' | '\u{2019}' | '_' | '=')
            });
        if isolated && chooses(before, after, label) && !negated(before) && !is_joined(before) {
            return Some(at);
        }
        end = at;
    }
}

/// "A or B", "A and B": the second of two labels is no choice.
fn is_joined(before: &str) -> bool {
    let mut words = before.split_whitespace().rev();
    let joined = matches!(words.next(), Some("or" | "and" | "&" | "nor"));
    let first = words.next().map(|w| w.trim_matches(['(', ')', ',', '*']));
    joined && first.is_some_and(|w| w.len() == 1)
}

/// Whether the words around a label make it a choice rather than an article or a number.
fn chooses(before: &str, after: &str, label: &str) -> bool {
    let bracketed = before.ends_with('(') && after.starts_with(')');
    let closed = after.starts_with([')', '*']);
    let mut next = after.chars();
    let stops = next.next().is_some_and(|c| ".,!\n;:\u{3002}\u{ff0c}".contains(c))
        && !next.as_str().starts_with(|c: char| c.is_ascii_digit());
    let ends = after.trim_start().is_empty() || stops;
    let word = before.trim_end_matches(['*', '"', '\'', '(', ' ']).rsplit([' ', '\n']).next();
    let led = word.is_some_and(|w| LEADS.iter().any(|lead| w.eq_ignore_ascii_case(lead)));
    let letter = label.starts_with(|c: char| c.is_ascii_alphabetic());
    let praised = PRAISE.iter().any(|p| after.trim_start_matches(['*', ')', ' ']).starts_with(p));
    let plain_letter = letter && label != "A" && !after.trim_start().starts_with(['=', '+', '-']);
    praised
        || bracketed
        || letter && closed
        || led && ends
        || letter && ends && (after.trim().is_empty() || !is_list_item(before))
        || plain_letter && led
}

/// A letter at the start of a line followed by a mark lists the options again.
fn is_list_item(before: &str) -> bool {
    before.trim_end_matches([' ', '(', '*']).ends_with('\n')
}

/// What follows a label that is chosen by the words behind it.
const PRAISE: [&str; 7] = [
    "is correct",
    "is the correct",
    "is the answer",
    "is right",
    "is the right",
    "is the best",
    "is true",
];

/// Words right before a chosen label.
const LEADS: [&str; 15] = [
    "is", "it's", "est", "es", "ist", "option", "choice", "answer", "choose", "pick", "select",
    "be", "answer:", "was", "\u{e9}",
];

/// "not D" in Chinese stands without a space.
const FOREIGN_NEGATIONS: [&str; 2] = ["\u{4e0d}\u{662f}", "\u{975e}"];

/// "not D", "isn't A", "to be A or B", "rule out C".
fn negated(before: &str) -> bool {
    if FOREIGN_NEGATIONS.iter().any(|n| before.trim_end().ends_with(n)) {
        return true;
    }
    let clause = before.rsplit(['.', '\n', ';', ',']).next().unwrap_or(before).to_ascii_lowercase();
    let words: Vec<&str> = clause.split_whitespace().rev().take(8).collect();
    let negative = |w: &&&str| {
        let w = w.trim_matches(|c: char| !c.is_alphabetic() && c != '\'');
        matches!(
            w,
            "not"
                | "isn't"
                | "never"
                | "neither"
                | "nor"
                | "eliminate"
                | "out"
                | "than"
                | "excludes"
                | "exclude"
                | "doesn't"
                | "non"
                | "can't"
                | "cannot"
                | "wrong"
                | "incorrect"
        ) || w.ends_with("n't")
    };
    words.iter().find(negative).is_some_and(|_| {
        let restart = ["so", "but", "therefore", "hence", "thus", "rather"];
        let negation = words.iter().position(|w| negative(&w)).unwrap_or(0);
        !words[..negation].iter().any(|w| restart.contains(w))
    })
}

/// The option that is mentioned where the text ends: "so it is at the mall".
fn concluded<'a>(text: &str, options: &[ChoiceOption<'a>]) -> Option<ChoiceOption<'a>> {
    let option = mentioned(text, options)?;
    plain(text).ends_with(&plain(option.text)).then_some(option)
}

/// The only option whose text occurs in the last sentence.
fn mentioned<'a>(text: &str, options: &[ChoiceOption<'a>]) -> Option<ChoiceOption<'a>> {
    let text = text.trim().trim_end_matches('.');
    let sentence = format!(" {} ", plain(text.rsplit(['.', '\n']).next()?));
    if negated(&sentence) {
        return None;
    }
    let mut hits = options.iter().filter(|o| {
        let wanted = plain(o.text);
        wanted.len() >= 3 && sentence.contains(&format!(" {wanted} "))
    });
    let first = hits.next()?;
    hits.next().is_none().then_some(*first)
}

/// Lower case words and numbers only.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_alphanumeric() || matches!(c, '.' | '/' | '%' | '-' | '+' | ':') {
            out.extend(c.to_lowercase());
        } else if !matches!(c, ',' | '$' | '\'') && !out.ends_with(' ') {
            out.push(' ');
        }
    }
    let trimmed = out.trim().trim_end_matches('.');
    trimmed.strip_prefix("the ").unwrap_or(trimmed).to_owned()
}

#[cfg(test)]
mod tests;
