//! Health checks of groups: ranges, combinations, defaults.

use crate::query::Query;
use crate::refusal::Refusal;
use crate::rules::{invalid, number};

/// The settings of a group's health check, complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HealthCheck {
    pub(crate) protocol: CheckProtocol,
    pub(crate) port: String,
    pub(crate) path: Option<String>,
    pub(crate) interval: u32,
    pub(crate) timeout: u32,
    pub(crate) healthy: u32,
    pub(crate) unhealthy: u32,
    pub(crate) matcher: Option<String>,
}

impl HealthCheck {
    /// Every setting by the name that it has in a request: for an emulator whose defaults are others.
    pub(crate) fn spelled_out(&self) -> Vec<(&'static str, String)> {
        let fixed = [
            ("HealthCheckProtocol", self.protocol.name().to_owned()),
            ("HealthCheckPort", self.port.clone()),
            ("HealthCheckIntervalSeconds", self.interval.to_string()),
            ("HealthCheckTimeoutSeconds", self.timeout.to_string()),
            ("HealthyThresholdCount", self.healthy.to_string()),
            ("UnhealthyThresholdCount", self.unhealthy.to_string()),
        ];
        let path = self.path.clone().map(|path| ("HealthCheckPath", path));
        let matcher = self.matcher.clone().map(|codes| ("Matcher.HttpCode", codes));
        fixed.into_iter().chain(path).chain(matcher).collect()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CheckProtocol {
    Tcp,
    Http,
    Https,
}

impl CheckProtocol {
    pub(crate) fn name(self) -> &'static str {
        match self {
            CheckProtocol::Tcp => "TCP",
            CheckProtocol::Http => "HTTP",
            CheckProtocol::Https => "HTTPS",
        }
    }
}

/// Reads the health check of a request over what the group has now, or over AWS's defaults for a new one.
///
/// API reference, CreateTargetGroup: interval 5 to 300 s (30), timeout 2 to 120 s (10, for HTTP 6), thresholds 2 to 10 (5 and 2), protocols
/// TCP, HTTP, HTTPS (TCP), port `traffic-port` or a number, path of at most 1024 characters (/), matcher 200 to 599; cannot be disabled for
/// instance and ip targets. NLB guide, "Health checks", `Matcher`: the default is 200-399. A timeout longer than the interval is refused.
pub(crate) fn read(query: &Query, now: Option<&HealthCheck>) -> Result<HealthCheck, Refusal> {
    if query.get("HealthCheckEnabled").is_some_and(|enabled| enabled != "true") {
        return Err(invalid("Health checks cannot be disabled for target groups with this target type"));
    }
    let protocol = match query.get("HealthCheckProtocol") {
        None => now.map_or(CheckProtocol::Tcp, |now| now.protocol),
        Some("TCP") => CheckProtocol::Tcp,
        Some("HTTP") => CheckProtocol::Http,
        Some("HTTPS") => CheckProtocol::Https,
        Some(other) => {
            return Err(Refusal::validation(format!("Health check protocol '{other}' must be TCP, HTTP or HTTPS")));
        }
    };
    let ranged = |name, range, default| query.get(name).map_or(Ok(default), |text| number(name, text, range));
    let default_timeout = if protocol == CheckProtocol::Http { 6 } else { 10 };
    let is_http = protocol != CheckProtocol::Tcp;
    let kept = |value: Option<&Option<String>>, default: &str| {
        is_http.then(|| value.cloned().flatten().unwrap_or_else(|| default.to_owned()))
    };
    let check = HealthCheck {
        protocol,
        port: match query.get("HealthCheckPort") {
            None => now.map_or("traffic-port", |now| &now.port).to_owned(),
            Some("traffic-port") => "traffic-port".to_owned(),
            Some(port) => number("HealthCheckPort", port, 1..=65535)?.to_string(),
        },
        path: query.get("HealthCheckPath").map(str::to_owned).or_else(|| kept(now.map(|now| &now.path), "/")),
        interval: ranged("HealthCheckIntervalSeconds", 5..=300, now.map_or(30, |now| now.interval))?,
        timeout: ranged("HealthCheckTimeoutSeconds", 2..=120, now.map_or(default_timeout, |now| now.timeout))?,
        healthy: ranged("HealthyThresholdCount", 2..=10, now.map_or(5, |now| now.healthy))?,
        unhealthy: ranged("UnhealthyThresholdCount", 2..=10, now.map_or(2, |now| now.unhealthy))?,
        matcher: query
            .get("Matcher.HttpCode")
            .map(str::to_owned)
            .or_else(|| kept(now.map(|now| &now.matcher), "200-399")),
    };
    if check.timeout > check.interval {
        let message = format!(
            "Health check timeout '{}' must be smaller than or equal to the interval '{}'",
            check.timeout, check.interval
        );
        return Err(Refusal::validation(message));
    }
    if !is_http && (check.path.is_some() || check.matcher.is_some()) {
        return Err(invalid("Health check path and matcher are only for HTTP and HTTPS health checks"));
    }
    if check.path.as_ref().is_some_and(|path| !path.starts_with('/') || path.len() > 1024) {
        return Err(Refusal::validation("Health check path must begin with '/' and have at most 1024 characters"));
    }
    if let Some(codes) = &check.matcher {
        matcher(codes)?;
    }
    Ok(check)
}

/// Single codes, lists and ranges of them: `200`, `200,202`, `200-399`.
fn matcher(codes: &str) -> Result<(), Refusal> {
    for part in codes.split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (from, to) = (number("Matcher.HttpCode", from, 200..=599)?, number("Matcher.HttpCode", to, 200..=599)?);
        if from > to {
            return Err(Refusal::validation(format!("Matcher.HttpCode '{part}' runs backwards")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create(pairs: &[(&str, &str)]) -> Result<HealthCheck, String> {
        read(&Query::of(pairs.iter().copied()), None).map_err(|refusal| refusal.code)
    }

    #[test]
    fn the_defaults_are_aws_s() {
        let check = create(&[]).unwrap();
        assert_eq!(
            (check.protocol, check.interval, check.timeout, check.healthy, check.unhealthy),
            (CheckProtocol::Tcp, 30, 10, 5, 2)
        );
        assert_eq!((check.port.as_str(), check.path, check.matcher), ("traffic-port", None, None));
        let check = create(&[("HealthCheckProtocol", "HTTP")]).unwrap();
        assert_eq!((check.timeout, check.path.as_deref(), check.matcher.as_deref()), (6, Some("/"), Some("200-399")));
        assert_eq!(create(&[("HealthCheckProtocol", "HTTPS")]).unwrap().timeout, 10);
    }

    #[test]
    fn every_number_has_its_range() {
        for (name, least, most) in [
            ("HealthCheckIntervalSeconds", 10, 300), // not below the default timeout
            ("HealthCheckTimeoutSeconds", 2, 30),    // not above the default interval
            ("HealthyThresholdCount", 2, 10),
            ("UnhealthyThresholdCount", 2, 10),
            ("HealthCheckPort", 1, 65535),
        ] {
            let set = |number: i64| create(&[(name, &number.to_string())]);
            assert!(set(least).is_ok() && set(most).is_ok(), "{name}");
            assert_eq!(
                (set(least - 1), set(most + 1)),
                (Err("ValidationError".to_owned()), Err("ValidationError".to_owned())),
                "{name}"
            );
        }
        let five = create(&[("HealthCheckIntervalSeconds", "5"), ("HealthCheckTimeoutSeconds", "5")]);
        assert_eq!(five.unwrap().interval, 5);
        assert!(create(&[("HealthCheckIntervalSeconds", "4"), ("HealthCheckTimeoutSeconds", "2")]).is_err());
    }

    #[test]
    fn path_and_matcher_belong_to_http() {
        assert_eq!(create(&[("HealthCheckPath", "/x")]), Err("InvalidConfigurationRequest".to_owned()));
        let http = |name, value| create(&[("HealthCheckProtocol", "HTTP"), (name, value)]);
        for good in ["200", "200,202", "200-599", "200-299,404"] {
            assert!(http("Matcher.HttpCode", good).is_ok(), "{good}");
        }
        for bad in ["199", "600", "300-200", "", "2xx"] {
            assert!(http("Matcher.HttpCode", bad).is_err(), "{bad}");
        }
        assert!(http("HealthCheckPath", "x").is_err());
    }

    #[test]
    fn a_change_keeps_what_it_does_not_name_and_checks_the_whole() {
        let now =
            create(&[("HealthCheckProtocol", "HTTP"), ("HealthCheckPath", "/up"), ("HealthCheckTimeoutSeconds", "20")])
                .unwrap();
        let change = |name, value| read(&Query::of([(name, value)]), Some(&now));
        assert_eq!(change("HealthyThresholdCount", "3").unwrap().path.as_deref(), Some("/up"));
        assert!(change("HealthCheckIntervalSeconds", "15").is_err(), "the timeout of 20 s is longer");
        assert_eq!(change("HealthCheckProtocol", "TCP").unwrap().path, None);
    }

    #[test]
    fn health_checks_cannot_be_disabled_nor_speak_udp() {
        assert!(create(&[("HealthCheckEnabled", "false")]).is_err());
        assert!(create(&[("HealthCheckProtocol", "UDP")]).is_err());
    }
}
