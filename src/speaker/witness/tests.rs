use std::collections::BTreeSet;

use super::*;
use crate::speaker::duty::tests::no_interface;
use crate::speaker::ranks::Inherited;

const OWNER: Mac = Mac([2, 0, 0, 0, 0, 1]);
const OTHER: Mac = Mac([2, 0, 0, 0, 0, 2]);
const THIRD: Mac = Mac([2, 0, 0, 0, 0, 3]);

fn vip() -> IpAddr {
    IpAddr::from([198, 51, 100, 10])
}

fn witnessed(version: u64, doubt: Doubt) -> Witnessed {
    Witnessed { version, doubts: [(doubt, vec![vip()])].into(), inherited: [vip()].into() }
}

fn inherits(excluded: bool) -> Inherits {
    let ports = [80].into();
    let source_ranges = excluded.then(|| "203.0.113.0/24".parse().unwrap()).into_iter().collect();
    let inherited =
        Inherited { owner: "node-a".to_owned(), generation: 1, only: None, ports, source_ranges, version: 1 };
    Inherits { addresses: [(vip(), inherited)].into(), version: 1 }
}

fn said() -> BTreeMap<String, Said> {
    [("node-a".to_owned(), Said { stations: Arc::new([OWNER].into()), applied: 1 })].into()
}

fn proving(excluded: bool) -> Proving {
    match tasks(&inherits(excluded), &[no_interface()], &said(), &BTreeMap::new()).remove(&vip()) {
        Some(Task::Prove(proving)) => proving,
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_one_station_of_the_owners_with_open_ports_is_a_proof() {
    let found = |stations: &[Mac], refused: &[u16], silent: &[u16]| Finding {
        stations: stations.iter().copied().collect(),
        more: stations.len() > 2,
        foreign: stations == [OTHER],
        refused: refused.iter().copied().collect(),
        silent: silent.iter().copied().collect(),
    };
    for (finding, expected) in [
        (found(&[OWNER], &[], &[]), vec![]),
        (found(&[], &[], &[]), vec![Doubt::NoAnswer]),
        (found(&[OWNER, OTHER], &[], &[]), vec![Doubt::Several { macs: vec![OWNER, OTHER], more: false }]),
        (found(&[OWNER, OTHER, THIRD], &[], &[]), vec![Doubt::Several { macs: vec![OWNER, OTHER, THIRD], more: true }]),
        (found(&[OTHER], &[], &[]), vec![Doubt::Foreign(vec![OTHER])]),
        (found(&[OWNER], &[443], &[80]), vec![Doubt::Silent(vec![80]), Doubt::Refused(vec![443])]),
    ] {
        assert_eq!(of_finding(&finding, &proving(false)), expected, "{finding:?}");
    }
    let good = found(&[OWNER], &[], &[]);
    assert_eq!(of_finding(&good, &proving(true)), [Doubt::SourceRanges]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_told_before_it_is_known_what_there_is_to_prove_and_what_waits_for_its_owner_is_told_as_pending() {
    let (inherits, inherited) = watch::channel(None);
    let (found, interfaces) = watch::channel(None);
    let (_says, said) = watch::channel(Arc::default());
    let (tells, mut told) = watch::channel(None);
    let stop = CancellationToken::new();
    let sources = Sources { inherits: inherited, interfaces, said };
    let story = async {
        let of = |only| Inherited {
            owner: "node-a".to_owned(),
            generation: 1,
            only,
            ports: BTreeSet::new(),
            source_ranges: Vec::new(),
            version: 7,
        };
        let all = Inherits { addresses: [(vip(), of(None))].into(), version: 7 };
        inherits.send_replace(Some(Arc::new(all)));
        // Time passes only when nobody has anything to do.
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(*told.borrow(), None);
        found.send_replace(Some(Arc::default()));
        let off_link = witnessed(7, Doubt::OffLink);
        assert_eq!(*told.wait_for(Option::is_some).await.unwrap(), Some(off_link));
        inherits.send_replace(Some(Arc::default()));
        told.changed().await.unwrap();
        assert_eq!(*told.borrow(), Some(Witnessed::default()));
        stop.cancel();
    };
    let (ended, ()) = tokio::join!(run(sources, tells, 1, Clock::start(), stop.clone()), story);
    assert_eq!(ended, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn where_the_kernel_gives_no_sockets_nothing_is_said_of_the_wire_and_it_is_tried_again() {
    let (_ranks, inherited) = watch::channel(Some(Arc::new(inherits(false))));
    let (_found, interfaces) = watch::channel(Some(Arc::new(vec![no_interface()])));
    let (says, said_so) = watch::channel(Arc::default());
    let (tells, mut told) = watch::channel(None);
    let stop = CancellationToken::new();
    let sources = Sources { inherits: inherited, interfaces, said: said_so };
    let story = async {
        says.send_replace(Arc::new(said()));
        let no_socket = Some(witnessed(1, Doubt::NoSocket));
        assert_eq!(*told.wait_for(|told| *told == no_socket).await.unwrap(), no_socket);
        // Again and again, and all the while there is nothing new to tell.
        tokio::time::sleep(OPEN_AGAIN * 5).await;
        assert!(!told.has_changed().unwrap());
        stop.cancel();
    };
    let (ended, ()) = tokio::join!(run(sources, tells, 1, Clock::start(), stop.clone()), story);
    assert_eq!(ended, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn an_owner_whose_report_is_gone_leaves_his_addresses_pending() {
    let (_ranks, inherited) = watch::channel(Some(Arc::new(inherits(false))));
    let (_found, interfaces) = watch::channel(Some(Arc::new(vec![no_interface()])));
    let (says, said_so) = watch::channel(Arc::new(said()));
    let mut sources = Sources { inherits: inherited, interfaces, said: said_so };
    let mut prover = Prover::new(1);
    prover.look(&mut sources, Time::default());
    assert!(matches!(prover.tasks[&vip()], Task::Prove(_)));
    let mut other = said();
    other.get_mut("node-a").unwrap().stations = Arc::new([OTHER].into());
    says.send_replace(Arc::new(other));
    prover.look(&mut sources, Time::default());
    assert!(matches!(&prover.tasks[&vip()], Task::Prove(proving) if proving.errand.owners.contains(&OTHER)));
    says.send_replace(Arc::default());
    prover.look(&mut sources, Time::default());
    let pending = witnessed(1, Doubt::Pending);
    assert_eq!((prover.told(), prover.rotation.deadline()), (pending, None));
}

#[test]
fn an_interface_without_sockets_is_warned_of_once() {
    let mut prover = Prover::new(1);
    let another = IpAddr::from([198, 51, 100, 11]);
    prover.tasks = [(vip(), Task::Prove(proving(false))), (another, Task::Prove(proving(false)))].into();
    let error = Error::Open(std::io::ErrorKind::PermissionDenied.into());
    assert!(prover.is_denied(vip(), &error));
    assert!(!prover.is_denied(another, &error) && !prover.is_denied(vip(), &error));
}
