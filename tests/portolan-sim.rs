//! Needs: nothing running. The simulation as a program: `cargo test --features simulation --test portolan-sim -- --seeds N --start S`
//! (docs/simulation.md).

use std::process::ExitCode;

fn main() -> ExitCode {
    portolan::sim::main()
}
