//! Tags of everything that has an ARN.

use std::collections::BTreeMap;

use aws_sdk_elasticloadbalancingv2::types as sdk;

use crate::client::Aws;
use crate::client::action::Action;
use crate::client::batch;
use crate::client::elb::{BATCH, Pairs, tags};
use crate::client::error::Error;

impl Aws {
    /// The tags of those that exist of these.
    pub async fn tags(&self, arns: &[String]) -> Result<BTreeMap<String, Pairs>, Error> {
        let found = batch::existing(arns, BATCH, |arns| async move {
            let call = self.elb.describe_tags().set_resource_arns(Some(arns));
            let answer = self.elb(Action::DescribeTags, || call.clone().send()).await?;
            Ok(answer.tag_descriptions.unwrap_or_default())
        });
        Ok(found.await?.into_iter().filter_map(described).collect())
    }

    /// The tags of all of these, of which there are 20 at most. None if AWS does not show one of them: such a question is answered with NotFound
    /// as a whole.
    pub async fn tags_of_all(&self, arns: &[String]) -> Result<Option<BTreeMap<String, Pairs>>, Error> {
        let call = self.elb.describe_tags().set_resource_arns(Some(arns.to_vec()));
        match self.elb(Action::DescribeTags, || call.clone().send()).await {
            Ok(answer) => {
                Ok(Some(answer.tag_descriptions.unwrap_or_default().into_iter().filter_map(described).collect()))
            }
            Err(error) if error.is_gone() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Adds tags, or gives those that are there these values.
    pub async fn add_tags(&self, arns: &[String], add: &Pairs) -> Result<(), Error> {
        for arns in arns.chunks(BATCH) {
            let call = self.elb.add_tags().set_resource_arns(Some(arns.to_vec())).set_tags(tags(add));
            self.elb(Action::AddTags, || call.clone().send()).await?;
        }
        Ok(())
    }

    /// Removes the tags with these keys.
    pub async fn remove_tags(&self, arns: &[String], keys: &[String]) -> Result<(), Error> {
        for arns in arns.chunks(BATCH) {
            let call = self.elb.remove_tags().set_resource_arns(Some(arns.to_vec())).set_tag_keys(Some(keys.to_vec()));
            self.elb(Action::RemoveTags, || call.clone().send()).await?;
        }
        Ok(())
    }
}

fn described(one: sdk::TagDescription) -> Option<(String, Pairs)> {
    let pair = |tag: sdk::Tag| Some((tag.key?, tag.value.unwrap_or_default()));
    Some((one.resource_arn?, one.tags.unwrap_or_default().into_iter().filter_map(pair).collect()))
}
