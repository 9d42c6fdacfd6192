//! Counts the answers and computed tokens of a policy, for progress displays.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Around;
use crate::{Call, Policy, Response};

/// Counters that only grow. An engine in this process adds its tokens while it computes them; the tokens of
/// other policies are added when the answer arrives.
#[derive(Debug, Default)]
pub struct Meter {
    calls: AtomicU64,
    tokens: AtomicU64,
    live: AtomicU64,
}

impl Meter {
    /// Number of calls answered so far.
    #[must_use]
    pub fn calls(&self) -> u64 {
        // Relaxed ordering, here and below: these are statistics.
        self.calls.load(Ordering::Relaxed)
    }

    /// Number of tokens computed so far.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        // An engine adds its tokens to `live` while it computes them and to `tokens` with the answer. So
        // the larger counter is the more recent one, and the sum would count tokens twice.
        self.live.load(Ordering::Relaxed).max(self.tokens.load(Ordering::Relaxed))
    }

    /// Adds tokens that an engine has just computed.
    #[cfg(feature = "candle")]
    pub(crate) fn computed(&self, tokens: u64) {
        self.live.fetch_add(tokens, Ordering::Relaxed);
    }

    /// Adds an answer and its tokens.
    pub fn answered(&self, response: &Response) {
        let usage = response.usage();
        let tokens = usage.computed();
        self.tokens.fetch_add(tokens, Ordering::Relaxed);
        self.calls.fetch_add(1, Ordering::Relaxed);
    }
}

/// A policy that counts the answers of the inner policy.
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
