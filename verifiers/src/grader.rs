//! Grades an answer against a reference: a verdict, and the rule that found the answer.
//!
//! Combines extraction, parsing and comparison, and tries the few possible readings of an ambiguous text
//! (a comma between digits); mathematics is done elsewhere. Reference and answer are named fields,
//! because comparisons are not symmetric.

use crate::choice::{self, ChoiceOption, Chosen};
use crate::compare::{self, Rules, Tolerance, Tri};
use crate::extract::{self, Extracted, Source};
use crate::fuel::{Fuel, Reason};
use crate::syntax::lexer::Commas;
use crate::syntax::parser;
use crate::syntax::tree::{Id, Tree};
use crate::{Verdict, label, squeeze};

/// Whether a text is the answer or contains it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// The text is the answer.
    Answer,
    /// The answer must be extracted from the text.
    #[default]
    Text,
    /// As [`Form::Text`], for a text that was ended by its token budget: an unterminated answer at the end of
    /// the text does not count, because it may be incomplete.
    Truncated,
}

/// An answer and the reference to compare it with.
#[derive(Debug, Clone, Copy)]
pub struct Pair<'a> {
    /// The reference.
    pub gold: &'a str,
    /// The model's answer or whole output.
    pub answer: &'a str,
    /// Form of the reference.
    pub gold_form: Form,
    /// Form of the answer.
    pub answer_form: Form,
    /// The options of a multiple-choice question; empty for any other.
    pub options: &'a [ChoiceOption<'a>],
}

impl<'a> Pair<'a> {
    /// A bare reference and a whole output, without options.
    #[must_use]
    pub fn new(gold: &'a str, answer: &'a str) -> Self {
        Self { gold, answer, gold_form: Form::Answer, answer_form: Form::Text, options: &[] }
    }
}

/// A verdict and its grounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graded {
    /// The verdict.
    pub verdict: Verdict,
    /// The rule that found the answer.
    pub rule: Source,
    /// Why the verdict is undecided. If no answer was found, [`Reason::NoAnswer`] or [`Reason::Truncated`],
    /// although the verdict is then [`Verdict::Different`]. `None` otherwise.
    pub reason: Option<Reason>,
}

impl Graded {
    fn decided(tri: Tri, rule: Source) -> Self {
        let (verdict, reason) = match tri {
            Tri::Equal => (Verdict::Equal, None),
            Tri::Different => (Verdict::Different, None),
            Tri::Undecided(reason) => (Verdict::Undecided(reason.name().to_owned()), Some(reason)),
        };
        Self { verdict, rule, reason }
    }

    /// Result for a text without a readable answer. The verdict of a text that states no answer is
    /// [`Verdict::Different`]; an answer that cannot be read is undecided.
    fn missing(reason: Reason) -> Self {
        let verdict = match reason {
            Reason::NoAnswer | Reason::Truncated => Verdict::Different,
            unread => Verdict::Undecided(unread.name().to_owned()),
        };
        Self { verdict, rule: Source::Nothing, reason: Some(reason) }
    }
}

/// Grades answers. It has no state, so one value serves all threads. Search, rounds and evaluation use
/// [`Grader::default`]; `regrowth verify` can choose the others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Grader {
    /// Settings of the comparison.
    pub rules: Rules,
    /// Whether an answer must be announced: by a box, `####` or "the answer is".
    pub announced_only: bool,
    /// Whether commas are also tried as decimal commas, and as list separators instead of thousands
    /// separators.
    pub comma_readings: bool,
}

impl Default for Grader {
    fn default() -> Self {
        Self { rules: Rules::default(), announced_only: false, comma_readings: true }
    }
}

impl Grader {
    /// Settings with the fewest false positives: only announced answers, no tolerance, no alternative
    /// readings.
    #[must_use]
    pub fn strict() -> Self {
        Self {
            rules: Rules { tolerance: Tolerance::Exact, ..Rules::default() },
            announced_only: true,
            comma_readings: false,
        }
    }

    /// Settings for evaluating loosely formatted outputs: decimals within 1e-4 of the reference,
    /// inequalities accepted for intervals, any units.
    #[must_use]
    pub fn lenient() -> Self {
        let rules = Rules {
            tolerance: Tolerance::Relative(1e-4),
            inequality_for_interval: true,
            check_units: false,
            ..Rules::default()
        };
        Self { rules, ..Self::default() }
    }

    /// Grades one answer against its reference.
    #[must_use]
    pub fn grade(&self, pair: &Pair<'_>) -> Graded {
        // Another program that reads the answer may stop at a NUL and find another answer.
        if pair.answer.contains('\0') {
            return Graded::missing(Reason::Unparsed);
        }
        if !pair.options.is_empty() {
            return grade_choice(pair, self.announced_only);
        }
        if !self.announced_only && is_verbatim(pair) {
            return Graded::decided(Tri::Equal, Source::Whole);
        }
        let gold = match pair.gold_form {
            Form::Answer => extract::bare(pair.gold),
            Form::Text | Form::Truncated => extract::extract(pair.gold),
        };
        let found = match pair.answer_form {
            Form::Answer => Ok(extract::bare(pair.answer)),
            Form::Text => extract::find(pair.answer),
            Form::Truncated => extract::find_closed(pair.answer),
        };
        let answer = match found {
            Ok(answer) => answer,
            Err(reason) => return Graded::missing(reason),
        };
        let unannounced =
            matches!(answer.source, Source::Formula | Source::Number | Source::Emphasis)
                || answer.source == Source::Whole && pair.answer_form != Form::Answer;
        if answer.text.is_empty() || self.announced_only && unannounced {
            return Graded::missing(Reason::NoAnswer);
        }
        Graded::decided(self.compare(&gold, &answer, Fuel::full()), answer.source)
    }

    /// Whether a bare answer equals an option; uses a fraction of the fuel.
    pub(crate) fn equals_option(&self, option: &str, answer: &str) -> bool {
        let (gold, answer) = (extract::bare(option), extract::bare(answer));
        !answer.text.is_empty() && self.compare(&gold, &answer, Fuel::share()) == Tri::Equal
    }

    fn compare(&self, gold: &Extracted<'_>, answer: &Extracted<'_>, mut fuel: Fuel) -> Tri {
        if gold.text == answer.text {
            return Tri::Equal;
        }
        // The meaning of digits next to a control character is unknown.
        if answer.text.contains(|c: char| c.is_control() && !c.is_whitespace()) {
            return Tri::Undecided(Reason::Unparsed);
        }
        let first = self.read(gold, answer, Reading::default(), &mut fuel);
        let settled = [Tri::Equal, Tri::Undecided(Reason::Fuel), Tri::Undecided(Reason::TooLong)];
        if settled.contains(&first) {
            return first;
        }
        if squeeze::squeezed(&gold.text) == squeeze::squeezed(&answer.text) {
            return Tri::Equal;
        }
        let words = squeeze::wording(&gold.text);
        if words.is_some() && words == squeeze::wording(&answer.text) {
            return Tri::Equal;
        }
        if let Some((gold, answer)) = without_label(gold, answer) {
            return self.compare(&gold, &answer, fuel);
        }
        let (left, right) = (has_digit_comma(&gold.text), has_digit_comma(&answer.text));
        if !self.comma_readings || !(left || right) {
            return first;
        }
        let readings = [
            (right, Commas::Thousands, Commas::List),
            (right, Commas::Thousands, Commas::Decimal),
            (left, Commas::List, Commas::Thousands),
            (left && is_decimal_comma(&gold.text), Commas::Decimal, Commas::Thousands),
            (left && right, Commas::List, Commas::List),
        ];
        for (applies, g, a) in readings {
            let reading = Reading { gold: g, answer: a };
            if applies && self.read(gold, answer, reading, &mut fuel) == Tri::Equal {
                return Tri::Equal;
            }
        }
        first
    }

    /// Parses and compares with one reading of the commas.
    fn read(
        &self,
        gold: &Extracted<'_>,
        answer: &Extracted<'_>,
        commas: Reading,
        fuel: &mut Fuel,
    ) -> Tri {
        let mut tree = Tree::default();
        let mut parse = |text: &str, commas| -> Result<Id, Reason> {
            parser::parse(text, commas, &mut tree, fuel)
        };
        let parsed = (parse(&gold.text, commas.gold), parse(&answer.text, commas.answer));
        match parsed {
            (Ok(g), Ok(a)) => compare::compare(&mut tree, g, a, &self.rules, fuel),
            (Err(Reason::Unparsed), _) => Tri::Undecided(Reason::GoldUnparsed),
            (Err(reason), _) | (_, Err(reason)) => Tri::Undecided(reason),
        }
    }
}

/// Readings of the commas in the reference and in the answer.
#[derive(Clone, Copy)]
struct Reading {
    gold: Commas,
    answer: Commas,
}

impl Default for Reading {
    fn default() -> Self {
        Self { gold: Commas::Thousands, answer: Commas::Thousands }
    }
}

/// Longest name that is compared as words before numbers in it are extracted, in bytes.
const MAX_NAME: usize = 64;

/// Whether an answer repeats its reference word for word. Such an answer is compared as a name that may
/// contain a number, and no number is extracted from it: "June 20", "room 12".
fn is_verbatim(pair: &Pair<'_>) -> bool {
    let long = pair.gold.len().max(pair.answer.len()) > MAX_NAME;
    if long || pair.gold_form != Form::Answer || pair.answer_form == Form::Truncated {
        return false;
    }
    let answer = pair.answer.trim().trim_end_matches('.');
    pair.gold.trim() == answer
        || squeeze::wording(pair.gold).is_some_and(|words| squeeze::wording(answer) == Some(words))
}

/// Both sides reduced to the comparable part, if a side has a choice label before its value: `(C) 15`
/// matches both C and 15.
fn without_label<'e>(
    gold: &'e Extracted<'_>,
    answer: &'e Extracted<'_>,
) -> Option<(Extracted<'e>, Extracted<'e>)> {
    let part = |whole: &'e Extracted<'_>, other: &Extracted<'_>| {
        let (name, value) = label::split(&whole.text)?;
        let text = if label::is_label(&other.text) { name } else { value };
        Some(Extracted { text: text.into(), source: whole.source })
    };
    let whole = |e: &'e Extracted<'_>| Extracted { text: (&*e.text).into(), source: e.source };
    match (part(gold, answer), part(answer, gold)) {
        (None, None) => None,
        (g, a) => Some((g.unwrap_or_else(|| whole(gold)), a.unwrap_or_else(|| whole(answer)))),
    }
}

/// Whether a comma can only be a decimal comma: `0,111` and `1000,99`. In contrast, `2,5` is two values.
fn is_decimal_comma(text: &str) -> bool {
    let number = text.trim_matches(['-', '$', ' ', '+']);
    let Some((whole, part)) = number.split_once(',') else { return false };
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    digits(whole) && digits(part) && (whole == "0" || whole.len() >= 4)
}

/// Whether a comma stands between digits.
fn has_digit_comma(text: &str) -> bool {
    text.as_bytes()
        .windows(3)
        .any(|w| w[0].is_ascii_digit() && w[1] == b',' && w[2].is_ascii_digit())
}

/// Compares the chosen label with the reference, which may be a label or an option's text.
fn grade_choice(pair: &Pair<'_>, announced_only: bool) -> Graded {
    let gold = pair.gold.trim();
    let label = pair
        .options
        .iter()
        .find(|o| o.label == gold)
        .or_else(|| pair.options.iter().find(|o| o.label.eq_ignore_ascii_case(gold)))
        .copied()
        .or_else(|| choice::by_text(gold, pair.options))
        .map(|o| o.label);
    let label = label.or_else(|| match choice::choose(gold, pair.options) {
        Chosen::Label(label, _) => Some(label),
        _ => None,
    });
    let Some(label) = label else {
        return Graded::decided(Tri::Undecided(Reason::GoldUnparsed), Source::Nothing);
    };
    let chosen = choice::choose(pair.answer, pair.options);
    if pair.answer_form == Form::Truncated && choice::is_open(pair.answer, pair.options, chosen) {
        return Graded::missing(Reason::Truncated);
    }
    let announced = |rule| {
        pair.answer_form == Form::Answer
            || matches!(rule, Source::Boxed | Source::Hashes | Source::Anchor)
    };
    match chosen {
        Chosen::Label(_, rule) if announced_only && !announced(rule) => {
            Graded::missing(Reason::NoAnswer)
        }
        Chosen::Label(chosen, rule) => Graded::decided(Tri::from_bool(chosen == label), rule),
        Chosen::Conflict => Graded::decided(Tri::Undecided(Reason::Conflict), Source::Anchor),
        Chosen::None => Graded::missing(Reason::NoAnswer),
    }
}
