//! Which security groups are in front of a target: those of an instance's primary interface, or of the interface that has an address. As old
//! as the last look at most.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use portolan_core::time::Time;

use crate::backend::need::Who;
use crate::client::Aws;
use crate::client::ec2::filter::Filters;
use crate::client::ec2::nodes::{Instance, Interface};
use crate::client::names::InstanceId;
use crate::estate::Estate;
use crate::ids::SecurityGroupId;
use crate::survey::{Error, Survey};

/// How long what AWS did not know is not asked for again.
const ABSENT: Duration = Duration::from_secs(60);

/// After a look this question by address is for all interfaces.
const ALL: u32 = 2;

/// The security groups of an interface.
pub(crate) type Groups = Arc<BTreeSet<SecurityGroupId>>;

/// What is known of interfaces.
#[derive(Debug, Default)]
pub(super) struct Directory {
    primary: BTreeMap<String, Groups>,
    addresses: BTreeMap<IpAddr, Groups>,
    prefixes: Vec<(IpNet, Groups)>,
    absent: BTreeMap<Who, Time>,
    /// Questions by address since the last look.
    asked: u32,
    /// All that targets may have has been asked for.
    whole: bool,
}

impl Directory {
    pub(super) fn instances(&mut self, found: &[Instance]) {
        for instance in found {
            if let Some(primary) = instance.interfaces.first() {
                self.primary.insert(instance.id.as_str().to_owned(), groups(primary));
            }
            self.interfaces(&instance.interfaces);
        }
    }

    fn interfaces(&mut self, found: &[Interface]) {
        for interface in found {
            let groups = groups(interface);
            let v4 = interface.ipv4.iter().copied().map(IpAddr::V4);
            let all = v4.chain(interface.ipv6.iter().copied().map(IpAddr::V6));
            self.addresses.extend(all.map(|address| (address, Arc::clone(&groups))));
            for prefix in &interface.prefixes {
                self.prefixes.retain(|(other, _)| other != prefix);
                self.prefixes.push((*prefix, Arc::clone(&groups)));
            }
        }
    }

    fn groups(&self, who: &Who) -> Option<&Groups> {
        match who {
            Who::Instance(id) => self.primary.get(id),
            Who::Address(address) => self.addresses.get(address).or_else(|| {
                let holder = self.prefixes.iter().find(|(prefix, _)| prefix.contains(address));
                holder.map(|(_, groups)| groups)
            }),
        }
    }

    /// Those of which nothing is known, and nobody has asked lately in vain.
    fn unknown(&self, who: &BTreeSet<Who>, now: Time) -> BTreeSet<Who> {
        let is_absent = |who: &Who| self.absent.get(who).is_some_and(|since| now.since(*since) <= ABSENT);
        who.iter().filter(|who| self.groups(who).is_none() && !is_absent(who)).cloned().collect()
    }

    /// Those of which something is known.
    fn known(&self, who: &BTreeSet<Who>) -> BTreeMap<Who, Groups> {
        who.iter().filter_map(|who| Some((who.clone(), Arc::clone(self.groups(who)?)))).collect()
    }

    /// Others are about to ask the same: of nodes, which all have, and of all interfaces at once. Later nobody waits for anybody's question.
    fn is_awaited(&self, unknown: &BTreeSet<Who>) -> bool {
        self.asked < ALL || unknown.iter().any(|who| instance(who).is_some())
    }

    /// Should all interfaces be asked for? A second question after a look says that there will be more: after a restart one for each Service.
    fn is_all_asked_now(&mut self) -> bool {
        self.asked = self.asked.saturating_add(1);
        self.asked == ALL
    }

    fn asked_in_vain(&mut self, who: BTreeSet<Who>, now: Time) {
        self.absent.extend(who.into_iter().map(|who| (who, now)));
    }
}

fn groups(interface: &Interface) -> Groups {
    Arc::new(interface.groups.iter().cloned().collect())
}

impl Survey {
    /// The security groups in front of these targets. One that has no interface in the VPC is left out: a target elsewhere lets in whom it
    /// likes. `nodes` are the providerIDs of nodes, of whose interfaces' prefixes pods may have their addresses.
    pub(crate) async fn groups_of(
        &self,
        aws: &Aws,
        who: &BTreeSet<Who>,
        nodes: &[String],
    ) -> Result<BTreeMap<Who, Groups>, Error> {
        let now = self.now();
        let estate = self.known();
        let asking = self.with(|seen| {
            let unknown = seen.interfaces.unknown(who, now);
            (!unknown.is_empty()).then(|| seen.interfaces.is_awaited(&unknown))
        });
        // Whoever else has asked meanwhile may have learned what this one would ask.
        let _asking = match asking {
            None => return Ok(self.with(|seen| seen.interfaces.known(who))),
            Some(true) => Some(self.shared.asking.lock().await),
            Some(false) => None,
        };
        let unknown = self.with(|seen| seen.interfaces.unknown(who, now));
        let instances: Vec<InstanceId> = unknown.iter().filter_map(instance).collect();
        if !instances.is_empty() {
            let found = aws.instances(&instances).await?;
            self.with(|seen| seen.interfaces.instances(&found));
        }
        let addresses: Vec<IpAddr> = unknown.iter().filter_map(|who| address_here(&estate, who)).collect();
        if let Some(vpc) = estate.vpc.as_ref().filter(|_| !addresses.is_empty()) {
            let found = if self.with(|seen| seen.interfaces.is_all_asked_now()) {
                aws.interfaces_where(&Filters::new().in_vpc(vpc)).await?
            } else {
                aws.interfaces_with(vpc, &addresses).await?
            };
            let is_left = self.with(|seen| {
                seen.interfaces.interfaces(&found);
                addresses.iter().any(|address| seen.interfaces.groups(&Who::Address(*address)).is_none())
            });
            let nodes: Vec<InstanceId> =
                nodes.iter().filter_map(|id| estate.instance(id)).map(InstanceId::new).collect();
            if is_left && !nodes.is_empty() {
                let found = aws.instances(&nodes).await?;
                self.with(|seen| seen.interfaces.instances(&found));
            }
        }
        Ok(self.with(|seen| {
            let vain = seen.interfaces.unknown(&unknown, now);
            seen.interfaces.asked_in_vain(vain, now);
            seen.interfaces.known(who)
        }))
    }
}

impl Survey {
    /// Asks for all interfaces that targets may have, once after each look: a dry run decides without asking.
    pub(crate) async fn ask_for_all(&self, aws: &Aws, nodes: &[String]) -> Result<(), Error> {
        let estate = self.known();
        let Some(vpc) = estate.vpc.as_ref().filter(|_| !self.with(|seen| seen.interfaces.whole)) else { return Ok(()) };
        let nodes: Vec<InstanceId> = nodes.iter().filter_map(|id| estate.instance(id)).map(InstanceId::new).collect();
        let instances = if nodes.is_empty() { Vec::new() } else { aws.instances(&nodes).await? };
        let interfaces = aws.interfaces_where(&Filters::new().in_vpc(vpc)).await?;
        self.with(|seen| {
            seen.interfaces.interfaces(&interfaces);
            seen.interfaces.instances(&instances);
            seen.interfaces.whole = true;
        });
        Ok(())
    }

    /// The security groups in front of these targets; none if they have not been asked for.
    pub(crate) fn known_groups_of(&self, who: &BTreeSet<Who>) -> Option<BTreeMap<Who, Groups>> {
        self.with(|seen| seen.interfaces.whole.then(|| seen.interfaces.known(who)))
    }
}

fn instance(who: &Who) -> Option<InstanceId> {
    match who {
        Who::Instance(id) => Some(InstanceId::new(id)),
        Who::Address(_) => None,
    }
}

/// An address in one of the VPC's subnets: no other has an interface there.
fn address_here(estate: &Estate, who: &Who) -> Option<IpAddr> {
    let Who::Address(address) = who else { return None };
    let is_here = estate.subnets.iter().flatten().any(|subnet| match address {
        IpAddr::V4(address) => subnet.ipv4.is_some_and(|network| network.contains(address)),
        IpAddr::V6(address) => subnet.ipv6.is_some_and(|network| network.contains(address)),
    });
    is_here.then_some(*address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::names::InterfaceId;
    use crate::ids::Id;

    fn interface(id: &str, group: &str, address: [u8; 4], prefix: Option<&str>) -> Interface {
        Interface {
            id: InterfaceId::new(id),
            vpc: Id::parse("vpc-1").unwrap(),
            subnet: Id::parse("subnet-1").unwrap(),
            instance: None,
            groups: vec![Id::parse(group).unwrap()],
            ipv4: vec![address.into()],
            ipv6: Vec::new(),
            prefixes: prefix.into_iter().map(|prefix| prefix.parse().unwrap()).collect(),
            description: String::new(),
        }
    }

    #[test]
    fn an_instance_takes_traffic_at_its_primary_interface_and_a_pod_at_the_one_that_has_its_address() {
        let mut directory = Directory::default();
        directory.instances(&[Instance {
            id: InstanceId::new("i-1"),
            state: "running".to_owned(),
            vpc: Id::parse("vpc-1"),
            zone: "a".to_owned(),
            interfaces: vec![
                interface("eni-1", "sg-1", [10, 0, 0, 1], None),
                interface("eni-2", "sg-2", [10, 0, 0, 2], Some("10.0.0.16/28")),
            ],
        }]);
        let group = |who| directory.groups(&who).map(|groups| groups.first().unwrap().to_string());
        assert_eq!(group(Who::Instance("i-1".to_owned())).as_deref(), Some("sg-1"));
        for (address, expected) in [
            ([10, 0, 0, 1], Some("sg-1")),
            ([10, 0, 0, 2], Some("sg-2")),
            ([10, 0, 0, 31], Some("sg-2")),
            ([10, 0, 0, 32], None),
        ] {
            assert_eq!(group(Who::Address(address.into())).as_deref(), expected, "{address:?}");
        }
    }

    #[test]
    fn what_aws_does_not_know_is_not_asked_for_again_at_once() {
        let mut directory = Directory::default();
        let who: BTreeSet<Who> = [Who::Instance("i-1".to_owned())].into();
        let at = |seconds| Time::default() + Duration::from_secs(seconds);
        assert_eq!(directory.unknown(&who, at(0)), who);
        directory.asked_in_vain(who.clone(), at(0));
        assert!(directory.unknown(&who, at(60)).is_empty());
        assert_eq!(directory.unknown(&who, at(61)), who);
    }
}
