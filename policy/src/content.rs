//! What a stretch of a solution says: whether it carries content or only announces what follows.
//!
//! Read from the text alone, line by line and sentence by sentence. A sentence has content when it
//! states a relation (`=`, `<`, `\approx`), or when it is neither a heading, a label, a line that ends
//! in a colon nor an announcement ("To solve this problem, we need to follow these steps"). The
//! entries of a plan ("2. Subtract the cost of the hat.") are decisions and have content; the title of
//! a part ("Step 2: Subtract the cost of the hat.") has none. The phrases are those that instruction
//! models were seen to write on GSM8K and MATH; they are English.

/// Who announces, before a [verb](ANNOUNCED).
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
/// What stands between the two.
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
/// Stems of verbs that say what will be done and not how.
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
/// The same with their objects.
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
/// Endings of the two.
const ENDINGS: &[&str] = &["", "e", "y", "se", "ze", "ing", "ying", "sing", "zing", "ning"];
/// Words before a number that labels a part.
const LABELS: &[&str] = &["step", "part", "case", "day", "section"];
/// Those of them that a relation in the same sentence carries out: "let's calculate 3 + 4 = 7".
const CALCULATIONS: &[&str] = &["calculat", "comput", "evaluat", "simplif"];
/// Words that only lead to what follows them.
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
/// Other beginnings that announce.
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
/// What relates two quantities.
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

/// Whether `text` says something of the solution, and not only what will be said.
#[must_use]
pub fn has_content(text: &str) -> bool {
    text.lines().any(line_has_content)
}

/// Whether `text` relates two quantities.
pub(crate) fn has_relation(text: &str) -> bool {
    RELATIONS.iter().any(|sign| text.contains(sign))
}

/// Whether a line belongs to what follows it: a heading, a label, or an announcement that ends in a
/// colon.
pub(crate) fn leads_on(line: &str) -> bool {
    let line = Line::of(line);
    line.is_heading() || line.text.ends_with(':')
}

/// Whether a line is an entry of a plan, which stays with the others.
pub(crate) fn is_planned(line: &str) -> bool {
    let line = Line::of(line);
    let lower = line.text.to_lowercase();
    line.listed && (announces(line.text) || begins_with(&lower, OPERATIONS))
}

fn line_has_content(line: &str) -> bool {
    let line = Line::of(line);
    !line.is_heading() && sentences(line.text).any(|sentence| says(sentence, line.listed))
}

/// The parts of a line that end in a full stop, `!` or `?` before a space.
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

/// Whether a sentence says something; `listed`: it stands in a list.
fn says(sentence: &str, listed: bool) -> bool {
    let sentence = sentence.trim().trim_matches(['*', '_']);
    if !sentence.chars().any(char::is_alphanumeric) {
        return false;
    }
    if sentence.contains("\\boxed") || listed && !sentence.ends_with(':') {
        return true;
    }
    // "Let's add them: 3 + 4 = 7" says what stands behind the colon.
    let said = sentence.rsplit(": ").next().unwrap_or(sentence);
    let calculates = || has_relation(said) && CALCULATIONS.iter().any(|verb| said.contains(verb));
    !said.ends_with(':') && (!announces(said) || calculates())
}

/// Whether a sentence only says what will be done.
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

/// Whether a sentence in lower case begins with a verb that announces, with or without its subject.
fn is_plan(sentence: &str) -> bool {
    let subject = SUBJECTS.iter().find_map(|word| after_word(sentence, word));
    let mut rest = subject.unwrap_or(sentence).trim_start();
    while let Some(after) = AUXILIARIES.iter().find_map(|word| after_word(rest, word)) {
        rest = after.trim_start();
    }
    begins_with(rest, ANNOUNCED) || ANNOUNCED_WITH.iter().any(|words| rest.starts_with(words))
}

/// Whether the first word of a text in lower case is a form of one of these verbs.
fn begins_with(text: &str, stems: &[&str]) -> bool {
    let end = text.find(|c: char| !c.is_alphabetic()).unwrap_or(text.len());
    let first = &text[..end];
    stems.iter().any(|stem| first.strip_prefix(stem).is_some_and(|end| ENDINGS.contains(&end)))
}

/// What follows `word` where `text` begins with it as a whole word.
fn after_word<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let rest = text.strip_prefix(word)?;
    let whole = !rest.starts_with(|c: char| c.is_alphanumeric() || c == '\'' || c == '’');
    (whole || word.ends_with("'ll") || rest.starts_with("'ll") || rest.starts_with("’ll"))
        .then_some(rest)
}

/// A line without its marks.
struct Line<'a> {
    /// What is left of it.
    text: &'a str,
    /// Whether a list's mark stood before it: a bullet, or a number with a point or bracket.
    listed: bool,
    /// Whether marks say that it is a title: `#`, or all of it bold.
    titled: bool,
    /// Whether the label of a part (`Step 3:`) stands before it, which makes it one as well.
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

    /// A title or nothing at all. A title that states something ("#### 18", "**Answer: 18**",
    /// "Step 1: 3 + 4 = 7") is none.
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

/// A line of a list without its mark.
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

/// A line without the label of a part ("Step 3:", "Part 2.") before it.
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
