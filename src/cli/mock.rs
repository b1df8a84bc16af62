//! `portolan mock`: what the mock provider's world looks like, and faults for it, armed while a controller runs on it.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::{ArgGroup, Args, Subcommand};
use portolan_core::ids::LoadBalancerId;
use portolan_mock::clock::{Clock, SystemClock};
use portolan_mock::faults::{self, Effect, Fault, On};
use portolan_mock::picture::picture;
use portolan_mock::store::Store;

/// Names the mock's folder, for the command line as for classes that do not.
const STATE_VARIABLE: &str = "PORTOLAN_MOCK_STATE";

/// Shows the mock provider's load balancers as JSON; arms and ends faults.
#[derive(Debug, Args)]
pub(crate) struct MockArgs {
    /// The folder that holds the mock's world [default: ${XDG_STATE_HOME:-~/.local/state}/portolan/mock]
    #[arg(long, env = STATE_VARIABLE, value_name = "DIR", global = true)]
    state: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<MockCommand>,
}

#[derive(Debug, Subcommand)]
enum MockCommand {
    /// Arms, ends and lists faults
    #[command(subcommand)]
    Fault(FaultCommand),
    /// Releases load balancers that the fault `hold` keeps provisioning
    #[command(group = ArgGroup::new("which").required(true))]
    Release {
        /// This one
        #[arg(group = "which")]
        id: Option<String>,
        /// Every one
        #[arg(long, group = "which")]
        all: bool,
    },
}

#[derive(Debug, Subcommand)]
enum FaultCommand {
    /// Arms a fault
    Add(AddArgs),
    /// Ends a fault, and releases what it holds
    #[command(group = ArgGroup::new("which").required(true))]
    End {
        /// This one
        #[arg(group = "which")]
        name: Option<String>,
        /// Every one
        #[arg(long, group = "which")]
        all: bool,
    },
    /// Lists the armed faults as JSON
    List,
}

#[derive(Debug, Args)]
struct AddArgs {
    /// A name of your choice
    name: String,
    /// Which calls it meets: a step's name, observe, or any
    #[arg(long, value_name = "STEP|observe|any")]
    on: On,
    /// Only calls for this load balancer
    #[arg(long)]
    id: Option<String>,
    /// Act on so many of these calls [default: until the fault is ended]
    #[arg(long, value_name = "N", conflicts_with = "at_call")]
    times: Option<u64>,
    /// Act on the N-th of these calls only, counted from now
    #[arg(long, value_name = "N")]
    at_call: Option<u64>,
    /// terminal, retry, wait, delay=DURATION, hang, crash-before, crash-after, fail-after-effect, hold or unhealthy
    #[arg(long)]
    effect: Effect,
}

/// Runs `portolan mock`.
pub(crate) fn run(args: MockArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let store = Store::folder(args.state.map_or_else(default_state_folder, Ok)?);
    match args.command {
        None => print(out, &picture(&store, SystemClock.now())?),
        Some(MockCommand::Fault(FaultCommand::Add(args))) => {
            let AddArgs { name, on, id, times, at_call, effect } = args;
            let fault = Fault { on, id: id.map(LoadBalancerId::new), times, at_call, effect };
            Ok(faults::add(&store, &name, &fault)?)
        }
        Some(MockCommand::Fault(FaultCommand::End { name: Some(name), all: _ })) => Ok(faults::end(&store, &name)?),
        Some(MockCommand::Fault(FaultCommand::End { name: None, all: _ })) => Ok(faults::end_all(&store)?),
        Some(MockCommand::Fault(FaultCommand::List)) => {
            let armed: Vec<_> = faults::list(&store)?.into_iter().collect::<Result<_, _>>()?;
            print(out, &armed)
        }
        Some(MockCommand::Release { id, all: _ }) => {
            print(out, &faults::release(&store, id.map(LoadBalancerId::new).as_ref())?)
        }
    }
}

/// The mock's folder where no class names one: that of the environment, else the default.
pub(super) fn state_folder() -> anyhow::Result<PathBuf> {
    std::env::var_os(STATE_VARIABLE).map(PathBuf::from).map_or_else(default_state_folder, Ok)
}

/// The mock's folder where neither class nor command line names one: `${XDG_STATE_HOME:-~/.local/state}/portolan/mock`. XDG says that a
/// relative path is to be ignored.
fn default_state_folder() -> anyhow::Result<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|folder| folder.is_absolute());
    let states = absolute("XDG_STATE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/state")));
    let states =
        states.context("neither XDG_STATE_HOME nor HOME names a folder: say where the mock's state is with --state")?;
    Ok(states.join("portolan/mock"))
}

fn print(out: &mut dyn Write, value: &impl serde::Serialize) -> anyhow::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    Ok(writeln!(out)?)
}
