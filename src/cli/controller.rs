//! `portolan controller`: all wiring, in one readable function.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use portolan_core::desire::Settings;
use tokio::sync::mpsc;

use crate::cluster::clock::Clock;
use crate::cluster::events::EventWriter;
use crate::cluster::records::{self, ClusterRecords};
use crate::cluster::{connect, watch};
use crate::controller::dispatcher::Dispatcher;
use crate::controller::gate::Gate;
use crate::controller::reconcile::Reconciler;
use crate::providers::Providers;
use crate::supervisor::Supervisor;

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
    super::runtime()?.block_on(control(arguments))?;
    Ok(ExitCode::SUCCESS)
}

async fn control(arguments: &ControllerArguments) -> anyhow::Result<()> {
    let configuration = super::configuration(arguments.config.as_deref())?;
    let clock = Clock::start();
    let seed = clock.wall().as_nanosecond() as u64;
    let client = arguments.cluster.client().await?;
    records::check_crds(&client).await?;

    let mut supervisor = Supervisor::default();
    let stop = supervisor.stop();
    let classes = Arc::new(configuration.classes);
    let providers = Arc::new(Providers::new(classes.instance.clone()));

    let (leadership, until) = tokio::sync::watch::channel(None);
    let gate = Gate { until, elected: !arguments.no_leader_election, stop: stop.clone(), clock };
    if gate.elected {
        let _ = leadership;
        anyhow::bail!("leader election is not there yet");
    }

    // The watches wait while the index is busy: nothing is dropped, and nothing piles up.
    let (events, observed) = mpsc::channel(1024);
    let watches = arguments.cluster.config().await?;
    supervisor.spawn("watches", watch::run(watch::client(watches)?, seed, events, stop.clone()));

    let reconciler = Reconciler {
        records: ClusterRecords::new(client.clone()),
        events: EventWriter::new(client.clone(), clock),
        client,
        classes: classes.clone(),
        settings: Settings { ignore_exclude_label: configuration.ignore_exclude_label },
        providers,
        clock,
        seed,
    };
    let dispatcher = Dispatcher::new(reconciler, gate, usize::from(arguments.workers), configuration.resync);
    supervisor.spawn("dispatcher", dispatcher.run(observed));

    let names: Vec<String> = classes.classes.iter().map(|class| class.name.to_string()).collect();
    tracing::info!(classes = names.join(","), instance = classes.instance.as_str(), "controller started");
    Ok(supervisor.run().await?)
}
