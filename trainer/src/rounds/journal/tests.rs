//! Interrupted, truncated and corrupted journals must end with the same bytes as an undisturbed one.

use super::*;
use crate::rounds::NoObserver;
use regrowth_datasets::{Split, tasks::problems_from_spec};

const N: usize = 40;

fn problems() -> Vec<Problem> {
    problems_from_spec("choice", Split::Train, 0).unwrap().take(N).collect()
}

/// Completes `path` with the questions as rows; about every seventh problem has no row. Returns the number of
/// problems that were computed.
fn run(path: &Path, fail_after: usize) -> Result<usize, TrainError> {
    let mut asked = 0;
    complete(path, &problems(), &mut NoObserver, &mut |todo, _, sink| {
        for problem in todo {
            if asked == fail_after {
                return Err(TrainError::Interrupted);
            }
            asked += 1;
            if !(problem.question.len()).is_multiple_of(7) {
                sink(&problem.id, &problem.question)?;
            }
        }
        Ok(())
    })?;
    Ok(asked)
}

fn files(path: &Path) -> [Vec<u8>; 2] {
    [path.to_owned(), beside(path, "sums")].map(|p| std::fs::read(p).unwrap())
}

fn whole() -> (tempfile::TempDir, PathBuf, [Vec<u8>; 2]) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rows.jsonl");
    assert_eq!(run(&path, usize::MAX).unwrap(), N);
    assert_eq!(run(&path, 0).unwrap(), 0);
    let files = files(&path);
    (dir, path, files)
}

#[test]
fn intact_rows_are_those_at_the_beginning_that_match_their_checksums() {
    let (_dir, path, [rows, _]) = whole();
    let wanted: Vec<String> = problems().into_iter().take(20).map(|problem| problem.id).collect();
    let intact = || intact::<String>(&path, &|id| wanted.iter().any(|w| w == id)).unwrap();
    let all = intact();
    let kept = |p: &&Problem| wanted.contains(&p.id) && !p.question.len().is_multiple_of(7);
    let expected =
        problems().iter().filter(kept).map(|p| (p.id.clone(), p.question.clone())).collect();
    assert_eq!(all, expected);
    // A row that is still valid JSON, but has changed.
    let mut changed = rows.clone();
    changed[1] ^= 1;
    std::fs::write(&path, changed).unwrap();
    assert_eq!(intact().len(), all.len() - 1);
    std::fs::write(beside(&path, "sums"), "no checksums").unwrap();
    assert!(intact().is_empty());
}

#[test]
fn interrupted_anywhere_it_goes_on_behind_the_last_row() {
    let (_dir, _, wanted) = whole();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rows.jsonl");
    for _ in 0..N {
        let _ = run(&path, 3);
    }
    assert_eq!(files(&path), wanted);
}

#[test]
fn torn_parts_end_in_the_same_bytes() {
    let (_dir, _, wanted) = whole();
    let [rows, sums] = &wanted;
    for (rows_cut, sums_cut) in
        [(0, 0), (9, 0), (0, 9), (rows.len() / 2, sums.len()), (rows.len(), sums.len() / 2)]
    {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows.jsonl");
        std::fs::write(beside(&path, "part"), &rows[..rows_cut]).unwrap();
        std::fs::write(beside(&path, "sums"), &sums[..sums_cut]).unwrap();
        run(&path, usize::MAX).unwrap();
        assert_eq!(files(&path), wanted, "{rows_cut} {sums_cut}");
    }
}

#[test]
fn any_flipped_byte_is_found_and_costs_one_row() {
    let (_dir, path, wanted) = whole();
    for at in (0..wanted[0].len()).step_by(97) {
        let mut bytes = wanted[0].clone();
        bytes[at] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(run(&path, usize::MAX).unwrap(), 1, "byte {at}");
        assert_eq!(files(&path), wanted);
    }
    for at in (0..wanted[1].len()).step_by(31) {
        let mut bytes = wanted[1].clone();
        bytes[at] ^= 1;
        std::fs::write(beside(&path, "sums"), bytes).unwrap();
        run(&path, usize::MAX).unwrap();
        assert_eq!(files(&path), wanted, "checksum byte {at}");
    }
}

#[test]
fn a_file_that_lost_or_gained_its_end_is_made_whole() {
    let (_dir, path, wanted) = whole();
    std::fs::write(&path, &wanted[0][..wanted[0].len() - 20]).unwrap();
    assert_eq!(run(&path, usize::MAX).unwrap(), 1);
    assert_eq!(files(&path), wanted);
    std::fs::write(&path, [wanted[0].as_slice(), b"{}\n"].concat()).unwrap();
    run(&path, usize::MAX).unwrap();
    assert_eq!(files(&path), wanted);
    std::fs::remove_file(beside(&path, "sums")).unwrap();
    assert_eq!(run(&path, usize::MAX).unwrap(), N);
    assert_eq!(files(&path), wanted);
}
