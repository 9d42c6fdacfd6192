//! The page of a tree: nested folds, the committed path open.
//!
//! Style and structure are all in the page.

use super::foreign::shown;
use super::{figures, marked_equations, marks, outline};
use crate::PairConfig;
use crate::record::TreeRecord;

const STYLE: &str = "body{font:14px/1.5 system-ui,sans-serif;margin:2em;max-width:70em}\
details,.leaf{margin-left:1.4em}summary{cursor:pointer}\
.leaf{padding-left:1em}code{color:#667;font-size:12px}\
.committed{font-weight:600}.chosen{background:#dcf5dc}.rejected{background:#fadcdc}\
mark{background:#ffd24d}\
.end::after{content:' \\23F9'}";

/// Longest text that is shown of anything foreign, in characters.
const LONGEST: usize = 8000;

/// The tree as a page of its own, with the sides of the pairs that these rules cut.
#[must_use]
pub fn render_html(tree: &TreeRecord, rules: &PairConfig) -> String {
    let title = escape_html(&tree.problem.id);
    let mut out = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <style>{STYLE}</style></head><body><h1>{title}</h1><p>{}</p>",
        escape_html(&tree.problem.question)
    );
    for choice in &tree.problem.choices {
        out.push_str(&format!(
            "<p>({}) {}</p>",
            escape_html(&choice.label),
            escape_html(&choice.text)
        ));
    }
    out.push_str(&format!(
        "<p>{}; policy {}</p><p><span class=\"committed\">committed</span>, \
         <span class=\"chosen\">chosen</span>, <span class=\"rejected\">rejected</span>, <mark>false equation</mark></p>",
        escape_html(&outline(tree)),
        escape_html(&tree.policy)
    ));
    let marks = marks(tree, rules);
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
        marked_equations(node.text.trim_end(), "<mark title=\"false\">", "</mark>", escape_html),
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

/// Text that means itself in HTML, in element content and in attributes.
#[must_use]
pub fn escape_html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (count, c) in text.chars().enumerate() {
        if count == LONGEST {
            out.push_str(" ...");
            break;
        }
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(shown(c)),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_stays_text() {
        let text = "<script>alert('x')</script> & \"y\" \u{1b}[31m \u{202e}";
        let safe = escape_html(text);
        assert!(!safe.contains('<') && !safe.contains('\u{1b}') && !safe.contains('\u{202e}'));
        assert!(safe.starts_with("&lt;script&gt;alert(&#39;x&#39;)"), "{safe}");
        assert!(escape_html(&"x".repeat(LONGEST + 5)).ends_with(" ..."));
    }
}
