//! An estate of many Services: how it settles, and what a restart of the controller costs.

use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt};

use crate::stand::{Stand, Tally};

/// Changed while no controller runs.
const CHANGED: usize = 7;
/// Less than the minute in which a load balancer is read whole because it is its turn.
const WINDOW: Duration = Duration::from_secs(45);
const POD: &[(&str, &str)] = &[("aws-load-balancer-nlb-target-type", "ip")];
const DELAY: &str = "service.beta.kubernetes.io/aws-load-balancer-target-group-attributes";

/// What is over the budget.
pub(crate) async fn measure(stand: &Stand, number: usize) -> Vec<String> {
    println!("\nestate: {number} Services to pods, 1 port each");
    stand.node(0).await;
    let controller = stand.controller();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let empty = controller.memory();
    let (mark, started) = (stand.double.log().mark(), Instant::now());
    stream::iter(0..number)
        .for_each_concurrent(16, |index| async move {
            let name = format!("s{index}");
            stand.endpoint(&name, &format!("10.0.100.{}", 10 + index % 200)).await;
            stand.create(&name, 1, POD).await;
        })
        .await;
    stand.hostnames(number / 2).await;
    let meanwhile = endpoint_change(stand, 0, "10.0.102.19").await;
    let settled = stand.hostnames(number).await - started;
    stand.quiet().await;
    let tally = stand.tally(mark);
    println!(
        "  settle     {:.0} s to the last hostname, {:.1} calls a Service and {} polls; memory {:.0} MB, {:.0} MB of it without Services",
        settled.as_secs_f64(),
        tally.all() as f64 / number as f64,
        tally.polls,
        controller.memory(),
        empty,
    );
    println!("             {}", tally.actions());
    println!(
        "             an endpoint change when half were settled: RegisterTargets after {:.2} s",
        meanwhile.as_secs_f64()
    );
    drop(controller);

    let mut over = Vec::new();
    let (mark, started) = (stand.double.log().mark(), Instant::now());
    let controller = stand.controller();
    tokio::time::sleep(Duration::from_secs(12)).await;
    // The pods of the last one are replaced while the controller has looked at few of its balancers.
    let changed = endpoint_change(stand, number - 1, "10.0.102.20").await;
    tokio::time::sleep(WINDOW.saturating_sub(started.elapsed())).await;
    let tally = stand.tally(mark);
    let mutating = tally.mutating();
    println!(
        "  restart    {} calls and {} polls in {WINDOW:?}, {mutating} mutating, for one endpoint change: RegisterTargets after {:.2} s; {:.0} MB",
        tally.all(),
        tally.polls,
        changed.as_secs_f64(),
        controller.memory()
    );
    println!("             {}", tally.actions());
    check(&mut over, "restart", &tally, 100, 2);
    drop(controller);

    let changed: Vec<String> = (0..CHANGED).map(|index| format!("s{}", index * number / CHANGED)).collect();
    for name in &changed {
        stand.annotate(name, DELAY, "deregistration_delay.timeout_seconds=30").await;
    }
    let (mark, started) = (stand.double.log().mark(), Instant::now());
    let controller = stand.controller();
    // An endpoint changes as soon as the controller is up.
    stand.double.log().wait_for(|calls| calls.len() > mark).await;
    let began = started.elapsed();
    let changed_at = stand.double.log().mark();
    let endpoint = endpoint_change(stand, number - 2, "10.0.102.21").await;
    if std::env::var_os("PORTOLAN_BENCH_TRACE").is_some() {
        let all = stand.double.log().calls_since(mark);
        let first = all.first().map_or(Duration::ZERO, |call| call.at);
        for call in &all {
            println!(
                "  {:6.2} s {} {}",
                (call.at - first).as_secs_f64(),
                call.action,
                if call.number >= changed_at { "" } else { "(before the endpoint)" }
            );
        }
    }
    let log = stand.double.log();
    let is_change = |action: &str| action == "ModifyTargetGroupAttributes";
    let done = log.wait_for(|calls| calls.iter().skip(mark).filter(|call| is_change(&call.action)).count() >= CHANGED);
    let done = tokio::time::timeout(Duration::from_secs(60), done).await.map(|_| started.elapsed());
    tokio::time::sleep(WINDOW.saturating_sub(started.elapsed())).await;
    let tally = stand.tally(mark);
    println!(
        "  {CHANGED} changed  {} calls and {} polls in {WINDOW:?}, {} mutating; first call after {:.2} s, all {CHANGED} done after {}; beside them an \
         endpoint change: RegisterTargets after {:.2} s; {:.0} MB",
        tally.all(),
        tally.polls,
        tally.mutating(),
        began.as_secs_f64(),
        done.map_or("more than a minute".to_owned(), |done| format!("{:.2} s", done.as_secs_f64())),
        endpoint.as_secs_f64(),
        controller.memory(),
    );
    println!("             {}", tally.actions());
    check(&mut over, "restart with changes", &tally, 100, CHANGED + 2);
    over
}

fn check(over: &mut Vec<String>, what: &str, tally: &Tally, calls: usize, mutating: usize) {
    if tally.all() > calls || tally.mutating() > mutating {
        over.push(format!("{what}: more than {calls} calls, or {mutating} mutating ones: {}", tally.actions()));
    }
}

/// How long it takes until the new target is registered.
async fn endpoint_change(stand: &Stand, index: usize, address: &str) -> Duration {
    let log = stand.double.log();
    let (mark, started) = (log.mark(), Instant::now());
    stand.endpoint(&format!("s{index}"), address).await;
    let registered = log.wait_for(|calls| {
        let mut since = calls.iter().skip(mark);
        since.any(|call| call.action == "RegisterTargets" && call.query.pairs().any(|(_, value)| value == address))
    });
    let registered = tokio::time::timeout(Duration::from_secs(900), registered).await;
    assert!(
        registered.is_ok(),
        "the new endpoint is not registered after a quarter of an hour; see {}",
        Stand::log().display()
    );
    started.elapsed()
}
