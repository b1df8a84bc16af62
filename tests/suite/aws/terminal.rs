//! A terminal, and the pages that say what to type into one.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};

use crate::harness::{SOON, World};
use crate::server;

/// What stands behind the last line that some commands have printed.
const END: &str = "--- the end of what was typed";

/// The commands of the page that begin with this line, up to the end of their block.
pub(crate) fn commands<'a>(page: &'a str, first: &str) -> &'a str {
    let (_, rest) =
        page.split_once(&format!("```sh\n{first}")).unwrap_or_else(|| panic!("no block begins with {first}"));
    rest.split_once("\n```").expect("the block ends").0
}

/// A shell at the top of the repository. What it runs must succeed.
pub(crate) struct Terminal {
    shell: Child,
    printed: Receiver<String>,
    script: PathBuf,
}

impl Terminal {
    /// With these variables, and with the cluster's administrator for kubectl, in the case's namespace.
    pub(crate) fn new(world: &World, variables: &[(&str, &str)]) -> Self {
        world.kubectl(&["version", "--client"]).unwrap_or_else(|error| panic!("{error}"));
        let mut kubeconfig = world.server.kubeconfig("kubectl");
        kubeconfig["contexts"][0]["context"]["namespace"] = world.namespace.as_str().into();
        let file = |name: &str| world.folder.join(name);
        fs::write(file("terminal.kubeconfig"), kubeconfig.to_string()).unwrap();
        let path = std::env::var("PATH").unwrap_or_default();
        let path = server::assets().map_or_else(|| path.clone(), |assets| format!("{}:{path}", assets.display()));
        let mut command = Command::new("bash");
        command.args(["-euo", "pipefail"]).current_dir(env!("CARGO_MANIFEST_DIR")).env("PATH", path);
        command.env("KUBECONFIG", file("terminal.kubeconfig")).env("KUBECACHEDIR", file("kubectl-cache"));
        let mut shell = command
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("bash starts");
        let (told, printed) = channel();
        let out = BufReader::new(shell.stdout.take().unwrap());
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| told.send(line)));
        let mut terminal = Self { shell, printed, script: file("typed.sh") };
        terminal.types("exec 2>&1");
        terminal
    }

    /// Types this; what is printed. It remembers variables and functions.
    pub(crate) fn types(&mut self, commands: &str) -> String {
        // From a file, so that no command reads those after it.
        fs::write(&self.script, commands).unwrap();
        let input = self.shell.stdin.as_mut().unwrap();
        writeln!(input, ". '{}' </dev/null\necho '{END}'", self.script.display()).unwrap();
        let mut all = String::new();
        loop {
            match self.printed.recv_timeout(SOON * 3) {
                Ok(line) if line == END => return all,
                Ok(line) => all = all + &line + "\n",
                Err(RecvTimeoutError::Timeout) => panic!("this takes too long: {commands}\n{all}"),
                Err(RecvTimeoutError::Disconnected) => panic!("this has failed: {commands}\n{all}"),
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}
