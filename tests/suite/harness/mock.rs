//! The mock provider's state, through `portolan mock`.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

/// One state folder.
pub(crate) struct Mock {
    state: PathBuf,
}

impl Mock {
    pub(crate) fn new(state: PathBuf) -> Self {
        Self { state }
    }

    /// Everything, as `portolan mock` prints it.
    pub(crate) fn state(&self) -> Value {
        let text = self.run(&[]);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("portolan mock does not print JSON: {error}\n{text}"))
    }

    /// The load balancers by id.
    pub(crate) fn balancers(&self) -> serde_json::Map<String, Value> {
        let state = self.state();
        assert!(state["problems"].as_array().is_none_or(Vec::is_empty), "{state:#}");
        state["balancers"].as_object().cloned().unwrap_or_default()
    }

    /// The addresses that are given to somebody.
    pub(crate) fn addresses(&self) -> serde_json::Map<String, Value> {
        self.state()["addresses"].as_object().cloned().unwrap_or_default()
    }

    /// Arms a fault: `--on ... --effect ...`.
    pub(crate) fn fault(&self, name: &str, arguments: &[&str]) {
        let mut all = vec!["fault", "add", name];
        all.extend_from_slice(arguments);
        self.run(&all);
    }

    /// Ends all faults.
    pub(crate) fn end_faults(&self) {
        self.run(&["fault", "end", "--all"]);
    }

    /// `portolan mock` with these arguments; what it prints.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portolan"));
        command.arg("mock").arg("--state").arg(&self.state).args(arguments);
        let output = command.output().expect("portolan starts");
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "portolan mock {arguments:?}: {stdout}{stderr}");
        stdout.into_owned()
    }
}
