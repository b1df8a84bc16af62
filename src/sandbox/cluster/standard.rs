//! The clusters that come with the binary, so that an installed one needs no files. A test holds the lists to the folders.

macro_rules! files {
    ($(#[$about:meta])* $list:ident: $folder:literal: $($name:literal)+) => {
        $(#[$about])*
        pub(super) const $list: &[(&str, &str)] = &[$((
            concat!($folder, $name),
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/", $folder, $name)),
        ),)+];
    };
}

files! {
    /// Names, as seen from the repository, and texts.
    FILES: "testdata/sandbox/":
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

files! {
    /// The same for a cluster at AWS, of which the nodes are instances that are there already.
    AWS: "testdata/aws/sandbox/":
    "edge.yaml"
    "namespaces.yaml"
    "others.yaml"
    "shop.yaml"
}

files! {
    /// The same for addresses of pools.
    METAL: "testdata/metal/sandbox/":
    "pools.yaml"
    "services.yaml"
}
