//! The few pieces of HTML that the page is made of, each of which escapes what it is given.

use std::fmt::Write;

/// Longest text that is shown of anything foreign, in characters.
const LONGEST: usize = 8000;

/// Text that means itself in HTML, in element content and in attributes.
pub(super) fn escape(text: &str) -> String {
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
            // Control characters (terminal escapes, NUL) and those that turn the reading direction.
            '\n' | '\t' => out.push(c),
            c if c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c) => out.push('\u{fffd}'),
            c if ('\u{2066}'..='\u{2069}').contains(&c) => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// A table; the first column is a row's name.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut out = String::from("<div class=\"scroll\"><table><thead><tr>");
    for cell in head {
        let _ = write!(out, "<th scope=\"col\">{}</th>", escape(cell));
    }
    out.push_str("</tr></thead><tbody>");
    for row in rows {
        out.push_str("<tr>");
        for (index, cell) in row.iter().enumerate() {
            let (tag, scope) = if index == 0 { ("th", " scope=\"row\"") } else { ("td", "") };
            let _ = write!(out, "<{tag}{scope}>{}</{tag}>", escape(cell));
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
        escape(name)
    );
    for (label, count) in rows {
        let width = 100.0 * *count as f64 / most as f64;
        let _ = write!(
            out,
            "<tr><th scope=\"row\">{}</th><td>{count}</td><td class=\"bar\">\
             <span style=\"width:{width:.1}%\"></span></td></tr>",
            escape(label)
        );
    }
    out.push_str("</tbody></table></div>\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn foreign_text_stays_text() {
        let text = "<script>alert('x')</script> & \"y\" \u{1b}[31m \u{202e}";
        let safe = escape(text);
        assert!(!safe.contains('<') && !safe.contains('\u{1b}') && !safe.contains('\u{202e}'));
        assert!(safe.starts_with("&lt;script&gt;alert(&#39;x&#39;)"), "{safe}");
        assert!(escape(&"x".repeat(LONGEST + 5)).ends_with(" ..."));
    }

    proptest! {
        #[test]
        fn no_text_opens_an_element_or_leaves_an_attribute(text in ".*") {
            let cell = table(&[&text], &[vec![text.clone()]]);
            let opened = cell.matches('<').count();
            prop_assert_eq!(opened, table(&["x"], &[vec!["x".into()]]).matches('<').count());
            prop_assert!(!escape(&text).contains(['"', '\'']));
        }
    }
}
