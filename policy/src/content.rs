//! Decides whether a part of a solution has content or only announces what follows.
//!
//! The decision uses only the text, line by line and sentence by sentence. A sentence has content if it
//! states a relation (`=`, `<`, `\approx`), or if it is neither a heading, a label, a line that ends in a
//! colon nor an announcement ("To solve this problem, we need to follow these steps"). The entries of a
//! plan ("2. Subtract the cost of the hat.") are decisions and have content; the title of a part ("Step 2:
//! Subtract the cost of the hat.") has none. The phrases were observed in the output of instruction models
//! on GSM8K and MATH; they are English.

/// Subjects of an announcement, before a [verb](ANNOUNCED).
const SUBJECTS: &[&str] = &[
    "let's",
    "let’s",
    "let us",
    "let me",
    "we",
    "i",
    "you",
    "to",
    "in order to",
    "start by",
    "begin by",
];
/// Words between subject and verb of an announcement.
const AUXILIARIES: &[&str] = &[
    "first",
    "now",
    "need to",
    "have to",
    "want to",
    "are going to",
    "are asked to",
    "must",
    "should",
    "will",
    "can",
    "'ll",
    "’ll",
    "start by",
    "begin by",
    "start with",
];
/// Stems of verbs that say what will be done, but not how.
const ANNOUNCED: &[&str] = &[
    "analy",
    "begin",
    "break",
    "calculat",
    "check",
    "comput",
    "consider",
    "determin",
    "evaluat",
    "figur",
    "find",
    "follow",
    "go",
    "identif",
    "know",
    "look",
    "proceed",
    "see",
    "simplif",
    "solv",
    "start",
    "think",
    "understand",
    "verif",
    "work",
];
/// Announcing verbs that count only with these objects.
const ANNOUNCED_WITH: &[&str] = &["answer the", "use the following", "use the given"];
/// Stems of verbs that begin the title of a part.
const OPERATIONS: &[&str] = &[
    "add",
    "apply",
    "combin",
    "compar",
    "convert",
    "count",
    "defin",
    "divid",
    "expand",
    "express",
    "factor",
    "isolat",
    "list",
    "mov",
    "multipl",
    "plug",
    "replac",
    "rewrit",
    "round",
    "set",
    "substitut",
    "subtract",
    "sum",
    "tak",
    "total",
    "us",
    "writ",
];
/// Endings of the stems in [`ANNOUNCED`] and [`OPERATIONS`].
const ENDINGS: &[&str] = &["", "e", "y", "se", "ze", "ing", "ying", "sing", "zing", "ning"];
/// Words before the number of a part.
const LABELS: &[&str] = &["step", "part", "case", "day", "section"];
/// Stems of [`ANNOUNCED`] whose announcement is carried out by a relation in the same sentence: "let's
/// calculate 3 + 4 = 7".
const CALCULATIONS: &[&str] = &["calculat", "comput", "evaluat", "simplif"];
/// Words that may begin an announcement and have no content of their own.
const CONNECTIVES: &[&str] = &[
    "first",
    "firstly",
    "second",
    "secondly",
    "third",
    "thirdly",
    "next",
    "now",
    "then",
    "finally",
    "lastly",
    "so",
    "sure",
    "certainly",
    "of course",
    "great",
    "okay",
    "ok",
    "alright",
    "well",
];
/// Other beginnings of announcements.
const OPENINGS: &[&str] = &[
    "here are",
    "here is",
    "here's",
    "the steps are",
    "the following",
    "the solution is as follows",
    "this problem",
    "the problem asks",
    "the question asks",
    "by following",
];
/// Signs that relate two quantities.
const RELATIONS: &[&str] = &[
    "=",
    "<",
    ">",
    "≈",
    "≤",
    "≥",
    "≡",
    "\\approx",
    "\\le",
    "\\ge",
    "\\equiv",
    "\\implies",
    "\\boxed",
    "\\in ",
    "\\times",
    "\\cdot",
    "\\div",
    "×",
    "÷",
];

/// Whether `text` states something about the solution, and does not only announce what will follow.
#[must_use]
pub fn has_content(text: &str) -> bool {
    text.lines().any(line_has_content)
}

/// Whether `text` relates two quantities.
pub(crate) fn has_relation(text: &str) -> bool {
    RELATIONS.iter().any(|sign| text.contains(sign))
}

/// Whether a line only introduces the lines after it: a heading, a label, or an announcement that ends in a
/// colon.
pub(crate) fn leads_on(line: &str) -> bool {
    let line = Line::of(line);
    line.is_heading() || line.text.ends_with(':')
}

/// Whether a line is an entry of a plan; such entries stay together.
pub(crate) fn is_planned(line: &str) -> bool {
    let line = Line::of(line);
    let lower = line.text.to_lowercase();
    line.listed && (announces(line.text) || begins_with(&lower, OPERATIONS))
}

fn line_has_content(line: &str) -> bool {
    let line = Line::of(line);
    !line.is_heading() && sentences(line.text).any(|sentence| says(sentence, line.listed))
}

/// Splits a line into sentences: parts that end in `.`, `!` or `?` before a space.
fn sentences(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = line;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest
            .match_indices(". ")
            .chain(rest.match_indices("! "))
            .chain(rest.match_indices("? "));
        let end = end.map(|(at, _)| at + 1).min().unwrap_or(rest.len());
        let (sentence, after) = rest.split_at(end);
        rest = after.trim_start();
        Some(sentence)
    })
}

/// Whether a sentence has content. `listed`: whether it is an entry of a list.
fn says(sentence: &str, listed: bool) -> bool {
    let sentence = sentence.trim().trim_matches(['*', '_']);
    if !sentence.chars().any(char::is_alphanumeric) {
        return false;
    }
    if sentence.contains("\\boxed") || listed && !sentence.ends_with(':') {
        return true;
    }
    // The content of "Let's add them: 3 + 4 = 7" is after the colon.
    let said = sentence.rsplit(": ").next().unwrap_or(sentence);
    let calculates = || has_relation(said) && CALCULATIONS.iter().any(|verb| said.contains(verb));
    !said.ends_with(':') && (!announces(said) || calculates())
}

/// Whether a sentence only announces what will be done.
fn announces(sentence: &str) -> bool {
    let lower = sentence.to_lowercase();
    let mut rest = lower.trim_end_matches(['.', '!', '?']);
    while let Some(after) = CONNECTIVES.iter().find_map(|word| after_word(rest, word)) {
        rest = after.trim_start_matches([',', '!', '.', ' ']);
    }
    if rest.is_empty() || OPENINGS.iter().any(|opening| rest.starts_with(opening)) {
        return true;
    }
    if !is_plan(rest) {
        return false;
    }
    // "To find the rest, subtract 3 from 5" says how; "..., we need to follow these steps" does not.
    match rest.rsplit_once(", ") {
        Some((_, last)) => announces(last),
        None => true,
    }
}

/// Whether a lower-case sentence begins with an announcing verb, with or without a subject.
fn is_plan(sentence: &str) -> bool {
    let subject = SUBJECTS.iter().find_map(|word| after_word(sentence, word));
    let mut rest = subject.unwrap_or(sentence).trim_start();
    while let Some(after) = AUXILIARIES.iter().find_map(|word| after_word(rest, word)) {
        rest = after.trim_start();
    }
    begins_with(rest, ANNOUNCED) || ANNOUNCED_WITH.iter().any(|words| rest.starts_with(words))
}

/// Whether the first word of a lower-case text is a form of one of these verbs.
fn begins_with(text: &str, stems: &[&str]) -> bool {
    let end = text.find(|c: char| !c.is_alphabetic()).unwrap_or(text.len());
    let first = &text[..end];
    stems.iter().any(|stem| first.strip_prefix(stem).is_some_and(|end| ENDINGS.contains(&end)))
}

/// Returns the text after `word` if `text` begins with this complete word.
fn after_word<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let rest = text.strip_prefix(word)?;
    let whole = !rest.starts_with(|c: char| c.is_alphanumeric() || c == '\'' || c == '’');
    (whole || word.ends_with("'ll") || rest.starts_with("'ll") || rest.starts_with("’ll"))
        .then_some(rest)
}

/// A line without its markup.
struct Line<'a> {
    /// Text of the line without markup.
    text: &'a str,
    /// Whether the line begins with a list marker: a bullet, or a number with a point or bracket.
    listed: bool,
    /// Whether markup makes the line a title: `#`, or all of it bold.
    titled: bool,
    /// Whether the line begins with the label of a part (`Step 3:`), which also makes it a title.
    labelled: bool,
}

impl<'a> Line<'a> {
    fn of(line: &'a str) -> Self {
        let mut text = line.trim().trim_start_matches("> ");
        let mut titled = text.starts_with('#');
        text = text.trim_start_matches('#').trim_start();
        let unlisted = without_mark(text);
        let listed = unlisted.is_some();
        text = unlisted.unwrap_or(text);
        let bare = text.trim_end_matches(':');
        titled |= bare.len() > 4 && bare.starts_with("**") && bare.ends_with("**")
            || bare.starts_with("**") && text.ends_with("**");
        text = text.trim_matches(['*', '_']).trim();
        let unlabelled = without_label(text);
        let labelled = unlabelled.is_some();
        text = unlabelled.unwrap_or(text);
        Self { text, listed: listed && !titled && !labelled, titled, labelled }
    }

    /// Whether the line is a title, or has no words at all. A title that states something ("#### 18",
    /// "**Answer: 18**", "Step 1: 3 + 4 = 7") is not a heading.
    fn is_heading(&self) -> bool {
        let says = || {
            let answers = self.text.to_lowercase().contains("answer is")
                || self.text.to_lowercase().starts_with("answer: ");
            let number = !self.text.chars().any(char::is_alphabetic)
                && self.text.chars().any(char::is_numeric);
            let sentence = self.text.ends_with(['.', '!', '?'])
                && !announces(self.text)
                && !begins_with(&self.text.to_lowercase(), OPERATIONS);
            let related = self.labelled && !self.titled && has_relation(self.text);
            related || self.text.contains("\\boxed") || answers || number || sentence
        };
        let rule = !self.text.contains(|c: char| c.is_alphanumeric());
        let fence = self.text.starts_with(['\\', '$', '`', ']']);
        (self.titled || self.labelled) && !says() || rule && !fence
    }
}

/// Returns the text after the list marker; `None` if there is no marker.
fn without_mark(text: &str) -> Option<&str> {
    if let Some(rest) = ["- ", "* ", "+ ", "• "].iter().find_map(|mark| text.strip_prefix(mark)) {
        return Some(rest.trim_start());
    }
    let rest = text.trim_start_matches('(').trim_start_matches(|c: char| c.is_ascii_digit());
    let label = rest.len() < text.trim_start_matches('(').len();
    let rest =
        rest.strip_prefix(['.', ')']).filter(|rest| rest.is_empty() || rest.starts_with(' '));
    rest.filter(|_| label).map(str::trim_start)
}

/// Returns the text after the label of a part ("Step 3:", "Part 2."); `None` if there is no label.
fn without_label(text: &str) -> Option<&str> {
    let word = text.split(' ').next()?;
    let known = LABELS.contains(&word.to_lowercase().as_str());
    let rest = text.get(word.len()..).filter(|_| known)?.trim_start();
    let after = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    if after.len() == rest.len() {
        return None;
    }
    let ended = after.is_empty() || after.starts_with([':', '.', ')', '*', '-']);
    ended.then(|| after.trim_start_matches([':', '.', ')', '*', '-', ' ']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_relations_and_decisions_have_content() {
        for text in [
            "3 + 4 = 7",
            "She eats three eggs for breakfast.",
            "\\[\n3 \\times 10 = 30\n\\]",
            "1. Calculate the cost of the socks.\n2. Subtract it from $20.",
            "2. Find the cost of the hat.",
            "To find the rest, subtract 3 from 5.",
            "First, let's find the cost. Penny buys a hat for $7.",
            "Step 1: 3 + 4 = 7",
            "#### 18",
            "**Answer: 18**",
            "The answer is (B).",
            "Plants need sunlight to make food.",
            "Let's calculate it: 3 + 4 = 7",
            "We calculate 3 + 4 = 7.",
            "Let's denote the number of eggs by x.",
            "Yes.",
            "Goods are worth $7.",
            "Workers earn more.",
            "#### The answer is 7.",
        ] {
            assert!(has_content(text), "{text}");
        }
    }

    #[test]
    fn headings_labels_and_announcements_have_none() {
        for text in [
            "",
            "---",
            "1.",
            "**",
            "Sure!",
            "To solve this problem, we need to follow these steps:",
            "To determine how much she has left of $20, we can follow these steps:",
            "Let's break down the problem step by step.",
            "We need to determine the rate at which 30 elephants enter the park.",
            "Step 2: Calculate the total cost of the hat.",
            "Step 4: Subtract the cost from the $20.",
            "**Case 1: \\( y = 3 \\)**",
            "To solve the equation \\( x + 3 = 7 \\), we need to follow these steps.",
            "### Step 2: Calculate the cost",
            "1. **Calculate the total cost:**",
            "**Step 3**",
            "Next, let's calculate the cost of the hat:",
            "First, we'll find the total number of eggs.",
            "Here are the steps.",
            "Calculate the product:",
            "Final Answer:",
        ] {
            assert!(!has_content(text), "{text}");
        }
    }

    #[test]
    fn what_leads_on_belongs_to_what_follows() {
        for line in
            ["Step 1: Find x", "**Step 1: Find x**", "### Part", "We add:", "  - we know:", "---"]
        {
            assert!(leads_on(line), "{line}");
        }
        assert!(is_planned("1. Solve the equation \\( x = 3 \\).") && !is_planned("1. So x = 3."));
        for line in ["So x = 3.", "\\]", "```", "1. Add the two.", "#### 18", "She eats 3.", "$$"] {
            assert!(!leads_on(line), "{line}");
        }
    }
}
