//! What Kubernetes takes for a name. The API server refuses any other, so a class or namespace with one would never match.

/// A label as RFC 1123 and Kubernetes have it: the name of a namespace. At most 63 characters.
pub(super) fn is_dns_label(text: &str) -> bool {
    text.len() <= 63 && is_dns_word(text)
}

/// A qualified name (`IsQualifiedName` of apimachinery's validation): what `spec.loadBalancerClass` must be. A name of at most
/// 63 characters, behind an optional DNS subdomain and a slash.
pub(super) fn is_qualified_name(text: &str) -> bool {
    match text.split_once('/') {
        Some((prefix, name)) => is_dns_subdomain(prefix) && is_name_part(name),
        None => is_name_part(text),
    }
}

/// Labels of Kubernetes' subdomain are not limited to 63 characters each, only 253 in all.
fn is_dns_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_dns_word)
}

fn is_dns_word(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn is_name_part(text: &str) -> bool {
    let ends_well = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    text.len() <= 63
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
        && ends_well(text.bytes().next())
        && ends_well(text.bytes().last())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_qualified_name_has_an_optional_subdomain_and_a_name_of_63() {
        let name = "a".repeat(63);
        let long_prefix = format!("{}/x", "a".repeat(253));
        for good in ["x", "X_y.z-1", "portolan.dev/aws", "service.k8s.aws/nlb", "a/B", &name, &long_prefix] {
            assert!(is_qualified_name(good), "{good}");
        }
        let long_name = "a".repeat(64);
        let longer_prefix = format!("{}/x", "a".repeat(254));
        for bad in [
            "",
            "/",
            "a/",
            "/a",
            "a/b/c",
            "-a",
            "a-",
            "A.dev/x",
            "a..b/x",
            "a b",
            "ä",
            ".a",
            "a_b/x",
            &long_name,
            &longer_prefix,
        ] {
            assert!(!is_qualified_name(bad), "{bad}");
        }
    }

    #[test]
    fn a_dns_label_is_lower_case_and_at_most_63() {
        let longest = "a".repeat(63);
        for good in ["a", "0", "kube-system", &longest] {
            assert!(is_dns_label(good), "{good}");
        }
        let too_long = "a".repeat(64);
        for bad in ["", "-", "a-", "-a", "A", "a.b", "a_b", "a b", &too_long] {
            assert!(!is_dns_label(bad), "{bad}");
        }
    }
}
