//! Where calls wait for their turn. No lock is held across a wait.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::client::action::Class;
use crate::client::budget::{Budget, Lane, Limits, Ticket, Turn};
use crate::clock::Clock;

/// The budget, and the clock by which it fills.
#[derive(Debug)]
pub struct Gate {
    budget: Mutex<Budget>,
    clock: Arc<dyn Clock>,
}

impl Gate {
    /// Full buckets of these sizes.
    pub fn new(limits: &Limits, clock: Arc<dyn Clock>) -> Self {
        Self { budget: Mutex::new(Budget::new(limits, clock.now())), clock }
    }

    /// Ends when a call of this class may be made. Whoever drops the future has given up their place.
    pub async fn pass(&self, class: Class, lane: Lane) {
        let place = Place { gate: self, class, ticket: self.budget().queue(class, lane) };
        loop {
            let turn = self.budget().turn(class, place.ticket, self.clock.now());
            match turn {
                Turn::Now => return,
                Turn::Later(wait) => self.clock.sleep(wait).await,
            }
        }
    }

    /// AWS said that there were too many calls of this class.
    pub fn throttled(&self, class: Class) {
        let now = self.clock.now();
        self.budget().throttled(class, now);
    }

    fn budget(&self) -> MutexGuard<'_, Budget> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Place<'a> {
    gate: &'a Gate,
    class: Class,
    ticket: Ticket,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.gate.budget().withdraw(self.class, self.ticket);
    }
}
