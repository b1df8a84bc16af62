use std::sync::{Arc, Mutex};

use portolan_core::balancer::Scheme;
use portolan_core::capabilities::Capabilities;
use portolan_core::desire::{Candidate, Input, Settings, desire, member};
use portolan_core::dialect::Plain;
use portolan_core::examples::{class, record, service};
use portolan_core::ids::{Instance, LoadBalancerId, ResourceVersion};
use portolan_core::share::Consents;
use portolan_core::terms::{Settled, Terms};
use portolan_mock::clock::ManualClock;
use portolan_mock::{Mock, Parameters, Store};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::cluster::clock::Clock;

/// The server's record. It counts how often it is read.
struct Stored(Record, Mutex<u32>);

impl Records for Stored {
    async fn get(&self, _: &LoadBalancerId) -> Result<Option<Record>, RecordsError> {
        *self.1.lock().unwrap() += 1;
        Ok(Some(self.0.clone()))
    }

    async fn create(&self, record: &Record) -> Result<Record, RecordsError> {
        Err(RecordsError::Exists(record.id.clone()))
    }

    async fn replace(&self, record: &Record) -> Result<Record, RecordsError> {
        Err(RecordsError::Conflict(record.id.clone()))
    }

    async fn delete(&self, record: &Record) -> Result<(), RecordsError> {
        Err(RecordsError::Conflict(record.id.clone()))
    }
}

fn at_version(version: &str) -> Record {
    Record { version: Some(ResourceVersion::new(version)), ..record(&service("web"), "portolan.dev/mock") }
}

/// What is desired of a load balancer whose scheme was settled like this.
fn desired(scheme: Scheme, capabilities: &Capabilities) -> LoadBalancer {
    let service = service("web");
    let candidate = Candidate {
        member: member(&service),
        service: Some(&service),
        slices: &[],
        gated: &[],
        joined: true,
        held: None,
    };
    let terms = Terms { scheme: Some(Settled { value: scheme, asked_by: Vec::new() }), ..Terms::default() };
    desire(&Input {
        id: &at_version("1").id,
        class: &class("portolan.dev/mock"),
        capabilities,
        dialect: &Plain,
        candidates: &[candidate],
        nodes: &[],
        terms: Some(&terms),
        settings: &Settings::default(),
        consents: &Consents::new(),
    })
    .load_balancer
}

/// Walks under a record that was read at `known`, while the server's is at `stored`. Whether it has begun a step, why it has ended, and
/// how often the record was asked for.
async fn walked(mock: &Mock, scheme: Scheme, known: &str, stored: &str, is_new: bool) -> (bool, End, u32) {
    let gate = Gate::new(None, CancellationToken::new(), Clock::start());
    let records = Stored(at_version(stored), Mutex::default());
    let wanted = desired(scheme, mock.capabilities());
    let walked = walk(mock, Some(&wanted), &mut at_version(known), &records, is_new, &gate).await;
    let asked = *records.1.lock().unwrap();
    (walked.acted, walked.end, asked)
}

#[tokio::test(start_paused = true)]
async fn nothing_that_moves_clients_is_begun_under_a_record_that_somebody_has_written_since() {
    let clock = Arc::new(ManualClock::default());
    let mock = Mock::new(Parameters::default(), Store::memory(), Instance::default(), clock);
    let (acted, end, asked) = walked(&mock, Scheme::Internal, "1", "1", true).await;
    assert!(acted && matches!(end, End::Settled), "{end:?}");
    assert_eq!(asked, 0, "a record that this pass has made is not asked for");

    let before = observe(&mock, &at_version("1").known()).await.unwrap();
    let (acted, end, _) = walked(&mock, Scheme::Public, "1", "2", false).await;
    assert!(!acted && matches!(end, End::RecordLost(RecordsError::Conflict(_))), "{end:?}");
    assert_eq!(observe(&mock, &at_version("1").known()).await.unwrap(), before, "it is as internal as before");

    let (acted, _, asked) = walked(&mock, Scheme::Public, "2", "2", false).await;
    assert!(acted && asked > 0);
    assert_ne!(observe(&mock, &at_version("1").known()).await.unwrap(), before);
}
