//! Counts of what a policy has answered and computed, for whoever shows how a run is going.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Around;
use crate::{Call, Policy, Response};

/// Counts that only grow. An engine in this process counts its tokens while it computes them; those of
/// other policies are counted when the answer is there.
#[derive(Debug, Default)]
pub struct Meter {
    calls: AtomicU64,
    tokens: AtomicU64,
    live: AtomicU64,
}

impl Meter {
    /// Calls that were answered.
    #[must_use]
    pub fn calls(&self) -> u64 {
        // Relaxed, here and below: statistics.
        self.calls.load(Ordering::Relaxed)
    }

    /// Tokens computed so far.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        // An engine counts its tokens in `live` while it computes them and in `tokens` with the answer, so
        // the larger count is the newer one, and the sum would count them twice.
        self.live.load(Ordering::Relaxed).max(self.tokens.load(Ordering::Relaxed))
    }

    /// Counts tokens that an engine has just computed.
    #[cfg(feature = "candle")]
    pub(crate) fn computed(&self, tokens: u64) {
        self.live.fetch_add(tokens, Ordering::Relaxed);
    }

    /// Counts an answer.
    pub fn answered(&self, response: &Response) {
        let usage = response.usage();
        let tokens = usage.computed();
        self.tokens.fetch_add(tokens, Ordering::Relaxed);
        self.calls.fetch_add(1, Ordering::Relaxed);
    }
}

/// A policy whose answers are counted.
pub struct Metered {
    inner: Arc<dyn Policy>,
    meter: Arc<Meter>,
}

impl Metered {
    /// Counts the answers of `inner` in `meter`.
    #[must_use]
    pub fn new(inner: Arc<dyn Policy>, meter: Arc<Meter>) -> Self {
        Self { inner, meter }
    }
}

impl Around for Metered {
    fn inner(&self) -> &dyn Policy {
        &*self.inner
    }

    fn take(&self, mut call: Call) {
        call.caller.count_in(&self.meter);
        self.inner.submit(call);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decorate::{FaultRates, Faulty};
    use crate::{Request, Score, Scripted, call};

    #[test]
    fn answers_count_and_failures_do_not() {
        let meter = Arc::new(Meter::default());
        let policy = Metered::new(Arc::new(Scripted::new()), meter.clone());
        let score = |prefix: &[u32]| {
            Request::Score(Score { prefix: prefix.into(), continuation: [3].as_slice().into() })
        };
        call(&policy, score(&[1, 2])).expect("an answer");
        assert_eq!(meter.calls(), 1);
        let always = FaultRates { error: 1.0, ..FaultRates::default() };
        let faulty = Arc::new(Faulty::new(Arc::new(Scripted::new()), always, 0));
        let policy = Metered::new(faulty, meter.clone());
        assert!(call(&policy, score(&[1, 2])).is_err());
        assert_eq!(meter.calls(), 1);
    }
}
