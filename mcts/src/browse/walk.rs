//! State of an open tree: unfolded steps, the selected step, and the search.

use super::details;
use super::list::moved;
use super::search::contains;
use crate::PairConfig;
use crate::record::TreeRecord;
use crate::viewer::TreeView;

/// The root; its row shows the problem.
const ROOT: u32 = 0;

/// The state of an open tree.
#[derive(Debug)]
pub(super) struct Walk {
    /// The tree with full texts.
    pub(super) record: TreeRecord,
    /// Verdicts, pairs and figures, as on the viewer page.
    pub(super) view: TreeView,
    children: Vec<Vec<u32>>,
    /// Position of each node in the fully unfolded tree, from top to bottom.
    places: Vec<usize>,
    unfolded: Vec<bool>,
    /// Visible nodes, from top to bottom.
    pub(super) rows: Vec<u32>,
    /// Index of the selected node in `rows`.
    pub(super) chosen: usize,
    /// First visible line of the selected step's text.
    pub(super) scroll: usize,
    /// Whether keys scroll the text instead of moving in the tree.
    pub(super) reads: bool,
    pub(super) needle: Option<String>,
    /// Nodes that contain the search text, from top to bottom of the fully unfolded tree.
    pub(super) hits: Vec<u32>,
}

impl Walk {
    /// Opens a tree with its committed path unfolded.
    pub(super) fn new(record: TreeRecord, rules: &PairConfig) -> Self {
        let mut children = vec![Vec::new(); record.nodes.len()];
        for (id, node) in (0u32..).zip(&record.nodes) {
            node.parent.iter().for_each(|&parent| children[parent as usize].push(id));
        }
        let view = TreeView::new(&record, rules);
        let unfolded = vec![false; record.nodes.len()];
        let mut walk = Self {
            record,
            view,
            places: vec![0; children.len()],
            children,
            unfolded,
            rows: Vec::new(),
            chosen: 0,
            scroll: 0,
            reads: false,
            needle: None,
            hits: Vec::new(),
        };
        for (place, node) in walk.preorder(|_| true).into_iter().enumerate() {
            walk.places[node as usize] = place;
        }
        walk.fold_all();
        walk
    }

    /// The selected node.
    pub(super) fn node(&self) -> u32 {
        self.rows.get(self.chosen).copied().unwrap_or(ROOT)
    }

    pub(super) fn has_children(&self, node: u32) -> bool {
        !self.children[node as usize].is_empty()
    }

    pub(super) fn is_unfolded(&self, node: u32) -> bool {
        self.unfolded[node as usize]
    }

    /// Moves the selection by `by` rows.
    pub(super) fn step(&mut self, by: isize) {
        self.choose_row(moved(self.chosen, by, self.rows.len()));
    }

    /// Scrolls the text of the selected step by `by` lines. The text is drawn in a pane of this size.
    pub(super) fn read_on(&mut self, by: isize, [width, height]: [usize; 2]) {
        let lines = details::lines(self, width).len();
        self.scroll = moved(self.scroll, by, (lines + 1).saturating_sub(height));
    }

    fn choose_row(&mut self, row: usize) {
        if row != self.chosen {
            self.scroll = 0;
        }
        self.chosen = row;
    }

    /// Selects a node and unfolds all nodes above it.
    fn choose(&mut self, node: u32) {
        for above in self.record.path(node).into_iter().chain([ROOT]) {
            if above != node || node == ROOT {
                self.unfolded[above as usize] = true;
            }
        }
        self.refresh(node);
    }

    /// Recomputes the visible nodes. Selects `node`, or its nearest visible ancestor.
    fn refresh(&mut self, node: u32) {
        self.rows = self.preorder(|node| self.unfolded[node as usize]);
        let path = self.record.path(node).into_iter().rev().chain([ROOT]);
        let row = path.filter_map(|id| self.rows.iter().position(|&row| row == id)).next();
        self.choose_row(row.unwrap_or(0));
    }

    /// All nodes from top to bottom; the children of a node are included only if `is_open` returns true for
    /// it.
    fn preorder(&self, is_open: impl Fn(u32) -> bool) -> Vec<u32> {
        let (mut order, mut stack) = (Vec::new(), vec![ROOT]);
        while let Some(node) = stack.pop() {
            order.push(node);
            if is_open(node) {
                stack.extend(self.children[node as usize].iter().rev());
            }
        }
        order
    }

    /// Unfolds the selected node; if it is unfolded already, selects its first child.
    pub(super) fn unfold(&mut self) {
        let node = self.node();
        if self.is_unfolded(node) && self.has_children(node) {
            self.step(1);
        } else if self.has_children(node) {
            self.unfolded[node as usize] = true;
            self.refresh(node);
        }
    }

    /// Folds the selected node; if it is folded already, selects its parent.
    pub(super) fn fold(&mut self) {
        let node = self.node();
        if self.is_unfolded(node) && self.has_children(node) {
            self.unfolded[node as usize] = false;
            self.refresh(node);
        } else if let Some(parent) = self.record.nodes[node as usize].parent {
            self.refresh(parent);
        }
    }

    pub(super) fn toggle(&mut self) {
        let node = self.node();
        self.unfolded[node as usize] ^= true;
        self.refresh(node);
    }

    /// Unfolds the selected node and all nodes below it.
    pub(super) fn unfold_below(&mut self) {
        let (node, mut stack) = (self.node(), vec![self.node()]);
        while let Some(node) = stack.pop() {
            self.unfolded[node as usize] = true;
            stack.extend(&self.children[node as usize]);
        }
        self.refresh(node);
    }

    pub(super) fn unfold_all(&mut self) {
        self.unfolded.fill(true);
        self.refresh(self.node());
    }

    /// Folds everything except the committed path.
    pub(super) fn fold_all(&mut self) {
        self.unfolded.fill(false);
        self.unfolded[ROOT as usize] = true;
        self.record.committed.iter().for_each(|&id| self.unfolded[id as usize] = true);
        self.refresh(self.node());
    }

    /// Searches the steps for `needle`, which is in lower case. Selects the first match at or after the
    /// selected step.
    pub(super) fn search(&mut self, needle: &str) {
        let has = |id: &u32| contains(&self.record.nodes[*id as usize].text, needle);
        self.hits = self.preorder(|_| true).into_iter().filter(has).collect();
        self.needle = Some(needle.to_owned());
        let at = self.place(self.node());
        let from = self.hits.iter().find(|&&hit| self.place(hit) >= at);
        self.choose_hit(from.or(self.hits.first()).copied());
    }

    /// Selects the next match; after the last match, the first one.
    pub(super) fn next_hit(&mut self) {
        let at = self.place(self.node());
        let next = self.hits.iter().find(|&&hit| self.place(hit) > at);
        self.choose_hit(next.or(self.hits.first()).copied());
    }

    /// Selects the previous match; before the first match, the last one.
    pub(super) fn previous_hit(&mut self) {
        let at = self.place(self.node());
        let before = self.hits.iter().rev().find(|&&hit| self.place(hit) < at);
        self.choose_hit(before.or(self.hits.last()).copied());
    }

    fn choose_hit(&mut self, hit: Option<u32>) {
        hit.into_iter().for_each(|hit| self.choose(hit));
    }

    /// Position of a node in the fully unfolded tree.
    fn place(&self, node: u32) -> usize {
        self.places[node as usize]
    }

    /// Number of the selected step among the matches, from 1; `None` if it is not a match.
    pub(super) fn hit(&self) -> Option<usize> {
        self.hits.iter().position(|&id| id == self.node()).map(|at| at + 1)
    }
}
