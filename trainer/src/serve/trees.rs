//! The page of a round's trees, including the finished trees of a running search.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use regrowth_mcts::viewer::{TreeSet, TreeView, render_page};
use regrowth_mcts::{PairConfig, read_trees};

use crate::rounds::{read_run_file, round_dir};

/// Maximum number of trees on the page, as in `mcts show --html`.
const TREES: usize = 200;
/// Maximum number of nodes on the page, which limits its size to about 5 MB.
const NODES: usize = 24_000;

/// Returns the page of a round's trees; `None` if the round has no trees.
pub(super) fn page(run: &Path, round: u32) -> Option<Result<String, String>> {
    let folder = round_dir(run, round);
    let names = ["trees.jsonl", "trees.jsonl.part"];
    let path = names.map(|name| folder.join(name)).into_iter().find(|path| path.is_file())?;
    let rules = match read_run_file(run) {
        Ok(file) => file?.config.pairs,
        Err(error) => return Some(Err(error.to_string())),
    };
    let title = format!("Search trees of round {round} of {}", run.display());
    Some(set(&path, round, &rules).and_then(|set| {
        render_page(&title, &[set]).map_err(|error| format!("the page cannot be made: {error:#}"))
    }))
}

fn set(path: &Path, round: u32, rules: &PairConfig) -> Result<TreeSet, String> {
    let (mut trees, mut nodes) = (Vec::new(), 0);
    // The last row of a running search may be incomplete: reading stops there.
    for tree in read_trees(path).map_err(|e| e.to_string())?.map_while(Result::ok) {
        nodes += tree.nodes.len();
        if trees.len() == TREES || nodes > NODES && !trees.is_empty() {
            break;
        }
        trees.push(TreeView::new(&tree, rules));
    }
    let rows = File::open(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let total = BufReader::new(rows).split(b'\n').count();
    Ok(TreeSet::new(&format!("round {round}"), total, trees))
}
