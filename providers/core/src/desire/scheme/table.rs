//! Every key that is read, by the rule of the controller that reads it in its own cloud. `docs/reference/internal-annotations.md`
//! is printed from this file (`UPDATE_GOLDEN=1 cargo test -p portolan-core`).

use crate::balancer::Scheme;
use crate::desire::scheme::Words::{AnyCase, Exactly, StartWith};
use crate::desire::scheme::{Cloud, Dialect, Key, Reading, Words};
use crate::go;

const GO_TRUE: Words = Exactly(go::TRUE);
const GO_FALSE: Words = Exactly(go::FALSE);

/// Class names of a cloud that say it themselves. They reach us only as aliases of a class of ours.
pub const CLASSES: [(Cloud, &str, Scheme); 2] = [
    (Cloud::Gcp, "networking.gke.io/l4-regional-internal-legacy", Scheme::Internal),
    (Cloud::Gcp, "networking.gke.io/l4-regional-external-legacy", Scheme::Public),
];

/// Every dialect, in the order of the Kubernetes documentation.
pub const DIALECTS: &[Dialect] = &[
    Dialect {
        cloud: Cloud::Gcp,
        reader: "GKE",
        keys: &[
            Key {
                name: "networking.gke.io/load-balancer-type",
                internal: Exactly(&["Internal", "internal"]),
                public: Exactly(&["External", "external"]),
                empty: Reading::Nothing,
            },
            Key {
                name: "cloud.google.com/load-balancer-type",
                internal: Exactly(&["Internal", "internal"]),
                public: Exactly(&["External", "external"]),
                empty: Reading::Nothing,
            },
        ],
        note: "GKE takes every other text for external; here it is internal, with a Warning. A first key that holds nonsense still \
               hides the second, as in GKE; an empty one does not, because what it hides may be the word `Internal`.",
    },
    Dialect {
        cloud: Cloud::Aws,
        reader: "AWS Load Balancer Controller",
        keys: &[
            Key {
                name: "service.beta.kubernetes.io/aws-load-balancer-scheme",
                internal: Exactly(&["internal"]),
                public: Exactly(&["internet-facing"]),
                empty: Reading::Unclear,
            },
            Key {
                name: "service.beta.kubernetes.io/aws-load-balancer-internal",
                internal: Exactly(&["1", "t", "T", "TRUE", "true", "True", "0.0.0.0/0"]),
                public: GO_FALSE,
                empty: Reading::Unclear,
            },
        ],
        note: "`0.0.0.0/0` is what the in-tree provider documented for internal. The AWS Load Balancer Controller refuses a \
               text that it does not know; here it is internal, with a Warning.",
    },
    Dialect {
        cloud: Cloud::Azure,
        reader: "Azure's cloud provider",
        keys: &[Key {
            name: "service.beta.kubernetes.io/azure-load-balancer-internal",
            internal: AnyCase(&["true"]),
            public: AnyCase(&["false"]),
            empty: Reading::Nothing,
        }],
        note: "Azure compares in some places to the letter and in others in any case; here in any case everywhere.",
    },
    Dialect {
        cloud: Cloud::Ibm,
        reader: "IBM's VPC provider",
        keys: &[Key {
            name: "service.kubernetes.io/ibm-load-balancer-cloud-provider-ip-type",
            internal: Exactly(&["private"]),
            public: Exactly(&["public"]),
            empty: Reading::Nothing,
        }],
        note: "IBM, too, takes every other text for private.",
    },
    Dialect {
        cloud: Cloud::Openstack,
        reader: "OpenStack's cloud provider",
        keys: &[Key {
            name: "service.beta.kubernetes.io/openstack-internal-load-balancer",
            internal: Exactly(&["true"]),
            public: Exactly(&["false"]),
            empty: Reading::Nothing,
        }],
        note: "OpenStack leaves every other text to its configuration. Here the empty one is left to the class.",
    },
    Dialect {
        cloud: Cloud::Baidu,
        reader: "Baidu's CCE",
        keys: &[Key {
            name: "service.beta.kubernetes.io/cce-load-balancer-internal-vpc",
            internal: Exactly(&["true"]),
            public: Exactly(&["false"]),
            empty: Reading::Nothing,
        }],
        note: "Baidu takes every other text for public; here it is internal, with a Warning.",
    },
    Dialect {
        cloud: Cloud::Tencent,
        reader: "Tencent's TKE",
        keys: &[Key {
            name: "service.kubernetes.io/qcloud-loadbalancer-internal-subnetid",
            internal: StartWith("subnet-"),
            public: Words::None,
            empty: Reading::Unclear,
        }],
        note: "No boolean: the id of a subnet asks for an address out of it. The key has no other use, so that also an empty one is read as a \
               wish to be internal.",
    },
    Dialect {
        cloud: Cloud::Tencent,
        reader: "Tencent's open-source cloud controller manager",
        keys: &[
            Key {
                name: "service.beta.kubernetes.io/tencentcloud-loadbalancer-type",
                internal: Exactly(&["private"]),
                public: Exactly(&["public"]),
                empty: Reading::Unclear,
            },
            Key {
                name: "service.beta.kubernetes.io/tencentcloud-loadbalancer-type-internal-subnet-id",
                internal: StartWith("subnet-"),
                public: Words::None,
                empty: Reading::Nothing,
            },
        ],
        note: "Its versions differ in what a subnet without a type means; the private one holds here.",
    },
    Dialect {
        cloud: Cloud::Alibaba,
        reader: "Alibaba's cloud controller manager",
        keys: &[Key {
            name: "service.beta.kubernetes.io/alibaba-cloud-loadbalancer-address-type",
            internal: AnyCase(&["intranet"]),
            public: Exactly(&["internet"]),
            empty: Reading::Nothing,
        }],
        note: "CLB wants lower case, NLB takes any; public is only what both understand.",
    },
    Dialect {
        cloud: Cloud::Oci,
        reader: "OCI's cloud controller manager",
        keys: &[Key {
            name: "service.beta.kubernetes.io/oci-load-balancer-internal",
            internal: GO_TRUE,
            public: GO_FALSE,
            empty: Reading::Unclear,
        }],
        note: "The value needs quotes: annotations are strings, and the API server refuses a YAML boolean.",
    },
    Dialect {
        cloud: Cloud::Oci,
        reader: "OCI's cloud controller manager",
        keys: &[Key {
            name: "oci-network-load-balancer.oraclecloud.com/internal",
            internal: GO_TRUE,
            public: GO_FALSE,
            empty: Reading::Unclear,
        }],
        note: "The key of network load balancers. OCI reads it or the one above, depending on the kind; here both count.",
    },
];
