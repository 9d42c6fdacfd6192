//! Tells words from formulas: is a piece of text a sentence, and where does its last clause start?
//!
//! It knows a list of English link words and nothing of mathematics. The rule of thumb (three or
//! more plain words make a sentence) is ours and is tuned on published answer lists.

use std::borrow::Cow;

use crate::syntax::names;

/// Plain words from which on a text counts as a sentence rather than an answer with a unit.
const SENTENCE: usize = 4;

/// Words that occur inside answers without making them sentences.
const ANSWER_WORDS: [&str; 24] = [
    "and", "or", "sin", "cos", "tan", "log", "ln", "exp", "sqrt", "pi", "frac", "mod", "infinity",
    "per", "of", "square", "cubic", "hours", "minutes", "seconds", "feet", "inches", "units",
    "dollars",
];

/// Verbs and marks that stand right before a stated answer.
const LINKS: [&str; 11] = [
    "It is ",
    " is ",
    " are ",
    " was ",
    " equals ",
    " by ",
    " equal to ",
    " about ",
    " approximately ",
    " be ",
    ": ",
];

/// Whether the text reads as a sentence.
pub(crate) fn is_sentence(text: &str) -> bool {
    plain_words(text, SENTENCE) >= SENTENCE
}

/// Verbs of a short sentence that tells a number: "She has 14 left".
const TELLING: [&str; 12] =
    ["has", "have", "had", "needs", "gets", "is", "are", "was", "were", "earns", "takes", "costs"];

/// Whether a text of few words is a sentence with a verb and one number: "She has 14 left".
pub(crate) fn tells_a_number(text: &str) -> bool {
    let mut words = text.split(' ');
    let subject = words.next().unwrap_or_default();
    let named = subject.len() >= 2
        && subject.starts_with(|c: char| c.is_ascii_uppercase())
        && subject.bytes().all(|b| b.is_ascii_alphabetic());
    let verb = words.next().is_some_and(|verb| TELLING.contains(&verb));
    let figures = |word: &&str| word.contains(|c: char| c.is_ascii_digit());
    named && verb && words.filter(figures).count() == 1
}

/// Number of plain words outside commands and text braces, counted up to `limit`.
pub(crate) fn plain_words(text: &str, limit: usize) -> usize {
    let mut count = 0;
    let mut rest = text;
    // Whether a closing brace may still follow; looked for anew behind every command, it would cost the
    // square of the length.
    let mut closes = true;
    while let Some(start) = rest.find(|c: char| c.is_ascii_alphabetic() || c == '\\') {
        let word = &rest[start..];
        if let Some(command) = word.strip_prefix('\\') {
            let command = command.trim_start_matches('\\');
            let length = alphabetic(command);
            rest = match &command[..length] {
                "text" | "textbf" | "textrm" | "mathrm" | "textit" | "textnormal" | "mbox"
                | "begin" | "end" | "operatorname" => command[length..]
                    .strip_prefix('{')
                    .filter(|_| closes)
                    .and_then(|braced| {
                        let end = braced.find('}');
                        closes = end.is_some();
                        end.map(|end| &braced[end..])
                    })
                    .unwrap_or(&command[length..]),
                _ => skip(command, length.max(1)),
            };
            continue;
        }
        let length = alphabetic(word);
        let plain = &word[..length];
        let lower = plain.bytes().any(|b| b.is_ascii_lowercase());
        if length >= 2
            && lower
            && names::function(plain).is_none()
            && !ANSWER_WORDS.iter().any(|known| known.eq_ignore_ascii_case(plain))
        {
            count += 1;
            if count >= limit {
                return count;
            }
        }
        rest = &word[length..];
    }
    count
}

fn skip(text: &str, bytes: usize) -> &str {
    text.get(bytes..).unwrap_or_else(|| {
        let mut chars = text.chars();
        chars.next();
        chars.as_str()
    })
}

fn alphabetic(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_alphabetic).count()
}

/// Whether what stands behind a formula can be its unit: at most one word that is no unit.
pub(crate) fn is_unit(after: &str) -> bool {
    let mut unknown = 0;
    for word in after.split(|c: char| !c.is_ascii_alphabetic()).filter(|w| w.len() > 1) {
        if matches!(word, "of" | "is" | "are" | "as" | "which" | "for" | "in") {
            return false;
        }
        unknown += usize::from(word != "per" && !names::unit_word(word));
    }
    unknown <= 1
}

/// Two-letter words that start sentences; other pairs of letters are products.
const PAIRS: [&str; 16] = [
    "he", "it", "we", "so", "is", "an", "to", "by", "in", "at", "if", "my", "as", "no", "on", "up",
];

/// Whether the text starts with a word rather than with an answer.
pub(crate) fn starts_with_word(text: &str) -> bool {
    let length = alphabetic(text);
    let word = &text[..length];
    match length {
        0 => false,
        1 if word == "I" => text[1..].starts_with([' ', '\n', '\'', '\u{2019}']),
        1 => matches!(word, "a" | "A") && text[1..].starts_with([' ', '\n']),
        2 => PAIRS.iter().any(|pair| pair.eq_ignore_ascii_case(word)),
        _ => plain_words(word, 1) == 1,
    }
}

/// Words that start a clause which explains the answer before it.
const ASIDES: [&str; 34] = [
    " as there ",
    " as we ",
    " as it ",
    " as she ",
    " as he ",
    " as they ",
    ", since ",
    ", because ",
    " because ",
    ", which ",
    ", as ",
    ", where ",
    ", so ",
    ", not ",
    ", i.e.",
    ", that is",
    ", for ",
    " rather than ",
    " instead of ",
    " since ",
    " which ",
    " as required",
    " as desired",
    " as expected",
    " and not ",
    " for all ",
    " for every ",
    " for any ",
    " for each ",
    "\u{ff0c}\u{56e0}",
    "\u{ff0c}\u{6240}",
    "\u{ff0c}\u{5373}",
    "\u{ff0c}\u{800c}",
    "\u{ff0c}\u{5171}",
];

/// From here on a statement is too long to be compared and is left as it is, in bytes.
const MAX_READ: usize = 32 << 10;
/// Longest statement in which asides and remarks are looked for, in bytes.
const MAX_STATEMENT: usize = 1024;

/// Marks behind a value at which an aside in words can start.
const BREAKS: [&str; 6] = [", ", " \u{2013} ", " \u{2014} ", " - ", "\u{2014}", "; "];

/// Where an aside in words starts behind a value: ", in total", ", altogether", " \u{2013} not 74". What
/// starts with a number, a formula or a letter is another item of a list.
fn aside_in_words(sentence: &str) -> Option<usize> {
    let sentence = super::head(sentence, MAX_STATEMENT);
    let breaks = BREAKS.iter().flat_map(|mark| sentence.match_indices(mark));
    let starts = breaks.filter(|(at, mark)| {
        let (head, rest) = (&sentence[..*at], &sentence[at + mark.len()..]);
        let last_item = head.rsplit(", ").next().unwrap_or(head);
        let value = last_item.contains(|c: char| c.is_ascii_digit() || "$\\√πXx½¼¾".contains(c));
        value && is_aside(rest) && closed_formula(head) && closed_braces(head)
    });
    starts.map(|(at, _)| at).min()
}

/// Asides that start with words which can be answers.
const ASIDES_OF_AMOUNT: [&str; 9] = [
    "all told",
    "all in all",
    "all together",
    "all of ",
    "no more",
    "no less",
    "no fewer",
    "none of ",
    "half of ",
];

/// Whether words and no further item follow: "in total", "and we are done", but not "and 3" or "y = 2".
fn is_aside(rest: &str) -> bool {
    let mut rest = rest;
    if rest.starts_with("or ") && rest.contains("% of ") {
        return true;
    }
    for joiner in ["and ", "or "] {
        if let Some(after) = rest.strip_prefix(joiner) {
            let item = after.split([',', ' ']).next().unwrap_or(after);
            if !item.bytes().all(|b| b.is_ascii_alphabetic()) || item.len() < 2 {
                return false;
            }
            // "and nothing else" is an aside, "or six" another value.
            rest = after;
        }
    }
    if ASIDES_OF_AMOUNT.iter().any(|aside| rest.starts_with(aside)) {
        return true;
    }
    // "a round number" is one, "a" alone a value.
    let rest = ["a ", "an "].iter().find_map(|article| rest.strip_prefix(article)).unwrap_or(rest);
    let length = alphabetic(rest);
    let word = &rest[..length];
    length >= 2
        && !rest[length..].starts_with(['(', '_', '^', '=', '\\'])
        && !rest[length..].trim_start().starts_with('=')
        && names::function(word).is_none()
        && names::number_word(word).is_none()
        && !matches!(
            word.to_ascii_lowercase().as_str(),
            "infinity"
                | "inf"
                | "pi"
                | "sqrt"
                | "frac"
                | "undefined"
                | "none"
                | "no"
                | "infinitely"
                | "all"
                | "any"
                | "half"
        )
}

/// A stated answer without the clause or bracket behind it that explains it: `5` of "5, since
/// 2 + 3 = 5" and of "5 (five)".
pub(crate) fn main_clause(sentence: &str) -> &str {
    if sentence.len() > MAX_READ {
        return sentence;
    }
    let clause = ASIDES
        .iter()
        .filter_map(|aside| sentence.find(aside))
        .filter(|at| {
            let head = &sentence[..*at];
            !head.trim().is_empty() && closed_formula(head) && closed_braces(head)
        })
        .chain(aside_in_words(sentence))
        .chain(value_of_variable(sentence, &[" when ", " at "]))
        .chain(spelled_out(sentence))
        .chain(reason_in_figures(sentence))
        .min()
        .map_or(sentence, |at| &sentence[..at]);
    let Some((head, aside)) = clause.strip_suffix(')').and_then(|c| c.rsplit_once(" (")) else {
        return clause;
    };
    let unit = names::unit_word(aside);
    let explains = unit
        || plain_words(aside, 1) == 1
        || aside.starts_with("or ")
        || aside.contains("% of ")
        || aside.contains(" = ");
    let stands = !head.trim().is_empty() && closed_formula(head) && !aside.contains(')');
    if explains && stands { head.trim_end() } else { clause }
}

/// Where a number is spelled out behind itself: " (four)" of "4 (four) apples".
fn spelled_out(sentence: &str) -> Option<usize> {
    let at = sentence.find(" (")?;
    let (word, _) = sentence[at + 2..].split_once(')')?;
    let number = sentence[..at].ends_with(|c: char| c.is_ascii_digit());
    (number && names::number_word(word).is_some()).then_some(at)
}

/// Where a clause that only gives the value of a variable ends a sentence: " when x = 3".
fn value_of_variable(sentence: &str, joiners: &[&str]) -> Option<usize> {
    let sentence = super::head(sentence, MAX_STATEMENT);
    let (at, joiner) = joiners.iter().filter_map(|j| Some((sentence.find(j)?, j))).min()?;
    let clause = sentence[at + joiner.len()..].trim_start_matches(['$', '\\', '(']);
    let (name, value) = clause.split_once('=')?;
    let one = name.trim().len() == 1 && !value.contains([',', ';']);
    let joined = value.contains(" and ") || value.contains(" or ") || value.contains(" when ");
    (one && !joined && !sentence[..at].trim().is_empty() && closed_formula(&sentence[..at]))
        .then_some(at)
}

/// Where a reason in figures starts behind a value: " as 2+2=4".
fn reason_in_figures(sentence: &str) -> Option<usize> {
    let at = sentence.find(" as ")?;
    let formula = |c: char| c.is_ascii_digit() || matches!(c, '$' | '\\');
    let reason = &sentence[at + " as ".len()..];
    (sentence.starts_with(formula) && reason.starts_with(formula) && reason.contains('='))
        .then_some(at)
        .filter(|at| closed_formula(&sentence[..*at]))
}

/// Whether no brace is open at the end of the text.
fn closed_braces(text: &str) -> bool {
    text.matches('{').count() == text.matches('}').count()
}

/// Whether no formula is open at the end of the text.
pub(crate) fn closed_formula(text: &str) -> bool {
    let dollars = text.matches('$').count() - text.matches("\\$").count();
    dollars.is_multiple_of(2)
        && text.matches("\\(").count() == text.matches("\\)").count()
        && text.matches("\\[").count() == text.matches("\\]").count()
}

/// A formula without formula signs where the text ends: `2x + 3` in "The sum is 2x + 3." Plain
/// numbers are left to their own rule.
pub(crate) fn last_expression(text: &str) -> Option<&str> {
    let text = text.trim_end_matches(['.', ' ', '\n']);
    let line = text.rsplit(['\n', '。']).next().unwrap_or(text);
    let sentence = line.rsplit(". ").next().unwrap_or(line);
    let clause = after_link(sentence)
        .filter(|clause| !clause.contains(&SENTENCE_ENDS[..]))
        .or_else(|| sentence.contains('=').then_some(sentence))?;
    // The result of a calculator annotation, `<<3+4=7>>7`, is a plain number.
    if clause.contains(">>") {
        return None;
    }
    let orders = |c: char| "<>≤≥".contains(c);
    let side = if clause.contains(orders) { clause } else { clause.rsplit('=').next()?.trim() };
    let sign = |c: char| "+*^√π\\·×÷½⅓⅔¼¾⅕⅛".contains(c) || orders(c);
    let allowed =
        |c: char| c.is_ascii_alphanumeric() || " +-*/^().,√π−–²³\\{}[]=<>≤≥∞·×÷½⅓⅔¼¾⅕⅛".contains(c);
    let digits = side.contains(|c: char| c.is_ascii_digit());
    let variable = side.split(|c: char| !c.is_ascii_alphabetic()).any(|w| w.len() == 1);
    let listed = text.strip_suffix(clause).is_some_and(|before| before.ends_with(" are "))
        && [" and ", " or "].iter().any(|join| side.contains(join));
    let called =
        side.split(|c: char| !c.is_ascii_alphabetic()).any(|w| names::function(w).is_some());
    let formula =
        side.contains(sign) || (variable || listed || called || is_grouped(side)) && digits;
    (formula && side.chars().all(allowed) && plain_words(side, 1) == 0).then_some(side)
}

/// Marks at which a sentence ends.
const SENTENCE_ENDS: [char; 1] = ['?'];

/// `12 500`: digits in groups of three with blanks between them.
fn is_grouped(text: &str) -> bool {
    let mut groups = text.trim().split(' ');
    let digits = |g: &str| !g.is_empty() && g.bytes().all(|b| b.is_ascii_digit());
    let first = groups.next().is_some_and(|g| digits(g.trim_start_matches('-')) && g.len() <= 3);
    let mut count = 0;
    let rest = groups.all(|g| {
        count += 1;
        digits(g) && g.len() == 3
    });
    first && rest && count > 0
}

/// The last words between `**` marks or in `\textbf`.
pub(crate) fn last_emphasised(text: &str) -> Option<&str> {
    let marked = text.rfind("**").and_then(|end| {
        let start = text[..end].rfind("**")? + 2;
        Some((start, &text[start..end]))
    });
    let command = text.rfind("\\textbf{").and_then(|at| {
        let start = at + "\\textbf{".len();
        Some((start, &text[start..start + text[start..].find('}')?]))
    });
    let (_, words) = marked.max(command)?;
    let words = words.trim().trim_end_matches(['.', ':']);
    (!words.is_empty() && !is_sentence(words)).then_some(words)
}

/// The emphasised words with which a text ends, if it does: `Wednesday` of "It is **Wednesday**."
pub(crate) fn closing_emphasis(text: &str) -> Option<&str> {
    let body = text.trim_end_matches(['.', ' ', '\n', '!']).strip_suffix("**")?;
    let words = &body[body.rfind("**")? + 2..];
    let words = words.trim().trim_end_matches(['.', ':', ',']);
    let stands = !words.is_empty() && !words.contains('\n') && !is_sentence(words);
    stands.then(|| main_clause(words))
}

/// Commands between a value and a remark.
const BLANKS: [&str; 10] =
    ["\\quad", "\\qquad", "\\;", "\\,", "\\:", "\\ ", "\\!", "~", "\\left", "\\big"];

/// Commands around the words of a remark.
const WRAPS: [&str; 6] = ["\\text{", "\\textrm{", "\\mathrm{", "\\mbox{", "\\textit{", "\\text {"];

/// Words that start a remark behind a value without brackets.
const REMARKS: [&str; 12] = [
    "since ",
    "because ",
    "which ",
    "where ",
    "approximately ",
    "approx",
    "i.e.",
    "that is",
    "so that",
    "as required",
    "or about ",
    "as desired",
];

/// A value without the remark behind it, in brackets or after a comma: `\frac{737}{39}` of
/// `\frac{737}{39}\;\text{(about }18.9\text{ cards)}`.
pub(crate) fn without_remark(value: &str) -> Cow<'_, str> {
    if value.len() > MAX_STATEMENT {
        return Cow::Borrowed(value);
    }
    let texts = WRAPS.iter().flat_map(|wrap| value.match_indices(wrap));
    let brackets = value.match_indices('(').map(|(at, _)| (at, "("));
    let starts = texts.chain(brackets).filter(|(at, wrap)| {
        let opened = value[..*at].bytes().filter(|b| *b == b'{').count();
        let closed = value[..*at].bytes().filter(|b| *b == b'}').count();
        opened == closed && (*wrap == "(" || !value[..*at].trim().is_empty())
    });
    let cut = starts.filter(|(at, wrap)| is_remark(&value[*at..], wrap)).map(|(at, _)| at).min();
    let Some(at) = cut else { return Cow::Borrowed(value) };
    let mut head = value[..at].trim_end();
    while let Some(shorter) = BLANKS.iter().find_map(|b| head.strip_suffix(b)) {
        head = shorter.trim_end();
    }
    let head = head.trim_end_matches([',', ';', ' ']);
    if head.is_empty() { Cow::Borrowed(value) } else { Cow::Borrowed(head) }
}

/// Whether the rest of a value, which starts with `wrap`, is a remark.
fn is_remark(rest: &str, wrap: &str) -> bool {
    let mut plain = rest.to_owned();
    for command in WRAPS.iter().chain(&BLANKS) {
        plain = plain.replace(command, " ");
    }
    let plain = plain.replace(['}', '{', '$'], " ");
    let plain = plain.trim().trim_start_matches([',', ' ', ';']);
    let bracketed = plain.starts_with('(')
        && plain.trim_end_matches(['.', ' ']).ends_with(')')
        && plain.matches('(').count() == plain.matches(')').count();
    let inner = plain.trim_start_matches('(').trim_start();
    let wordy = inner.starts_with("\\approx")
        || inner.starts_with('≈')
        || inner.starts_with("i.e.")
        || plain_words(inner, 1) == 1 && inner.starts_with(|c: char| c.is_ascii_alphabetic());
    bracketed && wordy && !names::unit_word(inner.trim_end_matches(['.', ' ', ')']))
        || wrap != "(" && REMARKS.iter().any(|word| plain.starts_with(word))
}

/// First words of a closing sentence that checks the answer before it.
const CHECKS: [&str; 8] =
    ["Check", "Checking", "Verify", "Verification", "Verifying", "To check", "To verify", "Indeed"];

/// A text without the sentence at its end that checks its answer: "Check: 7 - 2 = 5".
pub(super) fn without_check(text: &str) -> &str {
    let sentence = text.trim_end().trim_end_matches(['.', '!', '✓', '✔', '✅', ' ']);
    let start = [". ", "\n", ".\n"]
        .iter()
        .filter_map(|end| Some(sentence.rfind(end)? + end.len()))
        .max()
        .unwrap_or(0);
    let (before, last) = text.split_at(start);
    let last = last.trim_start_matches(['*', '#', ' ', '(']);
    let checks = CHECKS.iter().any(|word| {
        last.strip_prefix(word).is_some_and(|rest| rest.starts_with([':', ' ', ',', '*']))
    });
    let counted = before.contains(|c: char| c.is_ascii_digit() || c == '$');
    if checks && counted { before.trim_end() } else { text }
}

/// Words in front of a rounded value that only repeats the exact one before it.
const APPROXIMATIONS: [&str; 6] = [
    ", or about ",
    ", or approximately ",
    ", or roughly ",
    ", which is about ",
    ", which is approximately ",
    ", approximately ",
];

/// Words in front of a reason that ends a sentence.
const REASONS: [&str; 4] = [", since ", ", because ", " because ", ", as there "];

/// Words in front of the place at which a value is taken.
const PLACES: [&str; 7] = [
    ", attained ",
    " attained at ",
    ", achieved ",
    ", which is attained ",
    ", which occurs ",
    ", occurring ",
    ", reached ",
];

/// Whether a text tells a value and ends with it: "The minimum is 12".
fn ends_with_linked_value(text: &str) -> bool {
    let text = text.trim_end();
    let linked = after_link(text).is_some_and(|value| value.contains(|c: char| c.is_ascii_digit()));
    linked && text.ends_with(|c: char| c.is_ascii_digit() || matches!(c, '$' | ')' | '}' | '%'))
}

/// Where a remark in brackets ends a sentence behind its value: " (a 20% discount)".
fn remark_in_brackets(sentence: &str) -> Option<usize> {
    let at = sentence.strip_suffix(')')?.rfind(" (")?;
    let (head, inner) = (sentence[..at].trim_end(), &sentence[at + 2..sentence.len() - 1]);
    let valued = head.ends_with(|c: char| c.is_ascii_digit() || matches!(c, '$' | '%'));
    let worded = inner.starts_with(|c: char| c.is_ascii_alphabetic()) && plain_words(inner, 1) == 1;
    (valued && worded && !inner.contains(')')).then_some(at)
}

/// Where a sentence ends with the time or number to which its price or result refers: " after 9 months" behind
/// "$1,350", " in 7 days" behind "20 + 42 = 62 pies".
fn reference_behind_result(sentence: &str) -> Option<usize> {
    let (at, words) =
        [" after ", " in ", " for ", " over ", " within ", " during ", " out of the ", " to "]
            .iter()
            .filter_map(|words| Some((sentence.rfind(words)?, words)))
            .max()?;
    let (head, phrase) = (&sentence[..at], &sentence[at + words.len()..]);
    let (count, unit) = phrase.split_once(' ')?;
    let counted = !count.is_empty() && count.bytes().all(|b| b.is_ascii_digit());
    let timed = names::unit(unit).is_some_and(|u| matches!(u.dimension, "time" | "calendar"));
    let figures = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    let priced = head
        .rsplit(' ')
        .next()
        .and_then(|word| word.strip_prefix(['$', '€', '£']))
        .is_some_and(figures);
    let result = head.rsplit(['=', '>']).next().unwrap_or_default().trim_start_matches([' ', '$']);
    let calculated = head.contains('=') && figures(result) && plain_words(unit, 1) == 1;
    (counted && (timed && priced || calculated)).then_some(at)
}

/// A text without what follows the value of its last sentence: a rounded value that repeats it, or a
/// reason: "It is 9π, or about 28.27", "It is 5/36, since there are 36 outcomes".
pub(super) fn without_aside(text: &str) -> &str {
    let ended = text.trim_end_matches(['.', ' ', '\n']);
    let starts = [ended.rfind('\n').map(|at| at + 1), ended.rfind(". ").map(|at| at + 2)];
    let start = starts.into_iter().flatten().max().unwrap_or(0);
    let sentence = super::head(&ended[start..], MAX_STATEMENT);
    let reasons = REASONS.iter().filter_map(|words| {
        let at = sentence.find(words)?;
        // Behind a further comma the sentence may come to its point.
        (!sentence[at + words.len()..].contains([',', ';'])).then_some(at)
    });
    let places = PLACES
        .iter()
        .filter_map(|words| sentence.find(words))
        .chain(value_of_variable(sentence, &[" for ", " when ", " at "]));
    let places = places.filter(|at| ends_with_linked_value(&sentence[..*at]));
    let approximated = APPROXIMATIONS.iter().filter_map(|words| sentence.find(words));
    let ends = approximated.chain(reasons).chain(places).chain(remark_in_brackets(sentence));
    let Some(at) = ends.chain(reference_behind_result(sentence)).min() else { return text };
    let head = &sentence[..at];
    let exact = head.contains(|c: char| c.is_ascii_digit() || "$\\√π".contains(c));
    // The sign of a price opens no formula.
    let priced = head.rsplit('$').next().is_some_and(|price| {
        head.contains('$') && price.bytes().all(|b| b.is_ascii_digit() || matches!(b, b',' | b'.'))
    });
    if exact && (closed_formula(head) || priced) { &text[..start + at] } else { text }
}

/// What follows the last link word: `120` in "The volume is 120".
pub(crate) fn after_link(sentence: &str) -> Option<&str> {
    let at = LINKS.iter().filter_map(|link| Some(sentence.rfind(link)? + link.len())).max()?;
    let tail = sentence[at..].trim();
    (!tail.is_empty()).then_some(tail)
}

/// The first sentence or line of a text that starts with an answer: up to a blank, a line end, or a
/// full stop that is followed by a space, outside of formulas.
pub(crate) fn first_sentence(text: &str) -> &str {
    let bytes = text.as_bytes();
    let mut in_formula = false;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => {
                match bytes.get(at + 1) {
                    Some(b'(' | b'[') => in_formula = true,
                    Some(b')' | b']') => in_formula = false,
                    _ => {}
                }
                at += 2;
                continue;
            }
            b'$' if bytes.get(at + 1) == Some(&b'$') => {
                in_formula = !in_formula;
                at += 1;
            }
            b'$' if in_formula || text[at + 1..].contains('$') => in_formula = !in_formula,
            b'\n' if !in_formula => return &text[..at],
            0xe3 | 0xef if !in_formula && text[at..].starts_with(['。', '！', '？']) => {
                return &text[..at];
            }
            b'.' | b'!' | b'?' if !in_formula => {
                let next = bytes.get(at + 1);
                if is_abbreviation(text, at) || is_factorial(text, at) {
                    at += 1;
                    continue;
                }
                if next.is_none_or(|b| b.is_ascii_whitespace() || *b == b'*' || *b == b'"') {
                    return &text[..at];
                }
            }
            _ => {}
        }
        at += 1;
    }
    text
}

/// Whether the full stop at `at` ends an abbreviation in front of a number: "Rs. 240", "approx. 3".
fn is_abbreviation(text: &str, at: usize) -> bool {
    let word = text[..at].rsplit(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
    let known = ["Rs", "No", "Nos", "approx", "ca", "c", "vs", "Eq", "Fig", "Ex", "Ans"];
    let number = text[at + 1..].trim_start_matches([' ', '$', '\\']);
    known.contains(&word) && number.starts_with(|c: char| c.is_ascii_digit())
}

/// Whether the "!" at `at` is a factorial that goes on: "6! = 720", "5!/3!".
fn is_factorial(text: &str, at: usize) -> bool {
    let after = text[at + 1..].trim_start_matches(' ');
    text[..=at].ends_with('!')
        && text[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == ')')
        && after.starts_with(['=', '+', '-', '/', '·', '×', '\\', '<', '>', '≈'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_words_outside_commands() {
        assert!(!is_sentence("125\\textnormal{ miles of road in all}"));
        assert!(!is_sentence("\\frac{1}{2} \\sin x"));
        assert!(is_sentence("and then Alice wins the game"));
        assert!(!is_sentence("5 apples left"));
    }

    #[test]
    fn leaves_explanations_out() {
        assert_eq!(main_clause("5, since 2 + 3 = 5"), "5");
        assert_eq!(main_clause("$\\sqrt2$, which is about 1.4"), "$\\sqrt2$");
        assert_eq!(main_clause("$0.5$ (or $\\frac12$)"), "$0.5$");
        assert_eq!(main_clause("f (x)"), "f (x)");
        assert_eq!(main_clause("(1, 2)"), "(1, 2)");
    }

    #[test]
    fn finds_plain_expressions() {
        assert_eq!(last_expression("The sum is 2x + 3."), Some("2x + 3"));
        assert_eq!(last_expression("The area is A = 9π"), Some("9π"));
        assert_eq!(last_expression("So it is \\frac{5}{6}."), Some("\\frac{5}{6}"));
        assert_eq!(last_expression("The solution is x <= 4."), Some("x <= 4"));
        assert_eq!(last_expression("The roots are 3 and 4."), Some("3 and 4"));
        assert_eq!(last_expression("The sum is 23."), None);
        assert_eq!(last_expression("The sum is 23 apples + 4"), None);
    }

    #[test]
    fn finds_emphasised_words() {
        assert_eq!(last_emphasised("So **Bob** or \\textbf{Ann}."), Some("Ann"));
        assert_eq!(last_emphasised("So **Bob wins**."), Some("Bob wins"));
        assert_eq!(last_emphasised("nothing ** here"), None);
    }

    #[test]
    fn cuts_sentences_outside_formulas() {
        assert_eq!(first_sentence("$1. 5$ miles. I hope"), "$1. 5$ miles");
        assert_eq!(first_sentence("3.5. Done"), "3.5");
        assert_eq!(first_sentence("7\nnext"), "7");
        assert_eq!(first_sentence("$29.00."), "$29.00");
    }

    #[test]
    fn finds_the_last_clause() {
        assert_eq!(after_link("The volume of it is 120"), Some("120"));
        assert_eq!(after_link("120"), None);
    }
}
