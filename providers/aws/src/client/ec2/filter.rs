//! Which objects an EC2 question is about. Always filters, never lists of ids: a question by ids is answered with NotFound as a whole when
//! one of them is missing, and cannot be paged; a filter leaves it out.

use crate::client::ec2::form::Form;

/// Values of one filter (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Filtering.html>).
pub(crate) const VALUES: usize = 200;

/// All of these must match; of a filter's values one is enough.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filters(Vec<(String, Vec<String>)>);

impl Filters {
    /// Everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only those whose property is one of these. At most 200 values.
    #[must_use]
    pub fn and(mut self, name: impl Into<String>, values: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.0.push((name.into(), values.into_iter().map(Into::into).collect()));
        self
    }

    /// Only those in this VPC.
    #[must_use]
    pub fn in_vpc(self, vpc: &crate::ids::VpcId) -> Self {
        self.and("vpc-id", [vpc.as_str()])
    }

    /// Only those that have a tag of this key, whatever its value.
    #[must_use]
    pub fn tagged(self, key: &str) -> Self {
        self.and("tag-key", [key])
    }

    /// Only those whose tag of this key is this.
    #[must_use]
    pub fn tag(self, key: &str, value: &str) -> Self {
        self.and(format!("tag:{key}"), [value])
    }

    pub(crate) fn form(&self) -> Form {
        let mut form = Form::default();
        for (number, (name, values)) in (1..).zip(&self.0) {
            form = form.with(&format!("Filter.{number}.Name"), name);
            form = form.list(&format!("Filter.{number}.Value"), values.iter().map(String::as_str));
        }
        form
    }
}
