//! Searches with the bundled model: how they are run does not change the files they write.

use crate::common::{assert_code, mcts, read};

#[test]
fn threads_and_batches_change_no_byte() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |threads: usize, batch: usize| {
        let out = folder.path().join(format!("{threads}-{batch}"));
        let how = format!("--threads {threads} --max-batch {batch} --no-log");
        let what = "--policy builtin --problems builtin:choice --limit 4 --simulations 6";
        assert_code(&mcts(&format!("search {what} {how} --out {}", out.display())), 0);
        ["pairs.jsonl", "trees.jsonl"].map(|file| read(out.join(file)))
    };
    let first = run(1, 1);
    assert!(
        first.iter().all(|text| text.lines().count() >= 4),
        "{} pairs",
        first[0].lines().count()
    );
    for threads in [1, 2, 8] {
        for batch in [1, 8, 64] {
            assert!(run(threads, batch) == first, "{threads} threads, batches of {batch}");
        }
    }
}
