//! Rows of an XML file: the attributes of each `Problem` element and the text of its child elements;
//! other elements are not read. Documents with a DTD are refused, which rules out entity expansion
//! attacks.

use std::path::Path;

use roxmltree::{Document, Node};
use serde_json::{Map, Value};

use super::{Row, Rows};
use crate::DataError;
use crate::fault::{Fault, cut};
use crate::lines::read_document;

/// Name of the element that is a row (ASDiv).
const ROW: &str = "Problem";

pub(super) fn rows(path: &Path) -> Result<Rows, DataError> {
    let text = read_document(path)?;
    let document = Document::parse(&text).map_err(|error| {
        let line = error.pos().row as usize;
        Fault::new("row", "XML", cut(&error.to_string())).at(path, line)
    })?;
    let elements = document.descendants().filter(|n| n.has_tag_name(ROW));
    if elements.clone().next().is_none() && document.root_element().has_children() {
        let expected = format!("`{ROW}` elements, one for each problem, as ASDiv has them");
        return Err(Fault::new("row", expected, "none").at(path, 1));
    }
    // Lines are counted from row to row, because looking up the line of each row in the document would take
    // quadratic time.
    let (mut line, mut counted) = (1, 0);
    let rows: Vec<_> = elements
        .map(|element| {
            let start = element.range().start;
            line += text.as_bytes()[counted..start].iter().filter(|&&b| b == b'\n').count();
            counted = start;
            Ok(Row::new(line, fields(element)))
        })
        .collect();
    Ok(Rows::apart(rows.into_iter()))
}

fn fields(element: Node) -> Map<String, Value> {
    let attributes = element.attributes().map(|a| (a.name().to_owned(), a.value().to_owned()));
    let children = element.children().filter(Node::is_element).map(|child| {
        let text: String =
            child.descendants().filter_map(|n| n.text().filter(|_| n.is_text())).collect();
        (child.tag_name().name().to_owned(), text)
    });
    attributes.chain(children).map(|(name, text)| (name, Value::String(text))).collect()
}
