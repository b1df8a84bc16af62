//! Every task of the process lives here. A task that ends by itself is an error of the process, never silence.

use std::future::Future;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long tasks may take to end after a signal: Kubernetes kills after 30 s, an operator's patience is shorter.
pub(crate) const GRACE: Duration = Duration::from_secs(8);
/// The same where nothing outlives the process that a task could leave half done.
#[cfg(feature = "sandbox")]
const NO_PATIENCE: Duration = Duration::from_millis(500);

/// Why the process ends other than by a signal.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SupervisorError {
    /// A task that runs for ever has ended.
    #[error("task {0} ended by itself; this is a defect, please report it with the log before this line")]
    TaskEnded(&'static str),
    /// A task has failed.
    #[error("task {task} failed: {reason}")]
    TaskFailed {
        /// Its name.
        task: &'static str,
        /// What it said.
        reason: String,
    },
    /// A task has panicked.
    #[error("a task has panicked; this is a defect, please report it with the log before this line: {0}")]
    TaskPanicked(tokio::task::JoinError),
    /// The process cannot listen for signals.
    #[error("cannot listen for signals: {0}")]
    Signals(std::io::Error),
}

/// Owns the tasks of the process.
#[derive(Debug, Default)]
pub(crate) struct Supervisor {
    tasks: JoinSet<(&'static str, Result<(), String>)>,
    stop: CancellationToken,
    /// Listened for since before it runs.
    signals: Option<Signals>,
}

/// Those that end a process.
#[derive(Debug)]
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> Result<Self, SupervisorError> {
        let listen = |kind| signal(kind).map_err(SupervisorError::Signals);
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "interrupted",
        }
    }
}

impl Supervisor {
    /// One that hears a signal from now on and acts on it when it runs, for a process that has something to clear away before that.
    #[cfg(feature = "sandbox")]
    pub(crate) fn listening() -> Result<Self, SupervisorError> {
        Ok(Self { signals: Some(Signals::listen()?), ..Self::default() })
    }

    /// Cancelled when the process shall end.
    pub(crate) fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Starts a task. It must run until [`stop`](Self::stop) is cancelled.
    pub(crate) fn spawn<E: std::fmt::Display>(
        &mut self,
        name: &'static str,
        task: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        self.tasks.spawn(async move { (name, task.await.map_err(|error| error.to_string())) });
    }

    /// Runs until a signal (SIGTERM, SIGINT) or the first task that ends, then stops the others, which have so long.
    pub(crate) async fn run(self, grace: Duration) -> Result<(), SupervisorError> {
        self.run_until(std::future::pending::<()>(), grace).await.map(drop)
    }

    /// The same for what ends with the process whole, its world included: stops at once, also when `done` is, whose result it gives
    /// back.
    #[cfg(feature = "sandbox")]
    pub(crate) async fn run_for<T>(self, done: impl Future<Output = T>) -> Result<Option<T>, SupervisorError> {
        self.run_until(done, NO_PATIENCE).await
    }

    async fn run_until<T>(
        mut self,
        done: impl Future<Output = T>,
        grace: Duration,
    ) -> Result<Option<T>, SupervisorError> {
        let mut signals = self.signals.take().map_or_else(Signals::listen, Ok)?;
        let ended = tokio::select! {
            done = done => Ok(Some(done)),
            signal = signals.next() => { tracing::info!("{signal}: stopping"); Ok(None) }
            Some(ended) = self.tasks.join_next() => Err(Self::error_of(ended)),
        };
        self.end(grace).await;
        ended
    }

    /// Stops the tasks.
    async fn end(&mut self, grace: Duration) {
        self.stop.cancel();
        let drain = async {
            while let Some(task) = self.tasks.join_next().await {
                match task {
                    Ok((name, Ok(()))) => tracing::debug!(task = name, "has stopped"),
                    failed => tracing::error!(error = %Self::error_of(failed), "while stopping"),
                }
            }
        };
        if tokio::time::timeout(grace, drain).await.is_err() {
            tracing::warn!("some tasks did not stop within {} s; they are cut off", grace.as_secs_f32());
            self.tasks.abort_all();
        }
    }

    /// The same where a simulation says what a signal would.
    #[cfg(all(feature = "sandbox", any(test, feature = "simulation")))]
    pub(crate) async fn run_until_told(mut self, told: CancellationToken) -> Result<(), SupervisorError> {
        let ended = tokio::select! {
            biased;
            () = told.cancelled() => Ok(()),
            Some(ended) = self.tasks.join_next() => Err(Self::error_of(ended)),
        };
        self.end(GRACE).await;
        ended
    }

    fn error_of(ended: Result<(&'static str, Result<(), String>), tokio::task::JoinError>) -> SupervisorError {
        match ended {
            Ok((task, Ok(()))) => SupervisorError::TaskEnded(task),
            Ok((task, Err(reason))) => SupervisorError::TaskFailed { task, reason },
            Err(panic) => SupervisorError::TaskPanicked(panic),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    async fn ended(task: impl Future<Output = Result<(), &'static str>> + Send + 'static) -> SupervisorError {
        let mut supervisor = Supervisor::default();
        let stop = supervisor.stop();
        supervisor.spawn("steady", async move {
            stop.cancelled().await;
            Ok::<(), Infallible>(())
        });
        supervisor.spawn("other", task);
        supervisor.run(GRACE).await.unwrap_err()
    }

    #[cfg(feature = "sandbox")]
    #[tokio::test]
    async fn what_is_done_stops_the_tasks_and_is_given_back() {
        let mut supervisor = Supervisor::default();
        let (stop, ended) = (supervisor.stop(), CancellationToken::new());
        let end = ended.clone();
        supervisor.spawn("steady", async move {
            stop.cancelled().await;
            end.cancel();
            Ok::<(), Infallible>(())
        });
        assert_eq!(supervisor.run_for(async { 7 }).await.unwrap(), Some(7));
        assert!(ended.is_cancelled());
    }

    #[tokio::test]
    async fn a_task_that_ends_fails_or_panics_ends_the_process_and_stops_the_others() {
        assert!(matches!(ended(async { Ok(()) }).await, SupervisorError::TaskEnded("other")));
        let failed = ended(async { Err("broken") }).await;
        assert_eq!(failed.to_string(), "task other failed: broken");
        assert!(matches!(ended(async { panic!("on purpose") }).await, SupervisorError::TaskPanicked(_)));
    }
}
