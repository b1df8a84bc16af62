//! `portolan sandbox`: an in-memory Kubernetes API on loopback, the real controller on it over HTTP, and a table of what becomes of
//! its Services. All wiring.

mod aws;
mod display;
mod kubeconfig;
mod show;

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::ValueEnum;
use futures::stream;
use ipnet::IpNet;
use kube::Config;
use portolan_core::class::Classes;
use serde_json::json;
use tokio::net::TcpListener;

use crate::cluster::clock::Clock;
use crate::cluster::watch;
use crate::config;
use crate::providers::check_parameters;
use crate::sandbox::audit::Audit;
use crate::sandbox::cluster::{self, Cluster};
use crate::sandbox::view::View;
use crate::sandbox::{Ranges, Storage, serve};
use crate::supervisor::Supervisor;
use display::{Display, Effects, Intro};
use show::show;

/// How many load balancers are worked on at the same time, as of `portolan controller` unless told otherwise.
const WORKERS: u16 = 16;

#[derive(Debug, clap::Args)]
pub(super) struct SandboxArguments {
    /// Manifests to begin with, YAML or JSON, files and folders; `-` reads standard input. Without any, the cluster that comes with the
    /// program: a Service of every kind that the rules tell apart.
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Begin with nothing but Portolan's CustomResourceDefinitions.
    #[arg(long, conflicts_with = "paths")]
    empty: bool,
    /// End when every Service is as expected: exit code 0. What is expected stands in its annotation sandbox.portolan.dev/expect, a
    /// fragment of its status; without one, a claimed Service must be Programmed.
    #[arg(long)]
    once: bool,
    /// How long that may take; then what is not as expected is printed, and the exit code is 1.
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
    timeout: Duration,
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,
    /// Where the API listens. It asks for no credentials, so leave it on loopback. Port 0: any that is free.
    #[arg(long, value_name = "ADDRESS", default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))]
    listen: SocketAddr,
    /// Where to write the kubeconfig; otherwise to a temporary file, which is printed and goes when this ends.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The controller's configuration file; without one, a class of the provider alone.
    #[arg(long, value_name = "FILE", env = "PORTOLAN_CONFIG")]
    config: Option<PathBuf>,
    /// Whose class there is without a configuration file: portolan.dev/mock; portolan.dev/metal, where addresses are given out and nobody
    /// announces them; or portolan.dev/aws at an emulator of AWS, which AWS_ENDPOINT_URL and AWS_REGION name and localstack/README.md
    /// starts. Its instances are the nodes, unless a manifest has some.
    #[arg(long, value_enum, default_value_t = Provider::Mock, conflicts_with = "config")]
    provider: Provider,
    /// Start no controller, to run one from elsewhere: `portolan controller --kubeconfig FILE`. The configuration then only says
    /// which Services are claimed.
    #[arg(long)]
    no_controller: bool,
    /// Where to write down who wrote what, as the real server's audit log (audit.k8s.io/v1). Who acts as somebody else
    /// (`kubectl --as NAME`) is believed.
    #[arg(long, value_name = "FILE")]
    audit_log: Option<PathBuf>,
    /// Forget so often, as the real server's etcd does every five minutes, what was written before the last time: who asks for it gets
    /// a 410. Without, it is all but the last 10,000 writes.
    #[arg(long, value_name = "DURATION", value_parser = interval)]
    compaction_interval: Option<Duration>,
    /// From what Services get their cluster addresses, one range a family at most; the first is the cluster's first family.
    #[arg(long, value_name = "CIDR,CIDR", value_delimiter = ',', default_values_t = Ranges::default().cluster_ips)]
    service_cluster_ip_range: Vec<IpNet>,
    /// From what Services get their node ports.
    #[arg(long, value_name = "FROM-TO", value_parser = ports, default_value = "30000-32767")]
    service_node_port_range: RangeInclusive<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// The provider of the class that is there without a configuration file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Provider {
    Mock,
    Aws,
    Metal,
}

/// How a sandbox ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// By itself: every Service is as expected.
    AsExpected,
    /// By itself: some are not, and time is up.
    TimedOut,
    /// By a signal.
    Interrupted,
}

/// Exit code of a process that was interrupted before it had its answer, as shells have it.
const INTERRUPTED: u8 = 130;

pub(super) fn run(arguments: &SandboxArguments, out: &mut impl Write, terminal: bool) -> anyhow::Result<ExitCode> {
    // A poll here may work out an answer, which takes milliseconds: sockets, timers and signals are looked at after each, not after 61 of them.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().event_interval(1).build()?;
    let ended = runtime.block_on(sandbox(arguments, out, terminal));
    // A call that blocks its thread for ever must not keep the process.
    runtime.shutdown_background();
    Ok(match ended? {
        Ended::AsExpected => ExitCode::SUCCESS,
        Ended::TimedOut => ExitCode::FAILURE,
        // Without --once nobody but a signal ends it.
        Ended::Interrupted if !arguments.once => ExitCode::SUCCESS,
        Ended::Interrupted => ExitCode::from(INTERRUPTED),
    })
}

async fn sandbox(arguments: &SandboxArguments, out: &mut impl Write, terminal: bool) -> anyhow::Result<Ended> {
    let at_aws = match arguments.provider {
        Provider::Aws => Some(aws::Site::find().await?),
        Provider::Mock | Provider::Metal => None,
    };
    let is_metal = arguments.provider == Provider::Metal;
    let cluster = match (arguments.paths.as_slice(), &at_aws) {
        _ if arguments.empty => Cluster::empty(),
        ([], None) if is_metal => Cluster::standard_of_metal()?,
        ([], None) => Cluster::standard()?,
        ([], Some(_)) => Cluster::standard_at_aws()?,
        (paths, _) => Cluster::read(paths)?,
    };
    let cluster = match &at_aws {
        Some(site) if !arguments.empty => cluster.or_with_nodes(aws::PLACE, site.nodes.clone())?,
        Some(_) | None => cluster,
    };
    let mut supervisor = Supervisor::listening()?;
    // Holds the mock's world and the kubeconfig, and goes with the process.
    let folder =
        tempfile::Builder::new().prefix("portolan-sandbox-").tempdir().context("cannot make a temporary folder")?;
    let world = folder.path().join("mock");
    let clock = Clock::start();
    let seed = clock.wall().as_nanosecond() as u64;
    let configuration = match &at_aws {
        // Milliseconds tell runs apart.
        Some(site) => site.configuration(seed / 1_000_000)?,
        None if is_metal => metal()?,
        None => super::configuration_with(arguments.config.as_deref(), || Ok(world.clone()))?,
    };
    let classes = configuration.classes.clone();

    let storage = Storage::with_ranges(clock, arguments.ranges()?);
    let client = storage.client();
    cluster::load(&cluster, &client).await?;

    let audit = arguments
        .audit_log
        .as_deref()
        .map(|file| Audit::open(file, clock).with_context(|| format!("cannot write the audit log {}", file.display())));
    let audit = audit.transpose()?;
    let listener = TcpListener::bind(arguments.listen)
        .await
        .with_context(|| format!("cannot listen on {}; --listen 127.0.0.1:0 takes any free port", arguments.listen))?;
    let server = format!("http://{}", listener.local_addr()?);
    let kubeconfig = arguments.kubeconfig.clone().unwrap_or_else(|| folder.path().join("kubeconfig"));
    kubeconfig::write(&kubeconfig, &server)?;

    if let Some(interval) = arguments.compaction_interval {
        supervisor.spawn("compaction", storage.clone().forget_every(interval, supervisor.stop()));
    }
    supervisor.spawn("api", serve(storage, listener, supervisor.stop(), audit));
    if !arguments.no_controller {
        let reach = reach(&server)?;
        let leases = super::controller::Leases { namespace: "kube-system".to_owned(), candidate: None };
        super::controller::start(&mut supervisor, &reach, configuration, leases, WORKERS, clock, seed).await?;
    }

    let effects = match at_aws {
        Some(site) => Effects::Aws { endpoint: site.endpoint, region: site.region },
        None if is_metal => Effects::Metal,
        None => Effects::Mock(world),
    };
    let intro = Intro::new(&server, &kubeconfig, effects, example(&cluster, &classes), arguments.no_controller);
    let display = Display::new(arguments, terminal, intro);
    let observed = stream::select(watch::services(client.clone(), seed), watch::records(client, seed.wrapping_add(1)));
    let shown = show(observed, View::new(classes), display, out, clock, arguments.timeout);
    match supervisor.run_for(shown).await? {
        Some(ended) => ended,
        None => Ok(Ended::Interrupted),
    }
}

/// One class, for every Service that names none.
fn metal() -> anyhow::Result<config::Configuration> {
    let class = json!({"name": "portolan.dev/metal", "provider": "metal", "default": true});
    let configuration = json!({"apiVersion": config::API_VERSION, "kind": config::KIND, "classes": [class]});
    Ok(config::Configuration::parse(&configuration.to_string(), &check_parameters)?)
}

impl SandboxArguments {
    fn ranges(&self) -> anyhow::Result<Ranges> {
        let (cluster_ips, node_ports) = (self.service_cluster_ip_range.clone(), self.service_node_port_range.clone());
        let fours = cluster_ips.iter().filter(|range| range.addr().is_ipv4()).count();
        let sixes = cluster_ips.len() - fours;
        anyhow::ensure!(fours < 2 && sixes < 2, "--service-cluster-ip-range takes one range of a family at most");
        Ok(Ranges { cluster_ips, node_ports })
    }
}

/// The Service to show commands with: one that any of our classes serves, else any.
fn example<'a>(cluster: &'a Cluster, classes: &Classes) -> Option<(&'a str, &'a str)> {
    classes.classes.iter().find_map(|class| cluster.example(class.name.as_str()))
}

/// The sandbox's own API, reached as any controller reaches it.
fn reach(server: &str) -> anyhow::Result<Config> {
    let mut config = Config::new(server.parse()?);
    config.connect_timeout = Some(Duration::from_secs(10));
    config.default_retry = false;
    Ok(config)
}

/// As in the configuration (`90s`, `5m`); a number alone means seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().map(Duration::from_secs);
    seconds.or_else(|| config::parse_duration(text)).ok_or_else(|| "write a duration such as 60s or 5m".to_owned())
}

/// A duration that is not nothing; also in milliseconds, which tests do not wait long for.
fn interval(text: &str) -> Result<Duration, String> {
    let milliseconds = text.strip_suffix("ms").and_then(|number| number.parse().ok()).map(Duration::from_millis);
    let interval = milliseconds.map_or_else(|| duration(text), Ok)?;
    if interval.is_zero() { Err("write a duration above 0".to_owned()) } else { Ok(interval) }
}

/// As kube-apiserver's flag of the same name takes it: `30000-32767`.
fn ports(text: &str) -> Result<RangeInclusive<u16>, String> {
    let range = text.split_once('-').and_then(|(from, to)| Some(from.parse::<u16>().ok()?..=to.parse::<u16>().ok()?));
    let range = range.filter(|range| *range.start() > 0 && !range.is_empty());
    range.ok_or_else(|| "write the first and the last port, such as 30000-32767".to_owned())
}

#[cfg(test)]
mod tests;
