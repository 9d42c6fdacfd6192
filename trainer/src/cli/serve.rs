//! `regrowth serve`: a local web page that shows runs while they are running.

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

use super::{print_line, stop};
use crate::TrainError;
use crate::rounds::read_report;
use crate::serve::{Site, serve};

/// Default port, if it is free.
const PORT: u16 = 8089;

/// Arguments of `regrowth serve`.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Output")]
pub(super) struct Args {
    /// Folders of runs, finished or not.
    #[arg(value_name = "DIR", required = true)]
    runs: Vec<PathBuf>,
    /// Port on 127.0.0.1 [default: 8089, or any free one].
    #[arg(long, value_name = "N")]
    port: Option<u16>,
}

pub(super) fn run(args: &Args) -> Result<(), TrainError> {
    for run in &args.runs {
        // A corrupted report is shown on the page; a folder without a run is an error here.
        crate::rounds::read_run_file(run)?;
        if !run.join("run.json").is_file() {
            read_report(run)?;
        }
    }
    let listener = listen(args.port)?;
    let address = listener.local_addr().map_err(TrainError::io("the server's socket"))?;
    let stop = Arc::default();
    stop::on_signals(&stop, "answering what was asked")?;
    print_line(&format!("http://{address}/ shows the runs; Ctrl-C ends it"))?;
    serve(listener, Site::new(args.runs.clone()), &stop)
}

/// Binds a socket on the loopback interface.
fn listen(port: Option<u16>) -> Result<TcpListener, TrainError> {
    let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    match port {
        Some(port) => bind(port).map_err(|error| TrainError::Setting {
            name: "port",
            detail: format!("127.0.0.1:{port}: {error}; leave --port out to get a free one"),
        }),
        None => bind(PORT).or_else(|_| bind(0)).map_err(TrainError::io("a port of 127.0.0.1")),
    }
}
