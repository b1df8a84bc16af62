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

/// The mock's folder where no class names one: that of the environment, else the default. It goes into records, so it must mean the same
/// to every process, wherever that is started.
pub(super) fn state_folder() -> anyhow::Result<PathBuf> {
    let Some(folder) = std::env::var_os(STATE_VARIABLE).map(PathBuf::from) else { return default_state_folder() };
    anyhow::ensure!(folder.is_absolute(), "{STATE_VARIABLE}={} must be an absolute path", folder.display());
    Ok(folder)
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
    // First the whole text: an error of the reader at the other end must arrive as an I/O error, not as one of JSON.
    let text = serde_json::to_string_pretty(value)?;
    Ok(writeln!(out, "{text}")?)
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::{Value, json};

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: MockArgs,
    }

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("portolan-cli-mock-{name}-{}", std::process::id()));
            std::fs::create_dir_all(folder.join("balancers")).unwrap();
            std::fs::create_dir_all(folder.join("addresses")).unwrap();
            Self(folder)
        }

        fn write(&self, piece: &str, text: &str) {
            std::fs::write(self.0.join(piece), text).unwrap();
        }

        /// What `portolan mock WORDS` prints, or why it fails.
        fn mock(&self, words: &str) -> Result<Value, String> {
            let state = self.0.to_str().unwrap();
            let line = ["portolan-mock", "--state", state].into_iter().chain(words.split_whitespace());
            let args = Line::try_parse_from(line).map_err(|error| error.to_string())?.args;
            let mut out = Vec::new();
            run(args, &mut out).map_err(|error| error.to_string())?;
            Ok(if out.is_empty() { Value::Null } else { serde_json::from_slice(&out).unwrap() })
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    /// A load balancer as it lies in the folder, held by the fault `slow`.
    fn stored() -> String {
        let listener = json!({
            "port": 80, "protocol": "TCP", "name": "http", "service": "u1", "targets": {"nodes": {"nodePort": 30080, "nodes": ["n1"]}},
            "hasEndpoints": true, "healthCheck": {"http": {"port": 10256, "path": "/healthz"}}, "sessionAffinity": 600,
        });
        let generation = json!({
            "number": 1, "scheme": "public", "addresses": {"IPv4": "203.0.113.1"}, "listeners": [listener], "readyAt": 0, "heldBy": "slow",
        });
        json!({
            "id": "u1", "instance": "", "members": [{"uid": "u1", "namespace": "default", "name": "web"}],
            "sourceRanges": {"only": ["10.0.0.0/8"]}, "nodes": [{"name": "n1", "addresses": ["192.0.2.1"]}], "generations": [generation],
        })
        .to_string()
    }

    #[test]
    fn the_whole_world_is_printed() {
        let folder = Folder::new("print");
        assert_eq!(folder.mock("").unwrap(), json!({"balancers": {}, "addresses": {}, "faults": []}));
        folder.write("balancers/u1.json", &stored());
        folder.write("addresses/203.0.113.1", r#"{"id": "u1", "instance": ""}"#);
        folder.write("balancers/torn.json", "{");
        folder.mock("fault add slow --on CreateBalancer --id u1 --times 3 --effect hold").unwrap();
        let mut world = folder.mock("").unwrap();
        let hostname = world["balancers"]["u1"]["generations"][0]["hostname"].take();
        assert!(hostname.as_str().unwrap().ends_with(".mock.portolan.dev"));
        assert!(world["problems"][0].as_str().unwrap().contains("torn.json"));
        world["problems"].take();
        let mut expected: Value = serde_json::from_str(&stored()).unwrap();
        let generation = &expected["generations"][0];
        let generation = json!({
            "generation": 1, "scheme": "public", "state": "provisioning", "draining": false, "addresses": ["203.0.113.1"], "hostname": null,
            "listeners": generation["listeners"],
        });
        expected["generations"] = json!([generation]);
        expected.as_object_mut().unwrap().remove("id");
        assert_eq!(
            world,
            json!({
                "balancers": {"u1": expected}, "addresses": {"203.0.113.1": "u1"}, "problems": null,
                "faults": [{"name": "slow", "on": "CreateBalancer", "id": "u1", "times": 3, "effect": "hold", "met": 0}],
            })
        );
    }

    #[test]
    fn faults_are_armed_listed_and_ended() {
        let folder = Folder::new("faults");
        folder.mock("fault add b --on any --at-call 7 --effect crash-after").unwrap();
        folder.mock("fault add a --on observe --effect delay=1m30s").unwrap();
        let listed = json!([
            {"name": "a", "on": "observe", "effect": "delay=90s", "met": 0},
            {"name": "b", "on": "any", "atCall": 7, "effect": "crash-after", "met": 0},
        ]);
        assert_eq!(folder.mock("fault list").unwrap(), listed);
        assert!(folder.mock("fault add a --on any --effect retry").unwrap_err().contains("armed already"));
        folder.mock("fault end a").unwrap();
        assert!(folder.mock("fault end a").unwrap_err().contains("no fault \"a\" is armed"));
        folder.mock("fault end --all").unwrap();
        assert_eq!(folder.mock("fault list").unwrap(), json!([]));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_what_would() {
        let folder = Folder::new("refused");
        for (words, says) in [
            ("fault add f --on Create --effect retry", "CreateBalancer, SetMembers"),
            ("fault add f --on any --effect explode", "crash-before, crash-after"),
            ("fault add f --on any --effect delay=soon", "1m30s"),
            ("fault add f --on any --effect retry --times 0", "counted from 1"),
            ("fault add f --on any --effect retry --times 1 --at-call 1", "cannot be used with"),
            ("fault add f --on SetNodes --effect unhealthy", "observe"),
            ("fault end", "--all"),
            ("fault end f --all", "cannot be used with"),
            ("release", "--all"),
        ] {
            let error = folder.mock(words).unwrap_err();
            assert!(error.contains(says), "{words}: {error}");
        }
    }

    #[test]
    fn a_held_load_balancer_is_released_by_hand_or_with_its_fault() {
        let folder = Folder::new("release");
        let state = || folder.mock("").unwrap()["balancers"]["u1"]["generations"][0]["state"].clone();
        for words in ["release u1", "release --all", "fault end slow", "fault end --all"] {
            folder.write("balancers/u1.json", &stored());
            folder.mock("fault add slow --on CreateBalancer --effect hold").unwrap();
            assert_eq!(state(), "provisioning");
            folder.mock(words).unwrap();
            assert_eq!(state(), "active", "{words}");
            folder.mock("fault end --all").unwrap();
        }
        assert_eq!(folder.mock("release u2").unwrap(), json!([]));
    }
}
