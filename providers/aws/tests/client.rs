//! Needs moto, as `localstack/tools` builds it, or `PORTOLAN_MOTO` naming a `moto_server`; cases that need it say SKIPPED without. The
//! client against an emulator, and against a server that answers from a script.

#![cfg(test)]

#[path = "client/chain.rs"]
mod chain;
#[path = "client/described.rs"]
mod described;
#[path = "client/moto.rs"]
mod moto;
#[path = "client/recorded.rs"]
mod recorded;
#[path = "client/round_trip.rs"]
mod round_trip;
#[path = "client/scripted.rs"]
mod scripted;
#[path = "client/send.rs"]
mod send;
#[path = "client/trouble.rs"]
mod trouble;
