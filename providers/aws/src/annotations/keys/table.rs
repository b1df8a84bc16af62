//! The keys. What each does is the AWS Load Balancer Controller's rule; what its value may be is AWS's.

use crate::annotations::keys::{
    Entry,
    Form::{self, *},
    Of::{self, *},
    Standing::{self, *},
    Syntax::{self, *},
};
use crate::words::{AlpnPolicy, IpAddressType, Switch, TargetType};

macro_rules! keys {
    ($($key:ident = $name:literal, $form:expr, $of:expr, $syntax:expr, $standing:expr, $default:literal, $source:expr, $sets:literal;)+) => {
        /// A key.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Key {
            $(#[doc = $sets] $key,)+
        }

        impl Key {
            /// All of them, in the order of the reference.
            pub const ALL: &'static [Self] = &[$(Self::$key,)+];

            /// What is to know about it.
            pub fn entry(self) -> &'static Entry {
                const fn entry(
                    (name, form, of): (&'static str, Form, Of),
                    (syntax, standing): (Syntax, Standing),
                    (default, source, sets): (&'static str, &'static str, &'static str),
                ) -> Entry {
                    Entry { name, form, of, syntax, sets, default, source, standing }
                }
                match self {
                    $(Self::$key => const { &entry(($name, $form, $of), ($syntax, $standing), ($default, $source, $sets)) },)+
                }
            }
        }
    };
}

const CREATE_BALANCER: &str =
    "https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateLoadBalancer.html";
const SUBNET_MAPPING: &str =
    "https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_SubnetMapping.html";
const BALANCER_ATTRIBUTE: &str =
    "https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_LoadBalancerAttribute.html";
const CREATE_LISTENER: &str =
    "https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateListener.html";
const LISTENERS: &str = "https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-listeners.html";
const CERTIFICATES: &str =
    "https://docs.aws.amazon.com/elasticloadbalancing/latest/network/tls-listener-certificates.html";
const GROUP_ATTRIBUTE: &str =
    "https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetGroupAttribute.html";
const CREATE_GROUP: &str =
    "https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateTargetGroup.html";
const PROXY: &str =
    "https://docs.aws.amazon.com/elasticloadbalancing/latest/network/edit-target-group-attributes.html#proxy-protocol";
const SECURITY_GROUPS: &str =
    "https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-security-groups.html";
const SET_SECURITY_GROUPS: &str =
    "https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_SetSecurityGroups.html";
const TAGS: &str = "https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_Tag.html";
const CLASSIC: &str = "https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/introduction.html";
const KUBERNETES: &str = "https://kubernetes.io/docs/reference/labels-annotations-taints/";

keys! {
    // Claim, identity, scheme, addresses.
    Type = "aws-load-balancer-type", Whole, Groups,
        Text("`external`, `nlb-ip`"), Read,
        "", KUBERNETES,
        "Which controller serves a Service without a class (`claimByTypeAnnotation`). `nlb-ip` also makes pods the targets.";
    TargetTypeKey = "aws-load-balancer-nlb-target-type", Whole, Groups,
        Word(TargetType::WORDS), Read,
        "the class's, else `instance`", CREATE_GROUP,
        "What traffic is sent to: nodes by node port, or pods by address. A port without a node port is sent to pods in any case. Any other text is read as `instance`, with a Warning; beside `aws-load-balancer-type` it is refused.";
    Name = "aws-load-balancer-name", Whole, Balancer,
        Text("1 to 32 letters, digits, hyphens; no hyphen at either end, not `internal-...`"), Read,
        "made from the Service's UID", CREATE_BALANCER,
        "The name of a balancer that is yet to be made. A balancer with a fixed name cannot be replaced without a gap.";
    SchemeKey = "aws-load-balancer-scheme", Whole, Balancer,
        Word(&["internal", "internet-facing"]), Read,
        "what exists keeps its own, else the class's, else `internal`", CREATE_BALANCER,
        "Who can reach the balancer. Read together with `portolan.dev/scheme` and other clouds' keys (see internal-annotations.md): a text that is neither word is read as internal, with a Warning.";
    Internal = "aws-load-balancer-internal", Whole, Balancer,
        Bool, Deprecated("aws-load-balancer-scheme"),
        "", CREATE_BALANCER,
        "The same as a boolean, in a key that loses to `aws-load-balancer-scheme`.";
    IpAddressTypeKey = "aws-load-balancer-ip-address-type", Whole, Balancer,
        Word(IpAddressType::WORDS), Read,
        "the class's, else `ipv4`, for a Service with IPv6 `dualstack`", CREATE_BALANCER,
        "The families of the balancer's addresses.";
    Subnets = "aws-load-balancer-subnets", Whole, Balancer,
        List("identifiers or `Name` tags of subnets, one a zone"), Read,
        "the class's, else discovered", SUBNET_MAPPING,
        "The subnets of the balancer.";
    EipAllocations = "aws-load-balancer-eip-allocations", Whole, Balancer,
        List("identifiers of elastic addresses, as many as subnets and in their order"), Read,
        "addresses of AWS's", SUBNET_MAPPING,
        "Fixed public IPv4 addresses. Internet-facing balancers only.";
    PrivateIpv4Addresses = "aws-load-balancer-private-ipv4-addresses", Whole, Balancer,
        List("IPv4 addresses, as many as subnets, one inside each"), Read,
        "addresses of AWS's", SUBNET_MAPPING,
        "Fixed private IPv4 addresses. Internal balancers only.";
    Ipv6Addresses = "aws-load-balancer-ipv6-addresses", Whole, Balancer,
        List("IPv6 addresses, as many as subnets, one inside each"), Read,
        "addresses of AWS's", SUBNET_MAPPING,
        "Fixed IPv6 addresses. `dualstack` only.";
    SourceNat = "aws-load-balancer-enable-prefix-for-ipv6-source-nat", Whole, Balancer,
        Word(Switch::WORDS), Read,
        "`off`", CREATE_BALANCER,
        "Translates the source of IPv6 traffic to an address of a prefix of the subnet: what UDP listeners of a `dualstack` balancer need.";
    SourceNatPrefixes = "aws-load-balancer-source-nat-ipv6-prefixes", Whole, Balancer,
        List("`auto_assigned` or IPv6 prefixes of length 80, as many as subnets and in their order"), Read,
        "`auto_assigned`", SUBNET_MAPPING,
        "Those prefixes.";
    // Attributes of the balancer.
    BalancerAttributes = "aws-load-balancer-attributes", Whole, Balancer,
        Map("attributes, see below"), Read,
        "AWS's defaults, restored when a key goes", BALANCER_ATTRIBUTE,
        "Attributes of the balancer. More specific keys override it.";
    AccessLogEnabled = "aws-load-balancer-access-log-enabled", Whole, Balancer,
        Bool, Deprecated("aws-load-balancer-attributes"),
        "", BALANCER_ATTRIBUTE,
        "`true` sets `access_logs.s3.enabled`, `.bucket` and `.prefix`; `false` sets nothing.";
    AccessLogBucket = "aws-load-balancer-access-log-s3-bucket-name", Whole, Balancer,
        Text("the name of a bucket"), Deprecated("aws-load-balancer-attributes"),
        "", BALANCER_ATTRIBUTE,
        "Counts only while `aws-load-balancer-access-log-enabled` is true.";
    AccessLogPrefix = "aws-load-balancer-access-log-s3-bucket-prefix", Whole, Balancer,
        Text("a path in the bucket"), Deprecated("aws-load-balancer-attributes"),
        "", BALANCER_ATTRIBUTE,
        "Counts only while `aws-load-balancer-access-log-enabled` is true.";
    CrossZone = "aws-load-balancer-cross-zone-load-balancing-enabled", Whole, Balancer,
        Bool, Deprecated("aws-load-balancer-attributes"),
        "", BALANCER_ATTRIBUTE,
        "Sets `load_balancing.cross_zone.enabled`.";
    Capacity = "aws-load-balancer-minimum-load-balancer-capacity", Whole, Balancer,
        Map("`CapacityUnits=N`"), Refused("Portolan reserves no capacity: it costs money by the hour, whoever forgets it"),
        "", "https://docs.aws.amazon.com/elasticloadbalancing/latest/network/capacity-unit-reservation.html",
        "Reserves capacity.";
    PrivateLinkRules = "aws-load-balancer-inbound-sg-rules-on-private-link-traffic", Whole, Balancer,
        Word(Switch::WORDS), Read,
        "`on`", SET_SECURITY_GROUPS,
        "Whether the rules of the security groups count for traffic through PrivateLink.";
    // Listeners.
    Certificates = "aws-load-balancer-ssl-cert", Whole, Listeners,
        List("ARNs of certificates in ACM or IAM; the first is the default one"), Read,
        "no TLS", CERTIFICATES,
        "Makes TLS listeners of TCP ports.";
    SslPorts = "aws-load-balancer-ssl-ports", Whole, Listeners,
        List("numbers or names of ports"), Read,
        "every TCP port", LISTENERS,
        "Which ports are TLS listeners. What matches no port is refused, `*` too.";
    SslPolicyKey = "aws-load-balancer-ssl-negotiation-policy", Whole, Listeners,
        Text("`ELBSecurityPolicy-...`"), Read,
        "the class's, else `ELBSecurityPolicy-2016-08`", "https://docs.aws.amazon.com/elasticloadbalancing/latest/network/describe-ssl-policies.html",
        "The security policy of TLS listeners.";
    BackendProtocol = "aws-load-balancer-backend-protocol", Whole, Listeners,
        Word(&["ssl", "tcp", "http", "https"]), Read,
        "`tcp`", CREATE_GROUP,
        "`ssl`: what a TLS listener has decrypted is encrypted again on the way to the targets. The others, and with a Warning any other text: it is not.";
    Alpn = "aws-load-balancer-alpn-policy", Whole, Listeners,
        Word(AlpnPolicy::WORDS), Read,
        "`None`", LISTENERS,
        "What TLS listeners negotiate by ALPN.";
    ListenerAttributes = "aws-load-balancer-listener-attributes", OfListener, Listeners,
        Map("attributes, see below; the protocol is the listener's: `TCP`, `UDP`, `TCP_UDP`, `TLS`"), Read,
        "AWS's defaults, restored when a key goes", "https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_ListenerAttribute.html",
        "Attributes of one listener.";
    TcpUdp = "aws-load-balancer-enable-tcp-udp-listener", Whole, Listeners,
        Bool, Read,
        "where both stand on one number and TLS is not asked for, `true`", LISTENERS,
        "TCP and UDP on one port number become one TCP_UDP listener, if both are reached by the same node port, or pods by the same target port. `false`: the second is refused.";
    Quic = "aws-load-balancer-quic-enabled-ports", Whole, Listeners,
        List("numbers or names of ports"), Refused("Portolan has no QUIC listeners: they need a server ID in every pod"),
        "", LISTENERS,
        "Makes QUIC listeners of UDP ports.";
    Actions = "actions", OfListener, Listeners,
        Json, Refused("Portolan sends a listener to one target group and does not weigh several"),
        "", CREATE_LISTENER,
        "Weighs several target groups behind one listener.";
    // Target groups.
    GroupAttributes = "aws-load-balancer-target-group-attributes", Whole, Groups,
        Map("attributes, see below"), Read,
        "AWS's defaults, restored when a key goes", GROUP_ATTRIBUTE,
        "Attributes of all target groups.";
    GroupAttributesOfPort = "aws-load-balancer-target-group-attributes", OfPort, Groups,
        Map("attributes, see below; an empty value leaves what holds for all"), Read,
        "", GROUP_ATTRIBUTE,
        "Attributes of the target group of one port, over those of all.";
    ProxyProtocol = "aws-load-balancer-proxy-protocol", Whole, Groups,
        Word(&["*"]), Read,
        "off", PROXY,
        "PROXY protocol v2 to all targets. Wins over every other key.";
    ProxyProtocolPorts = "aws-load-balancer-proxy-protocol-per-target-group", Whole, Groups,
        List("numbers of ports"), Read,
        "off", PROXY,
        "PROXY protocol v2 for these ports and no other. Wins over attributes.";
    HealthProtocol = "aws-load-balancer-healthcheck-protocol", Whole, Groups,
        AnyCase(&["TCP", "HTTP", "HTTPS"]), Read,
        "`TCP`; Local: `HTTP`", CREATE_GROUP,
        "How targets are probed.";
    HealthPort = "aws-load-balancer-healthcheck-port", Whole, Groups,
        Text("1 to 65535, `traffic-port`, or the name of a port"), Read,
        "`traffic-port`; Local: `spec.healthCheckNodePort`", CREATE_GROUP,
        "Where they are probed. A name means that port's node port; where pods are the targets, its target port, which must be a number.";
    HealthPath = "aws-load-balancer-healthcheck-path", Whole, Groups,
        Text("a path of at most 1024 characters"), Read,
        "`/`; Local: `/healthz`", CREATE_GROUP,
        "What HTTP and HTTPS probes ask for.";
    HealthInterval = "aws-load-balancer-healthcheck-interval", Whole, Groups,
        Int { min: 5, max: 300, unit: "seconds" }, Read,
        "10", CREATE_GROUP,
        "Time between two probes.";
    HealthTimeout = "aws-load-balancer-healthcheck-timeout", Whole, Groups,
        Int { min: 2, max: 120, unit: "seconds" }, Read,
        "10; Local: 6", CREATE_GROUP,
        "When a probe has failed.";
    HealthyThreshold = "aws-load-balancer-healthcheck-healthy-threshold", Whole, Groups,
        Int { min: 2, max: 10, unit: "probes" }, Read,
        "3; Local: 2", CREATE_GROUP,
        "After how many good ones a target is healthy.";
    UnhealthyThreshold = "aws-load-balancer-healthcheck-unhealthy-threshold", Whole, Groups,
        Int { min: 2, max: 10, unit: "probes" }, Read,
        "3; Local: 2", CREATE_GROUP,
        "After how many bad ones it is not.";
    HealthCodes = "aws-load-balancer-healthcheck-success-codes", Whole, Groups,
        Text("codes and ranges from 200 to 599, such as `200,300-399`"), Read,
        "`200-399`", "https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_Matcher.html",
        "Which answers to HTTP and HTTPS probes are good.";
    NodeLabels = "aws-load-balancer-target-node-labels", Whole, Groups,
        Map("labels, all of which a node must have"), Read,
        "every node that may take traffic", CREATE_GROUP,
        "Which nodes are targets, where nodes are.";
    MultiCluster = "aws-load-balancer-multi-cluster-target-group", Whole, Groups,
        Bool, Refused("Portolan's target groups belong to one cluster"),
        "", CREATE_GROUP,
        "Shares target groups between clusters.";
    // Security groups, sources, tags.
    SecurityGroups = "aws-load-balancer-security-groups", Whole, Balancer,
        List("identifiers or `Name` tags of security groups"), Read,
        "the class's, else one that Portolan keeps", SECURITY_GROUPS,
        "Security groups instead of the one that Portolan keeps. Their rules are yours: source ranges and prefix lists have no effect.";
    BackendRules = "aws-load-balancer-manage-backend-security-group-rules", Whole, Balancer,
        Bool, Read,
        "`true`; beside `aws-load-balancer-security-groups` `false`", SECURITY_GROUPS,
        "Whether Portolan opens the targets' security groups to the balancer, where it does not keep the balancer's own.";
    NoSecurityGroup = "aws-load-balancer-disable-nlb-sg", Whole, Balancer,
        Bool, Read,
        "the class's, else `false`", SECURITY_GROUPS,
        "A balancer without security groups. What is born without stays without.";
    SourceRanges = "load-balancer-source-ranges", Whole, Balancer,
        List("networks in CIDR notation"), Read,
        "everybody, unless prefix lists are given", KUBERNETES,
        "Who may connect. Counts only while `spec.loadBalancerSourceRanges` is empty.";
    PrefixLists = "aws-load-balancer-security-group-prefix-lists", Whole, Balancer,
        List("identifiers of prefix lists"), Read,
        "", "https://docs.aws.amazon.com/vpc/latest/userguide/managed-prefix-lists.html",
        "Who may connect, beside the source ranges. A list counts at each port for as many rules as it may have entries.";
    Icmp = "aws-load-balancer-enable-icmp-for-path-mtu-discovery", Whole, Balancer,
        Word(Switch::WORDS), Read,
        "`off`", SECURITY_GROUPS,
        "Lets in the ICMP messages by which a path's MTU is found.";
    Tags = "aws-load-balancer-additional-resource-tags", Whole, Balancer,
        Map("tags: keys of 1 to 128, values of up to 256 characters"), Read,
        "the class's", TAGS,
        "Tags on everything that is made.";
    // Of the Classic balancer.
    LogInterval = "aws-load-balancer-access-log-emit-interval", Whole, Balancer,
        Int { min: 5, max: 60, unit: "minutes" }, Classic("an NLB has no such interval"),
        "", CLASSIC,
        "Of the Classic balancer.";
    DrainingEnabled = "aws-load-balancer-connection-draining-enabled", Whole, Balancer,
        Bool,
        Classic("here it is deregistration_delay.timeout_seconds in aws-load-balancer-target-group-attributes"),
        "", CLASSIC,
        "Of the Classic balancer.";
    DrainingTimeout = "aws-load-balancer-connection-draining-timeout", Whole, Balancer,
        Int { min: 1, max: 3600, unit: "seconds" },
        Classic("here it is deregistration_delay.timeout_seconds in aws-load-balancer-target-group-attributes"),
        "", CLASSIC,
        "Of the Classic balancer.";
    IdleTimeout = "aws-load-balancer-connection-idle-timeout", Whole, Balancer,
        Int { min: 1, max: 4000, unit: "seconds" },
        Classic("here it is tcp.idle_timeout.seconds in aws-load-balancer-listener-attributes.TCP-PORT"),
        "", CLASSIC,
        "Of the Classic balancer.";
    ExtraSecurityGroups = "aws-load-balancer-extra-security-groups", Whole, Balancer,
        List("identifiers of security groups"),
        Classic("here aws-load-balancer-security-groups names them all"),
        "", CLASSIC,
        "Of the Classic balancer.";
}
