//! Asking for many at once. AWS answers a question about many with NotFound as a whole when one of them is not there, so such a batch is
//! halved until the missing one stands alone.

use std::collections::VecDeque;
use std::future::Future;

use crate::client::error::Error;

/// All that are there of these, asked for at most so many at a time. One that is not there is left out.
pub(crate) async fn existing<K, T, F, Fut>(names: &[K], most: usize, ask: F) -> Result<Vec<T>, Error>
where
    K: Clone,
    F: Fn(Vec<K>) -> Fut,
    Fut: Future<Output = Result<Vec<T>, Error>>,
{
    let (found, missing) = halved(names, most, Error::is_gone, ask).await?;
    drop(missing);
    Ok(found.into_iter().flatten().collect())
}

/// Asks for all of these, at most so many at a time. A batch that is refused for the sake of one is halved. Gives the answers, and the ones
/// that were refused alone.
pub(crate) async fn halved<K, T, R, F, Fut>(
    names: &[K],
    most: usize,
    for_one: R,
    ask: F,
) -> Result<(Vec<T>, Vec<(K, Error)>), Error>
where
    K: Clone,
    R: Fn(&Error) -> bool,
    F: Fn(Vec<K>) -> Fut,
    Fut: Future<Output = Result<T, Error>>,
{
    let mut batches: VecDeque<&[K]> = names.chunks(most.max(1)).collect();
    let (mut answers, mut refused) = (Vec::new(), Vec::new());
    while let Some(batch) = batches.pop_front() {
        match (ask(batch.to_vec()).await, batch) {
            (Ok(answer), _) => answers.push(answer),
            (Err(error), [one]) if for_one(&error) => refused.push((one.clone(), error)),
            (Err(error), many) if for_one(&error) => {
                let (left, right) = many.split_at(many.len() / 2);
                batches.push_front(right);
                batches.push_front(left);
            }
            (Err(error), _) => return Err(error),
        }
    }
    Ok((answers, refused))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use futures::FutureExt;

    use super::*;
    use crate::client::action::Action;
    use crate::client::error::Problem;

    fn error(problem: Problem) -> Error {
        Error { action: Action::DescribeTags, problem, code: None, said: String::new(), request_id: None }
    }

    fn ask(calls: &RefCell<Vec<Vec<u32>>>, missing: &[u32], names: Vec<u32>) -> Result<Vec<u32>, Error> {
        calls.borrow_mut().push(names.clone());
        if names.iter().any(|name| missing.contains(name)) { Err(error(Problem::Gone)) } else { Ok(names) }
    }

    #[test]
    fn what_is_missing_hides_nothing_and_costs_a_few_calls() {
        let names: Vec<u32> = (0..45).collect();
        let calls = RefCell::new(Vec::new());
        let found = existing(&names, 20, |batch| std::future::ready(ask(&calls, &[7, 41], batch)));
        let found = found.now_or_never().unwrap().unwrap();
        assert_eq!(found, names.iter().copied().filter(|n| ![7, 41].contains(n)).collect::<Vec<_>>());
        let calls = calls.into_inner();
        assert!(calls.iter().all(|batch| batch.len() <= 20));
        assert!(calls.len() <= 3 + 2 * 5 + 2 * 3, "{}", calls.len());
    }

    #[test]
    fn without_a_missing_one_there_is_one_call_a_batch_and_none_for_nobody() {
        for (names, expected) in [(0_u32, 0), (1, 1), (20, 1), (21, 2), (60, 3)] {
            let calls = RefCell::new(Vec::new());
            let names: Vec<u32> = (0..names).collect();
            let found = existing(&names, 20, |batch| std::future::ready(ask(&calls, &[], batch)));
            assert_eq!(found.now_or_never().unwrap().unwrap(), names);
            assert_eq!(calls.into_inner().len(), expected);
        }
    }

    #[test]
    fn another_trouble_is_no_answer_about_anybody() {
        let found = existing(&[1, 2], 20, |_| std::future::ready(Err::<Vec<u32>, _>(error(Problem::Throttled))));
        assert_eq!(found.now_or_never().unwrap().unwrap_err().problem, Problem::Throttled);
    }
}
