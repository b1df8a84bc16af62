//! What lies in the folder: others' things, nonsense, things that are no files, and who holds the lock.

use super::*;

#[test]
fn what_is_not_ours_is_refused_and_left_alone() {
    let scene = Scene::on(Store::memory(), "blue", &json!({}));
    let green = Scene::on(scene.store.clone(), "green", &json!({}));
    let mut theirs = desired("lb");
    green.settle(&mut theirs);
    scene.store.replace("balancers/unmarked.json", b"[]").unwrap();
    for id in ["lb", "unmarked"] {
        let state = scene.observe(id).unwrap();
        assert_eq!(scene.mock.plan(Some(&desired(id)), &state).unwrap_err().reason(), Reason::NotOurs);
        assert_eq!(scene.mock.outcome(Some(&desired(id)), &state).programmed.reason, Reason::NotOurs);
        assert!(scene.mock.plan(None, &state).unwrap().is_empty());
        for step in
            [Step::CreateBalancer { generation: 1, scheme: Scheme::Public }, Step::DeleteBalancer { generation: 1 }]
        {
            let error = scene.apply(id, &step).unwrap_err();
            assert_eq!((error.kind, error.reason), (ErrorKind::Terminal, Reason::NotOurs));
        }
    }
    assert_eq!(scene.mock.inventory().now_or_never().unwrap().unwrap(), []);
    assert_eq!(green.mock.inventory().now_or_never().unwrap().unwrap().len(), 2);
}

#[test]
fn a_file_that_cannot_be_understood_spoils_only_its_own_load_balancer() {
    let scene = Scene::new(&json!({}));
    let mut good = desired("good");
    scene.settle(&mut good);
    let garbage: [&[u8]; 5] = [
        br#"{"id": "bad", "inst"#,
        b"\xff\xfe",
        br#"{"instance": "", "id": 3}"#,
        br#"{"instance": ""}"#,
        br#"{"id":"bad","instance":"","members":[],"sourceRanges":"all","nodes":[],"generations":[]}"#,
    ];
    for garbage in garbage {
        scene.store.replace("balancers/bad.json", garbage).unwrap();
        let ids = [LoadBalancerId::new("bad"), good.id.clone()].map(Known::nothing_of);
        let states = scene.mock.observe_many(&ids).now_or_never().unwrap();
        let message = &states[0].as_ref().unwrap_err().message;
        assert!(message.contains("balancers/bad.json"), "{message}");
        assert!(states[1].is_ok());
        assert!(scene.apply("bad", &Step::DeleteBalancer { generation: 1 }).is_err());
        let picture = picture(&scene.store, scene.clock.now()).unwrap();
        assert_eq!((picture.balancers.len(), picture.problems.len()), (1, 1));
    }
    scene.store.replace("addresses/203.0.113.1", b"").unwrap();
    scene.store.replace("faults/f.json", b"{}").unwrap();
    assert!(scene.observe("good").unwrap_err().message.contains("addresses/203.0.113.1"));
    let mut other = desired("other");
    assert_eq!(scene.settle(&mut other).error, None);
    assert_eq!(ips(&other.published), ["203.0.113.2"]);
    assert!(
        picture(&scene.store, scene.clock.now())
            .unwrap()
            .problems
            .iter()
            .any(|problem| problem.contains("faults/f.json"))
    );
}

#[test]
fn a_lock_that_somebody_holds_is_waited_for_on_the_clock_and_then_named() {
    let folder = Folder::new("held");
    let scene = folder.scene();
    let lock = std::fs::File::create(folder.0.join("lock")).unwrap();
    lock.lock().unwrap();
    let before = scene.clock.now();
    let create = Step::CreateBalancer { generation: 1, scheme: Scheme::Public };
    let error = scene.apply("lb", &create).unwrap_err();
    assert_eq!((error.kind, error.reason), (ErrorKind::Retry, Reason::ProviderFailed));
    assert!(error.message.contains(&folder.0.join("lock").display().to_string()), "{}", error.message);
    let waited = before.until(scene.clock.now()).unwrap();
    assert!(waited > Duration::from_secs(4) && waited <= Duration::from_secs(5), "{waited:?}");
    assert_eq!(scene.observe("lb"), Ok(State::Absent), "observing needs no lock");
    drop(lock);
    assert!(scene.apply("lb", &create).is_ok());
}

#[test]
fn what_is_no_regular_file_fails_by_name_and_blocks_nobody() {
    let folder = Folder::new("fifo");
    let scene = folder.scene();
    let mut lb = LoadBalancer { requested: vec!["203.0.113.1".parse().unwrap()], ..desired("lb") };
    for piece in ["lock", "balancers/lb.json", "addresses/203.0.113.1"] {
        folder.fifo(piece);
        let error = match scene.observe("lb") {
            Err(error) => error,
            Ok(_) => scene.settle(&mut lb).error.or_else(|| scene.observe("lb").err()).unwrap_or_else(|| {
                panic!("{piece} is not looked at");
            }),
        };
        assert_eq!(error.kind, ErrorKind::Retry);
        assert!(error.message.contains(piece) && error.message.contains("regular file"), "{}", error.message);
        std::fs::remove_file(folder.0.join(piece)).unwrap();
    }
    folder.fifo("changes");
    let mut changes = Box::pin(scene.mock.changes());
    folder.fifo("faults/f.json");
    assert!(scene.observe("lb").unwrap_err().message.contains("faults"));
    std::fs::remove_file(folder.0.join("faults/f.json")).unwrap();
    std::fs::remove_file(folder.0.join("changes")).unwrap();
    assert_eq!(scene.settle(&mut lb).error, None);
    scene.arm("sick", "observe", "unhealthy");
    assert_eq!(changes.next().now_or_never(), Some(Some(lb.id.clone())), "changes go on when they can be read");
}

#[test]
fn a_name_that_no_file_can_have_is_absent() {
    let folder = Folder::new("long");
    let id = "x".repeat(253);
    folder.scene().delete(&id);
    let error = folder.scene().settle(&mut desired(&id)).error.unwrap();
    assert_eq!(error.kind, ErrorKind::Retry);
}

/// A clock on which nobody should have to wait; it tells who does.
struct ToldClock(std::sync::mpsc::Sender<Duration>);

impl Clock for ToldClock {
    fn now(&self) -> crate::clock::Millis {
        crate::clock::Millis::default()
    }

    fn sleep(&self, duration: Duration) -> futures::future::BoxFuture<'static, ()> {
        let told = self.0.clone();
        async move { told.send(duration).unwrap() }.boxed()
    }
}

#[test]
fn calls_of_one_process_take_turns_and_never_look_at_the_lock_again_and_again() {
    let folder = Folder::new("turns");
    let store = Store::folder(&folder.0);
    let (tell, told) = std::sync::mpsc::channel();
    let mock = Mock::new(Parameters::default(), store.clone(), Instance::default(), Arc::new(ToldClock(tell)));
    let create = Step::CreateBalancer { generation: 1, scheme: Scheme::Public };
    let call = Call { id: LoadBalancerId::new("lb"), members: Vec::new(), external: BTreeMap::new() };
    std::thread::scope(|scope| {
        let inside = store.locked_blocking(|| {
            let other = scope.spawn(|| mock.apply(&create, &call).now_or_never().map(|applied| applied.is_ok()));
            // Whoever polls the lock has asked the clock by then.
            assert!(
                told.recv_timeout(Duration::from_millis(200)).is_err(),
                "it waits on the clock for its own process"
            );
            other
        });
        assert_eq!(inside.unwrap().join().unwrap(), Some(true));
    });
}
