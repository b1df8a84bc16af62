//! Token buckets, one for each class of actions of an account and region.
//!
//! Sources: "Request throttling for the Elastic Load Balancing API" (user guide) states the mechanism and one row: actions that do not
//! change anything have 40 tokens and get 10 back a second. "Request throttling for the Amazon EC2 API" states the same mechanism and
//! the code. The other rows of [`Buckets::documented`] are not AWS's: they are what the AWS Load Balancer Controller holds itself to, or,
//! where it holds itself to nothing, as little as its `Modify` row.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::caller::Service;
use crate::log::is_mutating;
use crate::refusal::Refusal;

/// The actions that share a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// `Describe*` of ELBv2.
    Describe,
    /// `RegisterTargets`, `DeregisterTargets`.
    Register,
    /// `Modify*`, `Set*`, `Add*`, `Remove*` of ELBv2.
    Modify,
    /// `Create*`, `Delete*` of ELBv2.
    Create,
    /// `Describe*` of EC2.
    Ec2Describe,
    /// All other actions of EC2.
    Ec2Change,
}

/// One bucket: how much it holds and what it gets back in a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// Tokens it holds when full.
    pub capacity: f64,
    /// Tokens it gets back in a second.
    pub refill: f64,
}

/// The buckets of an account; a class without one is not throttled.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Buckets(BTreeMap<Class, Bucket>);

impl Buckets {
    /// No throttling.
    pub fn none() -> Self {
        Self::default()
    }

    /// What is known of AWS; see the module's page for which rows are.
    pub fn documented() -> Self {
        let row = |capacity, refill| Bucket { capacity, refill };
        Self(BTreeMap::from([
            (Class::Describe, row(40.0, 10.0)),
            (Class::Register, row(20.0, 4.0)),
            (Class::Modify, row(20.0, 3.0)),
            (Class::Create, row(20.0, 3.0)),
            (Class::Ec2Describe, row(100.0, 20.0)),
            (Class::Ec2Change, row(50.0, 5.0)),
        ]))
    }

    /// The same with this bucket for this class.
    #[must_use]
    pub fn with(mut self, class: Class, bucket: Bucket) -> Self {
        self.0.insert(class, bucket);
        self
    }
}

/// The class of an action; other APIs have none.
pub fn class(service: &Service, action: &str) -> Option<Class> {
    Some(match service {
        Service::Other(_) => return None,
        Service::Ec2 if is_mutating(action) => Class::Ec2Change,
        Service::Ec2 => Class::Ec2Describe,
        Service::ElasticLoadBalancing if !is_mutating(action) => Class::Describe,
        Service::ElasticLoadBalancing => match action {
            "RegisterTargets" | "DeregisterTargets" => Class::Register,
            _ if action.starts_with("Create") || action.starts_with("Delete") => Class::Create,
            _ => Class::Modify,
        },
    })
}

/// How an API says that it throttles. On the wire ELBv2 says `Throttling`; its user guide calls the same error by the name that it has in
/// the SDKs, `ThrottlingException`.
pub(crate) fn exceeded(service: &Service) -> Refusal {
    match service {
        Service::Ec2 => Refusal::with_status("RequestLimitExceeded", 503, "Request limit exceeded."),
        Service::ElasticLoadBalancing | Service::Other(_) => Refusal::new("Throttling", "Rate exceeded"),
    }
}

/// How full the buckets are.
#[derive(Debug, Default)]
pub(crate) struct Levels(BTreeMap<Class, (f64, Duration)>);

impl Levels {
    /// Takes a token for this call, or refuses it.
    pub(crate) fn take(
        &mut self,
        buckets: &Buckets,
        service: &Service,
        action: &str,
        now: Duration,
    ) -> Result<(), Refusal> {
        let Some((class, bucket)) = class(service, action).and_then(|class| Some((class, buckets.0.get(&class)?)))
        else {
            return Ok(());
        };
        let (level, filled) = self.0.entry(class).or_insert((bucket.capacity, now));
        *level = (*level + now.saturating_sub(*filled).as_secs_f64() * bucket.refill).min(bucket.capacity);
        *filled = now;
        if *level < 1.0 {
            return Err(exceeded(service));
        }
        *level -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_what_it_holds_and_then_what_it_gets_back() {
        let (buckets, mut levels) = (Buckets::documented(), Levels::default());
        let mut taken = |seconds| {
            let take =
                || levels.take(&buckets, &Service::ElasticLoadBalancing, "DescribeTags", Duration::from_secs(seconds));
            std::iter::repeat_with(take).take_while(Result::is_ok).count()
        };
        assert_eq!([taken(0), taken(0), taken(1), taken(100)], [40, 0, 10, 40]);
    }

    #[test]
    fn an_empty_bucket_of_one_class_leaves_the_others_alone() {
        let buckets = Buckets::documented().with(Class::Register, Bucket { capacity: 0.0, refill: 0.0 });
        let mut levels = Levels::default();
        let mut take =
            |service, action| levels.take(&buckets, &service, action, Duration::ZERO).map_err(|refusal| refusal.code);
        assert_eq!(take(Service::ElasticLoadBalancing, "RegisterTargets"), Err("Throttling".to_owned()));
        assert_eq!(take(Service::ElasticLoadBalancing, "DescribeTargetHealth"), Ok(()));
        assert_eq!(take(Service::Ec2, "CreateSecurityGroup"), Ok(()));
    }

    #[test]
    fn ec2_says_it_in_its_own_words() {
        assert_eq!(exceeded(&Service::Ec2).code, "RequestLimitExceeded");
    }
}
