//! A radix tree over token ids that stores which KV slots hold which prefix.
//!
//! Every path from the root spells a prefix whose keys and values are stored. A sequence pins the node at
//! which its cached prefix ends. When slots run short, unpinned leaves are evicted, least recently used
//! first. The idea is SGLang's RadixAttention (Zheng et al. 2023, arXiv:2312.07104).

use std::collections::{BTreeMap, HashSet};

use regrowth_datasets::TokenId;

use crate::candle::engine::kv_slots::KvSlots;
use crate::candle::engine::router::chained;

/// Index of a node; the root is 0.
pub(crate) type CacheNode = usize;

/// The empty prefix.
pub(crate) const ROOT: CacheNode = 0;

struct Node {
    ids: Vec<TokenId>,
    slots: Vec<u32>,
    parent: CacheNode,
    children: BTreeMap<TokenId, CacheNode>,
    pins: usize,
    used_at: u64,
    /// Final hidden states, by offset in `ids`, of tokens after which a later request may start sampling.
    hidden: BTreeMap<usize, Vec<f32>>,
}

/// The longest cached prefix of a request.
pub(crate) struct Found {
    /// The node that ends the cached prefix.
    pub(crate) node: CacheNode,
    /// KV slots of the cached prefix, one per token.
    pub(crate) slots: Vec<u32>,
    /// Final hidden state of the prefix's last token, if it was stored.
    pub(crate) hidden: Option<Vec<f32>>,
}

/// The radix tree.
pub(crate) struct PrefixCache {
    nodes: Vec<Option<Node>>,
    vacant: Vec<CacheNode>,
    clock: u64,
    /// Per evicted leaf, the hash of the token prefix that ends with the leaf's first token. Used only for
    /// the statistics of recomputed tokens.
    evicted: HashSet<u64>,
}

/// Maximum number of evicted leaves to remember (8 bytes each); when it is reached, all are forgotten.
const MAX_EVICTED: usize = 1 << 16;

impl PrefixCache {
    pub(crate) fn new() -> Self {
        let root = Node {
            ids: vec![],
            slots: vec![],
            parent: ROOT,
            children: BTreeMap::new(),
            pins: 1,
            used_at: 0,
            hidden: BTreeMap::new(),
        };
        Self { nodes: vec![Some(root)], vacant: vec![], clock: 0, evicted: HashSet::new() }
    }

    /// Finds the longest cached prefix of `ids`. Splits a node if the prefix ends inside it.
    pub(crate) fn find(&mut self, ids: &[TokenId]) -> Found {
        self.clock += 1;
        let (mut node, mut slots) = (ROOT, Vec::new());
        let mut rest = ids;
        while let Some(child) =
            rest.first().and_then(|id| self.node(node).children.get(id).copied())
        {
            let common = common(&self.node(child).ids, rest);
            node =
                if common < self.node(child).ids.len() { self.split(child, common) } else { child };
            let clock = self.clock;
            let entry = self.node_mut(node);
            entry.used_at = clock;
            slots.extend_from_slice(&entry.slots);
            rest = &rest[common..];
        }
        let last = self.node(node);
        let hidden = last.ids.len().checked_sub(1).and_then(|i| last.hidden.get(&i).cloned());
        Found { node, slots, hidden }
    }

    /// Inserts `ids` and their slots below `node`. For tokens that are cached already, keeps the cached
    /// slots and releases the given ones to `free`. Returns the node that ends `ids`, and the cached slots
    /// of `ids`.
    pub(crate) fn extend(
        &mut self,
        node: CacheNode,
        ids: &[TokenId],
        slots: &[u32],
        free: &mut KvSlots,
    ) -> (CacheNode, Vec<u32>) {
        self.clock += 1;
        let (mut node, mut known) = (node, Vec::with_capacity(ids.len()));
        while let Some(&id) = ids.get(known.len()) {
            let from = known.len();
            let Some(child) = self.node(node).children.get(&id).copied() else { break };
            let common = common(&self.node(child).ids, &ids[from..]);
            node =
                if common < self.node(child).ids.len() { self.split(child, common) } else { child };
            known.extend_from_slice(&self.node(node).slots);
            slots[from..from + common].iter().for_each(|&s| free.release(s));
        }
        let from = known.len();
        if from < ids.len() {
            node = self.add(node, ids[from..].to_vec(), slots[from..].to_vec());
            known.extend_from_slice(&slots[from..]);
        }
        let clock = self.clock;
        self.node_mut(node).used_at = clock;
        (node, known)
    }

    /// Stores the final hidden state of a node's last token.
    pub(crate) fn keep_hidden(&mut self, node: CacheNode, hidden: Vec<f32>) {
        let entry = self.node_mut(node);
        if let Some(last) = entry.ids.len().checked_sub(1) {
            entry.hidden.insert(last, hidden);
        }
    }

    /// Protects a node and its ancestors from eviction.
    pub(crate) fn pin(&mut self, node: CacheNode) {
        self.node_mut(node).pins += 1;
    }

    /// Undoes one [`Self::pin`].
    pub(crate) fn unpin(&mut self, node: CacheNode) {
        self.node_mut(node).pins -= 1;
    }

    /// Evicts the least recently used unpinned leaf. Returns `false` if there is none.
    pub(crate) fn evict(&mut self, free: &mut KvSlots) -> bool {
        let leaves = self.nodes.iter().enumerate().filter_map(|(id, n)| Some((id, n.as_ref()?)));
        let oldest = leaves
            .filter(|(_, n)| n.pins == 0 && n.children.is_empty())
            .min_by_key(|(id, n)| (n.used_at, *id))
            .map(|(id, _)| id);
        let Some(node) = oldest.and_then(|id| self.nodes[id].take().map(|n| (id, n))) else {
            return false;
        };
        let (id, leaf) = node;
        self.remember(&leaf);
        leaf.slots.iter().for_each(|&s| free.release(s));
        self.node_mut(leaf.parent).children.remove(&leaf.ids[0]);
        self.vacant.push(id);
        true
    }

    fn remember(&mut self, leaf: &Node) {
        let mut above = Vec::new();
        let mut at = leaf.parent;
        while at != ROOT {
            above.push(at);
            at = self.node(at).parent;
        }
        let above = above.iter().rev().flat_map(|&id| &self.node(id).ids);
        let hash = hash(above.chain(&leaf.ids[..1]));
        if self.evicted.len() >= MAX_EVICTED {
            self.evicted.clear();
        }
        self.evicted.insert(hash);
    }

    /// Returns whether a token was once cached after a cached prefix and has been evicted. `ids` is the
    /// prefix followed by that token. May return false after many evictions ([`MAX_EVICTED`]).
    pub(crate) fn was_evicted(&self, ids: &[TokenId]) -> bool {
        !self.evicted.is_empty() && self.evicted.contains(&hash(ids.iter()))
    }

    fn node(&self, id: CacheNode) -> &Node {
        self.nodes[id].as_ref().expect("a node that is linked or pinned exists")
    }

    fn node_mut(&mut self, id: CacheNode) -> &mut Node {
        self.nodes[id].as_mut().expect("a node that is linked or pinned exists")
    }

    fn place(&mut self, node: Node) -> CacheNode {
        match self.vacant.pop() {
            Some(id) => {
                self.nodes[id] = Some(node);
                id
            }
            None => {
                self.nodes.push(Some(node));
                self.nodes.len() - 1
            }
        }
    }

    fn add(&mut self, parent: CacheNode, ids: Vec<TokenId>, slots: Vec<u32>) -> CacheNode {
        let first = ids[0];
        let node = Node {
            ids,
            slots,
            parent,
            children: BTreeMap::new(),
            pins: 0,
            used_at: self.clock,
            hidden: BTreeMap::new(),
        };
        let id = self.place(node);
        self.node_mut(parent).children.insert(first, id);
        id
    }

    /// Splits a node after `at` ids. Returns the new upper node; the lower part keeps its index, so
    /// its pins stay valid.
    fn split(&mut self, id: CacheNode, at: usize) -> CacheNode {
        let lower = self.node_mut(id);
        let ids = lower.ids.drain(..at).collect();
        let slots = lower.slots.drain(..at).collect();
        let below = lower.hidden.split_off(&at);
        let above = std::mem::take(&mut lower.hidden);
        lower.hidden = below.into_iter().map(|(i, h)| (i - at, h)).collect();
        let (parent, first, used_at) = (lower.parent, lower.ids[0], lower.used_at);
        let upper = self.add(parent, ids, slots);
        self.node_mut(id).parent = upper;
        let entry = self.node_mut(upper);
        entry.children.insert(first, id);
        entry.hidden = above;
        entry.used_at = used_at;
        upper
    }
}

fn hash<'a>(ids: impl Iterator<Item = &'a TokenId>) -> u64 {
    ids.fold(0, |hash, &id| chained(hash, id))
}

fn common(a: &[TokenId], b: &[TokenId]) -> usize {
    a.iter().zip(b).take_while(|(x, y)| x == y).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(free: &mut KvSlots, n: usize) -> Vec<u32> {
        (0..n).map(|_| free.take().unwrap()).collect()
    }

    #[test]
    fn finds_the_longest_known_beginning() {
        let mut free = KvSlots::new(16);
        let mut tree = PrefixCache::new();
        let own = slots(&mut free, 4);
        let (leaf, _) = tree.extend(ROOT, &[1, 2, 3, 4], &own, &mut free);
        tree.keep_hidden(leaf, vec![4.0]);
        let found = tree.find(&[1, 2, 9]);
        assert_eq!(found.slots, own[..2]);
        assert!(found.hidden.is_none());
        let whole = tree.find(&[1, 2, 3, 4, 5]);
        assert_eq!((whole.slots, whole.hidden), (own, Some(vec![4.0])));
    }

    #[test]
    fn what_is_known_already_is_given_back() {
        let mut free = KvSlots::new(16);
        let mut tree = PrefixCache::new();
        let first = slots(&mut free, 3);
        tree.extend(ROOT, &[1, 2, 3], &first, &mut free);
        let second = slots(&mut free, 3);
        let (_, known) = tree.extend(ROOT, &[1, 2, 4], &second, &mut free);
        assert_eq!(known, [first[0], first[1], second[2]]);
        assert_eq!(free.in_use(), 4);
    }

    #[test]
    fn pinned_prefixes_outlive_eviction() {
        let mut free = KvSlots::new(16);
        let mut tree = PrefixCache::new();
        let own = slots(&mut free, 4);
        let (pinned, _) = tree.extend(ROOT, &[1, 2], &own[..2], &mut free);
        tree.pin(pinned);
        tree.extend(pinned, &[3, 4], &own[2..], &mut free);
        assert!(tree.evict(&mut free));
        assert!(!tree.evict(&mut free));
        assert_eq!(free.in_use(), 2);
        assert!(tree.was_evicted(&[1, 2, 3]));
        assert!(!tree.was_evicted(&[1, 2]) && !tree.was_evicted(&[1, 2, 3, 4]));
        tree.unpin(pinned);
        assert!(tree.evict(&mut free));
        assert!(tree.was_evicted(&[1]));
        assert_eq!(free.in_use(), 0);
    }

    proptest::proptest! {
        #[test]
        fn slots_are_never_lost_or_shared(
            all in proptest::collection::vec(proptest::collection::vec(0u32..3, 1..7), 1..12)
        ) {
            let mut free = KvSlots::new(200);
            let mut tree = PrefixCache::new();
            for ids in &all {
                let found = tree.find(ids);
                let n = found.slots.len();
                let own = slots(&mut free, ids.len() - n);
                tree.extend(found.node, &ids[n..], &own, &mut free);
            }
            let mut prefixes: Vec<&[u32]> =
                all.iter().flat_map(|ids| (1..=ids.len()).map(move |n| &ids[..n])).collect();
            prefixes.sort();
            prefixes.dedup();
            assert_eq!(free.in_use(), prefixes.len());
            for ids in &all {
                assert_eq!(tree.find(ids).slots.len(), ids.len());
            }
            while tree.evict(&mut free) {}
            assert_eq!(free.in_use(), 0);
        }
    }
}
