//! The attributes of a Network Load Balancer, its target groups and its listeners, from AWS's own reference:
//! <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_LoadBalancerAttribute.html>,
//! <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetGroupAttribute.html>,
//! <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_ListenerAttribute.html>.

use crate::attributes::Attribute;
use crate::attributes::AwsDefault::{self, *};
use crate::attributes::Values::{self, *};

const fn attribute(key: &'static str, values: Values, default: AwsDefault, does: &'static str) -> Attribute {
    Attribute { key, values, default, does }
}

/// Logs of connections.
pub const ACCESS_LOGS: &str = "access_logs.s3.enabled";
/// Where they go.
pub const ACCESS_LOGS_BUCKET: &str = "access_logs.s3.bucket";
/// Where in there.
pub const ACCESS_LOGS_PREFIX: &str = "access_logs.s3.prefix";
/// Whether a node of the balancer sends to targets in other zones.
pub const CROSS_ZONE: &str = "load_balancing.cross_zone.enabled";
/// Whether it cannot be deleted.
pub const DELETION_PROTECTION: &str = "deletion_protection.enabled";
/// Whether targets see the clients' addresses.
pub const PRESERVE_CLIENT_IP: &str = "preserve_client_ip.enabled";
/// PROXY protocol v2.
pub const PROXY_PROTOCOL: &str = "proxy_protocol_v2.enabled";
/// Stickiness.
pub const STICKINESS: &str = "stickiness.enabled";
/// Whether connections to unhealthy targets end.
pub const UNHEALTHY_TERMINATION: &str = "target_health_state.unhealthy.connection_termination.enabled";
/// How long an unhealthy target drains.
pub const UNHEALTHY_DRAINING: &str = "target_health_state.unhealthy.draining_interval_seconds";
/// When an idle connection ends.
pub const TCP_IDLE_TIMEOUT: &str = "tcp.idle_timeout.seconds";

/// Targets that a target group can have (<https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-limits.html>).
const MOST_TARGETS: u32 = 1000;

/// Of the balancer.
pub const LOAD_BALANCER: &[Attribute] = &[
    attribute(ACCESS_LOGS_BUCKET, Text, Stays(""), "The bucket for access logs; needed where they are on."),
    attribute(ACCESS_LOGS, Bool, Always("false"), "Access logs, of TLS listeners only."),
    attribute(ACCESS_LOGS_PREFIX, Text, Always(""), "The path in that bucket."),
    attribute(
        DELETION_PROTECTION,
        Bool,
        Always("false"),
        "Nobody can delete the balancer; who deletes the Service waits.",
    ),
    attribute(
        "dns_record.client_routing_policy",
        Word(&["any_availability_zone", "availability_zone_affinity", "partial_availability_zone_affinity"]),
        Always("any_availability_zone"),
        "Whether clients inside the VPC are sent to their own zone.",
    ),
    attribute(
        "ipv6.deny_all_igw_traffic",
        Bool,
        ByScheme { internal: "true", internet_facing: "false" },
        "Nothing arrives through an internet gateway.",
    ),
    attribute(CROSS_ZONE, Bool, Always("false"), "Every node of the balancer sends to the targets of all zones."),
    attribute(
        "secondary_ips.auto_assigned.per_subnet",
        Int { min: 0, max: 7, unit: "addresses" },
        Stays("0"),
        "More addresses, against a lack of ports towards the targets. AWS takes no smaller number later.",
    ),
    attribute("zonal_shift.config.enabled", Bool, Always("false"), "Zonal shift may take a zone out."),
];

/// Of a target group.
pub const TARGET_GROUP: &[Attribute] = &[
    attribute(
        "deregistration_delay.connection_termination.enabled",
        Bool,
        ForUdp,
        "Connections end when the deregistration delay is over.",
    ),
    attribute(
        "deregistration_delay.timeout_seconds",
        Int { min: 0, max: 3600, unit: "seconds" },
        Always("300"),
        "How long a target that goes keeps its connections.",
    ),
    attribute(
        CROSS_ZONE,
        Word(&["true", "false", "use_load_balancer_configuration"]),
        Always("use_load_balancer_configuration"),
        "The same as the balancer's, for this group.",
    ),
    attribute(
        PRESERVE_CLIENT_IP,
        Bool,
        ButForPods,
        "Targets see the client's address. Cannot be off for UDP and TCP_UDP.",
    ),
    attribute(PROXY_PROTOCOL, Bool, Always("false"), "Connections begin with a PROXY protocol v2 header."),
    attribute(STICKINESS, Bool, Always("false"), "A client stays at one target. Not for TLS."),
    attribute("stickiness.type", Word(&["source_ip"]), Always("source_ip"), "By what a client is known."),
    attribute(
        "target_group_health.dns_failover.minimum_healthy_targets.count",
        OffOr { max: MOST_TARGETS, unit: "targets" },
        Always("1"),
        "With fewer healthy targets a zone leaves the DNS.",
    ),
    attribute(
        "target_group_health.dns_failover.minimum_healthy_targets.percentage",
        OffOr { max: 100, unit: "percent" },
        Always("off"),
        "The same as a share.",
    ),
    attribute(
        "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count",
        Int { min: 1, max: MOST_TARGETS, unit: "targets" },
        Always("1"),
        "With fewer healthy targets traffic goes to all of them.",
    ),
    attribute(
        "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage",
        OffOr { max: 100, unit: "percent" },
        Always("off"),
        "The same as a share.",
    ),
    attribute(
        UNHEALTHY_TERMINATION,
        Bool,
        ButForUdp,
        "Connections to a target that becomes unhealthy end. Cannot be on for UDP and TCP_UDP.",
    ),
    attribute(
        UNHEALTHY_DRAINING,
        Int { min: 0, max: 360_000, unit: "seconds" },
        Always("0"),
        "How long it drains instead; only where the one above is off.",
    ),
];

/// Of a listener.
pub const LISTENER: &[Attribute] = &[attribute(
    TCP_IDLE_TIMEOUT,
    Int { min: 60, max: 6000, unit: "seconds" },
    Always("350"),
    "When an idle connection of a TCP listener ends; of others it cannot be set.",
)];

/// Keys that AWS has for Application and Gateway Load Balancers only.
pub const OF_OTHERS: &[&str] = &[
    "client_keep_alive.seconds",
    "connection_logs.s3.bucket",
    "connection_logs.s3.enabled",
    "connection_logs.s3.prefix",
    "health_check_logs.s3.bucket",
    "health_check_logs.s3.enabled",
    "health_check_logs.s3.prefix",
    "idle_timeout.timeout_seconds",
    "lambda.multi_value_headers.enabled",
    "load_balancing.algorithm.anomaly_mitigation",
    "load_balancing.algorithm.type",
    "routing.http.desync_mitigation_mode",
    "routing.http.drop_invalid_header_fields.enabled",
    "routing.http.preserve_host_header.enabled",
    "routing.http.response.server.enabled",
    "routing.http.x_amzn_tls_version_and_cipher_suite.enabled",
    "routing.http.xff_client_port.enabled",
    "routing.http.xff_header_processing.mode",
    "routing.http2.enabled",
    "send_tcp_reset.on_idle_timeout.enabled",
    "slow_start.duration_seconds",
    "stickiness.app_cookie.cookie_name",
    "stickiness.app_cookie.duration_seconds",
    "stickiness.lb_cookie.duration_seconds",
    "target_failover.on_deregistration",
    "target_failover.on_unhealthy",
    "waf.fail_open.enabled",
];
