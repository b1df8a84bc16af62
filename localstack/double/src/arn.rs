//! moto gives a network load balancer an ARN that says `loadbalancer/app/`, and its listeners `listener/app/`. AWS says `net`, and IAM
//! policies are scoped on it, so callers see and send AWS's form only. (The double plays no other kind of balancer.)
//!
//! Source: "Resource types defined by Elastic Load Balancing V2" in the service authorization reference:
//! `arn:${Partition}:elasticloadbalancing:${Region}:${Account}:loadbalancer/net/${LoadBalancerName}/${LoadBalancerId}`.

/// The resource parts that differ: what the emulator says, what AWS says.
const FORMS: [(&str, &str); 2] = [(":loadbalancer/app/", ":loadbalancer/net/"), (":listener/app/", ":listener/net/")];

/// A text of the emulator as AWS would write it.
pub(crate) fn from_upstream(text: &str) -> String {
    FORMS.iter().fold(text.to_owned(), |text, (theirs, aws)| text.replace(theirs, aws))
}

/// A text of AWS's as the emulator knows it.
pub(crate) fn to_upstream(text: &str) -> String {
    FORMS.iter().fold(text.to_owned(), |text, (theirs, aws)| text.replace(aws, theirs))
}

/// What an ARN is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Balancer,
    Group,
    Listener,
    Other,
}

/// The kind of object that an ARN of AWS's form names.
pub(crate) fn kind(arn: &str) -> Kind {
    match arn.split(':').nth(5).and_then(|resource| resource.split('/').next()) {
        Some("loadbalancer") => Kind::Balancer,
        Some("targetgroup") => Kind::Group,
        Some("listener") => Kind::Listener,
        _ => Kind::Other,
    }
}

/// The last part, AWS's sixteen hexadecimal digits.
pub(crate) fn id(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_directions_undo_each_other() {
        for resource in [
            "loadbalancer/net/web/50dc6c495c0c9188",
            "listener/net/web/50dc6c495c0c9188/0467ef3c8400ae65",
            "targetgroup/web/73e2d6bc24d8a067",
        ] {
            let arn = format!("arn:aws:elasticloadbalancing:us-east-1:123456789012:{resource}");
            assert_eq!(from_upstream(&to_upstream(&arn)), arn);
        }
        assert!(to_upstream("arn:aws:elasticloadbalancing:us-east-1:1:listener/net/a/b/c").contains(":listener/app/"));
    }

    #[test]
    fn an_arn_names_its_kind() {
        assert_eq!(kind("arn:aws:elasticloadbalancing:us-east-1:1:targetgroup/a/b"), Kind::Group);
        assert_eq!(kind("arn:aws:elasticloadbalancing:us-east-1:1:loadbalancer/net/a/b"), Kind::Balancer);
        assert_eq!(kind("nonsense"), Kind::Other);
        assert_eq!(
            id("arn:aws:elasticloadbalancing:us-east-1:1:loadbalancer/net/a/0123456789abcdef"),
            "0123456789abcdef"
        );
    }
}
