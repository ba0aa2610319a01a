//! Watching properties: a property collector of one's own, and waiting for updates of its filter.
//!
//! Every watch has its own collector, so that two waits never disturb each other (server fact 11);
//! collectors that are done are kept for the next watch. Hosts of API 4.0 and older have one collector
//! per session: there a watch asks again and again, more and more slowly, and compares.

use std::collections::HashMap;
use std::time::Duration;

use esx_vi_api::data::{ObjectUpdate, PropertyFilterSpec, UpdateSet, WaitOptions};
use esx_vi_api::enums::{ObjectUpdateKind, PropertyChangeOp};
use esx_vi_api::methods::{
    CancelWaitForUpdates, CreateFilter, CreatePropertyCollector, DestroyPropertyCollector,
    DestroyPropertyFilter, WaitForUpdatesEx,
};
use esx_vi_api::{Method as _, MoRef, Value};

use crate::client::Client;
use crate::collector::Retrieval;
use crate::error::{Error, Result};

/// How long one request waits at the most; a host that says nothing for longer is asked again.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Most sets in a row that end no wait: of a hundred objects each, that is more than any inventory has.
const MAX_SETS: u32 = 4_000;
/// Most changes of one wait: forty of each of a hundred thousand objects.
const MAX_CHANGES: usize = 4_000_000;
/// How much later than it was told to a host may answer, if the connection's own limit is not shorter.
const GRACE: Duration = Duration::from_secs(30);
/// Objects in one set of updates; the rest follows in the next (server fact 9).
const MAX_OBJECT_UPDATES: i32 = 2000;
/// The first and the longest pause between two looks where there are no updates.
const POLL: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// Cancellations of a wait that were meant for another one; more of them mean something else.
const MAX_CANCELLED: u32 = 100;
/// Collectors kept for later watches.
const POOL: usize = 4;
/// How often a watch that has told nothing yet begins anew because its collector went with the session.
const BEGINNINGS: u32 = 4;

/// A change that a watch has seen.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A property has this value now, also when the watch begins; `None` if it has none any more.
    Property {
        /// The object.
        object: MoRef,
        /// The property path. May be longer than the one that was asked for: `config.hardware.device[4000]`.
        path: String,
        /// Its value.
        value: Option<Value>,
    },
    /// The object no longer exists, or is no longer reached.
    Left {
        /// The object.
        object: MoRef,
    },
}

/// What one request for updates has brought.
#[derive(Debug)]
pub enum News {
    /// Something has changed.
    Page(Page),
    /// Nothing has changed since the version that was asked from, up to the moment of the answer.
    Nothing,
    /// The wait was ended by [`Canceller::cancel`]: nothing is known.
    Cancelled,
}

/// A set of updates. It counts as taken when the next is asked for.
#[derive(Debug)]
pub struct Page {
    /// What has changed, object by object, in the host's order.
    pub updates: Vec<ObjectUpdate>,
    /// Whether there is more already: the picture is whole only with the pages that follow (server fact 9).
    pub truncated: bool,
}

/// Ends a wait that is under way elsewhere.
#[derive(Clone, Debug)]
pub struct Canceller {
    client: Client,
    collector: MoRef,
}

impl Canceller {
    /// Asks the host to end the wait. One request; the wait itself tells when it has ended. A host that is just
    /// working out an answer may go on with the wait (VI API `CancelWaitForUpdates`), so ask again if it does.
    ///
    /// # Errors
    /// Any [`crate::Error`].
    pub async fn cancel(&self) -> Result<()> {
        self.client.call(&self.collector, &CancelWaitForUpdates {}).await
    }
}

/// Properties that are being watched. End it with [`Watch::close`]; a watch that is dropped ends on the
/// host in the background, or with the session.
#[derive(Debug)]
pub struct Watch {
    client: Client,
    source: Option<Source>,
}

#[derive(Debug)]
enum Source {
    /// A collector with one or more filters.
    Collector {
        collector: MoRef,
        /// What is watched, and the filter for each.
        retrievals: Vec<Retrieval>,
        filters: Vec<MoRef>,
        /// The version that has been handed out completely.
        version: String,
        /// The version of the batch that the caller has now.
        handed_out: Option<String>,
    },
    /// Repeated retrieval.
    Polling {
        retrievals: Vec<Retrieval>,
        known: HashMap<MoRef, Vec<(String, Value)>>,
        pause: Duration,
    },
}

impl Client {
    /// Begins to watch what `retrieval` describes.
    ///
    /// # Errors
    /// Any [`crate::Error`].
    pub async fn watch(&self, retrieval: &Retrieval) -> Result<Watch> {
        if self.api_version() < WaitForUpdatesEx::SINCE {
            let source =
                Source::Polling { retrievals: Vec::new(), known: HashMap::new(), pause: POLL.0 };
            let mut watch = Watch { client: self.clone(), source: Some(source) };
            watch.add(retrieval).await?;
            return Ok(watch);
        }
        let mut collector = self.take_collector();
        for _ in 1..BEGINNINGS {
            match self.watch_by(collector.take(), retrieval).await {
                // It went with the session that had it, while the call was on its way: a new one is of the new session.
                Err(error) if error.is_lost_collector() => {
                    tracing::debug!(%error, "watching with another collector");
                }
                result => return result,
            }
        }
        self.watch_by(None, retrieval).await
    }

    async fn watch_by(&self, collector: Option<MoRef>, retrieval: &Retrieval) -> Result<Watch> {
        let collector = match collector {
            Some(collector) => collector,
            None => {
                self.call(&self.content().property_collector, &CreatePropertyCollector {}).await?
            }
        };
        let source = Source::Collector {
            collector,
            retrievals: Vec::new(),
            filters: Vec::new(),
            version: String::new(),
            handed_out: None,
        };
        // From here on a failure drops the watch, which takes the collector with it.
        let mut watch = Watch { client: self.clone(), source: Some(source) };
        watch.add(retrieval).await?;
        Ok(watch)
    }
}

impl Watch {
    /// Watches this as well.
    ///
    /// # Errors
    /// Any [`crate::Error`].
    pub async fn add(&mut self, retrieval: &Retrieval) -> Result<()> {
        let mut retrieval = retrieval.clone();
        for path in retrieval.withhold(self.client.api_version()) {
            tracing::warn!(path, "not watched: the host's API does not know it");
        }
        match &mut self.source {
            Some(Source::Collector { collector, retrievals, filters, .. }) => {
                let spec: PropertyFilterSpec = retrieval.spec();
                let mut filter = CreateFilter { spec, partial_updates: false };
                loop {
                    match self.client.call(collector, &filter).await {
                        Ok(made) => break filters.push(made),
                        // As in a retrieval, the rest is watched.
                        Err(error) => match error.unknown_property() {
                            Some(path) if retrieval.remove(&path) => {
                                tracing::warn!(path, "not watched: the host does not know it");
                                filter.spec = retrieval.spec();
                            }
                            _ => {
                                if error.is_lost_collector() {
                                    self.abandon();
                                }
                                return Err(error);
                            }
                        },
                    }
                }
                retrievals.push(retrieval);
            }
            Some(Source::Polling { retrievals, .. }) => retrievals.push(retrieval),
            None => {}
        }
        Ok(())
    }

    /// Waits until something has changed, at most `limit` (without one: for ever). The first call
    /// returns how everything is at once. An empty list means that the time is over.
    ///
    /// A batch counts as taken only when the next is asked for: if the future is dropped, or the
    /// caller fails before it has applied the batch, nothing is lost.
    ///
    /// # Errors
    /// Any [`crate::Error`].
    pub async fn next(&mut self, limit: Option<Duration>) -> Result<Vec<Change>> {
        for _ in 1..BEGINNINGS {
            match self.advance(limit).await {
                // Nothing has been told yet, so that nothing is missed by beginning anew.
                Err(error) if error.is_lost_collector() && self.begin_anew(&error).await? => {}
                result => return result,
            }
        }
        self.advance(limit).await
    }

    /// Watches the same with another collector; whether that is possible without a gap.
    async fn begin_anew(&mut self, error: &Error) -> Result<bool> {
        let Some(Source::Collector { retrievals, version, handed_out: None, .. }) = &self.source
        else {
            return Ok(false);
        };
        let (true, Some((first, more))) = (version.is_empty(), retrievals.split_first()) else {
            return Ok(false);
        };
        tracing::debug!(%error, "watching with another collector");
        let mut watch = self.client.watch(first).await?;
        for retrieval in more {
            watch.add(retrieval).await?;
        }
        // What was here is gone on the host.
        self.abandon();
        self.source = watch.source.take();
        Ok(true)
    }

    async fn advance(&mut self, limit: Option<Duration>) -> Result<Vec<Change>> {
        let client = self.client.clone();
        match &mut self.source {
            Some(Source::Collector { collector, version, handed_out, .. }) => {
                if let Some(applied) = handed_out.take() {
                    *version = applied;
                }
                let (changes, newest) = collect(&client, collector, version, limit).await?;
                *handed_out = newest;
                Ok(changes)
            }
            Some(Source::Polling { retrievals, known, pause }) => {
                poll(&client, retrievals, known, pause, limit).await
            }
            None => Err(Error::NoService("collector for this watch")),
        }
    }

    /// One request for updates, which the host answers after `wait` if nothing changes (whole seconds; with zero at once, and
    /// what has changed until then is in the answer), and which fails if it is still silent `grace` later.
    ///
    /// As with [`Watch::next`], a page counts as taken only when the next is asked for. If the future is dropped, the wait goes on on
    /// the host: end it by a [`Canceller`] first, or the watch with it (server fact 11).
    ///
    /// # Errors
    /// [`Error::TooOld`] for hosts that have no updates to wait for, and any other [`crate::Error`].
    pub async fn page(&mut self, wait: Duration, grace: Duration) -> Result<News> {
        let client = self.client.clone();
        let Some(Source::Collector { collector, version, handed_out, .. }) = &mut self.source
        else {
            let (since, version) = (WaitForUpdatesEx::SINCE, client.api_version());
            return Err(Error::TooOld { method: WaitForUpdatesEx::NAME, since, version });
        };
        if let Some(applied) = handed_out.take() {
            *version = applied;
        }
        let call = WaitForUpdatesEx {
            version: Some(version.clone()),
            options: Some(WaitOptions {
                max_wait_seconds: Some(i32::try_from(wait.as_secs()).unwrap_or(i32::MAX)),
                max_object_updates: Some(MAX_OBJECT_UPDATES),
            }),
        };
        match client.call_within(collector, &call, Some(wait.saturating_add(grace))).await {
            Ok(Some(set)) => {
                *handed_out = Some(set.version);
                let updates = set.filter_set.into_iter().flat_map(|f| f.object_set).collect();
                Ok(News::Page(Page { updates, truncated: set.truncated == Some(true) }))
            }
            Ok(None) => Ok(News::Nothing),
            Err(error) if error.is_fault("RequestCanceled") => Ok(News::Cancelled),
            Err(error) => Err(error),
        }
    }

    /// What ends a wait of [`Watch::page`]; nothing if there is none to end.
    pub fn canceller(&self) -> Option<Canceller> {
        match &self.source {
            Some(Source::Collector { collector, .. }) => {
                Some(Canceller { client: self.client.clone(), collector: collector.clone() })
            }
            _ => None,
        }
    }

    /// Forgets what is on the host: it has gone there, too. Nothing is watched any more.
    pub fn abandon(&mut self) {
        self.source = None;
    }

    /// Ends the watch on the host: one request.
    ///
    /// # Errors
    /// Any [`crate::Error`]; here nothing is left in any case.
    pub async fn close(mut self) -> Result<()> {
        let Some(Source::Collector { collector, filters, .. }) = &self.source else {
            return Ok(());
        };
        let collector = collector.clone();
        // Whoever is cancelled in these calls leaves the rest to `Drop`.
        match &filters[..] {
            // One filter: take it away and keep the collector for the next watch.
            [filter] => {
                let result = self.client.call(filter, &DestroyPropertyFilter {}).await;
                self.source = None;
                result?;
                self.client.keep_collector(collector, POOL);
                Ok(())
            }
            _ => {
                let result = self.client.call(&collector, &DestroyPropertyCollector {}).await;
                self.source = None;
                result
            }
        }
    }
}

impl Drop for Watch {
    /// Tells the host in the background, if there is a runtime to do so.
    fn drop(&mut self) {
        let Some(Source::Collector { collector, .. }) = self.source.take() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let client = self.client.clone();
        runtime.spawn(async move {
            let farewell = async {
                // A wait may still be pending on the host; whether either call works is of no interest.
                let _ = client.call(&collector, &CancelWaitForUpdates {}).await;
                let _ = client.call(&collector, &DestroyPropertyCollector {}).await;
            };
            let _ = tokio::time::timeout(Client::FAREWELL, farewell).await;
        });
    }
}

/// Waits on a collector; returns the changes and the version that they lead to.
async fn collect(
    client: &Client,
    collector: &MoRef,
    from: &str,
    limit: Option<Duration>,
) -> Result<(Vec<Change>, Option<String>)> {
    let started = tokio::time::Instant::now();
    let mut version = from.to_owned();
    let mut changes = Vec::new();
    let mut cancelled = 0;
    let mut sets = 0_u32;
    loop {
        let left = limit.map(|limit| limit.saturating_sub(started.elapsed()));
        let wait = left.unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT);
        // Whole seconds, and at least one: 0 asks without waiting, which is right only if no time is left.
        let seconds = if wait.is_zero() { 0 } else { wait.as_secs().max(1) };
        let call = WaitForUpdatesEx {
            version: Some(version.clone()),
            options: Some(WaitOptions {
                max_wait_seconds: Some(i32::try_from(seconds).unwrap_or(i32::MAX)),
                max_object_updates: Some(MAX_OBJECT_UPDATES),
            }),
        };
        let grace = client.transport().options().idle.map_or(GRACE, |idle| idle.min(GRACE));
        let silence = Duration::from_secs(seconds) + grace;
        let set = match client.call_within(collector, &call, Some(silence)).await {
            // Another wait of the session was meant: the schema leaves open whether a cancellation ends all of them.
            Err(error) if error.is_fault("RequestCanceled") && cancelled < MAX_CANCELLED => {
                cancelled += 1;
                None
            }
            answer => answer?,
        };
        let Some(set) = set else {
            if limit.is_some_and(|limit| started.elapsed() >= limit) {
                return Ok((changes, None));
            }
            continue;
        };
        let truncated = set.truncated == Some(true);
        version.clone_from(&set.version);
        take(set, &mut changes);
        if !truncated && !changes.is_empty() {
            return Ok((changes, Some(version)));
        }
        sets += 1;
        if sets == MAX_SETS || changes.len() > MAX_CHANGES {
            return Err(Error::NotVi {
                endpoint: client.transport().endpoint().to_string(),
                method: WaitForUpdatesEx::NAME,
                found: "updates without end".to_owned(),
            });
        }
        // One that says nothing ends no wait, but does not begin the time again.
        if !truncated && limit.is_some_and(|limit| started.elapsed() >= limit) {
            return Ok((changes, None));
        }
    }
}

fn take(set: UpdateSet, changes: &mut Vec<Change>) {
    for ObjectUpdate { kind, obj, change_set, .. } in
        set.filter_set.into_iter().flat_map(|f| f.object_set)
    {
        if kind == ObjectUpdateKind::Leave {
            changes.push(Change::Left { object: obj });
            continue;
        }
        for change in change_set {
            let removed =
                matches!(change.op, PropertyChangeOp::Remove | PropertyChangeOp::IndirectRemove);
            changes.push(Change::Property {
                object: obj.clone(),
                path: change.name,
                value: change.val.filter(|_| !removed),
            });
        }
    }
}

/// Looks again and again until something is different.
async fn poll(
    client: &Client,
    retrievals: &[Retrieval],
    known: &mut HashMap<MoRef, Vec<(String, Value)>>,
    pause: &mut Duration,
    limit: Option<Duration>,
) -> Result<Vec<Change>> {
    let started = tokio::time::Instant::now();
    loop {
        let mut now: HashMap<MoRef, Vec<(String, Value)>> = HashMap::new();
        for retrieval in retrievals {
            for row in client.retrieve(retrieval).await?.objects {
                let entry = now.entry(row.moref.clone()).or_default();
                for path in row.names().map(str::to_owned).collect::<Vec<_>>() {
                    if let Ok(Some(value)) = row.get_lenient::<Value>(&path) {
                        entry.push((path, value));
                    }
                }
            }
        }
        let changes = differences(known, &now);
        if !changes.is_empty() {
            *known = now;
            *pause = POLL.0;
            return Ok(changes);
        }
        let left = limit.map_or(*pause, |limit| limit.saturating_sub(started.elapsed()));
        if left.is_zero() {
            return Ok(changes);
        }
        client.transport().pause((*pause).min(left)).await;
        *pause = (*pause * 2).min(POLL.1);
    }
}

fn differences(
    before: &HashMap<MoRef, Vec<(String, Value)>>,
    now: &HashMap<MoRef, Vec<(String, Value)>>,
) -> Vec<Change> {
    let mut changes = Vec::new();
    for (object, values) in now {
        let old = before.get(object).map_or(&[][..], Vec::as_slice);
        for (path, value) in values.iter().filter(|pair| !old.contains(pair)) {
            changes.push(Change::Property {
                object: object.clone(),
                path: path.clone(),
                value: Some(value.clone()),
            });
        }
        for (path, _) in old.iter().filter(|(path, _)| values.iter().all(|(p, _)| p != path)) {
            changes.push(Change::Property {
                object: object.clone(),
                path: path.clone(),
                value: None,
            });
        }
    }
    let gone = before.keys().filter(|object| !now.contains_key(object));
    changes.extend(gone.map(|object| Change::Left { object: object.clone() }));
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_what_an_update_would_say() {
        let object = MoRef::new("VirtualMachine", "1");
        let gone = MoRef::new("VirtualMachine", "2");
        let pair = |path: &str, value: i32| (path.to_owned(), Value::Int(value));
        let before = HashMap::from([
            (object.clone(), vec![pair("a", 1), pair("b", 2)]),
            (gone.clone(), Vec::new()),
        ]);
        let now = HashMap::from([(object.clone(), vec![pair("a", 1), pair("c", 3)])]);
        let change = |path: &str, value| Change::Property {
            object: object.clone(),
            path: path.to_owned(),
            value,
        };
        assert_eq!(
            differences(&before, &now),
            [change("c", Some(Value::Int(3))), change("b", None), Change::Left { object: gone }]
        );
        assert!(differences(&now, &now).is_empty());
    }
}
