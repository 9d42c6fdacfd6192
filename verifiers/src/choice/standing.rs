//! Labels and option texts that a sentence chooses without announcing them: "so it must be B".
//!
//! It knows the English words that lead to a choice, praise it or deny it. A letter in a list of the
//! options, the article "A" and the second of two letters are no choice.

use super::ChoiceOption;
use super::wording::plain;

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

/// The last label that stands as a word of its own and is not negated.
pub(super) fn standing<'a>(text: &str, options: &[ChoiceOption<'a>]) -> Option<ChoiceOption<'a>> {
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
pub(super) fn concluded<'a>(text: &str, options: &[ChoiceOption<'a>]) -> Option<ChoiceOption<'a>> {
    let option = mentioned(text, options)?;
    plain(text).ends_with(&plain(option.text)).then_some(option)
}

/// The only option whose text occurs in the last sentence.
pub(super) fn mentioned<'a>(text: &str, options: &[ChoiceOption<'a>]) -> Option<ChoiceOption<'a>> {
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
