//! Memory that this process may still use under its control groups (Linux), such as the limit of a
//! container.
//!
//! `/proc/self/cgroup` lists the groups. The limits of all groups above a group apply to it, up to the root
//! that is mounted here, which in a container is often the container's own group. File names are from the
//! kernel's documentation of control groups, versions 1 and 2.

use std::fs::read_to_string;
use std::path::Path;

/// Paths and files of a version of control groups.
#[derive(Debug, PartialEq, Eq)]
struct Version {
    /// Mount point of its groups.
    root: &'static str,
    /// File with the limit of a group in bytes.
    limit: &'static str,
    /// File with the bytes in use by a group.
    usage: &'static str,
    /// Fields of `memory.stat` with bytes of cached files, which the kernel frees on demand.
    files: [&'static str; 2],
}

const FIRST: Version = Version {
    root: "/sys/fs/cgroup/memory",
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    files: ["total_active_file", "total_inactive_file"],
};

const SECOND: Version = Version {
    root: "/sys/fs/cgroup",
    limit: "memory.max",
    usage: "memory.current",
    files: ["active_file", "inactive_file"],
};

/// Returns the bytes that this process may still use; `None` if no group has a limit.
pub(crate) fn room() -> Option<u64> {
    let groups = read_to_string("/proc/self/cgroup").ok()?;
    let room = |(version, path): (&Version, &str)| version.room(Path::new(version.root), path);
    groups.lines().filter_map(|line| room(memory_group(line)?)).min()
}

/// Returns the version and path of the group in a line of `/proc/self/cgroup`; `None` if the line has no
/// memory group.
fn memory_group(line: &str) -> Option<(&'static Version, &str)> {
    let (_number, rest) = line.split_once(':')?;
    match rest.split_once(':')? {
        ("", path) => Some((&SECOND, path)),
        (kinds, path) => kinds.split(',').any(|kind| kind == "memory").then_some((&FIRST, path)),
    }
}

impl Version {
    /// Returns the smallest number of bytes left in a group and all groups above it, up to `root`.
    fn room(&self, root: &Path, path: &str) -> Option<u64> {
        let group = root.join(path.trim_start_matches('/'));
        let groups = group.ancestors().take_while(|group| group.starts_with(root));
        groups.filter_map(|group| self.left(|file| read_to_string(group.join(file)).ok())).min()
    }

    /// Returns the bytes left in one group, whose files `read` returns; `None` if the group has no limit.
    fn left(&self, read: impl Fn(&str) -> Option<String>) -> Option<u64> {
        // The limit file of a group without a limit contains `max`, which is not a number.
        let number = |file| read(file)?.trim().parse::<u64>().ok();
        let (limit, usage) = (number(self.limit)?, number(self.usage)?);
        let stat = read("memory.stat").unwrap_or_default();
        let cached: u64 = self.files.iter().filter_map(|name| field(&stat, name)).sum();
        Some(limit.saturating_sub(usage.saturating_sub(cached)))
    }
}

/// Returns a number of `memory.stat`, which has a name and a number in each line.
fn field(stat: &str, name: &str) -> Option<u64> {
    let of_line = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok();
    stat.lines().find_map(of_line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_those_that_limit_memory() {
        let second = "0::/user.slice/app.scope";
        assert_eq!(memory_group(second), Some((&SECOND, "/user.slice/app.scope")));
        let first = "4:cpu,memory:/docker/0a:b";
        assert_eq!(memory_group(first), Some((&FIRST, "/docker/0a:b")));
        for other in ["3:cpuset:/docker/0a", "9:name=systemd:/", "", "memory"] {
            assert_eq!(memory_group(other), None, "{other}");
        }
    }

    #[test]
    fn a_group_leaves_what_it_does_not_hold_and_what_it_holds_of_files() {
        let left = |limit: &str, usage: &str, stat: &str| {
            SECOND.left(|file| match file {
                "memory.max" => Some(format!("{limit}\n")),
                "memory.current" => Some(format!("{usage}\n")),
                _ => Some(stat.to_owned()),
            })
        };
        assert_eq!(left("max", "10", ""), None);
        assert_eq!(left("100", "30", ""), Some(70));
        let stat = "anon 5\nfile 99\nactive_file 10\ninactive_file 15\ninactive_file_x 7\n";
        assert_eq!(left("100", "30", stat), Some(95));
        assert_eq!(left("100", "130", ""), Some(0));
        assert_eq!(FIRST.left(|_| None), None);
    }

    #[test]
    fn the_narrowest_group_on_the_way_to_the_root_counts() {
        let dir = tempfile::tempdir().unwrap();
        let group = |path: &str, limit: &str| {
            let group = dir.path().join(path);
            std::fs::create_dir_all(&group).unwrap();
            std::fs::write(group.join(SECOND.limit), limit).unwrap();
            std::fs::write(group.join(SECOND.usage), "10").unwrap();
        };
        group("a/b", "max");
        assert_eq!(SECOND.room(dir.path(), "/a/b"), None);
        group("a", "50");
        group("", "90");
        assert_eq!(SECOND.room(dir.path(), "/a/b"), Some(40));
        // A container sees its own group as the root, whatever its path outside.
        assert_eq!(SECOND.room(dir.path(), "/docker/0a"), Some(80));
    }
}
