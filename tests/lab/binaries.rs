//! The real programs: which they are is printed, and one that is missing fails the lab.

use std::path::PathBuf;
use std::process::Command;

use crate::server::assets;

/// From `tests/tools`, and how each says its version.
const BUILT: [(&str, &[&str]); 6] = [
    ("etcd", &["--version"]),
    ("kube-apiserver", &["--version"]),
    ("kube-controller-manager", &["--version"]),
    ("kube-proxy", &["--version"]),
    ("kubectl", &["version", "--client"]),
    ("agnhost", &["--version"]),
];

/// From the machine: what kube-proxy and the lab call.
const INSTALLED: [(&str, &[&str]); 5] = [
    ("nft", &["--version"]),
    ("iptables", &["--version"]),
    ("conntrack", &["--version"]),
    ("tcpdump", &["--version"]),
    ("ip", &["-V"]),
];

/// Where one of the built ones is.
pub(crate) fn path(name: &str) -> PathBuf {
    assets().expect("checked when the lab began").join(name)
}

/// Prints version and sha256 of each; fails with all that is missing.
pub(crate) fn introduce() {
    let Some(folder) = assets() else {
        panic!(
            "the lab needs the real binaries, which tests/tools builds; KUBEBUILDER_ASSETS may name a folder with others"
        );
    };
    let mut missing = Vec::new();
    for (name, arguments) in BUILT {
        let file = folder.join(name);
        if file.exists() {
            println!(
                "{name:24} {}  {}",
                sha256(&file),
                version(Command::new(&file).args(arguments)).unwrap_or_default()
            );
        } else {
            missing.push(format!("{name}: {} is not there; tests/tools builds it", file.display()));
        }
    }
    for (name, arguments) in INSTALLED {
        match version(Command::new(name).args(arguments)) {
            Some(version) => println!("{name:24} {version}"),
            None => missing.push(format!("{name}: not installed; tests/lab/packages installs it")),
        }
    }
    assert!(missing.is_empty(), "the lab lacks\n  {}", missing.join("\n  "));
}

/// Prints the sha256 of a peer's program, whose version is in `tests/modules`; fails if it is not there.
pub(crate) fn introduce_peer(name: &str) -> PathBuf {
    let file = path(name);
    assert!(file.exists(), "{} is not there; tests/tools builds it", file.display());
    println!("{name:24} {}", sha256(&file));
    file
}

/// The first line that it prints; `None` if it does not start.
fn version(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    let said = [output.stdout, output.stderr].concat();
    Some(String::from_utf8_lossy(&said).lines().next().unwrap_or_default().to_owned())
}

fn sha256(file: &PathBuf) -> String {
    let output = Command::new("sha256sum").arg(file).output().expect("sha256sum of coreutils");
    String::from_utf8_lossy(&output.stdout).split_whitespace().next().expect("a digest").to_owned()
}
