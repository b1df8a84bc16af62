//! The kubeconfig of a sandbox. An existing file that is not a sandbox's is not overwritten: it may be the way into a real cluster.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;
use serde_json::{Value, json};

use crate::yaml;

/// What cluster, user and context are called.
const NAME: &str = "portolan-sandbox";

/// Writes a kubeconfig whose only context is this server.
pub(super) fn write(file: &Path, server: &str) -> anyhow::Result<()> {
    match fs::read_to_string(file) {
        Ok(text) => anyhow::ensure!(
            is_a_sandbox(&text),
            "{} is there and is no sandbox's kubeconfig; name another file, or remove it",
            file.display()
        ),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
    }
    let text = yaml::to_string(&kubeconfig(server))?;
    // Nobody else needs it, and some versions of kubectl's plugins complain about one that others can read.
    let mut opened = OpenOptions::new();
    let opened = opened.write(true).create(true).truncate(true).mode(0o600).open(file);
    let written = opened.and_then(|mut opened| opened.write_all(text.as_bytes()));
    written.with_context(|| format!("cannot write the kubeconfig {}", file.display()))
}

fn is_a_sandbox(text: &str) -> bool {
    let Ok([only]) = <[Value; 1]>::try_from(yaml::documents(text).unwrap_or_default()) else {
        return text.trim().is_empty();
    };
    let contexts = only.get("contexts").and_then(Value::as_array).map_or(0, Vec::len);
    only.get("current-context").and_then(Value::as_str) == Some(NAME) && contexts == 1
}

fn kubeconfig(server: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": NAME, "cluster": {"server": server}}],
        // The API asks for no credentials.
        "users": [{"name": NAME, "user": {}}],
        "contexts": [{"name": NAME, "context": {"cluster": NAME, "user": NAME}}],
        "current-context": NAME,
    })
}

#[cfg(test)]
mod tests {
    use kube::config::Kubeconfig;

    use super::*;

    #[test]
    fn it_is_read_back_and_replaced_but_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kubeconfig");
        write(&file, "http://127.0.0.1:1").unwrap();
        write(&file, "http://127.0.0.1:2").unwrap();
        let read = Kubeconfig::read_from(&file).unwrap();
        assert_eq!(read.clusters[0].cluster.as_ref().unwrap().server.as_deref(), Some("http://127.0.0.1:2"));
        assert_eq!(read.current_context.as_deref(), Some(NAME));

        for precious in
            ["apiVersion: v1\nkind: Config\ncurrent-context: prod\n", "precious", "a: [", "---\n{}\n---\n{}\n"]
        {
            fs::write(&file, precious).unwrap();
            assert!(write(&file, "http://127.0.0.1:3").unwrap_err().to_string().contains("no sandbox's kubeconfig"));
            assert_eq!(fs::read_to_string(&file).unwrap(), precious);
        }
        // One to which somebody has added a cluster of theirs is theirs.
        let merged = "contexts: [{name: a}, {name: portolan-sandbox}]\ncurrent-context: portolan-sandbox\n";
        fs::write(&file, merged).unwrap();
        assert!(write(&file, "http://127.0.0.1:3").is_err());
    }
}
