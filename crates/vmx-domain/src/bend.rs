//! Where libvirt gives up or loses something: an error in exact mode, a warning in default mode.

use crate::error::{Error, Warning};

/// What reading and writing have in common.
pub(crate) trait Bend {
    /// Whether libvirt's answer is wanted to the letter, errors included.
    fn exact(&self) -> bool;

    /// What was bent so far.
    fn warnings(&mut self) -> &mut Vec<Warning>;

    /// Raises an error of libvirt's in exact mode; notes it and what is done instead in default mode.
    fn bend(&mut self, error: Error, instead: &str) -> Result<(), Error> {
        if self.exact() {
            return Err(error);
        }
        self.warn(error.location, format!("{}; {instead}", error.reason));
        Ok(())
    }

    /// Notes what was bent.
    fn warn(&mut self, key: impl Into<String>, reason: impl Into<String>) {
        self.warnings().push(Warning { key: key.into(), reason: reason.into() });
    }
}
