//! The documentation of the repository: no relative link or anchor is broken, the README is short, every
//! page of the book is in an index, and every log begins with its verdict.
//!
//! Anchors of headings are computed as GitHub does. External addresses are not visited.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

/// Longest README, in words; a newcomer reads it in three minutes.
const README_WORDS: usize = 700;

/// Folders with pages and sources, besides the files at the root.
const FOLDERS: [&str; 9] =
    ["benches", "datasets", "docs", "examples", "mcts", "models", "policy", "trainer", "verifiers"];

/// Extensions of sources whose comments and messages refer to pages of the book.
const SOURCES: [&str; 4] = ["rs", "toml", "py", "sh"];

#[test]
fn every_link_leads_somewhere() {
    let site = Site::of_repository();
    let dead: Vec<String> = site.pages.keys().flat_map(|page| site.dead_links(page)).collect();
    assert!(dead.is_empty(), "dead links:\n{}", dead.join("\n"));
}

#[test]
fn every_page_that_a_source_names_exists() {
    let site = Site::of_repository();
    let mut dead = Vec::new();
    for file in site.files.iter().filter(|file| ends_in(file, &SOURCES)) {
        if *file == Path::new("datasets/tests/it/documentation.rs") {
            continue; // the fixtures below
        }
        let text = std::fs::read_to_string(root().join(file)).unwrap_or_default();
        for named in pages_named(&text) {
            if let Err(why) = site.follow(Path::new(""), &named) {
                dead.push(format!("{}: `{named}`: {why}", file.display()));
            }
        }
    }
    assert!(dead.is_empty(), "pages that are not there:\n{}", dead.join("\n"));
}

#[test]
fn the_readme_is_short() {
    let words = Site::of_repository().pages[Path::new("README.md")].split_whitespace().count();
    assert!(words <= README_WORDS, "README.md has {words} words, more than {README_WORDS}");
}

#[test]
fn every_page_of_the_book_is_in_an_index() {
    let site = Site::of_repository();
    let mut reached = BTreeSet::new();
    let mut waiting = vec![PathBuf::from("docs/README.md")];
    while let Some(page) = waiting.pop() {
        if !reached.insert(page.clone()) {
            continue;
        }
        let is_index = page.ends_with("README.md");
        let links = site.pages.get(&page).filter(|_| is_index).map(|text| links(text));
        for (_, target) in links.unwrap_or_default() {
            waiting.extend(site.follow(parent(&page), &target).ok());
        }
    }
    let in_book = |page: &&PathBuf| page.starts_with("docs");
    let lost: Vec<_> =
        site.pages.keys().filter(in_book).filter(|p| !reached.contains(*p)).collect();
    assert!(lost.is_empty(), "pages that no index lists: {lost:?}");
}

#[test]
fn every_log_begins_with_its_verdict() {
    let mut logs = 0;
    for (page, text) in Site::of_repository().pages {
        if page.starts_with("docs/experiments") && !page.ends_with("README.md") {
            logs += 1;
            let second = text.split("\n\n").nth(1).unwrap_or_default();
            assert!(second.starts_with("**Verdict.** "), "{}: {second}", page.display());
        }
    }
    assert!(logs > 0, "no log was read");
}

/// All pages, and all files that a link may point to, by their path from the root.
struct Site {
    pages: BTreeMap<PathBuf, String>,
    files: BTreeSet<PathBuf>,
}

impl Site {
    fn of_repository() -> Self {
        let root = root();
        let mut files = BTreeSet::new();
        for folder in FOLDERS {
            collect(&root, Path::new(folder), &mut files);
        }
        for entry in std::fs::read_dir(&root).expect("the root can be listed") {
            let entry = entry.expect("an entry");
            if entry.path().is_file() {
                files.insert(PathBuf::from(entry.file_name()));
            }
        }
        let read = |file: &PathBuf| std::fs::read_to_string(root.join(file)).expect("UTF-8");
        let pages = files.iter().filter(|file| ends_in(file, &["md"]));
        Self { pages: pages.map(|file| (file.clone(), read(file))).collect(), files }
    }

    fn of_pages(pages: &[(&str, &str)]) -> Self {
        let pages: BTreeMap<PathBuf, String> =
            pages.iter().map(|&(path, text)| (path.into(), text.to_owned())).collect();
        Self { files: pages.keys().cloned().collect(), pages }
    }

    /// Faults of the links of a page, one text per link.
    fn dead_links(&self, page: &Path) -> Vec<String> {
        let checked = links(&self.pages[page]).into_iter().filter_map(|(line, target)| {
            let why = self.follow_from(page, &target).err()?;
            Some(format!("{}:{line}: `{target}`: {why}", page.display()))
        });
        checked.collect()
    }

    fn follow_from(&self, page: &Path, target: &str) -> Result<PathBuf, String> {
        match target.strip_prefix('#') {
            Some(anchor) => self.anchor(page, anchor).map(|()| page.to_owned()),
            None => self.follow(parent(page), target),
        }
    }

    /// The file that a link target in a folder points to, after checking its anchor.
    fn follow(&self, folder: &Path, target: &str) -> Result<PathBuf, String> {
        if target.contains("://") || target.starts_with("mailto:") {
            return Ok(PathBuf::new());
        }
        let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
        let path = joined(folder, path).ok_or("leads out of the repository")?;
        let is_folder =
            self.files.range(path.clone()..).next().is_some_and(|f| f.starts_with(&path));
        if !self.files.contains(&path) && !is_folder {
            return Err("no such file".into());
        }
        if anchor.is_empty() { Ok(path) } else { self.anchor(&path, anchor).map(|()| path) }
    }

    fn anchor(&self, path: &Path, anchor: &str) -> Result<(), String> {
        let Some(text) = self.pages.get(path) else {
            return Err("an anchor of a file that is no page".into());
        };
        let known = anchors(text);
        if known.contains(anchor) {
            return Ok(());
        }
        Err(format!("no heading with this anchor; there are {known:?}"))
    }
}

fn root() -> PathBuf {
    parent(Path::new(env!("CARGO_MANIFEST_DIR"))).to_owned()
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

fn ends_in(path: &Path, endings: &[&str]) -> bool {
    path.extension().and_then(|e| e.to_str()).is_some_and(|e| endings.contains(&e))
}

/// Adds the files under a folder, except build outputs and hidden files.
fn collect(root: &Path, folder: &Path, files: &mut BTreeSet<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(root.join(folder)) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let path = folder.join(&name);
        let kind = entry.file_type().expect("the kind of an entry");
        if kind.is_dir() && name != "target" && !name.to_string_lossy().starts_with('.') {
            collect(root, &path, files);
        } else if kind.is_file() {
            files.insert(path);
        }
    }
}

/// `folder` joined with a relative path, without `..`; `None` if the result is outside the root.
fn joined(folder: &Path, path: &str) -> Option<PathBuf> {
    let mut whole = PathBuf::new();
    for part in folder.join(path).components() {
        match part {
            Component::Normal(name) => whole.push(name),
            Component::CurDir => {}
            Component::ParentDir => {
                if !whole.pop() {
                    return None;
                }
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(whole)
}

/// The lines of a page outside code blocks, with their numbers from 1.
fn prose(text: &str) -> Vec<(usize, &str)> {
    let (mut fenced, mut may_indent) = (false, true);
    let mut lines = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            continue;
        }
        let is_blank = line.trim().is_empty();
        let is_code = may_indent && line.starts_with("    ");
        if !fenced && !is_code && !is_blank {
            lines.push((index + 1, line));
        }
        may_indent = is_blank || is_code;
    }
    lines
}

/// A line without the text between backticks.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("")
}

/// Targets of inline links, pictures and link definitions, with their lines.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in prose(text) {
        let line = without_code(line);
        if let Some((_, target)) = line.split_once("]: ").filter(|_| line.starts_with('[')) {
            found.push((number, target.trim().to_owned()));
        }
        for rest in line.split("](").skip(1) {
            let target = rest.split([')', ' ']).next().unwrap_or_default();
            found.push((number, target.to_owned()));
        }
    }
    found
}

/// Anchors of the headings of a page, as GitHub computes them.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    let mut all = BTreeSet::new();
    for (_, line) in prose(text) {
        let title = line.trim_start_matches('#');
        let level = line.len() - title.len();
        if !(1..=6).contains(&level) || !title.starts_with(' ') {
            continue;
        }
        let slug = slug(title.trim());
        let seen = times.entry(slug.clone()).or_default();
        all.insert(if *seen == 0 { slug } else { format!("{slug}-{seen}") });
        *seen += 1;
    }
    all
}

/// Letters, digits, `-` and `_` in lower case, spaces as `-`, without the addresses of links.
fn slug(title: &str) -> String {
    let mut text = String::new();
    for (index, part) in title.split("](").enumerate() {
        let visible = if index == 0 { part } else { part.split_once(')').map_or("", |(_, t)| t) };
        text.push_str(visible);
    }
    let kept = text.chars().filter_map(|c| match c {
        ' ' => Some('-'),
        '-' | '_' => Some(c),
        c => c.is_alphanumeric().then_some(c),
    });
    kept.flat_map(char::to_lowercase).collect()
}

/// Every `docs/....md`, perhaps with an anchor, in a text.
fn pages_named(text: &str) -> Vec<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_/.#".contains(c);
    let mut found = Vec::new();
    for (start, _) in text.match_indices("docs/") {
        let rest: String = text[start..].chars().take_while(|&c| allowed(c)).collect();
        let named = rest.trim_end_matches(['.', '#']);
        if named.split('#').next().is_some_and(|path| path.ends_with(".md")) {
            found.push(named.to_owned());
        }
    }
    found
}

#[test]
fn dead_links_and_anchors_are_found() {
    let site = Site::of_pages(&[
        ("README.md", "# One\n[a](docs/a.md) [b](docs/b.md) [c](docs/a.md#two-words) [d](#one)"),
        (
            "docs/a.md",
            "# Two, `words`\n[up](../README.md#one)\n[x](#three) ![p](p.svg) [o](../../o.md)",
        ),
    ]);
    let readme = site.dead_links(Path::new("README.md"));
    assert_eq!(readme, ["README.md:2: `docs/b.md`: no such file"]);
    let page = site.dead_links(Path::new("docs/a.md"));
    assert_eq!(page.len(), 3, "{page:?}");
    assert!(page[0].starts_with("docs/a.md:3: `#three`: no heading with this anchor"));
    assert!(page[1].ends_with("`p.svg`: no such file"));
    assert!(page[2].ends_with("leads out of the repository"));
}

#[test]
fn links_in_code_and_to_other_sites_are_left_alone() {
    let page =
        "`[a](b.md)`\n\n    [c](d.md)\n\n```\n[e](f.md)\n```\n[g](https://h.org/i) [`j`](k.md)";
    let targets: Vec<String> = links(page).into_iter().map(|(_, target)| target).collect();
    assert_eq!(targets, ["https://h.org/i", "k.md"]);
    let site = Site::of_pages(&[("README.md", page)]);
    assert_eq!(site.dead_links(Path::new("README.md")), ["README.md:8: `k.md`: no such file"]);
}

#[test]
fn anchors_are_those_of_github() {
    let text = "# A b\n## The preset `chat`\n## `regrowth.json`, read\n# A b\n### [Keep](https://k.org) it";
    let expected = ["a-b", "a-b-1", "keep-it", "regrowthjson-read", "the-preset-chat"];
    assert_eq!(anchors(text).into_iter().collect::<Vec<_>>(), expected.map(String::from));
}

#[test]
fn pages_are_found_in_sources() {
    let text = "see docs/a.md#b, (docs/c.md) and ../../docs/d/e.md.\n// docs/f.rs docs/g";
    assert_eq!(pages_named(text), ["docs/a.md#b", "docs/c.md", "docs/d/e.md"]);
}
