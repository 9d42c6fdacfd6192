//! `mcts show`: one tree as text, or several trees as a page or in a terminal browser.
//!
//! For a run, text shows the latest round; page and browser contain all rounds, so that the trees of one
//! problem can be compared.

use std::io::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::Args;
use regrowth_datasets::atomic_write;

use super::failure::Failure;
use super::paths::{check_output, unwritten};
use super::rules::RuleFlags;
use super::{print_line, trees};
use crate::browse::{self, App, Catalog};
use crate::flags::at_least_one;
use crate::show::{STEP_CHARS, render_text};
use crate::viewer::{TreeSet, TreeView, render_page};
use crate::{PairConfig, TreeRecord, read_trees};

pub(super) const EXAMPLES: &str = "\
Examples:
  mcts show --trees search
  mcts show --trees runs/default --browse
  mcts show --trees runs/default --html trees.html
  mcts show --trees before --against after --html trees.html";

/// Arguments of `mcts show`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Input and output")]
pub(crate) struct Arguments {
    /// Trees: a file, or the folder of a search, of a round or of a run (text shows its latest round)
    #[arg(long, value_name = "PATH")]
    trees: PathBuf,
    /// Id of the problem [default: text shows the first tree, a page and --browse show all]
    #[arg(long, value_name = "ID")]
    problem: Option<String>,
    /// Browse the trees in this terminal: list, fold, search; `?` explains the keys
    #[arg(long, conflicts_with_all = ["html", "full"])]
    browse: bool,
    /// Show the full text of every step, not only its first 100 characters
    #[arg(long)]
    full: bool,
    /// Write a page with a tree viewer (fold, search, compare rounds), instead of text to stdout [default:
    /// text on stdout]
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Maximum number of trees from each file on the page
    #[arg(long, value_name = "N", default_value = "200", value_parser = at_least_one::<NonZeroUsize>, requires = "html")]
    limit: NonZeroUsize,
    /// Other trees, given as for --trees, to compare with those of the same problems on the page [default:
    /// none]
    #[arg(long, value_name = "PATH", requires = "html")]
    against: Option<PathBuf>,
    #[command(flatten)]
    rules: RuleFlags,
}

/// Runs the command.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    if arguments.browse {
        return browse(arguments);
    }
    let files = trees::files(&arguments.trees)?;
    let rules = |files: &[PathBuf]| arguments.rules.rules(&files[0]);
    match &arguments.html {
        Some(path) => {
            let against = arguments.against.as_deref().map(trees::files).transpose()?;
            let mut taken: Vec<_> = files.iter().map(|f| ("--trees", f.as_path())).collect();
            taken.extend(against.iter().flatten().map(|f| ("--against", f.as_path())));
            check_output("--html", path, &taken)?;
            let mut sets = sets(arguments, &files, &rules(&files)?, None)?;
            if let (Some(files), Some(named)) = (&against, &arguments.against) {
                sets.extend(self::sets(arguments, files, &rules(files)?, Some(named))?);
            }
            write_page(arguments, path, &sets)
        }
        None => {
            let tree = find(arguments, &files)?;
            let longest = if arguments.full { usize::MAX } else { STEP_CHARS };
            print_line(render_text(&tree, &rules(&files)?, longest).trim_end())
        }
    }
}

/// Browses the trees of all rounds in the terminal.
fn browse(arguments: &Arguments) -> Result<(), Failure> {
    browse::check_terminal().map_err(Failure::usage)?;
    let files = trees::files(&arguments.trees)?;
    let rules = arguments.rules.rules(&files[0])?;
    let catalog = Catalog::read(&files, &rules, arguments.problem.as_deref())?;
    if catalog.entries().is_empty() {
        return Err(missing(arguments));
    }
    let app = App::new(&arguments.trees.display().to_string(), catalog.entries());
    browse::run(&catalog, app).map_err(|error| Failure::file(format!("terminal: {error}")))
}

/// The first matching tree of the latest file that has one.
fn find(arguments: &Arguments, files: &[PathBuf]) -> Result<TreeRecord, Failure> {
    for file in files.iter().rev() {
        for tree in read_trees(file)? {
            let tree = tree?;
            if is_wanted(arguments, &tree) {
                return Ok(tree);
            }
        }
    }
    Err(missing(arguments))
}

fn is_wanted(arguments: &Arguments, tree: &TreeRecord) -> bool {
    arguments.problem.as_ref().is_none_or(|id| *id == tree.problem.id)
}

fn missing(arguments: &Arguments) -> Failure {
    let file = arguments.trees.display();
    Failure::file(match &arguments.problem {
        Some(id) => format!("{file}: no tree of the problem `{id}`"),
        None => format!("{file}: holds no tree"),
    })
}

/// The trees of each file, named after its round or folder. If `source` is set, it is added to the name.
fn sets(
    arguments: &Arguments,
    files: &[PathBuf],
    rules: &PairConfig,
    source: Option<&Path>,
) -> Result<Vec<TreeSet>, Failure> {
    let mut sets = Vec::new();
    for file in files {
        let (mut total, mut round, mut shown) = (0, 0, Vec::new());
        for tree in read_trees(file)? {
            let tree = tree?;
            if !is_wanted(arguments, &tree) {
                continue;
            }
            total += 1;
            round = tree.round;
            if shown.len() < arguments.limit.get() {
                shown.push(TreeView::new(&tree, rules));
            }
        }
        let folder = file.parent().and_then(Path::file_name).map(|name| name.to_string_lossy());
        let mut name = match round {
            0 => folder.map_or_else(|| "trees".to_owned(), |name| name.into_owned()),
            round => format!("round {round}"),
        };
        if let Some(source) = source {
            name = format!("{name} of {}", source.display());
        }
        sets.push(TreeSet::new(&name, total, shown));
    }
    sets.retain(|set| !set.is_empty());
    Ok(sets)
}

fn write_page(arguments: &Arguments, path: &Path, sets: &[TreeSet]) -> Result<(), Failure> {
    if sets.is_empty() {
        return Err(missing(arguments));
    }
    let title = match &arguments.problem {
        Some(id) => format!("Search trees of {id}"),
        None => format!("Search trees of {}", arguments.trees.display()),
    };
    let page = render_page(&title, sets).map_err(|e| Failure::internal(format!("page: {e}")))?;
    atomic_write(path, |file| file.write_all(page.as_bytes())).map_err(unwritten)
}
