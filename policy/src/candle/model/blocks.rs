//! Groups the rows of a forward pass whose attention is computed together, as products of tensors.
//!
//! A group is a run of successive rows of one sequence. A block is several groups with the same number of
//! rows, whose paths are padded to the longest. Only paths and windows matter here, not heads.

use std::ops::Range;

use candle_core::{Device, Result, Tensor};

use crate::candle::model::forward::TokenRow;

/// Maximum number of slots that a block of several single rows gathers (a bound on memory). A single path
/// may be longer.
pub(crate) const GATHERED: usize = 1 << 15;

/// Rows whose attention is computed together.
pub(crate) struct Block {
    /// Index of its first row, in the order returned with the blocks.
    pub(crate) first: usize,
    /// Number of groups, G.
    pub(crate) groups: usize,
    /// Rows per group, n.
    pub(crate) rows: usize,
    /// Paths of the groups, each padded to L slots: `[G L]`.
    pub(crate) slots: Tensor,
    /// For each window of the model: 0 where a row may attend, -inf elsewhere, `[G, 1, 1, n, L]`.
    masks: Vec<(Option<usize>, Tensor)>,
}

impl Block {
    /// Returns the mask of a window; the window must have been passed when the blocks were built.
    pub(crate) fn mask(&self, window: Option<usize>) -> &Tensor {
        let found = self.masks.iter().find(|(w, _)| *w == window);
        &found.unwrap_or(&self.masks[0]).1
    }

    fn new(
        members: &[&[TokenRow]],
        first: usize,
        windows: &[Option<usize>],
        device: &Device,
    ) -> Result<Self> {
        let longest = members.iter().map(|group| path(group).len()).max().unwrap_or(0);
        let n = members[0].len();
        let mut slots = Vec::with_capacity(members.len() * longest);
        for group in members {
            slots.extend_from_slice(path(group));
            // Padding. The mask hides these slots, so any slot will do.
            slots.resize(slots.len() + longest - path(group).len(), path(group)[0]);
        }
        let mut masks: Vec<(Option<usize>, Tensor)> = Vec::new();
        for &window in windows {
            if masks.iter().all(|(known, _)| *known != window) {
                let shape = (members.len(), 1, 1, n, longest);
                let values: Vec<f32> = members
                    .iter()
                    .flat_map(|group| group.iter())
                    .flat_map(|row| {
                        let seen = seen(row, window);
                        (0..longest)
                            .map(move |p| if seen.contains(&p) { 0.0 } else { f32::NEG_INFINITY })
                    })
                    .collect();
                masks.push((window, Tensor::from_vec(values, shape, device)?));
            }
        }
        let slots = Tensor::new(slots, device)?;
        Ok(Self { first, groups: members.len(), rows: n, slots, masks })
    }
}

/// Returns the positions that a row attends to.
fn seen(row: &TokenRow, window: Option<usize>) -> Range<usize> {
    let end = row.path.len();
    end.saturating_sub(window.unwrap_or(end))..end
}

/// Returns the path of a group's last row, which includes the paths of its other rows.
fn path<'a>(group: &[TokenRow<'a>]) -> &'a [u32] {
    group.last().map_or(&[], |row| row.path)
}

/// Groups the rows of a forward pass into blocks. Returns the order of rows in which each block's rows are
/// adjacent, and the blocks. `windows` has the window of each layer and is not empty.
pub(crate) fn blocks(
    rows: &[TokenRow],
    windows: &[Option<usize>],
    device: &Device,
) -> Result<(Vec<usize>, Vec<Block>)> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    for i in 0..rows.len() {
        match groups.last_mut() {
            Some(group) if follows(&rows[i - 1], &rows[i]) => group.end = i + 1,
            _ => groups.push(i..i + 1),
        }
    }
    let (mut single, long): (Vec<_>, Vec<_>) = groups.into_iter().partition(|g| g.len() == 1);
    // Sorted by length, because paths of similar length need the least padding.
    single.sort_by_key(|g| rows[g.start].path.len());
    let mut members: Vec<Vec<Range<usize>>> = Vec::new();
    for group in single {
        // The groups are sorted, so this one is the longest so far.
        let length = rows[group.start].path.len();
        match members.last_mut() {
            Some(block) if (block.len() + 1) * length <= GATHERED => block.push(group),
            _ => members.push(vec![group]),
        }
    }
    members.extend(long.into_iter().map(|group| vec![group]));
    let mut order = Vec::with_capacity(rows.len());
    let mut blocks = Vec::with_capacity(members.len());
    for block in members {
        let of: Vec<&[TokenRow]> = block.iter().map(|group| &rows[group.clone()]).collect();
        blocks.push(Block::new(&of, order.len(), windows, device)?);
        order.extend(block.into_iter().flatten());
    }
    Ok((order, blocks))
}

/// Whether `next` is the next row of the same sequence as `row`.
fn follows(row: &TokenRow, next: &TokenRow) -> bool {
    next.path.len() == row.path.len() + 1 && next.path.starts_with(row.path)
}
