//! Decorators: policies around a policy. They replace the judge, cache and count answers, or imitate a slow
//! or failing server reproducibly.
//!
//! A decorator passes all calls that it does not handle to the inner policy. The imitated servers let a
//! search be tested before it uses a real server.

mod around;
mod cached;
mod delayed;
mod faulty;
mod follow_ups;
mod judged_by;
mod metered;

pub use around::Around;
pub use cached::Cached;
pub use delayed::{Delay, Delayed, ServerCounts};
pub use faulty::{FaultRates, Faulty};
pub use follow_ups::{FollowUpTexts, FollowUps};
pub use judged_by::JudgedBy;
pub use metered::{Meter, Metered};
