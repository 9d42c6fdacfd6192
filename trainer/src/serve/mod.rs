//! `regrowth serve`: a live, read-only web page of runs on this machine.
//!
//! `site` answers requests; an answer is a function of the request and the files of the runs. `http` is the
//! server. This code writes nothing, takes no lock, and reads only the folders of the runs. All users of this
//! machine can read the page; pages of other sites cannot, see [`site`].

mod http;
mod site;
mod trees;

pub(crate) use self::http::serve;
pub(crate) use self::site::Site;
