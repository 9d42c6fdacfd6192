//! Caches answers: equal requests are sent to the inner policy once.
//!
//! An answer is a pure function of its request, so a cached answer equals a new one. Equal requests in
//! flight at the same time wait for one answer. Nothing is evicted: memory grows with the number of
//! different requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam::channel::{Receiver, Sender, unbounded};
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use super::Around;
use crate::record::key_of;
use crate::{Answered, Call, Caller, Policy, Response};

/// A policy that sends each distinct request to the inner policy once.
pub struct Cached {
    inner: Arc<dyn Policy>,
    shared: Arc<Shared>,
    reply: Sender<Answered>,
}

#[derive(Default)]
struct Shared {
    /// The cached answer of each request, or the callers that wait for it, by the request's key.
    known: DashMap<String, Known>,
    /// Keys of the requests in flight, by their request ids at the inner policy.
    asked: DashMap<u64, String>,
    next: AtomicU64,
    hits: AtomicU64,
}

enum Known {
    Answer(Response),
    /// The callers that wait for the answer.
    Asked(Vec<Caller>),
}

impl Cached {
    /// Caches the answers of `inner`. Errors are not cached.
    #[must_use]
    pub fn new(inner: Arc<dyn Policy>) -> Self {
        let (reply, answers) = unbounded();
        let shared = Arc::new(Shared::default());
        let keeper = shared.clone();
        std::thread::spawn(move || keeper.keep(&answers));
        Self { inner, shared, reply }
    }

    /// Number of requests that were not sent to the inner policy.
    #[must_use]
    pub fn hits(&self) -> u64 {
        // Relaxed ordering: a statistic.
        self.shared.hits.load(Ordering::Relaxed)
    }
}

impl Shared {
    /// Stores answers as they arrive, until all senders are dropped.
    fn keep(&self, answers: &Receiver<Answered>) {
        for Answered { request_id, result } in answers {
            let Some((_, key)) = self.asked.remove(&request_id) else { continue };
            let before = match &result {
                Ok(response) => self.known.insert(key, Known::Answer(response.clone())),
                Err(_) => self.known.remove(&key).map(|(_, known)| known),
            };
            let Some(Known::Asked(waiting)) = before else { continue };
            for caller in waiting {
                caller.answer(result.clone());
            }
        }
    }
}

impl Around for Cached {
    fn inner(&self) -> &dyn Policy {
        &*self.inner
    }

    fn take(&self, call: Call) {
        let Call { request, caller } = call;
        let key = match key_of(&request) {
            Ok(key) => key,
            Err(error) => return caller.answer(Err(error)),
        };
        match self.shared.known.entry(key) {
            Entry::Occupied(mut known) => {
                // Relaxed ordering: a statistic.
                self.shared.hits.fetch_add(1, Ordering::Relaxed);
                match known.get_mut() {
                    Known::Answer(response) => caller.answer(Ok(response.clone())),
                    Known::Asked(waiting) => waiting.push(caller),
                }
            }
            Entry::Vacant(place) => {
                // Relaxed ordering: only uniqueness matters.
                let number = self.shared.next.fetch_add(1, Ordering::Relaxed);
                self.shared.asked.insert(number, place.key().clone());
                place.insert(Known::Asked(vec![caller]));
                // `insert` has released the map entry, because the inner policy may answer at once, in this
                // thread.
                self.inner.submit(Call::new(number, request, self.reply.clone()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decorate::{FaultRates, Faulty};
    use crate::{Propose, Recording, Request, Sampling, Scripted, call};

    fn request(policy: &dyn Policy, key: u64) -> Request {
        Request::Propose(Propose {
            prefix: policy.encode("Question: 1 and 2?\nAnswer:\n").unwrap().into(),
            keys: vec![key],
            sampling: Sampling::default(),
            greedy_first: false,
            boundary: crate::Boundary::Newline,
            stop_at: crate::StopAt::default(),
            max_tokens: 50,
        })
    }

    #[test]
    fn an_equal_request_is_asked_once_and_answered_alike() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log.jsonl");
        let recorded = Recording::open(Arc::new(Scripted::new()), &log).unwrap();
        let policy = Cached::new(Arc::new(recorded));
        let (reply, answers) = unbounded();
        for request_id in 0..40 {
            let request = request(&policy, request_id % 4);
            policy.submit(Call::new(request_id, request, reply.clone()));
        }
        let mut all: Vec<Answered> = answers.iter().take(40).collect();
        all.sort_by_key(|a| a.request_id);
        for found in &all[4..] {
            let first = &all[found.request_id as usize % 4];
            assert_eq!(found.result.as_ref().unwrap(), first.result.as_ref().unwrap());
        }
        assert_eq!(policy.hits(), 36);
        let log = std::fs::read_to_string(&log).unwrap();
        assert_eq!(log.lines().filter(|row| row.contains("\"answer\"")).count(), 4);
    }

    #[test]
    fn errors_reach_who_asked_and_are_not_kept() {
        let rates = FaultRates { error: 1.0, ..FaultRates::default() };
        let policy = Cached::new(Arc::new(Faulty::new(Arc::new(Scripted::new()), rates, 1)));
        for _ in 0..2 {
            assert!(call(&policy, request(&policy, 1)).is_err());
        }
        assert_eq!(policy.hits(), 0);
    }
}
