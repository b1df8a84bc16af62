//! Stock kubectl on two servers: what it prints on the sandbox is what it prints on the real one. The commands are data
//! (`testdata/kubectl/script.txt`); nobody has typed what they answer. With PORTOLAN_SUITE_TRACE set, each is told with its exit code and
//! how long it took. Neither server has kube-controller-manager beside it, since the sandbox has no controllers.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::Instant;

use regex::Regex;
use similar::TextDiff;

use crate::case;
use crate::process::Process;
use crate::server::Server;

/// The commands and what they use.
const FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/kubectl");

/// A server that kubectl is sent to.
pub(crate) struct Place {
    /// The folder in which its commands run.
    folder: PathBuf,
    assets: PathBuf,
}

/// What came back.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Came {
    pub(crate) code: Option<i32>,
    out: String,
    error: String,
}

#[test]
fn a_script_of_kubectl_commands_prints_the_same_on_both_servers() {
    case::real_without_neighbours(|_| {
        // One that nobody else has written to.
        let server = &Server::start("kubectl").expect("it is there: the case runs");
        server.apply_crds();
        let script = fs::read_to_string(Path::new(FILES).join("script.txt")).unwrap();
        let commands: Vec<&str> = script.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
        assert!(commands.len() >= 40, "that is no script: {} commands", commands.len());
        let (_sandbox, kubeconfig) = sandbox(&server.folder);
        let real = Place::new(server, "on-real", &server.kubeconfig("admin").to_string());
        let ours = Place::new(server, "on-sandbox", &fs::read_to_string(kubeconfig).unwrap());
        let (real, ours) = std::thread::scope(|scope| {
            let real = scope.spawn(|| real.run(&commands));
            let ours = scope.spawn(|| ours.run(&commands));
            (real.join().unwrap(), ours.join().unwrap())
        });
        let pairs = commands.iter().zip(real.iter().zip(&ours));
        let differ: Vec<String> = pairs
            .filter(|(_, (real, ours))| real != ours)
            .map(|(command, (real, ours))| format!("$ {command}\n{}", real.against(ours)))
            .collect();
        let (all, wrong) = (commands.len(), differ.len());
        assert!(differ.is_empty(), "{wrong} of {all} commands (-real, +sandbox)\n\n{}", differ.join("\n"));
        case::say(&format!("kubectl: {all} commands print the same on both servers"));
    });
}

/// A sandbox without a controller and without Services, and its kubeconfig.
pub(crate) fn sandbox(folder: &Path) -> (Process, PathBuf) {
    let (cluster, kubeconfig) = (folder.join("sandbox.yaml"), folder.join("sandbox.kubeconfig"));
    fs::write(&cluster, "{apiVersion: v1, kind: Namespace, metadata: {name: default}}").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_portolan"));
    command.args(["sandbox", "--no-controller", "--kubeconfig"]).arg(&kubeconfig).arg(&cluster);
    let (out, written) = std::io::pipe().unwrap();
    let process = Process::spawn(command.stdout(written)).unwrap();
    drop(command);
    // It says where the kubeconfig is when it listens.
    let mut lines = BufReader::new(out).lines();
    assert!(lines.any(|line| line.unwrap().starts_with("kubeconfig: ")), "the sandbox ended early");
    std::thread::spawn(move || lines.for_each(drop)); // a pipe that is full would stop it
    (process, kubeconfig)
}

impl Place {
    pub(crate) fn new(server: &Server, name: &str, kubeconfig: &str) -> Self {
        let folder = server.folder.join(name);
        fs::create_dir_all(&folder).unwrap();
        for file in fs::read_dir(FILES).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), folder.join(file.file_name())).unwrap();
        }
        fs::write(folder.join("kubeconfig"), kubeconfig).unwrap();
        Self { folder, assets: std::env::var_os("KUBEBUILDER_ASSETS").expect("the case runs").into() }
    }

    pub(crate) fn run(&self, commands: &[&str]) -> Vec<Came> {
        commands.iter().map(|command| self.run_one(command)).collect()
    }

    fn run_one(&self, line: &str) -> Came {
        let path = format!("{}:{}", self.assets.display(), std::env::var("PATH").unwrap_or_default());
        let started = Instant::now();
        let output = Command::new("timeout")
            .args(["60", "bash", "-c", &format!(". ./prelude.sh; {line}")])
            .current_dir(&self.folder)
            .env("PATH", path)
            .env("HOME", &self.folder)
            .env("KUBECONFIG", self.folder.join("kubeconfig"))
            .env("TZ", "UTC")
            .stdin(Stdio::null())
            .output()
            .expect("bash starts");
        if std::env::var_os("PORTOLAN_SUITE_TRACE").is_some() {
            case::say(&format!(
                "{} {:>6} ms  {line}",
                self.folder.file_name().unwrap().display(),
                started.elapsed().as_millis()
            ));
        }
        // No time left, or no such command: that is no answer that could be the same.
        assert!(!matches!(output.status.code(), None | Some(124 | 126 | 127)), "{line}: {output:?}");
        let text = |bytes: &[u8]| normal(&String::from_utf8_lossy(bytes));
        Came { code: output.status.code(), out: text(&output.stdout), error: text(&output.stderr) }
    }
}

impl Came {
    fn against(&self, other: &Self) -> String {
        let mut differ = String::new();
        if self.code != other.code {
            differ.push_str(&format!("  exit code {:?}, {:?}\n", self.code, other.code));
        }
        for (what, real, ours) in [("output", &self.out, &other.out), ("error", &self.error, &other.error)] {
            if real != ours {
                let diff = TextDiff::from_lines(real.as_str(), ours.as_str());
                differ.push_str(&format!(
                    "  {what}:\n{}",
                    diff.unified_diff().context_radius(2).missing_newline_hint(false)
                ));
            }
        }
        differ
    }
}

/// What differs between any two clusters and any two moments, and the word that stands for it.
static DIFFERS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    [
        (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UID"),
        (r#"(resourceVersion"?:\s*"?)\d+"#, "${1}VERSION"),
        (r"(Resource Version:\s+)\d+", "${1}VERSION"),
        (r#"("continue":\s*)"[^"]*""#, "${1}TOKEN"),
        (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z| \+0000)", "TIME"),
        (r"\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d \w{3} \d{4} \d\d:\d\d:\d\d \+0000", "TIME"),
        // What klog prints for information depends on how fast things go.
        (r"(?m)^I\d{4} \d\d:\d\d:\d\d\.\d+ .*\n", ""),
        (r"(?m)^([EW])\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ ", "${1} "),
        (r"https?://127\.0\.0\.1:\d+", "SERVER"),
        (r"127\.0\.0\.1:\d+", "SERVER"),
        // The ranges are those of each server; which of them is taken, it draws.
        (r"\b10\.(96|\d|1[0-5])\.\d+\.\d+\b", "CLUSTER-IP"),
        (r"\bfd00:(10|96)::[0-9a-f:]+", "CLUSTER-IP"),
        (r"(\d+):\d{5}/", "${1}:NODE-PORT/"),
        (r#"([nN]odePort"?:\s*)\d+"#, "${1}NODE-PORT"),
        (r"(NodePort:\s+\S+\s+)\d+", "${1}NODE-PORT"),
        (r"(HealthCheck NodePort:\s+)\d+", "${1}NODE-PORT"),
        (r"/tmp/(LIVE|MERGED)-\d+", "${1}"),
        (r"kubectl-edit-\w+", "EDITED"),
        // An age, in a table or after a word; years and days of a time that never changes stay.
        (r#"(?m)(^|\s|")(?:\d+m)?\d+[ms](\s|"|$)"#, "${1}AGE${2}"),
    ]
    .map(|(pattern, word)| (Regex::new(pattern).expect("a pattern"), word))
    .into()
});

/// The same text on every server. Columns are as wide as what stands in them, so blanks are counted at the beginning of a line alone.
pub(crate) fn normal(text: &str) -> String {
    let text =
        DIFFERS.iter().fold(text.to_owned(), |text, (pattern, word)| pattern.replace_all(&text, *word).into_owned());
    let blanks = Regex::new(r"(\S) {2,}").expect("a pattern");
    blanks.replace_all(&text, "${1}  ").into_owned()
}
