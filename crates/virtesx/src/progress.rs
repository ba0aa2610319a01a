//! How far an operation is, on a terminal that somebody watches; nowhere else.

use std::io::IsTerminal as _;
use std::sync::{Arc, Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use virt_api::{DomainProgress, ProgressCallback, VolumeProgress};

use crate::render::printable;

/// A line on stderr while an operation runs.
#[derive(Default)]
pub(crate) struct Progress {
    bar: Mutex<Option<ProgressBar>>,
}

impl Progress {
    /// A line, if stderr is a terminal.
    pub(crate) fn on_terminal() -> Option<Arc<Self>> {
        std::io::stderr().is_terminal().then(Arc::default)
    }

    /// Shows how many bytes have been transferred.
    pub(crate) fn transfer(&self, what: &str, bytes: u64, total: Option<u64>) {
        let mut bar = self.bar.lock().unwrap_or_else(PoisonError::into_inner);
        let bar = bar.get_or_insert_with(|| {
            let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
            let template = "{msg} [{bar:30}] {percent:>3} % {bytes} at {bytes_per_sec}, {eta} left";
            match ProgressStyle::with_template(template) {
                Ok(style) => bar.with_style(style.progress_chars("=> ")),
                Err(_) => bar,
            }
            .with_message(printable(what))
        });
        bar.set_position(bytes);
    }

    /// Takes the line away: what was running has ended.
    pub(crate) fn clear(&self) {
        let bar = self.bar.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
    }
}

fn new_bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(100), ProgressDrawTarget::stderr());
    // The template is a constant; if it were wrong, the usual line would do.
    match ProgressStyle::with_template("{msg} [{bar:30}] {percent:>3} %") {
        Ok(style) => bar.with_style(style.progress_chars("=> ")),
        Err(_) => bar,
    }
}

impl Progress {
    fn percent(&self, operation: &str, name: &str, percent: u8) {
        let mut bar = self.bar.lock().unwrap_or_else(PoisonError::into_inner);
        let bar = bar.get_or_insert_with(new_bar);
        bar.set_message(format!("{operation} {}", printable(name)));
        bar.set_position(u64::from(percent));
    }
}

impl ProgressCallback for Progress {
    fn progress(&self, progress: &DomainProgress) {
        self.percent(progress.operation, &progress.domain.name, progress.percent);
    }

    fn volume_progress(&self, progress: &VolumeProgress) {
        self.percent(progress.operation, &progress.volume, progress.percent);
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;
    use virt_api::Domain;

    use super::*;

    #[test]
    fn the_line_follows_and_goes() {
        let progress = Progress::default();
        let domain = Domain { name: "a\nb".to_owned(), uuid: Uuid::nil(), id: None };
        for percent in [0, 40, 100] {
            let domain = domain.clone();
            progress.progress(&DomainProgress { domain, operation: "start", percent });
            let bar = progress.bar.lock().unwrap().clone().unwrap();
            assert_eq!(bar.position(), u64::from(percent));
            assert_eq!(bar.message(), "start a\\x0ab");
        }
        progress.clear();
        assert!(progress.bar.lock().unwrap().is_none());
    }
}
