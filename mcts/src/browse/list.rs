//! The list of trees: the shown trees, their order, and the selected one.

use super::catalog::Entry;

/// Filter of the shown trees; the same filters as in the viewer page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filter {
    All,
    Mixed,
    Wrong,
    MostPairs,
}

impl Filter {
    fn next(self) -> Self {
        match self {
            Self::All => Self::Mixed,
            Self::Mixed => Self::Wrong,
            Self::Wrong => Self::MostPairs,
            Self::MostPairs => Self::All,
        }
    }

    pub(super) fn in_words(self) -> &'static str {
        match self {
            Self::All => "all trees",
            Self::Mixed => "with right and wrong solutions",
            Self::Wrong => "with wrong solutions only",
            Self::MostPairs => "with pairs, most first",
        }
    }

    fn takes(self, entry: &Entry) -> bool {
        match self {
            Self::All => true,
            Self::Mixed => entry.is_mixed(),
            Self::Wrong => entry.is_wrong(),
            Self::MostPairs => entry.pairs > 0,
        }
    }
}

/// The state of the list.
#[derive(Debug)]
pub(super) struct List {
    pub(super) filter: Filter,
    /// The search text, in lower case, and the trees that contain it; `None` without a search.
    pub(super) found: Option<Found>,
    /// Indices of the shown trees, in order.
    pub(super) shown: Vec<usize>,
    /// Index of the selected tree in `shown`.
    pub(super) chosen: usize,
}

/// The trees that contain a text.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) needle: String,
    pub(super) trees: Vec<usize>,
}

impl List {
    pub(super) fn new(entries: &[Entry]) -> Self {
        let shown = (0..entries.len()).collect();
        Self { filter: Filter::All, found: None, shown, chosen: 0 }
    }

    pub(super) fn next_filter(&mut self, entries: &[Entry]) {
        self.filter = self.filter.next();
        self.refresh(entries);
    }

    pub(super) fn set_found(&mut self, found: Option<Found>, entries: &[Entry]) {
        self.found = found;
        self.refresh(entries);
    }

    /// Applies the filter. The selected tree stays selected if it is still shown.
    fn refresh(&mut self, entries: &[Entry]) {
        let before = self.chosen();
        let found = |at: &usize| self.found.as_ref().is_none_or(|found| found.trees.contains(at));
        self.shown = (0..entries.len())
            .filter(found)
            .filter(|&at| self.filter.takes(&entries[at]))
            .collect();
        if self.filter == Filter::MostPairs {
            self.shown.sort_by_key(|&at| std::cmp::Reverse(entries[at].pairs));
        }
        let place = self.shown.iter().position(|&at| Some(at) == before);
        self.chosen = place.unwrap_or(0);
    }

    /// Index of the selected tree; `None` if no tree is shown.
    pub(super) fn chosen(&self) -> Option<usize> {
        self.shown.get(self.chosen).copied()
    }

    /// Moves the selection by `by` rows. Returns whether it changed.
    pub(super) fn step(&mut self, by: isize) -> bool {
        let before = self.chosen;
        self.chosen = moved(self.chosen, by, self.shown.len());
        self.chosen != before
    }
}

/// Returns `at` moved by `by` rows, clamped to a list of length `len`.
pub(super) fn moved(at: usize, by: isize, len: usize) -> usize {
    at.saturating_add_signed(by).min(len.saturating_sub(1))
}
