//! The few pieces of HTML that the page is made of, each of which escapes what it is given.

use std::fmt::Write;

use regrowth_mcts::show::escape_html;

/// A table; the first column is a row's name.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut out = String::from("<div class=\"scroll\"><table><thead><tr>");
    for cell in head {
        let _ = write!(out, "<th scope=\"col\">{}</th>", escape_html(cell));
    }
    out.push_str("</tr></thead><tbody>");
    for row in rows {
        out.push_str("<tr>");
        for (index, cell) in row.iter().enumerate() {
            let (tag, scope) = if index == 0 { ("th", " scope=\"row\"") } else { ("td", "") };
            let _ = write!(out, "<{tag}{scope}>{}</{tag}>", escape_html(cell));
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table></div>\n");
    out
}

/// A table of counts with a bar for each.
pub(super) fn bars(name: &str, rows: &[(String, u64)]) -> String {
    let most = rows.iter().map(|r| r.1).max().unwrap_or(0).max(1);
    let mut out = format!(
        "<div class=\"scroll\"><table class=\"bars\"><thead><tr><th scope=\"col\">{}</th>\
         <th scope=\"col\">count</th><th></th></tr></thead><tbody>",
        escape_html(name)
    );
    for (label, count) in rows {
        let width = 100.0 * *count as f64 / most as f64;
        let _ = write!(
            out,
            "<tr><th scope=\"row\">{}</th><td>{count}</td><td class=\"bar\">\
             <span style=\"width:{width:.1}%\"></span></td></tr>",
            escape_html(label)
        );
    }
    out.push_str("</tbody></table></div>\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_text_opens_an_element_or_leaves_an_attribute(text in ".*") {
            let cell = table(&[&text], &[vec![text.clone()]]);
            let opened = cell.matches('<').count();
            prop_assert_eq!(opened, table(&["x"], &[vec!["x".into()]]).matches('<').count());
            prop_assert!(!escape_html(&text).contains(['"', '\'']));
        }
    }
}
