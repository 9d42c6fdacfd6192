//! `choice`: four options, facts in the question, one to three hops from the subject to the answer, in
//! the style of ARC.
//!
//! Facts are imperative sentences with two objects ("Give frogs figs."), so that the word to look up is
//! directly before the word to find. A small model learns that long before it learns to look across a word in
//! between. The style is that of arXiv:1803.05457.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::words::{
    ANIMALS, FOODS, LABELS, NAMES, PLACES, QUALITIES, chance, pick, pick_some, shuffle,
};
use super::worked::{Flawed, SolvedProblem, final_line};
use crate::{AnswerKind, Choice, Problem, content_hash};

/// Default and allowed number of hops of a problem.
pub(super) const LEVELS: (u32, u32) = (1, 3);

/// `SKIP`: probability, by number of hops from 1, that a solution of the corpus leaves out lines.
/// `SKIP_EACH`: the probability with which such a solution leaves out each line; raised to the first
/// probability if the scale makes that one larger.
const SKIP: [f64; 3] = [0.2, 0.4, 0.4];
const SKIP_EACH: f64 = 0.6;
/// Probability of one more fact, outside the chains, in a problem of fewer than three hops.
const ASIDE: f64 = 0.4;

/// Relation between the subject and the object of a fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    Lend,
    Give,
    Find,
    Grant,
    Keep,
}
use Relation::{Find, Give, Grant, Keep, Lend};

impl Relation {
    /// Every relation.
    pub(super) const ALL: [Self; 5] = [Lend, Give, Find, Grant, Keep];

    /// Possible subjects and possible objects of the relation.
    pub(super) fn sides(self) -> (&'static [&'static str], &'static [&'static str]) {
        match self {
            Lend => (&NAMES, &ANIMALS),
            Give => (&ANIMALS, &FOODS),
            Find => (&ANIMALS, &PLACES),
            Grant => (&FOODS, &PLACES),
            Keep => (&PLACES, &QUALITIES),
        }
    }

    /// The fact as a sentence.
    pub(super) fn sentence(self, subject: &str, object: &str) -> String {
        format!("{self:?} {subject} {object}.")
    }
}

/// Chains of relations, each with the question for its end; the subject is appended to the question.
const FORMS: [(&[Relation], &str); 13] = [
    (&[Lend], "What do you lend"),
    (&[Give], "What do you give"),
    (&[Find], "What do you find"),
    (&[Grant], "What do you grant"),
    (&[Keep], "How do you keep"),
    (&[Lend, Give], "What do you give the animals of"),
    (&[Lend, Find], "What do you find the animals of"),
    (&[Give, Grant], "What do you grant the food of"),
    (&[Find, Keep], "How do you keep the homes of"),
    (&[Grant, Keep], "How do you keep the beds of"),
    (&[Lend, Give, Grant], "What do you grant the food of the animals of"),
    (&[Lend, Find, Keep], "How do you keep the homes of the animals of"),
    (&[Give, Grant, Keep], "How do you keep the beds of the food of"),
];

/// Chains of facts in a problem: the one that the question is about, and the distractors.
const CHAINS: usize = 3;

/// A multiple-choice problem with its chains.
pub(super) struct ChoiceProblem {
    relations: &'static [Relation],
    /// Subject, intermediate words, answer.
    main: Vec<&'static str>,
    /// The words of each distractor chain.
    others: Vec<Vec<&'static str>>,
    facts: Vec<String>,
    asks: String,
    options: Vec<&'static str>,
}

/// Draws a problem whose number of hops is within `levels`, a range inside [`LEVELS`].
pub(super) fn choice(rng: &mut ChaCha8Rng, levels: (u32, u32)) -> ChoiceProblem {
    let hops = rng.random_range(levels.0..=levels.1) as usize;
    let forms: Vec<_> = FORMS.iter().filter(|form| form.0.len() == hops).collect();
    let (relations, asks) = **pick(rng, &forms);
    let heads = pick_some(rng, relations[0].sides().0, CHAINS);
    let mut chains: Vec<_> = heads.into_iter().map(|head| vec![head]).collect();
    for relation in relations {
        let ends = pick_some(rng, relation.sides().1, CHAINS);
        chains.iter_mut().zip(ends).for_each(|(chain, end)| chain.push(end));
    }
    let others = chains.split_off(1);
    let main = chains.remove(0);
    let mut facts = Vec::new();
    for chain in std::iter::once(&main).chain(&others) {
        facts.extend(chain.windows(2).zip(relations).map(|(w, r)| r.sentence(w[0], w[1])));
    }
    let aside = (hops < 3 && chance(rng, ASIDE)).then(|| aside(rng, relations, &main)).flatten();
    facts.extend(aside);
    shuffle(rng, &mut facts);

    let mut options: Vec<&str> = others.iter().map(|chain| chain[hops]).collect();
    options.push(main[hops]);
    let words = relations[hops - 1].sides().1;
    let rest: Vec<&str> = words.iter().copied().filter(|word| !options.contains(word)).collect();
    options.extend(pick_some(rng, &rest, LABELS.len() - CHAINS));
    shuffle(rng, &mut options);
    ChoiceProblem { relations, asks: format!("{asks} {}?", main[0]), main, others, facts, options }
}

/// One more fact about the subject, with a relation that the chain does not use.
fn aside(rng: &mut ChaCha8Rng, relations: &[Relation], main: &[&str]) -> Option<String> {
    let relation = match relations[0] {
        Find => Give,
        Give => Find,
        Lend | Grant | Keep => return None,
    };
    let free: Vec<&str> =
        relation.sides().1.iter().copied().filter(|word| !main.contains(word)).collect();
    let object = *pick(rng, &free);
    Some(relation.sentence(main[0], object))
}

impl SolvedProblem for ChoiceProblem {
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

    // The options and their order do not make another question.
    fn split_key(&self) -> String {
        content_hash(&self.question())
    }

    fn solve(&self, rng: &mut ChaCha8Rng, scale: f64) -> Vec<String> {
        let kept = self.kept(rng, scale);
        without_skipped(self.lines(&self.main), &kept)
    }

    fn solve_wrongly(&self, rng: &mut ChaCha8Rng, scale: f64) -> Option<Flawed> {
        let kept = self.kept(rng, scale);
        let hops: Vec<usize> = (0..self.relations.len()).filter(|&i| kept[i]).collect();
        let wrong = rng.random_range(0..hops.len() + 2);
        let mut steps = self.lines(&self.main);
        if let Some(&hop) = hops.get(wrong) {
            steps = self.wrong_hop(rng, hop);
        } else {
            let option = *pick(rng, &self.wrong_options());
            let in_words = steps.len() - 2;
            if wrong == hops.len() {
                steps[in_words] = answer_line(option, self.label(option));
            }
            steps[in_words + 1] = final_line(self.label(option));
        }
        Some(Flawed { steps: without_skipped(steps, &kept), wrong })
    }
}

impl ChoiceProblem {
    /// The facts in their order, then the question.
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

    /// One line per hop along these words, then the line with the option in words, then the line with the
    /// label.
    fn lines(&self, words: &[&'static str]) -> Vec<String> {
        let mut lines: Vec<String> = words
            .windows(2)
            .zip(self.relations)
            .map(|(w, r)| format!("{}\n", r.sentence(w[0], w[1])))
            .collect();
        let end = words[self.relations.len()];
        let label = self.label(end);
        lines.push(answer_line(end, label));
        lines.push(final_line(label));
        lines
    }

    /// Whether each hop's line is written.
    fn kept(&self, rng: &mut ChaCha8Rng, scale: f64) -> Vec<bool> {
        let skip = SKIP[self.relations.len() - 1] * scale;
        let skips = chance(rng, skip);
        let each = SKIP_EACH.max(skip);
        self.relations.iter().map(|_| !(skips && chance(rng, each))).collect()
    }

    /// From this hop on, the lines follow another chain: either the other chain's fact is used, or its object
    /// is attributed to the right subject.
    fn wrong_hop(&self, rng: &mut ChaCha8Rng, hop: usize) -> Vec<String> {
        let other = pick(rng, &self.others);
        let words = [&self.main[..=hop], &other[hop + 1..]].concat();
        let mut lines = self.lines(&words);
        if chance(rng, 0.5) {
            let sentence = self.relations[hop].sentence(other[hop], other[hop + 1]);
            lines[hop] = format!("{sentence}\n");
        }
        lines
    }
}

/// The lines of the hops that are kept, and the lines after the hops.
fn without_skipped(lines: Vec<String>, kept: &[bool]) -> Vec<String> {
    let kept = kept.iter().copied().chain(std::iter::repeat(true));
    lines.into_iter().zip(kept).filter_map(|(line, keep)| keep.then_some(line)).collect()
}

/// The line that states the option in words with its label. Verifiers do not read this wording as a final
/// answer, so only the final label ends a solution.
pub(super) fn answer_line(option: &str, label: &str) -> String {
    format!("So it is {option} {label}\n")
}

#[cfg(test)]
mod tests;
