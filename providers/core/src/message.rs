//! A message that has room for only so much: reasons that do not fit are counted, not cut in two.

/// What stands between reasons.
pub(crate) const BETWEEN: &str = "; ";

/// The message, if it has room in `limit` bytes; else as many of the `reasons` that it ends with as there is room for, and how many more there
/// are. `elsewhere` says where all of them stand.
pub(crate) fn fit(message: &str, reasons: &[String], limit: usize, elsewhere: &str) -> String {
    if message.len() <= limit {
        return message.to_owned();
    }
    let Some(head) = message.strip_suffix(&reasons.join(BETWEEN)).filter(|_| !reasons.is_empty()) else {
        return format!("{}...{elsewhere}", start(message, limit.saturating_sub(3 + elsewhere.len())));
    };
    let told = |kept: usize| {
        let (kept, more) = reasons.split_at_checked(kept).unwrap_or((reasons, &[]));
        format!("{head}{}{BETWEEN}and {} more{elsewhere}", kept.join(BETWEEN), more.len())
    };
    let most = (1..reasons.len()).rev().map(told).find(|text| text.len() <= limit);
    most.unwrap_or_else(|| {
        let tail = match reasons.len().saturating_sub(1) {
            0 => format!("...{elsewhere}"),
            more => format!("...{BETWEEN}and {more} more{elsewhere}"),
        };
        format!("{}{tail}", start(message, limit.saturating_sub(tail.len())))
    })
}

/// So many bytes of it at most, in whole characters.
fn start(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(head: &str, reasons: &[&str], limit: usize) -> String {
        let reasons: Vec<String> = reasons.iter().map(|reason| (*reason).to_owned()).collect();
        let text = fit(&format!("{head}{}", reasons.join(BETWEEN)), &reasons, limit, "; see the condition");
        assert!(text.len() <= limit, "{text}");
        text
    }

    #[test]
    fn what_has_room_is_whole() {
        assert_eq!(told("no: ", &["one", "two; mend it"], 100), "no: one; two; mend it");
    }

    #[test]
    fn what_has_no_room_is_counted_by_whole_reasons() {
        let reasons = ["one; mend it", "two", "three of them, which is longer than the others by far", "four"];
        assert_eq!(told("no: ", &reasons, 60), "no: one; mend it; two; and 2 more; see the condition");
        assert_eq!(told("no: ", &reasons, 46), "no: one; men...; and 3 more; see the condition");
    }

    #[test]
    fn a_single_reason_and_a_plain_text_are_cut_between_characters_and_say_where_the_rest_is() {
        assert_eq!(told("", &["äääääääääääääääääääääääää"], 30), "ääää...; see the condition");
        let plain = fit("äääääääääääääääääääääääää", &[], 31, "; see the condition");
        assert_eq!(plain, "ääää...; see the condition");
    }
}
