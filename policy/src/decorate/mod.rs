//! Policies around a policy: another judge, a cache; what a slow or a failing server does, repeatably.
//!
//! They know nothing of what is asked or answered. A search is tried against them before it meets
//! a real server.

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
