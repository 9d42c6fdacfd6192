//! The row files of a search: `trees.jsonl`, `pairs.jsonl`, `joint_pairs.jsonl` if `pairs.joint` is above 0,
//! and `skipped.jsonl` if problems were skipped.
//!
//! Rows are written as they are delivered, in the order of the problems. Each file appears complete or not at
//! all.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;

use regrowth_datasets::{DataError, JsonlWriter, Problem, atomic_write, write_jsonl};
use regrowth_verifiers::Verifier;
use serde::{Deserialize, Serialize};

use super::summary::PairCounts;
use crate::calibration::unanswered;
use crate::pairs::JointPairs;
use crate::{PairConfig, SkipReason, TreeRecord, extract_pairs};

/// File of the trees.
pub(super) const TREES: &str = "trees.jsonl";
/// File of the pairs extracted from them.
pub(super) const PAIRS: &str = "pairs.jsonl";
/// File of the joint pairs; absent if `pairs.joint` is 0.
pub(super) const JOINT_PAIRS: &str = "joint_pairs.jsonl";
/// File of the problems without a tree; absent if there are none.
pub(super) const SKIPPED: &str = "skipped.jsonl";

type Writer<'a> = JsonlWriter<&'a mut BufWriter<File>>;

/// A problem without a tree.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SkippedRow<'a> {
    id: Cow<'a, str>,
    reason: Cow<'a, str>,
    detail: Option<Cow<'a, str>>,
}

/// Writes the rows of a search.
pub(super) struct Rows<'a> {
    trees: Writer<'a>,
    pairs: Writer<'a>,
    skipped: Writer<'a>,
    joint: JointPairs,
    rules: &'a PairConfig,
    /// Verifies solutions whose outcome the search did not see.
    verifier: &'a dyn Verifier,
    /// Counts collected while writing.
    counts: &'a mut PairCounts,
}

impl Rows<'_> {
    /// Opens the files in the folder `out` and lets `fill` write them. `counts` counts the pairs.
    pub(super) fn write(
        out: &Path,
        rules: &PairConfig,
        verifier: &dyn Verifier,
        counts: &mut PairCounts,
        fill: impl FnOnce(&mut Rows<'_>) -> io::Result<()>,
    ) -> Result<(), DataError> {
        let inner = io::Error::other::<DataError>;
        let mut solutions = JointPairs::default();
        atomic_write(&out.join(TREES), |trees| {
            atomic_write(&out.join(PAIRS), |pairs| {
                atomic_write(&out.join(SKIPPED), |skipped| {
                    let [trees, pairs, skipped] = [trees, pairs, skipped].map(JsonlWriter::new);
                    let joint = JointPairs::default();
                    let mut rows = Rows {
                        trees,
                        pairs,
                        skipped,
                        joint,
                        rules,
                        verifier,
                        counts: &mut *counts,
                    };
                    fill(&mut rows)?;
                    solutions = rows.joint;
                    Ok(())
                })
                .map_err(inner)
            })
            .map_err(inner)
        })?;
        if rules.joint == 0 {
            return Ok(());
        }
        let (joint, found) = solutions.pairs(rules.joint);
        counts.joint = Some(found);
        write_jsonl(&out.join(JOINT_PAIRS), &joint)
    }

    /// Writes a problem's tree, or the reason why it was skipped.
    pub(super) fn add(
        &mut self,
        problem: &Problem,
        result: &Result<TreeRecord, SkipReason>,
    ) -> io::Result<()> {
        match result {
            Ok(tree) => self.add_tree(tree),
            Err(skip) => {
                let (reason, detail) = (skip.reason().into(), skip.detail().map(Cow::from));
                self.add_skipped(&SkippedRow { id: (&problem.id).into(), reason, detail })
            }
        }
    }

    /// Writes a skipped problem.
    pub(super) fn add_skipped(&mut self, row: &SkippedRow<'_>) -> io::Result<()> {
        self.skipped.write(row)
    }

    /// Writes a tree and its pairs.
    pub(super) fn add_tree(&mut self, tree: &TreeRecord) -> io::Result<()> {
        self.trees.write(tree)?;
        let extracted = extract_pairs(tree, self.rules);
        self.counts.add(&extracted);
        if self.rules.joint > 0 {
            self.joint.add(tree);
        }
        self.counts.sampled += tree.sampled_tokens;
        self.counts.solutions.add(tree, self.verifier);
        self.counts.unanswered.merge(unanswered(tree));
        self.counts.verified.add(tree, self.verifier);
        extracted.pairs.iter().try_for_each(|pair| self.pairs.write(pair))
    }
}
