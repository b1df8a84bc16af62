//! `--provider aws`: Services become Network Load Balancers at an emulator of AWS, and the nodes are the instances that it has for the
//! cluster. Real AWS is not where a sandbox goes by accident: without an endpoint in the environment it does not start.

use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use portolan_aws::client::ec2::filter::Filters;
use portolan_aws::client::ec2::nodes::Instance;
use portolan_aws::client::{Aws, Options};
use portolan_aws::clock::SystemClock;
use serde_json::{Value, json};

use crate::config::Configuration;
use crate::providers::check_parameters;

/// The name of the cluster at AWS: that of `localstack/seed`.
const CLUSTER: &str = "prod";

/// Where messages say that objects come from.
pub(super) const PLACE: &str = "the instances at AWS";

/// AWS as the environment names it, and the cluster in it.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) endpoint: String,
    pub(super) region: String,
    vpc: String,
    pub(super) nodes: Vec<Value>,
}

/// What the environment says; an empty variable is as good as none, as for AWS's SDKs.
#[derive(Debug, PartialEq)]
struct Named {
    endpoint: String,
    region: String,
}

impl Named {
    fn by(variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        let said = |name: &str| variable(name).filter(|value| !value.is_empty());
        let Some(endpoint) = said("AWS_ENDPOINT_URL") else {
            bail!(
                "AWS_ENDPOINT_URL is not set, and a sandbox does not go to real AWS; start an emulator with localstack/run and the double \
                 of AWS in front of it with `cargo run -p portolan-aws-double --bin aws-double`, then set AWS_ENDPOINT_URL=http://127.0.0.1:4577"
            );
        };
        // https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
        let ignored =
            said("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        ensure!(
            !ignored,
            "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS is set, so that AWS_ENDPOINT_URL means nothing; unset it"
        );
        let region = said("AWS_REGION").or_else(|| said("AWS_DEFAULT_REGION"));
        let region = region.context("no region: set AWS_REGION; localstack/seed plants its network in us-east-1")?;
        Ok(Self { endpoint, region })
    }
}

impl Site {
    /// Asks for the cluster's instances, which carry the tag that every cluster at AWS puts on them.
    pub(super) async fn find() -> anyhow::Result<Self> {
        let Named { endpoint, region } = Named::by(|name| std::env::var(name).ok())?;
        let options = Options { region: Some(region.clone()), ..Options::default() };
        let aws = Aws::connect(&options, Arc::new(SystemClock::start())).await?;
        let tag = format!("kubernetes.io/cluster/{CLUSTER}");
        let instances = aws.instances_where(&Filters::new().tagged(&tag)).await;
        let mut instances = instances.with_context(|| format!("cannot ask {endpoint} for the cluster's instances"))?;
        instances.retain(|instance| instance.state == "running");
        instances.sort_by(|a, b| (&a.zone, a.id.as_str()).cmp(&(&b.zone, b.id.as_str())));
        let Some(vpc) = instances.iter().find_map(|instance| instance.vpc.as_ref()) else {
            bail!(
                "{endpoint} has no running instance with the tag {tag} in {region}; plant a network with \
                 `localstack/seed {CLUSTER} --region {region}`"
            );
        };
        Ok(Self { endpoint, region, vpc: vpc.to_string(), nodes: instances.iter().map(node).collect() })
    }

    /// One class, which also takes what was written for the AWS Load Balancer Controller. Each run is an instance of its own: what a sandbox
    /// before it has left at the emulator has the same cluster, and Services of the same UIDs, and is not its own all the same.
    pub(super) fn configuration(&self, run: u64) -> anyhow::Result<Configuration> {
        let parameters = json!({"clusterName": CLUSTER, "region": self.region, "vpcId": self.vpc});
        let class = json!({
            "name": "portolan.dev/aws", "provider": "aws", "aliases": ["service.k8s.aws/nlb"], "claimByTypeAnnotation": true,
            "parameters": parameters,
        });
        let configuration = json!({"apiVersion": crate::config::API_VERSION, "kind": crate::config::KIND, "instance": format!("run-{run:x}"), "classes": [class]});
        Ok(Configuration::parse(&configuration.to_string(), &check_parameters)?)
    }
}

/// The node that runs on an instance, as a cluster's cloud controller writes it.
fn node(instance: &Instance) -> Value {
    let interfaces = || instance.interfaces.iter();
    let ipv4 = interfaces().flat_map(|interface| &interface.ipv4).map(ToString::to_string);
    let ipv6 = interfaces().flat_map(|interface| &interface.ipv6).map(ToString::to_string);
    let addresses: Vec<String> = ipv4.chain(ipv6).collect();
    let name = addresses
        .first()
        .map_or_else(|| instance.id.as_str().to_owned(), |address| format!("ip-{}", address.replace(['.', ':'], "-")));
    let internal = |address: &String| json!({"type": "InternalIP", "address": address});
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": {"topology.kubernetes.io/zone": instance.zone}},
        "spec": {"providerID": format!("aws:///{}/{}", instance.zone, instance.id)},
        "status": {
            "addresses": addresses.iter().map(internal).collect::<Vec<Value>>(),
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(variables: &[(&str, &str)]) -> Result<Named, String> {
        let find = |name: &str| variables.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned());
        Named::by(find).map_err(|error| error.to_string())
    }

    const ENDPOINT: (&str, &str) = ("AWS_ENDPOINT_URL", "http://127.0.0.1:4577");

    #[test]
    fn without_an_endpoint_it_does_not_start_and_says_how_to_have_one() {
        for variables in [&[("AWS_REGION", "us-east-1")][..], &[("AWS_ENDPOINT_URL", "")]] {
            let error = named(variables).unwrap_err();
            assert!(error.contains("localstack/run") && error.contains("AWS_ENDPOINT_URL=http://"), "{error}");
        }
        let error = named(&[ENDPOINT, ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "True")]).unwrap_err();
        assert!(error.contains("unset it"), "{error}");
    }

    #[test]
    fn without_a_region_it_says_what_to_set_and_the_newer_variable_wins() {
        assert!(named(&[ENDPOINT]).unwrap_err().contains("set AWS_REGION"));
        let region = |variables: &[(&str, &str)]| named(variables).unwrap().region;
        assert_eq!(region(&[ENDPOINT, ("AWS_DEFAULT_REGION", "eu-north-1")]), "eu-north-1");
        let both = [ENDPOINT, ("AWS_DEFAULT_REGION", "eu-north-1"), ("AWS_REGION", "eu-central-1")];
        assert_eq!(region(&both), "eu-central-1");
    }

    #[test]
    fn its_configuration_passes_every_check() {
        let site = Site {
            endpoint: String::new(),
            region: "us-east-1".to_owned(),
            vpc: "vpc-0123456789abcdef0".to_owned(),
            nodes: Vec::new(),
        };
        let configuration = site.configuration(0x1f).unwrap();
        assert_eq!(configuration.classes.instance.as_str(), "run-1f");
        assert_ne!(site.configuration(0x20).unwrap().classes.instance, configuration.classes.instance);
        let class = configuration.classes.classes.first().unwrap();
        assert_eq!((class.name.as_str(), class.provider.as_str()), ("portolan.dev/aws", "aws"));
        assert_eq!(class.parameters["vpcId"], "vpc-0123456789abcdef0");
    }
}
