//! Many requests at once, answers in the order of the requests.

use crossbeam::channel::unbounded;
use regrowth_policy::{Call, Policy, PolicyError, Request, Response};

/// Submits all requests and waits for all answers; hold the list to what the policy wants in
/// flight.
///
/// # Errors
/// [`PolicyError::Gone`] when the policy stopped; errors of single requests are in the list.
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
