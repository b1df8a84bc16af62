//! Whether somebody with whom a Service shares its load balancer asks for the addresses that it gets.
//!
//! "What only one of them says holds for all" (docs/sharing.md): whoever joins with an address or a scheme moves those who were there
//! before it and asked for nothing, as a fresh apply of all of them would have it. Nothing else is asked for: each new address must be one
//! that another member names, or be of the scheme that it asks for where the old one is not; and no family may be left without.

use std::collections::BTreeSet;
use std::net::IpAddr;

use portolan_core::balancer::{Family, Scheme};
use portolan_core::desire::addresses::requested;
use portolan_core::desire::scheme::{InternalAnnotations, scheme};
use portolan_core::snapshot::Service;
use portolan_mock::Parameters;
use serde_json::Value;

use super::laws::{members, uid};
use crate::cluster::project;

/// Another member of the load balancer of this Service asks that `was` becomes `is`.
pub(super) fn by_another_member(
    service: &str,
    services: &[Value],
    records: &[Value],
    was: &BTreeSet<String>,
    is: &BTreeSet<String>,
) -> bool {
    let (Some(lost), Some(gained)) = (addresses(was.difference(is)), addresses(is.difference(was))) else {
        return false;
    };
    let shared = records.iter().filter(|record| members(record).any(|member| member == service));
    let others: BTreeSet<&str> = shared.flat_map(members).filter(|member| *member != service).collect();
    let others = services.iter().filter(|other| others.contains(uid(other)));
    let wishes: Vec<Wish> = others.filter_map(Wish::of).collect();
    !gained.is_empty()
        && gained.iter().all(|address| wishes.iter().any(|wish| wish.is_for(*address, &lost)))
        && lost.iter().all(|address| gained.iter().any(|new| Family::of(*new) == Family::of(*address)))
}

/// What a Service asks for that belongs to the whole and decides its addresses.
struct Wish {
    named: Vec<IpAddr>,
    scheme: Option<Scheme>,
    parameters: Parameters,
}

impl Wish {
    fn of(service: &Value) -> Option<Self> {
        let service: Service = Service::clone(&project::service(serde_json::from_value(service.clone()).ok()?).object);
        let (mut refused, mut warnings, parameters) = (Vec::new(), Vec::new(), Parameters::default());
        let scheme =
            scheme(&service, &parameters.capabilities, &InternalAnnotations::default(), &mut refused, &mut warnings);
        let named = requested(&service, &parameters.capabilities, &service.families, &mut refused, &mut warnings);
        refused.is_empty().then_some(Self { named, scheme, parameters })
    }

    fn is_for(&self, address: IpAddr, lost: &[IpAddr]) -> bool {
        let of = |address: IpAddr| self.parameters.ranges.scheme_of(address);
        let moves = |lost: &IpAddr| Family::of(*lost) == Family::of(address) && of(*lost) != of(address);
        self.named.contains(&address) || (self.scheme.is_some() && self.scheme == of(address) && lost.iter().any(moves))
    }
}

/// None where one is a name.
fn addresses<'a>(texts: impl Iterator<Item = &'a String>) -> Option<Vec<IpAddr>> {
    texts.map(|text| text.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// `web` and `api` share a load balancer, `web` has these annotations, `api` none; `other` has them too and shares with nobody.
    fn asked(annotations: &Value, was: &[&str], is: &[&str]) -> bool {
        let service = |name: &str, annotations: &Value| {
            let spec = json!({"type": "LoadBalancer", "ipFamilies": ["IPv4"]});
            json!({"metadata": {"uid": name, "name": name, "namespace": "default", "annotations": annotations}, "spec": spec})
        };
        let other = json!({"portolan.dev/load-balancer-ips": "203.0.113.50"});
        let services = [service("web", annotations), service("api", &json!({})), service("other", &other)];
        let record = |members: &[&str]| {
            let members: Vec<Value> = members.iter().map(|uid| json!({"uid": uid})).collect();
            json!({"spec": {"members": members}})
        };
        let set = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
        by_another_member("api", &services, &[record(&["api", "web"]), record(&["other"])], &set(was), &set(is))
    }

    #[test]
    fn an_address_changes_for_what_another_member_asks_and_for_nothing_else() {
        let named = json!({"portolan.dev/load-balancer-ips": "203.0.113.78"});
        let internal = json!({"portolan.dev/scheme": "internal"});
        let unclear = json!({"portolan.dev/scheme": "both", "portolan.dev/load-balancer-ips": "203.0.113.78"});
        for (what, annotations, was, is, asked_for) in [
            ("named", &named, "203.0.113.1", &["203.0.113.78"][..], true),
            ("another than named", &named, "203.0.113.1", &["203.0.113.2"], false),
            ("named by one who shares with somebody else", &named, "203.0.113.1", &["203.0.113.50"], false),
            ("nobody named any", &json!({}), "203.0.113.1", &["203.0.113.2"], false),
            ("of the scheme", &internal, "203.0.113.1", &["10.255.0.1"], true),
            ("of the scheme that it had", &internal, "10.255.0.1", &["10.255.0.2"], false),
            ("of the other scheme", &internal, "10.255.0.1", &["203.0.113.1"], false),
            ("named by one who is refused", &unclear, "203.0.113.1", &["203.0.113.78"], false),
            ("none at all", &named, "203.0.113.1", &[], false),
            (
                "of another family",
                &json!({"portolan.dev/load-balancer-ips": "2001:db8::1"}),
                "203.0.113.1",
                &["2001:db8::1"],
                false,
            ),
        ] {
            assert_eq!(asked(annotations, &[was], is), asked_for, "{what}");
        }
    }
}
