//! Policies around a policy: what a slow or a failing server does, repeatably.
//!
//! They know nothing of what is asked or answered. A search is tried against them before it meets
//! a real server.

mod delayed;
mod faulty;

pub use delayed::{Delay, Delayed, ServerCounts};
pub use faulty::{FaultRates, Faulty};
