use super::*;
use crate::speaker::duty::Asks;
use crate::speaker::duty::tests::no_interface;
use crate::speaker::ranks::Owned;

#[tokio::test(start_paused = true)]
async fn nothing_is_told_before_addresses_and_interfaces_are_known_and_then_also_that_there_are_none() {
    let (owns, owned) = watch::channel(None);
    let (found, interfaces) = watch::channel(None);
    let (_heard_of, fellows) = watch::channel(Arc::default());
    let (tells, mut told) = watch::channel(None);
    let (counts, answers) = watch::channel(Answers::default());
    let stop = CancellationToken::new();
    let sources = Sources { owns: owned, interfaces, fellows };
    let story = async {
        owns.send_replace(Some(Arc::new(Owns { version: 7, ..Owns::default() })));
        // Time passes only when nobody has anything to do.
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(*told.borrow(), None);
        found.send_replace(Some(Arc::default()));
        let nothing = Told { version: 7, ..Told::default() };
        assert_eq!(*told.wait_for(Option::is_some).await.unwrap(), Some(nothing));
        assert_eq!(*answers.borrow(), Answers::default());
        stop.cancel();
    };
    let (ended, ()) = tokio::join!(run(sources, tells, counts, 50, Clock::start(), stop.clone()), story);
    assert_eq!(ended, Ok(()));
}

#[test]
fn what_could_not_be_opened_is_tried_again_although_something_happens_elsewhere_all_the_time() {
    let vip: IpAddr = "198.51.100.10".parse().unwrap();
    let owns = Owns { addresses: [(vip, Owned::default())].into(), version: 1, ..Owns::default() };
    let (owns, interfaces) = (Some(Arc::new(owns)), Some(Arc::new(vec![no_interface()])));
    let seconds = |tenths: u64| Time::default() + Duration::from_millis(100 * tenths);
    let mut wire = Wire::default();
    wire.changed(&owns, &interfaces, seconds(0));
    assert_eq!((wire.closed.len(), wire.deadline()), (1, Some(seconds(10))));
    for tenths in 1..10 {
        wire.let_go(seconds(tenths));
        assert_eq!(wire.deadline(), Some(seconds(10)), "after {tenths} tenths");
    }
    wire.on_time(&owns, &interfaces, seconds(10));
    wire.let_go(seconds(10));
    assert_eq!(wire.deadline(), Some(seconds(20)), "and again, as it has failed again");
}

#[test]
fn an_address_that_one_interface_cannot_announce_is_not_announced_unless_another_one_does() {
    let ips = ["198.51.100.10", "198.51.100.11", "198.51.100.12"].map(|text| text.parse::<IpAddr>().unwrap());
    let place = |name: &str, vips: &[(IpAddr, Part)]| Place {
        name: name.to_owned(),
        mac: Mac([2, 0, 0, 0, 0, 1]),
        came_up: 0,
        has_ipv6: false,
        vips: vips.iter().copied().collect(),
    };
    let owner = Part::Owner(Asks::Not);
    let closed = place("lan0", &ips.map(|ip| (ip, owner)));
    let open = place("lan1", &[(ips[0], owner), (ips[1], Part::Leaving)]);
    let said: Vec<Exception> = without_socket(&closed, &[&open]).map(|(_, exception)| exception).collect();
    let interface = || "lan0".to_owned();
    let nowhere = Exception::NoSocket { interface: interface() };
    assert_eq!(said, [Exception::OneInterfaceLess { interface: interface() }, nowhere.clone(), nowhere]);
}
