//! `shard.json`: describes a complete part, with checksums of its rows. It is written last.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use regrowth_datasets::{Problem, atomic_write, stream_key};
use serde::{Deserialize, Serialize};

use super::super::failure::Failure;
use super::super::paths::unwritten;
use super::super::rows::{JOINT_PAIRS, PAIRS, SKIPPED, TREES};
use super::super::summary::Finished;
use super::{Shard, unread};

/// Name of the file.
const DONE: &str = "shard.json";

/// Version of the file's format.
const VERSION: u32 = 1;

/// Number of bytes of a file that are hashed at once.
const CHUNK: usize = 1 << 20;

/// A complete part.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::cli) struct ShardRecord {
    version: u32,
    #[serde(flatten)]
    pub(in crate::cli) shard: Shard,
    /// Number of problems of all parts.
    pub(super) problems: u64,
    /// Hash of all problems.
    pub(super) problems_hash: String,
    /// Results of the part's search.
    #[serde(flatten)]
    pub(in crate::cli) finished: Finished,
    /// Hashes of the row files, by name.
    files: BTreeMap<String, String>,
}

impl ShardRecord {
    /// Describes the part whose rows are in the folder `attempt`. `problems` are the problems of all parts.
    pub(in crate::cli) fn of(
        shard: Shard,
        attempt: &Path,
        problems: &[Problem],
        finished: Finished,
    ) -> Result<Self, Failure> {
        let mut files = BTreeMap::new();
        for name in [TREES, PAIRS, JOINT_PAIRS, SKIPPED] {
            let path = attempt.join(name);
            if path.is_file() {
                files.insert(name.to_owned(), hash(&path)?);
            }
        }
        let json = serde_json::to_vec(problems)
            .map_err(|e| Failure::internal(format!("problems: {e}")))?;
        Ok(Self {
            version: VERSION,
            shard,
            problems: problems.len() as u64,
            problems_hash: format!("{:016x}", stream_key(0, &[&json])),
            finished,
            files,
        })
    }

    /// Whether the part in the folder `attempt` is complete.
    pub(super) fn is_in(attempt: &Path) -> bool {
        attempt.join(DONE).is_file()
    }

    pub(super) fn write(&self, attempt: &Path) -> Result<(), Failure> {
        let path = attempt.join(DONE);
        let text = serde_json::to_string_pretty(self)
            .map_err(|e| Failure::internal(format!("{}: {e}", path.display())))?;
        atomic_write(&path, |file| writeln!(file, "{text}")).map_err(unwritten)
    }

    /// Reads the record in the folder `attempt`, and checks the hashes of its files.
    pub(super) fn read(attempt: &Path) -> Result<Self, Failure> {
        let path = attempt.join(DONE);
        let text = std::fs::read_to_string(&path).map_err(|e| unread(&path, &e))?;
        let bad = |detail: String| Failure::file(format!("{}: {detail}", path.display()));
        let record: Self = serde_json::from_str(&text).map_err(|e| bad(e.to_string()))?;
        if record.version > VERSION {
            return Err(bad(format!(
                "version {}; this program reads up to {VERSION}",
                record.version
            )));
        }
        for name in [TREES, PAIRS] {
            if !record.files.contains_key(name) {
                return Err(bad(format!("`files`: expected a checksum of {name}")));
            }
        }
        for (name, expected) in &record.files {
            let file = attempt.join(name);
            if hash(&file)? != *expected {
                return Err(Failure::file(format!(
                    "{}: was changed or cut off after shard {} was complete; copy it again, or remove \
                     {} and search this part again",
                    file.display(),
                    record.shard,
                    path.display(),
                )));
            }
        }
        Ok(record)
    }
}

/// Hash of the content of a file.
fn hash(path: &Path) -> Result<String, Failure> {
    let mut file = File::open(path).map_err(|e| unread(path, &e))?;
    let (mut key, mut chunk) = (0, Vec::with_capacity(CHUNK));
    loop {
        chunk.clear();
        let read = Read::by_ref(&mut file).take(CHUNK as u64).read_to_end(&mut chunk);
        if read.map_err(|e| unread(path, &e))? == 0 {
            return Ok(format!("{key:016x}"));
        }
        key = stream_key(key, &[&chunk]);
    }
}
