//! `portolan crds`: our CustomResourceDefinitions, generated from the Rust types.

use std::io::Write;
use std::process::ExitCode;

use crate::{api, yaml};

pub(super) fn run(out: &mut impl Write) -> anyhow::Result<ExitCode> {
    for crd in api::crds() {
        writeln!(out, "---\n{}", yaml::to_string(&crd)?.trim_end())?;
    }
    Ok(ExitCode::SUCCESS)
}
