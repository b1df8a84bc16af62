//! "Did you mean": the known word that a misspelt one is closest to.

/// The word that differs least from `text`: in case only, in one edit (two in a word of five letters or more), or in two
/// letters that changed places.
pub(super) fn among<'w>(text: &str, words: &[&'w str]) -> Option<&'w str> {
    let text = text.to_lowercase();
    let allowed = if text.chars().count() >= 5 { 2 } else { 1 };
    words
        .iter()
        .map(|word| (distance(&text, &word.to_lowercase()), *word))
        .filter(|(distance, word)| *distance <= allowed || (*distance == 2 && same_letters(&text, word)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

fn same_letters(one: &str, other: &str) -> bool {
    let sorted = |text: &str| {
        let mut letters: Vec<char> = text.to_lowercase().chars().collect();
        letters.sort_unstable();
        letters
    };
    sorted(one) == sorted(other)
}

/// How many insertions, deletions and substitutions lead from one to the other (Levenshtein), one row of the table at a time.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (index, a) in from.chars().enumerate() {
        let mut left = index + 1;
        let mut next = vec![left];
        for ((b, above_left), above) in to.chars().zip(&row).zip(row.iter().skip(1)) {
            left = (above_left + usize::from(a != b)).min(above + 1).min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits() {
        for (from, to, edits) in
            [("", "", 0), ("", "abc", 3), ("abc", "", 3), ("kitten", "sitting", 3), ("provider", "provdier", 2)]
        {
            assert_eq!(distance(from, to), edits, "{from} {to}");
        }
    }

    #[test]
    fn a_near_miss_is_a_slip_and_not_another_word() {
        let words = ["name", "provider", "aliases", "default"];
        assert_eq!(among("provdier", &words), Some("provider"));
        assert_eq!(among("Name", &words), Some("name"));
        assert_eq!(among("alias", &words), Some("aliases"));
        assert_eq!(among("same", &words), Some("name"));
        assert_eq!(among("defaults", &words), Some("default"));
        assert_eq!(among("nmae", &words), Some("name"));
        assert_eq!(among("nest", &words), None);
        assert_eq!(among("pools", &words), None);
    }
}
