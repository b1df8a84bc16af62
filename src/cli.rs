//! The command line. One file a subcommand.

mod check_config;
pub(crate) mod controller;
mod crds;
#[cfg(test)]
mod deployed;
mod import;
mod manifest;
mod mock;
mod plan;
#[cfg(feature = "sandbox")]
mod sandbox;
mod speaker;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand, ValueEnum};

use crate::config::{self, Configuration};
use crate::providers::{self, check_parameters};

/// Gives every Kubernetes Service of type LoadBalancer an address.
#[derive(Debug, Parser)]
#[command(name = "portolan", version, about)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Which log lines to write to standard error: a level, or tracing's `target=level,...` [default: info; of a sandbox, error]
    #[arg(long, global = true, env = "PORTOLAN_LOG", value_name = "FILTER")]
    log: Option<String>,
    /// How log lines look.
    #[arg(long, global = true, env = "PORTOLAN_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start an in-memory Kubernetes API with a controller and Services of every kind, and show what becomes of them.
    #[cfg(feature = "sandbox")]
    Sandbox(sandbox::SandboxArguments),
    /// Run the controller against a cluster.
    Controller(controller::ControllerArguments),
    /// Answer for the addresses that this node owns. Runs on each node, as root with the capability NET_RAW and no other.
    Speaker(speaker::SpeakerArguments),
    /// Show what would be done for every Service, and write nothing.
    Plan(plan::PlanArguments),
    /// Print our CustomResourceDefinitions as YAML, for `kubectl apply --server-side -f -`.
    Crds,
    /// Check a configuration file as a whole and print every error in it.
    CheckConfig(check_config::Args),
    /// Turn what another load balancer has in the cluster into ours, with the same addresses. Prints it, and writes nothing unless told to.
    Import(import::ImportArguments),
    /// Print the state of the mock provider, or arm and end faults in it.
    Mock(mock::MockArgs),
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

impl Arguments {
    /// Runs the subcommand. Errors go to standard error, with what to do next.
    pub fn run(self) -> ExitCode {
        if let Err(error) = self.start_log() {
            return fail(&error);
        }
        let mut out = std::io::stdout().lock();
        let result = match self.command {
            #[cfg(feature = "sandbox")]
            Command::Sandbox(arguments) => {
                let terminal = std::io::IsTerminal::is_terminal(&out);
                sandbox::run(&arguments, &mut out, terminal)
            }
            Command::Controller(arguments) => controller::run(&arguments),
            Command::Speaker(arguments) => speaker::run(&arguments),
            Command::Plan(arguments) => plan::run(&arguments, &mut out),
            Command::Crds => crds::run(&mut out),
            Command::CheckConfig(arguments) => {
                check_config::run(&arguments, &check_parameters, &mut out).map(ExitCode::from).map_err(Into::into)
            }
            Command::Import(arguments) => import::run(&arguments, &mut out),
            Command::Mock(arguments) => mock::run(arguments, &mut out).map(|()| ExitCode::SUCCESS),
        };
        match result {
            Ok(code) => code,
            // A reader such as `head` has seen enough: that is no error.
            Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
            Err(error) => fail(&error),
        }
    }

    fn start_log(&self) -> anyhow::Result<()> {
        // kube warns with the whole answer where it cannot read one; what is wrong with it comes back as an error, and is logged.
        let wanted = self.log.as_deref().unwrap_or_else(|| self.command.log());
        let filter = tracing_subscriber::EnvFilter::try_new(format!("kube_client::client=error,{wanted}"))
            .map_err(|error| anyhow::anyhow!("--log {wanted:?}: {error}; write a level such as info or debug"))?;
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
        match self.log_format {
            LogFormat::Text => log.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init(),
            LogFormat::Json => log.json().init(),
        }
        Ok(())
    }
}

impl Command {
    /// What is worth a line of the log unless somebody says otherwise.
    fn log(&self) -> &'static str {
        match self {
            // Its table says it all, and shares the terminal with the log.
            #[cfg(feature = "sandbox")]
            Self::Sandbox(_) => "error",
            Self::Controller(_)
            | Self::Speaker(_)
            | Self::Plan(_)
            | Self::Crds
            | Self::CheckConfig(_)
            | Self::Import(_)
            | Self::Mock(_) => "info",
        }
    }
}

/// The configuration, from a file or without one. The mock's worlds lie where environment or home say, unless a class does.
fn configuration(file: Option<&Path>) -> anyhow::Result<Configuration> {
    configuration_with(file, mock::state_folder)
}

fn configuration_with(
    file: Option<&Path>,
    mock_state: impl Fn() -> anyhow::Result<PathBuf>,
) -> anyhow::Result<Configuration> {
    let mut configuration = match file {
        Some(file) => config::load(file, &check_parameters)?,
        None => Configuration::default(),
    };
    for class in &mut configuration.classes.classes {
        *class = Arc::new(providers::located(class, &mock_state)?);
    }
    Ok(configuration)
}

/// A runtime for the subcommands that speak to a cluster.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("portolan: {error:#}");
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use std::fs;

    use clap::CommandFactory;

    use super::*;

    /// Holds every `*.yaml` of a folder, at least so many, to what is recorded beside it as `*.expected`. `UPDATE_GOLDEN=1` records
    /// the answers anew.
    pub(super) fn as_recorded(folder: &str, least: usize, answer: impl Fn(&Path) -> String) {
        let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
        files.sort();
        assert!(files.len() >= least, "only {} files in {folder}", files.len());
        let mut wrong = Vec::new();
        for file in files {
            let answer = answer(&file);
            let expected = file.with_extension("expected");
            if std::env::var_os("UPDATE_GOLDEN").is_some() {
                fs::write(&expected, &answer).unwrap();
            } else if fs::read_to_string(&expected).unwrap_or_default() != answer {
                wrong.push(format!("{}:\n{answer}", file.display()));
            }
        }
        assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    }

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
