//! As how many rules prefix lists count: asked only when rules are about to be opened that name one, in one question for all that anybody has
//! named by then, and as old as the look: who is refused for a list's sake is looked at again, and asked about anew.

use std::collections::BTreeSet;

use crate::client::Aws;
use crate::client::ec2::filter::Filters;
use crate::estate::prefix_lists::{PrefixList, PrefixLists};
use crate::ids::PrefixListId;
use crate::survey::{Error, Survey};

impl Survey {
    /// Sees to it that it is known as how many rules these count. Costs nothing where it is.
    pub async fn weigh(&self, aws: &Aws, lists: &BTreeSet<PrefixListId>) -> Result<(), Error> {
        if self.with(|seen| seen.is_weighed(lists)) {
            return Ok(());
        }
        // Whoever asks next asks for these too.
        self.with(|seen| seen.named.extend(lists.iter().cloned()));
        let _looking = self.shared.looking.lock().await;
        if self.with(|seen| seen.is_weighed(lists)) {
            return Ok(());
        }
        let unknown: Vec<PrefixListId> = self.with(|seen| seen.unweighed()).into_iter().collect();
        let found = aws.prefix_lists(&unknown).await?;
        // Those that AWS does not know come first: what it has said of the others holds.
        let missing = unknown.into_iter().map(|list| (list, PrefixList::Missing));
        self.with(|seen| {
            let mut lists = seen.lists.clone();
            lists.extend(missing.chain(found));
            seen.weighed(lists);
        });
        Ok(())
    }

    /// The same for all lists that there are: a dry run does not know whom it is asked about before it decides.
    pub(crate) async fn weigh_all(&self, aws: &Aws) -> Result<(), Error> {
        let _looking = self.shared.looking.lock().await;
        if self.with(|seen| seen.lists.is_all()) {
            return Ok(());
        }
        let found = aws.prefix_lists_where(&Filters::new()).await?;
        self.with(|seen| seen.weighed(PrefixLists::all(found)));
        Ok(())
    }
}
