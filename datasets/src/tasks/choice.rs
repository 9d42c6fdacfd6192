//! `choice`: four options, facts in the question, one to three hops from the subject to the answer,
//! in the manner of ARC.
//!
//! Facts are orders with two objects ("Give frogs figs."), so the word that is looked up stands
//! right before the one that is found: a small model learns that long before it learns to reach
//! over a word between. The manner is that of arXiv:1803.05457.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::words::{
    ANIMALS, FOODS, LABELS, NAMES, PLACES, QUALITIES, chance, pick, pick_some, shuffle,
};
use super::worked::{Flawed, SolvedProblem, final_line};
use crate::{AnswerKind, Choice, Problem, content_hash};

/// Hops of a problem by default, and those that can be asked for.
pub(super) const LEVELS: (u32, u32) = (1, 3);

/// Probability by hops, from 1, that a solution of the corpus leaves out lines, and the least with which
/// it then leaves out each; where the scale makes the first greater, each line goes as often.
const SKIP: [f64; 3] = [0.2, 0.4, 0.4];
const SKIP_EACH: f64 = 0.6;
/// Probability of a fact beside the two chains where the question is short.
const ASIDE: f64 = 0.4;

/// What a fact says of its subject.
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

    /// Words that can be its subject and its object.
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

/// Chains of relations with the question that asks for their end; the subject follows.
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

/// Chains of facts in a problem: the one that is asked for, and those beside it.
const CHAINS: usize = 3;

/// A multiple-choice problem with its chains.
pub(super) struct ChoiceProblem {
    relations: &'static [Relation],
    /// Subject, intermediate words, answer.
    main: Vec<&'static str>,
    /// The same of the chains beside it.
    others: Vec<Vec<&'static str>>,
    facts: Vec<String>,
    asks: String,
    options: Vec<&'static str>,
}

/// Draws a problem with a number of hops in `levels`, which lies in [`LEVELS`].
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

/// One more fact about the subject, of a kind that the chain does not use.
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

    // Options and their order make no new question.
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
        let label = self.label(end);
        lines.push(answer_line(end, label));
        lines.push(final_line(label));
        lines
    }

    /// Which hop lines are written.
    fn kept(&self, rng: &mut ChaCha8Rng, scale: f64) -> Vec<bool> {
        let skip = SKIP[self.relations.len() - 1] * scale;
        let skips = chance(rng, skip);
        let each = SKIP_EACH.max(skip);
        self.relations.iter().map(|_| !(skips && chance(rng, each))).collect()
    }

    /// From this hop on the lines follow another chain: by taking its fact, or by giving its
    /// object to the right subject.
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

/// The lines whose hop is kept, and those after the hops.
fn without_skipped(lines: Vec<String>, kept: &[bool]) -> Vec<String> {
    let kept = kept.iter().copied().chain(std::iter::repeat(true));
    lines.into_iter().zip(kept).filter_map(|(line, keep)| keep.then_some(line)).collect()
}

/// The line that states the option in words with its label; no phrase that verifiers take for a final
/// answer, so a solution ends with its label only.
pub(super) fn answer_line(option: &str, label: &str) -> String {
    format!("So it is {option} {label}\n")
}

#[cfg(test)]
mod tests;
