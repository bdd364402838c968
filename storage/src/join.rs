//! Awaits many reads of one transaction at once, without naming a runtime.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

/// Polls all `futures` until each is ready; their results in order, or the first error seen.
///
/// Every wake polls all that are not ready: made for some hundred reads that answer about together.
pub(crate) fn try_all<F, T, E>(futures: impl Iterator<Item = F>) -> impl Future<Output = Result<Vec<T>, E>> + Send
where
    F: Future<Output = Result<T, E>> + Send,
    T: Send,
    E: Send,
{
    enum Slot<F, T> {
        Waiting(Pin<Box<F>>),
        Ready(T),
    }
    // `T` and `E` never hold a pin: results are moved out once, at the end.
    let mut slots: Vec<Slot<F, Option<T>>> = futures.map(|future| Slot::Waiting(Box::pin(future))).collect();
    poll_fn(move |cx| {
        let mut waiting = false;
        for slot in &mut slots {
            let Slot::Waiting(future) = slot else { continue };
            match future.as_mut().poll(cx) {
                Poll::Pending => waiting = true,
                Poll::Ready(Ok(value)) => *slot = Slot::Ready(Some(value)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            }
        }
        if waiting {
            return Poll::Pending;
        }
        let results = slots.drain(..).map(|slot| match slot {
            Slot::Ready(value) => value.expect("set when it became ready"),
            Slot::Waiting(_) => unreachable!("nothing is waiting"),
        });
        Poll::Ready(Ok(results.collect()))
    })
}

/// Polls both until each is ready, or the first error.
pub(crate) async fn both<A, B, E>(
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
