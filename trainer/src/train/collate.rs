//! Packs sequences into a forest, so that shared prefixes are computed once.
//!
//! A sequence is a list of token ids whose tail is scored. Sequences with a common prefix share rows up to
//! the first difference: all pairs of one tree become one prompt, its shared steps and their branches. In the
//! naive form every sequence has rows of its own; tests use it as the reference.

use std::ops::Range;
use std::sync::Arc;

use regrowth_datasets::TokenId;
use regrowth_policy::candle::PackedLayout;

/// Token rows of a batch, and the targets that they predict.
#[derive(Debug, Clone)]
pub struct PackedBatch {
    /// Token of each row, `[T]`.
    pub ids: Vec<TokenId>,
    /// Which rows attend to which.
    pub layout: Arc<PackedLayout>,
    /// Row whose hidden state predicts each target, `[n]`.
    pub rows: Vec<u32>,
    /// Token to score after each row in `rows`, `[n]`.
    pub targets: Vec<TokenId>,
}

/// A token sequence whose ids from `scored` on are targets.
#[derive(Debug, Clone, Copy)]
pub struct PackedSequence<'a> {
    /// Ids before the tail; `prefix` and `tail` are not both empty.
    pub prefix: &'a [TokenId],
    /// The tail.
    pub tail: &'a [TokenId],
    /// First scored index of the whole sequence, at least 1.
    pub scored: usize,
}

impl PackedSequence<'_> {
    fn len(&self) -> usize {
        self.prefix.len() + self.tail.len()
    }

    /// Ids that must be computed: all but the last, which is only a target.
    fn inputs(&self) -> Vec<TokenId> {
        let all = self.prefix.iter().chain(self.tail).copied();
        all.take(self.len().saturating_sub(1)).collect()
    }

    fn id(&self, index: usize) -> TokenId {
        match index.checked_sub(self.prefix.len()) {
            Some(i) => self.tail[i],
            None => self.prefix[index],
        }
    }
}

/// Packs sequences; if `share` is true, common prefixes are computed once. The second value is the range of
/// targets of each sequence.
#[must_use]
pub fn pack(sequences: &[PackedSequence], share: bool) -> (PackedBatch, Vec<Range<usize>>) {
    let mut forest = Forest::default();
    let paths: Vec<usize> = sequences.iter().map(|s| forest.insert(s.inputs(), share)).collect();
    let placed = forest.place();
    let mut packed = PackedBatch {
        ids: placed.ids,
        layout: Arc::new(placed.layout),
        rows: vec![],
        targets: vec![],
    };
    let mut ranges = Vec::with_capacity(sequences.len());
    for (sequence, leaf) in sequences.iter().zip(paths) {
        let rows = forest.rows(leaf, &placed.starts);
        let from = packed.targets.len();
        for index in sequence.scored.max(1)..sequence.len() {
            packed.rows.push(rows[index - 1]);
            packed.targets.push(sequence.id(index));
        }
        ranges.push(from..packed.targets.len());
    }
    (packed, ranges)
}

/// A radix tree of token sequences under construction.
#[derive(Default)]
struct Forest {
    nodes: Vec<Node>,
    roots: Vec<usize>,
}

struct Node {
    ids: Vec<TokenId>,
    parent: Option<usize>,
    children: Vec<usize>,
}

struct Placed {
    ids: Vec<TokenId>,
    layout: PackedLayout,
    /// First row of each node.
    starts: Vec<usize>,
}

impl Forest {
    /// Adds a sequence and returns the node in which it ends. Later insertions keep this node valid: a split
    /// moves only the upper part of a node to a new node, so every sequence still ends in the same node.
    fn insert(&mut self, ids: Vec<TokenId>, share: bool) -> usize {
        let (mut parent, mut rest) = (None, ids.as_slice());
        while share && !rest.is_empty() {
            let mut siblings = self.siblings(parent).iter().copied();
            let Some(node) = siblings.find(|&n| self.nodes[n].ids.first() == rest.first()) else {
                break;
            };
            let common = common_prefix(&self.nodes[node].ids, rest);
            let upper =
                if common < self.nodes[node].ids.len() { self.split(node, common) } else { node };
            rest = &rest[common..];
            parent = Some(upper);
        }
        match parent {
            Some(node) if rest.is_empty() => node,
            _ => self.add(parent, rest.to_vec()),
        }
    }

    fn siblings(&self, parent: Option<usize>) -> &[usize] {
        parent.map_or(&self.roots, |p| &self.nodes[p].children)
    }

    fn add(&mut self, parent: Option<usize>, ids: Vec<TokenId>) -> usize {
        let node = self.nodes.len();
        self.nodes.push(Node { ids, parent, children: vec![] });
        match parent {
            Some(p) => self.nodes[p].children.push(node),
            None => self.roots.push(node),
        }
        node
    }

    /// Splits a node after `at` ids: a new node gets the upper part, `node` keeps the lower part.
    fn split(&mut self, node: usize, at: usize) -> usize {
        let lower = self.nodes[node].ids.split_off(at);
        let ids = std::mem::replace(&mut self.nodes[node].ids, lower);
        let parent = self.nodes[node].parent;
        let upper = self.nodes.len();
        self.nodes.push(Node { ids, parent, children: vec![node] });
        self.nodes[node].parent = Some(upper);
        let list = match parent {
            Some(p) => &mut self.nodes[p].children,
            None => &mut self.roots,
        };
        for entry in list.iter_mut().filter(|n| **n == node) {
            *entry = upper;
        }
        upper
    }

    /// Assigns rows to every node, parents before children.
    fn place(&self) -> Placed {
        let mut placed = Placed {
            ids: vec![],
            layout: PackedLayout::default(),
            starts: vec![0; self.nodes.len()],
        };
        let mut stack: Vec<(usize, Option<usize>)> =
            self.roots.iter().rev().map(|&r| (r, None)).collect();
        while let Some((node, parent)) = stack.pop() {
            let segment = placed.layout.push(parent, self.nodes[node].ids.len());
            placed.starts[node] = placed.ids.len();
            placed.ids.extend_from_slice(&self.nodes[node].ids);
            stack.extend(self.nodes[node].children.iter().rev().map(|&c| (c, Some(segment))));
        }
        placed
    }

    /// Rows of the sequence that ends in `leaf`, in order.
    fn rows(&self, leaf: usize, starts: &[usize]) -> Vec<u32> {
        let mut path = vec![leaf];
        while let Some(parent) = self.nodes[path[path.len() - 1]].parent {
            path.push(parent);
        }
        path.iter()
            .rev()
            .flat_map(|&n| starts[n] as u32..(starts[n] + self.nodes[n].ids.len()) as u32)
            .collect()
    }
}

/// Number of leading ids that are equal.
#[must_use]
pub fn common_prefix(a: &[TokenId], b: &[TokenId]) -> usize {
    a.iter().zip(b).take_while(|(x, y)| x == y).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence<'a>(prefix: &'a [u32], tail: &'a [u32]) -> PackedSequence<'a> {
        PackedSequence { prefix, tail, scored: prefix.len() }
    }

    #[test]
    fn shared_beginnings_are_computed_once() {
        let sequences = [
            sequence(&[1, 2, 3], &[4, 5]),
            sequence(&[1, 2, 3], &[4, 6]),
            sequence(&[1, 2, 3, 4], &[7, 8]),
        ];
        let (packed, ranges) = pack(&sequences, true);
        // Inputs 1 2 3 4 | 7: the last id of each sequence is only a target.
        assert_eq!(packed.ids, [1, 2, 3, 4, 7]);
        assert_eq!(packed.targets, [4, 5, 4, 6, 7, 8]);
        assert_eq!(packed.rows, [2, 3, 2, 3, 3, 4]);
        assert_eq!(ranges, [0..2, 2..4, 4..6]);
    }

    #[test]
    fn without_sharing_every_sequence_has_rows_of_its_own() {
        let sequences = [sequence(&[1, 2], &[3]), sequence(&[1, 2], &[4])];
        let (packed, _) = pack(&sequences, false);
        assert_eq!(packed.ids, [1, 2, 1, 2]);
        assert_eq!(packed.rows, [1, 3]);
    }

    #[test]
    fn a_sequence_inside_another_ends_in_an_inner_node() {
        let sequences =
            [sequence(&[1, 2, 3, 4], &[5]), sequence(&[1, 2], &[9]), sequence(&[1, 2, 3, 4], &[6])];
        let (packed, _) = pack(&sequences, true);
        assert_eq!(packed.ids, [1, 2, 3, 4]);
        assert_eq!(packed.rows, [3, 1, 3]);
        assert_eq!(packed.layout.positions(), [0, 1, 2, 3]);
    }

    proptest::proptest! {
        #[test]
        fn every_row_path_spells_its_sequence(
            all in proptest::collection::vec(proptest::collection::vec(0u32..3, 2..9), 1..8)
        ) {
            let sequences: Vec<_> = all.iter().map(|s| sequence(&s[..1], &s[1..])).collect();
            let (packed, ranges) = pack(&sequences, true);
            for (ids, range) in all.iter().zip(ranges) {
                for (i, at) in range.enumerate() {
                    let row = packed.rows[at] as usize;
                    assert_eq!(packed.ids[row], ids[i]);
                    assert_eq!(packed.layout.positions()[row] as usize, i);
                    assert_eq!(packed.targets[at], ids[i + 1]);
                }
            }
        }
    }
}
