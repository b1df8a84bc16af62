//! One moto server for the whole run. It ends with this process, whichever way that ends.

use std::future::Future;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portolan_aws::client::{AccessKey, Aws, Options};
use portolan_aws::clock::SystemClock;

pub(crate) const REGION: &str = "eu-central-1";

struct Moto {
    endpoint: String,
    // The server ends when this pipe to it does.
    _process: Child,
}

/// Runs a case against moto, or says that it did not.
pub(crate) async fn on_moto<F: Future<Output = ()>>(name: &str, case: impl FnOnce(Aws) -> F) {
    let Some(endpoint) = tokio::task::spawn_blocking(endpoint).await.unwrap() else {
        let said =
            format!("SKIPPED: {name}: needs moto: run localstack/tools, or set PORTOLAN_MOTO to a moto_server\n");
        // Past the capture of the test runner, so that nobody takes it for a case that passed.
        std::io::stderr().write_all(said.as_bytes()).unwrap();
        return;
    };
    let aws = connect(&options(&endpoint)).await;
    tokio::time::timeout(Duration::from_secs(120), case(aws)).await.expect("the case ends in two minutes");
}

pub(crate) fn options(endpoint: &str) -> Options {
    Options {
        region: Some(REGION.to_owned()),
        endpoint: Some(endpoint.to_owned()),
        key: Some(AccessKey { id: "AKIDTEST".to_owned(), secret: "secret".to_owned() }),
        ..Options::default()
    }
}

pub(crate) async fn connect(options: &Options) -> Aws {
    Aws::connect(options, Arc::new(SystemClock::start())).await.unwrap()
}

fn endpoint() -> Option<String> {
    // Something else that plays AWS, such as the double in front of an emulator.
    if let Ok(endpoint) = std::env::var("PORTOLAN_AWS_ENDPOINT") {
        return Some(endpoint);
    }
    static MOTO: Mutex<Option<Option<Moto>>> = Mutex::new(None);
    let mut moto = MOTO.lock().unwrap();
    moto.get_or_insert_with(start).as_ref().map(|moto| moto.endpoint.clone())
}

fn program() -> Option<PathBuf> {
    if let Some(program) = std::env::var_os("PORTOLAN_MOTO") {
        return Some(program.into());
    }
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../localstack/tools");
    let built = Command::new(tools).arg("--check").output().ok()?;
    let folder = String::from_utf8(built.stdout).ok()?;
    built.status.success().then(|| Path::new(folder.trim()).join("moto/bin/moto_server"))
}

#[expect(clippy::zombie_processes, reason = "it lives as long as this process and ends with the pipe")]
fn start() -> Option<Moto> {
    let program = program()?;
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let process = Command::new("sh")
        .args(["-c", r#""$0" -H 127.0.0.1 -p "$1" >/dev/null 2>&1 & cat >/dev/null; kill $!"#])
        .arg(&program)
        .arg(port.to_string())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    // There is no event to wait for: moto says on its standard error that it listens, and not always before it does.
    for _ in 0..600 {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Some(Moto { endpoint: format!("http://127.0.0.1:{port}"), _process: process });
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("{} does not listen after a minute", program.display());
}
