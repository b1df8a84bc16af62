//! Finding and reaching the API server.

use std::path::PathBuf;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

/// How to reach the cluster.
#[derive(Debug, clap::Args)]
pub(crate) struct ClusterArguments {
    /// The kubeconfig; otherwise $KUBECONFIG, ~/.kube/config, or the Pod's service account.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The kubeconfig's context; otherwise its current one.
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
}

impl ClusterArguments {
    /// A client of its own connections. It does not retry by itself: who calls knows better when to.
    pub(crate) async fn client(&self) -> anyhow::Result<Client> {
        Ok(Client::try_from(self.config().await?)?)
    }

    /// How to reach the API server.
    pub(crate) async fn config(&self) -> anyhow::Result<Config> {
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        let mut config = match (&self.kubeconfig, &self.context) {
            (Some(file), _) => {
                let kubeconfig = Kubeconfig::read_from(file)
                    .map_err(|error| anyhow::anyhow!("kubeconfig {}: {error}", file.display()))?;
                Config::from_custom_kubeconfig(kubeconfig, &options).await?
            }
            (None, Some(_)) => Config::from_kubeconfig(&options).await?,
            (None, None) => Config::infer().await.map_err(|error| {
                anyhow::anyhow!("no cluster found: {error}; give --kubeconfig FILE, set KUBECONFIG, or run in a Pod")
            })?,
        };
        config.connect_timeout = Some(Duration::from_secs(10));
        config.default_retry = false;
        Ok(config)
    }
}
