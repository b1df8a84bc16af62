use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// As kube-proxy 1.36.1 answered in the lab.
fn recorded(name: &str) -> String {
    let file = format!("{}/testdata/kube-proxy/healthz-1.36.1-{name}.json", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(file).unwrap()
}

const OK: StatusCode = StatusCode::OK;
const UNAVAILABLE: StatusCode = StatusCode::SERVICE_UNAVAILABLE;
/// The speaker has run for a hundred seconds.
const ASKED: Time = Time::from_nanos(100_000_000_000);

#[test]
fn a_healthy_one_says_when_it_last_wrote_the_rules_of_each_family() {
    // 55.4 s before it answered.
    let written = |nanos| Some(Time::from_nanos(nanos));
    assert_eq!(
        read(OK, recorded("healthy").as_bytes(), ASKED),
        Answer::Healthy { v4: written(44_579_696_960), v6: written(44_530_613_710) }
    );
    let (early, begun) = (Time::from_nanos(1_000_000_000), Some(Time::default()));
    assert_eq!(read(OK, recorded("healthy").as_bytes(), early), Answer::Healthy { v4: begun, v6: begun });
}

#[test]
fn that_its_node_is_about_to_be_deleted_is_not_that_it_does_not_forward() {
    assert!(matches!(
        read(UNAVAILABLE, recorded("node-leaving").as_bytes(), ASKED),
        Answer::Healthy { v4: Some(_), .. }
    ));
    let old = OLD.replace("true", "false");
    assert_eq!(read(UNAVAILABLE, old.as_bytes(), ASKED), Answer::Healthy { v4: None, v6: None });
}

#[test]
fn one_that_says_so_or_does_not_know_its_families_yet_is_not_well() {
    // ProxyHealth of proxy_health.go, field by field.
    let said = recorded("healthy");
    let stuck = said.replace(r#""nodeEligible":true,"healthy":true"#, r#""nodeEligible":true,"healthy":false"#);
    assert_ne!(said, stuck);
    assert_eq!(read(UNAVAILABLE, stuck.as_bytes(), ASKED), Answer::Unhealthy);
    let begun = br#"{"lastUpdated":"2026-11-23T04:14:04.3Z","currentTime":"2026-11-23T04:14:04.3Z","nodeEligible":true,"healthy":true}"#;
    assert_eq!(read(OK, begun, ASKED), Answer::Unhealthy);
}

/// Until 1.33, as proxy_health.go there writes it.
const OLD: &str = r#"{"lastUpdated": "2024-05-01 10:00:00.1 +0000 UTC m=+7.2","currentTime": "2024-05-01 10:00:00.1 +0000 UTC m=+7.2", "nodeEligible": true}"#;

#[test]
fn of_an_older_one_and_of_somebody_else_the_code_counts() {
    for body in [OLD, "ok", ""] {
        assert_eq!(read(OK, body.as_bytes(), ASKED), Answer::Healthy { v4: None, v6: None });
        assert_eq!(read(UNAVAILABLE, body.as_bytes(), ASKED), Answer::Unhealthy);
    }
    assert_eq!(read(StatusCode::NOT_FOUND, b"", ASKED), Answer::Unhealthy);
}

/// Answers one question with this line of status, and is closed.
async fn answer_once(listener: TcpListener, status: &str) {
    let (mut stream, _) = listener.accept().await.unwrap();
    drop(listener);
    let mut question = [0; 1024];
    let length = stream.read(&mut question).await.unwrap();
    assert!(question[..length].starts_with(b"GET /healthz HTTP/1.1\r\n"));
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}");
    stream.write_all(answer.as_bytes()).await.unwrap();
}

#[tokio::test]
async fn a_health_check_port_is_asked_where_it_is_open_of_the_nodes_addresses_of_its_family_and_the_loopback() {
    let [first, second, loopback] = [[127, 0, 0, 71], [127, 0, 0, 72], [127, 0, 0, 1]].map(IpAddr::from);
    let node = [IpAddr::V6(Ipv6Addr::LOCALHOST), first, second];
    for (at, status, heard) in [
        (second, "200 OK", Heard::Well),
        (second, "503 Service Unavailable", Heard::Unwell),
        (loopback, "200 OK", Heard::Well),
    ] {
        let listener = TcpListener::bind((at, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(check((Family::V6, port), &node).await, Heard::Nothing, "{at} is of the other family");
        let ((), answered) = tokio::join!(answer_once(listener, status), check((Family::V4, port), &node));
        assert_eq!(answered, heard, "{at} {status}");
        assert_eq!(check((Family::V4, port), &node).await, Heard::Nothing, "it is closed by now");
    }
}
