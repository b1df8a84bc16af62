//! Events. Their names derive from what they say, and are looked up before they are written, so that neither a failing pass nor
//! a restart repeats one.

use std::collections::HashSet;
use std::sync::Mutex;

use k8s_openapi::api::core::v1::{Event as KubeEvent, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::Client;
use kube::api::{Api, PostParams};
use portolan_core::events::{Event, EventType};
use portolan_core::ids::fnv1a;
use portolan_core::snapshot::Service;

use crate::cluster::clock::Clock;
use crate::cluster::error::{CallError, Failure, call};

/// The component that Events carry.
const COMPONENT: &str = "portolan";

/// How many names are remembered, to save looking them up again. Forgetting costs a read, no write.
const REMEMBERED: usize = 20_000;

/// Writes Events. A failure to write one is logged and never fails a pass.
pub(crate) struct EventWriter {
    client: Client,
    clock: Clock,
    told: Mutex<HashSet<String>>,
}

impl EventWriter {
    pub(crate) fn new(client: Client, clock: Clock) -> Self {
        Self { client, clock, told: Mutex::default() }
    }

    /// Tells each of these, unless it has been told already. What may be told yet if it is tried again, if anything: whoever has nothing
    /// but the Event to say it should.
    pub(crate) async fn tell(&self, service: &Service, events: &[Event]) -> Option<CallError> {
        let mut untold = None;
        for event in events {
            let name = name(service, event);
            if self.is_known(&name) {
                continue;
            }
            match self.write(service, event, &name).await {
                Ok(()) => self.remember(name),
                // The namespace is on its way out, or the role lacks the verb: nothing that the Service can help.
                Err(error) => {
                    tracing::debug!(service = %service.key, event = event.reason, %error, "event not written");
                    if matches!(error.failure, Failure::Retry { .. }) {
                        untold.get_or_insert(error);
                    }
                }
            }
        }
        untold
    }

    async fn write(&self, service: &Service, event: &Event, name: &str) -> Result<(), CallError> {
        let events: Api<KubeEvent> = Api::namespaced(self.client.clone(), &service.key.namespace);
        if call(format!("read event {name}"), events.get_opt(name)).await?.is_some() {
            return Ok(());
        }
        let object = self.object(service, event, name);
        match call(format!("create event {name}"), events.create(&PostParams::default(), &object)).await {
            Err(error) if error.failure == Failure::Conflict => Ok(()),
            result => result.map(drop),
        }
    }

    fn object(&self, service: &Service, event: &Event, name: &str) -> KubeEvent {
        let now = Some(Time(self.clock.wall()));
        KubeEvent {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                namespace: Some(service.key.namespace.clone()),
                ..ObjectMeta::default()
            },
            involved_object: ObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Service".to_owned()),
                namespace: Some(service.key.namespace.clone()),
                name: Some(service.key.name.clone()),
                uid: Some(service.uid.as_str().to_owned()),
                ..ObjectReference::default()
            },
            reason: Some(event.reason.to_owned()),
            message: Some(event.told()),
            type_: Some(
                match event.event_type {
                    EventType::Normal => "Normal",
                    EventType::Warning => "Warning",
                }
                .to_owned(),
            ),
            source: Some(EventSource { component: Some(COMPONENT.to_owned()), host: None }),
            reporting_component: Some(COMPONENT.to_owned()),
            first_timestamp: now.clone(),
            last_timestamp: now,
            count: Some(1),
            ..KubeEvent::default()
        }
    }

    fn is_known(&self, name: &str) -> bool {
        self.told.lock().is_ok_and(|told| told.contains(name))
    }

    fn remember(&self, name: String) {
        if let Ok(mut told) = self.told.lock() {
            if told.len() >= REMEMBERED {
                told.clear();
            }
            told.insert(name);
        }
    }
}

/// `SERVICE.HASH`, the hash over all that makes it news.
fn name(service: &Service, event: &Event) -> String {
    let news = [service.uid.as_str(), event.reason, &event.message, &event.since].join("\n");
    format!("{}.{:016x}", service.key.name, fnv1a(news.as_bytes()))
}
