//! Durations as people write them: `10h`, `90m`, `1h30m`.

use std::time::Duration;

/// Hours, minutes and seconds, each at most once and in this order. `None`: it is something else, or over 10^9 of a unit.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = 0;
    for (unit, seconds) in [('h', 3600), ('m', 60), ('s', 1)] {
        if let Some((count, after)) = rest.split_once(unit) {
            if count.is_empty() || count.len() > 9 || !count.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            total += count.parse::<u64>().ok()? * seconds;
            rest = after;
        }
    }
    (rest.is_empty() && !text.is_empty()).then_some(Duration::from_secs(total))
}

/// A duration as people write it; what is under a second is left out.
pub fn write(duration: Duration) -> String {
    let mut rest = duration.as_secs();
    let mut text = String::new();
    for (unit, seconds) in [('h', 3600), ('m', 60), ('s', 1)] {
        if rest >= seconds {
            text.push_str(&format!("{}{unit}", rest / seconds));
            rest %= seconds;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hours_minutes_and_seconds_in_this_order() {
        for (text, seconds) in [
            ("10h", Some(36_000)),
            ("90m", Some(5_400)),
            ("30s", Some(30)),
            ("1h30m", Some(5_400)),
            ("1h0m1s", Some(3_601)),
            ("0s", Some(0)),
            ("999999999h", Some(3_599_999_996_400)),
            ("9999999999h", None),
            ("", None),
            ("h", None),
            ("10", None),
            ("10 h", None),
            ("-1h", None),
            ("+1h", None),
            ("1.5h", None),
            ("30m1h", None),
            ("1h1h", None),
            ("1d", None),
            ("10h ", None),
            ("500ms", None),
        ] {
            assert_eq!(parse(text), seconds.map(Duration::from_secs), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(seconds in 0_u64..100_000_000) {
            let duration = Duration::from_secs(seconds);
            prop_assert_eq!(parse(&write(duration)), Some(duration));
        }
    }
}
