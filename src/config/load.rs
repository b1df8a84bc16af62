//! The configuration file from disk.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::{ConfigErrors, Configuration, ProviderCheck};
use crate::yaml::Position;

/// The most bytes that a configuration file may have: as many as a ConfigMap holds (1 MiB).
pub const MAX_SIZE: u64 = 1 << 20;

/// Why there is no configuration. Terminal: only an edit of the file, or of the path to it, mends it.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}: {source}; check the path and its permissions", .file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is over [`MAX_SIZE`].
    #[error("{}: larger than 1 MiB, so this is hardly a configuration file; check the path", .file.display())]
    Measure {
        /// The file.
        file: PathBuf,
    },
    /// The file is no text.
    #[error("{}:{at}: not UTF-8; save the file as UTF-8", .file.display())]
    Decode {
        /// The file.
        file: PathBuf,
        /// The first byte that is none.
        at: Position,
    },
    /// The file was read and something is wrong with it.
    #[error("{}", .errors.in_file(&.file.display().to_string()))]
    Check {
        /// The file.
        file: PathBuf,
        /// Everything that is wrong.
        errors: ConfigErrors,
    },
}

/// Reads and checks a configuration file.
pub fn load(file: &Path, known_providers: &ProviderCheck<'_>) -> Result<Configuration, LoadError> {
    let bytes = read(file).map_err(|source| LoadError::Read { file: file.to_owned(), source })?;
    if bytes.len() as u64 > MAX_SIZE {
        return Err(LoadError::Measure { file: file.to_owned() });
    }
    let text = std::str::from_utf8(&bytes).map_err(|error| LoadError::Decode {
        file: file.to_owned(),
        at: Position::at_byte(&bytes, error.valid_up_to()),
    })?;
    Configuration::parse(text, known_providers).map_err(|errors| LoadError::Check { file: file.to_owned(), errors })
}

/// The file, or as much of it as shows that it is too large: it may be a pipe without end.
fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(file)?.take(MAX_SIZE + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
