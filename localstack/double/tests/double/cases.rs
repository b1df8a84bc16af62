//! The cases, by what they are about.

pub(crate) mod belong;
pub(crate) mod faults;
pub(crate) mod groups;
pub(crate) mod limits;
pub(crate) mod line;
pub(crate) mod names;
pub(crate) mod permissions;
pub(crate) mod targets;
pub(crate) mod time;

use portolan_aws_double::xml::Element;

use crate::client::{Answer, Failure, all, first, members};
use crate::emulator::Estate;

impl Estate {
    /// An internal balancer in the first two private subnets.
    pub(crate) async fn create_balancer(&self, name: &str, more: &[(&str, &str)]) -> Answer {
        let fixed = [
            ("Name", name),
            ("Type", "network"),
            ("Scheme", "internal"),
            ("Subnets.member.1", self.seed.private_subnets[0].as_str()),
            ("Subnets.member.2", self.seed.private_subnets[1].as_str()),
        ];
        let pairs: Vec<(&str, &str)> = fixed.into_iter().chain(more.iter().copied()).collect();
        self.client.elb("CreateLoadBalancer", &pairs).await
    }

    pub(crate) async fn balancer(&self, name: &str) -> String {
        first(&self.create_balancer(name, &[]).await.unwrap(), "LoadBalancers", "LoadBalancerArn")
    }

    pub(crate) async fn create_group(
        &self,
        name: &str,
        protocol: &str,
        target_type: &str,
        more: &[(&str, &str)],
    ) -> Answer {
        let fixed = [
            ("Name", name),
            ("Protocol", protocol),
            ("Port", "80"),
            ("TargetType", target_type),
            ("VpcId", self.seed.vpc.as_str()),
        ];
        let pairs: Vec<(&str, &str)> = fixed.into_iter().chain(more.iter().copied()).collect();
        self.client.elb("CreateTargetGroup", &pairs).await
    }

    pub(crate) async fn group(&self, name: &str, protocol: &str, target_type: &str) -> String {
        first(&self.create_group(name, protocol, target_type, &[]).await.unwrap(), "TargetGroups", "TargetGroupArn")
    }

    pub(crate) async fn create_listener(&self, balancer: &str, protocol: &str, port: &str, group: &str) -> Answer {
        let pairs = [
            ("LoadBalancerArn", balancer),
            ("Protocol", protocol),
            ("Port", port),
            ("DefaultActions.member.1.Type", "forward"),
            ("DefaultActions.member.1.TargetGroupArn", group),
        ];
        self.client.elb("CreateListener", &pairs).await
    }

    /// The codes that a call is refused with, or nothing.
    pub(crate) async fn elb(&self, action: &str, pairs: &[(&str, &str)]) -> Result<(), Failure> {
        self.client.elb(action, pairs).await.map(|_| ())
    }

    pub(crate) async fn register(&self, group: &str, ids: &[&str]) -> Result<(), Failure> {
        self.with_targets("RegisterTargets", group, ids).await
    }

    pub(crate) async fn deregister(&self, group: &str, ids: &[&str]) -> Result<(), Failure> {
        self.with_targets("DeregisterTargets", group, ids).await
    }

    /// Targets as `ID`, `ID@PORT` or `ID/ZONE`.
    async fn with_targets(&self, action: &str, group: &str, ids: &[&str]) -> Result<(), Failure> {
        let mut pairs = vec![("TargetGroupArn".to_owned(), group)];
        for (index, target) in ids.iter().enumerate() {
            let member = format!("Targets.member.{}", index + 1);
            let (rest, zone) = target.split_once('/').map_or((*target, None), |(rest, zone)| (rest, Some(zone)));
            let (id, port) = rest.split_once('@').map_or((rest, None), |(id, port)| (id, Some(port)));
            pairs.push((format!("{member}.Id"), id));
            pairs.extend(port.map(|port| (format!("{member}.Port"), port)));
            pairs.extend(zone.map(|zone| (format!("{member}.AvailabilityZone"), zone)));
        }
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        self.elb(action, &pairs).await
    }

    /// `ID@PORT STATE REASON` of every target of a group.
    pub(crate) async fn health(&self, group: &str) -> Vec<String> {
        let answer = self.client.elb("DescribeTargetHealth", &[("TargetGroupArn", group)]).await.unwrap();
        let line = |member: &Element| {
            let text = |path: &[&str]| member.text_at(path).unwrap_or("-").to_owned();
            let (id, port) = (text(&["Target", "Id"]), text(&["Target", "Port"]));
            format!("{id}@{port} {} {}", text(&["TargetHealth", "State"]), text(&["TargetHealth", "Reason"]))
        };
        members(&answer, "TargetHealthDescriptions").iter().map(line).collect()
    }

    /// The state of the balancer of this name.
    pub(crate) async fn state(&self, name: &str) -> String {
        let answer = self.client.elb("DescribeLoadBalancers", &[("Names.member.1", name)]).await.unwrap();
        all(&answer, "LoadBalancers", &["State", "Code"]).pop().unwrap()
    }

    pub(crate) async fn security_group(&self, name: &str) -> String {
        let pairs = [("GroupName", name), ("GroupDescription", "of a test"), ("VpcId", self.seed.vpc.as_str())];
        let made = self.client.ec2("CreateSecurityGroup", &pairs).await.unwrap();
        made.text_at(&["groupId"]).unwrap().to_owned()
    }

    pub(crate) async fn listener(&self, balancer: &str, protocol: &str, port: &str, group: &str) -> String {
        first(&self.create_listener(balancer, protocol, port, group).await.unwrap(), "Listeners", "ListenerArn")
    }

    /// A certificate that the emulator's IAM knows, by its ARN.
    pub(crate) async fn certificate(&self, name: &str) -> String {
        self.double.certificate(name).await.unwrap()
    }
}
