//! Needs nothing running. `portolan sandbox` as its users have it: a process that prints to what is no terminal.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "this whole crate is tests: they fail by panicking")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Far longer than anything here takes: a line that does not come fails the test.
const PATIENCE: Duration = Duration::from_secs(60);
/// What somebody at a terminal takes for that, with room for a busy machine.
const AT_ONCE: Duration = Duration::from_secs(5);

/// A sandbox that runs, and its lines as they come. It goes with the test.
struct Sandbox {
    child: Child,
    lines: Receiver<String>,
}

impl Sandbox {
    fn start(words: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portolan"));
        let mut child = command.arg("sandbox").args(words).stdout(Stdio::piped()).spawn().unwrap();
        let (told, lines) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| told.send(line)));
        Self { child, lines }
    }

    /// The next line for which this holds.
    fn line(&self, wanted: impl Fn(&str) -> bool) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).expect("the line does not come");
            if wanted(&line) {
                return line;
            }
        }
    }

    fn interrupt(mut self) -> ExitStatus {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        while self.lines.recv_timeout(PATIENCE).is_ok() {}
        self.child.wait().unwrap()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a merge patch, and gives back the status line.
fn patch(server: &str, path: &str, body: &str) -> String {
    let mut connection = TcpStream::connect(server).unwrap();
    let length = body.len();
    write!(
        connection,
        "PATCH {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\
         Content-Type: application/merge-patch+json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    answer.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn it_prints_how_to_use_it_a_table_then_a_line_a_change_and_ctrl_c_leaves_nothing() {
    let sandbox = Sandbox::start(&[]);
    let first = sandbox.line(|_| true);
    let server = first.split("http://").nth(1).unwrap().split(',').next().unwrap().to_owned();
    let kubeconfig = sandbox.line(|line| line.starts_with("kubeconfig: ")).replace("kubeconfig: ", "");
    let world = sandbox.line(|line| line.starts_with("PORTOLAN_MOCK_STATE="));
    let world = world.split('=').nth(1).unwrap().split(' ').next().unwrap();
    for command in ["get services", "describe service -n shop web", "annotate service -n shop web"] {
        let line = sandbox.line(|line| line.starts_with("  "));
        assert!(line.starts_with(&format!("  kubectl --kubeconfig {kubeconfig} {command}")), "{line}");
    }
    sandbox.line(|line| line.contains(" Services are as expected"));

    let mut plan = Command::new(env!("CARGO_BIN_EXE_portolan"));
    let plan = plan.args(["plan", "--kubeconfig", &kubeconfig]).env("PORTOLAN_MOCK_STATE", world);
    let planned = plan.output().unwrap();
    assert!(planned.status.success(), "{}", String::from_utf8_lossy(&planned.stderr));
    let planned = String::from_utf8(planned.stdout).unwrap();
    assert!(planned.contains("shop/web: Claimed (class portolan.dev/mock)\n  nothing to do\n"), "{planned}");

    let internal = r#"{"metadata": {"annotations": {"portolan.dev/scheme": "internal"}}}"#;
    assert_eq!(patch(&server, "/api/v1/namespaces/shop/services/web", internal), "HTTP/1.1 200 OK");
    sandbox.line(|line| line.starts_with("shop/web: 10.255."));

    assert_eq!(sandbox.interrupt().code(), Some(0));
    assert!(!Path::new(&kubeconfig).parent().unwrap().exists());
    assert!(TcpStream::connect(&server).is_err());
}

/// How many Services the audit log says to have been created in `default`, whose manifests are the caller's alone.
fn created(log: &Path) -> usize {
    let ours = |line: &&str| line.contains(r#""requestURI":"/api/v1/namespaces/default/services""#);
    fs::read_to_string(log).unwrap().lines().filter(ours).count()
}

#[test]
#[expect(clippy::disallowed_methods, reason = "how long it takes is the rule")]
fn ctrl_c_ends_it_at_once_however_many_wait_for_an_answer() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("audit.log");
    let sandbox = Sandbox::start(&["--empty", "--audit-log", log.to_str().unwrap()]);
    let server = sandbox.line(|_| true).split("http://").nth(1).unwrap().split(',').next().unwrap().to_owned();
    // Half a minute's work, in a debug build.
    let (connections, each) = (300, 20);
    let create = |number: usize| {
        let body = format!(
            r#"{{"metadata": {{"name": "web-{number}"}}, "spec": {{"type": "LoadBalancer", "ports": [{{"port": 80}}],
                "loadBalancerClass": "portolan.dev/mock"}}}}"#
        );
        format!(
            "POST /api/v1/namespaces/default/services HTTP/1.1\r\nHost: {server}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let connect = |connection: usize| {
        let mut socket = TcpStream::connect(&server).unwrap();
        let requests: String = (0..each).map(|number| create(connection * each + number)).collect();
        socket.write_all(requests.as_bytes()).unwrap();
        socket
    };
    let waiting: Vec<TcpStream> = (0..connections).map(connect).collect();
    while created(&log) == 0 {
        std::thread::yield_now();
    }
    let asked = Instant::now();
    assert_eq!(sandbox.interrupt().code(), Some(0));
    // It is a fraction of a second; all that waits takes far longer, and a busy machine some time for anything.
    assert!(asked.elapsed() < AT_ONCE, "it took {:?}", asked.elapsed());
    drop(waiting);
}

#[test]
fn interrupted_before_it_has_settled_once_it_says_so_to_scripts() {
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    let words = ["--once", "--no-controller", "--timeout", "10m", "--kubeconfig", kubeconfig.to_str().unwrap()];
    let never = Sandbox::start(&words);
    // Signals are heard before the file is there.
    while !kubeconfig.exists() {
        std::thread::yield_now();
    }
    assert_eq!(never.interrupt().code(), Some(130));
}

#[test]
fn once_ends_with_0_when_all_is_as_expected() {
    let ended = Command::new(env!("CARGO_BIN_EXE_portolan")).args(["sandbox", "--once"]).output().unwrap();
    let printed = String::from_utf8(ended.stdout).unwrap();
    assert_eq!(ended.status.code(), Some(0), "{printed}");
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
}
