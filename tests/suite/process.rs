//! Child processes that never outlive this test process, however it ends.

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

/// A child process. Clones name the same one; the last to go kills it.
#[derive(Clone)]
pub(crate) struct Process(Arc<Running>);

struct Running {
    child: Mutex<Child>,
    pid: u32,
}

impl Process {
    /// Starts the command and has it watched.
    pub(crate) fn spawn(command: &mut Command) -> io::Result<Self> {
        let child = command.stdin(Stdio::null()).spawn()?;
        let pid = child.id();
        tell_watchdog(&format!("+ {pid}"));
        Ok(Self(Arc::new(Running { child: Mutex::new(child), pid })))
    }

    /// SIGKILL, and waits until it is dead: nothing it does comes after this call.
    pub(crate) fn kill(&self) {
        self.0.kill();
    }

    /// Sends a signal by name. The process is still ours to wait for, so its number cannot belong to anybody else.
    pub(crate) fn signal(&self, name: &str) {
        if self.is_running() {
            let status = Command::new("kill").args([&format!("-{name}"), &self.0.pid.to_string()]).status();
            assert!(status.is_ok_and(|status| status.success()), "could not send SIG{name}");
        }
    }

    /// Its process id.
    #[allow(dead_code, reason = "for the benches")]
    pub(crate) fn pid(&self) -> u32 {
        self.0.pid
    }

    /// It has not ended yet.
    pub(crate) fn is_running(&self) -> bool {
        self.exit().is_none()
    }

    /// How it ended, if it has.
    pub(crate) fn exit(&self) -> Option<ExitStatus> {
        self.0.child.lock().unwrap().try_wait().unwrap()
    }

    /// How it ended; `None` if it still runs after so long.
    pub(crate) fn wait(&self, within: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + within;
        loop {
            if let Some(status) = self.exit() {
                return Some(status);
            }
            if Instant::now() > deadline {
                return None;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Running {
    fn kill(&self) {
        // A thread that panicked while it waited does not make the child less killable.
        let mut child = self.child.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
        tell_watchdog(&format!("- {}", self.pid));
    }
}

/// A shell that lives in its own process group and reads our pipe. When we end, by whatever signal, the kernel closes the pipe
/// and the shell kills who is left. (`PR_SET_PDEATHSIG` would need a thread that never ends, and exists on Linux only.)
const WATCHDOG: &str = r#"
alive=" "
while read -r sign pid; do
  case $sign in
    +) alive="$alive$pid " ;;
    -) alive="${alive%% $pid *} ${alive#* $pid }" ;;
  esac
done
for pid in $alive; do kill -9 "$pid" 2>/dev/null; done
"#;

fn tell_watchdog(line: &str) {
    static PIPE: OnceLock<Mutex<ChildStdin>> = OnceLock::new();
    let pipe = PIPE.get_or_init(|| {
        let mut command = Command::new("sh");
        command
            .args(["-c", WATCHDOG])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0);
        Mutex::new(command.spawn().expect("sh starts").stdin.take().expect("its stdin is a pipe"))
    });
    let mut pipe = pipe.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    writeln!(pipe, "{line}").expect("the watchdog listens");
}
