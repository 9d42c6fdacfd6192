//! What is known of a node beside its statistics.

/// What is known of a step when its node is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Edge {
    /// Prior of the step, in single precision: a tree selects by no more.
    pub prior: f32,
    /// Reward r(s, a) of the step.
    pub reward: f64,
    /// Whether the solution ends with the step.
    pub terminal: bool,
}

/// Where a node stands; it only ever moves forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeState {
    /// Nobody has asked for its children.
    Unexpanded = 0,
    /// Somebody is fetching its children.
    Expanding = 1,
    /// It has children.
    Expanded = 2,
    /// It has none and never will.
    Terminal = 3,
}
