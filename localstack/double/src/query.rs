//! The AWS Query protocol, request side: a form-encoded list of parameters, with lists written as `Names.member.1` (ELBv2) or
//! `GroupId.1` (EC2) and structures as `Targets.member.1.Id`.
//!
//! Source: "Query Requests" in the Elastic Load Balancing API reference and in the Amazon EC2 API reference.

use std::collections::BTreeMap;

/// One parsed request, or one structure of a list in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    params: BTreeMap<String, String>,
}

impl Query {
    /// Reads `application/x-www-form-urlencoded` text. Parameters that are given twice keep the last value, as AWS does.
    pub fn parse(form: &str) -> Self {
        let params = form.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        });
        Self { params: params.collect() }
    }

    /// A request made of these pairs.
    pub fn of<N: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        Self { params: pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect() }
    }

    /// The `Action` parameter.
    pub fn action(&self) -> &str {
        self.get("Action").unwrap_or_default()
    }

    /// One plain parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.params.get(name).map(String::as_str)
    }

    /// One parameter that must be there.
    pub fn need(&self, name: &'static str) -> Result<&str, crate::refusal::Refusal> {
        self.get(name).ok_or_else(|| crate::refusal::Refusal::validation(format!("{name} must be specified")))
    }

    /// Every parameter, by name.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.params.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Is there a list, structure or value of this name?
    pub fn has(&self, name: &str) -> bool {
        self.params.keys().any(|key| key == name || key.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')))
    }

    /// The plain values of a list, in the order of their numbers.
    pub fn list(&self, name: &str) -> Vec<&str> {
        let mut values: Vec<(u32, &str)> = self
            .numbered(name)
            .filter_map(|(number, rest, value)| rest.is_empty().then_some((number, value)))
            .collect();
        values.sort_by_key(|(number, _)| *number);
        values.into_iter().map(|(_, value)| value).collect()
    }

    /// The structures of a list, each as a request of its own with the names inside the structure.
    pub fn structures(&self, name: &str) -> Vec<Query> {
        let mut all: BTreeMap<u32, Query> = BTreeMap::new();
        for (number, rest, value) in self.numbered(name) {
            all.entry(number).or_default().params.insert(rest.to_owned(), value.to_owned());
        }
        all.into_values().collect()
    }

    fn numbered<'a>(&'a self, name: &str) -> impl Iterator<Item = (u32, &'a str, &'a str)> {
        self.params.iter().filter_map(move |(key, value)| {
            let rest = key.strip_prefix(name)?.strip_prefix('.')?;
            let rest = rest.strip_prefix("member.").unwrap_or(rest);
            let (number, rest) = rest.split_once('.').unwrap_or((rest, ""));
            Some((number.parse().ok()?, rest, value.as_str()))
        })
    }

    /// The same request with every value changed by `change`.
    pub fn map(&self, change: impl Fn(&str) -> String) -> Self {
        Self { params: self.params.iter().map(|(name, value)| (name.clone(), change(value))).collect() }
    }

    /// The same request without these parameters.
    pub fn without(&self, names: &[&str]) -> Self {
        let params = self.params.iter().filter(|(name, _)| !names.contains(&name.as_str()));
        Self { params: params.map(|(name, value)| (name.clone(), value.clone())).collect() }
    }

    /// The same request with these parameters, in the place of those of their names.
    pub fn with<N: Into<String>, V: Into<String>>(&self, pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut params = self.params.clone();
        params.extend(pairs.into_iter().map(|(name, value)| (name.into(), value.into())));
        Self { params }
    }

    /// The request as a form again.
    pub fn encode(&self) -> String {
        let pairs: Vec<String> =
            self.params.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        pairs.join("&")
    }
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let mut hex = || char::from(rest.next()?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                if let (Some(high), Some(low)) = (hex(), hex()) {
                    bytes.push(high * 16 + low);
                }
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_comes_back_as_it_went() {
        let query = Query::of([("Action", "AddTags"), ("Tags.member.1.Value", "a b&c=d/é")]);
        assert_eq!(Query::parse(&query.encode()), query);
    }

    #[test]
    fn lists_keep_the_order_of_their_numbers_not_of_their_text() {
        let query = Query::of((1..=11).map(|n| (format!("Names.member.{n}"), n.to_string())));
        assert_eq!(query.list("Names").last(), Some(&"11"));
        assert_eq!(query.list("Names").get(1), Some(&"2"));
    }

    #[test]
    fn ec2_lists_have_no_member_in_them() {
        let query =
            Query::of([("IpPermissions.1.IpRanges.1.CidrIp", "10.0.0.0/8"), ("IpPermissions.1.FromPort", "80")]);
        let permissions = query.structures("IpPermissions");
        assert_eq!(permissions.len(), 1);
        assert_eq!(permissions[0].structures("IpRanges")[0].get("CidrIp"), Some("10.0.0.0/8"));
        assert_eq!(permissions[0].get("FromPort"), Some("80"));
    }

    #[test]
    fn a_name_that_begins_like_another_is_another() {
        let query = Query::of([("SubnetMappings.member.1.SubnetId", "subnet-1")]);
        assert!(query.has("SubnetMappings"));
        assert!(!query.has("Subnet"));
        assert!(query.list("Subnets").is_empty());
    }
}
