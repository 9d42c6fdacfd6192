//! Input data of a node ([`Edge`]) and its expansion state ([`NodeState`]).

/// A step as given to [`super::Tree::expand`]: the constant data of its node.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Edge {
    /// Prior of the step. Single precision is enough for selection.
    pub prior: f32,
    /// Reward r(s, a) of the step.
    pub reward: f64,
    /// Whether the solution ends with this step.
    pub terminal: bool,
}

/// Expansion state of a node. It only ever moves forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeState {
    /// Its children have not been requested.
    Unexpanded = 0,
    /// A thread is making its children.
    Expanding = 1,
    /// It has children.
    Expanded = 2,
    /// It has no children and never will.
    Terminal = 3,
}
