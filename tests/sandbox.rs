//! Needs nothing running; what is of AWS needs what `localstack/tools` obtains, what is of speakers (`sandbox/speaker.rs`) root, and says SKIPPED
//! without. `portolan sandbox` as its users have it: a process that prints to what is no terminal.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "this whole crate is tests: they fail by panicking")]

#[path = "sandbox/speaker.rs"]
mod speaker;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use portolan_aws_double::emulator::{self, Which};
use portolan_aws_double::{Double, Timings};

/// Far longer than anything here takes: a line that does not come fails the test.
const PATIENCE: Duration = Duration::from_secs(60);
/// What somebody at a terminal takes for that, with room for a busy machine.
const AT_ONCE: Duration = Duration::from_secs(5);

const REGION: &str = "us-east-1";

/// A sandbox that runs, and its lines as they come. It goes with the test.
struct Sandbox {
    child: Child,
    lines: Receiver<String>,
}

impl Sandbox {
    fn start(words: &[&str]) -> Self {
        Self::spawn(Command::new(env!("CARGO_BIN_EXE_portolan")).arg("sandbox").args(words))
    }

    /// Of Network Load Balancers, at this endpoint.
    fn at_aws(endpoint: &str) -> Self {
        Self::spawn(at_aws().env("AWS_ENDPOINT_URL", endpoint))
    }

    fn spawn(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
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

/// A sandbox of Network Load Balancers, wherever its user's own environment leads.
fn at_aws() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portolan"));
    command.args(["sandbox", "--provider", "aws"]);
    let variables = [
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_REGION", REGION),
        ("AWS_CONFIG_FILE", "/dev/null"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
    ];
    command.envs(variables).env_remove("AWS_ENDPOINT_URL").env_remove("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS");
    command
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
    for provider in ["mock", "metal"] {
        let words = ["sandbox", "--once", "--provider", provider];
        let ended = Command::new(env!("CARGO_BIN_EXE_portolan")).args(words).output().unwrap();
        let printed = String::from_utf8(ended.stdout).unwrap();
        assert_eq!(ended.status.code(), Some(0), "{provider}: {printed}");
        assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
    }
}

/// The double of AWS with the cluster's network behind it; none where the emulator cannot be had.
async fn cloud(case: &str) -> Option<Double> {
    let Some(upstream) = emulator::endpoint(Which::Moto).await.unwrap() else {
        emulator::say_skipped(Which::Moto, case);
        return None;
    };
    let double = Double::at(&upstream).timings(Timings::none()).start().await.unwrap();
    double.seed(REGION, "prod").await.unwrap();
    Some(double)
}

/// A line of the table, or of a change: the Service has this hostname, and is well.
fn hostname(line: &str, service: &str) -> Option<String> {
    let mut words = line.split_whitespace().filter(|_| line.starts_with(service) && line.contains("all True"));
    words.find(|word| word.ends_with(&format!(".elb.{REGION}.amazonaws.com"))).map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn at_aws_its_table_has_hostnames_that_follow_an_edit_and_ctrl_c_ends_it() {
    let Some(double) = cloud("a sandbox at AWS").await else { return };
    let endpoint = double.endpoint();
    let sandbox = Sandbox::at_aws(&endpoint);
    let server = sandbox.line(|_| true).split("http://").nth(1).unwrap().split(',').next().unwrap().to_owned();
    let where_to = sandbox.line(|line| line.contains("Network Load Balancers"));
    assert!(where_to.contains(&endpoint) && where_to.contains(REGION), "{where_to}");
    let first = hostname(&sandbox.line(|line| hostname(line, "shop/web").is_some()), "shop/web").unwrap();
    let settled = sandbox.line(|line| line.contains(" Services are as expected"));
    assert_eq!(settled, "7 of 7 Services are as expected; 6 are claimed");

    let public = r#"{"metadata": {"annotations": {"portolan.dev/scheme": "public"}}}"#;
    assert_eq!(patch(&server, "/api/v1/namespaces/shop/services/web", public), "HTTP/1.1 200 OK");
    sandbox.line(|line| hostname(line, "shop/web").is_some_and(|now| now != first));

    assert_eq!(sandbox.interrupt().code(), Some(0));
    assert!(TcpStream::connect(&server).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn at_aws_the_next_sandbox_leaves_alone_what_the_one_before_has_left() {
    let Some(double) = cloud("two sandboxes, one after the other").await else { return };
    let run = || {
        let sandbox = Sandbox::at_aws(&double.endpoint());
        sandbox.line(|line| line.starts_with("7 of 7 Services are as expected"));
        assert_eq!(sandbox.interrupt().code(), Some(0));
    };
    run();
    let left = double.inventory(REGION).await;
    assert_eq!(left.balancers.len(), 4, "they stay when it ends");
    let mark = double.log().mark();
    run();
    let now = double.inventory(REGION).await;
    assert_eq!(now.balancers.len(), 8, "each has its own");
    let as_before = left.listeners.iter().all(|(key, listener)| now.listeners.get(key) == Some(listener))
        && left.targets.iter().all(|(group, targets)| now.targets.get(group) == Some(targets))
        && left.tags.iter().all(|(arn, tags)| now.tags.get(arn) == Some(tags));
    assert!(as_before, "{left:#?} became {now:#?}");
    let calls = double.log().calls_since(mark);
    let takes = ["Delete", "Deregister", "Remove", "Revoke"];
    let took: Vec<_> = calls.iter().filter(|call| takes.iter().any(|verb| call.action.starts_with(verb))).collect();
    assert!(took.is_empty(), "{took:#?}");
}

#[test]
fn at_aws_without_an_endpoint_it_refuses_and_says_how_to_have_one() {
    let ended = at_aws().output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!((ended.status.code(), ended.stdout.len()), (Some(1), 0), "{said}");
    assert!(said.contains("AWS_ENDPOINT_URL is not set") && said.contains("localstack/run"), "{said}");
}
