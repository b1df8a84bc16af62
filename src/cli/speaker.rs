//! `portolan speaker`: all wiring, in one readable function.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use kube::Client;
use portolan_l2::announce::FRAMES_PER_SECOND;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::cluster::clock::Clock;
use crate::cluster::connect;
use crate::cluster::lease::{self, Elector, Place, Timing};
use crate::cluster::metal::LEASE_PREFIX;
use crate::cluster::watch as watching;
use crate::speaker::fellows::{Publishers, WorseOff};
use crate::speaker::forwarding::driver;
use crate::speaker::report::NodeLevel;
use crate::speaker::wire::{Answers, Sources};
use crate::speaker::{self, fellows, preflight, ranks, report, wire, witness};
use crate::supervisor::Supervisor;

/// The sign of life. It is given back at the end within half of the second; another speaker of the same node takes it over at once.
pub(super) const SIGN_OF_LIFE: Timing =
    Timing { lease: Duration::from_secs(15), renew_deadline: Duration::from_secs(8), retry: Duration::from_secs(4) };
/// How long a speaker that ends answers on for what nobody has taken over yet, anew whenever somebody takes something. What is on its way to an
/// heir then goes to its end, as far as whoever ends the process lets it.
const LINGER: Duration = Duration::from_secs(3);
/// An heir tells everybody at his pace, so nobody can say here how long he takes: Kubernetes kills when the Pod's grace is over.
const UNTIL_KILLED: Duration = Duration::from_secs(3600);

#[derive(Debug, clap::Args)]
pub(super) struct SpeakerArguments {
    #[command(flatten)]
    cluster: connect::ClusterArguments,
    /// The Node that this runs on: what ranks it first is announced here.
    #[arg(long, value_name = "NAME", env = "NODE_NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    node_name: String,
    /// The namespace of the Lease portolan-speaker-NAME, which says that this speaker is alive.
    #[arg(long, value_name = "NAMESPACE", env = "POD_NAMESPACE", default_value = "kube-system")]
    lease_namespace: String,
    /// Where this node's kube-proxy says whether it forwards (its --healthz-bind-address), or `off` to announce without asking it.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:10256")]
    kube_proxy_healthz: KubeProxy,
    /// The node's addresses, where health check ports of Services (healthCheckNodePort) are asked, besides the loopback's.
    #[arg(long, value_name = "ADDRESS,...", env = "NODE_IPS", value_delimiter = ',')]
    node_ips: Vec<IpAddr>,
    /// Frames a second that each interface sends unasked: two for an IPv4 address, one for an IPv6 address. Questions are answered at any pace.
    #[arg(long, value_name = "FRAMES", default_value_t = FRAMES_PER_SECOND, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    frames_per_second: u32,
}

/// Whether it is asked, and where.
#[derive(Clone, Copy, Debug)]
enum KubeProxy {
    At(SocketAddr),
    Off,
}

impl FromStr for KubeProxy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::Off);
        }
        text.parse()
            .map(Self::At)
            .map_err(|_| "give an IP address and a port, such as 127.0.0.1:10256, or off".to_owned())
    }
}

pub(super) fn run(arguments: &SpeakerArguments) -> anyhow::Result<ExitCode> {
    let runtime = super::runtime()?;
    let ended = runtime.block_on(speak(arguments));
    // A call that blocks its thread for ever must not keep the process.
    runtime.shutdown_background();
    ended.map(|()| ExitCode::SUCCESS)
}

async fn speak(arguments: &SpeakerArguments) -> anyhow::Result<()> {
    let clock = Clock::start();
    let seed = clock.wall().as_nanosecond() as u64;
    let node = arguments.node_name.clone();
    let cluster = arguments.cluster.config().await?;
    let clients = [lease::client(cluster.clone()), watching::client(cluster.clone()), Client::try_from(cluster)];
    let [alive, watches, reports] = clients.map(|client| client.context("cannot reach the cluster"));
    let (alive, watches, reports) = (alive?, watches?, reports?);

    let mut supervisor = Supervisor::default();
    // What comes in, and what is answered, goes on until the sign of life is gone.
    let (stop, silent) = (supervisor.stop(), CancellationToken::new());
    let (owns, owned) = watch::channel(None);
    let (found, interfaces) = watch::channel(None);
    let (heard_of, known) = watch::channel(Arc::new(BTreeSet::new()));
    let (heard_badly, worse_off) = watch::channel(Arc::new(WorseOff::default()));
    let (heard_say, said) = watch::channel(Arc::new(BTreeMap::new()));
    let (inherits, inherited) = watch::channel(None);
    let (finds_out, witnessed) = watch::channel(None);
    let (stands, standing) = watch::channel(driver::Stands::default());
    let (tells, told) = watch::channel(None);
    let (counts, answers) = watch::channel(Answers::default());
    let (finds, in_the_way) = watch::channel(Vec::new());
    let kube_proxy = match arguments.kube_proxy_healthz {
        KubeProxy::At(address) => Some(address),
        KubeProxy::Off => None,
    };
    let (announces, announced) = watch::channel(None);
    let from = driver::Sources { ranked: owned, worse_off };
    let places = driver::Places { kube_proxy, node: arguments.node_ips.clone() };
    supervisor.spawn("forwarding", driver::run(places, from, announces, stands, clock, silent.clone()));
    let pace = arguments.frames_per_second;
    let sources = Sources { owns: announced, interfaces: interfaces.clone(), fellows: known };
    supervisor.spawn("interfaces", speaker::interfaces(found, silent.clone()));
    let ranked = ranks::Publishers { owns, inherits };
    supervisor.spawn("ranks", ranks::run(watches.clone(), seed, node.clone(), ranked, silent.clone()));
    let (erased, was_erased) = watch::channel(0);
    let (shows, shown) = watch::channel(None);
    let heard = Publishers { stations: heard_of, worse_off: heard_badly, said: heard_say, erased, shown: shows };
    supervisor.spawn("fellows", fellows::run(watches, seed.wrapping_add(1), node.clone(), heard, silent.clone()));
    supervisor.spawn("wire", wire::run(sources, tells, counts, pace, clock, silent.clone()));
    let proofs = witness::Sources { inherits: inherited, interfaces: interfaces.clone(), said };
    supervisor.spawn("witness", witness::run(proofs, finds_out, seed, clock, silent.clone()));
    supervisor.spawn("preflight", preflight::run(interfaces, answers.clone(), finds, clock, silent.clone()));
    let node_level = NodeLevel { preflight: in_the_way, stands: standing, witnessed, erased: was_erased, shown };
    supervisor.spawn("report", report::run(reports, node.clone(), told, node_level, clock, silent.clone()));

    let place = Place { namespace: arguments.lease_namespace.clone(), name: format!("{LEASE_PREFIX}{node}") };
    let elector = Elector::new(node.clone(), SIGN_OF_LIFE, seed);
    let silence = silent.drop_guard();
    supervisor.spawn("lease", async move {
        let (leads, _) = watch::channel(None);
        lease::run(alive, place, elector, clock, leads, stop).await;
        linger(answers).await;
        drop(silence);
        Ok::<(), Infallible>(())
    });
    tracing::info!(node, "speaker started");
    Ok(supervisor.run(UNTIL_KILLED).await?)
}

/// Answers on until another node has everything, but not for ever: where there is none, or no controller, nobody takes over. What is going to
/// another node then goes to its end, which it has by itself.
async fn linger(mut answers: watch::Receiver<Answers>) {
    let mut owned = answers.borrow().owned;
    while owned > 0 {
        let fewer = answers.wait_for(|answers| answers.owned < owned);
        let Ok(Ok(left)) = tokio::time::timeout(LINGER, fewer).await.map(|left| left.map(|left| left.owned)) else {
            tracing::warn!(owned, "some addresses were not taken over by another node; nobody answers for them now");
            break;
        };
        owned = left;
    }
    // In error is only who has nobody to tell him: then nobody answers any more.
    let _ = answers.wait_for(|answers| answers.leaving == 0).await;
}
