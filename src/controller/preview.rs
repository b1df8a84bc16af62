//! What a pass would do, without doing it: the dry run behind `portolan plan`.

use portolan_core::claim::{Claim, NotOurs, Standing, WasOurs, claim, has_own_finalizer};
use portolan_core::class::{Class, Classes};
use portolan_core::desire::{self, Settings, Warning, desire};
use portolan_core::ids::{LoadBalancerId, ServiceKey};
use portolan_core::provider::{Provider, Step};
use portolan_core::record::Record;
use portolan_core::refusal::Refused;
use portolan_core::snapshot::{Service, Snapshot};
use serde::Serialize;
use serde_json::Value;

use crate::controller::walk::observe;
use crate::providers::{Providers, with_provider};

/// What would be done for one load balancer.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Preview {
    /// The Service; none if only its record is left.
    pub service: Option<ServiceKey>,
    /// The load balancer.
    pub id: LoadBalancerId,
    /// `Claimed`, `NotOurs` or `WasOurs`.
    pub claim: &'static str,
    /// Why, for people.
    pub why: String,
    /// The class that serves it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// All that is refused, with codes.
    pub refusals: Vec<Refused>,
    /// What a person should know.
    pub warnings: Vec<Warning>,
    /// What would be written to Kubernetes before the steps, and after.
    pub writes: Vec<&'static str>,
    /// The provider's steps, in order.
    pub steps: Vec<PlannedStep>,
    /// What kept the plan from being made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// One step of a provider.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PlannedStep {
    /// Its kind.
    pub name: &'static str,
    /// For people.
    pub summary: String,
    /// All of it.
    pub step: Value,
}

/// Looks ahead for one load balancer.
pub(crate) async fn preview(
    snapshot: &Snapshot,
    classes: &Classes,
    settings: &Settings,
    providers: &Providers,
) -> Preview {
    let own = snapshot.record.as_deref().filter(|record| record.instance == classes.instance);
    let mut preview = Preview {
        service: None,
        id: snapshot.id.clone(),
        claim: "WasOurs",
        why: "the Service is gone".to_owned(),
        class: None,
        refusals: Vec::new(),
        warnings: Vec::new(),
        writes: Vec::new(),
        steps: Vec::new(),
        error: None,
    };
    let service = snapshot
        .services
        .values()
        .map(|service| &*service.object)
        .find(|service| classes.instance.load_balancer_of(&service.uid) == snapshot.id);
    let Some(service) = service else {
        if let Some(record) = own {
            preview.removal(record, providers).await;
        }
        return preview;
    };
    preview.service = Some(service.key.clone());
    let records: Vec<&Record> = own.into_iter().chain(snapshot.other_records.iter().map(AsRef::as_ref)).collect();
    match claim(service, &records, classes) {
        Claim::NotOurs(why) => {
            preview.claim = "NotOurs";
            preview.why = not_ours(&why, service).to_owned();
        }
        Claim::WasOurs(why) => {
            preview.why = was_ours(why).to_owned();
            if let Some(record) = own {
                preview.removal(record, providers).await;
            }
            preview.writes.push("remove finalizer and conditions");
        }
        Claim::Claimed(claimed) => {
            preview.claim = "Claimed";
            match claimed.standing {
                Standing::Serve(class) => {
                    preview.class = Some(class.name.to_string());
                    preview.why = format!("class {}", class.name);
                    preview.service(service, snapshot, own, &class, classes, settings, providers).await;
                }
                Standing::ClassNotConfigured { class } => {
                    preview.why = format!("class {class} is not configured any more: everything stays as it is");
                }
                Standing::Paused => preview.why = "paused: everything stays as it is".to_owned(),
                Standing::OtherInstance(instance) => {
                    preview.why = format!("instance {:?} still cleans up: waiting", instance.as_str());
                }
            }
        }
    }
    preview
}

impl Preview {
    #[expect(clippy::too_many_arguments, reason = "it is the body of `preview`, and each argument is one of its own")]
    async fn service(
        &mut self,
        service: &Service,
        snapshot: &Snapshot,
        own: Option<&Record>,
        class: &Class,
        classes: &Classes,
        settings: &Settings,
        providers: &Providers,
    ) {
        let provider = match providers.of_class(class) {
            Ok(provider) => provider,
            Err(error) => {
                self.error = Some(error.to_string());
                return;
            }
        };
        let slices = snapshot.slices.get(&service.key).map(Vec::as_slice).unwrap_or_default();
        with_provider!(provider, provider => {
            let desired = desire(&desire::Input {
                id: &snapshot.id,
                class,
                capabilities: provider.capabilities(),
                service,
                slices,
                nodes: &snapshot.nodes,
                settings,
                exists: own.is_some(),
            });
            let desired = match desired {
                Ok(desired) => desired,
                Err(refusal) => {
                    self.refusals = refusal.reasons;
                    return;
                }
            };
            self.refusals = desired.refused_ports.values().flatten().cloned().collect();
            self.warnings = desired.warnings.clone();
            if !has_own_finalizer(service, &classes.instance) {
                self.writes.push("add finalizer");
            }
            if own.is_none() {
                self.writes.push("create record");
            }
            self.steps(&provider, Some(&desired.load_balancer)).await;
        });
    }

    /// The steps that remove what a record stands for.
    async fn removal(&mut self, record: &Record, providers: &Providers) {
        match providers.of_record(record) {
            Ok(provider) => with_provider!(provider, provider => self.steps(&provider, None).await),
            Err(error) => self.error = Some(error.to_string()),
        }
        self.writes.push("delete record");
    }

    async fn steps<P: Provider>(&mut self, provider: &P, desired: Option<&portolan_core::balancer::LoadBalancer>) {
        let observed = match observe(provider, &self.id).await {
            Ok(observed) => observed,
            Err(error) => {
                self.error = Some(error.to_string());
                return;
            }
        };
        match provider.plan(desired, &observed) {
            Ok(plan) => {
                self.steps = plan
                    .steps
                    .iter()
                    .map(|step| PlannedStep {
                        name: step.name(),
                        summary: step.to_string(),
                        step: serde_json::to_value(step).unwrap_or_default(),
                    })
                    .collect();
            }
            Err(refusal) => self.refusals.extend(refusal.reasons),
        }
    }
}

fn not_ours(why: &NotOurs, service: &Service) -> String {
    match why {
        NotOurs::NotLoadBalancer => "not of type LoadBalancer".to_owned(),
        NotOurs::NoClass => "no loadBalancerClass, and no class is the default".to_owned(),
        NotOurs::ForeignClass => {
            format!("class {} is somebody else's", service.class.as_deref().unwrap_or_default())
        }
        NotOurs::UnknownClass => {
            format!("class {} is not configured anywhere", service.class.as_deref().unwrap_or_default())
        }
        NotOurs::Deleting => "it is being deleted and carries no mark of ours".to_owned(),
        NotOurs::NamespaceNotWatched => "its namespace is not among watchNamespaces".to_owned(),
    }
}

fn was_ours(why: WasOurs) -> &'static str {
    match why {
        WasOurs::Deleting => "it is being deleted",
        WasOurs::TypeChanged => "it is not of type LoadBalancer any more",
        WasOurs::HandedOver => "it names another controller now",
    }
}
