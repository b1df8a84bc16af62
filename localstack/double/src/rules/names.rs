//! Names of balancers and groups.

use crate::refusal::Refusal;

/// API reference, CreateLoadBalancer, `Name`: at most 32 characters, alphanumerics and hyphens, no hyphen at an edge, not `internal-...`.
pub(crate) fn balancer(name: &str) -> Result<(), Refusal> {
    plain("Load balancer", name)?;
    if name.starts_with("internal-") {
        return Err(Refusal::validation(format!("Load balancer name '{name}' must not begin with 'internal-'")));
    }
    Ok(())
}

/// API reference, CreateTargetGroup, `Name`: as for balancers, but for `internal-`.
pub(crate) fn group(name: &str) -> Result<(), Refusal> {
    plain("Target group", name)
}

fn plain(what: &str, name: &str) -> Result<(), Refusal> {
    let complaint = if name.is_empty() {
        "must not be empty"
    } else if name.len() > 32 {
        "cannot be longer than '32' characters"
    } else if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        "can only contain characters that are alphanumeric characters and hyphens(-)"
    } else if name.starts_with('-') || name.ends_with('-') {
        "cannot begin or end with '-'"
    } else {
        return Ok(());
    };
    Err(Refusal::validation(format!("{what} name '{name}' {complaint}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_at_most_32_alphanumerics_and_inner_hyphens() {
        let legal = ["a".repeat(32), "a-b".to_owned(), "A1".to_owned(), "internal".to_owned()];
        let illegal = [
            "a".repeat(33),
            "-a".to_owned(),
            "a-".to_owned(),
            "a_b".to_owned(),
            "a.b".to_owned(),
            "ä".to_owned(),
            String::new(),
        ];
        legal.iter().for_each(|name| assert_eq!((balancer(name), group(name)), (Ok(()), Ok(())), "{name}"));
        illegal.iter().for_each(|name| assert!(balancer(name).is_err() && group(name).is_err(), "{name}"));
    }

    #[test]
    fn only_a_balancer_must_not_be_called_internal() {
        assert!(balancer("internal-a").is_err());
        assert_eq!(group("internal-a"), Ok(()));
    }
}
