//! The emulators: each started once for the whole run, and ended with it.

use std::future::Future;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use portolan_aws_double::{Builder, Double, Seed};

use crate::client::Client;

pub(crate) const REGION: &str = "eu-central-1";

#[derive(Debug, Clone, Copy)]
pub(crate) enum Which {
    Moto,
    LocalStack,
}

struct Emulator {
    endpoint: String,
    // Its standard input is open as long as this process lives; localstack/run ends with it.
    _process: Child,
}

/// What a case is given.
pub(crate) struct World {
    upstream: String,
}

/// A double with a client of it and a network behind it.
pub(crate) struct Estate {
    pub(crate) double: Double,
    pub(crate) client: Client,
    pub(crate) seed: Seed,
}

impl World {
    /// A double in an account of its own, as it is unless a case says otherwise.
    pub(crate) async fn estate(&self) -> Estate {
        self.estate_with(|builder| builder).await
    }

    pub(crate) async fn estate_with(&self, with: impl FnOnce(Builder) -> Builder) -> Estate {
        let double = with(Double::at(&self.upstream)).start().await.unwrap();
        let seed = double.seed(REGION, "prod").await.unwrap();
        let client = Client::of(&double.endpoint(), "AKIDTEST");
        Estate { double, client, seed }
    }
}

/// Runs one case, or says that it was skipped.
pub(crate) async fn run<F: Future<Output = ()>>(which: Which, name: &str, case: impl FnOnce(World) -> F) {
    match tokio::task::spawn_blocking(move || endpoint(which)).await.unwrap() {
        Some(upstream) => tokio::time::timeout(Duration::from_secs(120), case(World { upstream }))
            .await
            .expect("the case ends in two minutes"),
        None => say(&format!("SKIPPED: needs localstack/tools to have run: {which:?}: {name}\n")),
    }
}

/// Past the capture of the test runner, so that nobody takes a case that did not run for one that passed.
fn say(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

fn endpoint(which: Which) -> Option<String> {
    static MOTO: Mutex<Option<Option<Emulator>>> = Mutex::new(None);
    static LOCALSTACK: Mutex<Option<Option<Emulator>>> = Mutex::new(None);
    let cell = match which {
        Which::Moto => &MOTO,
        Which::LocalStack => &LOCALSTACK,
    };
    let mut cell = cell.lock().unwrap();
    cell.get_or_insert_with(|| start(which)).as_ref().map(|emulator| emulator.endpoint.clone())
}

fn start(which: Which) -> Option<Emulator> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(PathBuf::from).unwrap();
    let built = Command::new(folder.join("tools")).arg("--check").output().unwrap();
    if !built.status.success() {
        return None;
    }
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let log = std::env::temp_dir().join(format!("portolan-{which:?}-{}.log", std::process::id()));
    let mut command = Command::new(folder.join("run"));
    command.args(["--port", &port.to_string(), "--until-eof"]);
    if matches!(which, Which::Moto) {
        command.arg("--moto");
    }
    let mut process = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let mut endpoint = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut endpoint).unwrap();
    assert!(endpoint.starts_with("http://"), "{which:?} did not start; see {}", log.display());
    Some(Emulator { endpoint: endpoint.trim().to_owned(), _process: process })
}
