//! IPv6 that comes to a live balancer, and goes again: subnets, addresses, source NAT and type in one call, in both directions.

use portolan_aws::Step;
use portolan_aws::words::{IpAddressType, Switch};
use portolan_core::balancer::{Protocol, Scheme};

use super::lab::{Lab, listener, names};

/// What a call says of the families: type, subnets, those of them with a fixed address, source NAT.
type Said = (IpAddressType, usize, usize, Option<Switch>);

fn said(steps: &[Step]) -> Vec<Said> {
    let of = |step: &Step| {
        if let Step::SetSubnets { ip_address_type, subnets, source_nat, .. } = step {
            let fixed = subnets.iter().filter(|mapping| mapping.ipv6.is_some()).count();
            return Some((*ip_address_type, subnets.len(), fixed, *source_nat));
        }
        let Step::SetIpAddressType { ip_address_type, .. } = step else { return None };
        Some((*ip_address_type, 0, 0, None))
    };
    steps.iter().filter_map(of).collect()
}

/// A public balancer in two zones with IPv6 and one without; these annotations, and then those.
fn edited(before: &[(&str, &str)], after: &[(&str, &str)]) -> (Lab, Vec<Step>) {
    let mut lab = Lab::new();
    lab.desired.scheme = Some(Scheme::Public);
    before.iter().for_each(|(key, value)| lab.annotate(key, value));
    lab.settle();
    lab.annotations.clear();
    after.iter().for_each(|(key, value)| lab.annotate(key, value));
    let steps = lab.settle();
    (lab, steps)
}

const BOTH: (&str, &str) = ("ip-address-type", "dualstack");
const IN_TWO: (&str, &str) = ("subnets", "subnet-a1,subnet-b2");
const ADDRESSES: (&str, &str) = ("ipv6-addresses", "2001:db8:0:1::9,2001:db8:0:2::9");
const NAT: (&str, &str) = ("enable-prefix-for-ipv6-source-nat", "on");

#[test]
fn the_same_subnets_with_another_type_are_one_call_for_the_type() {
    let (_, steps) = edited(&[IN_TWO], &[IN_TWO, BOTH]);
    assert_eq!(said(&steps), [(IpAddressType::Dualstack, 0, 0, None)]);
    let (_, steps) = edited(&[IN_TWO, BOTH], &[IN_TWO]);
    assert_eq!(said(&steps), [(IpAddressType::Ipv4, 0, 0, None)]);
}

#[test]
fn a_zone_without_ipv6_goes_and_comes_in_the_call_that_says_the_type() {
    let (lab, steps) = edited(&[], &[BOTH]);
    assert_eq!(said(&steps), [(IpAddressType::Dualstack, 2, 0, None)]);
    assert_eq!(lab.state.balancers[0].subnets.len(), 2);
    let (lab, steps) = edited(&[BOTH], &[]);
    assert_eq!(said(&steps), [(IpAddressType::Ipv4, 3, 0, None)]);
    assert_eq!((lab.state.balancers[0].subnets.len(), lab.state.balancers[0].generation), (3, 1));
}

#[test]
fn source_nat_comes_and_goes_with_the_type_and_alone() {
    for before in [&[IN_TWO][..], &[IN_TWO, BOTH][..]] {
        let (lab, steps) = edited(before, &[IN_TWO, BOTH, NAT]);
        assert_eq!(said(&steps), [(IpAddressType::Dualstack, 2, 0, Some(Switch::On))], "{before:?}");
        assert!(lab.state.balancers[0].subnets.iter().all(|mapping| mapping.source_nat.is_some()));
    }
    for (after, kind) in [(&[IN_TWO][..], IpAddressType::Ipv4), (&[IN_TWO, BOTH][..], IpAddressType::Dualstack)] {
        let (lab, steps) = edited(&[IN_TWO, BOTH, NAT], after);
        assert_eq!(said(&steps), [(kind, 2, 0, Some(Switch::Off))], "{after:?}");
        assert!(lab.state.balancers[0].subnets.iter().all(|mapping| mapping.source_nat.is_none()));
    }
}

#[test]
fn fixed_ipv6_addresses_come_with_the_type_also_in_the_same_subnets_and_go_with_it() {
    let (lab, steps) = edited(&[IN_TWO], &[IN_TWO, BOTH, ADDRESSES]);
    assert_eq!(said(&steps), [(IpAddressType::Dualstack, 2, 2, None)]);
    assert!(lab.state.balancers[0].subnets.iter().all(|mapping| mapping.ipv6.is_some()));
    let (lab, steps) = edited(&[IN_TWO, BOTH, ADDRESSES], &[IN_TWO]);
    assert_eq!(said(&steps), [(IpAddressType::Ipv4, 0, 0, None)]);
    assert!(lab.state.balancers[0].subnets.iter().all(|mapping| mapping.ipv6.is_none()));
}

#[test]
fn a_balancer_that_has_an_ipv6_address_gets_another_one_by_a_replace() {
    let (lab, steps) = edited(&[IN_TWO, BOTH], &[IN_TWO, BOTH, ADDRESSES]);
    assert!(names(&steps).contains(&"CreateBalancer"), "{:?}", names(&steps));
    assert_eq!((lab.state.balancers.len(), lab.state.balancers[0].generation), (1, 2));
}

#[test]
fn a_listener_for_udp_that_goes_does_so_before_a_dualstack_balancer_would_have_to_take_it() {
    let mut lab = Lab::new();
    lab.annotate(IN_TWO.0, IN_TWO.1);
    lab.desired.listeners = vec![listener(53, Protocol::Udp), listener(80, Protocol::Tcp)];
    lab.settle();
    lab.annotate(BOTH.0, BOTH.1);
    lab.desired.listeners.remove(0);
    let steps = lab.once();
    let steps: Vec<&str> =
        names(&steps).into_iter().filter(|name| ["DeleteListener", "SetIpAddressType"].contains(name)).collect();
    assert_eq!(steps, ["DeleteListener", "SetIpAddressType"]);
}
