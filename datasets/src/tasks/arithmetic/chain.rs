//! A chain of operations: its values, and its lines, merged or corrupted.
//!
//! Each operation has the clause that its line repeats. Merging and corruption change the operations,
//! never the text, so every later line follows from the lines actually written before it.

/// Largest value anywhere in a chain.
pub(super) const MAX_VALUE: u32 = 99;

/// One of the four operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Add,
    Sub,
    Mul,
    Div,
}

impl Op {
    /// All four.
    pub const ALL: [Self; 4] = [Self::Add, Self::Sub, Self::Mul, Self::Div];

    /// The sign as written in a line.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
        }
    }

    /// The result; `None` if it is negative, not an integer or above [`MAX_VALUE`].
    pub fn apply(self, left: u32, right: u32) -> Option<u32> {
        let value = match self {
            Self::Add => left.checked_add(right),
            Self::Sub => left.checked_sub(right),
            Self::Mul => left.checked_mul(right),
            Self::Div if right != 0 && left.is_multiple_of(right) => Some(left / right),
            Self::Div => None,
        };
        value.filter(|&v| v <= MAX_VALUE)
    }

    /// Whether the operation is a multiplication or division, which bind more tightly.
    fn binds(self) -> bool {
        matches!(self, Self::Mul | Self::Div)
    }
}

/// An operand of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operand {
    /// A number of the question.
    Given(u32),
    /// The result of the operation with this index.
    Result(usize),
}

/// Text of a line before its equation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Clause {
    /// Subject and the rest of a clause of the question.
    Echo(String, String),
    /// A connective of the solver's own: `Now`, `In total`, `Left`.
    Own(&'static str),
}

/// One operation of a chain.
#[derive(Debug, Clone)]
pub(super) struct Operation {
    pub clause: Clause,
    pub left: Operand,
    pub op: Op,
    pub right: Operand,
}

/// Operations in order; the last result is the answer.
#[derive(Debug, Clone, Default)]
pub(super) struct Chain {
    pub operations: Vec<Operation>,
    /// Operation whose result is written wrongly, and the error added to it.
    pub wrong_result: Option<(usize, i32)>,
}

impl Chain {
    /// Appends an operation and returns its result as an operand.
    pub fn push(&mut self, clause: Clause, left: Operand, op: Op, right: Operand) -> Operand {
        self.operations.push(Operation { clause, left, op, right });
        Operand::Result(self.operations.len() - 1)
    }

    /// The result of each operation; `None` if any is out of range.
    pub fn values(&self) -> Option<Vec<u32>> {
        let mut values: Vec<u32> = Vec::with_capacity(self.operations.len());
        for (i, operation) in self.operations.iter().enumerate() {
            let value = operation
                .op
                .apply(resolve(operation.left, &values), resolve(operation.right, &values))?;
            values.push(match self.wrong_result {
                Some((at, delta)) if at == i => {
                    value.checked_add_signed(delta).filter(|&v| v <= MAX_VALUE)?
                }
                _ => value,
            });
        }
        Some(values)
    }

    /// Value of an operand in the current chain.
    pub fn value(&self, operand: Operand) -> Option<u32> {
        match operand {
            Operand::Given(n) => Some(n),
            Operand::Result(i) => self.values()?.get(i).copied(),
        }
    }

    /// The lines of the solution without the final line; operations `groups[i]..groups[i + 1]` share line
    /// `i`. `None` if a value is out of range or a group cannot be written without parentheses.
    pub fn lines(&self, groups: &[usize]) -> Option<Vec<String>> {
        let values = self.values()?;
        groups
            .windows(2)
            .map(|g| {
                let last = g[1] - 1;
                let expression = self.expression(last, g[0], &values)?;
                Some(format!("{}: {expression} = {}\n", self.clause(g[0], g[1]), values[last]))
            })
            .collect()
    }

    /// Whether operations `first..end` can share one line.
    pub fn mergeable(&self, first: usize, end: usize) -> bool {
        let inner_used_once = (first..end - 1).all(|i| {
            let uses = |range: std::ops::Range<usize>| {
                self.operations[range]
                    .iter()
                    .flat_map(|o| [o.left, o.right])
                    .filter(|&x| x == Operand::Result(i))
                    .count()
            };
            uses(first..end) == 1 && uses(0..self.operations.len()) == 1
        });
        let zeros = vec![0; self.operations.len()];
        inner_used_once && self.expression(end - 1, first, &zeros).is_some()
    }

    /// Operation `index`, with the results of `first..index` replaced by their expressions.
    fn expression(&self, index: usize, first: usize, values: &[u32]) -> Option<String> {
        let operation = &self.operations[index];
        let side = |operand: Operand, is_right: bool| match operand {
            Operand::Result(i) if i >= first => {
                let fits = fits(self.operations[i].op, operation.op, is_right);
                let plain = !operation.op.binds() || self.is_tight(i, first);
                (fits && plain).then(|| self.expression(i, first, values)).flatten()
            }
            other => Some(resolve(other, values).to_string()),
        };
        let (left, right) = (side(operation.left, false)?, side(operation.right, true)?);
        Some(format!("{left} {} {right}", operation.op.symbol()))
    }

    /// Whether the expression of an operation contains no sum or difference.
    fn is_tight(&self, index: usize, first: usize) -> bool {
        let operation = &self.operations[index];
        operation.op.binds()
            && [operation.left, operation.right].into_iter().all(|operand| match operand {
                Operand::Result(i) if i >= first => self.is_tight(i, first),
                _ => true,
            })
    }

    /// The clauses of a group, joined; if no operation has a clause of the question, the connective instead.
    fn clause(&self, first: usize, end: usize) -> String {
        let mut text = String::new();
        let mut subject = "";
        for operation in &self.operations[first..end] {
            if let Clause::Echo(who, rest) = &operation.clause {
                if !text.is_empty() {
                    text.push_str(" and ");
                }
                if who != subject {
                    let joined = who.strip_prefix("The ").filter(|_| !text.is_empty());
                    text.push_str(
                        &joined.map_or_else(|| who.clone(), |rest| format!("the {rest}")),
                    );
                    text.push(' ');
                    subject = who;
                }
                text.push_str(rest);
            }
        }
        match &self.operations[end - 1].clause {
            Clause::Own(connective) if text.is_empty() => (*connective).to_owned(),
            _ => text,
        }
    }
}

/// Whether an inner operation can be an operand of an outer one without parentheses.
fn fits(inner: Op, outer: Op, is_right: bool) -> bool {
    match (outer, is_right) {
        (Op::Add, _) | (Op::Sub, false) => true,
        (Op::Sub, true) | (Op::Mul | Op::Div, false) => inner.binds(),
        (Op::Mul, true) => inner == Op::Mul,
        (Op::Div, true) => false,
    }
}

/// The number of an operand, given the results so far.
fn resolve(operand: Operand, values: &[u32]) -> u32 {
    match operand {
        Operand::Given(n) => n,
        Operand::Result(i) => values[i],
    }
}
