use portolan_core::ids::ServiceKey;
use portolan_core::snapshot::ConditionStatus;

use super::*;
use crate::sandbox::table::row::NotTrue;

fn plain(name: &str) -> Row {
    let address = Address { ip: Some("203.0.113.1".to_owned()), hostname: None, ip_mode: Some("VIP".to_owned()) };
    let port = Port { port: 80, protocol: "TCP".to_owned(), node_port: Some(30080), error: None };
    Row {
        key: ServiceKey::new("shop", name),
        class: Some("portolan.dev/mock".to_owned()),
        claim: "Claimed",
        why: None,
        addresses: vec![address],
        ports: vec![port],
        condition: None,
        told: true,
        expected: true,
        missing: Vec::new(),
    }
}

fn failing(name: &str) -> Row {
    let condition = NotTrue {
        condition: "portolan.dev/Accepted",
        status: ConditionStatus::False,
        reason: "ProtocolNotSupported".to_owned(),
        message: "no listener of\nSCTP".to_owned(),
    };
    let port = Port {
        port: 99,
        protocol: "SCTP".to_owned(),
        node_port: None,
        error: Some("portolan.dev/ProtocolNotSupported".to_owned()),
    };
    Row {
        addresses: Vec::new(),
        ports: vec![port],
        condition: Some(condition),
        expected: false,
        missing: vec!["this".to_owned(), "that".to_owned()],
        ..plain(name)
    }
}

fn foreign(name: &str) -> Row {
    Row { claim: "NotOurs", class: None, why: Some("not of type LoadBalancer".to_owned()), told: false, ..plain(name) }
}

#[test]
fn without_a_terminal_nothing_is_cut_and_a_service_is_a_line() {
    let shown = text(&[plain("web"), failing("phone"), foreign("x")], None);
    let wanted = "\
SERVICE     CLASS              ADDRESSES          PORTS                           EXPECTED  STATE
shop/web    portolan.dev/mock  203.0.113.1 (VIP)  80:30080/TCP                    yes       all True
shop/phone  portolan.dev/mock  -                  99/SCTP (ProtocolNotSupported)  no        Accepted=False ProtocolNotSupported: no listener of SCTP
shop/x      -                  203.0.113.1 (VIP)  80:30080/TCP                    yes       not of type LoadBalancer
2 of 3 Services are as expected; 2 are claimed
";
    assert_eq!(shown, wanted, "\n{shown}");
}

#[test]
fn a_terminal_gets_what_fits_and_keeps_what_needs_eyes() {
    let mut rows: Vec<Row> = (0..50).map(|number| plain(&format!("web-{number}"))).collect();
    rows.push(failing("phone"));
    let shown = text(&rows, Some(Room { columns: 80, lines: 12 }));
    assert!(shown.lines().count() < 12, "{shown}");
    assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
    assert!(shown.contains("shop/phone") && shown.contains("and 43 more"), "{shown}");
    let failing = shown.lines().find(|line| line.starts_with("shop/phone")).unwrap();
    assert!(failing.ends_with("Accepted=False Pr…"), "{failing}");
}

#[test]
fn a_change_is_a_line() {
    let before = [plain("web"), plain("same"), plain("old")];
    let lines = changes(&before, &[failing("web"), plain("same"), plain("new")]);
    assert_eq!(
        lines,
        [
            "shop/web: - 99/SCTP (ProtocolNotSupported) Accepted=False ProtocolNotSupported: no listener of SCTP (not as expected)",
            "shop/new: 203.0.113.1 (VIP) 80:30080/TCP all True",
            "shop/old: gone",
        ]
    );
}

#[test]
fn what_is_not_as_expected_says_what_was_wanted() {
    assert_eq!(unexpected(&[plain("web"), failing("phone")]), ["shop/phone: wanted this; wanted that"]);
}
