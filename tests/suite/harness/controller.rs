//! A `portolan controller` process, as a user would start it.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use serde_json::{Value, json};

use super::World;
use crate::gate::Gate;
use crate::process::Process;
use crate::server::{Server, tail};

/// How to start a controller. Starting it twice starts the same one: same user, same configuration, same log.
#[derive(Clone)]
pub(crate) struct Setup {
    /// Its user in the audit log.
    pub(crate) user: String,
    server: &'static Server,
    folder: PathBuf,
    kubeconfig: Value,
    configuration: Value,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
}

impl Setup {
    pub(crate) fn new(world: &World) -> Self {
        let user = world.new_user();
        let state = world.folder.join("mock");
        let configuration = json!({
            "apiVersion": "portolan.dev/v1alpha1",
            "kind": "Configuration",
            "instance": world.instance,
            "watchNamespaces": [world.namespace],
            "classes": [{"name": "portolan.dev/mock", "provider": "mock", "parameters": {"state": state}}],
        });
        let kubeconfig = world.server.kubeconfig(&user);
        let folder = world.folder.clone();
        let arguments = vec!["--no-leader-election".into()];
        let environment = Vec::new();
        Self { user, server: world.server, folder, kubeconfig, configuration, arguments, environment }
    }

    /// With this merged over its configuration (RFC 7386).
    pub(crate) fn configured(mut self, changes: Value) -> Self {
        self.configuration = super::merged(self.configuration, changes);
        self
    }

    /// With this merged over its first class.
    pub(crate) fn class(mut self, changes: Value) -> Self {
        let class = self.configuration["classes"][0].take();
        self.configuration["classes"][0] = super::merged(class, changes);
        self
    }

    /// With these variables in its environment, and nobody else's.
    #[allow(dead_code, reason = "for the suite, not for the benches")]
    pub(crate) fn environment(mut self, variables: Vec<(String, String)>) -> Self {
        self.environment = variables;
        self
    }

    /// Its configuration, as it will find it.
    #[allow(dead_code, reason = "for the suite, not for the benches")]
    pub(crate) fn configuration(&self) -> &Value {
        &self.configuration
    }

    /// Behind the gate instead of at the server.
    pub(crate) fn through(mut self, world: &World, gate: &Gate) -> Self {
        self.kubeconfig = world.server.kubeconfig_through(gate.url(), &self.user);
        self
    }

    /// At another server.
    pub(crate) fn at(mut self, server: &Server) -> Self {
        self.kubeconfig = server.kubeconfig(&self.user);
        self
    }

    /// As somebody else than a user of the group of Portolans.
    pub(crate) fn authenticated(mut self, user: &str, kubeconfig: Value) -> Self {
        self.user = user.to_owned();
        self.kubeconfig = kubeconfig;
        self
    }

    /// Its instance name.
    pub(crate) fn instance(&self) -> &str {
        self.configuration["instance"].as_str().unwrap()
    }

    /// With leader election, under the instance name that it has now.
    pub(crate) fn with_leader_election(self) -> Self {
        self.server.grant_lease(self.instance());
        self.elected_by_own_rights()
    }

    /// With leader election, which its user may or may not have the right to stand for.
    pub(crate) fn elected_by_own_rights(mut self) -> Self {
        self.arguments.retain(|argument| argument != "--no-leader-election");
        self
    }

    /// A second controller that differs only in its user.
    pub(crate) fn twin(&self, world: &World) -> Self {
        let user = world.new_user();
        Self { kubeconfig: world.server.kubeconfig(&user), user, ..self.clone() }
    }

    /// Starts it.
    pub(crate) fn start(&self) -> Controller {
        let file = |kind: &str| self.folder.join(format!("{}.{kind}", self.user));
        let write = |kind: &str, value: &Value| {
            fs::write(file(kind), serde_json::to_vec_pretty(value).unwrap()).unwrap();
            file(kind)
        };
        let log = file("log");
        let output = fs::File::options().create(true).append(true).open(&log).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_portolan"));
        command.arg("controller");
        command.arg("--kubeconfig").arg(write("kubeconfig", &self.kubeconfig));
        command.arg("--config").arg(write("yaml", &self.configuration));
        command.args(&self.arguments).env("NO_COLOR", "1").env_remove("RUST_LOG");
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdout(output.try_clone().unwrap()).stderr(output);
        Controller { process: Process::spawn(&mut command).expect("portolan starts"), user: self.user.clone(), log }
    }
}

/// A running controller. Going out of scope kills it; if the case has failed, its log's end is printed.
pub(crate) struct Controller {
    /// The process, for a gate that kills it.
    pub(crate) process: Process,
    /// Its user in the audit log.
    pub(crate) user: String,
    log: PathBuf,
}

impl Controller {
    /// SIGKILL; returns when it is dead.
    pub(crate) fn kill(&self) {
        self.process.kill();
    }

    /// SIGTERM; how it ended, or `None` if it still runs after so long.
    pub(crate) fn terminate(&self, within: Duration) -> Option<ExitStatus> {
        self.process.signal("TERM");
        self.process.wait(within)
    }

    /// What it has printed, of all its lives.
    pub(crate) fn log(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Fails if it has panicked or ended.
    pub(crate) fn is_well(&self) {
        assert!(!self.log().contains("panicked at"), "{} panicked", self.user);
        assert!(self.process.is_running(), "{} has ended: {:?}", self.user, self.process.exit());
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        self.process.kill();
        if std::thread::panicking() {
            println!("--- the end of {}\n{}\n---", self.log.display(), tail(&self.log));
        }
    }
}
