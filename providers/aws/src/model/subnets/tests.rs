use std::collections::BTreeSet;

use portolan_core::balancer::Scheme;

use super::*;
use crate::ids::{ClusterName, Id};

fn subnet(id: &str, zone: &str, tags: &[&str]) -> Subnet {
    Subnet {
        id: SubnetId::parse(id).unwrap(),
        zone: zone.to_owned(),
        tags: tags.iter().map(|tag| ((*tag).to_owned(), "1".to_owned())).collect(),
        ipv4: Some("10.0.1.0/24".parse().unwrap()),
        ipv6: None,
        free_addresses: 100,
        public: Some(true),
        outpost: None,
    }
}

const PUBLIC: &str = "kubernetes.io/role/elb";
const INTERNAL: &str = "kubernetes.io/role/internal-elb";

fn chosen_of(settings: &Subnets, subnets: Vec<Subnet>, current: &[&str]) -> Result<Vec<String>, Vec<String>> {
    let parameters = Parameters::new(ClusterName::parse("prod").unwrap());
    let current: Vec<SubnetId> = current.iter().map(|id| SubnetId::parse(id).unwrap()).collect();
    let wish = Wish {
        settings,
        scheme: Scheme::Public,
        ip_address_type: IpAddressType::Ipv4,
        parameters: &parameters,
        current: current.iter().collect(),
    };
    let estate = Estate { subnets: Some(subnets), ..Estate::default() };
    let mappings = choose(&wish, &estate)?.unwrap();
    Ok(mappings.into_iter().map(|mapping| mapping.subnet.to_string()).collect())
}

fn discovery() -> Subnets {
    Subnets {
        choice: SubnetChoice::Discovered,
        allocations: Vec::new(),
        private_ipv4: Vec::new(),
        ipv6: Vec::new(),
        source_nat: SourceNat::Off,
    }
}

fn chosen(subnets: Vec<Subnet>) -> Vec<String> {
    chosen_of(&discovery(), subnets, &[]).unwrap()
}

#[test]
fn without_an_estate_the_subnets_are_unknown_and_not_guessed() {
    let parameters = Parameters::new(ClusterName::parse("prod").unwrap());
    let discovered = discovery();
    let wish = Wish {
        settings: &discovered,
        scheme: Scheme::Public,
        ip_address_type: IpAddressType::Ipv4,
        parameters: &parameters,
        current: BTreeSet::new(),
    };
    assert_eq!(choose(&wish, &Estate::default()), Ok(None));
}

#[test]
fn discovery_takes_one_subnet_a_zone_by_role_and_prefers_the_cluster_s_own() {
    let own = "kubernetes.io/cluster/prod";
    let subnets = vec![
        subnet("subnet-1", "a", &[PUBLIC]),
        subnet("subnet-2", "a", &[PUBLIC, own]),
        subnet("subnet-3", "b", &[PUBLIC]),
        subnet("subnet-4", "b", &[PUBLIC]),
        subnet("subnet-5", "c", &[INTERNAL]),
        subnet("subnet-6", "d", &[PUBLIC, "kubernetes.io/cluster/other"]),
    ];
    assert_eq!(chosen(subnets), ["subnet-2", "subnet-3"]);
}

#[test]
fn discovery_leaves_a_balancer_where_it_is() {
    let subnets =
        || vec![subnet("subnet-1", "a", &[PUBLIC]), Subnet { free_addresses: 0, ..subnet("subnet-2", "a", &[PUBLIC]) }];
    assert_eq!(
        chosen_of(&discovery(), subnets(), &["subnet-2"]).unwrap(),
        ["subnet-2"],
        "its addresses are taken already"
    );
    assert_eq!(chosen_of(&discovery(), subnets(), &[]).unwrap(), ["subnet-1"]);
}

#[test]
fn where_no_subnet_has_a_role_the_routes_decide() {
    let private = Subnet { public: Some(false), ..subnet("subnet-2", "b", &[]) };
    assert_eq!(chosen(vec![subnet("subnet-1", "a", &[]), private]), ["subnet-1"]);
}

#[test]
fn where_none_is_fit_every_subnet_has_its_verdict() {
    let full = Subnet { free_addresses: 7, ..subnet("subnet-1", "a", &[PUBLIC]) };
    let why = chosen_of(&discovery(), vec![full, subnet("subnet-2", "b", &[INTERNAL])], &[]).unwrap_err();
    let [why] = why.as_slice() else { panic!("{why:?}") };
    assert_eq!(
        why,
        "no subnet is fit for the balancer: subnet-1 (a, 7 free addresses, public, no IPv6, kubernetes.io/role/elb=1) has fewer than 8 free \
         addresses; subnet-2 (b, 8 or more free addresses, public, no IPv6, kubernetes.io/role/internal-elb=1) lacks the tag \
         kubernetes.io/role/elb"
    );
}

#[test]
fn a_subnet_without_ipv6_is_never_chosen_for_a_dualstack_balancer() {
    let parameters = Parameters::new(ClusterName::parse("prod").unwrap());
    let with = Subnet { ipv6: Some("2001:db8::/64".parse().unwrap()), ..subnet("subnet-2", "b", &[PUBLIC]) };
    let estate = Estate { subnets: Some(vec![subnet("subnet-1", "a", &[PUBLIC]), with]), ..Estate::default() };
    let named = Subnets { choice: SubnetChoice::Named(vec![SubnetRef::parse("subnet-1").unwrap()]), ..discovery() };
    let wish = |settings| Wish {
        settings,
        scheme: Scheme::Public,
        ip_address_type: IpAddressType::Dualstack,
        parameters: &parameters,
        current: BTreeSet::new(),
    };
    let ids = |mappings: Vec<SubnetMapping>| mappings.into_iter().map(|one| one.subnet.to_string()).collect::<Vec<_>>();
    let discovered = discovery();
    assert_eq!(ids(choose(&wish(&discovered), &estate).unwrap().unwrap()), ["subnet-2"]);
    assert!(choose(&wish(&named), &estate).unwrap_err()[0].contains(") has no IPv6, and the balancer is dualstack"));
}

#[test]
fn every_subnet_of_the_vpc_has_a_verdict_and_its_text_does_not_change_with_what_does_not_matter() {
    let parameters = Parameters::new(ClusterName::parse("prod").unwrap());
    let mut other = subnet("subnet-2", "a", &[PUBLIC]);
    other.tags.insert("Name".to_owned(), "spare".to_owned());
    other.tags.insert("cost-centre".to_owned(), "7".to_owned());
    let routes_unknown = Subnet { public: None, ..subnet("subnet-3", "b", &[]) };
    let said = |settings: &Subnets, subnets: Vec<Subnet>| {
        let wish = Wish {
            settings,
            scheme: Scheme::Public,
            ip_address_type: IpAddressType::Ipv4,
            parameters: &parameters,
            current: BTreeSet::new(),
        };
        let estate = Estate { subnets: Some(subnets), ..Estate::default() };
        assert_eq!(verdicts(&wish, &Estate::default()), None);
        verdicts(&wish, &estate).unwrap().iter().map(Verdict::decided).collect::<Vec<_>>()
    };
    let many = |free| Subnet { free_addresses: free, ..subnet("subnet-1", "a", &[PUBLIC]) };
    let discovered = said(&discovery(), vec![routes_unknown.clone(), other.clone(), many(250)]);
    assert_eq!(
        discovered,
        [
            "subnet-1 (a, no IPv6, kubernetes.io/role/elb=1) is taken",
            "subnet-2 (a, no IPv6, Name=spare, kubernetes.io/role/elb=1) is in the zone of subnet-1, and a balancer has one a zone",
            "subnet-3 (b, no IPv6) lacks the tag kubernetes.io/role/elb",
        ]
    );
    let routes_known = Subnet { public: Some(true), ..routes_unknown.clone() };
    assert_eq!(said(&discovery(), vec![many(8), other.clone(), routes_known]), discovered, "routes decide nothing");
    let full = Subnet { free_addresses: 0, ..other.clone() };
    assert_eq!(
        said(&discovery(), vec![many(9), full, routes_unknown.clone()]),
        discovered,
        "its zone is served anyway"
    );
    let alone = said(&discovery(), vec![many(7), routes_unknown.clone()]);
    assert!(alone[0].ends_with(") has fewer than 8 free addresses"), "{alone:?}");
    let by_route = said(&discovery(), vec![Subnet { tags: BTreeMap::new(), ..many(9) }]);
    assert_eq!(by_route, ["subnet-1 (a, public, no IPv6) is taken"]);
    let named = Subnets { choice: SubnetChoice::Named(vec![SubnetRef::parse("spare").unwrap()]), ..discovery() };
    let named = said(&named, vec![many(8), other, routes_unknown]);
    assert_eq!(named, ["subnet-2 (a, no IPv6, Name=spare, kubernetes.io/role/elb=1) is taken"]);
}

#[test]
fn a_balancer_is_in_places_of_one_kind_and_in_availability_zones_where_there_are_any() {
    let local = || subnet("subnet-0", "us-west-2-lax-1a", &[PUBLIC, "kubernetes.io/cluster/prod"]);
    let racked = || Subnet { outpost: Some("arn:x".to_owned()), ..subnet("subnet-1", "us-west-2a", &[PUBLIC]) };
    let zone = || subnet("subnet-2", "us-west-2b", &[PUBLIC]);
    assert_eq!(chosen(vec![local(), racked(), zone()]), ["subnet-2"]);
    assert_eq!(chosen(vec![local(), racked()]), ["subnet-0"], "AWS will say");
    assert_eq!(chosen_of(&discovery(), vec![local(), zone()], &["subnet-0"]).unwrap(), ["subnet-0"], "it is there");
    let names = ["subnet-2", "subnet-0"].map(|name| SubnetRef::parse(name).unwrap()).to_vec();
    let named = Subnets { choice: SubnetChoice::Named(names), ..discovery() };
    let why = chosen_of(&named, vec![local(), zone()], &[]).unwrap_err().join("\n");
    assert!(
        why.contains(
            "is in a Local Zone, and subnet-2 is in an Availability Zone; a balancer is in places of one kind"
        ),
        "{why}"
    );
    assert!(
        why.contains("subnet-2 (us-west-2b, ") && why.contains(") is fit"),
        "every named one has its verdict: {why}"
    );
}

#[test]
fn a_full_subnet_will_do_for_a_private_address_that_somebody_has_fixed() {
    let parameters = Parameters::new(ClusterName::parse("prod").unwrap());
    let full = Subnet { free_addresses: 1, ..subnet("subnet-1", "a", &[INTERNAL]) };
    let estate = Estate { subnets: Some(vec![full]), ..Estate::default() };
    let choose = |settings: &Subnets| {
        let wish = Wish {
            settings,
            scheme: Scheme::Internal,
            ip_address_type: IpAddressType::Ipv4,
            parameters: &parameters,
            current: BTreeSet::new(),
        };
        choose(&wish, &estate).map(|chosen| chosen.unwrap().len())
    };
    assert!(choose(&discovery()).is_err());
    assert_eq!(choose(&Subnets { private_ipv4: vec!["10.0.1.7".parse().unwrap()], ..discovery() }), Ok(1));
}

#[test]
fn named_subnets_are_in_the_vpc_and_one_a_zone() {
    let named = |names: &[&str]| Subnets {
        choice: SubnetChoice::Named(names.iter().map(|name| SubnetRef::parse(name).unwrap()).collect()),
        ..discovery()
    };
    let subnets = || vec![subnet("subnet-1", "a", &[]), subnet("subnet-2", "a", &[])];
    assert_eq!(chosen_of(&named(&["subnet-2"]), subnets(), &[]).unwrap(), ["subnet-2"]);
    assert!(chosen_of(&named(&["subnet-9"]), subnets(), &[]).unwrap_err()[0].contains("subnet-9 is not in the VPC"));
    assert!(chosen_of(&named(&["subnet-1", "subnet-2"]), subnets(), &[]).unwrap_err()[0].contains("one a zone"));
}

#[test]
fn a_private_address_belongs_to_the_subnet_that_contains_it() {
    let second = Subnet { ipv4: Some("10.0.2.0/24".parse().unwrap()), ..subnet("subnet-2", "b", &[]) };
    let choice = ["subnet-1", "subnet-2"].iter().map(|id| SubnetRef::parse(id).unwrap()).collect();
    let settings = |addresses: &[&str]| Subnets {
        choice: SubnetChoice::Named(Vec::clone(&choice)),
        private_ipv4: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        ..discovery()
    };
    let parameters = Parameters::new(ClusterName::parse("prod").unwrap());
    let estate = Estate { subnets: Some(vec![subnet("subnet-1", "a", &[]), second]), ..Estate::default() };
    let choose = |settings: &Subnets| {
        let wish = Wish {
            settings,
            scheme: Scheme::Internal,
            ip_address_type: IpAddressType::Ipv4,
            parameters: &parameters,
            current: BTreeSet::new(),
        };
        choose(&wish, &estate)
    };
    let mappings = choose(&settings(&["10.0.2.7", "10.0.1.7"])).unwrap().unwrap();
    let addresses: Vec<_> = mappings.iter().map(|mapping| mapping.private_ipv4.unwrap().to_string()).collect();
    assert_eq!(addresses, ["10.0.1.7", "10.0.2.7"]);
    assert!(choose(&settings(&["10.0.2.7", "10.0.3.7"])).unwrap_err()[0].contains("contains none of the private"));
}
