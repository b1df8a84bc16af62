//! The double as a program, on the machine's clock: for walks by hand and for programs that are not in this process.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Parser;
use portolan_aws_double::{Buckets, Clock, Double, Timings};

/// A strict double of AWS (ELBv2 and EC2) in front of an emulator; prints its endpoint, then each call as it ends.
#[derive(Debug, Parser)]
struct Arguments {
    /// The emulator.
    #[arg(long, default_value = "http://127.0.0.1:4566")]
    upstream: String,
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:4577")]
    listen: SocketAddr,
    /// The account in the emulator, twelve digits; without, the one that the emulator takes from the caller's credentials.
    #[arg(long)]
    account: Option<String>,
    /// Seconds that a balancer is provisioning.
    #[arg(long, default_value_t = 3.0)]
    provisioning: f64,
    /// Seconds from registration to healthy.
    #[arg(long, default_value_t = 3.0)]
    registration: f64,
    /// Seconds of draining; without, the target group's own.
    #[arg(long)]
    draining: Option<f64>,
    /// Seconds that a target group and a security group are still in use after their balancer is deleted.
    #[arg(long, default_value_t = 2.0)]
    release: f64,
    /// Seconds that what was created is not described yet.
    #[arg(long, default_value_t = 0.0)]
    visibility: f64,
    /// Throttle as AWS does.
    #[arg(long)]
    throttle: bool,
    /// Let in only what is signed with the secret of this key, given as KEY:SECRET; may be repeated.
    #[arg(long, value_name = "KEY:SECRET")]
    secret: Vec<String>,
    /// Plant the seed network of this cluster in the emulator (or find it), print it, and end.
    #[arg(long, value_name = "CLUSTER")]
    seed: Option<String>,
    /// The region of the seed network.
    #[arg(long, default_value = "us-east-1")]
    region: String,
}

fn seconds(text: f64) -> Duration {
    Duration::try_from_secs_f64(text).unwrap_or_default()
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "what it prints is what it is for")]
async fn main() -> std::io::Result<()> {
    let arguments = Arguments::parse();
    let timings = Timings {
        provisioning: seconds(arguments.provisioning),
        registration: seconds(arguments.registration),
        draining: arguments.draining.map(seconds),
        release: seconds(arguments.release),
        interface_release: seconds(arguments.release),
        visibility: seconds(arguments.visibility),
    };
    let mut builder = Double::at(&arguments.upstream);
    for pair in &arguments.secret {
        let (key, secret) = pair.split_once(':').unwrap_or((pair, ""));
        builder = builder.secret(key, secret);
    }
    let double = builder
        .listen(arguments.listen)
        .account(arguments.account.as_deref())
        .adopt()
        .clock(Clock::of_the_machine())
        .timings(timings)
        .throttle(if arguments.throttle { Buckets::documented() } else { Buckets::none() })
        .start()
        .await?;
    if let Some(cluster) = &arguments.seed {
        let seed = double.seed(&arguments.region, cluster).await.map_err(std::io::Error::other)?;
        println!("VPC={}", seed.vpc);
        println!("PUBLIC_SUBNETS={}", seed.public_subnets.join(","));
        println!("PRIVATE_SUBNETS={}", seed.private_subnets.join(","));
        println!("INSTANCES={}", seed.instances.join(","));
        println!("SECURITY_GROUP={}", seed.security_group);
        println!("ALLOCATIONS={}", seed.allocations.join(","));
        return Ok(());
    }
    println!("{}", double.endpoint());
    let mut shown = 0;
    loop {
        let calls = tokio::select! {
            calls = double.log().wait_for(|calls| calls.len() > shown) => calls,
            interrupted = tokio::signal::ctrl_c() => return interrupted,
        };
        for call in calls.iter().skip(shown) {
            println!(
                "{:>9.3}  {}  {}  {:?}  {}",
                call.at.as_secs_f64(),
                call.caller.access_key,
                call.action,
                call.outcome,
                call.principals.join(" ")
            );
        }
        shown = calls.len();
    }
}
