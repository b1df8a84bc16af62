//! Files of manifests, as more than one subcommand reads them.

use std::io::Read;
use std::path::Path;

/// Characters of what is said about an object that cannot be read.
pub(super) const LONGEST_PROBLEM: usize = 300;

/// The text of a file; of `-`, that of standard input.
pub(super) fn read(file: &Path) -> std::io::Result<String> {
    if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        return Ok(text);
    }
    std::fs::read_to_string(file)
}
