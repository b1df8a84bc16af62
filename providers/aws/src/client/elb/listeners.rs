//! Listeners and their certificates. A listener of an NLB has one action: it forwards to one target group.

use aws_sdk_elasticloadbalancingv2::types as sdk;
use serde::Serialize;

use crate::client::Aws;
use crate::client::action::Action;
use crate::client::batch;
use crate::client::elb::{BATCH, PAGE, Pairs, needed, tags};
use crate::client::error::Error;
use crate::client::names::{ListenerArn, LoadBalancerArn, TargetGroupArn};
use crate::ids::{CertificateArn, SslPolicy};
use crate::protocol::Protocol;
use crate::words::AlpnPolicy;

/// A listener, as AWS describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listener {
    /// Its ARN.
    pub arn: ListenerArn,
    /// Whose it is.
    pub load_balancer: LoadBalancerArn,
    /// Its number.
    pub port: u16,
    /// What it speaks; none of those that our listeners can, for a listener of somebody else's.
    pub protocol: Option<Protocol>,
    /// The target group that it forwards to, if that is all it does.
    pub target_group: Option<TargetGroupArn>,
    /// What it needs for TLS.
    pub tls: Option<Tls>,
}

/// What a TLS listener needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tls {
    /// The certificate for clients that name no host. The others are a list of their own.
    pub certificate: CertificateArn,
    /// The security policy.
    pub policy: SslPolicy,
    /// The application protocols.
    pub alpn: AlpnPolicy,
}

/// A listener to be, or what one is to become. All of it is sent each time, so that what is left out goes back to AWS's default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Wanted {
    /// Its number.
    pub port: u16,
    /// What it speaks.
    pub protocol: Protocol,
    /// The target group that it forwards to.
    pub target_group: TargetGroupArn,
    /// What it needs for TLS.
    pub tls: Option<Tls>,
}

impl Wanted {
    fn action(&self) -> Vec<sdk::Action> {
        let forward = sdk::Action::builder().r#type(sdk::ActionTypeEnum::Forward);
        vec![forward.target_group_arn(self.target_group.as_str()).build()]
    }

    fn certificates(&self) -> Option<Vec<sdk::Certificate>> {
        self.tls.as_ref().map(|tls| vec![certificate(&tls.certificate)])
    }

    fn policy(&self) -> Option<String> {
        self.tls.as_ref().map(|tls| tls.policy.as_str().to_owned())
    }

    fn alpn(&self) -> Option<Vec<String>> {
        self.tls.as_ref().map(|tls| vec![tls.alpn.as_str().to_owned()])
    }
}

fn certificate(arn: &CertificateArn) -> sdk::Certificate {
    sdk::Certificate::builder().certificate_arn(arn.as_str()).build()
}

impl Aws {
    /// Those of a load balancer; none if it is not there.
    pub async fn listeners_of(&self, balancer: &LoadBalancerArn) -> Result<Vec<Listener>, Error> {
        match self.describe_listeners(Some(balancer.as_str().to_owned()), None).await {
            Err(error) if error.is_gone() => Ok(Vec::new()),
            answer => answer,
        }
    }

    /// Those that exist of these.
    pub async fn listeners(&self, arns: &[ListenerArn]) -> Result<Vec<Listener>, Error> {
        batch::existing(arns, BATCH, |arns| async move {
            let arns = arns.into_iter().map(String::from).collect();
            self.describe_listeners(None, Some(arns)).await
        })
        .await
    }

    async fn describe_listeners(
        &self,
        balancer: Option<String>,
        arns: Option<Vec<String>>,
    ) -> Result<Vec<Listener>, Error> {
        const ACTION: Action = Action::DescribeListeners;
        let page = arns.is_none().then_some(PAGE);
        let call = self.elb.describe_listeners().set_load_balancer_arn(balancer).set_listener_arns(arns);
        let call = call.set_page_size(page);
        let (mut found, mut marker) = (Vec::new(), None);
        loop {
            let answer = self.elb(ACTION, || call.clone().set_marker(marker.clone()).send()).await?;
            for listener in answer.listeners.unwrap_or_default() {
                found.push(read(ACTION, listener)?);
            }
            marker = answer.next_marker.filter(|marker| !marker.is_empty());
            if marker.is_none() {
                return Ok(found);
            }
        }
    }

    /// Makes one.
    pub async fn create_listener(&self, on: &LoadBalancerArn, new: &Wanted, with: &Pairs) -> Result<Listener, Error> {
        const ACTION: Action = Action::CreateListener;
        let call = self
            .elb
            .create_listener()
            .load_balancer_arn(on.as_str())
            .port(new.port.into())
            .protocol(new.protocol.as_str().into())
            .set_default_actions(Some(new.action()))
            .set_certificates(new.certificates())
            .set_ssl_policy(new.policy())
            .set_alpn_policy(new.alpn())
            .set_tags(tags(with));
        let answer = self.elb(ACTION, || call.clone().send()).await?;
        let made = needed(ACTION, "Listeners", answer.listeners.and_then(|all| all.into_iter().next()))?;
        read(ACTION, made)
    }

    /// Changes one.
    pub async fn modify_listener(&self, arn: &ListenerArn, to: &Wanted) -> Result<(), Error> {
        let call = self
            .elb
            .modify_listener()
            .listener_arn(arn.as_str())
            .port(to.port.into())
            .protocol(to.protocol.as_str().into())
            .set_default_actions(Some(to.action()))
            .set_certificates(to.certificates())
            .set_ssl_policy(to.policy())
            .set_alpn_policy(to.alpn());
        self.elb(Action::ModifyListener, || call.clone().send()).await.map(drop)
    }

    /// Deletes one.
    pub async fn delete_listener(&self, arn: &ListenerArn) -> Result<(), Error> {
        let call = self.elb.delete_listener().listener_arn(arn.as_str());
        self.elb(Action::DeleteListener, || call.clone().send()).await.map(drop)
    }

    /// The certificates of a listener beside the one for clients that name no host.
    pub async fn listener_certificates(&self, arn: &ListenerArn) -> Result<Vec<CertificateArn>, Error> {
        const ACTION: Action = Action::DescribeListenerCertificates;
        let call = self.elb.describe_listener_certificates().listener_arn(arn.as_str()).page_size(PAGE);
        let (mut found, mut marker) = (Vec::new(), None);
        loop {
            let answer = self.elb(ACTION, || call.clone().set_marker(marker.clone()).send()).await?;
            for certificate in answer.certificates.unwrap_or_default() {
                if certificate.is_default != Some(true) {
                    let arn = certificate.certificate_arn.and_then(|arn| CertificateArn::parse(&arn).ok());
                    found.push(needed(ACTION, "CertificateArn", arn)?);
                }
            }
            marker = answer.next_marker.filter(|marker| !marker.is_empty());
            if marker.is_none() {
                return Ok(found);
            }
        }
    }

    /// Adds a certificate to a listener's list: "one certificate per call"
    /// (<https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_AddListenerCertificates.html>).
    pub async fn add_listener_certificate(&self, to: &ListenerArn, add: &CertificateArn) -> Result<(), Error> {
        let call = self.elb.add_listener_certificates().listener_arn(to.as_str()).certificates(certificate(add));
        self.elb(Action::AddListenerCertificates, || call.clone().send()).await.map(drop)
    }

    /// Removes a certificate from a listener's list, one a call too.
    pub async fn remove_listener_certificate(&self, of: &ListenerArn, out: &CertificateArn) -> Result<(), Error> {
        let call = self.elb.remove_listener_certificates().listener_arn(of.as_str()).certificates(certificate(out));
        self.elb(Action::RemoveListenerCertificates, || call.clone().send()).await.map(drop)
    }
}

fn read(action: Action, from: sdk::Listener) -> Result<Listener, Error> {
    let tls = read_tls(&from);
    let target_group = match from.default_actions.as_deref() {
        Some([one]) if one.r#type == Some(sdk::ActionTypeEnum::Forward) => forwards_to(one),
        Some(_) | None => None,
    };
    Ok(Listener {
        arn: ListenerArn::new(needed(action, "ListenerArn", from.listener_arn)?),
        load_balancer: LoadBalancerArn::new(needed(action, "LoadBalancerArn", from.load_balancer_arn)?),
        port: needed(action, "Port", from.port.and_then(|port| port.try_into().ok()))?,
        protocol: from.protocol.and_then(|word| Protocol::parse(word.as_str())),
        target_group,
        tls,
    })
}

/// AWS shows the group in one place or in both.
fn forwards_to(action: &sdk::Action) -> Option<TargetGroupArn> {
    let listed = || match action.forward_config()?.target_groups() {
        [one] => one.target_group_arn(),
        _ => None,
    };
    action.target_group_arn().or_else(listed).map(TargetGroupArn::new)
}

fn read_tls(from: &sdk::Listener) -> Option<Tls> {
    let certificates = from.certificates.as_deref().unwrap_or_default();
    let alpn = from.alpn_policy.as_deref().unwrap_or_default().first();
    Some(Tls {
        certificate: CertificateArn::parse(certificates.first()?.certificate_arn()?).ok()?,
        policy: SslPolicy::parse(from.ssl_policy.as_deref()?).ok()?,
        alpn: alpn.and_then(|word| AlpnPolicy::parse(word)).unwrap_or(AlpnPolicy::None),
    })
}
