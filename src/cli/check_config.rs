//! `portolan check-config FILE`: is this configuration right, and what does it say?

use std::io::{self, Write};
use std::path::PathBuf;

use comfy_table::{Table, presets};

use crate::config::{self, Configuration, ProviderCheck};

/// Checks a configuration file and shows its classes.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// The configuration file.
    pub file: PathBuf,
}

/// Prints a summary, or everything that is wrong with the file. Gives the exit code: 0 or 1.
pub(super) fn run(args: &Args, known_providers: &ProviderCheck<'_>, out: &mut dyn Write) -> io::Result<u8> {
    match config::load(&args.file, known_providers) {
        Ok(configuration) => {
            writeln!(out, "{}: ok", args.file.display())?;
            summary(&configuration, out)?;
            Ok(0)
        }
        Err(error) => {
            writeln!(out, "{error}")?;
            Ok(1)
        }
    }
}

fn summary(configuration: &Configuration, out: &mut dyn Write) -> io::Result<()> {
    let classes = &configuration.classes;
    if classes.classes.is_empty() {
        writeln!(out, "No classes: no Service is served.")?;
    } else {
        writeln!(out, "{}", class_table(configuration).trim_fmt())?;
    }
    if !classes.classes.is_empty() && classes.default_class().is_none() {
        writeln!(out, "No default class: Services without a class are left alone.")?;
    }
    for (what, value) in settings(configuration) {
        writeln!(out, "{what}: {value}")?;
    }
    Ok(())
}

fn class_table(configuration: &Configuration) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["CLASS", "PROVIDER", "SERVES ALSO", "ALIASES"]);
    for class in &configuration.classes.classes {
        let also = match (class.default, class.claim_by_type_annotation) {
            (true, true) => "no class, type annotation",
            (true, false) => "no class",
            (false, true) => "type annotation",
            (false, false) => "-",
        };
        let aliases = if class.aliases.is_empty() { "-".to_owned() } else { class.aliases.join(", ") };
        table.add_row([class.name.as_str(), class.provider.as_str(), also, &aliases]);
    }
    table
}

fn settings(configuration: &Configuration) -> Vec<(&'static str, String)> {
    let classes = &configuration.classes;
    let or = |text: String, empty: &str| if text.is_empty() { empty.to_owned() } else { text };
    let excluded = if configuration.ignore_exclude_label { "used (exclude label ignored)" } else { "not used" };
    vec![
        ("instance", or(classes.instance.as_str().to_owned(), "(the only one)")),
        ("namespaces", or(classes.watch_namespaces.join(", "), "all")),
        ("other classes", or(classes.other_classes.join(", "), "none")),
        ("internal annotations", configuration.internal_annotations.to_string()),
        ("excluded nodes", excluded.to_owned()),
        ("nodes are steady after", config::write_duration(configuration.steady_after)),
        ("resync", config::write_duration(configuration.resync)),
    ]
}

#[cfg(test)]
mod tests;
