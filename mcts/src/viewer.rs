//! The tree viewer: the trees' data for a page, and the page that shows them.
//!
//! [`TreeSet`] is the data that the script reads. `mcts show --html` writes it with [`render_page`]; a run's
//! report contains the same script and data. A page is one file that loads nothing: style, scripts and data
//! are inside it. Text that comes from models and problem files is stored as JSON and shown only as text,
//! never as markup.

mod data;

use minijinja::{Environment, context};
use serde::Serialize;

pub(crate) use self::data::{EndView, NodeView};
pub use self::data::{TreeSet, TreeView};

/// Colours, type and controls that all pages share.
pub const THEME: &str = include_str!("viewer/assets/theme.css");
/// Style of the viewer.
pub const STYLE: &str = include_str!("viewer/assets/viewer.css");
/// Script of the viewer; defines `Regrowth.viewer`, needs [`MATHEMATICS`].
pub const SCRIPT: &str = concat!(
    include_str!("viewer/assets/tree.js"),
    include_str!("viewer/assets/pane.js"),
    include_str!("viewer/assets/viewer.js"),
);
/// Finds formulas in text and renders them with KaTeX if the page includes it ([`katex_for`]); defines
/// `Regrowth.mathematics`.
pub const MATHEMATICS: &str = include_str!("viewer/assets/mathematics.js");
/// Markup of the viewer; the script fills it.
pub const MARKUP: &str = include_str!("viewer/assets/viewer.html");

const KATEX: &str = include_str!("viewer/assets/vendor/katex/katex.min.js");
const PAGE: &str = include_str!("viewer/assets/page.html");

/// Content security policy: prevents a page from loading or sending anything, whatever its text contains.
pub const CONTENT_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; \
     base-uri 'none'; form-action 'none'";

/// Serialises a value as the content of `<script type="application/json">`. It contains no `<`, which could
/// end the script element.
///
/// # Errors
/// If the value cannot be represented in JSON.
pub fn embed_json(value: &impl Serialize) -> Result<String, serde_json::Error> {
    Ok(serde_json::to_string(value)?.replace('<', "\\u003c"))
}

/// KaTeX if the text of a page may contain formulas; otherwise empty, which keeps the page small.
#[must_use]
pub fn katex_for(json: &str) -> &'static str {
    if json.contains("\\\\") || json.contains('$') { KATEX } else { "" }
}

/// The page of `mcts show --html`.
///
/// # Errors
/// A bug in this program: the page's template does not match its data.
pub fn render_page(title: &str, sets: &[TreeSet]) -> Result<String, minijinja::Error> {
    let data = embed_json(&sets).map_err(|e| {
        minijinja::Error::new(minijinja::ErrorKind::BadSerialization, e.to_string())
    })?;
    let mut environment = Environment::new();
    // Values inserted into templates with these names (`.html`) are escaped.
    environment.add_template("page.html", PAGE)?;
    environment.add_template("viewer.html", MARKUP)?;
    environment.get_template("page.html")?.render(context! {
        title,
        policy => CONTENT_POLICY,
        styles => [THEME, STYLE],
        scripts => [katex_for(&data), MATHEMATICS, SCRIPT],
        data,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PairConfig;
    use crate::pairs::tests::example;

    fn page(change: impl Fn(&mut crate::TreeRecord)) -> String {
        let mut tree = example();
        change(&mut tree);
        let view = TreeView::new(&tree, &PairConfig::default());
        render_page("<b>", &[TreeSet::new("round 1", 1, vec![view])]).unwrap()
    }

    #[test]
    fn foreign_text_closes_nothing_and_opens_nothing() {
        let plain = page(|_| {});
        let evil = page(|tree| {
            let text = "</script><script>alert(1)</script><!-- \u{1b}[2J \u{202e}".to_owned();
            tree.nodes[1].text = text.clone();
            (tree.problem.id, tree.problem.question) = (text.clone(), text.clone());
            (tree.problem.answer, tree.policy) = (text.clone(), text);
        });
        for tag in ["<script", "</script", "<!--"] {
            assert_eq!(plain.matches(tag).count(), evil.matches(tag).count(), "{tag}");
        }
        assert!(evil.contains("\\u003c/script>") && !evil.contains(['\u{1b}', '\u{202e}']));
        assert!(plain.contains("<title>&lt;b&gt;</title>") && !plain.contains("{{"));
    }

    #[test]
    fn formulas_bring_katex_and_nothing_else_does() {
        let bare = page(|_| {});
        assert!(bare.len() < 100_000, "{} bytes", bare.len());
        let formula = page(|tree| tree.nodes[1].text = "so \\boxed{3}".to_owned());
        assert!(formula.len() > bare.len() + 200_000);
    }

    #[test]
    fn a_page_loads_nothing() {
        let page = page(|_| {});
        for resource in [" src=", "<link", "@import", "url(", "fetch(", "XMLHttpRequest", "http"] {
            // The page declares its policy with `http-equiv`.
            let found = page.replace("http-equiv", "").find(resource);
            assert!(found.is_none(), "{resource} at {found:?}");
        }
        assert!(page.contains("default-src &#x27;none&#x27;"), "the page's policy");
    }
}
