//! One action after the other: rules first, then the emulator, then what is learnt, then the answer.

mod attributes;
mod balancers;
pub(crate) mod ec2;
mod groups;
mod health;
mod listeners;
pub(crate) mod rights;
mod security_groups;
mod tags;

use std::time::Duration;

use crate::answer;
use crate::caller::Service;
use crate::double::Shared;
use crate::estate::{Balancer, Estate, Group, Listener};
use crate::network::Network;
use crate::query::Query;
use crate::refusal::Refusal;
use crate::rules::pages;
use crate::upstream::Upstream;
use crate::xml::Element;

/// Where one action is played.
pub(crate) struct Stage<'a> {
    pub(crate) estate: &'a mut Estate,
    pub(crate) upstream: &'a Upstream,
    pub(crate) shared: &'a Shared,
    pub(crate) region: &'a str,
    pub(crate) now: Duration,
    /// A page holds no more than this, if a test wants it so.
    pub(crate) cut: Option<usize>,
    pub(crate) request: &'a str,
}

/// An action of ELBv2.
pub(crate) async fn elb(stage: &mut Stage<'_>, query: &Query) -> Result<Element, Refusal> {
    stage.estate.drain(stage.now);
    match query.action() {
        "CreateLoadBalancer" => balancers::create(stage, query).await,
        "DescribeLoadBalancers" => balancers::describe(stage, query).await,
        "DeleteLoadBalancer" => balancers::delete(stage, query).await,
        "SetSubnets" => balancers::set_subnets(stage, query).await,
        "SetSecurityGroups" => balancers::set_security_groups(stage, query).await,
        "SetIpAddressType" => balancers::set_ip_address_type(stage, query).await,
        "CreateTargetGroup" => groups::create(stage, query).await,
        "DescribeTargetGroups" => groups::describe(stage, query).await,
        "ModifyTargetGroup" => groups::modify(stage, query).await,
        "DeleteTargetGroup" => groups::delete(stage, query).await,
        "RegisterTargets" => health::register(stage, query).await,
        "DeregisterTargets" => health::deregister(stage, query).await,
        "DescribeTargetHealth" => health::describe(stage, query),
        "CreateListener" => listeners::create(stage, query).await,
        "DescribeListeners" => listeners::describe(stage, query).await,
        "ModifyListener" => listeners::modify(stage, query).await,
        "DeleteListener" => listeners::delete(stage, query).await,
        "AddListenerCertificates" => listeners::add_certificates(stage, query).await,
        "RemoveListenerCertificates" => listeners::remove_certificates(stage, query).await,
        "DescribeListenerCertificates" => listeners::describe_certificates(stage, query),
        "DescribeLoadBalancerAttributes" | "ModifyLoadBalancerAttributes" => attributes::balancer(stage, query),
        "DescribeTargetGroupAttributes" | "ModifyTargetGroupAttributes" => attributes::group(stage, query),
        "DescribeListenerAttributes" | "ModifyListenerAttributes" => attributes::listener(stage, query),
        "AddTags" => tags::add(stage, query).await,
        "RemoveTags" => tags::remove(stage, query).await,
        "DescribeTags" => tags::describe(stage, query),
        "DescribeSSLPolicies" | "DescribeAccountLimits" | "DescribeRules" => stage.forward(query).await,
        other => Err(Refusal::not_played(&format!("the action '{other}'"))),
    }
}

/// The identities of what an action made, from its answer.
pub(crate) fn created(action: &str, answer: &Element) -> Vec<String> {
    let path = |list, arn| {
        answer::listed(answer, action, list)
            .iter()
            .filter_map(move |one| one.text_at(&[arn]))
            .map(str::to_owned)
            .collect()
    };
    match action {
        "CreateLoadBalancer" => path("LoadBalancers", "LoadBalancerArn"),
        "CreateTargetGroup" => path("TargetGroups", "TargetGroupArn"),
        "CreateListener" => path("Listeners", "ListenerArn"),
        "CreateSecurityGroup" => answer.text_at(&["groupId"]).map(str::to_owned).into_iter().collect(),
        _ => Vec::new(),
    }
}

impl Stage<'_> {
    /// Asks the emulator the same.
    pub(crate) async fn forward(&self, query: &Query) -> Result<Element, Refusal> {
        self.upstream.ask(&Service::ElasticLoadBalancing, self.region, query).await
    }

    /// The emulator's own view of these: of all, or, where they are few enough to be named (`member`), of those alone.
    pub(crate) async fn theirs(
        &self,
        action: &str,
        list: &str,
        member: &str,
        arns: &[&str],
    ) -> Result<Vec<Element>, Refusal> {
        if arns.is_empty() {
            return Ok(Vec::new());
        }
        let named: Vec<(String, &str)> = match arns.len() {
            1..=20 => {
                arns.iter().enumerate().map(|(index, arn)| (format!("{member}.member.{}", index + 1), *arn)).collect()
            }
            _ => Vec::new(),
        };
        let filter: Vec<(&str, &str)> = named.iter().map(|(name, arn)| (name.as_str(), *arn)).collect();
        self.forward_all(action, list, &filter).await
    }

    /// Asks the emulator for every object of a Describe action, page after page.
    pub(crate) async fn forward_all(
        &self,
        action: &str,
        list: &str,
        filter: &[(&str, &str)],
    ) -> Result<Vec<Element>, Refusal> {
        let mut all = Vec::new();
        let mut marker: Option<String> = None;
        loop {
            let fixed = [("Action", action), ("Version", "2015-12-01")].into_iter().chain(filter.iter().copied());
            let answer =
                self.forward(&Query::of(fixed.chain(marker.as_deref().map(|marker| ("Marker", marker))))).await?;
            all.extend_from_slice(answer::listed(&answer, action, list));
            marker = answer
                .text_at(&[&format!("{action}Result"), "NextMarker"])
                .filter(|marker| !marker.is_empty())
                .map(str::to_owned);
            if marker.is_none() {
                return Ok(all);
            }
        }
    }

    /// EC2 as the rules read it.
    pub(crate) fn network(&self) -> Network<'_> {
        Network { upstream: self.upstream, region: self.region }
    }

    /// Is what was born then described already?
    pub(crate) fn is_visible(&self, born: Duration) -> bool {
        born + self.shared.timings.visibility <= self.now
    }

    /// The balancer of this ARN, for an action that reads: one that is not described yet is not found by any of them.
    pub(crate) fn shown_balancer(&self, arn: &str) -> Result<&Balancer, Refusal> {
        let shown = self.estate.balancer(arn).filter(|one| self.is_visible(one.born));
        shown.ok_or_else(|| not_found("LoadBalancer", arn))
    }

    /// The same of a target group.
    pub(crate) fn shown_group(&self, arn: &str) -> Result<&Group, Refusal> {
        let shown = self.estate.group(arn).filter(|one| self.is_visible(one.born));
        shown.ok_or_else(|| not_found("TargetGroup", arn))
    }

    /// The same of a listener.
    pub(crate) fn shown_listener(&self, arn: &str) -> Result<&Listener, Refusal> {
        let shown = self.estate.listener(arn).filter(|one| self.is_visible(one.born));
        shown.ok_or_else(|| not_found("Listener", arn))
    }

    /// Brings the groups' ages in line with the listeners.
    pub(crate) fn settle(&mut self) {
        self.estate.settle(self.now, self.shared.timings.release);
    }

    /// An answer without anything in it.
    pub(crate) fn done(&self, action: &str) -> Element {
        answer::elb(action, [], self.request)
    }

    /// An answer with one list, cut into pages as asked.
    pub(crate) fn paged(&self, query: &Query, list: &str, all: Vec<Element>) -> Result<Element, Refusal> {
        let (page, next) = pages::page(query, all, self.cut)?;
        let next = next.map(|next| Element::text("NextMarker", next));
        Ok(answer::elb(query.action(), [answer::members(list, page)].into_iter().chain(next), self.request))
    }

    /// An answer with one list of one or some.
    pub(crate) fn listing(&self, query: &Query, list: &str, all: impl IntoIterator<Item = Element>) -> Element {
        answer::elb(query.action(), [answer::members(list, all)], self.request)
    }
}

/// `...NotFound`, as every action says it.
pub(crate) fn not_found(kind: &str, which: &str) -> Refusal {
    Refusal::new(format!("{kind}NotFound"), format!("{kind} '{which}' not found"))
}
