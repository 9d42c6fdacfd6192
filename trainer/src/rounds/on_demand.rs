//! A value that is made when it is first asked for: a resumed run may need no judge and no verifier.

use std::cell::OnceCell;

use crate::TrainError;

/// A value and how to make it.
pub(super) struct OnDemand<'a, T> {
    value: OnceCell<T>,
    make: Box<dyn Fn() -> Result<T, TrainError> + 'a>,
}

impl<'a, T: Clone> OnDemand<'a, T> {
    pub(super) fn new(make: impl Fn() -> Result<T, TrainError> + 'a) -> Self {
        Self { value: OnceCell::new(), make: Box::new(make) }
    }

    /// The value. What it cannot be made for is tried again by the next call.
    pub(super) fn get(&self) -> Result<T, TrainError> {
        if let Some(value) = self.value.get() {
            return Ok(value.clone());
        }
        let value = (self.make)()?;
        Ok(self.value.get_or_init(|| value).clone())
    }
}
