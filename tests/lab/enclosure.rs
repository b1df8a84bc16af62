//! The namespaces in which the whole lab lives: of processes, of mounts, and of the network. It is process 1 of the first, so the kernel
//! ends every process of the lab with it (`pid_namespaces`(7)), and with them, since nothing else holds them, all that it mounted and
//! wired. No name of the lab exists outside, and no cleaning up has to be done that a SIGKILL could forestall.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::api::RUNTIME;

/// Set inside: the process id that the lab has outside, which is that of `unshare`.
const OUTSIDE: &str = "PORTOLAN_LAB_PID";

/// Where the harness of the suite writes.
const FOLDER: &str = "PORTOLAN_SUITE_FOLDER";

/// Which folder holds the real binaries.
const BINARIES: &str = "KUBEBUILDER_ASSETS";

/// How long a lab lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// Until a person ends it.
    Standing,
    /// So long at most, whatever happens.
    AtMost(Duration),
}

impl Life {
    /// Of one that runs its cases.
    pub(crate) const CASES: Self = Self::AtMost(Duration::from_secs(1200));
}

const KINDS: [&str; 4] = ["--pid", "--fork", "--mount", "--net"];

/// Replaces this process by one that waits for another like it inside; there it does nothing. `Err` says why namespaces cannot be made here.
pub(crate) fn enter() -> Result<(), String> {
    if std::env::var_os(OUTSIDE).is_some() {
        return Ok(());
    }
    if !rustix::process::geteuid().is_root() {
        return Err("network namespaces need root".into());
    }
    for (program, version) in [("ip", "-V"), ("unshare", "--version")] {
        if Command::new(program).arg(version).output().is_err() {
            return Err(format!("{program} is not installed (tests/lab/packages says what is)"));
        }
    }
    let tried = Command::new("unshare")
        .args(KINDS)
        .args(["--mount-proc", "true"])
        .output()
        .map_err(|error| error.to_string())?;
    if !tried.status.success() {
        return Err(format!("namespaces cannot be made here: {}", String::from_utf8_lossy(&tried.stderr).trim()));
    }
    let own = std::process::id();
    let folder = prepare_folder(own);
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut inside = Command::new("unshare");
    if let Some(binaries) = built_binaries() {
        inside.env(BINARIES, binaries);
    }
    let error = inside
        .args(KINDS)
        // It ends with unshare too, which is the only process of the lab that others see and may kill.
        .args(["--mount-proc", "--kill-child=SIGKILL"])
        .arg(program)
        .args(std::env::args_os().skip(1))
        .env(OUTSIDE, own.to_string())
        .env(FOLDER, folder)
        .exec();
    Err(format!("unshare does not start: {error}"))
}

/// Makes it habitable: a /run of its own, where iproute2 keeps the names of namespaces and iptables its lock; signals that end it, which a
/// first process would not heed otherwise; and a limit to its life.
pub(crate) fn furnish(life: Life) {
    let mounted = Command::new("mount").args(["-t", "tmpfs", "lab", "/run"]).status();
    assert!(mounted.is_ok_and(|status| status.success()), "a tmpfs can be mounted");
    std::thread::spawn(move || {
        RUNTIME.block_on(async {
            use tokio::signal::unix::{SignalKind, signal};
            let mut interrupted = signal(SignalKind::interrupt()).expect("a signal handler");
            let mut terminated = signal(SignalKind::terminate()).expect("a signal handler");
            tokio::select! {
                _ = interrupted.recv() => {}
                _ = terminated.recv() => {}
                () = over(life) => {
                    eprintln!("lab: ended after the most that it may take, {life:?}");
                    std::process::exit(124);
                }
            }
            if life == Life::Standing {
                let _ = fs::remove_dir_all(folder());
                println!("\nlab: gone");
                // Which is what was asked for.
                std::process::exit(0);
            }
            std::process::exit(130);
        });
    });
}

/// Waits for the end of its life.
async fn over(life: Life) {
    match life {
        Life::Standing => std::future::pending().await,
        Life::AtMost(time) => tokio::time::sleep(time).await,
    }
}

/// Where `tests/tools` has put the binaries, if nobody has said where others are.
fn built_binaries() -> Option<String> {
    if std::env::var_os(BINARIES).is_some() {
        return None;
    }
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools");
    let output = Command::new(tools).arg("--check").output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The process id by which the world outside knows this lab.
pub(crate) fn outside_pid() -> u32 {
    std::env::var(OUTSIDE).ok().and_then(|pid| pid.parse().ok()).expect("the lab is inside")
}

/// All that the lab writes.
pub(crate) fn folder() -> PathBuf {
    std::env::var_os(FOLDER).map(PathBuf::from).expect("the lab is inside")
}

/// The folder of this lab, named after its process. Those of labs that have ended go; inside nobody could tell, for /proc there shows the lab alone.
fn prepare_folder(own: u32) -> PathBuf {
    // A lab that a lab starts writes in its folder.
    let around = std::env::var_os(FOLDER).map(PathBuf::from);
    let parent = around.unwrap_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR"))).join("lab");
    for entry in fs::read_dir(&parent).into_iter().flatten().flatten() {
        if !Path::new("/proc").join(entry.file_name()).exists() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    let folder = parent.join(own.to_string());
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("the target folder can be written");
    folder
}
