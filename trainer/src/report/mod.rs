//! `report.html`: one self-contained page about a run, readable without a network.
//!
//! The page is a function of the run's files: the same files give the same page. `sources` reads them, most
//! other modules build one section each, and `page` inserts the sections into the templates. `live` renders
//! the page of unfinished runs from the same figures, and `inference` the page of accuracy by tokens. Text of
//! models and problems is untrusted: templates escape it, and scripts insert it as text.

mod changes;
mod charts;
mod examples;
mod histograms;
mod inference;
mod kinds;
mod live;
mod machine;
mod mistakes;
mod page;
mod preferences;
mod settings;
mod sources;
mod summary;
mod table;
mod tables;
mod troubles;
mod words;

pub use self::inference::write_curve;
pub(crate) use self::live::{LIVE_SCRIPTS, LIVE_STYLE, page as live_page, update as live_update};
pub(crate) use self::page::is_linked;

use std::path::Path;

use regrowth_datasets::{Problem, atomic_write};

use self::sources::Sources;
use crate::TrainError;
use crate::rounds::RunReport;

/// Writes `report.html` into the folder of a run. `test` are its test problems, for the questions on the
/// page; if it is empty, the page shows ids.
///
/// # Errors
/// If the page cannot be written, or a template does not fit (a fault of this program). If files of the run
/// cannot be read, their section is left out.
pub fn write_html(run: &Path, report: &RunReport, test: &[Problem]) -> Result<(), TrainError> {
    let path = run.join("report.html");
    let page = page::render(&Sources::read(run, report, test)).map_err(|e| TrainError::File {
        path: path.clone(),
        detail: format!("the page cannot be made: {e:#}"),
    })?;
    Ok(atomic_write(&path, |file| std::io::Write::write_all(file, page.as_bytes()))?)
}

#[cfg(test)]
mod tests;
