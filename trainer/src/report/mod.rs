//! `report.html`: one page that says what a run did, readable without anything else and without a network.
//!
//! It is made of the run's files alone: the same files give the same page. `sources` reads them, each of
//! the other modules makes one section, and `page` puts them into the templates. `live` makes the page of runs
//! that still go of the same figures, and `inference` that of accuracy against tokens. Text of models and
//! problems is foreign: templates escape it, scripts insert it as text.

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

/// Writes `report.html` into the folder of a run. `test` are its test problems, with which the page says
/// what was asked; without them it shows ids.
///
/// # Errors
/// When it cannot be written, or a template does not fit (a fault of this program). Files of the run that
/// cannot be read leave their section out.
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
