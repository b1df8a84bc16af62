//! What each change of one Service costs, in calls, beside what was planned and what the AWS Load Balancer Controller makes.

use std::time::Instant;

use crate::stand::{LATENCY, PROVISIONING, Stand, Tally};

/// The annotations that are used.
const TARGET_TYPE: &str = "aws-load-balancer-nlb-target-type";
const CROSS_ZONE: &str = "service.beta.kubernetes.io/aws-load-balancer-attributes";
const DELAY: &str = "service.beta.kubernetes.io/aws-load-balancer-target-group-attributes";
const SCHEME: &str = "service.beta.kubernetes.io/aws-load-balancer-scheme";

/// One line of the table, and whether it is within the budget.
pub(crate) struct Line {
    what: &'static str,
    tally: Tally,
    elb: Option<usize>,
    ec2: Option<usize>,
    /// ELBv2 calls of the AWS Load Balancer Controller 3.5, by hand from its source.
    other: &'static str,
}

impl Line {
    fn print(&self) {
        let of = |count: usize, budget: Option<usize>| {
            format!("{count} of {}", budget.map_or("-".to_owned(), |most| most.to_string()))
        };
        println!(
            "  {:28} {:>8} {:>8} {:>6} {:>7}   {}",
            self.what,
            of(self.tally.elb(), self.elb),
            of(self.tally.ec2(), self.ec2),
            self.tally.polls,
            self.other,
            self.tally.actions()
        );
    }

    /// What is over, if anything is.
    pub(crate) fn excess(&self) -> Option<String> {
        let over = |count: usize, budget: Option<usize>| budget.is_some_and(|most| count > most);
        let is_over = over(self.tally.elb(), self.elb) || over(self.tally.ec2(), self.ec2);
        is_over.then(|| format!("{}: {}", self.what, self.tally.actions()))
    }
}

struct Table<'a> {
    stand: &'a Stand,
    lines: Vec<Line>,
}

impl Table<'_> {
    /// Lets it happen, waits until nothing more comes of it, and counts.
    async fn line(
        &mut self,
        what: &'static str,
        elb: impl Into<Option<usize>>,
        ec2: impl Into<Option<usize>>,
        other: &'static str,
        change: impl Future<Output = ()>,
    ) {
        let mark = self.stand.double.log().mark();
        change.await;
        self.stand.quiet().await;
        let line = Line { what, tally: self.stand.tally(mark), elb: elb.into(), ec2: ec2.into(), other };
        line.print();
        self.lines.push(line);
    }
}

/// All of them, one after the other on one estate.
pub(crate) async fn measure(stand: &Stand) -> Vec<Line> {
    println!(
        "\ncalls: ELBv2 of its budget, EC2 of its budget, polls; the AWS Load Balancer Controller's ELBv2 calls (hand-counted from its source)"
    );
    stand.node(0).await;
    stand.node(1).await;
    let controller = stand.controller();
    let mut table = Table { stand, lines: Vec::new() };
    let created = |name: &'static str, ports, annotations: &'static [(&str, &str)]| async move {
        stand.endpoint(name, "10.0.100.10").await;
        stand.create(name, ports, annotations).await;
        stand.hostname(name).await;
    };
    table.line("first Service, 1 port", 6, 8, "15", created("web", 1, &[])).await;
    table.line("second Service, 1 port", 6, 4, "15", created("second", 1, &[])).await;
    table.line("Service with 2 ports", 9, 4, "24", created("two", 2, &[])).await;
    table.line("Service with 5 ports", 18, 4, "51", created("five", 5, &[])).await;
    table.line("Service to pods, 1 port", 6, 4, "15", created("pods", 1, &[(TARGET_TYPE, "ip")])).await;
    table.line("a port more", 3, 2, "", stand.add_port("web", 2)).await;
    let attributes = async {
        stand.annotate("second", CROSS_ZONE, "load_balancing.cross_zone.enabled=true").await;
    };
    table.line("an attribute of a balancer", 1, 0, "", attributes).await;
    let attributes = async {
        stand.annotate("second", DELAY, "deregistration_delay.timeout_seconds=30").await;
    };
    table.line("an attribute of a group", 1, 0, "", attributes).await;
    table.line("a settled pass", 0, 0, "9-13", stand.annotate("two", "example.com/note", "seen")).await;
    table.line("an endpoint replaced", 2, 1, "2-3", stand.endpoint("pods", "10.0.101.10")).await;
    table.line("a node more, 10 groups", 10, 1, "10-20", stand.node(2)).await;
    table.line("a node less, 10 groups", 10, 0, "10-20", stand.remove_node(2)).await;
    table.line("deleted, 1 port", 3, None, "5-8", stand.delete("pods")).await;
    table.line("deleted, 2 ports", 5, None, "7-11", stand.delete("two")).await;
    table.line("deleted, 5 ports", 11, None, "13-20", stand.delete("five")).await;
    // A second balancer; the first goes two minutes after nobody is told of it any more.
    let scheme = async {
        stand.annotate("second", SCHEME, "internet-facing").await;
        let log = stand.double.log().clone();
        let mark = log.mark();
        log.wait_for(|calls| calls.iter().skip(mark).any(|call| call.action == "DeleteTargetGroup")).await;
    };
    table.line("scheme changed, 1 port", None, None, "", scheme).await;
    drop(controller);
    table.lines
}

/// From a Service to its hostname, beside what AWS forces.
pub(crate) async fn time(stand: &Stand) {
    stand.node(0).await;
    let _controller = stand.controller();
    stand.endpoint("first", "10.0.100.10").await;
    stand.create("first", 1, &[]).await;
    stand.hostname("first").await;
    stand.quiet().await;
    println!(
        "\ntime: from a Service to its hostname, {LATENCY:?} added to each call, {PROVISIONING:?} of provisioning"
    );
    // A security group, a balancer with it, provisioning, one look that it is active.
    let floor = 3 * LATENCY + PROVISIONING;
    let mut all = Vec::new();
    for number in 0..5 {
        let name = format!("timed-{number}");
        stand.endpoint(&name, "10.0.100.11").await;
        let (mark, started) = (stand.double.log().mark(), Instant::now());
        stand.create(&name, 1, &[]).await;
        let log = stand.double.log();
        log.wait_for(|calls| calls.iter().skip(mark).any(|call| call.action == "CreateLoadBalancer")).await;
        let asked = started.elapsed();
        log.wait_for(|calls| calls.iter().skip(mark).any(|call| call.action == "RegisterTargets")).await;
        let done = started.elapsed();
        all.push((stand.hostname(&name).await - started, asked, done));
    }
    all.sort();
    let (hostname, asked, done) = all[all.len() / 2];
    println!(
        "  hostname after {:.2} s (median of {}, {:.2} to {:.2}); floor {:.2} s: CreateSecurityGroup, CreateLoadBalancer, provisioning, \
         DescribeLoadBalancers. The balancer is asked for after {:.2} s, all that is needed is there after {:.2} s; the rest is provisioning \
         and the next poll, one in 5 s for all Services",
        hostname.as_secs_f64(),
        all.len(),
        all[0].0.as_secs_f64(),
        all[all.len() - 1].0.as_secs_f64(),
        floor.as_secs_f64(),
        asked.as_secs_f64(),
        done.as_secs_f64(),
    );
}
