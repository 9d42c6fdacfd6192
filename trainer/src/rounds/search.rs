//! The first phase of a round: trees, durable one by one, and the pairs cut from them.
//!
//! Trees are appended to `trees.jsonl.part` in the order of the problems, so a search that was cut
//! off goes on behind the last whole line. Pairs and counts are a pure function of the finished
//! `trees.jsonl`, read as a stream: memory does not grow with the number of problems.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use regrowth_datasets::{JsonlWriter, Problem, atomic_write, stream_key};
use regrowth_mcts::{
    RunOptions, SearchConfig, SearchError, TreeRecord, extract_pairs, read_trees, search_problems,
};
use regrowth_policy::{Policy, Usage};
use regrowth_verifiers::ProblemVerifier;
use serde::{Deserialize, Serialize};

use super::audit::Audit;
use super::config::RunConfig;
use super::driver::{Control, Observer};
use crate::TrainError;
use crate::artefact::{Checksums, checksums, remove, write_json};

pub(super) const TREES: &str = "trees.jsonl";
pub(super) const PAIRS: &str = "pairs.jsonl";
/// The file whose presence says that the phase is done.
pub(super) const DONE: &str = "search.json";

/// How often trees are forced to the disk, for the case that the machine stops and not only the
/// process.
const SYNC_EVERY: Duration = Duration::from_secs(5);

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
    /// Checksums of the two files.
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
}

impl SearchPhase<'_> {
    /// Searches what is not searched yet and writes pairs and counts. Returns what the model
    /// really computed.
    pub(super) fn run(
        &self,
        observer: &mut dyn Observer,
    ) -> Result<(SearchDone, Usage), TrainError> {
        let trees = self.dir.join(TREES);
        let mut usage = Usage::default();
        loop {
            if !trees.exists() {
                usage += self.grow(observer)?;
            }
            match self.cut() {
                Ok(audit) => return Ok((self.finish(audit)?, usage)),
                // Only a damaged disk or a foreign hand gets here; what it hit is grown again.
                Err(TrainError::Search(error @ SearchError::Row { .. })) => {
                    observer.note(&format!("{error}; the search of this round is done again"));
                    remove(&trees)?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn finish(&self, audit: Audit) -> Result<SearchDone, TrainError> {
        let done = SearchDone {
            version: 1,
            policy: self.policy.identity().to_owned(),
            problems: self.problems.len() as u64,
            audit,
            checksums: checksums(self.dir, &[TREES, PAIRS])?,
        };
        write_json(&self.dir.join(DONE), &done)?;
        Ok(done)
    }

    /// Grows the trees that are missing, then gives the file its name.
    fn grow(&self, observer: &mut dyn Observer) -> Result<Usage, TrainError> {
        let mut part = Part::open(&self.dir.join(format!("{TREES}.part")))?;
        let done = match part.last_problem()? {
            None => 0,
            Some(id) => match self.problems.iter().position(|p| p.id == id) {
                Some(index) => index + 1,
                None => {
                    observer.note("the half-grown trees are of other problems; starting again");
                    part.restart()?;
                    0
                }
            },
        };
        observer.begin(self.round, "search", self.problems.len());
        observer.skip(done);
        let config = SearchConfig {
            seed: stream_key(
                self.config.search.seed,
                &[b"round", &u64::from(self.round).to_le_bytes()],
            ),
            ..self.config.search.clone()
        };
        let options = RunOptions {
            threads: self.threads,
            round: self.round,
            cancel: self.control.cancel.clone(),
            ..RunOptions::default()
        };
        let mut written = Ok(());
        let mut right = 0u64;
        let mut grown = 0u64;
        let rest = &self.problems[done..];
        let summary =
            search_problems(self.policy, &ProblemVerifier, rest, &config, &options, |tree| {
                grown += 1;
                right += u64::from(tree.correct);
                observer.advance(&format!("{right} of {grown} committed answers right"));
                if written.is_ok() {
                    written = part.append(&tree);
                    if written.is_err() {
                        self.control.cancel();
                    }
                }
            })?;
        written?;
        observer.end();
        if summary.cancelled {
            return Err(TrainError::Interrupted);
        }
        for (reason, count) in &summary.skipped {
            let example = summary.skipped_examples.iter().find(|(_, r)| r.starts_with(reason));
            let example = example.map(|(id, why)| format!(", e.g. {id}: {why}"));
            let example = example.unwrap_or_default();
            observer.note(&format!("{count} problems skipped: {reason}{example}"));
        }
        part.finish(&self.dir.join(TREES))?;
        Ok(summary.usage)
    }

    /// Cuts the pairs of all trees into `pairs.jsonl`.
    fn cut(&self) -> Result<Audit, TrainError> {
        let mut audit = Audit::default();
        let mut failure = None;
        let written = atomic_write(&self.dir.join(PAIRS), |file| {
            let mut pairs = JsonlWriter::new(file);
            for tree in read_trees(&self.dir.join(TREES)).map_err(|e| stash(e, &mut failure))? {
                let tree = tree.map_err(|e| stash(e, &mut failure))?;
                let extracted = extract_pairs(&tree, &self.config.pairs);
                audit.add(&tree, &extracted);
                extracted.pairs.iter().try_for_each(|pair| pairs.write(pair))?;
            }
            Ok(())
        });
        match failure {
            Some(error) => Err(TrainError::Search(error)),
            None => written.map(|()| audit).map_err(TrainError::from),
        }
    }
}

/// Keeps the error that has a place in a file; the writer needs only to know that there is one.
fn stash(error: SearchError, place: &mut Option<SearchError>) -> std::io::Error {
    *place = Some(error);
    std::io::Error::other("bad tree")
}

/// A file of whole lines that grows; a torn last line is cut off when it is opened.
struct Part {
    path: PathBuf,
    file: File,
    line: Vec<u8>,
    synced: Instant,
}

impl Part {
    fn open(path: &Path) -> Result<Self, TrainError> {
        let io = |e| TrainError::io(path)(e);
        let options = OpenOptions::new().read(true).append(true).create(true).clone();
        let mut file = options.open(path).map_err(io)?;
        let end = whole_lines(&mut file).map_err(io)?;
        file.set_len(end).map_err(io)?;
        Ok(Self { path: path.to_owned(), file, line: Vec::new(), synced: Instant::now() })
    }

    /// Problem of the last tree. A last line that is no tree is removed, and the one before it
    /// counts.
    fn last_problem(&mut self) -> Result<Option<String>, TrainError> {
        loop {
            let io = |e| TrainError::io(&self.path)(e);
            let end = self.file.seek(SeekFrom::End(0)).map_err(io)?;
            if end == 0 {
                return Ok(None);
            }
            let start = line_start(&mut self.file, end - 1).map_err(io)?;
            self.file.seek(SeekFrom::Start(start)).map_err(io)?;
            let mut line = Vec::new();
            BufReader::new(&self.file).read_until(b'\n', &mut line).map_err(io)?;
            if let Ok(tree) = serde_json::from_slice::<TreeRecord>(&line) {
                return Ok(Some(tree.problem.id));
            }
            self.file.set_len(start).map_err(io)?;
        }
    }

    fn restart(&mut self) -> Result<(), TrainError> {
        self.file.set_len(0).map_err(TrainError::io(&self.path))
    }

    fn append(&mut self, tree: &TreeRecord) -> Result<(), TrainError> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, tree).map_err(|e| TrainError::File {
            path: self.path.clone(),
            detail: format!("a tree cannot be written as JSON: {e}"),
        })?;
        self.line.push(b'\n');
        let io = |e| TrainError::io(&self.path)(e);
        self.file.write_all(&self.line).map_err(io)?;
        if self.synced.elapsed() >= SYNC_EVERY {
            self.file.sync_data().map_err(io)?;
            self.synced = Instant::now();
        }
        Ok(())
    }

    /// Syncs the file and gives it its final name.
    fn finish(self, path: &Path) -> Result<(), TrainError> {
        self.file.sync_all().map_err(TrainError::io(&self.path))?;
        std::fs::rename(&self.path, path).map_err(TrainError::io(path))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        File::open(folder).and_then(|f| f.sync_all()).map_err(TrainError::io(folder))
    }
}

/// Bytes up to the end of the last whole line.
fn whole_lines(file: &mut File) -> std::io::Result<u64> {
    let end = file.seek(SeekFrom::End(0))?;
    line_start(file, end)
}

/// Where the line begins that `at` lies in: behind the last line break before `at`.
fn line_start(file: &mut File, at: u64) -> std::io::Result<u64> {
    const BLOCK: u64 = 1 << 16;
    let mut end = at;
    let mut block = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        block.resize((end - start) as usize, 0);
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut block)?;
        if let Some(offset) = block.iter().rposition(|&b| b == b'\n') {
            return Ok(start + offset as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rounds::{NoObserver, Preset, ProblemSets};
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
        let config = config();
        let phase = SearchPhase {
            dir,
            round: 1,
            config: &config,
            policy: &Scripted::new(),
            problems,
            threads: 1,
            control: &Control::default(),
        };
        phase.run(&mut NoObserver).unwrap().0
    }

    #[test]
    fn a_torn_or_damaged_part_ends_in_the_same_bytes() {
        let problems = ProblemSets::read(&config()).unwrap().train;
        let whole = tempfile::tempdir().unwrap();
        let done = search(whole.path(), &problems);
        assert!(done.audit.pairs > 0);
        let trees = std::fs::read(whole.path().join(TREES)).unwrap();
        for cut in [0, 1, trees.len() / 3, trees.len() / 2, trees.len() - 1, trees.len()] {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join("trees.jsonl.part"), &trees[..cut]).unwrap();
            assert_eq!(search(dir.path(), &problems), done, "cut at {cut}");
        }
        // A last line that was damaged, and a finished file that was.
        let dir = tempfile::tempdir().unwrap();
        let half = trees[..trees.len() / 2].iter().rposition(|&b| b == b'\n').unwrap();
        let mut part = trees[..=half].to_vec();
        part.extend_from_slice(b"{\"version\": 1, oops\n");
        std::fs::write(dir.path().join("trees.jsonl.part"), part).unwrap();
        assert_eq!(search(dir.path(), &problems), done);
        let mut flipped = trees;
        flipped[half + 2] = b'\t';
        std::fs::write(dir.path().join(TREES), flipped).unwrap();
        assert_eq!(search(dir.path(), &problems), done);
    }
}
