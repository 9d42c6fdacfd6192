//! The page of a tree: nested folds, the committed path open.
//!
//! It knows nothing of files or scripts; style and structure are all in the page.

use super::{figures, marks, outline};
use crate::record::TreeRecord;

const STYLE: &str = "body{font:14px/1.5 system-ui,sans-serif;margin:2em;max-width:70em}\
details,.leaf{margin-left:1.4em}summary{cursor:pointer}\
.leaf{padding-left:1em}code{color:#667;font-size:12px}\
.committed{font-weight:600}.chosen{background:#dcf5dc}.rejected{background:#fadcdc}\
.end::after{content:' \\23F9'}";

/// The tree as a page of its own.
#[must_use]
pub fn render_html(tree: &TreeRecord) -> String {
    let title = escape(&tree.problem.id);
    let mut out = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <style>{STYLE}</style></head><body><h1>{title}</h1><p>{}</p>",
        escape(&tree.problem.question)
    );
    for choice in &tree.problem.choices {
        out.push_str(&format!("<p>({}) {}</p>", escape(&choice.label), escape(&choice.text)));
    }
    out.push_str(&format!(
        "<p>{}; policy {}</p><p><span class=\"committed\">committed</span>, \
         <span class=\"chosen\">chosen</span>, <span class=\"rejected\">rejected</span></p>",
        escape(&outline(tree)),
        escape(&tree.policy)
    ));
    let marks = marks(tree);
    let mut stack: Vec<Piece> = tree.children(0).into_iter().rev().map(Piece::Node).collect();
    while let Some(piece) = stack.pop() {
        match piece {
            Piece::Node(id) => node(tree, id, marks[id as usize], &mut out, &mut stack),
            Piece::Close => out.push_str("</details>"),
        }
    }
    out.push_str("</body></html>\n");
    out
}

/// What is still to be written.
enum Piece {
    Node(u32),
    Close,
}

fn node(
    tree: &TreeRecord,
    id: u32,
    [committed, side]: [char; 2],
    out: &mut String,
    stack: &mut Vec<Piece>,
) {
    let node = &tree.nodes[id as usize];
    let mut classes = Vec::new();
    if committed == '*' {
        classes.push("committed");
    }
    match side {
        '+' => classes.push("chosen"),
        '-' => classes.push("rejected"),
        _ => {}
    }
    if node.terminal {
        classes.push("end");
    }
    let text = format!(
        "<span class=\"{}\">{}</span> <code>{}</code>",
        classes.join(" "),
        escape(node.text.trim_end()),
        figures(node)
    );
    let children = tree.children(id);
    if children.is_empty() {
        out.push_str(&format!("<div class=\"leaf\">{text}</div>"));
        return;
    }
    let open = if committed == '*' { " open" } else { "" };
    out.push_str(&format!("<details{open}><summary>{text}</summary>"));
    stack.push(Piece::Close);
    stack.extend(children.into_iter().rev().map(Piece::Node));
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
    out
}
