//! Health checks. There is one set of keys for all groups of a Service; what it leaves open is the AWS Load Balancer Controller's.

use portolan_core::snapshot::{ServicePort, TargetPort, TrafficPolicy};
use serde::{Deserialize, Serialize};

use crate::annotations::Key;
use crate::annotations::reader::{Reader, shown};
use crate::settings::groups::Targets;
use crate::settings::{Input, ports};

/// How targets are probed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HealthCheck {
    /// With what.
    pub probe: Probe,
    /// Where.
    pub port: HealthPort,
    /// Seconds between two probes, 5 to 300.
    pub interval: u16,
    /// Seconds after which a probe has failed, 2 to 120.
    pub timeout: u16,
    /// Good probes after which a target is healthy, 2 to 10.
    pub healthy: u16,
    /// Bad probes after which it is not, 2 to 10.
    pub unhealthy: u16,
}

/// What a probe is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum Probe {
    /// A connection.
    #[serde(rename = "TCP")]
    Tcp,
    /// A request.
    #[serde(rename = "HTTP")]
    Http(Request),
    /// A request over TLS.
    #[serde(rename = "HTTPS")]
    Https(Request),
}

/// What is asked, and which answers are good.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Request {
    /// The path.
    pub path: String,
    /// Codes and ranges of codes, 200 to 599.
    pub codes: String,
}

/// Where targets are probed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum HealthPort {
    /// Where the traffic goes.
    TrafficPort,
    /// On this one.
    Number(u16),
}

/// What the annotations say.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    protocol: Option<&'static str>,
    port: Option<Port>,
    path: Option<String>,
    codes: Option<String>,
    interval: Option<u16>,
    timeout: Option<u16>,
    healthy: Option<u16>,
    unhealthy: Option<u16>,
    /// Some group is probed by HTTP or HTTPS.
    has_requests: bool,
}

#[derive(Clone, Debug)]
enum Port {
    Traffic,
    Number(u16),
    /// A port of the Service.
    Of(ServicePort),
}

/// What holds where nobody says.
struct Base {
    protocol: &'static str,
    port: HealthPort,
    path: &'static str,
    timeout: u16,
    threshold: u16,
}

const INTERVAL: u16 = 10;
const CODES: &str = "200-399";

/// Under policy Local a node without endpoints says so on the Service's own health port (KEP-1669), and must be out soon. Pods are what
/// they are, whatever the policy.
fn base(input: &Input<'_>, targets: Targets) -> Base {
    let local = match (targets, input.service.external_traffic_policy) {
        (Targets::Instance { .. }, TrafficPolicy::Local) => input.service.health_check_node_port,
        (Targets::Instance { .. }, TrafficPolicy::Cluster) | (Targets::Ip, _) => None,
    };
    match local {
        Some(port) => {
            Base { protocol: "HTTP", port: HealthPort::Number(port), path: "/healthz", timeout: 6, threshold: 2 }
        }
        None => Base { protocol: "TCP", port: HealthPort::TrafficPort, path: "/", timeout: 10, threshold: 3 },
    }
}

impl Asked {
    pub(super) fn read(input: &Input<'_>, reader: &mut Reader<'_>) -> Self {
        Self {
            protocol: reader.word(Key::HealthProtocol),
            port: port(input, reader),
            path: checked(Key::HealthPath, path, reader),
            codes: checked(Key::HealthCodes, codes, reader),
            interval: reader.int(Key::HealthInterval),
            timeout: reader.int(Key::HealthTimeout),
            healthy: reader.int(Key::HealthyThreshold),
            unhealthy: reader.int(Key::UnhealthyThreshold),
            has_requests: false,
        }
    }

    /// The check of one group.
    pub(super) fn check(
        &mut self,
        input: &Input<'_>,
        number: u16,
        targets: Targets,
        reader: &mut Reader<'_>,
    ) -> HealthCheck {
        let base = base(input, targets);
        let request = || Request {
            path: self.path.clone().unwrap_or_else(|| base.path.to_owned()),
            codes: self.codes.clone().unwrap_or_else(|| CODES.to_owned()),
        };
        let probe = match self.protocol.unwrap_or(base.protocol) {
            "HTTP" => Probe::Http(request()),
            "HTTPS" => Probe::Https(request()),
            _ => Probe::Tcp,
        };
        self.has_requests |= probe != Probe::Tcp;
        let port = match (&self.port, targets) {
            (None, _) => base.port,
            (Some(Port::Traffic), _) => HealthPort::TrafficPort,
            (Some(Port::Number(port)), _) => HealthPort::Number(*port),
            (Some(Port::Of(port)), _) => match number_of(port, targets) {
                Ok(found) => HealthPort::Number(found),
                Err(why) => {
                    let name = shown(&port.name);
                    reader.refuse(
                        Key::HealthPort,
                        format!("port {name} {why}, and the targets of port {number} {}", who(targets)),
                    );
                    base.port
                }
            },
        };
        let interval = self.interval.unwrap_or(INTERVAL);
        HealthCheck {
            probe,
            port,
            interval,
            timeout: self.timeout(base.timeout, interval, reader),
            healthy: self.healthy.unwrap_or(base.threshold),
            unhealthy: self.unhealthy.unwrap_or(base.threshold),
        }
    }

    /// AWS takes no timeout that is longer than the interval (its answer says so; its pages do not). Where nobody says one, an interval that
    /// is shorter shortens it.
    fn timeout(&self, usual: u16, interval: u16, reader: &mut Reader<'_>) -> u16 {
        let Some(timeout) = self.timeout else { return usual.min(interval) };
        if timeout > interval {
            reader.refuse(
                Key::HealthTimeout,
                format!("{timeout} seconds are more than the {interval} between two probes"),
            );
        }
        timeout.min(interval)
    }

    /// What no check has taken.
    pub(super) fn unmatched(&self, reader: &mut Reader<'_>) {
        for key in [Key::HealthPath, Key::HealthCodes] {
            if reader.has(key) && !self.has_requests {
                reader.ineffective(key, "targets are probed by TCP");
            }
        }
    }
}

/// Where a port of the Service is found on these targets. A health check is told one number for all of them.
fn number_of(port: &ServicePort, targets: Targets) -> Result<u16, String> {
    match (targets, port.node_port, &port.target_port) {
        (Targets::Instance { .. }, Some(node_port), _) => Ok(node_port),
        (Targets::Instance { .. }, None, _) => Err("has no node port".to_owned()),
        (Targets::Ip, _, TargetPort::Number(number)) => Ok(*number),
        (Targets::Ip, _, TargetPort::Name(name)) => {
            Err(format!("has the target port {}, a name that each pod gives a number of its own", shown(name)))
        }
    }
}

fn who(targets: Targets) -> &'static str {
    match targets {
        Targets::Instance { .. } => "are nodes",
        Targets::Ip => "are pods; write the number",
    }
}

fn port(input: &Input<'_>, reader: &mut Reader<'_>) -> Option<Port> {
    let text = reader.text(Key::HealthPort)?;
    if text == "traffic-port" {
        return Some(Port::Traffic);
    }
    if let Some(number) = ports::number(text) {
        return Some(Port::Number(number));
    }
    let Some(port) = ports::named(input.service, text).first().copied() else {
        let why =
            format!("{} is neither 1 to 65535, nor traffic-port, nor the name of a port of this Service", shown(text));
        reader.refuse(Key::HealthPort, why);
        return None;
    };
    Some(Port::Of(port.clone()))
}

fn checked(key: Key, check: impl Fn(&str) -> Result<(), String>, reader: &mut Reader<'_>) -> Option<String> {
    let text = reader.text(key).filter(|text| !text.is_empty())?;
    match check(text) {
        Ok(()) => Some(text.to_owned()),
        Err(why) => {
            reader.refuse(key, format!("{} {why}", shown(text)));
            None
        }
    }
}

fn path(text: &str) -> Result<(), String> {
    if !text.starts_with('/') {
        Err("does not begin with a slash".to_owned())
    } else if text.len() > 1024 {
        Err("is longer than 1024 characters".to_owned())
    } else if !text.chars().all(|c| c.is_ascii_graphic()) {
        Err("holds a character that no path can hold".to_owned())
    } else {
        Ok(())
    }
}

/// `200`, `200,301`, `200-299,302`: each from 200 to 599
/// (<https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_Matcher.html>).
fn codes(text: &str) -> Result<(), String> {
    let code = |text: &str| text.parse::<u16>().ok().filter(|code| (200..=599).contains(code) && text.len() == 3);
    let fits = |item: &str| match item.split_once('-') {
        Some((from, to)) => code(from).zip(code(to)).is_some_and(|(from, to)| from <= to),
        None => code(item).is_some(),
    };
    if text.split(',').all(fits) {
        Ok(())
    } else {
        Err("is no list of codes or ranges from 200 to 599, such as 200,300-399".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_paths_are_as_aws_takes_them() {
        for good in ["200", "200,204", "200-399", "200-299,302,500-599"] {
            assert_eq!(codes(good), Ok(()), "{good}");
        }
        for bad in ["", "199", "600", "200-", "399-200", "200,,201", "200 - 299", "2xx", "+200", "0200"] {
            assert!(codes(bad).is_err(), "{bad:?}");
        }
        let long = format!("/{}", "x".repeat(1023));
        for good in ["/", "/a?b=c#d", &long] {
            assert_eq!(path(good), Ok(()), "{good}");
        }
        let longer = format!("{long}x");
        for bad in ["a", "/a b", "/ä", &longer] {
            assert!(path(bad).is_err(), "{bad:?}");
        }
    }
}
