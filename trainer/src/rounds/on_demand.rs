//! A value that is made when it is first requested: a resumed run may need no judge and no verifier.

use std::cell::OnceCell;

use crate::TrainError;

/// A value and the function that makes it.
pub(super) struct OnDemand<'a, T> {
    value: OnceCell<T>,
    make: Box<dyn Fn() -> Result<T, TrainError> + 'a>,
}

impl<'a, T: Clone> OnDemand<'a, T> {
    pub(super) fn new(make: impl Fn() -> Result<T, TrainError> + 'a) -> Self {
        Self { value: OnceCell::new(), make: Box::new(make) }
    }

    /// Returns the value, making it if needed. After an error the next call tries again.
    pub(super) fn get(&self) -> Result<T, TrainError> {
        if let Some(value) = self.value.get() {
            return Ok(value.clone());
        }
        let value = (self.make)()?;
        Ok(self.value.get_or_init(|| value).clone())
    }
}
