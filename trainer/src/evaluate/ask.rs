//! Sends many requests at once and returns the answers in the order of the requests.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError, unbounded};
use regrowth_policy::{Answered, Call, Policy, PolicyError, Request, Response};

use crate::TrainError;

/// Interval at which a waiting evaluation checks its cancel flag.
const CANCEL_POLL: Duration = Duration::from_millis(100);

/// Waits for an answer and checks the cancel flag meanwhile.
///
/// # Errors
/// [`TrainError::Interrupted`] if cancelled, [`PolicyError::Gone`] if the policy has ended.
pub(crate) fn receive(
    answers: &Receiver<Answered>,
    cancel: &AtomicBool,
) -> Result<Answered, TrainError> {
    loop {
        // Relaxed: the flag carries no data.
        if cancel.load(Ordering::Relaxed) {
            return Err(TrainError::Interrupted);
        }
        match answers.recv_timeout(CANCEL_POLL) {
            Ok(answered) => return Ok(answered),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(PolicyError::Gone.into()),
        }
    }
}

/// Sends all `requests`, with as many in flight as the policy allows, and passes the answers to `seen` in the
/// order of the requests.
///
/// # Errors
/// As [`receive`]; [`TrainError::Policy`] if the policy has failed for good; errors of `seen`. Errors of
/// single requests are passed to `seen`.
pub(crate) fn ask_in_order(
    policy: &dyn Policy,
    requests: impl IntoIterator<Item = Request>,
    cancel: &AtomicBool,
    seen: &mut dyn FnMut(Result<Response, PolicyError>) -> Result<(), TrainError>,
) -> Result<(), TrainError> {
    let (reply, answers) = unbounded();
    let mut requests = requests.into_iter().fuse();
    let (mut asked, mut next) = (0, 0);
    let mut early = BTreeMap::new();
    loop {
        // Read again each time: a policy of servers adapts the limit to what the servers can handle.
        let width = policy.limits().in_flight.max(1) as u64;
        while asked < next + width
            && let Some(request) = requests.next()
        {
            policy.submit(Call::new(asked, request, reply.clone()));
            asked += 1;
        }
        if next == asked {
            return Ok(());
        }
        if let Some(result) = early.remove(&next) {
            seen(result)?;
            next += 1;
            continue;
        }
        let Answered { request_id, result } = receive(&answers, cancel)?;
        match result {
            Err(error) if error.is_final() => return Err(error.into()),
            result => drop(early.insert(request_id, result)),
        }
    }
}

/// Sends all requests and waits for all answers. The list should not exceed the number of requests that the
/// policy allows in flight.
///
/// # Errors
/// [`PolicyError::Gone`] if the policy has ended; errors of single requests are in the list.
pub(crate) fn ask_all(
    policy: &dyn Policy,
    requests: Vec<Request>,
) -> Result<Vec<Result<Response, PolicyError>>, PolicyError> {
    let count = requests.len();
    let (reply, answers) = unbounded();
    for (request_id, request) in requests.into_iter().enumerate() {
        policy.submit(Call::new(request_id as u64, request, reply.clone()));
    }
    drop(reply);
    let mut results: Vec<Result<Response, PolicyError>> =
        (0..count).map(|_| Err(PolicyError::Gone)).collect();
    for _ in 0..count {
        let answered = answers.recv().map_err(|_| PolicyError::Gone)?;
        if let Some(place) = results.get_mut(answered.request_id as usize) {
            *place = answered.result;
        }
    }
    Ok(results)
}
