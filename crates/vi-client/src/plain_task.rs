//! Running a task that belongs to no machine: nothing can ask a question, and nothing is in the way.

use std::time::Duration;

use esx_task::{Leftover, Reason, TaskState};
use esx_vi_api::methods::CancelTask;
use esx_vi_api::{Method, MoRef, Value};
use tokio::time::Instant;

use crate::client::Client;
use crate::collector::Retrieval;
use crate::error::{Error, Result};
use crate::task::{MAX_BROKEN, PAUSE, TASK, TaskOptions, TaskSeen, given_up, task_fault};
use crate::updates::{Change, Watch};
use crate::{TransportError, Waiting};

/// What a task returned.
const RESULT: &str = "info.result";
/// How long a task that was cancelled may take to end.
const ENDS_WITHIN: Duration = Duration::from_secs(30);

impl Client {
    /// As [`Client::run_plain_task_with`], for as long as it takes or [`Client::limit_tasks`] has it.
    ///
    /// # Errors
    /// As [`Client::run_plain_task_with`].
    pub async fn run_plain_task<M>(&self, target: &MoRef, operation: &M) -> Result<Option<Value>>
    where
        M: Method<Output = MoRef> + Sync,
    {
        let options = TaskOptions { deadline: self.task_limit(), ..TaskOptions::default() };
        self.run_plain_task_with(target, operation, &options).await
    }

    /// Runs an operation that belongs to no machine yet, and so has no questions: a registration, a search, work on
    /// files. Returns what the task returned (`TaskInfo.result`). Of the options, the deadline, the wish to give up
    /// and progress count.
    ///
    /// The operation is sent at most once. A wait that breaks is begun again. If the future is dropped while the task
    /// runs, the host is asked in the background to cancel it.
    ///
    /// # Errors
    /// [`Error::TaskFailed`], [`Error::TaskVanished`], [`Error::TaskGivenUp`] when the task has been cancelled or left
    /// behind, any other [`Error`].
    pub async fn run_plain_task_with<M>(
        &self,
        target: &MoRef,
        operation: &M,
        options: &TaskOptions,
    ) -> Result<Option<Value>>
    where
        M: Method<Output = MoRef> + Sync,
    {
        let given_up_error = |reason, task| Error::TaskGivenUp {
            method: M::NAME,
            target: target.clone(),
            reason,
            task,
        };
        if options.give_up.as_ref().is_some_and(|give_up| *give_up.borrow()) {
            return Err(given_up_error(Reason::Caller, Leftover::NotStarted));
        }
        let started = Instant::now();
        let _changing = self.changing(M::NAME);
        let task = self.call(target, operation).await?;
        tracing::debug!(%task, method = M::NAME, "started");
        let mut run =
            PlainTask { client: Some(self.clone()), task, seen: TaskSeen::default(), result: None };
        let mut reason = None;
        // What the clock cannot tell is never.
        let (mut broken, mut deadline) = (0, options.deadline.and_then(|d| started.checked_add(d)));
        let first = match run.watch(self).await {
            Ok(watch) => Some(watch),
            Err(error) => run.watch_again(self, error, &mut broken).await?,
        };
        let Some(mut watch) = first else {
            run.client = None;
            return Err(Error::TaskVanished { method: M::NAME, target: target.clone() });
        };
        let ended = loop {
            if let Some(ended) = run.ended() {
                break ended;
            }
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                if reason.is_some() {
                    break Ended::Late;
                }
                reason = Some(Reason::TimedOut);
                if !run.cancel(self).await {
                    break Ended::Late;
                }
                deadline = Some(Instant::now() + ENDS_WITHIN);
                continue;
            }
            let give_up = if reason.is_none() { options.give_up.clone() } else { None };
            let news = tokio::select! {
                news = watch.next(left) => news,
                () = given_up(give_up) => {
                    reason = Some(Reason::Caller);
                    if !run.cancel(self).await {
                        break Ended::Late;
                    }
                    deadline = Some(Instant::now() + ENDS_WITHIN);
                    continue;
                }
            };
            match news {
                Ok(changes) => {
                    broken = 0;
                    run.apply(changes);
                    if let (Some(progress), Some(percent)) =
                        (&options.progress, run.seen.update.progress)
                    {
                        progress(percent);
                    }
                }
                Err(error) => {
                    watch.abandon();
                    match run.watch_again(self, error, &mut broken).await? {
                        Some(again) => watch = again,
                        None => break Ended::Gone,
                    }
                }
            }
        };
        run.client = None;
        if let Err(error) = watch.close().await {
            tracing::debug!(%error, "cannot end the watch");
        }
        match (ended, reason) {
            (Ended::Well, _) => Ok(run.result.take()),
            (Ended::Badly, Some(reason)) => Err(given_up_error(reason, Leftover::Cancelled)),
            (Ended::Badly, None) => {
                let fault = Box::new(task_fault(run.seen.error.take()));
                Err(Error::TaskFailed { method: M::NAME, target: target.clone(), fault })
            }
            (Ended::Gone, _) => {
                Err(Error::TaskVanished { method: M::NAME, target: target.clone() })
            }
            (Ended::Late, reason) => {
                Err(given_up_error(reason.unwrap_or(Reason::TimedOut), Leftover::LeftBehind))
            }
        }
    }
}

/// How a task ended, or that it did not.
enum Ended {
    Well,
    Badly,
    Gone,
    Late,
}

/// A task that has been started. Dropped before its end is known, it is cancelled in the background.
struct PlainTask {
    /// Nothing once the end is known.
    client: Option<Client>,
    task: MoRef,
    seen: TaskSeen,
    result: Option<Value>,
}

impl PlainTask {
    async fn watch(&self, client: &Client) -> Result<Watch> {
        let paths = TASK.into_iter().chain([RESULT]);
        client.watch(&Retrieval::from(&self.task).read("Task", paths)).await
    }

    fn apply(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Left { .. } => self.seen.gone = true,
                Change::Property { path, value, .. } if path == RESULT => self.result = value,
                Change::Property { path, value, .. } => self.seen.set(&path, value),
            }
        }
    }

    fn ended(&self) -> Option<Ended> {
        match self.seen.update.state {
            Some(TaskState::Success) => Some(Ended::Well),
            Some(TaskState::Error) => Some(Ended::Badly),
            _ if self.seen.gone => Some(Ended::Gone),
            _ => None,
        }
    }

    /// The wait has broken: with the connection, or because the collector went with its session. The task goes on,
    /// unless it is gone (`None`): hosts forget tasks some minutes after their end, and all of them when they restart.
    async fn watch_again(
        &mut self,
        client: &Client,
        error: Error,
        broken: &mut u32,
    ) -> Result<Option<Watch>> {
        let mut error = error;
        while *broken < MAX_BROKEN {
            let collector_gone = error.is_fault("ManagedObjectNotFound")
                || error.is_fault("InvalidCollectorVersion");
            let no_connection = matches!(&error, Error::Transport(_));
            // The time for everything does not come back.
            let over = matches!(
                &error,
                Error::Transport(TransportError::Timeout { waiting: Waiting::Total, .. })
            );
            if over || !collector_gone && !no_connection {
                return Err(error);
            }
            tracing::debug!(%error, "watching the task again");
            if no_connection {
                client.transport().pause(PAUSE * 2u32.pow(*broken)).await;
            }
            *broken += 1;
            match self.watch(client).await {
                Ok(watch) => return Ok(Some(watch)),
                Err(gone)
                    if gone.is_fault("ManagedObjectNotFound") && !gone.is_lost_collector() =>
                {
                    return Ok(None);
                }
                Err(again) => error = again,
            }
        }
        Err(error)
    }

    async fn cancel(&self, client: &Client) -> bool {
        match client.call(&self.task, &CancelTask {}).await {
            Ok(()) => true,
            Err(error) => {
                tracing::debug!(%error, "the task could not be cancelled");
                false
            }
        }
    }
}

impl Drop for PlainTask {
    /// Asks the host in the background, if there is a runtime to do so.
    fn drop(&mut self) {
        let Some(client) = self.client.take() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let task = self.task.clone();
        runtime.spawn(async move {
            // A task that has ended, or cannot be cancelled, ends as it does.
            let cancel = client.call(&task, &CancelTask {});
            let _unheard = tokio::time::timeout(Client::FAREWELL, cancel).await;
        });
    }
}
