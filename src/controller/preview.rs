//! What a pass would do, without doing it: the dry run behind `portolan plan`.

use portolan_core::balancer::LoadBalancer;
use portolan_core::claim::{ClaimWarning, NotOurs, WasOurs};
use portolan_core::class::Classes;
use portolan_core::desire::{self, Desired, Settings, Warning, desire};
use portolan_core::ids::{LoadBalancerId, ServiceKey};
use portolan_core::provider::{Provider, Step};
use portolan_core::record::Record;
use portolan_core::refusal::{Refusal, Refused};
use portolan_core::snapshot::{Service, Snapshot};
use serde::Serialize;
use serde_json::Value;

use crate::cluster::finalizers::{self, Standard};
use crate::controller::decision::{Decision, decide};
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
    /// `Claimed`, `NotOurs`, `WasOurs`, or `Unreadable`.
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
    /// The marks that would be written to Kubernetes, beside status and events.
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
    match decide(snapshot, classes) {
        Decision::Nothing => {}
        Decision::Unreadable(services) => {
            preview.claim = "Unreadable";
            preview.why = "the Service is there but cannot be read: everything stays as it is".to_owned();
            preview.service = services.into_iter().next();
        }
        Decision::RemoveOrphan(record) => preview.removal(&record, providers).await,
        Decision::Ignore(service, why) => {
            preview.about(&service.object, "NotOurs", not_ours(&why, &service.object));
        }
        Decision::CleanUp(service, record, why) => {
            preview.about(&service.object, "WasOurs", was_ours(why).to_owned());
            if let Some(record) = record {
                preview.removal(&record, providers).await;
            }
            preview.writes.push("remove finalizer and conditions");
        }
        Decision::Keep(service, finding) => {
            preview.about(&service.object, "Claimed", finding.message.clone());
            preview.refusals.push(Refused::whole(finding.reason, finding.message));
        }
        Decision::Move(service, record, _, class) => {
            let why = format!("class {}, after what class {} has made is removed", class.name, record.class);
            preview.about(&service.object, "Claimed", why);
            preview.class = Some(class.name.to_string());
            preview.removal(&record, providers).await;
        }
        Decision::Serve(service, record, claimed, class) => {
            preview.about(&service.object, "Claimed", format!("class {}", class.name));
            preview.class = Some(class.name.to_string());
            preview.warnings = claimed.warnings.iter().map(ClaimWarning::warning).collect();
            let standard = Standard::of(claimed.by, record.as_deref(), &service.object, &classes.instance);
            if finalizers::wanted(&service.object, &classes.instance, standard).is_some() {
                preview.writes.push("edit finalizers");
            }
            if record.is_none() {
                preview.writes.push("create record");
            }
            match providers.of_class(&class) {
                Ok(provider) => with_provider!(provider, provider => {
                    let desired = desire(&desire::Input {
                        id: &snapshot.id,
                        class: &class,
                        capabilities: provider.capabilities(),
                        service: &service.object,
                        slices: snapshot.slices_of(&service.object),
                        nodes: &snapshot.nodes,
                        settings,
                        exists: record.is_some(),
                    });
                    preview.desired(&provider, desired).await;
                }),
                Err(error) => preview.error = Some(error.to_string()),
            }
        }
    }
    preview
}

impl Preview {
    fn about(&mut self, service: &Service, claim: &'static str, why: String) {
        self.service = Some(service.key.clone());
        self.claim = claim;
        self.why = why;
    }

    async fn desired<P: Provider>(&mut self, provider: &P, desired: Result<Desired, Refusal>) {
        match desired {
            Ok(desired) => {
                self.refusals.extend(desired.refused_ports.into_values().flatten());
                self.warnings.extend(desired.warnings);
                self.steps(provider, Some(&desired.load_balancer)).await;
            }
            Err(refusal) => {
                self.writes.clear();
                self.refusals = refusal.reasons;
            }
        }
    }

    /// The steps that remove what a record stands for.
    async fn removal(&mut self, record: &Record, providers: &Providers) {
        match providers.of_record(record) {
            Ok(provider) => with_provider!(provider, provider => self.steps(&provider, None).await),
            Err(error) => self.error = Some(error.to_string()),
        }
        self.writes.push("delete record");
    }

    async fn steps<P: Provider>(&mut self, provider: &P, desired: Option<&LoadBalancer>) {
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
