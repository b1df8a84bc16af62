//! What is printed: ours as YAML, and everything else as comments around it.

use std::fmt::Write;

use super::convert::Import;
use super::finding::{Finding, Weight};
use super::made::Kind;
use crate::yaml;

/// All of it, for `kubectl apply -f -`.
pub(super) fn whole(import: &Import) -> anyhow::Result<String> {
    let mut text = findings(import);
    for made in &import.made {
        write!(text, "---\n{}", yaml::to_string(&made.object)?)?;
        if !text.ends_with('\n') {
            text.push('\n');
        }
    }
    text.push_str(&next(import, false));
    Ok(text)
}

/// In one line.
pub(super) fn summary(import: &Import) -> String {
    let made = |kind: Kind| import.made.iter().filter(|made| made.kind == kind).count();
    let made = format!(
        "AddressPools {}, L2Advertisements {}, reservations {}",
        made(Kind::AddressPool),
        made(Kind::L2Advertisement),
        made(Kind::VirtualIp)
    );
    let lost = of(import, Weight::Changes).count();
    let outcome = if lost == 0 {
        "everybody gets and announces what MetalLB gave and announced".to_owned()
    } else {
        format!("{lost} things that decide who gets or announces an address have no equivalent")
    };
    format!("from MetalLB: {made}; {outcome}")
}

fn of(import: &Import, weight: Weight) -> impl Iterator<Item = &Finding> {
    import.findings.iter().filter(move |finding| finding.weight == weight)
}

/// What does not become the same.
pub(super) fn findings(import: &Import) -> String {
    let mut lines = vec![summary(import)];
    for (weight, title) in [
        (Weight::Changes, "Without equivalent, and it decides who gets or announces an address:"),
        (Weight::Differs, "Good to know:"),
    ] {
        let mut found = of(import, weight).peekable();
        if found.peek().is_some() {
            lines.extend([String::new(), title.to_owned()]);
        }
        lines.extend(found.map(|Finding { about, what, weight: _ }| format!("- {about}: {what}")));
    }
    commented(&lines)
}

/// What is to be done next, in the order in which no address changes and none falls silent.
pub(super) fn next(import: &Import, is_created: bool) -> String {
    let namespace = &import.namespace;
    let create = vec![
        "Give the API server our kinds, then create what stands above (this command with --apply), before any Portolan controller runs:".to_owned(),
        "portolan crds | kubectl apply --server-side -f -".to_owned(),
    ];
    let mut steps = if is_created { Vec::new() } else { vec![create] };
    if !import.share.is_empty() {
        let title = "Let those who share an address ask for it together; MetalLB does not look at this:".to_owned();
        steps.push([title].into_iter().chain(import.share.clone()).collect());
    }
    steps.push(configuration(import));
    steps.push(vec![
        "Start `portolan speaker` on every node, and wait for a report of each. As long as no address is ranked they are silent:".to_owned(),
        "kubectl get speakerreports".to_owned(),
    ]);
    steps.push(vec![
        "Stop MetalLB's controller, so that one alone gives out addresses (metallb-controller, if Helm installed it):"
            .to_owned(),
        format!("kubectl --namespace {namespace} scale deployment controller --replicas=0"),
    ]);
    steps.push(vec![
        "Look whether any Service would move, then start `portolan controller`; every address has to be as before:"
            .to_owned(),
        "portolan plan --config FILE".to_owned(),
        "kubectl get virtualips; kubectl get services --all-namespaces".to_owned(),
    ]);
    steps.push(speakers(import));
    let mut lines = vec!["Next, in this order (docs/migrate-from-metallb.md says why, and how to go back):".to_owned()];
    for (number, step) in (1..).zip(steps) {
        let mut step = step.into_iter();
        lines.extend(step.next().map(|title| format!("{number}. {title}")));
        lines.extend(step.map(|command| format!("     {command}")));
    }
    format!("---\n{}", commented(&lines))
}

fn configuration(import: &Import) -> Vec<String> {
    let (title, class) = match &import.lb_class {
        None => (
            "MetalLB served Services without a class, so metal has to be the default class, which every Service of type LoadBalancer \
             without a class falls to. The controller's configuration:"
                .to_owned(),
            "- {name: portolan.dev/metal, provider: metal, default: true}".to_owned(),
        ),
        Some(class) => (
            format!("MetalLB served Services of class {class}, which cannot be edited, so it becomes an alias. The controller's configuration:"),
            format!("- {{name: portolan.dev/metal, provider: metal, aliases: [{class}]}}"),
        ),
    };
    vec![
        title,
        "apiVersion: portolan.dev/v1alpha1".to_owned(),
        "kind: Configuration".to_owned(),
        "classes:".to_owned(),
        class,
        "# nodes: {ignoreExcludeLabel: true}    if MetalLB's speakers were started with --ignore-exclude-lb".to_owned(),
    ]
}

fn speakers(import: &Import) -> Vec<String> {
    let namespace = &import.namespace;
    let patch = r#"{"spec":{"updateStrategy":{"type":"OnDelete","rollingUpdate":null},"template":{"spec":{"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"portolan.dev/without-metallb","operator":"DoesNotExist"}]}]}}}}}}}"#;
    let mut step = vec![
        "Stop MetalLB's speakers node by node (metallb-speaker, if Helm installed it), and look that the addresses answer after each:".to_owned(),
        format!("kubectl --namespace {namespace} patch daemonset speaker --type=merge --patch '{patch}'"),
    ];
    if import.announced.by_node.is_empty() {
        step.push("kubectl label node NODE portolan.dev/without-metallb=".to_owned());
    }
    // Those last that have the most to lose.
    let mut nodes: Vec<_> = import.announced.by_node.iter().collect();
    nodes.sort_by_key(|(node, services)| (services.len(), *node));
    step.extend(nodes.into_iter().map(|(node, services)| {
        let services = super::finding::listed(services);
        format!("kubectl label node {node} portolan.dev/without-metallb=    # MetalLB announces there: {services}")
    }));
    if !import.announced.by_node.is_empty() {
        step.push("and the other nodes alike".to_owned());
    }
    step
}

fn commented(lines: &[String]) -> String {
    lines.iter().map(|line| format!("# {line}").trim_end().to_owned() + "\n").collect()
}
