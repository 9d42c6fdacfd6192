//! Files of a run: written atomically, with checksums that detect later corruption.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use regrowth_datasets::{DataError, FolderLock, atomic_write};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::TrainError;

/// SHA-256 by path relative to the folder of a round.
pub(crate) type Checksums = BTreeMap<String, String>;

/// Creates the folder given by the flag `--NAME` if needed and locks it for this process.
///
/// # Errors
/// [`TrainError::Setting`] if a file is in its place, [`TrainError::Run`] if another process holds the lock,
/// [`TrainError::Data`] if it cannot be created or written.
pub(crate) fn hold(folder: &Path, name: &'static str) -> Result<FolderLock, TrainError> {
    let lock = FolderLock::hold(folder).map_err(|error| match error {
        DataError::Io { source, .. } if is_file(&source) => taken(folder, name),
        other => other.into(),
    })?;
    lock.ok_or_else(|| TrainError::Run {
        path: folder.to_owned(),
        detail: format!(
            "another process writes into this folder; wait for it, or name another --{name}"
        ),
    })
}

/// Creates the folder given by the flag `--NAME`, or a folder within it, and checks that it is writable.
///
/// # Errors
/// Those of [`hold`], except that other processes may write to the folder as well.
pub(crate) fn check_folder(folder: &Path, name: &'static str) -> Result<(), TrainError> {
    let made = std::fs::create_dir_all(folder);
    match made.and_then(|()| tempfile::tempfile_in(folder).map(drop)) {
        Err(error) if is_file(&error) => Err(taken(folder, name)),
        Err(error) => Err(TrainError::io(folder)(error)),
        Ok(()) => Ok(()),
    }
}

fn taken(folder: &Path, name: &'static str) -> TrainError {
    let detail = format!(
        "{} is a file or lies inside one; expected a folder, which is made if needed",
        folder.display()
    );
    TrainError::Setting { name, detail }
}

/// Whether the error means that a file is in the place of the folder.
fn is_file(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotADirectory | ErrorKind::AlreadyExists)
}

/// Writes `value` as indented JSON.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), TrainError> {
    let text = serde_json::to_string_pretty(value).map_err(|e| TrainError::File {
        path: path.to_owned(),
        detail: format!("cannot be written as JSON: {e}"),
    })?;
    write_text(path, &(text + "\n"))
}

/// Writes `value` as indented JSON whose last line is the SHA-256 of the rest, so that later corruption is
/// detected.
pub(crate) fn write_checksummed(path: &Path, value: &impl Serialize) -> Result<(), TrainError> {
    let text = serde_json::to_string_pretty(value).map_err(|e| TrainError::File {
        path: path.to_owned(),
        detail: format!("cannot be written as JSON: {e}"),
    })?;
    let seal = seal(&hex_sha256(text.as_bytes()));
    let open = text.strip_suffix(END).unwrap_or(&text);
    write_text(path, &format!("{open}{seal}"))
}

/// Reads a file written by [`write_checksummed`]; `None` if there is no such file.
pub(crate) fn read_checksummed<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, TrainError> {
    let Some(value) = read_json(path)? else { return Ok(None) };
    let text = std::fs::read_to_string(path).map_err(TrainError::io(path))?;
    let length = seal(&hex_sha256(b"")).len();
    let at = text.len().saturating_sub(length);
    let whole = text
        .split_at_checked(at)
        .is_some_and(|(open, found)| found == seal(&hex_sha256(format!("{open}{END}").as_bytes())));
    if whole {
        return Ok(Some(value));
    }
    Err(TrainError::File {
        path: path.to_owned(),
        detail: "does not match the checksum in its last line; it was changed".into(),
    })
}

/// End of a JSON object of several lines.
const END: &str = "\n}";

/// Returns the end of a checksummed object.
fn seal(sum: &str) -> String {
    format!(",\n  \"sha256\": \"{sum}\"\n}}\n")
}

/// Writes `text` atomically.
pub(crate) fn write_text(path: &Path, text: &str) -> Result<(), TrainError> {
    Ok(atomic_write(path, |file| std::io::Write::write_all(file, text.as_bytes()))?)
}

/// Reads a JSON file; `None` if there is no such file.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, TrainError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(TrainError::io(path)(e)),
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|e| TrainError::File {
        path: path.to_owned(),
        detail: format!("{e}; it was changed, or written by another version"),
    })
}

/// SHA-256 of a file, in hexadecimal.
pub(crate) fn sha256(path: &Path) -> Result<String, TrainError> {
    let mut file = File::open(path).map_err(TrainError::io(path))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer).map_err(TrainError::io(path))? {
            0 => break,
            n => hasher.update(&buffer[..n]),
        }
    }
    Ok(hex(hasher))
}

/// SHA-256 of some bytes, in hexadecimal.
pub(crate) fn hex_sha256(bytes: &[u8]) -> String {
    hex(Sha256::new_with_prefix(bytes))
}

/// Returns a finished SHA-256 in hexadecimal.
pub(crate) fn hex(hasher: Sha256) -> String {
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Computes the checksums of files in `dir`.
pub(crate) fn checksums(dir: &Path, names: &[&str]) -> Result<Checksums, TrainError> {
    names.iter().map(|name| Ok(((*name).to_owned(), sha256(&dir.join(name))?))).collect()
}

/// Returns what is wrong with the first missing or changed file; `None` if all match their checksums.
pub(crate) fn damage(dir: &Path, checksums: &Checksums) -> Option<String> {
    checksums.iter().find_map(|(name, wanted)| {
        let path = dir.join(name);
        match sha256(&path) {
            Ok(found) if found == *wanted => None,
            Ok(_) => Some(format!("{} does not match its checksum", path.display())),
            Err(error) => Some(error.to_string()),
        }
    })
}

/// Removes a file; it is no error if the file does not exist.
pub(crate) fn remove(path: &Path) -> Result<(), TrainError> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(TrainError::io(path)(e)),
        _ => Ok(()),
    }
}

/// Links the files of the folder `from` into `to` as hard links, or copies them if linking fails. `to` is
/// created if needed.
pub(crate) fn link_files(from: &Path, to: &Path) -> Result<(), TrainError> {
    make_dir(to)?;
    for entry in std::fs::read_dir(from).map_err(TrainError::io(from))? {
        let file = entry.map_err(TrainError::io(from))?.path();
        let copy = to.join(file.file_name().unwrap_or_default());
        if std::fs::hard_link(&file, &copy).is_err() {
            std::fs::copy(&file, &copy).map_err(TrainError::io(&copy))?;
            File::open(&copy).and_then(|f| f.sync_all()).map_err(TrainError::io(&copy))?;
        }
    }
    Ok(())
}

/// Creates a folder and its parents.
pub(crate) fn make_dir(path: &Path) -> Result<(), TrainError> {
    std::fs::create_dir_all(path).map_err(TrainError::io(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_file_shows_every_changed_byte_and_stays_json() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sealed.json");
        let value = BTreeMap::from([("a".to_owned(), 1.5), ("b".to_owned(), 2.0)]);
        assert_eq!(read_checksummed::<BTreeMap<String, f64>>(&path).unwrap(), None);
        write_checksummed(&path, &value).unwrap();
        let read = || read_checksummed::<serde_json::Value>(&path);
        assert_eq!(read().unwrap().unwrap()["a"], 1.5);
        let bytes = std::fs::read(&path).unwrap();
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            std::fs::write(&path, &flipped).unwrap();
            assert!(read().unwrap_err().to_string().contains("sealed.json"), "byte {at}");
        }
        std::fs::write(&path, "{}\n").unwrap();
        assert!(read().is_err());
    }

    #[test]
    fn a_flipped_byte_and_a_missing_file_are_named() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a"), "abc").unwrap();
        let sums = checksums(dir.path(), &["a"]).unwrap();
        assert_eq!(sums["a"], "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(damage(dir.path(), &sums), None);
        std::fs::write(dir.path().join("a"), "abd").unwrap();
        assert!(damage(dir.path(), &sums).unwrap().contains("a does not match"));
        remove(&dir.path().join("a")).unwrap();
        remove(&dir.path().join("a")).unwrap();
        assert!(damage(dir.path(), &sums).is_some());
    }
}
