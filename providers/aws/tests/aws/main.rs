//! The client through the strict double of AWS, in front of moto and in front of LocalStack (cases that need one say SKIPPED where
//! `localstack/tools` has not built it), and against a server that answers from a script; model, plan and outcome on a double of AWS's state,
//! which needs nothing running.

#![cfg(test)]

#[macro_use]
mod emulated;

mod client;
mod conformance;
mod provider;
