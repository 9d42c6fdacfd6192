//! Defines which rows of a packed batch attend to which: a forest of segments.
//!
//! A batch has T token rows without padding. A segment is a run of consecutive rows; it attends causally to
//! itself and to all rows of its ancestors. Full documents are roots, and the steps of a search tree are
//! children of their prefix, so a shared prefix is computed once.

/// A run of rows that attends to its ancestors and, causally, to itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// First row.
    pub start: usize,
    /// Number of rows.
    pub len: usize,
    /// Index of the segment it continues; smaller than its own index.
    pub parent: Option<usize>,
}

/// Rows, positions and segments of a packed batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PackedLayout {
    segments: Vec<Segment>,
    positions: Vec<u32>,
}

impl PackedLayout {
    /// Appends a segment of `len` rows after `parent` (or as a root) and returns its index.
    ///
    /// # Panics
    /// If `parent` was not returned by an earlier call.
    pub fn push(&mut self, parent: Option<usize>, len: usize) -> usize {
        let start = self.positions.len();
        let offset = parent.map_or(0, |p| {
            let s = self.segments[p];
            self.end_position(s)
        });
        self.positions.extend((0..len as u32).map(|i| offset + i));
        self.segments.push(Segment { start, len, parent });
        self.segments.len() - 1
    }

    /// Returns the position after a segment's last row.
    fn end_position(&self, segment: Segment) -> u32 {
        match (segment.len, segment.parent) {
            (0, None) => 0,
            (0, Some(parent)) => self.end_position(self.segments[parent]),
            (len, _) => self.positions[segment.start + len - 1] + 1,
        }
    }

    /// Number of rows, T.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.positions.len()
    }

    /// Position of each row in its own sequence, `[T]`.
    #[must_use]
    pub fn positions(&self) -> &[u32] {
        &self.positions
    }

    /// The segments, parents first.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// A segment by its index.
    #[must_use]
    pub fn segment(&self, index: usize) -> Segment {
        self.segments[index]
    }

    /// Returns the row ranges `(start, len)` that the segment attends to, oldest first, the segment itself
    /// last.
    #[must_use]
    pub fn visible(&self, index: usize) -> Vec<(usize, usize)> {
        let mut ranges = Vec::new();
        let mut next = Some(index);
        while let Some(i) = next {
            let s = self.segments[i];
            if s.len > 0 {
                ranges.push((s.start, s.len));
            }
            next = s.parent;
        }
        ranges.reverse();
        ranges
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_continue_their_parents_positions() {
        let mut layout = PackedLayout::default();
        let root = layout.push(None, 3);
        let left = layout.push(Some(root), 2);
        let right = layout.push(Some(root), 1);
        let leaf = layout.push(Some(left), 1);
        assert_eq!(layout.positions(), [0, 1, 2, 3, 4, 3, 5]);
        assert_eq!(layout.visible(leaf), [(0, 3), (3, 2), (6, 1)]);
        assert_eq!(layout.visible(right), [(0, 3), (5, 1)]);
    }

    #[test]
    fn an_empty_segment_passes_its_position_on() {
        let mut layout = PackedLayout::default();
        let root = layout.push(None, 2);
        let empty = layout.push(Some(root), 0);
        layout.push(Some(empty), 1);
        assert_eq!(layout.positions(), [0, 1, 2]);
    }
}
