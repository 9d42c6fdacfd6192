//! Writes model folders, with their tokenizer files, so that a folder is never seen half-written.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::PolicyError;
use crate::candle::checkpoint::source::Source;
use crate::text::Files;

/// Files of a checkpoint, besides weights and configuration, that are copied with it.
const COMPANIONS: [&str; 11] = [
    "generation_config.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "chat_template.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "regrowth.json",
];

/// Writes the folder `dir`: the companion files of `origin` and the files that `write` creates. `write` gets
/// the path of a temporary folder, which replaces `dir` once everything is on disk.
pub(crate) fn replace_folder(
    dir: &Path,
    origin: &Source,
    write: impl FnOnce(&Path) -> io::Result<()>,
) -> Result<(), PolicyError> {
    let mut companions = Vec::new();
    for name in COMPANIONS {
        if let Some(bytes) = origin.optional(name)? {
            companions.push((name, bytes));
        }
    }
    let replace = || -> io::Result<()> {
        let (staged, old) = (beside(dir, ".tmp"), beside(dir, ".old"));
        remove(&staged)?;
        fs::create_dir_all(&staged)?;
        write(&staged)?;
        for (name, bytes) in &companions {
            fs::write(staged.join(name), bytes)?;
        }
        for entry in fs::read_dir(&staged)? {
            File::open(entry?.path())?.sync_all()?;
        }
        File::open(&staged)?.sync_all()?;
        remove(&old)?;
        if dir.exists() {
            fs::rename(dir, &old)?;
        }
        fs::rename(&staged, dir)?;
        remove(&old)?;
        let parent = dir.parent().filter(|p| !p.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
    };
    replace().map_err(|e| PolicyError::File {
        path: dir.to_owned(),
        detail: format!("cannot write the folder: {e}"),
    })
}

/// Returns `dir` with `suffix` appended to its name.
fn beside(dir: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = dir.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    dir.with_file_name(name)
}

fn remove(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}
