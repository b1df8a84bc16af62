//! The same from a live cluster. MetalLB's kinds are asked for by what the server knows of its group, so that one that nobody here has heard
//! of is found, too.

use std::collections::BTreeSet;

use anyhow::Context;
use kube::Client;
use serde_json::Value;

use super::documents::Documents;
use super::metallb::GROUP;
use super::patience::patiently;

/// Reads all there is.
pub(super) async fn read(client: &Client) -> anyhow::Result<Documents> {
    let mut documents = Documents::default();
    let groups = patiently("ask the API server for its kinds", || client.list_api_groups()).await?;
    let Some(group) = groups.groups.into_iter().find(|group| group.name == GROUP) else {
        anyhow::bail!(
            "MetalLB's kinds are not in this cluster (the API server has no group {GROUP}); is this the right cluster? For manifests, use --file"
        );
    };
    let mut seen = BTreeSet::new();
    // The server names the newest version first; a kind is read in the newest that has it.
    for version in group.versions {
        let action = format!("ask the API server for the kinds of {}", version.group_version);
        let resources = patiently(&action, || client.list_api_group_resources(&version.group_version)).await?;
        for resource in resources.resources {
            let is_listed = resource.verbs.iter().any(|verb| verb == "list");
            if is_listed && !resource.name.contains('/') && seen.insert(resource.kind.clone()) {
                let path = format!("/apis/{}/{}", version.group_version, resource.name);
                list(client, &path, &resource.kind, &mut documents).await?;
            }
        }
    }
    for (path, kind) in [("services", "Service"), ("namespaces", "Namespace"), ("nodes", "Node")] {
        list(client, &format!("/api/v1/{path}"), kind, &mut documents).await?;
    }
    Ok(documents)
}

async fn list(client: &Client, path: &str, kind: &str, to: &mut Documents) -> anyhow::Result<()> {
    let request = http::Request::get(path).body(Vec::new()).with_context(|| format!("{path} is no path"))?;
    let list: Value = patiently(&format!("list {path}"), || client.request(request.clone())).await?;
    // An answer of something that is not the API server, taken for an empty list, would keep nobody's address.
    if list.get("kind").and_then(Value::as_str) != Some(format!("{kind}List").as_str()) {
        anyhow::bail!("the answer to {path} is no {kind}List; is there a proxy before the API server?");
    }
    to.add(list, path);
    Ok(())
}
