//! Extracts the chosen label from a multiple-choice answer: `A`, `(B)`, `C.`, `D: text`, `\boxed{E}`,
//! labels `1` to `5`, or the text of an option.
//!
//! The right label is not an input; the result is what the text chooses. A negated letter ("not D") is
//! not a choice, and the article "A" is a choice only if the sentence chooses.

mod standing;
#[cfg(test)]
mod tests;
mod wording;

use regrowth_datasets::Problem;

use crate::Grader;
use crate::extract::tongues::{in_word, unspaced};
use crate::extract::{self, Source, stance};
use standing::{concluded, denied_by_signs, mentioned, standing};
use wording::{ascii, plain, strip_noun, unwrap_markup, without_struck};

/// The choice of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chosen<'a> {
    /// One label, and the rule that found it.
    Label(&'a str, Source),
    /// The text gives one label and the text of another option.
    Conflict,
    /// No label is chosen, or several at once.
    None,
}

/// One option: its label and its text, which may be empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChoiceOption<'a> {
    /// Label as published.
    pub label: &'a str,
    /// Option text; empty if only labels are known.
    pub text: &'a str,
}

/// The options of a problem.
pub(crate) fn options(problem: &Problem) -> Vec<ChoiceOption<'_>> {
    problem.choices.iter().map(|c| ChoiceOption { label: &c.label, text: &c.text }).collect()
}

/// Number of bytes at the end of a text that are searched.
const SEARCHED: usize = 64 << 10;
/// Check marks on a chosen option.
const CHECK_MARKS: [char; 4] = ['\u{2713}', '\u{2714}', '\u{2705}', '\u{fe0f}'];
/// Maximum number of announcements that are tried, from the last to the first.
const MAX_ANCHORS: usize = 16;

/// The label that `text` chooses among `options`. If the labels are digits, letters are accepted too: `B`
/// for the second option.
#[must_use]
pub fn choose<'a>(text: &str, options: &[ChoiceOption<'a>]) -> Chosen<'a> {
    if text.contains('\0') {
        return Chosen::None;
    }
    let folded = without_struck(ascii(text));
    let chosen = choose_in(&folded, options);
    if chosen != Chosen::None || !options.iter().all(|o| is_digit(o.label)) {
        return chosen;
    }
    let lettered: Vec<ChoiceOption<'_>> = options
        .iter()
        .zip(LETTERS)
        .map(|(o, label)| ChoiceOption { label, text: o.text })
        .collect();
    match choose_in(&folded, &lettered) {
        Chosen::Label(letter, rule) => {
            let place = LETTERS.iter().position(|l| *l == letter);
            place.map_or(Chosen::None, |at| Chosen::Label(options[at].label, rule))
        }
        other => match other {
            Chosen::Conflict => Chosen::Conflict,
            _ => Chosen::None,
        },
    }
}

/// Letters accepted for options whose labels are digits.
const LETTERS: [&str; 10] = ["A", "B", "C", "D", "E", "F", "G", "H", "I", "J"];

fn is_digit(label: &str) -> bool {
    label.len() == 1 && label.bytes().all(|b| b.is_ascii_digit())
}

fn choose_in<'a>(text: &str, options: &[ChoiceOption<'a>]) -> Chosen<'a> {
    let mut text = extract::spoken(text);
    let boxes = extract::boxes::last_boxes(text);
    if extract::boxes::is_cut_off(text, &boxes) {
        return Chosen::None;
    }
    if let Some(last) = boxes.last() {
        let behind = &text[last.whole.end..];
        if !extract::is_denied(text, &boxes)
            && let Some(chosen) = boxed(text, &boxes, options)
        {
            return chosen;
        }
        // If the boxes name no option, the words decide.
        if let Announcement::Chosen(chosen) = announced(extract::tail(text, SEARCHED), options) {
            return chosen;
        }
        text = behind;
    }
    unboxed(extract::tail(text, SEARCHED).trim(), options)
}

/// The common choice of all boxes; `None` if a box names no option.
fn boxed<'a>(
    text: &str,
    boxes: &[extract::boxes::Box],
    options: &[ChoiceOption<'a>],
) -> Option<Chosen<'a>> {
    let mut chosen = None;
    for one in boxes {
        let next = found(statement(&text[one.content.range()], options, true), Source::Boxed)?;
        match chosen {
            Some(before) if before != next => return Some(Chosen::None),
            _ => chosen = Some(next),
        }
    }
    chosen
}

fn unboxed<'a>(text: &str, options: &[ChoiceOption<'a>]) -> Chosen<'a> {
    match extract::tags::last(text) {
        Some(Err(_)) => return Chosen::None,
        Some(Ok(tagged)) => {
            if let Some(chosen) = found(statement(tagged, options, true), Source::Anchor) {
                return chosen;
            }
        }
        None => {}
    }
    if let Some(hashes) = extract::hashes(text) {
        let line = extract::unlabelled(hashes);
        if let Some(chosen) = found(statement(line, options, true), Source::Hashes) {
            return chosen;
        }
    }
    let rest = match announced(text, options) {
        Announcement::Chosen(chosen) => return chosen,
        Announcement::Silent { from } => text[from..].trim(),
    };
    if let Some(chosen) = found(statement(rest, options, false), Source::Whole) {
        return chosen;
    }
    match standing(rest, options) {
        Some((option, rule)) => Chosen::Label(option.label, rule),
        None => opening(rest, options)
            .or_else(|| concluded(rest, options))
            .or_else(|| worked_out(rest, options))
            .map_or(Chosen::None, |option| Chosen::Label(option.label, Source::Number)),
    }
}

/// The option whose label and text begin the text, if the rest only explains it: no other line spells out
/// another option, and nothing takes the choice back.
fn opening<'a>(text: &str, options: &[ChoiceOption<'a>]) -> Option<ChoiceOption<'a>> {
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    let option = item(first, options)?;
    let others = rest.lines().filter(|line| line.trim() != first.trim());
    let listed =
        others.filter_map(|line| written(line, options)).any(|other| other.label != option.label);
    let behind = rest.trim_start();
    let text = &first[first.find(option.text)? + option.text.len()..];
    let denied = names_other_text(text, option.label, options)
        || is_imagined(text)
        || stance::rejected_behind(text)
        || stance::rejects_itself(first)
        || stance::is_conditional(first)
        || stance::withdrawn(behind)
        || stance::rejected_behind(behind);
    (!listed && !denied && !first.contains('?')).then_some(option)
}

/// The option whose marked label and text begin a line; more words may follow.
fn item<'a>(line: &str, options: &[ChoiceOption<'a>]) -> Option<ChoiceOption<'a>> {
    let line = line.trim_start_matches(['*', ' ', '-']);
    options.iter().copied().find(|option| {
        let front = front_label(line, option.label).filter(|front| front.marked);
        let body =
            front.map_or("", |front| front.rest.trim_start_matches([')', '.', ':', ' ', '*']));
        let after = body.strip_prefix(option.text).filter(|_| !option.text.is_empty());
        after.is_some_and(|after| !after.starts_with(char::is_alphanumeric))
    })
}

/// The option whose marked label and text make up the whole line.
fn written<'a>(line: &str, options: &[ChoiceOption<'a>]) -> Option<ChoiceOption<'a>> {
    let option = item(line, options)?;
    plain(line).ends_with(&plain(option.text)).then_some(option)
}

/// Whether the [choice](choose) of `text` depends on its last word, and no mark follows that word. If a token
/// budget ended the text, the word may be the beginning of a longer one.
pub(crate) fn is_open(text: &str, options: &[ChoiceOption<'_>], chosen: Chosen<'_>) -> bool {
    let words = text.trim_end_matches(' ');
    let whole = words.trim_end_matches(|c: char| c.is_alphanumeric());
    whole.len() < words.len() && choose(whole, options) != chosen
}

/// The option whose text equals `text`, ignoring case and punctuation.
pub(crate) fn by_text<'a>(text: &str, options: &[ChoiceOption<'a>]) -> Option<ChoiceOption<'a>> {
    let wanted = plain(text);
    if wanted.is_empty() {
        return None;
    }
    let mut equal = options.iter().filter(|o| plain(o.text) == wanted);
    let first = equal.next()?;
    equal.next().is_none().then_some(*first)
}

/// The choice of a statement that begins with a label or is an option's text.
enum Statement<'a> {
    Label(ChoiceOption<'a>),
    Conflict,
    Several,
    Silent,
}

fn found<'a>(statement: Statement<'a>, source: Source) -> Option<Chosen<'a>> {
    match statement {
        Statement::Label(option) => Some(Chosen::Label(option.label, source)),
        Statement::Conflict => Some(Chosen::Conflict),
        Statement::Several => Some(Chosen::None),
        Statement::Silent => None,
    }
}

/// The choice of the announcements in a text.
enum Announcement<'a> {
    Chosen(Chosen<'a>),
    /// No announcement names an option. The text before `from` only denies or supposes answers, and is not
    /// searched for other statements.
    Silent {
        from: usize,
    },
}

/// The last announcement that names a label or an option.
fn announced<'a>(text: &str, options: &[ChoiceOption<'a>]) -> Announcement<'a> {
    let first = extract::announced(text);
    let mut next = first.stated;
    for _ in 0..MAX_ANCHORS {
        let Some(anchor) = next else { break };
        let tail = extract::stated_tail(&text[anchor.end..]);
        let chosen = found(statement(tail, options, true), Source::Anchor).or_else(|| {
            let within = standing(tail, options).map(|(option, _)| option);
            let option = within.or_else(|| mentioned(tail, options))?;
            Some(Chosen::Label(option.label, Source::Anchor))
        });
        match chosen {
            Some(Chosen::Label(label, _)) if first.denied.is_some_and(|d| d == label) => {
                return Announcement::Chosen(Chosen::None);
            }
            Some(chosen) => return Announcement::Chosen(chosen),
            None => next = extract::last_anchor(&text[..anchor.start]),
        }
    }
    Announcement::Silent { from: first.unsure_to }
}

/// Reads a statement. Words may follow its label if the label is marked as one and the line spells out its
/// option. After an announcement (`announced`), any words except another label may follow a marked label, or
/// an unmarked one after which the sentence pauses.
fn statement<'a>(text: &str, options: &[ChoiceOption<'a>], announced: bool) -> Statement<'a> {
    let raw = text.trim();
    let text = unwrap_markup(text);
    let text = text.trim();
    if let Some(option) = by_text(text, options) {
        return Statement::Label(option);
    }
    let text = strip_noun(text);
    for option in options {
        let Some(front) = front_label(text, option.label) else { continue };
        let rest = without_echo(front.rest.trim(), option.label);
        if denied_by_signs(rest) {
            return Statement::Silent;
        }
        if names_another(rest, option.label, options) {
            return Statement::Several;
        }
        let body = rest.trim_start_matches([':', '.', ')', ',', '-', ' ', '\u{2013}', '\u{2014}']);
        let other = by_text(body, options).or_else(|| by_value(body, options));
        if let Some(other) = other
            && other.label != option.label
        {
            return Statement::Conflict;
        }
        let alone = body.trim_start_matches(CHECK_MARKS).trim().is_empty()
            || ["because ", "since ", "rather than ", "instead of "]
                .iter()
                .any(|w| body.starts_with(w));
        let same_text = !option.text.is_empty() && plain(body) == plain(option.text);
        let item = || front.marked && is_item(text, body, option.label, options);
        if alone || same_text || announced && (front.marked || ends_label(rest)) || item() {
            return Statement::Label(*option);
        }
    }
    let ordinal = || ordinal(text, options).filter(|_| announced);
    match by_value(raw, options).or_else(ordinal) {
        Some(option) => Statement::Label(option),
        None => Statement::Silent,
    }
}

/// The option that is named by its position: "the third option".
fn ordinal<'a>(text: &str, options: &[ChoiceOption<'a>]) -> Option<ChoiceOption<'a>> {
    let text = text.strip_prefix("the ").unwrap_or(text);
    let (word, rest) = text.split_once(' ')?;
    let noun = rest.split(|c: char| !c.is_ascii_alphabetic()).next()?;
    if !matches!(noun, "option" | "choice" | "one" | "answer" | "statement") {
        return None;
    }
    let places = ["first", "second", "third", "fourth", "fifth", "sixth"];
    let at = places.iter().position(|place| place.eq_ignore_ascii_case(word));
    match at {
        Some(at) => options.get(at).copied(),
        None if word.eq_ignore_ascii_case("last") => options.last().copied(),
        None => None,
    }
}

/// Whether a marked label and the text after it spell out one option: a single line that contains no
/// other label and makes no statement about its label.
fn is_item(text: &str, body: &str, label: &str, options: &[ChoiceOption<'_>]) -> bool {
    let verbs = [
        "is",
        "was",
        "are",
        "could",
        "may",
        "might",
        "can",
        "cannot",
        "can't",
        "isn't",
        "would",
        "seems",
        "does",
        "doesn't",
        "fails",
        "violates",
        "contradicts",
        "must",
        "should",
        "will",
    ];
    let first = body.split(' ').next().unwrap_or_default();
    let other = |word: &str| {
        let word = word.trim_matches(|c: char| !c.is_alphanumeric());
        options.iter().any(|o| o.label != label && o.label == word)
    };
    !text.contains(['\n', '?'])
        && !names_other_text(body, label, options)
        && !verbs.contains(&first)
        && !body.split_whitespace().any(other)
        && !stance::rejected_behind(body)
        && !stance::rejects_itself(body)
        && !is_imagined(body)
}

/// Whether the words are hypothetical, only allow something, or continue with a contrast: "would need",
/// "might be", ", but".
fn is_imagined(words: &str) -> bool {
    [" would ", " could ", " might ", " may ", ", but "].iter().any(|modal| words.contains(modal))
}

/// Whether words contain the text of another option than the one with `label`.
fn names_other_text(words: &str, label: &str, options: &[ChoiceOption<'_>]) -> bool {
    let said = format!(" {} ", plain(words));
    options.iter().filter(|o| o.label != label).any(|o| {
        let wanted = plain(o.text);
        wanted.len() >= 3 && said.contains(&format!(" {wanted} "))
    })
}

/// The rest of a statement, without a repetition of its label: `B/B`, `B (B)`.
fn without_echo<'t>(rest: &'t str, label: &str) -> &'t str {
    let echo = rest.trim_start_matches(['/', ' ', '(']).strip_prefix(label);
    let end = echo.map(|after| after.trim_start_matches(')').trim_start());
    end.filter(|after| after.is_empty() || after.starts_with('.')).unwrap_or(rest)
}

/// Longest statement that is compared with the options by value, in bytes.
const MAX_VALUE: usize = 256;

/// The only option whose value equals that of the statement: `48 / 2 = 24`, `x = 24` and `24 apples`
/// equal 24, `\frac{1}{4}` equals 0.25.
fn by_value<'a>(text: &str, options: &[ChoiceOption<'a>]) -> Option<ChoiceOption<'a>> {
    let counted = |t: &str| t.contains(|c: char| c.is_ascii_digit() || "\\^=√π∞<>½".contains(c));
    let text = strip_noun(text);
    if text.len() > MAX_VALUE || !counted(text) {
        return None;
    }
    let grader = Grader::default();
    let equal = |option: &&ChoiceOption<'_>| {
        counted(option.text) && grader.equals_option(option.text, text)
    };
    let mut hits = options.iter().filter(equal);
    let first = hits.next()?;
    hits.next().is_none().then_some(*first)
}

/// The only option with the value at the end of the text, if all options are values: "The value is 12."
fn worked_out<'a>(text: &str, options: &[ChoiceOption<'a>]) -> Option<ChoiceOption<'a>> {
    let counted = |o: &ChoiceOption<'_>| o.text.contains(|c: char| c.is_ascii_digit());
    if text.is_empty() || !options.iter().all(counted) {
        return None;
    }
    by_value(&extract::find(text).ok()?.text, options)
}

/// A label at the front of a statement.
struct Front<'t> {
    /// Whether brackets or a closing mark show that it is a label.
    marked: bool,
    rest: &'t str,
}

fn front_label<'t>(text: &'t str, label: &str) -> Option<Front<'t>> {
    let open = text.trim_start_matches(['(', '[', '{']);
    let bracketed = open.len() != text.len();
    if !open.get(..label.len()).is_some_and(|head| head.eq_ignore_ascii_case(label)) {
        return None;
    }
    let rest = &open[label.len()..];
    if bracketed {
        let closed = rest.trim_start().strip_prefix([')', ']', '}'])?;
        return Some(Front { marked: true, rest: closed });
    }
    if rest.starts_with(|c: char| in_word(c) || matches!(c, '\'' | '\u{2019}' | '_'))
        || is_number_part(label, rest)
    {
        return None;
    }
    let marked = rest.starts_with([')', ':'])
        || rest.starts_with(unspaced)
        || rest.starts_with('.') && !rest[1..].starts_with(|c: char| c.is_ascii_digit());
    Some(Front { marked, rest })
}

/// Whether the label is only the beginning of a number: `2.5`, `2/3` and `2:30` do not start with the
/// label 2.
fn is_number_part(label: &str, rest: &str) -> bool {
    let mut next = rest.chars();
    label.ends_with(|c: char| c.is_ascii_digit())
        && next.next().is_some_and(|c| ".,/:%^*+-".contains(c))
        && next.next().is_some_and(|c| c.is_ascii_digit())
}

/// Whether the sentence ends or pauses after an unmarked label; otherwise the letter is not a label: "A dry
/// palm" is not a choice of A.
fn ends_label(rest: &str) -> bool {
    rest.is_empty()
        || rest.starts_with([',', ';', '.', '!', '-', '\u{2014}', '\u{3002}', '\u{ff0c}'])
        || ["because", "since", "as ", "which", "for ", "("].iter().any(|w| rest.starts_with(w))
}

/// Whether another label is named with this one: "A and B", "A or C", "A, C".
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
