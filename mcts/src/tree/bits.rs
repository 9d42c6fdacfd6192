//! Widths of the packed fields of a node, and the limits that follow from them.

/// Bits of the number of in-flight visits in a node's counts.
pub(super) const IN_FLIGHT_BITS: u32 = 16;
/// Maximum number of in-flight visits of a node.
pub(crate) const MAX_IN_FLIGHT: u64 = (1 << IN_FLIGHT_BITS) - 1;

/// Bits of the number of children in a node's link.
pub(super) const COUNT_BITS: u32 = 19;
/// Maximum number of children of a node.
pub(crate) const MAX_CHILDREN: usize = (1 << COUNT_BITS) - 1;
