//! Starting an emulator from a test: once for the process, ended with it, by `localstack/run`.
//!
//! ```no_run
//! # async fn example() {
//! use portolan_aws_double::emulator::{self, Which};
//!
//! match emulator::endpoint(Which::Moto).await.expect("it starts") {
//!     Some(upstream) => drop(portolan_aws_double::Double::start(&upstream).await),
//!     None => emulator::say_skipped(Which::Moto, "the name of the case"),
//! }
//! # }
//! ```

use std::io::{BufRead, BufReader, Error, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// One of the emulators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// moto's own server.
    Moto,
    /// LocalStack with our plugin; `PORTOLAN_LOCALSTACK`, like `PORTOLAN_MOTO`, may name one that runs already.
    LocalStack,
}

struct Emulator {
    endpoint: String,
    /// Its standard input is open as long as this process lives; `localstack/run` ends with it. `None`: somebody else's.
    _process: Option<Child>,
}

/// Not asked yet, or what came of it; `None` inside: not built.
type Cell = Mutex<Option<Option<Emulator>>>;

/// The endpoint of this emulator, which is started on first use; `None` if `localstack/tools` has not built it.
///
/// With `PORTOLAN_EMULATOR=localstack` in the environment LocalStack stands where moto is asked for, so that every case runs on it.
///
/// # Errors
/// If it is built and does not start.
pub async fn endpoint(which: Which) -> std::io::Result<Option<String>> {
    tokio::task::spawn_blocking(move || endpoint_now(which)).await.map_err(Error::other)?
}

const EMULATOR: &str = "PORTOLAN_EMULATOR";

fn endpoint_now(which: Which) -> std::io::Result<Option<String>> {
    static MOTO: Cell = Mutex::new(None);
    static LOCALSTACK: Cell = Mutex::new(None);
    let cell = match which {
        Which::Moto => &MOTO,
        Which::LocalStack => &LOCALSTACK,
    };
    // The other cases wait here until the first has started it.
    let mut cell = cell.lock().unwrap_or_else(PoisonError::into_inner);
    if cell.is_none() {
        *cell = Some(start(which)?);
    }
    Ok(cell.as_ref().and_then(|emulator| emulator.as_ref()).map(|emulator| emulator.endpoint.clone()))
}

/// Says that a case did not run, past the capture of the test runner, so that nobody takes it for one that passed.
pub fn say_skipped(which: Which, case: &str) {
    let line = format!("SKIPPED: needs localstack/tools to have run: {which:?}: {case}\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
}

fn start(which: Which) -> std::io::Result<Option<Emulator>> {
    let (variable, flag) = match which {
        Which::Moto => ("PORTOLAN_MOTO", Some("--moto")),
        Which::LocalStack => ("PORTOLAN_LOCALSTACK", None),
    };
    let flag = flag.filter(|_| !std::env::var(EMULATOR).is_ok_and(|emulator| emulator == "localstack"));
    if let Ok(endpoint) = std::env::var(variable) {
        return Ok(Some(Emulator { endpoint, _process: None }));
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    if !Command::new(folder.join("tools")).arg("--check").output()?.status.success() {
        return Ok(None);
    }
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let log = std::env::temp_dir().join(format!("portolan-{which:?}.log"));
    let mut process = Command::new(folder.join("run"))
        .args(["--until-eof", "--port", &port.to_string()])
        .args(flag)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(&log)?)
        .spawn()?;
    let mut endpoint = String::new();
    if let Some(out) = process.stdout.take() {
        BufReader::new(out).read_line(&mut endpoint)?;
    }
    if !endpoint.starts_with("http://") {
        return Err(Error::other(format!("{which:?} did not start; see {}", log.display())));
    }
    Ok(Some(Emulator { endpoint: endpoint.trim().to_owned(), _process: Some(process) }))
}
