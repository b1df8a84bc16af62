//! Booleans as Go's `strconv.ParseBool` reads them: Kubernetes and most cloud controllers do.

/// What it takes for true.
pub const TRUE: &[&str] = &["1", "t", "T", "TRUE", "true", "True"];

/// What it takes for false.
pub const FALSE: &[&str] = &["0", "f", "F", "FALSE", "false", "False"];
