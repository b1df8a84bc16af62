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
