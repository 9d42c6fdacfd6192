//! Full and read-only disks: a clear error, nothing is lost, and once there is space, the same command ends
//! with the same bytes.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::common::runs::{assert_same, contents};
use crate::common::{command, ok, regrowth, stderr, workshop};

fn args(run: &str) -> [&str; 5] {
    ["iterate", "--config", "tiny.toml", "--run", run]
}

/// A folder with a run that had enough space, and the run's files.
fn with_whole() -> (tempfile::TempDir, BTreeMap<String, Vec<u8>>) {
    let dir = workshop();
    ok(regrowth(dir.path(), &args("whole")));
    let whole = contents(&dir.path().join("whole"));
    (dir, whole)
}

/// The run with a limit on the size of a file, in KiB; a write beyond it fails as on a full disk.
fn limited(dir: &Path, kib: u64) -> Output {
    let script = format!(
        "trap '' XFSZ; ulimit -f {}; exec \"$0\" iterate --config tiny.toml --run run",
        2 * kib
    );
    Command::new("sh")
        .args(["-c", &script, env!("CARGO_BIN_EXE_regrowth")])
        .current_dir(dir)
        .output()
        .expect("a shell")
}

#[test]
fn a_file_that_cannot_grow_stops_the_run_and_nothing_is_lost() {
    let (dir, whole) = with_whole();
    let run = dir.path().join("run");
    let mut stopped = 0;
    for kib in [1, 2, 4, 8, 16, 24, 32, 48, 64] {
        let before = rows(&run);
        let output = limited(dir.path(), kib);
        if !output.status.success() {
            stopped += 1;
            assert_eq!(output.status.code(), Some(3), "{kib} KiB: {}", stderr(&output));
            let text = stderr(&output);
            assert!(text.contains("File too large") && text.contains("run/"), "{kib} KiB: {text}");
        }
        assert!(rows(&run) >= before, "{kib} KiB: rows were lost");
    }
    assert!(stopped >= 4, "{stopped}");
    ok(regrowth(dir.path(), &args("run")));
    assert_same(&whole, &contents(&run));
}

/// Number of trees on the disk.
fn rows(run: &Path) -> usize {
    let lines = |name: &str| {
        let bytes = std::fs::read(run.join("round-0001").join(name)).unwrap_or_default();
        bytes.iter().filter(|&&b| b == b'\n').count()
    };
    lines("trees.jsonl") + lines("trees.jsonl.part")
}

/// A file system of a given size; unmounted on drop.
struct Small(PathBuf);

impl Small {
    fn mount(at: &Path, kib: u64) -> Self {
        std::fs::create_dir_all(at).unwrap();
        let options = format!("size={kib}k");
        let mount = ["-t", "tmpfs", "-o", &options, "tmpfs"];
        let done = Command::new("mount").args(mount).arg(at).output().unwrap();
        assert!(done.status.success(), "{}", stderr(&done));
        Self(at.to_owned())
    }

    fn resize(&self, kib: u64) {
        let options = format!("remount,size={kib}k");
        let done = Command::new("mount").args(["-o", &options]).arg(&self.0).output().unwrap();
        assert!(done.status.success(), "{}", stderr(&done));
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // A failure cannot be handled here; the folder is then left behind.
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
#[ignore = "needs the right to mount a file system: .ci/run has the command"]
fn a_full_disk_stops_the_run_and_space_lets_it_finish() {
    let (dir, whole) = with_whole();
    let at = dir.path().join("small");
    let disk = Small::mount(&at, 40);
    let run = at.join("run");
    let mut stopped = 0;
    for kib in [40, 80, 120, 160, 240, 320, 400] {
        disk.resize(kib);
        let before = rows(&run);
        let output = regrowth(dir.path(), &args("small/run"));
        assert!(rows(&run) >= before, "{kib} KiB: rows were lost");
        if output.status.success() {
            break;
        }
        stopped += 1;
        assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
        let text = stderr(&output);
        assert!(text.contains("No space left"), "{kib} KiB: {text}");
        assert!(text.contains("resume with:"), "{kib} KiB: {text}");
    }
    assert!(stopped >= 2, "{stopped}");
    disk.resize(1 << 14);
    ok(regrowth(dir.path(), &args("small/run")));
    assert_same(&whole, &contents(&run));
}

#[test]
fn a_folder_that_may_not_be_written_is_named() {
    let (dir, whole) = with_whole();
    let open = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let closed = dir.path().join("closed");
    std::fs::create_dir(&closed).unwrap();
    open(dir.path(), 0o755);
    open(&closed, 0o555);
    let mut run = command(dir.path(), &args("closed/run"));
    if std::fs::write(closed.join("probe"), "").is_ok() {
        // Root may write anywhere, so run as another user.
        std::fs::remove_file(closed.join("probe")).unwrap();
        run.uid(65_534).gid(65_534);
    }
    let output = run.output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stderr(&output).contains("closed/run: Permission denied"), "{}", stderr(&output));
    assert!(!closed.join("run").exists());
    open(&closed, 0o755);
    ok(regrowth(dir.path(), &args("closed/run")));
    assert_same(&whole, &contents(&closed.join("run")));
}
