//! The table: of each Service class, addresses, ports, and the first condition that is not True and why.

mod row;
mod text;

pub(crate) use row::Row;
pub(crate) use text::{Room, changed, changes, text, unexpected};
