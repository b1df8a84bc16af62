//! TLS listeners: which ports, with which certificates and policies.

use portolan_core::balancer::Protocol as Transport;
use portolan_core::snapshot::ServicePort;
use serde::{Deserialize, Serialize};

use crate::annotations::Key;
use crate::annotations::reader::{Reader, shown};
use crate::ids::{CertificateArn, SslPolicy};
use crate::protocol::Protocol;
use crate::settings::{Input, ports};
use crate::words::AlpnPolicy;

/// What a TLS listener needs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tls {
    /// The certificate for clients that name no host, or one that no other certificate is for.
    pub default_certificate: CertificateArn,
    /// The others, among which the name that a client asks for chooses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<CertificateArn>,
    /// The security policy.
    pub policy: SslPolicy,
    /// What is negotiated by ALPN, if somebody says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpn: Option<AlpnPolicy>,
}

/// What the annotations say of TLS.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// What every TLS listener gets; none without certificates.
    tls: Option<Tls>,
    ports: Ports,
    /// What a TLS listener sends to.
    pub(super) backend: Protocol,
}

#[derive(Clone, Debug)]
enum Ports {
    EveryTcp,
    Named(Vec<u16>),
}

/// How a port comes to be a TLS listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Covered {
    /// The Service names it.
    ByName(Tls),
    /// The Service names none, so that all are.
    WithAll(Tls),
    /// It does not.
    Not,
}

impl Asked {
    /// Whether this TCP port is a TLS listener.
    pub(super) fn covers(&self, port: &ServicePort) -> Covered {
        match (&self.tls, &self.ports) {
            (Some(tls), Ports::EveryTcp) => Covered::WithAll(tls.clone()),
            (Some(tls), Ports::Named(numbers)) if numbers.contains(&port.key.port) => Covered::ByName(tls.clone()),
            (Some(_) | None, _) => Covered::Not,
        }
    }
}

pub(super) fn read(input: &Input<'_>, reader: &mut Reader<'_>) -> Asked {
    let certificates = reader.parsed_set(Key::Certificates, CertificateArn::parse);
    region(input, certificates.as_deref().unwrap_or_default(), reader);
    let ports = ports(input, reader);
    let policy = policy(input, reader);
    let alpn = reader.word(Key::Alpn).and_then(AlpnPolicy::parse);
    let backend = backend(reader);
    if !reader.has(Key::Certificates) {
        for key in [Key::SslPorts, Key::SslPolicyKey, Key::Alpn] {
            if reader.has(key) {
                reader.ineffective(key, format!("without {} no listener is TLS", Key::Certificates.name()));
            }
        }
    }
    let mut certificates = certificates.unwrap_or_default().into_iter();
    let tls = certificates.next().map(|default_certificate| Tls {
        default_certificate,
        certificates: certificates.collect(),
        policy,
        alpn,
    });
    Asked { tls, ports, backend }
}

/// A listener takes certificates of its own region only
/// (<https://docs.aws.amazon.com/elasticloadbalancing/latest/network/tls-listener-certificates.html>).
fn region(input: &Input<'_>, certificates: &[CertificateArn], reader: &mut Reader<'_>) {
    let Some(here) = &input.parameters.region else { return };
    for certificate in certificates {
        if certificate.region().is_some_and(|region| region != here.as_str()) {
            reader.refuse(Key::Certificates, format!("{certificate} is in another region than the class, {here}"));
        }
    }
}

fn ports(input: &Input<'_>, reader: &mut Reader<'_>) -> Ports {
    let Some(items) = reader.list(Key::SslPorts) else { return Ports::EveryTcp };
    let mut numbers = Vec::new();
    for item in items {
        let matched = ports::named(input.service, item);
        let tcp = matched.iter().find(|port| port.key.protocol == Transport::Tcp);
        match tcp {
            Some(port) => numbers.push(port.key.port),
            None if matched.is_empty() && item == "*" => {
                reader.refuse(Key::SslPorts, "\"*\" is no port; remove the annotation, and every TCP port is meant");
            }
            None if matched.is_empty() => {
                reader.refuse(
                    Key::SslPorts,
                    format!("{} is neither number nor name of a port of this Service", shown(item)),
                );
            }
            None => reader.ineffective(Key::SslPorts, format!("port {} is not TCP", shown(item))),
        }
    }
    Ports::Named(numbers)
}

fn policy(input: &Input<'_>, reader: &mut Reader<'_>) -> SslPolicy {
    let class = input.parameters.defaults.ssl_policy.clone();
    let Some(text) = reader.text(Key::SslPolicyKey).filter(|text| !text.is_empty()) else { return class };
    let limits = &input.parameters.limits.ssl_policies;
    match SslPolicy::parse(text) {
        Ok(policy) if limits.allows(&policy) => return policy,
        Ok(policy) => {
            let told = limits.told(|policy| policy.clone());
            reader.refuse(Key::SslPolicyKey, format!("{policy} is outside of the class's limits; it allows {told}"));
        }
        Err(why) => reader.refuse(Key::SslPolicyKey, format!("{} {why}", shown(text))),
    }
    class
}

fn backend(reader: &mut Reader<'_>) -> Protocol {
    match reader.word_or(Key::BackendProtocol, "tcp") {
        Some("ssl") => {
            if !reader.has(Key::Certificates) {
                let certificates = Key::Certificates.name();
                reader.ineffective(Key::BackendProtocol, format!("without {certificates} no listener is TLS"));
            }
            Protocol::Tls
        }
        Some(word @ ("http" | "https")) => {
            let why = format!("{word} is for the Classic balancer; an NLB sends on TCP as it comes");
            reader.ineffective(Key::BackendProtocol, why);
            Protocol::Tcp
        }
        Some(_) | None => Protocol::Tcp,
    }
}
