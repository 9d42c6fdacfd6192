//! An arithmetic problem under construction: its sentences and its chain of operations.
//!
//! All three kinds of problems are built with it.

use super::chain::{Chain, Clause, Op, Operand};

/// The kind of a word problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Story,
    Comparison,
    Shopping,
}

impl Kind {
    /// All three, in the order in which they are drawn.
    pub const ALL: [Self; 3] = [Self::Story, Self::Comparison, Self::Shopping];

    /// Probability that a solution of the corpus merges operations. Chosen so that a small model gets
    /// about half of the problems right (measured: between 0.2 and 0.65 per kind).
    pub fn merge_probability(self) -> f64 {
        match self {
            Self::Story => 0.5,
            Self::Comparison => 0.35,
            Self::Shopping => 0.65,
        }
    }
}

/// One operation of a chain.
#[derive(Debug, Clone, Copy)]
pub(super) struct Operation {
    pub left: Operand,
    pub op: Op,
    pub right: Operand,
}

/// Sentences and chain of one problem.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub kind: Kind,
    pub sentences: Vec<String>,
    pub chain: Chain,
}

impl Draft {
    /// An empty draft.
    pub fn new(kind: Kind) -> Self {
        Self { kind, sentences: Vec::new(), chain: Chain::default() }
    }

    /// Adds a sentence `subject rest.` and the operation that it describes.
    pub fn tell(&mut self, subject: &str, rest: &str, operation: Operation) -> Operand {
        let Operation { left, op, right } = operation;
        self.sentences.push(format!("{subject} {rest}."));
        self.chain.push(Clause::Echo(subject.into(), rest.into()), left, op, right)
    }

    /// Adds an operation that no clause of the question describes.
    pub fn conclude(
        &mut self,
        connective: &'static str,
        left: Operand,
        op: Op,
        right: Operand,
    ) -> Operand {
        self.chain.push(Clause::Own(connective), left, op, right)
    }

    /// The whole question.
    pub fn question(&self) -> String {
        self.sentences.join(" ")
    }
}
