//! The clouds, and which of them are listened to.

use std::fmt;

/// A cloud with an annotation of its own for internal load balancers
/// (<https://kubernetes.io/docs/concepts/services-networking/service/#internal-load-balancer>).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cloud {
    /// Google Cloud.
    Gcp,
    /// Amazon Web Services.
    Aws,
    /// Microsoft Azure.
    Azure,
    /// IBM Cloud.
    Ibm,
    /// OpenStack.
    Openstack,
    /// Baidu Cloud.
    Baidu,
    /// Tencent Cloud.
    Tencent,
    /// Alibaba Cloud.
    Alibaba,
    /// Oracle Cloud Infrastructure.
    Oci,
}

impl Cloud {
    /// All of them, in the order of the Kubernetes documentation.
    pub const ALL: [Self; 9] = [
        Self::Gcp,
        Self::Aws,
        Self::Azure,
        Self::Ibm,
        Self::Openstack,
        Self::Baidu,
        Self::Tencent,
        Self::Alibaba,
        Self::Oci,
    ];

    /// As the configuration file names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gcp => "gcp",
            Self::Aws => "aws",
            Self::Azure => "azure",
            Self::Ibm => "ibm",
            Self::Openstack => "openstack",
            Self::Baidu => "baidu",
            Self::Tencent => "tencent",
            Self::Alibaba => "alibaba",
            Self::Oci => "oci",
        }
    }
}

/// Which clouds' annotations for internal load balancers are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum InternalAnnotations {
    /// Those of every cloud that Kubernetes documents.
    #[default]
    All,
    /// Only those of these clouds, each once, in the order of the file; empty for none.
    Only(Vec<Cloud>),
}

impl InternalAnnotations {
    /// Whether this cloud's annotations are read.
    pub fn includes(&self, cloud: Cloud) -> bool {
        match self {
            Self::All => true,
            Self::Only(clouds) => clouds.contains(&cloud),
        }
    }
}

impl fmt::Display for InternalAnnotations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Only(clouds) if clouds.is_empty() => f.write_str("none"),
            Self::Only(clouds) => f.write_str(&clouds.iter().map(|cloud| cloud.name()).collect::<Vec<_>>().join(", ")),
        }
    }
}
