//! The cluster that comes with the binary, so that an installed one needs no files. A test holds the list to the folder.

macro_rules! files {
    ($($name:literal)+) => {
        /// Names, as seen from the repository, and texts.
        pub(super) const FILES: &[(&str, &str)] = &[$((
            concat!("testdata/sandbox/", $name),
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/sandbox/", $name)),
        ),)+];
    };
}

files! {
    "addresses.yaml"
    "endpoints.yaml"
    "namespaces.yaml"
    "nodes.yaml"
    "others.yaml"
    "paused.yaml"
    "plain.yaml"
    "ports.yaml"
    "sharing.yaml"
    "traffic.yaml"
}
