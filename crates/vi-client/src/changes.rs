//! How often something may have been changed through a client: what a picture of the host that is kept must know.
//!
//! A change is counted when its call has ended, however it ended, and once more when the task that it started has. Also a
//! call whose future is dropped is counted: the host may have obeyed. So whoever notes the count, then asks the host, and finds the
//! count unchanged later, knows that nothing that ended on this client since is missing in the answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::client::Client;

/// The count, shared by the clones of a client.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    ended: AtomicU64,
}

/// A change under way. It counts when it is dropped.
#[derive(Debug)]
pub(crate) struct Changing(Option<Arc<Changes>>);

impl Drop for Changing {
    fn drop(&mut self) {
        if let Some(changes) = self.0.take() {
            changes.ended.fetch_add(1, Ordering::AcqRel);
        }
    }
}

impl Client {
    /// How many calls that may have changed something have ended so far. Grows only.
    pub fn changes(&self) -> u64 {
        self.change_count().ended.load(Ordering::Acquire)
    }

    /// To be held while `method` is on its way, and its task if it starts one.
    pub(crate) fn changing(&self, method: &str) -> Changing {
        Changing((!only_reads(method)).then(|| Arc::clone(self.change_count())))
    }
}

/// Whether a method changes nothing that anybody else could see. What is not known here is taken for a change, which costs a
/// question more and no truth.
fn only_reads(method: &str) -> bool {
    const BEGINNINGS: [&str; 10] = [
        "CancelRetrieve",
        "CheckForUpdates",
        "Continue",
        "Current",
        "Find",
        // A lease to read disks: nothing that is told of a machine depends on it.
        "HttpNfcLease",
        "Query",
        "Retrieve",
        "SearchDatastore",
        "WaitForUpdates",
    ];
    const NAMES: [&str; 8] = [
        "CancelWaitForUpdates",
        "CreateContainerView",
        "CreateFilter",
        "CreatePropertyCollector",
        "DestroyPropertyCollector",
        "DestroyPropertyFilter",
        "Login",
        "Logout",
    ];
    BEGINNINGS.iter().any(|beginning| method.starts_with(beginning)) || NAMES.contains(&method)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_reads() {
        for read in [
            "RetrievePropertiesEx",
            "ContinueRetrievePropertiesEx",
            "WaitForUpdatesEx",
            "FindAllByUuid",
            "CurrentTime",
            "SearchDatastoreSubFolders_Task",
            "CreateFilter",
        ] {
            assert!(only_reads(read), "{read}");
        }
        for change in [
            "PowerOnVM_Task",
            "UnregisterVM",
            "ReconfigureAutostart",
            "AnswerVM",
            "CreateSnapshot_Task",
            "RefreshDatastore",
            "PUT",
            "SomethingOfVersion99",
        ] {
            assert!(!only_reads(change), "{change}");
        }
    }
}
