//! Pages, and how many objects one call may name. API reference: the Describe actions (`PageSize` 1 to 400, "up to 20 load balancers in a
//! single call", "up to 20 resources in a single call"). For groups and listeners the reference names no limit; the double takes the same
//! twenty, so that what passes here passes there.

use crate::query::Query;
use crate::refusal::Refusal;

const MOST_NAMED: usize = 20;
const LARGEST_PAGE: usize = 400;

/// At most twenty values in each of these lists.
pub(crate) fn named(query: &Query, lists: &[&str]) -> Result<(), Refusal> {
    match lists.iter().find(|list| query.list(list).len() > MOST_NAMED) {
        Some(list) => Err(Refusal::validation(format!("{list} may hold at most {MOST_NAMED} values"))),
        None => Ok(()),
    }
}

/// Not more than one of these ways to say which objects.
pub(crate) fn one_of(query: &Query, filters: &[&str]) -> Result<(), Refusal> {
    match filters.iter().filter(|filter| query.has(filter)).count() {
        0 | 1 => Ok(()),
        _ => Err(Refusal::validation(format!("only one of {} can be specified", filters.join(", ")))),
    }
}

/// Cuts the page that a request asks for, at most `cut` long. The marker is the place in the whole list, made opaque.
pub(crate) fn page<T>(query: &Query, all: Vec<T>, cut: Option<usize>) -> Result<(Vec<T>, Option<String>), Refusal> {
    let size = match query.get("PageSize") {
        None => LARGEST_PAGE,
        Some(text) => crate::rules::number("PageSize", text, 1..=400)? as usize,
    };
    let size = cut.map_or(size, |cut| size.min(cut.max(1)));
    let start = match query.get("Marker") {
        None => 0,
        Some(marker) => place(marker).ok_or_else(|| Refusal::validation(format!("Marker '{marker}' is not valid")))?,
    };
    let more = all.len() > start + size;
    let page = all.into_iter().skip(start).take(size).collect();
    Ok((page, more.then(|| marker(start + size))))
}

/// The marker of a place in a list.
pub(crate) fn marker(place: usize) -> String {
    format!("double-{place:x}")
}

/// The place that a marker stands for.
pub(crate) fn place(marker: &str) -> Option<usize> {
    usize::from_str_radix(marker.strip_prefix("double-")?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_together_are_the_whole_list_once() {
        for size in [1, 3, 7, 10, 400] {
            let (mut seen, mut marker) = (Vec::new(), None);
            loop {
                let mut pairs = vec![("PageSize", size.to_string())];
                pairs.extend(marker.take().map(|marker| ("Marker", marker)));
                let (page, next) = page(&Query::of(pairs), (0..10).collect(), None).unwrap();
                seen.extend(page);
                marker = next;
                if marker.is_none() {
                    break;
                }
            }
            assert_eq!(seen, (0..10).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_page_has_1_to_400_and_a_test_may_cut_it() {
        let ask =
            |size: &str, cut| page(&Query::of([("PageSize", size)]), vec![0; 1000], cut).map(|(page, _)| page.len());
        assert_eq!((ask("400", None), ask("400", Some(2))), (Ok(400), Ok(2)));
        assert!(ask("0", None).is_err() && ask("401", None).is_err());
        assert!(page(&Query::of([("Marker", "mine")]), vec![0], None).is_err());
    }

    #[test]
    fn twenty_may_be_named_in_one_way() {
        let names = |n: usize| Query::of((1..=n).map(|index| (format!("Names.member.{index}"), "x")));
        assert_eq!((named(&names(20), &["Names"]), named(&names(21), &["Names"]).is_err()), (Ok(()), true));
        let two = Query::of([("Names.member.1", "x"), ("LoadBalancerArns.member.1", "y")]);
        assert!(one_of(&two, &["Names", "LoadBalancerArns"]).is_err());
    }
}
