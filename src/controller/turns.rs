//! Whose turn it is first when a process begins with many load balancers: those that have changed while nobody was there. By what records
//! tell alone; nobody is asked.

use std::collections::BTreeSet;

use portolan_core::class::Classes;
use portolan_core::desire::Settings;
use portolan_core::provider::Provider;
use portolan_core::snapshot::Snapshot;

use crate::controller::decision::{Fate, decide};
use crate::controller::reconcile::{candidates, desired};
use crate::providers::{Providers, with_provider};

/// In order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Turn {
    /// It serves clients, and not as somebody wants it by now; or somebody wants it no more.
    Changed,
    /// It is as the record says, which costs next to nothing to see.
    Settled,
    /// Nobody has it yet. To make it takes long, and keeps a worker from the others.
    New,
}

/// When it is this one's turn.
pub(crate) fn turn(snapshot: &Snapshot, classes: &Classes, settings: &Settings, providers: &Providers) -> Turn {
    let decision = decide(snapshot, classes);
    match (&decision.fate, &decision.record) {
        (Fate::Removed(_) | Fate::Moved(..), _) => Turn::Changed,
        (Fate::Left, _) => Turn::Settled,
        (Fate::Served(_), None) => Turn::New,
        (Fate::Served(class), Some(record)) => {
            // One that cannot be had has nothing to do, and says so.
            let Ok(provider) = providers.of_class(class) else { return Turn::Settled };
            let foreseen = with_provider!(provider, provider => {
                let wanted = || {
                    let candidates = candidates(snapshot, &decision, &BTreeSet::new());
                    desired(snapshot, &decision, settings, class, &provider, &candidates).load_balancer
                };
                provider.foresees_work(wanted, &record.known())
            });
            if foreseen { Turn::Changed } else { Turn::Settled }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use portolan_core::class::Class;
    use portolan_core::examples::{self, record, service};
    use portolan_core::ids::{Instance, LoadBalancerId, ProviderName, ResourceVersion};
    use portolan_core::snapshot::{Service, Versioned};
    use serde_json::json;

    use super::*;

    fn class(provider: &str, parameters: serde_json::Value) -> Class {
        let name = format!("portolan.dev/{provider}");
        Class { provider: ProviderName::new(provider), parameters, ..examples::class(&name) }
    }

    /// The turn of a Service of this class, with a record or without, that there is or that is gone.
    fn turn_of(class: &Class, recorded: bool, there: bool) -> Turn {
        let service = Service { class: Some(class.name.to_string()), ..service("a") };
        let record = portolan_core::record::Record {
            provider: class.provider.clone(),
            parameters: class.parameters.clone(),
            ..record(&service, class.name.as_str())
        };
        let (key, id) = (service.key.clone(), LoadBalancerId::new(service.uid.as_str()));
        let versioned = Versioned { version: ResourceVersion::new("1"), object: Arc::new(service) };
        let snapshot = Snapshot {
            id: id.clone(),
            services: there.then(|| (key.clone(), versioned)).into_iter().collect(),
            placed: there.then_some((key, id)).into_iter().collect(),
            consents: Default::default(),
            all_consents: Default::default(),
            slices: Default::default(),
            gated: Default::default(),
            nodes: Default::default(),
            record: recorded.then(|| Arc::new(record)),
            other_records: Vec::new(),
            unreadable: Vec::new(),
            in_hand: Vec::new(),
        };
        let classes = Classes { classes: vec![Arc::new(class.clone())], ..Classes::default() };
        turn(&snapshot, &classes, &Settings::default(), &Providers::new(Instance::default()))
    }

    #[tokio::test]
    async fn what_has_changed_comes_first_then_what_is_as_recorded_and_then_what_is_new() {
        let mock = class("mock", json!({"state": "/nowhere"}));
        assert_eq!(turn_of(&mock, true, false), Turn::Changed, "its Service is gone");
        assert_eq!(turn_of(&mock, true, true), Turn::Settled, "of a provider that cannot tell");
        assert_eq!(turn_of(&mock, false, true), Turn::New);
        let aws = class("aws", json!({"clusterName": "prod"}));
        assert_eq!(turn_of(&aws, true, true), Turn::Changed, "its record does not say that it was finished");
        assert_eq!(turn_of(&aws, false, true), Turn::New);
        let unknown = class("bgp", json!({}));
        assert_eq!(turn_of(&unknown, true, true), Turn::Settled, "nothing can be done about it");
        let mut turns = [Turn::New, Turn::Changed, Turn::Settled];
        turns.sort();
        assert_eq!(turns, [Turn::Changed, Turn::Settled, Turn::New]);
    }
}
