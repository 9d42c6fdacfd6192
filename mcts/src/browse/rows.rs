//! Rows of the list and of a tree as text in columns.

use super::catalog::Entry;
use super::text::one_line;
use super::walk::Walk;

/// Maximum number of characters of a text in a row: more than any screen is wide.
const LONGEST: usize = 500;
/// Maximum number of characters of a problem's id in the list.
const ID: usize = 24;

/// Column headings of [`entry`].
pub(super) const LIST_HEAD: &str = "round  answer  outcome  right  wrong  pairs   nodes  problem";

/// Row of a tree in the list.
pub(super) fn entry(entry: &Entry) -> String {
    let answer = match entry.correct {
        Some(true) => "right",
        Some(false) => "wrong",
        None => "-",
    };
    let outcome = entry.outcome.map_or("-".to_owned(), |mean| format!("{mean:+.2}"));
    let (right, wrong, pairs, nodes) = (entry.right, entry.wrong, entry.pairs, entry.nodes);
    let (id, question) = (one_line(&entry.id, ID), one_line(&entry.question, LONGEST));
    let round = entry.round;
    format!(
        "{round:>5}  {answer:<6}  {outcome:>7}  {right:>5}  {wrong:>5}  {pairs:>5}  {nodes:>6}  {id}  {question}"
    )
}

/// Column headings of [`node`].
pub(super) const TREE_HEAD: &str = "        Q     N     p     C   O  step";

/// Marks of the nodes: committed, chosen side, rejected side.
#[derive(Debug)]
pub(super) struct Marks(Vec<[char; 3]>);

impl Marks {
    pub(super) fn of(walk: &Walk) -> Self {
        let mut marks = vec![[' '; 3]; walk.view.nodes.len()];
        walk.view.committed.iter().for_each(|&id| marks[id as usize][0] = '*');
        for pair in &walk.view.pairs {
            marks[pair.chosen as usize][1] = '+';
            marks[pair.rejected as usize][2] = '-';
        }
        Self(marks)
    }

    fn at(&self, node: u32) -> String {
        self.0[node as usize].iter().collect()
    }
}

/// Row of a node in an open tree.
pub(super) fn node(walk: &Walk, marks: &Marks, id: u32) -> String {
    let (record, view) = (&walk.record.nodes[id as usize], &walk.view.nodes[id as usize]);
    let indent = 2 * record.depth as usize;
    let fold = match (walk.has_children(id), walk.is_unfolded(id)) {
        (false, _) => '\u{b7}',
        (true, true) => '\u{25be}',
        (true, false) => '\u{25b8}',
    };
    if id == 0 {
        // Indented to the column in which the steps begin.
        return format!("{:32}{fold} {}", "", one_line(&walk.record.problem.question, LONGEST));
    }
    let judged = view.self_evaluation.map_or("-".to_owned(), |c| format!("{c:.2}"));
    let outcome = view.end.as_ref().map_or(String::new(), |end| format!("{:+.0}", end.outcome));
    let verdict = view.end.as_ref().map_or(String::new(), |end| format!("[{}] ", end.verdict));
    format!(
        "{} {:+.2} {:>5} {:.3} {judged:>5}  {outcome:>2} {:indent$}{fold} {verdict}{}",
        marks.at(id),
        view.q,
        view.visits,
        view.prior,
        "",
        one_line(&record.text, LONGEST)
    )
}
