//! Tables: matrices, determinants, systems and case distinctions.
//!
//! Parses rows and cells. The brackets of a matrix do not change its value, except that bars denote a
//! determinant.

use super::{Kind, Node, Parsed, Parser};
use crate::fuel::Reason;
use crate::syntax::tree::{BLANK, Function, Id};

/// Maximum number of cells of a table.
const MAX_CELLS: usize = 1024;

impl Parser<'_, '_> {
    /// Parses from after `\begin` up to and including `\end{...}`.
    pub(super) fn table(&mut self) -> Parsed {
        let name = self.environment_name()?;
        if name == "array" && self.kind() == Some(Kind::Sign('{')) {
            self.raw_script()?;
        }
        let rows = self.rows()?;
        if !self.eat_command(&["end"]) || self.environment_name()? != name {
            return Err(Reason::Unparsed);
        }
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let even = rows.iter().all(|r| r.len() == columns);
        match name.trim_end_matches('*') {
            "pmatrix" | "bmatrix" | "Bmatrix" | "matrix" | "smallmatrix" | "array" if even => {
                self.add(Node::Matrix { columns, cells: rows.concat() })
            }
            "vmatrix" | "Vmatrix" if even => {
                let matrix = self.add(Node::Matrix { columns, cells: rows.concat() })?;
                self.add(Node::Call(Function::Det, vec![matrix]))
            }
            "cases" if columns > 1 => {
                let symbol = self.tree.symbol("cases")?;
                self.add(Node::Apply(symbol, rows.concat()))
            }
            "cases" | "aligned" | "align" | "gather" | "gathered" | "split" | "equation"
            | "eqnarray" | "alignedat" | "dcases" => self.lines(rows.concat()),
            _ => Err(Reason::Unparsed),
        }
    }

    fn environment_name(&mut self) -> Result<String, Reason> {
        self.expect(Kind::Sign('{'))?;
        let token = self.peek().filter(|t| t.kind == Kind::Word).ok_or(Reason::Unparsed)?;
        let mut name = token.text.to_owned();
        self.at += 1;
        if self.eat_sign('*') {
            name.push('*');
        }
        self.expect(Kind::Sign('}'))?;
        Ok(name)
    }

    fn rows(&mut self) -> Result<Vec<Vec<Id>>, Reason> {
        let mut rows: Vec<Vec<Id>> = Vec::new();
        let mut row = Vec::new();
        let bars = std::mem::take(&mut self.bars);
        let mut count = 0;
        loop {
            match self.peek() {
                None => return Err(Reason::Unparsed),
                Some(t) if t.kind == Kind::Command && t.text == "end" => break,
                Some(t) if t.kind == Kind::Row => {
                    self.at += 1;
                    if !row.is_empty() {
                        rows.push(std::mem::take(&mut row));
                    }
                }
                Some(t) if t.kind == Kind::Sign('&') => self.at += 1,
                Some(_) => {
                    count += 1;
                    if count > MAX_CELLS {
                        return Err(Reason::Fuel);
                    }
                    row.push(self.deeper(Self::list)?);
                    let next = self.kind();
                    let ends = matches!(next, Some(Kind::Sign('&') | Kind::Row))
                        || self.command() == Some("end");
                    if !ends {
                        return Err(Reason::Unparsed);
                    }
                }
            }
        }
        if !row.is_empty() {
            rows.push(row);
        }
        self.bars = bars;
        if rows.is_empty() { Err(Reason::Unparsed) } else { Ok(rows) }
    }

    /// The lines of a system as a list. A line that begins with a relation continues the previous line.
    pub(super) fn lines(&mut self, cells: Vec<Id>) -> Parsed {
        let mut items: Vec<Id> = Vec::new();
        for cell in cells {
            let line = match items.pop() {
                None => cell,
                Some(before) => match self.continued(before, cell) {
                    Some(chain) => self.add(chain)?,
                    None => {
                        items.push(before);
                        cell
                    }
                },
            };
            items.push(line);
        }
        match items.as_slice() {
            [one] => Ok(*one),
            _ => self.add(Node::List(items)),
        }
    }

    /// Joins both cells into one chain, if the second has no left side.
    fn continued(&self, before: Id, cell: Id) -> Option<Node> {
        let Node::Chain { sides: more, relations: further } = self.tree.get(cell) else {
            return None;
        };
        let blank =
            matches!(self.tree.get(more[0]), Node::Symbol(s) if self.tree.name(*s) == BLANK);
        if !blank {
            return None;
        }
        let (mut sides, mut relations) = match self.tree.get(before) {
            Node::Chain { sides, relations } => (sides.clone(), relations.clone()),
            _ => (vec![before], Vec::new()),
        };
        sides.extend(&more[1..]);
        relations.extend(further);
        Some(Node::Chain { sides, relations })
    }
}
