//! What this process has: memory, open files, tasks.

use std::fmt;
use std::time::Duration;

/// What was counted at one time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reading {
    /// `VmHWM`: the most memory that the process ever had.
    pub(crate) peak_kib: u64,
    /// `VmRSS`: the memory that it has.
    pub(crate) memory_kib: u64,
    /// Entries of `/proc/self/fd`: files, sockets, pipes.
    pub(crate) files: usize,
    /// Tasks of the runtime that have not ended.
    pub(crate) tasks: usize,
}

impl Reading {
    pub(crate) fn now() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let kib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|rest| rest.split_whitespace().nth(1)?.parse().ok());
            number.unwrap_or(0)
        };
        Self {
            peak_kib: kib("VmHWM"),
            memory_kib: kib("VmRSS"),
            files: std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count),
            tasks: tokio::runtime::Handle::current().metrics().num_alive_tasks(),
        }
    }

    /// The greater of each.
    pub(crate) fn max(self, other: Self) -> Self {
        Self {
            peak_kib: self.peak_kib.max(other.peak_kib),
            memory_kib: self.memory_kib.max(other.memory_kib),
            files: self.files.max(other.files),
            tasks: self.tasks.max(other.tasks),
        }
    }
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { peak_kib, memory_kib, files, tasks } = self;
        write!(f, "peak {peak_kib} KiB, memory {memory_kib} KiB, {files} files, {tasks} tasks")
    }
}

/// Waits until there are no more tasks and files than `before`, or until that should long have been so.
pub(crate) async fn settled(before: Reading) -> Reading {
    let mut now = Reading::now();
    for _ in 0..200 {
        if now.tasks <= before.tasks && now.files <= before.files {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        now = Reading::now();
    }
    now
}
