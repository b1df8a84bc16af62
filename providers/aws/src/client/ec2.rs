//! EC2, by a thin client of our own: the query protocol of version 2016-11-15
//! (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/Query-Requests.html>), signed by `aws-sigv4`, sent by the SDK's HTTP client.

use serde::de::DeserializeOwned;

use crate::client::Aws;
use crate::client::action::Action;
use crate::client::ec2::form::Form;
use crate::client::error::Error;

mod endpoint;
pub mod filter;
mod form;
pub mod groups;
pub mod network;
pub mod nodes;
pub mod prefix_lists;
mod xml;

pub(crate) use endpoint::Endpoint;

impl Aws {
    /// One call, one answer.
    async fn ec2<T: DeserializeOwned>(&self, action: Action, form: &Form) -> Result<T, Error> {
        Box::pin(self.caller.call(action, self.lane, || Box::pin(self.ec2.ask(action, form)))).await
    }

    /// All pages of an answer, of which `items` takes what is asked for and the token of the next page.
    async fn ec2_pages<T, I, F>(&self, action: Action, form: &Form, items: F) -> Result<Vec<I>, Error>
    where
        T: DeserializeOwned,
        F: Fn(T) -> (Vec<I>, Option<String>),
    {
        let mut all = Vec::new();
        let mut page = form.clone();
        loop {
            let (found, next) = items(self.ec2(action, &page).await?);
            all.extend(found);
            match next.filter(|token| !token.is_empty()) {
                Some(token) => page = form.clone().with("NextToken", &token),
                None => return Ok(all),
            }
        }
    }
}
