//! What was done in which order: writes to the API server, as it has seen them, and steps of the provider, from the log of the walk.

use std::fmt::Debug;
use std::sync::{Arc, LazyLock, Mutex};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

/// A list of lines. Clones share it. With `PORTOLAN_EDITS_TRACE` they are told at once: how to follow one sequence of edits.
#[derive(Clone, Default)]
pub(super) struct Journal(Arc<Mutex<Vec<String>>>);

impl Journal {
    /// Adds a line, unless it repeats the last one: how often something is tried again is the queue's business.
    pub(super) fn note(&self, line: String) {
        static TRACED: LazyLock<bool> = LazyLock::new(|| std::env::var_os("PORTOLAN_EDITS_TRACE").is_some());
        if *TRACED {
            eprintln!("{line}");
        }
        let mut lines = self.0.lock().unwrap();
        if lines.last() != Some(&line) {
            lines.push(line);
        }
    }

    /// The lines since the last time.
    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = Line::default();
        event.record(&mut line);
        if let Some(step) = line.step {
            self.note(match line.error {
                None => format!("step {step}: {}", line.message),
                Some(error) => format!("step {step} failed: {error}"),
            });
        }
    }
}

#[derive(Default)]
struct Line {
    step: Option<String>,
    error: Option<String>,
    message: String,
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "step" {
            self.step = Some(value.to_owned());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            "error" => self.error = Some(format!("{value:?}")),
            _ => {}
        }
    }
}
