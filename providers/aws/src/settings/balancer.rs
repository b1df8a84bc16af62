//! What holds for the whole balancer. Services that share one must agree on it: [`share`](crate::settings::share).

use std::collections::{BTreeMap, BTreeSet};

use portolan_core::balancer::{Family, Scheme};
use portolan_core::desire::scheme::{self, InternalAnnotations};
use portolan_core::reason::Reason;
use portolan_core::snapshot::FamilyPolicy;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::annotations::Key;
use crate::annotations::reader::{Reader, shown};
use crate::attributes::table::{ACCESS_LOGS, ACCESS_LOGS_BUCKET, ACCESS_LOGS_PREFIX, CROSS_ZONE};
use crate::attributes::{self, Attributes, Owner};
use crate::ids::BalancerName;
use crate::settings::merge::Merge;
use crate::settings::security::{self, Security};
use crate::settings::subnets::{self, Subnets};
use crate::settings::{Input, tags};
use crate::words::{IpAddressType, scheme_word};

/// What holds for the whole balancer.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Balancer {
    /// The name of one that is yet to be made, if somebody cares.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<BalancerName>,
    /// Who can reach it.
    #[serde(serialize_with = "spelled", deserialize_with = "read_scheme")]
    pub scheme: Scheme,
    /// The families of its addresses.
    pub ip_address_type: IpAddressType,
    /// Where it is, and with which addresses.
    pub subnets: Subnets,
    /// Its attributes as far as somebody sets them. These keys are ours; AWS has its defaults in all others.
    #[serde(deserialize_with = "attributes::of_load_balancer")]
    pub attributes: Attributes,
    /// Who gets in.
    pub security: Security,
    /// Tags on everything that is made, without those by which Portolan knows its own.
    pub tags: BTreeMap<String, String>,
}

impl Balancer {
    /// The attributes to write, where these keys were ours before: see [`attributes::restored`].
    pub fn writes(&self, owned_before: &BTreeSet<String>) -> Attributes {
        let owner = Owner::LoadBalancer(self.scheme);
        attributes::restored(attributes::LOAD_BALANCER, owned_before, &self.attributes, owner)
    }
}

fn spelled<S: Serializer>(scheme: &Scheme, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(scheme_word(*scheme))
}

fn read_scheme<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Scheme, D::Error> {
    let text = String::deserialize(deserializer)?;
    let word = |scheme: &Scheme| scheme_word(*scheme) == text;
    [Scheme::Internal, Scheme::Public]
        .into_iter()
        .find(word)
        .ok_or_else(|| D::Error::custom(format!("no scheme {text:?}")))
}

pub(super) fn read(input: &Input<'_>, reader: &mut Reader<'_>) -> Balancer {
    let name = name(input, reader);
    let scheme = chosen_scheme(input, reader);
    let ip_address_type = ip_address_type(input, reader);
    Balancer {
        name,
        scheme,
        ip_address_type,
        subnets: subnets::read(input, scheme, ip_address_type, reader),
        attributes: attributes(input, reader),
        security: security::read(input, ip_address_type, reader),
        tags: tags::read(input, reader),
    }
}

fn name(input: &Input<'_>, reader: &mut Reader<'_>) -> Option<BalancerName> {
    let text = reader.text(Key::Name).filter(|text| !text.is_empty())?;
    if !input.parameters.limits.names {
        reader.refuse(Key::Name, "the class chooses names itself; remove it");
    }
    match BalancerName::parse(text) {
        Ok(name) => Some(name),
        Err(why) => {
            reader.refuse(Key::Name, format!("{} {why}", shown(text)));
            None
        }
    }
}

/// See [`Parameters::scheme`](crate::Parameters::scheme). What a Service asks for must be within the limits.
fn chosen_scheme(input: &Input<'_>, reader: &mut Reader<'_>) -> Scheme {
    if reader.has(Key::SchemeKey) && reader.has(Key::Internal) {
        reader.ineffective(Key::Internal, format!("{} says it", Key::SchemeKey.name()));
    }
    let schemes = &input.parameters.limits.schemes;
    if let Some(scheme) = input.scheme.filter(|scheme| !schemes.allows(scheme)) {
        let told = schemes.told(|scheme| scheme_word(*scheme));
        let place = scheme::place(input.service, &InternalAnnotations::default());
        let message = format!("{place}: the scheme is {}, and the class allows {told}", scheme_word(scheme));
        reader.refuse_as(Reason::InvalidAnnotation, message);
    }
    input.parameters.scheme(input.scheme, input.existing)
}

/// The annotation, else the class's, else what the Service's families need.
fn ip_address_type(input: &Input<'_>, reader: &mut Reader<'_>) -> IpAddressType {
    let families = &input.service.families;
    let limits = &input.parameters.limits.ip_address_types;
    let needed = match families.contains(&Family::V6) {
        true => IpAddressType::Dualstack,
        false => IpAddressType::Ipv4,
    };
    let asked = reader.word(Key::IpAddressTypeKey).and_then(IpAddressType::parse);
    let chosen = asked.or(input.parameters.defaults.ip_address_type).unwrap_or(needed);
    if !limits.allows(&chosen) {
        let told = limits.told(|kind| *kind);
        match asked {
            Some(kind) => reader.refuse(Key::IpAddressTypeKey, format!("is {kind}; the class allows {told}")),
            None => {
                let message = format!("spec.ipFamilies need a balancer that is {chosen}, and the class allows {told}");
                reader.refuse_as(Reason::FamilyNotSupported, message);
            }
        }
    }
    // An NLB is ipv4 or dualstack; who insists on IPv6 gets it from the latter alone.
    let insists = input.service.family_policy == FamilyPolicy::RequireDualStack || !families.contains(&Family::V4);
    if chosen == IpAddressType::Ipv4 && needed == IpAddressType::Dualstack && insists {
        let message = format!(
            "spec.ipFamilies ask for IPv6, and the balancer is ipv4: set {} to dualstack",
            Key::IpAddressTypeKey.name()
        );
        reader.refuse_as(Reason::FamilyNotSupported, message);
    }
    chosen
}

/// The class's attributes, over them the map, over it the older keys of their own.
fn attributes(input: &Input<'_>, reader: &mut Reader<'_>) -> Attributes {
    let mut merge = Merge::new(
        attributes::LOAD_BALANCER,
        &input.parameters.defaults.load_balancer_attributes,
        &input.parameters.limits.load_balancer_attributes,
    );
    let pairs = reader.map(Key::BalancerAttributes);
    merge.put(&Key::BalancerAttributes.name(), pairs, reader);
    if let Some(on) = reader.bool(Key::CrossZone) {
        merge.put_one(Key::CrossZone, CROSS_ZONE, &on.to_string(), reader);
    }
    access_logs(&mut merge, reader);
    if merge.is(ACCESS_LOGS, "true") && merge.get(ACCESS_LOGS_BUCKET).is_none_or(str::is_empty) {
        let key = if reader.has(Key::AccessLogEnabled) { Key::AccessLogEnabled } else { Key::BalancerAttributes };
        reader.refuse(
            key,
            format!("access logs need a bucket; set {ACCESS_LOGS_BUCKET} in {}", Key::BalancerAttributes.name()),
        );
    }
    merge.settled()
}

/// The older keys for access logs count only together, and only to turn them on.
fn access_logs(merge: &mut Merge, reader: &mut Reader<'_>) {
    let on = reader.bool(Key::AccessLogEnabled);
    let details = [(Key::AccessLogBucket, ACCESS_LOGS_BUCKET), (Key::AccessLogPrefix, ACCESS_LOGS_PREFIX)];
    if on == Some(true) {
        merge.put_one(Key::AccessLogEnabled, ACCESS_LOGS, "true", reader);
        for (key, attribute) in details {
            if let Some(text) = reader.text(key) {
                merge.put_one(key, attribute, text, reader);
            }
        }
        return;
    }
    if on == Some(false) && merge.is(ACCESS_LOGS, "true") {
        let by = Key::BalancerAttributes.name();
        reader.ineffective(
            Key::AccessLogEnabled,
            format!("false turns nothing off, and {ACCESS_LOGS} is true in {by} or the class"),
        );
    }
    for (key, _) in details {
        if reader.has(key) {
            reader.ineffective(key, format!("{} is not true", Key::AccessLogEnabled.name()));
        }
    }
}
