//! What exists of one load balancer, and what it was told.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use portolan_core::balancer::{LoadBalancer, Published};
use portolan_core::ids::Uid;
use serde::Serialize;

use crate::announcement::Announcement;
use crate::backing::Backing;
use crate::pool::Checked;
use crate::reach::Reach;
use crate::vip::Vip;
use crate::world::Answer;

/// What exists.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// Its addresses, lowest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub vips: Vec<Vip>,
    /// What it asked for and does not have yet, and what it was told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answer>,
    /// Something is kept or promised to it that it has not recorded, or it waits.
    #[serde(skip)]
    pub is_asking: bool,
    /// What placement was told of those behind it, and of what is published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backing: Option<Arc<Backing>>,
    /// What becomes of each of its addresses on the wire: the work of others, no part of what a plan makes.
    #[serde(skip)]
    pub announced: BTreeMap<IpAddr, Announcement>,
    /// Whether it is reached there: the work of others too.
    #[serde(skip)]
    pub reached: BTreeMap<IpAddr, Reach>,
    /// Of those who share it, whom the nodes of the others leave without an endpoint there.
    #[serde(skip)]
    pub left_out: BTreeMap<IpAddr, BTreeSet<Uid>>,
    /// All pools: context, no part of the load balancer.
    #[serde(skip)]
    pub pools: Arc<Vec<Checked>>,
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        (&self.vips, &self.answer, self.is_asking, &self.backing)
            == (&other.vips, &other.answer, other.is_asking, &other.backing)
    }
}

/// Clients may be using this address now.
pub(crate) fn is_published(desired: &LoadBalancer, vip: &Vip) -> bool {
    desired.published.iter().any(|published| matches!(published, Published::Ip { ip, mode: _ } if *ip == vip.address))
}
