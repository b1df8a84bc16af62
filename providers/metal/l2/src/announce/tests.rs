use super::*;

fn at(milliseconds: u64) -> Time {
    Time::at(Duration::from_millis(milliseconds))
}

fn address(n: u32) -> IpAddr {
    IpAddr::V4(std::net::Ipv4Addr::from_bits(0xc000_0200 + n))
}

/// What goes out until then, and when, in milliseconds; each takes two frames.
fn told(announcements: &mut Announcements, until: u64) -> Vec<(u64, IpAddr)> {
    let mut told = Vec::new();
    while let Some(now) = announcements.deadline().filter(|now| *now <= at(until)) {
        while let Some(address) = announcements.next(now, |_| 2) {
            told.push((u64::try_from(now.since(Time::default()).as_millis()).unwrap(), address));
        }
    }
    told
}

#[test]
fn an_address_that_comes_is_announced_in_five_rounds_and_then_every_minute_or_sooner() {
    let mut announcements = Announcements::new(50);
    announcements.begin(at(0), address(1));
    let times: Vec<u64> = told(&mut announcements, 600_000).into_iter().map(|(time, _)| time).collect();
    assert_eq!(times[..5], [0, 1100, 2200, 3300, 4400]);
    let pauses: Vec<u64> = times[4..].windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(pauses.len() >= 9);
    assert!(pauses.iter().all(|pause| (40_000..=60_000).contains(pause)), "{pauses:?}");
    assert!(pauses.iter().any(|pause| *pause != pauses[0]), "{pauses:?}");
}

#[test]
fn addresses_that_come_together_do_not_stay_together() {
    let mut announcements = Announcements::new(50);
    (0..20).for_each(|n| announcements.begin(at(0), address(n)));
    let last: Vec<(u64, IpAddr)> = told(&mut announcements, 300_000).into_iter().rev().take(20).collect();
    assert!(last[0].0 - last[19].0 > 5_000, "{last:?}");
}

#[test]
fn in_no_second_are_there_more_frames_than_the_pace_allows_and_each_address_has_its_first_round_before_any_has_its_second()
 {
    let mut announcements = Announcements::new(50);
    (0..200).for_each(|n| announcements.begin(at(0), address(n)));
    let told = told(&mut announcements, 60_000);
    for (first, _) in &told {
        let within = told.iter().filter(|(time, _)| (*first..*first + 1000).contains(time)).count();
        assert!(within * 2 <= 50, "{within} addresses from {first}");
    }
    let firsts: BTreeSet<IpAddr> = told[..200].iter().map(|(_, address)| *address).collect();
    assert_eq!(firsts.len(), 200);
}

#[test]
fn a_link_that_comes_up_begins_a_burst_for_all_and_what_was_withdrawn_is_told_no_more() {
    let mut announcements = Announcements::new(50);
    announcements.begin(at(0), address(1));
    announcements.begin(at(0), address(2));
    told(&mut announcements, 10_000);
    announcements.end(address(2));
    announcements.begin_all(at(10_000));
    assert_eq!(told(&mut announcements, 11_500), [(10_000, address(1)), (11_100, address(1))]);
    announcements.end(address(1));
    assert_eq!(announcements.deadline(), None);
}

#[test]
fn ten_thousand_addresses_are_announced_once_in_four_hundred_seconds_each() {
    let mut announcements = Announcements::new(50);
    (0..10_000).for_each(|n| announcements.begin(at(0), address(n)));
    let bursts = 5 * 400_000;
    told(&mut announcements, bursts);
    let mut times: BTreeMap<IpAddr, Vec<u64>> = BTreeMap::new();
    for (time, address) in told(&mut announcements, bursts + 1_000_000) {
        times.entry(address).or_default().push(time);
    }
    assert_eq!(times.len(), 10_000);
    let pauses = times.values().flat_map(|times| times.windows(2)).map(|pair| pair[1] - pair[0]);
    let pauses: BTreeSet<u64> = pauses.collect();
    // By less or more as far as they came together before.
    assert!(
        pauses.iter().all(|pause| (380_000..=420_000).contains(pause)),
        "{:?} to {:?}",
        pauses.first(),
        pauses.last()
    );
}
