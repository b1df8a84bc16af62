use super::*;

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
        let nothing = Told {
            version: 7,
            stations: BTreeMap::new(),
            gateways: BTreeSet::new(),
            addresses: BTreeSet::new(),
            exceptions: BTreeMap::new(),
        };
        assert_eq!(*told.wait_for(Option::is_some).await.unwrap(), Some(nothing));
        assert_eq!(*answers.borrow(), Answers::default());
        stop.cancel();
    };
    let (ended, ()) = tokio::join!(run(sources, tells, counts, Clock::start(), stop.clone()), story);
    assert_eq!(ended, Ok(()));
}
