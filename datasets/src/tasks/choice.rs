//! `choice`: four options, facts in the question, one to three hops from the subject to the answer,
//! in the manner of ARC.
//!
//! Real words, few facts and exact repetition make the binding learnable; a second chain of facts of
//! the same form makes it necessary. It knows nothing of splits or streams. The manner is that of
//! arXiv:1803.05457, the sentences are our own.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::words::{
    ANIMALS, FEATURES, FOODS, LABELS, PLACES, QUALITIES, chance, pick, pick_some, shuffle,
};
use super::worked::{Flawed, Worked, final_line};
use crate::{AnswerKind, Choice, Problem, content_hash};

/// Hops of a problem by default, and those that can be asked for.
pub(super) const LEVELS: (u32, u32) = (1, 3);

/// Probability that a solution of the corpus leaves out lines, and that it leaves out each.
const SKIP: f64 = 0.4;
const SKIP_EACH: f64 = 0.6;
/// Probability of a fact beside the two chains where the question is short.
const ASIDE: f64 = 0.4;

/// What a fact says of its subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    Lives,
    Eats,
    Grows,
    Is,
    Has,
}
use Relation::{Eats, Grows, Has, Is, Lives};

impl Relation {
    /// Words that can be its subject and its object.
    fn sides(self) -> (&'static [&'static str], &'static [&'static str]) {
        match self {
            Lives => (&ANIMALS, &PLACES),
            Eats => (&ANIMALS, &FOODS),
            Grows => (&FOODS, &PLACES),
            Is => (&PLACES, &QUALITIES),
            Has => (&QUALITIES, &FEATURES),
        }
    }

    /// The fact as a sentence.
    fn sentence(self, subject: &str, object: &str) -> String {
        match self {
            Lives => format!("The {subject} lives in the {object}."),
            Eats => format!("The {subject} eats {object}."),
            Grows => format!("The {subject} grow in the {object}."),
            Is => format!("The {subject} is {object}."),
            Has => format!("Each {subject} place has {object}."),
        }
    }
}

/// Chains of relations with the question that asks for their end; `{}` is the subject.
const FORMS: [(&[Relation], &str); 12] = [
    (&[Lives], "Where does the {} live?"),
    (&[Eats], "What does the {} eat?"),
    (&[Grows], "Where do the {} grow?"),
    (&[Is], "What is the {} like?"),
    (&[Lives, Is], "What is it like where the {} lives?"),
    (&[Grows, Is], "What is it like where the {} grow?"),
    (&[Eats, Grows], "Where does the food of the {} grow?"),
    (&[Is, Has], "What does the {} have?"),
    (&[Lives, Is, Has], "What can be found where the {} lives?"),
    (&[Grows, Is, Has], "What can be found where the {} grow?"),
    (&[Eats, Grows, Is], "What is it like where the food of the {} grows?"),
    (&[Lives, Is, Has], "What does the place of the {} have?"),
];

/// A multiple-choice problem with its two chains.
pub(super) struct ChoiceProblem {
    relations: &'static [Relation],
    /// Subject, intermediate words, answer.
    main: Vec<&'static str>,
    /// The same of the chain beside it.
    other: Vec<&'static str>,
    facts: Vec<String>,
    asks: String,
    options: Vec<&'static str>,
}

/// Draws a problem with a number of hops in `levels`, which lies in [`LEVELS`].
pub(super) fn choice(rng: &mut ChaCha8Rng, levels: (u32, u32)) -> ChoiceProblem {
    let hops = rng.random_range(levels.0..=levels.1) as usize;
    let forms: Vec<_> = FORMS.iter().filter(|form| form.0.len() == hops).collect();
    let (relations, asks) = **pick(rng, &forms);
    let (mut main, mut other) = (Vec::new(), Vec::new());
    let heads = pick_some(rng, relations[0].sides().0, 2);
    main.push(heads[0]);
    other.push(heads[1]);
    for relation in relations {
        let ends = pick_some(rng, relation.sides().1, 2);
        main.push(ends[0]);
        other.push(ends[1]);
    }
    let mut facts = Vec::new();
    for chain in [&main, &other] {
        facts.extend(chain.windows(2).zip(relations).map(|(w, r)| r.sentence(w[0], w[1])));
    }
    let aside = (hops < 3 && chance(rng, ASIDE)).then(|| aside(rng, relations, &main)).flatten();
    facts.extend(aside);
    shuffle(rng, &mut facts);

    let (answer, rival) = (main[hops], other[hops]);
    let rest: Vec<&str> = relations[hops - 1]
        .sides()
        .1
        .iter()
        .copied()
        .filter(|&word| word != answer && word != rival)
        .collect();
    let mut options = pick_some(rng, &rest, LABELS.len() - 2);
    options.extend([answer, rival]);
    shuffle(rng, &mut options);
    ChoiceProblem { relations, asks: asks.replace("{}", main[0]), main, other, facts, options }
}

/// One more fact about the subject, of a kind that the chain does not use.
fn aside(rng: &mut ChaCha8Rng, relations: &[Relation], main: &[&str]) -> Option<String> {
    let relation = match relations[0] {
        Lives => Eats,
        Eats => Lives,
        Grows | Is | Has => return None,
    };
    let free: Vec<&str> =
        relation.sides().1.iter().copied().filter(|word| !main.contains(word)).collect();
    let object = *pick(rng, &free);
    Some(relation.sentence(main[0], object))
}

impl Worked for ChoiceProblem {
    fn problem(&self) -> Problem {
        let choices: Vec<Choice> = LABELS
            .iter()
            .zip(&self.options)
            .map(|(label, text)| Choice { label: (*label).into(), text: (*text).into() })
            .collect();
        let question = self.question();
        let key = format!("{question} {}", self.options.join(" "));
        Problem {
            id: format!("choice-{}", content_hash(&key)),
            source: "builtin:choice".into(),
            question,
            choices,
            answer: self.label(self.answer()).into(),
            kind: AnswerKind::Choice,
            solution: Some(self.lines(&self.main).concat()),
            level: u32::try_from(self.relations.len()).ok(),
        }
    }

    // Options and their order make no new question.
    fn split_key(&self) -> String {
        content_hash(&self.question())
    }

    fn solve(&self, rng: &mut ChaCha8Rng, merge_scale: f64) -> Vec<String> {
        let kept = self.kept(rng, merge_scale);
        without_skipped(self.lines(&self.main), &kept)
    }

    fn solve_wrongly(&self, rng: &mut ChaCha8Rng, merge_scale: f64) -> Option<Flawed> {
        let kept = self.kept(rng, merge_scale);
        let hops: Vec<usize> = (0..self.relations.len()).filter(|&i| kept[i]).collect();
        let wrong = rng.random_range(0..hops.len() + 2);
        let mut steps = self.lines(&self.main);
        if let Some(&hop) = hops.get(wrong) {
            steps = self.wrong_hop(rng, hop);
        } else {
            let option = *pick(rng, &self.wrong_options());
            let in_words = steps.len() - 2;
            if wrong == hops.len() {
                steps[in_words] = answer_line(option);
            }
            steps[in_words + 1] = final_line(self.label(option));
        }
        Some(Flawed { steps: without_skipped(steps, &kept), wrong })
    }
}

impl ChoiceProblem {
    /// Facts in their order, then what is asked.
    fn question(&self) -> String {
        format!("{} {}", self.facts.join(" "), self.asks)
    }

    /// The right option.
    fn answer(&self) -> &'static str {
        self.main[self.relations.len()]
    }

    /// Label of an option.
    fn label(&self, option: &str) -> &'static str {
        let at = self.options.iter().position(|&o| o == option).unwrap_or_default();
        LABELS[at]
    }

    /// The other three options.
    fn wrong_options(&self) -> Vec<&'static str> {
        self.options.iter().copied().filter(|&o| o != self.answer()).collect()
    }

    /// Hop lines along these words, the option in words, the label.
    fn lines(&self, words: &[&'static str]) -> Vec<String> {
        let mut lines: Vec<String> = words
            .windows(2)
            .zip(self.relations)
            .map(|(w, r)| format!("{}\n", r.sentence(w[0], w[1])))
            .collect();
        let end = words[self.relations.len()];
        lines.push(answer_line(end));
        lines.push(final_line(self.label(end)));
        lines
    }

    /// Which hop lines are written.
    fn kept(&self, rng: &mut ChaCha8Rng, merge_scale: f64) -> Vec<bool> {
        let skips = chance(rng, SKIP * merge_scale);
        self.relations.iter().map(|_| !(skips && chance(rng, SKIP_EACH))).collect()
    }

    /// From this hop on the lines follow the other chain: by taking its fact, or by giving its
    /// object to the right subject.
    fn wrong_hop(&self, rng: &mut ChaCha8Rng, hop: usize) -> Vec<String> {
        let words = [&self.main[..=hop], &self.other[hop + 1..]].concat();
        let mut lines = self.lines(&words);
        if chance(rng, 0.5) {
            let sentence = self.relations[hop].sentence(self.other[hop], self.other[hop + 1]);
            lines[hop] = format!("{sentence}\n");
        }
        lines
    }
}

/// The lines whose hop is kept, and those after the hops.
fn without_skipped(lines: Vec<String>, kept: &[bool]) -> Vec<String> {
    let kept = kept.iter().copied().chain(std::iter::repeat(true));
    lines.into_iter().zip(kept).filter_map(|(line, keep)| keep.then_some(line)).collect()
}

/// The line that states the option in words; no phrase that verifiers take for a final answer, so
/// a solution ends with its label only.
fn answer_line(option: &str) -> String {
    format!("So it is {option}.\n")
}

#[cfg(test)]
mod tests;
