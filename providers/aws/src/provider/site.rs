//! A cluster in a VPC: what is known of its network, and what its targets let in. However many classes there are, it is one: two would revoke
//! each other's rules.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portolan_core::facts::{Claim, Facts};
use portolan_core::ids::{Instance, LoadBalancerId};
use portolan_core::time::Time;

use crate::backend::{self, Backend};
use crate::client::Aws;
use crate::clock::Clock;
use crate::estate::Estate;
use crate::parameters::Parameters;
use crate::provider::remembered::last_needed;
use crate::state::Admitted;
use crate::survey::{self, Survey};

/// How long what is known of the network is believed. Subnets and routes change by hand, and seldom.
const NETWORK: Duration = Duration::from_secs(3600);

/// The same as long as somebody is refused: it may be for the network's sake, and somebody may be putting it right.
const REFUSED: Duration = Duration::from_secs(60);

/// How soon what could not be opened is tried again: somebody has to act at AWS, and nothing would wake us.
const AGAIN: Duration = Duration::from_secs(60);

/// The name by which provider and record know this provider.
const PROVIDER: &str = "aws";

/// A cluster in a VPC. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Site {
    pub(super) survey: Survey,
    pub(super) backend: Backend,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    key: String,
    instance: Instance,
    facts: Arc<dyn Facts>,
    clock: Arc<dyn Clock>,
    expects: AtomicBool,
    /// Somebody has been refused since the network was looked at.
    refused: AtomicBool,
    /// What targets let in for whom, and since when.
    admitted: Mutex<BTreeMap<LoadBalancerId, (Admitted, Time)>>,
}

/// What makes two classes' sites one.
pub(super) fn key(parameters: &Parameters, instance: &Instance) -> String {
    let Parameters { cluster_name, region, vpc_id, backend_security_group, .. } = parameters;
    format!("{cluster_name} {} {region:?} {vpc_id:?} {backend_security_group:?}", instance.as_str())
}

impl Site {
    pub(super) fn new(
        parameters: &Parameters,
        instance: &Instance,
        facts: Arc<dyn Facts>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let survey = Survey::new(parameters.clone(), instance, Arc::clone(&clock));
        let backend = Backend::new(parameters.clone(), instance.clone(), survey.clone());
        let instance = instance.clone();
        let shared = Shared {
            key: key(parameters, &instance),
            instance,
            facts,
            clock,
            expects: AtomicBool::new(false),
            refused: AtomicBool::new(false),
            admitted: Mutex::default(),
        };
        Self { survey, backend, shared: Arc::new(shared) }
    }

    /// What is known of the network, looked at again if that was long ago.
    pub(super) async fn look(&self, aws: &Aws) -> Result<Arc<Estate>, survey::Error> {
        let (refused, before) = (self.shared.refused.load(Ordering::Relaxed), self.survey.looked());
        let estate = self.survey.look(aws, if refused { REFUSED } else { NETWORK }, &self.nodes()).await?;
        // Whoever else comes by before it is time leaves it to him who looks.
        if refused && self.survey.looked() != before {
            self.shared.refused.store(false, Ordering::Relaxed);
        }
        Ok(estate)
    }

    /// What is in front of the targets, all at once: a dry run decides without asking.
    pub(super) async fn look_at_targets(&self, aws: &Aws) -> Result<(), survey::Error> {
        self.survey.ask_for_all(aws, &self.nodes()).await
    }

    /// As how many rules prefix lists count, all at once. Who may not ask plans without it, and says so.
    pub(super) async fn look_at_prefix_lists(&self, aws: &Aws) {
        if let Err(error) = self.survey.weigh_all(aws).await {
            tracing::warn!(provider = PROVIDER, %error, "prefix lists are not known");
        }
    }

    /// Somebody was refused: what is known of the network is not believed for so long. Nothing is decided by this.
    pub(super) fn refused(&self) {
        self.shared.refused.store(true, Ordering::Relaxed);
    }

    /// The providerIDs of the nodes.
    pub(super) fn nodes(&self) -> Vec<String> {
        self.shared.facts.nodes().iter().filter_map(|node| node.provider_id.clone()).collect()
    }

    /// What EndpointSlices say of these addresses.
    pub(super) fn claims(&self, addresses: &BTreeSet<IpAddr>) -> Vec<Claim> {
        self.shared.facts.claims(addresses)
    }

    /// What targets let in for this load balancer, as far as this process has seen to it. What could not be opened is forgotten after a while.
    pub(super) fn admitted(&self, id: &LoadBalancerId) -> Option<Admitted> {
        let now = self.shared.clock.now();
        let (admitted, since) = self.lock().get(id).cloned()?;
        let holds = admitted.problems.is_empty() || now.since(since) < AGAIN;
        holds.then_some(admitted)
    }

    /// Lets in what this load balancer needs.
    pub(super) async fn admit(
        &self,
        aws: &Aws,
        id: &LoadBalancerId,
        need: &backend::need::Need,
    ) -> Result<(), backend::Error> {
        self.expect();
        let need = need.made(|name| self.survey.security_group_named(name));
        let ensured = self.backend.ensure(aws, id, &need, &self.nodes()).await?;
        for problem in &ensured.problems {
            tracing::warn!(provider = PROVIDER, balancer = %id, problem, "targets do not let everything in");
        }
        let admitted = Admitted { need, problems: ensured.problems };
        self.lock().insert(id.clone(), (admitted, self.shared.clock.now()));
        Ok(())
    }

    /// Lets in no more what only this load balancer needed.
    pub(super) async fn withdraw(&self, aws: &Aws, id: &LoadBalancerId) -> Result<(), backend::Error> {
        self.expect();
        // Until that has come to its end it is to be done again, also for one for which this process has let in nothing.
        let now = self.shared.clock.now();
        self.lock().entry(id.clone()).or_insert_with(|| (Admitted::default(), now));
        self.backend.release(aws, id, &self.nodes()).await?;
        self.lock().remove(id);
        Ok(())
    }

    /// Others wait for what this load balancer needs.
    pub(super) fn awaits(&self, id: &LoadBalancerId) -> bool {
        self.expect();
        self.backend.expects(id)
    }

    /// Nothing is revoked that somebody may need whom a record names, before he has said what he needs.
    pub(super) fn expect(&self) {
        let Some(records) = self.shared.facts.records() else { return };
        if self.shared.expects.swap(true, Ordering::Relaxed) {
            return;
        }
        // Another Portolan's load balancers have a shared group of their own, and nobody here ever says what they need.
        let ours = records
            .iter()
            .filter(|record| record.provider.as_str() == PROVIDER && record.belongs_to(&self.shared.instance));
        let of_site = ours.filter(|record| {
            let parameters = Parameters::parse(&record.parameters);
            parameters.is_ok_and(|parameters| key(&parameters, &self.shared.instance) == self.shared.key)
        });
        self.backend.expect(of_site.map(|record| (record.id.clone(), last_needed(&record.external))));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<LoadBalancerId, (Admitted, Time)>> {
        self.shared.admitted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
