//! `portolan controller`: all wiring, in one readable function.

use std::convert::Infallible;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use futures::FutureExt;
use kube::{Client, Config};
use portolan_core::ids::Instance;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::cluster::clock::Clock;
use crate::cluster::events::EventWriter;
use crate::cluster::lease::{self, Elector, Place, Timing};
use crate::cluster::records::{self, ClusterRecords};
use crate::cluster::{connect, metal, watch};
use crate::config::Configuration;
use crate::controller::dispatcher::Dispatcher;
use crate::controller::gate::Gate;
use crate::controller::reconcile::Reconciler;
use crate::providers::{self, Providers};
use crate::supervisor::{GRACE, Supervisor};

#[derive(Debug, clap::Args)]
pub(super) struct ControllerArguments {
    #[command(flatten)]
    cluster: connect::ClusterArguments,
    /// The configuration file; without one, the class portolan.dev/mock alone.
    #[arg(long, value_name = "FILE", env = "PORTOLAN_CONFIG")]
    config: Option<PathBuf>,
    /// Act without being elected. Two such controllers do no harm, but the work twice.
    #[arg(long)]
    no_leader_election: bool,
    /// The namespace of the leader election Lease.
    #[arg(long, value_name = "NAMESPACE", env = "POD_NAMESPACE", default_value = "kube-system")]
    lease_namespace: String,
    /// Who we are in the Lease. The same identity takes its own Lease back at once; by default it is made up anew.
    #[arg(long, env = "POD_NAME")]
    identity: Option<String>,
    /// How many load balancers are worked on at the same time.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024))]
    workers: u16,
}

pub(super) fn run(arguments: &ControllerArguments) -> anyhow::Result<ExitCode> {
    let runtime = super::runtime()?;
    let ended = runtime.block_on(control(arguments));
    // A call that blocks its thread for ever must not keep the process.
    runtime.shutdown_background();
    ended.map(|()| ExitCode::SUCCESS)
}

async fn control(arguments: &ControllerArguments) -> anyhow::Result<()> {
    let configuration = super::configuration(arguments.config.as_deref())?;
    let clock = Clock::start();
    let seed = clock.wall().as_nanosecond() as u64;
    let identity = || arguments.identity.clone().unwrap_or_else(|| made_up_identity(seed));
    let leases = Leases {
        namespace: arguments.lease_namespace.clone(),
        candidate: (!arguments.no_leader_election).then(identity),
    };
    let cluster = arguments.cluster.config().await?;
    let mut supervisor = Supervisor::default();
    start(&mut supervisor, &cluster, configuration, leases, arguments.workers, clock, seed).await?;
    Ok(supervisor.run(GRACE).await?)
}

/// Where Leases are, those of speakers too, and who stands for election: if nobody does, the controller acts without.
pub(crate) struct Leases {
    pub(crate) namespace: String,
    pub(crate) candidate: Option<String>,
}

/// The ways to the API server: each of the three must notice something else about it.
pub(crate) struct Clients {
    /// Of the passes.
    pub(crate) work: Client,
    /// Of the elector: see [`lease::client`].
    pub(crate) lease: Client,
    /// Of the watches: see [`watch::client`].
    pub(crate) watch: Client,
}

/// Starts the tasks of a controller.
pub(super) async fn start(
    supervisor: &mut Supervisor,
    cluster: &Config,
    configuration: Configuration,
    leases: Leases,
    workers: u16,
    clock: Clock,
    seed: u64,
) -> anyhow::Result<()> {
    let clients = Clients {
        work: Client::try_from(cluster.clone())?,
        lease: lease::client(cluster.clone())?,
        watch: watch::client(cluster.clone())?,
    };
    let providers = Providers::new(configuration.classes.instance.clone()).in_cluster(clients.work.clone());
    wire(supervisor, clients, configuration, providers, leases, workers, clock, seed).await
}

/// The same on clients and providers that are there: a simulation brings its own.
#[expect(
    clippy::too_many_arguments,
    reason = "wiring is what it is: each is a part, and nothing else has them together"
)]
pub(crate) async fn wire(
    supervisor: &mut Supervisor,
    clients: Clients,
    configuration: Configuration,
    providers: Providers,
    leases: Leases,
    workers: u16,
    clock: Clock,
    seed: u64,
) -> anyhow::Result<()> {
    let client = clients.work;
    let with_pools = providers::wants_pools(&configuration.classes);
    records::check_crds(&client, with_pools).await?;

    let stop = supervisor.stop();
    let settings = configuration.settings();
    let classes = Arc::new(configuration.classes);
    let providers = Arc::new(providers);

    // Resigned after the last write, which the dispatcher's end is.
    let resign = CancellationToken::new();
    let (published, leadership) = tokio::sync::watch::channel(None);
    let Leases { namespace, candidate } = leases;
    let gate = Gate::new(candidate.is_some().then_some(leadership), stop.clone(), clock);
    let speakers = namespace.clone();
    if let Some(identity) = candidate {
        let name = lease_name(&classes.instance);
        tracing::info!(lease = name, namespace, identity, "standing for election");
        let elector = Elector::new(identity, Timing::default(), seed);
        let election = lease::run(clients.lease, Place { namespace, name }, elector, clock, published, resign.clone());
        supervisor.spawn("elector", election.map(Ok::<(), Infallible>));
    }

    // The watches wait while the index is busy: nothing is dropped, and nothing piles up.
    let (events, observed) = mpsc::channel(1024);
    let with_pods = providers::wants_pods(&providers, &classes);
    if let Some(site) = providers.site() {
        if with_pools {
            site.want();
        }
        let (site, placed) = (site.clone(), tokio::sync::watch::channel(false));
        let nodes = metal::Nodes {
            ignore_exclude_label: settings.ignore_exclude_label,
            steady_after: configuration.steady_after,
        };
        let placing = metal::place(site.clone(), placed.1, nodes, gate.clone(), clock);
        supervisor.spawn("placement", placing);
        let of = metal::Followed { speakers, listed: placed.0 };
        let followed = metal::run(client.clone(), clients.watch.clone(), seed, site, of, gate.clone(), clock);
        supervisor.spawn("metal", followed);
    }
    supervisor.spawn("watches", watch::run(clients.watch, seed, with_pods, events, stop.clone()));

    let reconciler = Reconciler {
        records: ClusterRecords::new(client.clone()),
        events: EventWriter::new(client.clone(), clock),
        client,
        classes: classes.clone(),
        settings,
        providers,
        clock,
        seed,
    };
    let dispatcher = Dispatcher::new(reconciler, gate, usize::from(workers), configuration.resync);
    let resignation = resign.drop_guard();
    supervisor.spawn("dispatcher", async move {
        let ended = dispatcher.run(observed).await;
        drop(resignation);
        ended
    });

    let names: Vec<String> = classes.classes.iter().map(|class| class.name.to_string()).collect();
    tracing::info!(classes = names.join(","), instance = classes.instance.as_str(), "controller started");
    Ok(())
}

/// One Lease an instance.
fn lease_name(instance: &Instance) -> String {
    if instance.as_str().is_empty() { "portolan".to_owned() } else { format!("portolan-{}", instance.as_str()) }
}

/// Unlike any other process's, also after a restart on the same machine.
fn made_up_identity(seed: u64) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    format!("{}_{:08x}_{seed:016x}", if host.is_empty() { "portolan" } else { host }, std::process::id())
}
