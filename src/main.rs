//! The `portolan` binary: TLS provider, arguments, hand over.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        eprintln!("portolan: a TLS provider was installed twice; this is a defect of the build");
        return ExitCode::FAILURE;
    }
    portolan::cli::Arguments::parse().run()
}
