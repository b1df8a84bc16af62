//! What of a failing history is needed for the failure.

/// Leaves out whatever is not needed for `fails`: halves, quarters, ... single items, again until nothing more can go.
pub(crate) fn shortest<T: Clone>(mut items: Vec<T>, fails: impl Fn(&[T]) -> bool) -> Vec<T> {
    loop {
        let before = items.len();
        let mut piece = items.len().div_ceil(2);
        while piece > 0 {
            let mut at = 0;
            while at < items.len() {
                let mut fewer = items.clone();
                fewer.drain(at..(at + piece).min(items.len()));
                if fails(&fewer) { items = fewer } else { at += piece }
            }
            piece /= 2;
        }
        if items.len() == before {
            return items;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_that_fails_is_cut_down_to_what_it_takes() {
        let needs = |items: &[u32]| [3, 4, 17].iter().all(|needed| items.contains(needed));
        assert_eq!(shortest((0..20).collect(), needs), [3, 4, 17]);
    }
}
