//! What is known of the network: asked of AWS when it is needed, kept, and corrected by what we write ourselves. A settled estate asks for
//! nothing.
//!
//! | What | Module |
//! |---|---|
//! | which calls a look makes, four at most | `survey/asked.rs` |
//! | which security groups are in front of a target | `survey/interfaces.rs` |
//! | as how many rules prefix lists count | `survey/weighed.rs` |
//! | what we know because we did it, though AWS may not show it yet | `survey/learned.rs` |

mod asked;
mod interfaces;
mod learned;
mod seen;
mod weighed;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use portolan_core::ids::Instance;
use portolan_core::provider::{Error as ProviderError, ErrorKind};
use portolan_core::reason::Reason;
use portolan_core::time::Time;

use crate::client::ec2::groups::{Rule, SecurityGroup, Source};
use crate::client::{self, Aws};
use crate::clock::Clock;
use crate::estate::Estate;
use crate::ids::SecurityGroupId;
use crate::names::Names;
use crate::parameters::Parameters;
use crate::state;

pub(crate) use interfaces::Groups;
pub use learned::Learned;
use seen::Seen;

/// The security groups of a VPC. A map is never changed while somebody has it.
pub(crate) type SecurityGroups = Arc<BTreeMap<SecurityGroupId, Arc<SecurityGroup>>>;

/// What is known of the network, asked for when it is needed and kept. Cheap to clone: all clones are one. Classes of one cluster, region and VPC
/// can share one, and must where they share a [`Backend`](crate::backend::Backend).
#[derive(Clone, Debug)]
pub struct Survey {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    parameters: Parameters,
    clock: Arc<dyn Clock>,
    seen: Mutex<Seen>,
    /// Held by whoever looks; the others wait for what comes of it.
    looking: tokio::sync::Mutex<()>,
    /// Held by whoever asks about interfaces of which others may be about to ask.
    asking: tokio::sync::Mutex<()>,
}

/// Why nothing could be learned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// AWS did not answer as it should.
    #[error(transparent)]
    Aws(#[from] client::Error),
    /// Nobody says which VPC, and no node is an instance.
    #[error(
        "the VPC is not known: the class does not name it, no node has the providerID of an instance, such as aws:///eu-central-1a/i-0abc, and no \
         instance has the cluster's tag; set vpcId in the class's parameters"
    )]
    NoInstance,
    /// Nobody says which VPC, and AWS does not know the nodes' instances.
    #[error(
        "the VPC is not known: the class does not name it, and AWS knows none of the nodes' instances in this region and account; set vpcId in \
         the class's parameters, and correct region if it is wrong"
    )]
    UnknownInstances,
    /// Nobody says which VPC, and the nodes are in several.
    #[error("the nodes' instances are in several VPCs, {0}; set vpcId in the class's parameters")]
    SeveralVpcs(String),
}

impl From<Error> for ProviderError {
    fn from(error: Error) -> Self {
        match error {
            Error::Aws(error) => error.into(),
            // A node that joins or leaves may end it, and nothing of a Service's own would wake us then.
            Error::NoInstance | Error::UnknownInstances | Error::SeveralVpcs(_) => Self {
                kind: ErrorKind::Wait(Duration::from_secs(60)),
                reason: Reason::ProviderRefused,
                message: error.to_string(),
            },
        }
    }
}

impl Survey {
    /// Knows nothing yet but what the class says.
    pub fn new(parameters: Parameters, instance: &Instance, clock: Arc<dyn Clock>) -> Self {
        let seen = Mutex::new(Seen::new(&parameters, instance));
        let (looking, asking) = Default::default();
        Self { shared: Arc::new(Shared { parameters, clock, seen, looking, asking }) }
    }

    /// What is known now, without asking. Nodes' labels, and instances whose identifiers do not name them, are not in here: AWS does not
    /// know them.
    pub fn known(&self) -> Arc<Estate> {
        self.with(|seen| seen.estate())
    }

    /// Looks at AWS if nothing is known yet, or what is known is older than `at_most`. Whoever asks while somebody else looks gets what
    /// comes of that. `nodes` are the providerIDs of nodes, whose instances tell the VPC where the class does not name it; with none, those that have the cluster's tag do.
    pub async fn look(&self, aws: &Aws, at_most: Duration, nodes: &[String]) -> Result<Arc<Estate>, Error> {
        let since = self.now();
        if let Some(known) = self.with(|seen| seen.not_older(since, at_most)) {
            return Ok(known);
        }
        let _looking = self.shared.looking.lock().await;
        // Somebody may have looked meanwhile. If that failed while we waited, ours would fail too.
        if let Some(known) = self.with(|seen| seen.not_older(since, at_most)) {
            return Ok(known);
        }
        if let Some(error) = self.with(|seen| seen.failure_since(since)) {
            return Err(error);
        }
        let began = self.now();
        let vpc = self.with(|seen| seen.vpc());
        match asked::ask(aws, &self.shared.parameters, vpc, nodes).await {
            Ok(found) => Ok(self.with(|seen| seen.found(began, found))),
            Err(error) => {
                let ended = self.now();
                self.with(|seen| seen.failed(ended, error.clone()));
                Err(error)
            }
        }
    }

    /// When the last look that succeeded began.
    pub(crate) fn looked(&self) -> Option<Time> {
        self.with(|seen| seen.looked())
    }

    /// What we have just done ourselves, so that no look is needed.
    pub fn learned(&self, what: Learned) {
        let now = self.now();
        self.with(|seen| seen.learned(now, what));
    }

    /// All security groups of the VPC; none if nobody has looked. As long as nothing of them changes, it is the same map.
    pub(crate) fn security_groups(&self) -> Option<SecurityGroups> {
        self.with(|seen| seen.groups().cloned())
    }

    /// Is there such a security group in the VPC? No, as long as nobody has looked.
    pub fn has_security_group(&self, is_it: impl Fn(&SecurityGroup) -> bool) -> bool {
        self.security_groups().is_some_and(|groups| groups.values().any(|group| is_it(group)))
    }

    /// The security group of this name in the VPC; none, as long as nobody has looked.
    pub(crate) fn security_group_named(&self, name: &str) -> Option<SecurityGroupId> {
        let all = self.security_groups()?;
        all.values().find(|group| group.name == name).map(|group| group.id.clone())
    }

    /// Rules of other groups of the VPC name one of these.
    pub(crate) fn names(&self, groups: &[state::SecurityGroup]) -> bool {
        let is_one = |id: &SecurityGroupId| groups.iter().any(|group| group.id == *id);
        let names_one = |rule: &Rule| matches!(&rule.source, Source::Group(id) if is_one(id));
        !groups.is_empty() && self.has_security_group(|group| !is_one(&group.id) && group.rules.iter().any(names_one))
    }

    /// The security groups that are kept for one load balancer, by generation; none if nobody has looked.
    pub fn own_security_groups(&self, names: &Names) -> Option<Vec<state::SecurityGroup>> {
        let all = self.security_groups()?;
        let mut own: Vec<_> = all.values().filter_map(|group| own(names, group)).collect();
        own.sort_by_key(|group| group.generation);
        Some(own)
    }

    fn now(&self) -> Time {
        self.shared.clock.now()
    }

    fn with<T>(&self, what: impl FnOnce(&mut Seen) -> T) -> T {
        what(&mut self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The same, if it is kept for this load balancer. One without a generation is not as we make them, and stays with whoever made it so.
pub(crate) fn own(names: &Names, group: &SecurityGroup) -> Option<state::SecurityGroup> {
    if !names.owns(&group.tags) {
        return None;
    }
    let sorted = names.mark().sort(&group.rules);
    Some(state::SecurityGroup {
        id: group.id.clone(),
        name: group.name.clone(),
        generation: group.tags.get(crate::names::GENERATION)?.parse().ok()?,
        tags: group.tags.clone(),
        rules: sorted.ours,
        others: sorted.others,
        lists_of_others: sorted.lists_of_others,
        foreign: sorted.foreign,
    })
}
