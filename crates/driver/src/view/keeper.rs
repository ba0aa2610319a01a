//! The task that builds the view, keeps it current and builds it again.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use esx_vi_api::methods::WaitForUpdatesEx;
use esx_vi_api::{ApiVersion, Method as _};
use esx_vi_client::{Canceller, Error as ViError, News, Watch};
use tokio::time::Instant;

use super::contents::{Contents, Unclear};
use super::filter::Filter;
use super::{LiveViewState, Pauses, Shared};
use crate::domain::is_manager_missing;

/// The API that has updates to wait for.
pub(super) const SINCE: ApiVersion = WaitForUpdatesEx::SINCE;
/// How long a host may take to end a wait before it is asked once more; doubles.
const ASK_AGAIN: Duration = Duration::from_millis(200);
/// Between the beginnings of two waits, while nobody is kept waiting: a host that always has news is not asked all the time.
const SPACING: Duration = Duration::from_millis(50);
/// More pages than this in a row are no inventory but a host that never ends.
const MAX_PAGES: u32 = 100_000;

/// Why a view has ended.
#[derive(Debug)]
enum End {
    /// It was closed.
    Closed,
    /// A call failed.
    Vi(ViError),
    /// It cannot be trusted any more, and why.
    Broken(String),
}

impl From<ViError> for End {
    fn from(error: ViError) -> Self {
        Self::Vi(error)
    }
}

impl From<Unclear> for End {
    fn from(unclear: Unclear) -> Self {
        Self::Broken(unclear.0)
    }
}

/// Keeps the view until it is closed. The state is `Building` when this begins.
pub(super) async fn run(shared: Arc<Shared>, mut filter: Filter) {
    let _ended = Ended(Arc::clone(&shared));
    let mut pauses = Pauses::default();
    loop {
        let session = shared.client.session_number();
        let mut live_since: Option<Instant> = None;
        let end = match live(&shared, &filter, session, &mut live_since).await {
            Err(end) => end,
            Ok(never) => match never {},
        };
        let reason = match end {
            End::Closed => return,
            End::Vi(error) if is_manager_missing(&error, filter.manager.as_ref()) => {
                // A simulator may name a manager that it does not have.
                filter.manager = None;
                continue;
            }
            _ if shared.client.session_number() != session => {
                "the session has been opened again, and the filter went with the old one".to_owned()
            }
            End::Vi(error) => chain(&error),
            End::Broken(reason) => reason,
        };
        tracing::info!(reason, "the live view is down");
        let pause = pauses.after(live_since.map(|since| since.elapsed()));
        if !enter(&shared, LiveViewState::Down, Some(reason), &filter) {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = closed(&shared) => return,
        }
        if !enter(&shared, LiveViewState::Building, None, &filter) {
            return;
        }
    }
}

/// Nobody keeps the view current any more, whatever ended the keeper: its runtime, for example.
struct Ended(Arc<Shared>);

impl Drop for Ended {
    fn drop(&mut self) {
        let mut picture = self.0.lock();
        if picture.state != LiveViewState::Closed {
            picture.enter(LiveViewState::Down, Some("its task has ended".to_owned()));
            picture.contents = Contents::default();
        }
        drop(picture);
        self.0.step();
    }
}

/// An error with its causes, in one line.
fn chain(error: &ViError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

/// Leaves the contents for another state, unless the view is closed; whether it is not.
fn enter(shared: &Shared, state: LiveViewState, reason: Option<String>, filter: &Filter) -> bool {
    let open = {
        let mut picture = shared.lock();
        let open = picture.state != LiveViewState::Closed;
        if open {
            picture.enter(state, reason);
            picture.contents = Contents::new(filter.uuid_path());
        }
        open
    };
    shared.step();
    open
}

/// Ends when the view is closed. What else the keeper is woken for, it finds out when it looks.
async fn closed(shared: &Shared) {
    while shared.lock().state != LiveViewState::Closed {
        shared.wake.notified().await;
    }
}

/// One life of the view: builds it and keeps it current until something breaks.
async fn live(
    shared: &Shared,
    filter: &Filter,
    session: u64,
    live_since: &mut Option<Instant>,
) -> Result<Infallible, End> {
    let retrieval = filter.retrieval();
    let mut watch = tokio::select! {
        watch = shared.client.watch(&retrieval) => watch?,
        () = closed(shared) => return Err(End::Closed),
    };
    let ended = keep(shared, &mut watch, session, live_since).await;
    let farewell = shared.lock().farewell;
    if matches!(ended, Err(End::Closed)) && farewell {
        let told = async {
            if let Some(canceller) = watch.canceller() {
                canceller.cancel().await?;
            }
            watch.close().await
        };
        if let Err(error) = told.await {
            tracing::debug!(%error, "cannot end the live view's watch");
        }
    } else if matches!(ended, Err(End::Closed)) || shared.client.session_number() != session {
        // It goes, or went, with its session.
        watch.abandon();
    }
    ended
}

async fn keep(
    shared: &Shared,
    watch: &mut Watch,
    session: u64,
    live_since: &mut Option<Instant>,
) -> Result<Infallible, End> {
    let (mut goal, mut pages, mut first) = (shared.changes(), 0, true);
    loop {
        if pages == 0 {
            // What ends before the next request is sent will be in its answer.
            goal = shared.changes();
        }
        let behind = {
            let picture = shared.lock();
            goal > picture.caught_up || picture.doubted
        };
        let wait = match first || !(pages > 0 || behind) {
            true => shared.options.longest_wait,
            false => Duration::ZERO,
        };
        let begun = Instant::now();
        let news = one(shared, watch, wait, session).await?;
        let quiet = match news {
            News::Cancelled => continue,
            News::Nothing if first => {
                let reason = "the host tells nothing of what is watched";
                return Err(End::Broken(reason.to_owned()));
            }
            News::Nothing => {
                pages = 0;
                true
            }
            News::Page(page) => {
                pages = if page.truncated { pages + 1 } else { 0 };
                if pages > MAX_PAGES {
                    return Err(End::Broken("the host's updates do not end".to_owned()));
                }
                let mut picture = shared.lock();
                if picture.state == LiveViewState::Closed {
                    return Err(End::Closed);
                }
                picture.contents.apply(page.updates)?;
                false
            }
        };
        first = false;
        if pages == 0 {
            if shared.client.session_number() != session {
                return Err(End::Broken("the session has been opened again".to_owned()));
            }
            {
                let mut picture = shared.lock();
                if picture.state == LiveViewState::Closed {
                    return Err(End::Closed);
                }
                picture.caught_up = goal;
                picture.doubted = false;
                picture.session = session;
                picture.heard = Some(SystemTime::now());
                if picture.state != LiveViewState::Live {
                    picture.enter(LiveViewState::Live, None);
                    *live_since = Some(Instant::now());
                }
            }
            shared.step();
            if !quiet {
                breathe(shared, begun).await;
            }
        }
    }
}

/// Lets some time pass since `begun`, unless somebody waits.
async fn breathe(shared: &Shared, begun: Instant) {
    let until = begun + SPACING;
    while Instant::now() < until {
        {
            let picture = shared.lock();
            let waiting = picture.wanted > picture.caught_up;
            if waiting || picture.state == LiveViewState::Closed {
                return;
            }
        }
        tokio::select! {
            () = tokio::time::sleep_until(until) => {}
            () = shared.wake.notified() => {}
        }
    }
}

/// One request for updates, which ends early if somebody waits for them.
async fn one(
    shared: &Shared,
    watch: &mut Watch,
    wait: Duration,
    session: u64,
) -> Result<News, End> {
    let canceller = watch.canceller();
    let mut page = pin!(watch.page(wait, shared.options.answer_within));
    loop {
        if shared.client.session_number() != session {
            return Err(End::Broken("the session has been opened again".to_owned()));
        }
        let behind = {
            let picture = shared.lock();
            if picture.state == LiveViewState::Closed {
                return Err(End::Closed);
            }
            picture.wanted > picture.caught_up || picture.doubted
        };
        if behind && !wait.is_zero() {
            return recall(shared, page, canceller).await;
        }
        tokio::select! {
            biased;
            news = &mut page => return Ok(news?),
            () = shared.wake.notified() => {}
        }
    }
}

/// Has the host end a wait. The host may overlook that, so it is asked again.
async fn recall(
    shared: &Shared,
    page: Pin<&mut impl Future<Output = Result<News, ViError>>>,
    canceller: Option<Canceller>,
) -> Result<News, End> {
    let asking = async {
        let mut pause = ASK_AGAIN;
        loop {
            if let Some(canceller) = &canceller
                && let Err(error) = canceller.cancel().await
            {
                tracing::debug!(%error, "cannot end the wait for updates");
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    };
    tokio::select! {
        biased;
        news = page => Ok(news?),
        () = closed(shared) => Err(End::Closed),
        () = tokio::time::sleep(shared.options.answer_within) => {
            Err(End::Broken("updates have stalled: the host does not end a wait".to_owned()))
        }
        () = asking => Err(End::Closed),
    }
}
