//! Which rows of a pass attend together where attention is a product of tensors.
//!
//! A group is rows of one sequence that follow each other; a block is groups of equally many rows,
//! their paths filled up to the longest. It knows paths and windows, nothing of heads.

use std::ops::Range;

use candle_core::{Device, Result, Tensor};

use crate::candle::model::forward::TokenRow;

/// Slots that a block of single rows gathers at most (a bound on memory).
pub(crate) const GATHERED: usize = 1 << 15;

/// Rows that attend together.
pub(crate) struct Block {
    /// Its first row, in the order that came with it.
    pub(crate) first: usize,
    /// G.
    pub(crate) groups: usize,
    /// Rows of each group, n.
    pub(crate) rows: usize,
    /// Paths of the groups, each filled up to L slots: `[G L]`.
    pub(crate) slots: Tensor,
    /// For every window of the model: 0 where a row may look, -inf elsewhere, `[G, 1, 1, n, L]`.
    masks: Vec<(Option<usize>, Tensor)>,
}

impl Block {
    /// The mask of a window that was named when the blocks were made.
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
            // What the mask hides; any slot will do.
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

/// Positions that a row sees.
fn seen(row: &TokenRow, window: Option<usize>) -> Range<usize> {
    let end = row.path.len();
    end.saturating_sub(window.unwrap_or(end))..end
}

/// The slots that the last row of a group sees, and with it all others.
fn path<'a>(group: &[TokenRow<'a>]) -> &'a [u32] {
    group.last().map_or(&[], |row| row.path)
}

/// The blocks of a pass, and the order of rows in which each block's rows stand side by side.
/// `windows` are those of the layers, at least one.
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
    // Neighbours in length are filled up least.
    single.sort_by_key(|g| rows[g.start].path.len());
    let mut members: Vec<Vec<Range<usize>>> = Vec::new();
    for group in single {
        // Sorted, so the newcomer is the longest.
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

/// Whether `next` is the row after `row` in the same sequence.
fn follows(row: &TokenRow, next: &TokenRow) -> bool {
    next.path.len() == row.path.len() + 1 && next.path.starts_with(row.path)
}
