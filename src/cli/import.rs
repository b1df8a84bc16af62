//! `portolan import metallb`: what MetalLB's objects and the addresses of live Services become here. Writes nothing unless told to.
//!
//! ```text
//! files or cluster -> Documents -> convert (pure) -> Import -> printed as YAML, or created
//! ```
//!
//! Everything that is no object of ours is printed as a comment, so that what is printed can be applied as it is.

mod account;
mod advertisements;
mod apply;
mod cluster;
mod convert;
mod documents;
mod finding;
mod made;
mod metallb;
mod others;
mod patience;
mod pools;
mod report;
mod services;
mod shares;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use convert::convert;
use documents::Documents;

use crate::cluster::connect;

#[derive(Debug, clap::Args)]
pub(super) struct ImportArguments {
    #[command(subcommand)]
    from: From,
}

#[derive(Debug, clap::Subcommand)]
enum From {
    /// Print what MetalLB's pools and advertisements and the addresses of live Services become here, as YAML for `kubectl apply -f -`.
    /// The exit code is 1 if something that decides who gets or announces an address has no equivalent.
    Metallb(MetallbArguments),
}

#[derive(Debug, clap::Args)]
struct MetallbArguments {
    /// Manifests to read instead of a live cluster: YAML or JSON with MetalLB's objects, and with the Services, Namespaces and Nodes that bear
    /// on them; `-` reads standard input.
    #[arg(short, long = "file", visible_alias = "filename", value_name = "FILES", num_args = 1..)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    cluster: connect::ClusterArguments,
    /// The value of MetalLB's own flag --lb-class, if it was started with one; otherwise it serves Services without a class.
    #[arg(long, value_name = "CLASS")]
    lb_class: Option<String>,
    /// Create what would be printed. Nothing that exists is changed, and no Service is written to; if something exists and differs, nothing is
    /// created at all.
    #[arg(long)]
    apply: bool,
}

pub(super) fn run(arguments: &ImportArguments, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let From::Metallb(arguments) = &arguments.from;
    super::runtime()?.block_on(metallb(arguments, out))
}

async fn metallb(arguments: &MetallbArguments, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let documents = if arguments.files.is_empty() {
        cluster::read(&arguments.cluster.client().await?).await?
    } else {
        Documents::from_files(&arguments.files)?
    };
    let import = convert(&documents, arguments.lb_class.as_deref());
    let is_done = if arguments.apply {
        write!(out, "{}", report::findings(&import))?;
        let outcome = apply::apply(&arguments.cluster.client().await?, &import.made).await?;
        write!(out, "{outcome}{}", report::next(&import, outcome.is_complete()))?;
        outcome.is_complete()
    } else {
        write!(out, "{}", report::whole(&import)?)?;
        true
    };
    let summary = report::summary(&import);
    if import.is_equivalent() {
        tracing::info!("{summary}");
    } else {
        tracing::error!("{summary}");
    }
    Ok(if is_done && import.is_equivalent() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests;
