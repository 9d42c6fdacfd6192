//! The first phase of a round: trees, durable one by one, and the pairs cut from them.
//!
//! Trees go to the disk in the order of the problems as they are finished, so a search that was cut
//! off goes on behind the last one. Pairs and counts are a pure function of the finished
//! `trees.jsonl`, read as a stream: memory does not grow with the number of problems.

use std::path::Path;

use regrowth_datasets::{Problem, stream_key};
use regrowth_mcts::{
    JudgedSolutions, LikelihoodFit, LikelihoodScale, RunOptions, SearchConfig, TreeRecord,
    cut_trees, extract_pairs, extract_step_labels, search_problems,
};
use regrowth_policy::{Policy, Usage};
use regrowth_verifiers::ProblemVerifier;
use serde::{Deserialize, Serialize};

use super::audit::Audit;
use super::config::RunConfig;
use super::driver::{Control, NoObserver, Observer};
use super::journal::{self, Sink};
use super::scale;
use crate::TrainError;
use crate::artefact::{Checksums, checksums, write_sealed};

pub(super) const TREES: &str = "trees.jsonl";
pub(super) const PAIRS: &str = "pairs.jsonl";
pub(super) const STEP_LABELS: &str = "step_labels.jsonl";
/// The file whose presence says that the phase is done.
pub(super) const DONE: &str = "search.json";

/// `search.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct SearchDone {
    /// Version of the file.
    pub(super) version: u32,
    /// Identity of the policy that searched.
    pub(super) policy: String,
    /// Problems of the round.
    pub(super) problems: u64,
    /// Counts over trees and pairs.
    pub(super) audit: Audit,
    /// Checksums of the files.
    pub(super) checksums: Checksums,
}

/// What a search needs.
pub(super) struct SearchPhase<'a> {
    pub(super) dir: &'a Path,
    pub(super) round: u32,
    pub(super) config: &'a RunConfig,
    pub(super) policy: &'a dyn Policy,
    pub(super) problems: &'a [Problem],
    pub(super) threads: usize,
    pub(super) control: &'a Control,
    /// What the round before found log-likelihoods to say of outcomes.
    pub(super) likelihood: Option<LikelihoodScale>,
}

/// What is said while trees grow.
#[derive(Default)]
struct Tally {
    grown: u64,
    right: u64,
}

impl SearchPhase<'_> {
    /// Searches what is not searched yet and writes pairs and counts. Returns what the model
    /// really computed.
    pub(super) fn run(
        &self,
        observer: &mut dyn Observer,
    ) -> Result<(SearchDone, Usage), TrainError> {
        let mut usage = Usage::default();
        journal::complete(
            &self.dir.join(TREES),
            self.problems,
            observer,
            &mut |todo, see, sink| {
                usage += self.grow(todo, see, sink)?;
                Ok(())
            },
        )?;
        let audit = self.cut()?;
        let mut files = vec![TREES, PAIRS];
        if self.config.dpo.judge.weight > 0.0 {
            self.cut_step_labels()?;
            files.push(STEP_LABELS);
        }
        Ok((self.finish(audit, &files)?, usage))
    }

    fn finish(&self, audit: Audit, files: &[&str]) -> Result<SearchDone, TrainError> {
        let done = SearchDone {
            version: 1,
            policy: self.policy.identity().to_owned(),
            problems: self.problems.len() as u64,
            audit,
            checksums: checksums(self.dir, files)?,
        };
        write_sealed(&self.dir.join(DONE), &done)?;
        Ok(done)
    }

    /// Grows the trees of these problems: the first of the round on the scale of the round before, the
    /// rest on what those say.
    fn grow(
        &self,
        problems: &[Problem],
        observer: &mut dyn Observer,
        sink: &mut Sink<TreeRecord>,
    ) -> Result<Usage, TrainError> {
        observer.begin(self.round, "search", self.problems.len());
        observer.skip(self.problems.len() - problems.len());
        let first = &self.problems[..scale::calibrating(self.config, self.problems.len())];
        let before = self.likelihood.unwrap_or(self.config.search.value.likelihood);
        let (own, rest) = scale::part(problems, first);
        let mut outcomes = LikelihoodFit::default();
        let mut tally = Tally::default();
        let mut usage = self.search(own, before, &mut tally, observer, &mut |id, tree| {
            outcomes.add(tree, &ProblemVerifier);
            sink(id, tree)
        })?;
        if !rest.is_empty() {
            let outcomes = (own.len() == first.len()).then_some(outcomes);
            let scale = self.scale(first, outcomes, before, &mut usage, observer)?;
            usage += self.search(rest, scale, &mut tally, observer, sink)?;
        }
        observer.end();
        Ok(usage)
    }

    /// The scale of the problems behind the `first`, whose `outcomes` are known if they were all
    /// searched just now.
    fn scale(
        &self,
        first: &[Problem],
        outcomes: Option<LikelihoodFit>,
        before: LikelihoodScale,
        usage: &mut Usage,
        observer: &mut dyn Observer,
    ) -> Result<LikelihoodScale, TrainError> {
        if first.is_empty() {
            return Ok(before);
        }
        if let Some(scale) = scale::read(self.dir, observer) {
            return Ok(scale);
        }
        let outcomes = match outcomes {
            Some(outcomes) => outcomes,
            // The scale got lost, and some of its trees are on the disk: all are grown once more for it.
            None => {
                let mut outcomes = LikelihoodFit::default();
                let silent = (&mut Tally::default(), &mut NoObserver);
                *usage += self.search(first, before, silent.0, silent.1, &mut |_, tree| {
                    outcomes.add(tree, &ProblemVerifier);
                    Ok(())
                })?;
                outcomes
            }
        };
        scale::write(self.dir, &outcomes, before)
    }

    /// Grows trees whose likelihoods are judged on this scale.
    fn search(
        &self,
        problems: &[Problem],
        scale: LikelihoodScale,
        tally: &mut Tally,
        observer: &mut dyn Observer,
        sink: &mut Sink<TreeRecord>,
    ) -> Result<Usage, TrainError> {
        if problems.is_empty() {
            return Ok(Usage::default());
        }
        let seed = &[b"round".as_slice(), &u64::from(self.round).to_le_bytes()];
        let mut config = SearchConfig {
            seed: stream_key(self.config.search.seed, seed),
            ..self.config.search.clone()
        };
        config.value.likelihood = scale;
        let options = RunOptions {
            threads: self.threads,
            round: self.round,
            cancel: self.control.cancel.clone(),
            ..RunOptions::default()
        };
        let mut written = Ok(());
        let on_tree = |tree: TreeRecord| {
            tally.grown += 1;
            tally.right += u64::from(tree.correct);
            let Tally { right, grown } = tally;
            observer.advance(&format!("{right} of {grown} committed answers right"));
            if written.is_ok() {
                written = sink(&tree.problem.id, &tree);
                if written.is_err() {
                    self.control.cancel();
                }
            }
        };
        let verifier = &ProblemVerifier;
        let summary = search_problems(self.policy, verifier, problems, &config, &options, on_tree)?;
        written?;
        if summary.cancelled {
            return Err(TrainError::Interrupted);
        }
        for (reason, count) in &summary.skipped {
            let example = summary.skipped_examples.iter().find(|(_, r)| r.starts_with(reason));
            let example = example.map(|(id, why)| format!(", e.g. {id}: {why}"));
            let example = example.unwrap_or_default();
            observer.note(&format!("{count} problems skipped: {reason}{example}"));
        }
        Ok(summary.usage)
    }

    /// Cuts the pairs of all trees into `pairs.jsonl`.
    fn cut(&self) -> Result<Audit, TrainError> {
        let mut audit = Audit::default();
        let mut solutions = JudgedSolutions::default();
        let mut likelihood = LikelihoodFit::default();
        cut_trees(&self.dir.join(TREES), &self.dir.join(PAIRS), |tree| {
            let extracted = extract_pairs(tree, &self.config.pairs);
            audit.add(tree, &extracted);
            solutions.add(tree, &ProblemVerifier);
            likelihood.add(tree, &ProblemVerifier);
            extracted.pairs
        })?;
        audit.self_evaluation = solutions.calibration();
        audit.likelihood = likelihood.scale();
        Ok(audit)
    }

    /// Cuts what teaches the judge into `step_labels.jsonl`.
    fn cut_step_labels(&self) -> Result<(), TrainError> {
        let rules = &self.config.step_labels;
        Ok(cut_trees(&self.dir.join(TREES), &self.dir.join(STEP_LABELS), |tree| {
            extract_step_labels(tree, rules)
        })?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rounds::{Preset, ProblemSets};
    use regrowth_datasets::read_step_labels;
    use regrowth_mcts::JudgeForm;
    use regrowth_policy::Scripted;

    fn config() -> RunConfig {
        RunConfig {
            problems: "builtin:choice".into(),
            rounds: 1,
            problems_per_round: 30,
            validation_problems: 2,
            eval_problems: 2,
            ..Preset::Builtin.config()
        }
    }

    fn search(dir: &Path, problems: &[Problem]) -> SearchDone {
        search_with(dir, problems, &config())
    }

    fn search_with(dir: &Path, problems: &[Problem], config: &RunConfig) -> SearchDone {
        let phase = SearchPhase {
            dir,
            round: 1,
            config,
            policy: &Scripted::new(),
            problems,
            threads: 1,
            control: &Control::default(),
            likelihood: None,
        };
        phase.run(&mut NoObserver).unwrap().0
    }

    #[test]
    fn labels_of_steps_are_cut_where_the_judge_is_taught() {
        let mut config = config();
        let problems = ProblemSets::read(&config).unwrap().train;
        let cut = |config: &RunConfig| {
            let dir = tempfile::tempdir().unwrap();
            let done = search_with(dir.path(), &problems, config);
            (done, read_step_labels(&dir.path().join(STEP_LABELS)))
        };
        let (without, none) = cut(&config);
        assert!(none.is_err() && !without.checksums.contains_key(STEP_LABELS));
        config.dpo.judge.weight = 1.0;
        let (with, labels) = cut(&config);
        let labels = labels.unwrap();
        assert!(with.checksums.contains_key(STEP_LABELS));
        assert_eq!(with.audit, without.audit);
        assert!(labels.iter().any(|l| l.label) && labels.iter().any(|l| !l.label));
    }

    #[test]
    fn a_damaged_tree_is_grown_again_and_pairs_are_cut_again() {
        let problems = ProblemSets::read(&config()).unwrap().train;
        let dir = tempfile::tempdir().unwrap();
        let done = search(dir.path(), &problems);
        assert!(done.audit.pairs > 0);
        let trees = std::fs::read(dir.path().join(TREES)).unwrap();
        for at in [100, trees.len() / 2, trees.len() - 1] {
            let mut flipped = trees.clone();
            flipped[at] ^= 1;
            std::fs::write(dir.path().join(TREES), flipped).unwrap();
            assert_eq!(search(dir.path(), &problems), done);
        }
        std::fs::write(dir.path().join(PAIRS), "damaged").unwrap();
        assert_eq!(search(dir.path(), &problems), done);
    }

    /// Whatever is lost of the files, trees are judged on the scale that they were first judged on.
    #[test]
    fn a_lost_scale_is_found_again() {
        let mut config = RunConfig { calibration_problems: 50, problems_per_round: 60, ..config() };
        config.search.value.judge = JudgeForm::Answers;
        let problems = ProblemSets::read(&config).unwrap().train;
        let dir = tempfile::tempdir().unwrap();
        let (trees, file) = (dir.path().join(TREES), dir.path().join(scale::SCALE));
        let done = search_with(dir.path(), &problems, &config);
        let whole = std::fs::read(&trees).unwrap();
        let found = std::fs::read(&file).unwrap();
        let scale = scale::read(dir.path(), &mut NoObserver);
        assert!(scale.is_some_and(|found| found != config.search.value.likelihood));
        let last = whole.len() - 1;
        for (tree, lost) in [(last, None), (last, Some("")), (100, Some("no scale")), (100, None)] {
            match lost {
                None => std::fs::remove_file(&file).unwrap(),
                Some(text) => std::fs::write(&file, text).unwrap(),
            }
            let mut flipped = whole.clone();
            flipped[tree] ^= 1;
            std::fs::write(&trees, flipped).unwrap();
            assert_eq!(search_with(dir.path(), &problems, &config), done);
            if tree == last {
                assert_eq!(std::fs::read(&file).unwrap(), found);
            }
        }
    }
}
