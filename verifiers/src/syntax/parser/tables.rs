//! Tables: matrices, determinants, systems and case distinctions.
//!
//! It reads rows and cells; how a matrix is bracketed makes no difference to its value, except that
//! bars mean a determinant.

use super::{Kind, Node, Parsed, Parser};
use crate::fuel::Reason;
use crate::syntax::tree::{Function, Id};

/// Most cells of a table.
const MAX_CELLS: usize = 1024;

impl Parser<'_, '_> {
    /// Everything from behind `\begin` to behind `\end{...}`.
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
            | "eqnarray" | "alignedat" | "dcases" => self.lines(rows),
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

    /// Lines of a system: a list.
    fn lines(&mut self, rows: Vec<Vec<Id>>) -> Parsed {
        let items: Vec<Id> = rows.concat();
        match items.as_slice() {
            [one] => Ok(*one),
            _ => self.add(Node::List(items)),
        }
    }
}
