//! How long things take at AWS. The emulators take no time for anything.

use std::time::Duration;

/// How long each change takes, on the double's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timings {
    /// A new balancer is `provisioning` so long, then `active`.
    pub provisioning: Duration,
    /// A target is `initial` so long after it was registered, its group came into use and its balancer became active; then it is as its
    /// health says.
    pub registration: Duration,
    /// A deregistered target is `draining` so long; `None`: as long as the group's `deregistration_delay.timeout_seconds`.
    pub draining: Option<Duration>,
    /// A target group whose listener or balancer was deleted answers `ResourceInUse` to its deletion for so long.
    pub release: Duration,
    /// A security group whose balancer was deleted, or let go of it, answers `DependencyViolation` to its deletion for so long: until the
    /// network interfaces of the balancer are gone.
    pub interface_release: Duration,
    /// What was created is not described yet for so long.
    pub visibility: Duration,
}

impl Timings {
    /// Nothing takes any time.
    pub const fn none() -> Self {
        Self {
            provisioning: Duration::ZERO,
            registration: Duration::ZERO,
            draining: Some(Duration::ZERO),
            release: Duration::ZERO,
            interface_release: Duration::ZERO,
            visibility: Duration::ZERO,
        }
    }

    /// About as long as users of AWS see it: two and a half minutes for a balancer, up to three minutes for a target, the group's own
    /// delay for one that leaves, some seconds for the rest. For a clock that is moved by hand.
    pub const fn aws() -> Self {
        Self {
            provisioning: Duration::from_secs(150),
            registration: Duration::from_secs(180),
            draining: None,
            release: Duration::from_secs(20),
            interface_release: Duration::from_secs(60),
            visibility: Duration::from_secs(2),
        }
    }
}
