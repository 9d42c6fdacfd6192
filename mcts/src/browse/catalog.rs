//! Catalog of the trees of some files: list data and file position of each. Files of a run may be larger than
//! memory, so a tree is read again when it is opened.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::search::contains;
use crate::record::{TreeRecord, parse_row};
use crate::viewer::TreeView;
use crate::{PairConfig, SearchError};

/// A tree's data in the list.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(super) round: u32,
    pub(super) id: String,
    pub(super) question: String,
    /// Whether the committed solution is right; `None` without a reference answer.
    pub(super) correct: Option<bool>,
    /// Mean outcome of the finished solutions.
    pub(super) outcome: Option<f64>,
    pub(super) right: usize,
    pub(super) wrong: usize,
    pub(super) pairs: usize,
    pub(super) nodes: usize,
    place: Place,
}

/// Position of a row in the files.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    file: usize,
    offset: u64,
    bytes: usize,
    line: usize,
}

impl Entry {
    pub(super) fn of(tree: &TreeRecord, rules: &PairConfig) -> Self {
        let view = TreeView::new(tree, rules);
        let ends: Vec<f64> = tree.nodes.iter().filter(|n| n.terminal).map(|n| n.outcome).collect();
        Self {
            round: tree.round,
            correct: tree.problem.has_reference().then_some(tree.correct),
            outcome: (!ends.is_empty()).then(|| ends.iter().sum::<f64>() / ends.len() as f64),
            right: view.solutions("right"),
            wrong: view.solutions("wrong"),
            pairs: view.pairs(),
            nodes: view.nodes(),
            id: view.id,
            question: view.question,
            place: Place::default(),
        }
    }

    /// Whether the tree has both right and wrong solutions.
    pub(super) fn is_mixed(&self) -> bool {
        self.right > 0 && self.wrong > 0
    }

    /// Whether the tree has only wrong solutions.
    pub(super) fn is_wrong(&self) -> bool {
        self.right == 0 && self.wrong > 0
    }
}

/// The trees of some files.
#[derive(Debug)]
pub(crate) struct Catalog {
    files: Vec<PathBuf>,
    rules: PairConfig,
    entries: Vec<Entry>,
}

impl Catalog {
    /// Reads the list data of all trees of these files, or only of the trees of one problem.
    ///
    /// # Errors
    /// [`SearchError`] with file and line for a row that is not a tree.
    pub(crate) fn read(
        files: &[PathBuf],
        rules: &PairConfig,
        problem: Option<&str>,
    ) -> Result<Self, SearchError> {
        let mut found = Self { files: files.to_vec(), rules: rules.clone(), entries: Vec::new() };
        for (file, path) in files.iter().enumerate() {
            found.index(file, path, problem)?;
        }
        Ok(found)
    }

    fn index(
        &mut self,
        file: usize,
        path: &Path,
        problem: Option<&str>,
    ) -> Result<(), SearchError> {
        let io = |source| SearchError::Io { path: path.to_owned(), source };
        let mut rows = BufReader::new(File::open(path).map_err(io)?);
        let (mut text, mut place) = (String::new(), Place { file, line: 1, ..Place::default() });
        loop {
            text.clear();
            place.bytes = rows.read_line(&mut text).map_err(io)?;
            if place.bytes == 0 {
                return Ok(());
            }
            if !text.trim().is_empty() {
                let tree = parse_row(path, place.line, &text)?;
                if problem.is_none_or(|id| id == tree.problem.id) {
                    self.entries.push(Entry { place, ..Entry::of(&tree, &self.rules) });
                }
            }
            place.offset += place.bytes as u64;
            place.line += 1;
        }
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(super) fn rules(&self) -> &PairConfig {
        &self.rules
    }

    /// Reads a tree.
    ///
    /// # Errors
    /// [`SearchError`] if the file was replaced or can no longer be read.
    pub(super) fn open(&self, entry: usize) -> Result<TreeRecord, SearchError> {
        let place = self.entries[entry].place;
        let path = &self.files[place.file];
        let io = |source| SearchError::Io { path: path.clone(), source };
        let mut file = File::open(path).map_err(io)?;
        file.seek(SeekFrom::Start(place.offset)).map_err(io)?;
        let mut bytes = vec![0; place.bytes];
        file.read_exact(&mut bytes).map_err(io)?;
        parse_row(path, place.line, &String::from_utf8_lossy(&bytes))
    }

    /// Indices of the trees whose problem or steps contain `needle`, which is in lower case.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(super) fn containing(&self, needle: &str) -> Result<Vec<usize>, SearchError> {
        let mut found = Vec::new();
        for (index, entry) in self.entries.iter().enumerate() {
            let told = contains(&entry.id, needle) || contains(&entry.question, needle);
            if told || self.open(index)?.nodes.iter().any(|node| contains(&node.text, needle)) {
                found.push(index);
            }
        }
        Ok(found)
    }
}
