//! The set of providers, as an enum: wiring them is this file's whole job.

use std::collections::HashMap;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use futures::Stream;
use portolan_core::class::{Class, ParameterProblem};
use portolan_core::ids::{Instance, LoadBalancerId, ProviderName};
use portolan_core::provider::{Error, Provider};
use portolan_core::reason::Reason;
use portolan_core::record::Record;
use portolan_mock::{Mock, Store, SystemClock};
use serde_json::Value;

/// A provider with the parameters of a class.
#[derive(Clone)]
pub(crate) enum AnyProvider {
    /// The scripted one.
    Mock(Mock),
    /// The same, under the eyes of a simulation.
    #[cfg(all(feature = "sandbox", any(test, feature = "simulation")))]
    Simulated(crate::sim::Simulated),
}

/// Does the same with whichever provider it is.
macro_rules! with_provider {
    ($any:expr, $provider:ident => $body:expr) => {
        match $any {
            $crate::providers::AnyProvider::Mock($provider) => $body,
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
}

impl Kind {
    fn of(name: &str) -> Option<Self> {
        match name {
            "mock" => Some(Self::Mock),
            _ => None,
        }
    }
}

/// What is wrong with the parameters of a class; `None` if there is no such provider in this build.
pub(crate) fn check_parameters(provider: &str, parameters: &Value) -> Option<Vec<ParameterProblem>> {
    match Kind::of(provider)? {
        Kind::Mock => Some(portolan_mock::Parameters::parse(parameters).err().unwrap_or_default()),
    }
}

/// The parameter that says where a provider keeps what it makes. Another place is another world: what was made in the old one
/// must be removed there.
pub(crate) fn place<'a>(provider: &ProviderName, parameters: &'a Value) -> Option<&'a Value> {
    match Kind::of(provider.as_str())? {
        Kind::Mock => parameters.get(MOCK_STATE),
    }
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
        Some(Kind::Mock) | None => {}
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

    fn make(&self, name: &ProviderName, parameters: &Value) -> Result<AnyProvider, Error> {
        match Kind::of(name.as_str()) {
            Some(Kind::Mock) => {
                let parameters = portolan_mock::Parameters::parse(parameters).map_err(|problems| {
                    let problems: Vec<String> = problems
                        .into_iter()
                        .map(|problem| format!("{}: {}", problem.pointer, problem.message))
                        .collect();
                    Error::terminal(Reason::ProviderRefused, format!("parameters of mock: {}", problems.join("; ")))
                })?;
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
            None => Err(Error::terminal(
                Reason::ProviderRefused,
                format!("this build has no provider {name}; run one that has, or it cannot be served or cleaned up"),
            )),
        }
    }
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
}
