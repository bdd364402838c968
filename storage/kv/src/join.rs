//! Concurrent reads of one transaction, without naming a runtime.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

/// Polls all `futures` until each is ready; their results in order, or the first error seen.
///
/// Every wake polls all that are not ready: made for some hundred reads that answer about together.
pub fn try_all<F, T, E>(futures: impl Iterator<Item = F>) -> impl Future<Output = Result<Vec<T>, E>> + Send
where
    F: Future<Output = Result<T, E>> + Send,
    T: Send,
    E: Send,
{
    enum Slot<F, T> {
        Waiting(Pin<Box<F>>),
        Ready(T),
    }
    let mut slots: Vec<Slot<F, T>> = futures.map(|future| Slot::Waiting(Box::pin(future))).collect();
    poll_fn(move |cx| {
        let mut waiting = false;
        for slot in &mut slots {
            let Slot::Waiting(future) = slot else { continue };
            match future.as_mut().poll(cx) {
                Poll::Pending => waiting = true,
                Poll::Ready(Ok(value)) => *slot = Slot::Ready(value),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            }
        }
        if waiting {
            return Poll::Pending;
        }
        let results = slots.drain(..).map(|slot| match slot {
            Slot::Ready(value) => value,
            Slot::Waiting(_) => unreachable!("nothing is waiting"),
        });
        Poll::Ready(Ok(results.collect()))
    })
}

/// Polls both until each is ready, or the first error.
pub async fn both<A, B, E>(
    one: impl Future<Output = Result<A, E>> + Send,
    other: impl Future<Output = Result<B, E>> + Send,
) -> Result<(A, B), E> {
    let (mut one, mut other) = (std::pin::pin!(one), std::pin::pin!(other));
    let (mut first, mut second) = (None, None);
    poll_fn(move |cx| {
        if first.is_none()
            && let Poll::Ready(result) = one.as_mut().poll(cx)
        {
            match result {
                Ok(value) => first = Some(value),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        if second.is_none()
            && let Poll::Ready(result) = other.as_mut().poll(cx)
        {
            match result {
                Ok(value) => second = Some(value),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        match (first.take(), second.take()) {
            (Some(first), Some(second)) => Poll::Ready(Ok((first, second))),
            (kept_first, kept_second) => {
                (first, second) = (kept_first, kept_second);
                Poll::Pending
            }
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A read that is ready after so many polls.
    async fn after(polls: u32, result: Result<u32, u32>) -> Result<u32, u32> {
        let mut left = polls;
        poll_fn(|cx| match left {
            0 => Poll::Ready(()),
            _ => {
                left -= 1;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        })
        .await;
        result
    }

    #[test]
    fn results_come_in_order_or_the_first_error_seen() {
        let check = |reads: &[(u32, Result<u32, u32>)], expected: Result<Vec<u32>, u32>| {
            let found = futures_lite::future::block_on(try_all(reads.iter().map(|(polls, read)| after(*polls, *read))));
            assert_eq!(found, expected, "{reads:?}");
            let [(one, first), (other, second), ..] = *reads else { return };
            let found = futures_lite::future::block_on(both(after(one, first), after(other, second)));
            assert_eq!(found.map(|(first, second)| vec![first, second]), expected, "both of {reads:?}");
        };
        check(&[], Ok(vec![]));
        check(&[(3, Ok(1))], Ok(vec![1]));
        check(&[(0, Ok(1)), (0, Ok(2))], Ok(vec![1, 2]));
        check(&[(5, Ok(1)), (2, Ok(2))], Ok(vec![1, 2]));
        check(&[(5, Ok(1)), (2, Err(9))], Err(9));
        check(&[(5, Err(8)), (2, Err(9))], Err(9));
        check(&[(2, Err(8)), (2, Err(9))], Err(8));
    }
}
