//! What was checked and how it ended, a line each.

use anyhow::bail;

/// Counts and remembers.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// How many checks passed.
    pub(super) passed: usize,
    /// The names of those that failed.
    pub(super) failed: Vec<String>,
}

impl Report {
    /// Runs one check. Returns its value if it passed.
    pub(super) fn check<T>(
        &mut self,
        name: impl Into<String>,
        what: impl FnOnce() -> anyhow::Result<T>,
    ) -> Option<T> {
        let name = name.into();
        match what() {
            Ok(value) => {
                println!("ok    {name}");
                self.passed += 1;
                Some(value)
            }
            Err(error) => {
                println!("FAIL  {name}: {error:#}");
                self.failed.push(name);
                None
            }
        }
    }

    /// Prints the sum.
    ///
    /// # Errors
    /// If a check failed.
    pub(super) fn finish(&self) -> anyhow::Result<()> {
        println!("interop: {} passed, {} failed", self.passed, self.failed.len());
        if !self.failed.is_empty() {
            bail!("failed were:\n  {}", self.failed.join("\n  "));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_counted_and_named() {
        let mut report = Report::default();
        assert_eq!(report.check("one", || Ok(1)), Some(1));
        assert_eq!(report.check::<()>("two", || anyhow::bail!("no")), None);
        assert_eq!((report.passed, report.failed), (1, vec!["two".to_owned()]));
    }
}
