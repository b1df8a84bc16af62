//! Needs nothing running. The provider on `VirtualIP` objects in memory.

#![cfg(test)]

mod conformance;
mod memory;
mod rivals;
