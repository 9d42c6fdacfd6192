//! Splits sampled solutions into steps at any boundary, and recommends settings.

use regrowth_mcts::SearchConfig;
use regrowth_policy::{Boundary, Policy, PolicyError, Sampling, has_content, step_lengths};
use serde::Serialize;

use super::StepText;
use super::sample::{Draft, Drawn};

/// Desirable number of steps of a solution: with fewer, a tree has no depth; with more, a step says too
/// little.
const GOOD_STEPS: std::ops::RangeInclusive<f64> = 4.0..=10.0;
/// Maximum tolerated share of steps without content.
const GOOD_CONTENT: f64 = 0.05;
/// Mean log-probability of a sampled token below which a text is likely to be gibberish: coherent
/// solutions of small models were seen at -0.2 to -0.6.
const GIBBERISH: f64 = -1.0;

/// A solution, split into the texts of its tokens.
pub(super) struct Cutting {
    pieces: Vec<String>,
}

impl Cutting {
    /// Decodes the tokens of a solution one by one.
    pub(super) fn of(policy: &dyn Policy, draft: &Draft) -> Result<Self, PolicyError> {
        let mut pieces = Vec::with_capacity(draft.ids.len());
        let mut before = String::new();
        for end in 1..=draft.ids.len() {
            let text = policy.decode(&draft.ids[..end])?;
            // An incomplete character belongs to the token that completes it.
            let whole = text.trim_end_matches('\u{fffd}');
            pieces.push(whole.get(before.len()..).unwrap_or_default().to_owned());
            if whole.len() > before.len() {
                whole.clone_into(&mut before);
            }
        }
        Ok(Self { pieces })
    }

    /// Builds a solution from a text, with tokens that end at spaces and line breaks.
    #[cfg(test)]
    pub(super) fn of_text(text: &str) -> Self {
        Self { pieces: text.split_inclusive([' ', '\n']).map(str::to_owned).collect() }
    }

    pub(super) fn text(&self) -> String {
        self.pieces.concat()
    }

    pub(super) fn lengths(&self, boundary: &Boundary, max_tokens: usize) -> Vec<usize> {
        step_lengths(boundary, max_tokens, &self.pieces)
    }

    pub(super) fn steps(&self, boundary: &Boundary, max_tokens: usize) -> Vec<StepText> {
        let mut from = 0;
        let step = |tokens: usize| {
            let text = self.pieces[from..from + tokens].concat();
            from += tokens;
            StepText { content: has_content(&text), text, tokens }
        };
        self.lengths(boundary, max_tokens).into_iter().map(step).collect()
    }
}

/// Statistics of solutions split at a boundary.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Figures {
    /// Median number of steps.
    pub(super) steps: f64,
    /// Number of steps that 90 % of the solutions do not exceed.
    most_steps: usize,
    /// Median number of tokens of a step.
    pub(super) step_tokens: f64,
    /// Maximum number of tokens of a step.
    longest_step: usize,
    /// Share of steps without content.
    pub(super) without_content: f64,
    /// Mean number of tokens of a solution.
    pub(super) tokens: f64,
    /// Maximum number of tokens of a solution.
    longest: usize,
}

impl Figures {
    fn is_good(&self) -> bool {
        GOOD_STEPS.contains(&self.steps) && self.without_content < GOOD_CONTENT
    }

    /// Distance from the desirable range; 0 within it.
    fn fault(&self) -> f64 {
        let (low, high) = (*GOOD_STEPS.start(), *GOOD_STEPS.end());
        let steps = (low / self.steps.max(0.1)).max(self.steps / high).max(1.0).ln();
        steps + (self.without_content - GOOD_CONTENT).max(0.0) * 4.0
    }
}

pub(super) fn figures(solutions: &[&Cutting], boundary: &Boundary, max_tokens: usize) -> Figures {
    let all: Vec<Vec<StepText>> =
        solutions.iter().map(|c| c.steps(boundary, max_tokens)).filter(|s| !s.is_empty()).collect();
    let mut counts: Vec<usize> = all.iter().map(Vec::len).collect();
    let mut tokens: Vec<usize> = all.iter().flatten().map(|s| s.tokens).collect();
    if tokens.is_empty() {
        return Figures::default();
    }
    counts.sort_unstable();
    tokens.sort_unstable();
    let empty = all.iter().flatten().filter(|s| !s.content).count();
    let totals = all.iter().map(|steps| steps.iter().map(|s| s.tokens).sum::<usize>());
    Figures {
        steps: median(&counts),
        most_steps: counts[(counts.len() * 9 / 10).min(counts.len() - 1)],
        step_tokens: median(&tokens),
        longest_step: tokens[tokens.len() - 1],
        without_content: empty as f64 / tokens.len() as f64,
        tokens: tokens.iter().sum::<usize>() as f64 / counts.len() as f64,
        longest: totals.max().unwrap_or(0),
    }
}

/// Median of a sorted list that is not empty.
fn median(sorted: &[usize]) -> f64 {
    let half = sorted.len() / 2;
    let upper = sorted[half] as f64;
    if sorted.len().is_multiple_of(2) { (sorted[half - 1] as f64 + upper) / 2.0 } else { upper }
}

/// Recommended settings, as in the table `search` of a settings file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Recommended {
    /// Step boundary.
    pub boundary: Boundary,
    /// Maximum number of steps of a solution.
    pub max_depth: u32,
    /// Maximum number of tokens of a step.
    pub max_step_tokens: usize,
    /// Maximum number of tokens of a solution.
    pub max_solution_tokens: usize,
    /// Sampling settings.
    pub sampling: Sampling,
    /// Reasons, one sentence for each setting that differs from the given ones.
    pub reasons: Vec<String>,
}

/// Recommends settings from the finished solutions.
pub(super) fn recommend(
    solutions: &[&Cutting],
    search: &SearchConfig,
    drawn: &Drawn,
    cut_off: usize,
) -> Recommended {
    let mut fit = Recommended {
        boundary: search.boundary.clone(),
        max_depth: search.max_depth,
        max_step_tokens: search.max_step_tokens,
        max_solution_tokens: search.max_solution_tokens,
        sampling: search.sampling,
        reasons: Vec::new(),
    };
    let log_prob = drawn.mean_log_prob();
    if log_prob < GIBBERISH && fit.sampling.temperature > 0.0 {
        fit.sampling.temperature = (0.8 * fit.sampling.temperature).min(0.8);
        fit.sampling.top_p = fit.sampling.top_p.min(0.95);
        fit.reasons.push(format!(
            "temperature and top_p: a sampled token has a mean log-probability of {log_prob:.2}, which \
             reads as gibberish"
        ));
    }
    if solutions.is_empty() {
        fit.reasons.push("no solution was finished in time: nothing is known of steps".into());
        return fit;
    }
    let given = figures(solutions, &search.boundary, search.max_step_tokens);
    let (boundary, figures) = best_boundary(solutions, search, given);
    if boundary != search.boundary {
        fit.reasons.push(format!(
            "boundary: {} cuts {:.1} steps per solution, {:.0} % of them without content; {boundary} {:.1} \
             and {:.0} %",
            search.boundary,
            given.steps,
            100.0 * given.without_content,
            figures.steps,
            100.0 * figures.without_content,
        ));
        fit.boundary = boundary;
    }
    fit.fit_limits(&figures, search, cut_off, solutions.len());
    fit
}

/// Returns the given boundary if it is good, otherwise the best of those without a parameter.
fn best_boundary(
    solutions: &[&Cutting],
    search: &SearchConfig,
    given: Figures,
) -> (Boundary, Figures) {
    if given.is_good() {
        return (search.boundary.clone(), given);
    }
    let others = [Boundary::Paragraph, Boundary::Newline, Boundary::Sentence].into_iter();
    let cut = |boundary: Boundary| {
        let found = figures(solutions, &boundary, search.max_step_tokens.max(256));
        (boundary, found)
    };
    let all = std::iter::once((search.boundary.clone(), given)).chain(others.map(cut));
    all.min_by(|a, b| a.1.fault().total_cmp(&b.1.fault())).unwrap_or((Boundary::Paragraph, given))
}

/// Minimum number of finished solutions for lowering a limit to the length of the solutions.
const ENOUGH: usize = 4;

impl Recommended {
    /// Sets depth and token limits from the lengths of solutions and steps.
    fn fit_limits(&mut self, found: &Figures, search: &SearchConfig, cut_off: usize, all: usize) {
        let depth = (found.most_steps as u32).clamp(3, 12);
        // A tree needs no more depth than solutions have steps. A difference of one step is ignored.
        let shallow = depth < search.max_depth && all < ENOUGH;
        if depth.abs_diff(search.max_depth) > 1 && !shallow {
            self.max_depth = depth;
            self.reasons.push(format!(
                "max_depth: nine solutions in ten have at most {} steps",
                found.most_steps
            ));
        }
        let step = (found.longest_step * 5 / 4).next_multiple_of(32);
        if found.longest_step >= search.max_step_tokens {
            self.max_step_tokens = step.max(search.max_step_tokens);
            self.reasons.push(format!(
                "max_step_tokens: the longest step has {} tokens",
                found.longest_step
            ));
        }
        if cut_off as f64 >= super::WARN_SHARE * all as f64 && cut_off > 0 {
            self.max_solution_tokens = 2 * search.max_solution_tokens;
            self.reasons.push(format!(
                "max_solution_tokens: {cut_off} of {all} solutions were cut off at {}",
                search.max_solution_tokens
            ));
        } else if found.longest * 4 < search.max_solution_tokens && all >= ENOUGH {
            self.max_solution_tokens = (found.longest * 2).next_multiple_of(64);
            self.reasons
                .push(format!("max_solution_tokens: the longest solution has {}", found.longest));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boundary_that_cuts_announcements_off_is_replaced() {
        let part = "Step 1: Add the two numbers.\nTo do this, we need to find both:\n\
                    \\[\n3 + 4 = 7\n\\]\n\n";
        let solution = Cutting::of_text(&part.repeat(5));
        let search = SearchConfig { max_depth: 5, ..SearchConfig::default() };
        let fit = recommend(&[&solution], &search, &Drawn::default(), 0);
        assert_eq!(fit.boundary, Boundary::Paragraph);
        assert!(fit.reasons[0].starts_with("boundary: newline cuts"), "{:?}", fit.reasons);
        let search = SearchConfig { boundary: Boundary::Paragraph, ..search };
        let fit = recommend(&[&solution], &search, &Drawn::default(), 0);
        assert!(!fit.reasons.iter().any(|r| r.starts_with("boundary")), "{:?}", fit.reasons);
    }

    #[test]
    fn limits_follow_what_solutions_are_like() {
        let line = "She sells sixteen of them and so 3 + 4 = 7 of the eggs are left.\n";
        let solution = Cutting::of_text(&line.repeat(6));
        let search =
            SearchConfig { max_step_tokens: 16, max_solution_tokens: 64, ..SearchConfig::chat() };
        let fit = recommend(&[&solution; 4], &search, &Drawn::default(), 1);
        assert_eq!(fit.max_solution_tokens, 128);
        assert!(fit.max_step_tokens >= 32 && fit.max_depth == 6, "{fit:?}");
        let fit = recommend(&[&solution], &search, &Drawn::default(), 0);
        assert_eq!(fit.max_depth, search.max_depth, "one solution says little");
    }

    #[test]
    fn without_a_finished_solution_nothing_is_recommended() {
        let fit = recommend(&[], &SearchConfig::chat(), &Drawn::default(), 0);
        assert_eq!(fit.boundary, Boundary::Paragraph);
        assert!(fit.reasons[0].contains("no solution"), "{:?}", fit.reasons);
    }
}
