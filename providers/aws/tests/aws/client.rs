//! The client, against what it speaks to.

mod backend;
mod chain;
mod described;
mod double;
mod recorded;
mod rights;
mod round_trip;
mod scripted;
mod send;
mod survey;
mod trouble;
