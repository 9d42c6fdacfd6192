//! Finds labels and option texts that a sentence chooses without announcing them: "so it must be B".
//!
//! Three kinds of words are listed in `words`: words that precede a chosen label, words that call it right,
//! and words that deny it. A letter counts only if such words choose it or if the last line consists of it.
//! In a list, a range, a question, a denial or an examination of the options, it is not a choice.

mod words;

use self::words::{DENIED_BEFORE, DENIED_BEHIND, EXAMINING, LEADS, OPENERS, PRAISE, SIGNS, TICKS};
use super::wording::plain;
use super::{ChoiceOption, front_label, is_imagined, names_another};
use crate::extract::tongues::{in_word, unspaced};
use crate::extract::{self, Source, stance};

/// Number of bytes at the end of a text that are searched for labels.
const MAX_SEARCHED: usize = 16 << 10;
/// Number of bytes before and after a label that are read.
const MAX_CONTEXT: usize = 256;
/// Maximum number of occurrences of a label that are tried, from the last to the first.
const MAX_PLACES: usize = 256;

/// The last label that a clause chooses, and its rule; the rule is an announcement if "option" or
/// "choice" announces the label.
pub(super) fn standing<'a>(
    text: &str,
    options: &[ChoiceOption<'a>],
) -> Option<(ChoiceOption<'a>, Source)> {
    let text = extract::tail(text, MAX_SEARCHED);
    let found = options.iter().filter_map(|option| {
        let (at, rule) = last_standing(text, option, options)?;
        Some((at, *option, rule))
    });
    let all: Vec<(usize, ChoiceOption<'a>, Rule)> = found.collect();
    let ticked = all.iter().filter(|(_, _, rule)| *rule == Rule::Ticked).count();
    let (_, option, rule) = all.into_iter().max_by_key(|(at, _, _)| *at)?;
    match rule {
        // If two options are called right, neither is chosen.
        Rule::Ticked if ticked > 1 => None,
        Rule::Announced => Some((option, Source::Anchor)),
        _ => Some((option, Source::Number)),
    }
}

/// How a label is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    Announced,
    Led,
    Ticked,
}

fn last_standing(
    text: &str,
    option: &ChoiceOption<'_>,
    options: &[ChoiceOption<'_>],
) -> Option<(usize, Rule)> {
    let label = option.label;
    let wanted = label.as_bytes();
    let is_label = |at: &usize| {
        let here = text.as_bytes().get(*at..*at + wanted.len());
        here.is_some_and(|here| here.eq_ignore_ascii_case(wanted)) && text.is_char_boundary(*at)
    };
    let places = (0..text.len()).rev().filter(is_label).map(|at| {
        let end = at + label.len();
        let before = extract::tail(&text[..at], MAX_CONTEXT);
        let after = extract::head(&text[end..], MAX_CONTEXT);
        (at, Place { before, label: &text[at..end], after, option, options })
    });
    places
        .filter(|(_, place)| place.is_isolated())
        .take(MAX_PLACES)
        .find_map(|(at, place)| Some((at, place.chosen()?)))
}

/// An occurrence of a label in its text.
struct Place<'t> {
    before: &'t str,
    label: &'t str,
    after: &'t str,
    option: &'t ChoiceOption<'t>,
    options: &'t [ChoiceOption<'t>],
}

impl Place<'_> {
    fn is_isolated(&self) -> bool {
        let marks = |c: char| matches!(c, '\'' | '\u{2019}');
        let dashed =
            self.after.starts_with('-') && self.after[1..].starts_with(char::is_alphabetic);
        !self.before.ends_with(|c: char| in_word(c) || marks(c) || c == '.')
            && !self.after.starts_with(|c: char| in_word(c) || marks(c) || c == '=')
            && !dashed
    }

    /// How the words around the label choose it; `None` if they do not.
    fn chosen(&self) -> Option<Rule> {
        let rule = self.led()?;
        let behind = self.after.trim_start_matches([')', ']', '*', '_', '"', '\'', '`', '$', '}']);
        let denied = self.is_denied(behind);
        let listed = self.is_listed(behind) && !self.is_compared(behind);
        (!denied && !listed && !is_asked(behind)).then_some(rule)
    }

    fn led(&self) -> Option<Rule> {
        let behind = self.after.trim_start_matches([')', ']', '*', '_', ' ', '.', ':', '}', '$']);
        let spaced = self.after.trim_start_matches([')', ']', '*', '_', ' ', '}', '$']);
        if PRAISE.iter().any(|p| spaced.starts_with(p)) && self.is_upper() {
            return Some(Rule::Led);
        }
        // The option's text, followed by its label: "It has to be copper (A)."
        let named = self.before.strip_suffix('(').filter(|_| self.after.starts_with(')'));
        let text = self.option.text;
        if !text.is_empty() && named.is_some_and(|words| words.trim_end().ends_with(text)) {
            return Some(Rule::Led);
        }
        let item = self.before.trim_end_matches([' ', '(', '*', '-', '\u{2022}', '[']);
        let opens_line = item.is_empty() || item.ends_with('\n');
        if opens_line
            && self.is_upper()
            && TICKS.iter().any(|t| stance::starts_with_phrase(behind, t))
        {
            return Some(Rule::Ticked);
        }
        let line = self.after.trim_start_matches([')', ']', '*', '_', ' ', '.', '$', '}', '!']);
        let alone = line.trim().is_empty() || item.is_empty() && line.starts_with('\n');
        if opens_line && alone {
            return self.is_letter().then_some(Rule::Led);
        }
        let opened =
            self.before.trim_end_matches(['*', '"', '\'', '(', '[', ' ', '_', '`', '$', '{']);
        let signed = opened.trim_end_matches([':', ' ']);
        if let Some(sign) = SIGNS.iter().filter(|s| signed.ends_with(**s)).max_by_key(|s| s.len()) {
            let announces =
                sign.starts_with(['\u{9009}', '\u{9078}']) && !sign.ends_with('\u{9879}');
            return Some(if announces { Rule::Announced } else { Rule::Led })
                .filter(|_| self.is_upper());
        }
        let opened = without_adverb(opened);
        let word = opened.rsplit([' ', '\n', '\u{a0}']).next().unwrap_or_default();
        let lead = word.trim_end_matches([':', ',', '-']).trim_start_matches(['(', '[', '*']);
        let leads = LEADS.iter().any(|l| lead.eq_ignore_ascii_case(l)) || follows_opener(opened);
        let choosing = names_choice(opened);
        let rule = if choosing { Rule::Announced } else { Rule::Led };
        (leads || choosing && word.ends_with([':', '-']))
            .then_some(rule)
            .filter(|_| self.may_stand(word, opened))
    }

    /// Whether the text after a label that follows the word `word` permits a choice: the clause must end or
    /// pause there. After the article "a" and after numbers the clause must end; after other capitals a blank
    /// is enough.
    fn may_stand(&self, word: &str, opened: &str) -> bool {
        let bracketed = self.before.ends_with(['(', '[']) && self.after.starts_with([')', ']']);
        let mut next =
            self.after.trim_start_matches([')', ']', '*', '"', '\'', '_', '`', '$', '}']).chars();
        let stop = next.next();
        let ends = stop.is_none_or(|c| c.is_whitespace() && next.as_str().trim().is_empty())
            || stop.is_some_and(|c| ".,!?\n;:\u{3002}\u{ff0c}\u{2014}".contains(c) || unspaced(c))
                && !next.as_str().starts_with(|c: char| c.is_ascii_digit());
        if !self.is_letter() {
            // A number refers to an option only if it follows "option", "choice" or a similar word.
            return ends
                && (bracketed
                    || names_choice(opened)
                    || matches!(
                        word.to_ascii_lowercase().as_str(),
                        "option" | "choice" | "is" | "answer" | "statement"
                    ));
        }
        // "Option D comes close": as the subject of a sentence, a label needs praise to be chosen.
        let nouns = ["option", "choice", "statement", "letter", "answer"];
        let sentence = opened.rsplit(['.', '\n', '!', '?', ',']).next().unwrap_or(opened);
        let is_subject = nouns.iter().any(|noun| sentence.trim().eq_ignore_ascii_case(noun));
        let open_letter = self.is_upper()
            && !is_subject
            && !matches!(self.label, "A" | "I")
            && !self.after.trim_start().starts_with(['=', '+', '-']);
        bracketed || ends || open_letter
    }

    fn is_letter(&self) -> bool {
        self.label.starts_with(|c: char| c.is_ascii_alphabetic())
    }

    /// Whether the label is written in its published letter case.
    fn is_upper(&self) -> bool {
        self.label == self.option.label
    }

    /// Whether the clause denies, doubts, supposes or examines the label.
    fn is_denied(&self, behind: &str) -> bool {
        let opened = self.before.trim_end_matches(['*', '"', '(', '[', ' ', '_']);
        let after = behind.trim_start();
        DENIED_BEFORE.iter().any(|d| opened.ends_with(d))
            || denied_by_signs(after)
            || negated(self.before)
            || !stance::asserts(self.before)
            || stance::clause_has(self.before, &EXAMINING)
            || stance::opens_with(self.before, &EXAMINING)
            || stance::rejected_behind(behind)
            || stance::withdrawn(behind) && after.starts_with(['.', '!', ',', '\n'])
    }

    /// Whether the label is part of a list or range of labels: "A or B", "A to D", "A. B. C."
    fn is_listed(&self, behind: &str) -> bool {
        let rest = behind.trim_start();
        let another = |text: &str| {
            let text = text.trim_start();
            self.options.iter().any(|o| {
                o.label != self.option.label
                    && front_label(text, o.label)
                        .is_some_and(|f| !f.rest.trim_start().starts_with("is"))
                    && text.starts_with(|c: char| {
                        c.is_ascii_uppercase() || c.is_ascii_digit() || c == '('
                    })
            })
        };
        let range = ["-", "\u{2013}", "\u{2014}", "to ", "through ", "/", "&", "~"];
        names_another(rest, self.option.label, self.options)
            || range.iter().filter_map(|r| rest.strip_prefix(r)).any(another)
            || self.follows_label()
    }

    /// Whether the preceding clause only lists the options to choose from: "Between A and B, B is correct".
    fn is_compared(&self, behind: &str) -> bool {
        let sentence = self.before.rsplit(['.', '\n', '!', '?']).next().unwrap_or(self.before);
        let opener = ["between ", "of ", "among ", "out of ", "comparing "];
        let opened = sentence.trim_start().to_ascii_lowercase();
        PRAISE.iter().any(|p| behind.trim_start().starts_with(p))
            && opener.iter().any(|o| opened.starts_with(o))
            && sentence.trim_end().ends_with(',')
    }

    /// Whether another label stands directly before this one, with or without a joining word.
    fn follows_label(&self) -> bool {
        let joined = self.before.trim_end_matches(['(', ' ', '*', '[']);
        let (front, apart) =
            match ["or", "and", "&", "nor", "to", "through", "-", "\u{2013}", "\u{2014}", "/", "~"]
                .iter()
                .find_map(|j| joined.strip_suffix(j))
            {
                Some(front) => (front, true),
                None => (joined, joined.ends_with([',', '.', ')', ';', ':', '\n'])),
            };
        let front = front.trim_end_matches([' ', ',', '.', ')', ';', ':', '*', ']', '\n']);
        apart
            && self.options.iter().any(|o| {
                o.label != self.option.label
                    && front.strip_suffix(o.label).is_some_and(|head| {
                        head.is_empty()
                            || head.ends_with([' ', '(', '\n', '*', ',', '[', '-', '\u{2013}', '/'])
                    })
            })
    }
}

/// Whether Chinese or Japanese words after a label deny or doubt it.
pub(super) fn denied_by_signs(behind: &str) -> bool {
    DENIED_BEHIND.iter().any(|d| behind.trim_start().starts_with(d))
}

/// Whether the sentence that continues with `behind` is a question.
fn is_asked(behind: &str) -> bool {
    let end = behind.find(['.', '!', '?', '\n', '\u{ff1f}', '\u{3002}']);
    end.is_some_and(|at| behind[at..].starts_with(['?', '\u{ff1f}']))
}

/// The words before a label without an adverb at their end: "it's" for "it's definitely".
fn without_adverb(opened: &str) -> &str {
    let adverbs =
        ["definitely", "clearly", "certainly", "obviously", "surely", "probably", "likely"];
    adverbs.iter().find_map(|a| opened.strip_suffix(a)).map_or(opened, str::trim_end)
}

/// Whether the words before a label are only an opener such as "Therefore" and a comma.
fn follows_opener(opened: &str) -> bool {
    let Some(clause) = opened.strip_suffix([',', ':']) else { return false };
    let clause = clause.rsplit(['.', '\n', '!', '?', ';']).next().unwrap_or(clause).trim();
    OPENERS.iter().any(|o| o.eq_ignore_ascii_case(clause))
}

/// Whether the clause before a label announces a choice: "the correct option is", "Choice:".
fn names_choice(opened: &str) -> bool {
    let words = stance::clause_words(opened.trim_end_matches([':', ' ', '-', '\u{ff1a}']));
    let named = |w: &String| {
        matches!(
            w.as_str(),
            "option"
                | "choice"
                | "selection"
                | "pick"
                | "selected"
                | "opci\u{f3}n"
                | "opzione"
                | "op\u{e7}\u{e3}o"
        )
    };
    let verb = words
        .first()
        .is_some_and(|w| matches!(w.as_str(), "is" | "be" | "es" | "ist" | "\u{e9}" | "\u{e8}"));
    let marked = opened.ends_with([':', '-', '\u{ff1a}']);
    (verb || marked) && words.iter().take(6).any(named)
}

/// Whether the words before a label negate it: "not D", "isn't A", "rule out C".
fn negated(before: &str) -> bool {
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
                | "eliminates"
                | "eliminated"
                | "reject"
                | "dismiss"
                | "discard"
                | "anything"
                | "out"
                | "than"
                | "except"
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

/// The option mentioned at the end of the text after a verb that states it: "so it is at the mall".
pub(super) fn concluded<'a>(text: &str, options: &[ChoiceOption<'a>]) -> Option<ChoiceOption<'a>> {
    let option = mentioned(text, options)?;
    let (said, wanted) = (plain(text), plain(option.text));
    if let Some(praised) = PRAISE.iter().find_map(|praise| said.strip_suffix(praise)) {
        return praised.trim_end().ends_with(&wanted).then_some(option);
    }
    let before = said.strip_suffix(&wanted)?;
    let clause = extract::tail(before, MAX_CONTEXT);
    let states = |word: &str| {
        STATING.contains(&word) || LEADS.contains(&word) && !matches!(word, "with" | "for")
    };
    let alone = clause.trim().is_empty();
    (alone || clause.split(' ').rev().take(MAX_STATING).any(states)).then_some(option)
}

/// The verb that states the option at the end of a clause must be among this many words before it.
const MAX_STATING: usize = 8;

/// Verbs that state an option, in addition to the words that may [precede](LEADS) a label.
const STATING: [&str; 10] =
    ["are", "were", "means", "becomes", "called", "remain", "must", "by", "comes", "makes"];

/// The only option whose text occurs in the last sentence.
pub(super) fn mentioned<'a>(text: &str, options: &[ChoiceOption<'a>]) -> Option<ChoiceOption<'a>> {
    if text.trim_end().ends_with(['?', '\u{ff1f}']) {
        return None;
    }
    let text = text.trim().trim_end_matches('.');
    let said = text.rsplit(['.', '\n']).next()?;
    let sentence = format!(" {} ", plain(said));
    let clause = said.rsplit([',', ';']).next().unwrap_or(said);
    if is_imagined(clause)
        || negated(&sentence)
        || stance::supposes(said)
        || stance::rejects_itself(said)
    {
        return None;
    }
    let mut hits = options.iter().filter(|o| {
        let wanted = plain(o.text);
        wanted.len() >= 3 && sentence.contains(&format!(" {wanted} "))
    });
    let first = hits.next()?;
    hits.next().is_none().then_some(*first)
}
