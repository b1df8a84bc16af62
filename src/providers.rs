//! The set of providers, as an enum: wiring them is this file's whole job.

use std::collections::HashMap;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use futures::Stream;
use kube::Client;
use portolan_aws::client::Options;
use portolan_aws::{Account, Nlb};
use portolan_core::class::{Class, Classes, ParameterProblem};
use portolan_core::facts::Facts;
use portolan_core::ids::{Instance, LoadBalancerId, ProviderName};
use portolan_core::provider::{Error, Provider};
use portolan_core::reason::Reason;
use portolan_core::record::Record;
use portolan_metal::{Metal, Site};
use portolan_mock::{Mock, Store, SystemClock};
use serde_json::Value;

use crate::cluster::clock::Clock;
use crate::cluster::facts::Shown;
use crate::cluster::metal::ClusterVirtualIps;

/// A provider with the parameters of a class.
#[derive(Clone)]
pub(crate) enum AnyProvider {
    /// The scripted one.
    Mock(Mock),
    /// Network Load Balancers.
    Aws(Nlb),
    /// Addresses from pools.
    Metal(Metal),
    /// The same, under the eyes of a simulation.
    #[cfg(all(feature = "sandbox", any(test, feature = "simulation")))]
    Simulated(crate::sim::Simulated),
}

/// Does the same with whichever provider it is.
macro_rules! with_provider {
    ($any:expr, $provider:ident => $body:expr) => {
        match $any {
            $crate::providers::AnyProvider::Mock($provider) => $body,
            $crate::providers::AnyProvider::Aws($provider) => $body,
            $crate::providers::AnyProvider::Metal($provider) => $body,
            #[cfg(all(feature = "sandbox", any(test, feature = "simulation")))]
            $crate::providers::AnyProvider::Simulated($provider) => $body,
        }
    };
}
pub(crate) use with_provider;

/// The implementations that this build has. A name becomes one of these here and nowhere else.
#[derive(Clone, Copy)]
enum Kind {
    Mock,
    Aws,
    Metal,
}

impl Kind {
    fn of(name: &str) -> Option<Self> {
        match name {
            "mock" => Some(Self::Mock),
            "aws" => Some(Self::Aws),
            "metal" => Some(Self::Metal),
            _ => None,
        }
    }
}

/// What is wrong with the parameters of a class; `None` if there is no such provider in this build.
pub(crate) fn check_parameters(provider: &str, parameters: &Value) -> Option<Vec<ParameterProblem>> {
    match Kind::of(provider)? {
        Kind::Mock => Some(portolan_mock::Parameters::parse(parameters).err().unwrap_or_default()),
        Kind::Aws => Some(portolan_aws::Parameters::parse(parameters).err().unwrap_or_default()),
        Kind::Metal => Some(portolan_metal::Parameters::parse(parameters).err().unwrap_or_default()),
    }
}

/// Two classes' parameters say that a provider keeps what it makes in two places, or knows it by two names. Another place is another world: what
/// was made in the old one must be removed there. What one of them leaves to the machine is no other place than what the other one says: it may
/// be the same, and a provider that finds nothing of what is remembered removes nothing.
pub(crate) fn elsewhere(provider: &ProviderName, one: &Value, other: &Value) -> bool {
    let differs = |key: &str| match (one.get(key), other.get(key)) {
        (Some(one), Some(other)) => one != other,
        (None, Some(_)) | (Some(_), None) | (None, None) => false,
    };
    match Kind::of(provider.as_str()) {
        Some(Kind::Mock) => differs(MOCK_STATE),
        Some(Kind::Aws) => ["region", "clusterName", "vpcId"].into_iter().any(differs),
        // There is one place, the cluster.
        Some(Kind::Metal) | None => false,
    }
}

/// Addresses of a pool are given to Services of one of these classes.
pub(crate) fn wants_pools(classes: &Classes) -> bool {
    classes.classes.iter().any(|class| matches!(Kind::of(class.provider.as_str()), Some(Kind::Metal)))
}

/// The class with what only the machine knows filled in: records hold a class's parameters, and must mean the same to the next
/// process.
pub(crate) fn located(class: &Class, mock_state: impl FnOnce() -> anyhow::Result<PathBuf>) -> anyhow::Result<Class> {
    let mut located = class.clone();
    match Kind::of(class.provider.as_str()) {
        Some(Kind::Mock) if class.parameters.get(MOCK_STATE).is_none() => {
            if let Some(parameters) = located.parameters.as_object_mut() {
                parameters.insert(MOCK_STATE.to_owned(), mock_state()?.to_string_lossy().into());
            }
        }
        Some(Kind::Mock | Kind::Aws | Kind::Metal) | None => {}
    }
    Ok(located)
}

/// The mock's parameter for the folder that holds its world.
const MOCK_STATE: &str = "state";

/// All providers in use, each made once for its parameters.
pub(crate) struct Providers {
    instance: Instance,
    /// They are only looked at: see [`Providers::dry`].
    dry: bool,
    made: Mutex<HashMap<(ProviderName, String), AnyProvider>>,
    /// The mock's worlds: classes that share a folder share its handle, or they would wait for each other as for other processes.
    worlds: Mutex<HashMap<PathBuf, Store>>,
    /// What providers may know of the cluster.
    pub(crate) facts: Arc<Shown>,
    /// AWS's accounts, by region: classes share connections and the budget of calls.
    accounts: Mutex<HashMap<Option<String>, Account>>,
    /// Pools and addresses of the cluster; none as long as there is no cluster.
    site: Option<Site>,
    /// Makes them in a world of its own.
    #[cfg(all(feature = "sandbox", any(test, feature = "simulation")))]
    maker: Option<Maker>,
}

/// Makes a provider of a mock's parameters.
#[cfg(all(feature = "sandbox", any(test, feature = "simulation")))]
pub(crate) type Maker = Box<dyn Fn(portolan_mock::Parameters, &Instance) -> AnyProvider + Send + Sync>;

impl Providers {
    pub(crate) fn new(instance: Instance) -> Self {
        Self {
            instance,
            dry: false,
            made: Mutex::default(),
            worlds: Mutex::default(),
            facts: Arc::default(),
            accounts: Mutex::default(),
            site: None,
            #[cfg(all(feature = "sandbox", any(test, feature = "simulation")))]
            maker: None,
        }
    }

    /// Providers in a world that somebody else makes.
    #[cfg(all(feature = "sandbox", any(test, feature = "simulation")))]
    pub(crate) fn made_by(instance: Instance, maker: Maker) -> Self {
        Self { maker: Some(maker), ..Self::new(instance) }
    }

    /// Providers for a dry run: what they observe leaves no trace, not even a counted fault.
    pub(crate) fn dry(instance: Instance) -> Self {
        Self { dry: true, ..Self::new(instance) }
    }

    /// The same, with the addresses that this cluster records.
    #[must_use]
    pub(crate) fn in_cluster(self, client: Client) -> Self {
        let site = Site::new(self.instance.clone(), Arc::new(ClusterVirtualIps::new(client)));
        self.at(site)
    }

    /// The same, with these addresses.
    #[must_use]
    pub(crate) fn at(self, site: Site) -> Self {
        Self { site: Some(site), ..self }
    }

    /// Pools and addresses of the cluster.
    pub(crate) fn site(&self) -> Option<&Site> {
        self.site.as_ref()
    }

    /// Nobody asks for anything for this load balancer now: what was promised to it binds nobody else.
    pub(crate) fn nobody_asks(&self, id: &LoadBalancerId) {
        if let Some(site) = self.site.as_ref().filter(|site| site.look(|world| world.is_asking(id))) {
            site.observe(|world| world.withdraw(id));
        }
    }

    /// The provider of a class.
    pub(crate) fn of_class(&self, class: &Class) -> Result<AnyProvider, Error> {
        self.get(&class.provider, &class.parameters)
    }

    /// The provider that made what a record stands for, with the parameters of that time.
    pub(crate) fn of_record(&self, record: &Record) -> Result<AnyProvider, Error> {
        self.get(&record.provider, &record.parameters)
    }

    /// Uses this provider for these parameters, so that a test can make its world.
    #[cfg(test)]
    #[cfg(feature = "sandbox")]
    pub(crate) fn put(&self, name: &str, parameters: &Value, provider: AnyProvider) {
        let key = (ProviderName::new(name), parameters.to_string());
        self.made.lock().unwrap().insert(key, provider);
    }

    fn get(&self, name: &ProviderName, parameters: &Value) -> Result<AnyProvider, Error> {
        let key = (name.clone(), parameters.to_string());
        if let Some(made) = self.made.lock().ok().and_then(|made| made.get(&key).cloned()) {
            return Ok(made);
        }
        let provider = self.make(name, parameters)?;
        if let Ok(mut made) = self.made.lock() {
            return Ok(made.entry(key).or_insert(provider).clone());
        }
        Ok(provider)
    }

    fn world(&self, folder: PathBuf) -> Store {
        let mut worlds = self.worlds.lock().unwrap_or_else(PoisonError::into_inner);
        worlds.entry(folder).or_insert_with_key(|folder| Store::folder(folder.clone())).clone()
    }

    fn account(&self, region: Option<String>) -> Account {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let connect = |region: &Option<String>| {
            let options = Options { region: region.clone(), seed: seed(), ..Options::default() };
            let facts: Arc<dyn Facts> = self.facts.clone();
            Account::with_facts(options, Arc::new(portolan_aws::clock::SystemClock::start()), facts)
        };
        accounts.entry(region).or_insert_with_key(connect).clone()
    }

    fn aws(&self, parameters: &Value) -> Result<AnyProvider, Error> {
        let parameters = portolan_aws::Parameters::parse(parameters).map_err(|problems| refused("aws", problems))?;
        let account = self.account(parameters.region.as_ref().map(ToString::to_string));
        let make = if self.dry { Nlb::dry } else { Nlb::new };
        Ok(AnyProvider::Aws(make(parameters, self.instance.clone(), account)))
    }

    fn make(&self, name: &ProviderName, parameters: &Value) -> Result<AnyProvider, Error> {
        match Kind::of(name.as_str()) {
            Some(Kind::Mock) => {
                let parameters =
                    portolan_mock::Parameters::parse(parameters).map_err(|problems| refused("mock", problems))?;
                #[cfg(all(feature = "sandbox", any(test, feature = "simulation")))]
                if let Some(maker) = &self.maker {
                    return Ok(maker(parameters, &self.instance));
                }
                let Some(folder) = parameters.state.clone() else {
                    return Err(Error::terminal(Reason::ProviderRefused, "parameters of mock: state names no folder"));
                };
                let store = self.world(folder);
                let make = if self.dry { Mock::dry } else { Mock::new };
                Ok(AnyProvider::Mock(make(parameters, store, self.instance.clone(), Arc::new(SystemClock))))
            }
            Some(Kind::Aws) => self.aws(parameters),
            Some(Kind::Metal) => {
                portolan_metal::Parameters::parse(parameters).map_err(|problems| refused("metal", problems))?;
                let nowhere = || {
                    Error::terminal(
                        Reason::ProviderRefused,
                        "the provider metal needs a cluster that records addresses",
                    )
                };
                Ok(AnyProvider::Metal(Metal::new(self.site.clone().ok_or_else(nowhere)?)))
            }
            None => Err(Error::terminal(
                Reason::ProviderRefused,
                format!("this build has no provider {name}; run one that has, or it cannot be served or cleaned up"),
            )),
        }
    }
}

fn refused(provider: &str, problems: Vec<ParameterProblem>) -> Error {
    let problems: Vec<String> =
        problems.into_iter().map(|problem| format!("{}: {}", problem.pointer, problem.message)).collect();
    Error::terminal(Reason::ProviderRefused, format!("parameters of {provider}: {}", problems.join("; ")))
}

/// So that processes which are refused together do not come back together.
fn seed() -> u64 {
    Clock::start().wall().as_nanosecond() as u64
}

/// Pods may wait for the load balancers of one of these classes, so somebody has to look at Pods.
pub(crate) fn wants_pods(providers: &Providers, classes: &Classes) -> bool {
    let made = classes.classes.iter().filter_map(|class| providers.of_class(class).ok());
    let mut gates = made.map(|provider| with_provider!(provider, provider => provider.capabilities().readiness_gates));
    gates.any(|gates| gates)
}

/// What changes outside, at one provider.
pub(crate) fn changes(provider: &AnyProvider) -> Pin<Box<dyn Stream<Item = LoadBalancerId> + Send>> {
    with_provider!(provider, provider => Box::pin(provider.changes()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn classes_with_one_folder_have_one_handle_to_it() {
        let providers = Providers::new(Instance::default());
        let mock = ProviderName::new("mock");
        for parameters in [json!({"state": "/a"}), json!({"state": "/a", "readyAfter": "1s"}), json!({"state": "/b"})] {
            assert!(providers.get(&mock, &parameters).is_ok());
        }
        assert_eq!((providers.made.lock().unwrap().len(), providers.worlds.lock().unwrap().len()), (3, 2));
    }

    #[test]
    fn what_is_left_to_the_machine_is_no_other_place() {
        let aws = |parameters: Value| {
            let mut all = json!({"clusterName": "prod"});
            all.as_object_mut().unwrap().extend(parameters.as_object().cloned().unwrap());
            all
        };
        for (one, other, expected) in [
            (json!({}), json!({}), false),
            (json!({"vpcId": "vpc-1"}), json!({}), false),
            (json!({}), json!({"region": "eu-west-1"}), false),
            (json!({"vpcId": "vpc-1"}), json!({"vpcId": "vpc-2"}), true),
            (json!({"region": "eu-west-1"}), json!({"region": "eu-west-2"}), true),
            (json!({}), json!({"clusterName": "other"}), true),
            (json!({}), json!({"defaults": {"scheme": "internal"}}), false),
        ] {
            let found = elsewhere(&ProviderName::new("aws"), &aws(one.clone()), &aws(other.clone()));
            assert_eq!(found, expected, "{one} {other}");
        }
    }
}
