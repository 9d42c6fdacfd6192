//! `regrowth serve`: a live page of runs on this machine, read only.
//!
//! `site` answers requests from the files of the runs, and is a function of the request and these files;
//! `http` is the server around it. Nothing here writes, takes a lock, or reads outside the folders of the runs.
//! Who is on this machine may read the page; a page of another site may not, see [`site`].

mod http;
mod site;
mod trees;

pub(crate) use self::http::serve;
pub(crate) use self::site::Site;
