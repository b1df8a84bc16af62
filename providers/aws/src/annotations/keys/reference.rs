//! `docs/reference/aws-annotations.md`, printed from the tables. `UPDATE_GOLDEN=1` writes what would be right now.

use std::fmt::Write;
use std::path::Path;

use super::*;
use crate::attributes::{self, Attribute, AwsDefault, Values};

const HEAD: &str = r#"<!-- Printed from providers/aws/src/annotations/keys/table.rs and providers/aws/src/attributes/table.rs. Change it there, then: UPDATE_GOLDEN=1 cargo test -p portolan-aws reference -->
# AWS: the annotations of a Service

The keys are those that the AWS Load Balancer Controller made known, with its syntax, defaults and precedence, so that a manifest needs no
edit when it moves. All begin with `service.beta.kubernetes.io/`.

- **Everything is checked before the first call to AWS**, and everything that is wrong is said at once (`Accepted=False`). What that controller
  leaves to AWS, or drops in silence, is refused or told as a Warning here.
- **The class comes first.** Its `defaults` hold where a Service says nothing; its `limits` are what no Service can have, whatever it says.
- **A key that goes takes its effect along.** An attribute that a Service sets no more goes back to AWS's default, below; one that nobody has set is
  never touched.
- Of several keys for one thing the more specific wins: class, then attributes, then attributes of the port, then a key of its own
  (`...-proxy-protocol-per-target-group`, then `...-proxy-protocol`).
- Services that share a balancer must agree on what is *the balancer's*, or say nothing there.
- **A replace leaves no gap**: the successor is there before the old one goes. Where both cannot be at once (a fixed name, elastic or private
  addresses) the change is refused with `ReplaceNeedsDowntime`, unless the Service, and every other one that shares the balancer, says
  `portolan.dev/allow-downtime: "true"`. Any boolean counts, as below; another text allows nothing, with a Warning.
- A key of this kind that is not below sets nothing, with a Warning.

How values are written:

| Kind | Means |
|---|---|
| boolean | `1`, `t`, `T`, `true`, `True`, `TRUE`, and the same of `false` |
| list | commas between the items; spaces around them and empty items do not count |
| map | `key=value` with commas between; a backslash takes the next character as it is, so that a value may hold a comma |
| word | one of those listed, to the letter |

"Local" is `externalTrafficPolicy: Local` with nodes as targets.
"#;

const MIDDLE: &str = "
## Refused by name

Whatever these ask for is refused, because it would be missed in silence.

| Key | Why |
|---|---|
";

/// What a class can set, all of it; the values here are not the defaults.
const CLASS: &str = r#"
## What the class says

```yaml
classes:
- name: portolan.dev/aws
  provider: aws
  aliases: [service.k8s.aws/nlb]
  parameters:
    clusterName: prod                    # must be there: everything at AWS is marked with it, and subnets are found by it
    region: eu-central-1                 # else the SDK's own chain decides
    vpcId: vpc-0123456789abcdef0         # else that of the nodes
    backendSecurityGroup: managed        # the group by which targets know their balancers: managed (the default), none, or sg-...
    publishWhen: active                  # when a name is published first: active (the default), healthy
    rulesPerSecurityGroup: 60            # the account's quota of inbound rules, 1 to 1000, where it is not 60
    defaults:                            # where a Service says nothing
      scheme: internal                   # internal (the default), internet-facing
      targetType: instance               # instance (the default), ip
      ipAddressType: ipv4                # ipv4, dualstack; else what the Service's families need
      subnets: [subnet-0a, private b]    # identifiers or names; else discovered
      securityGroups: managed            # managed (the default), none, or a list of identifiers or names
      sslPolicy: ELBSecurityPolicy-TLS13-1-2-2021-06
      tags: {team: platform}             # a Service's own tag wins
      loadBalancerAttributes: {load_balancing.cross_zone.enabled: true}
      targetGroupAttributes: {deregistration_delay.timeout_seconds: 30}   # left out where AWS does not take one for a protocol
      listenerAttributes: {tcp.idle_timeout.seconds: 600}
    limits:                              # what no Service can have; without a list all is allowed, with an empty one nothing
      schemes: [internal]
      targetTypes: [instance, ip]
      ipAddressTypes: [ipv4]
      subnets: [subnet-0a, subnet-0b]    # those that a Service may name, in these words, and that discovery may find
      securityGroups: [sg-0a]            # those that a Service may name, in these words
      sslPolicies: [ELBSecurityPolicy-TLS13-1-2-2021-06]
      loadBalancerAttributes: [load_balancing.cross_zone.enabled]         # the keys that a Service may set
      targetGroupAttributes: [deregistration_delay.timeout_seconds]
      listenerAttributes: []
      names: false                       # whether a Service may name its balancer
      staticAddresses: false             # whether a Service may fix addresses
      withoutSecurityGroups: false       # whether a Service may do without security groups
      tags: {cost: "42"}                 # on everything, whatever a Service says
      reservedTags: [owner]              # keys that a Service may not set
```

A mistake in here is reported with its line by `portolan check-config`, all of them at once.
"#;

fn name(key: Key) -> String {
    key.name().trim_start_matches(PREFIX).to_owned()
}

fn values(syntax: Syntax) -> String {
    let coded = |words: &[&str]| words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    match syntax {
        Syntax::Text(what) => what.to_owned(),
        Syntax::Word(words) => format!("word: {}", coded(words)),
        Syntax::AnyCase(words) => format!("word, in any case: {}", coded(words)),
        Syntax::Bool => "boolean".to_owned(),
        Syntax::Int { min, max, unit } => format!("{min} to {max} {unit}"),
        Syntax::List(what) => format!("list: {what}"),
        Syntax::Map(what) => format!("map: {what}"),
        Syntax::Json => "JSON".to_owned(),
    }
}

fn attribute_values(values: Values) -> String {
    match values {
        Values::Bool => "`true`, `false`".to_owned(),
        Values::Int { min, max, unit } => format!("{min} to {max} {unit}"),
        Values::OffOr { max, unit } => format!("`off`, 1 to {max} {unit}"),
        Values::Word(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
        Values::Text => "text".to_owned(),
    }
}

fn attribute_default(default: AwsDefault) -> String {
    match default {
        AwsDefault::Always("") => "empty".to_owned(),
        AwsDefault::Stays("") => "empty; what is set stays".to_owned(),
        AwsDefault::Always(value) => format!("`{value}`"),
        AwsDefault::ByScheme { internal, internet_facing } => {
            format!("`{internal}` of an internal balancer, `{internet_facing}` of an internet-facing one")
        }
        AwsDefault::ForUdp => "`true` for UDP and TCP_UDP, else `false`".to_owned(),
        AwsDefault::ButForPods => "`false` where TCP or TLS goes to pods, else `true`".to_owned(),
        AwsDefault::ButForUdp => "`false` for UDP and TCP_UDP, else `true`".to_owned(),
        AwsDefault::Stays(value) => format!("`{value}`; what is set stays"),
    }
}

fn table(page: &mut String, title: &str, source: &str, table: &[Attribute]) {
    write!(page, "\n## Attributes of {title}\n\nAWS's page: <{source}>\n\n").unwrap();
    page.push_str("| Attribute | Values | AWS's default | |\n|---|---|---|---|\n");
    for Attribute { key, values, default, does } in table {
        let (values, default) = (attribute_values(*values), attribute_default(*default));
        writeln!(page, "| `{key}` | {values} | {default} | {does} |").unwrap();
    }
}

fn page() -> String {
    const API: &str = "https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference";
    let mut page = format!("{HEAD}{CLASS}");
    for whose in [Of::Balancer, Of::Listeners, Of::Groups] {
        let title = match whose {
            Of::Balancer => "The balancer",
            Of::Listeners => "Listeners and TLS",
            Of::Groups => "Target groups and health checks",
        };
        write!(page, "\n## {title}\n\n| Key | Values | Without it | |\n|---|---|---|---|\n").unwrap();
        for key in Key::ALL.iter().filter(|key| key.entry().of == whose) {
            let Entry { syntax, sets, default, source, standing, .. } = key.entry();
            let note = match standing {
                Standing::Read => String::new(),
                Standing::Deprecated(instead) => format!(" Deprecated: use `{instead}`."),
                Standing::Refused(_) | Standing::Classic(_) => continue,
            };
            let (name, values) = (name(*key), values(*syntax));
            writeln!(page, "| `{name}` | {values} | {default} | {sets}{note} ([page]({source})) |").unwrap();
        }
    }
    page.push_str(MIDDLE);
    for key in Key::ALL {
        let why = match key.entry().standing {
            Standing::Read | Standing::Deprecated(_) => continue,
            Standing::Refused(why) => why.to_owned(),
            Standing::Classic(instead) => format!("It belongs to the Classic balancer; {instead}"),
        };
        writeln!(page, "| `{}` | {why}. |", name(*key)).unwrap();
    }
    table(&mut page, "the balancer", &format!("{API}/API_LoadBalancerAttribute.html"), attributes::LOAD_BALANCER);
    table(&mut page, "a target group", &format!("{API}/API_TargetGroupAttribute.html"), attributes::TARGET_GROUP);
    table(&mut page, "a listener", &format!("{API}/API_ListenerAttribute.html"), attributes::LISTENER);
    page.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

#[test]
fn the_reference_page_says_what_the_tables_say() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/aws-annotations.md");
    assert!(HEAD.contains(portolan_core::desire::downtime::DOWNTIME_ANNOTATION));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, page()).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(written == page(), "{} is not what the tables say: UPDATE_GOLDEN=1 writes it", file.display());
}

#[test]
fn a_cell_breaks_no_table() {
    for line in page().lines().filter(|line| line.starts_with('|')) {
        let cells = line.matches('|').count();
        assert!(matches!(cells, 3 | 5), "{line}");
    }
}

#[test]
fn what_the_page_shows_of_a_class_is_all_that_there_is() {
    let yaml: Vec<&str> = CLASS.split("```").nth(1).unwrap().lines().skip(1).collect();
    let shown: serde_json::Value = serde_yaml::from_str(&yaml.join("\n")).unwrap();
    let parameters = &shown["classes"][0]["parameters"];
    crate::Parameters::parse(parameters).unwrap();
    let wrong = serde_json::json!({"clusterName": "prod", "x": 1, "defaults": {"x": 1}, "limits": {"x": 1}});
    for problem in crate::Parameters::parse(&wrong).unwrap_err() {
        let place = problem.pointer.trim_end_matches("/x");
        let known: Vec<&str> = problem.message.split("those are ").nth(1).unwrap().split(", ").collect();
        let there: Vec<&str> =
            parameters.pointer(place).unwrap().as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(
            known.iter().copied().collect::<std::collections::BTreeSet<_>>(),
            there.into_iter().collect(),
            "{place}"
        );
    }
}
