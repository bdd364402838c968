//! The worker that plans: items that are due become jobs, and how much waits is looked at now and then.

use std::sync::Arc;
use std::time::Duration;

use chat::LayerError;
use chat::keys::Queue;
use chat::notices::{self, Count, Scan};
use kv::Engine;
use tokio::task::yield_now;

use super::{EVERY, Shared, TROUBLE};

/// How often the depth of the queues is looked at, which reads them all.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Plans what is due, for as long as the workers run.
pub(super) async fn plan<E: Engine>(shared: Arc<Shared<E>>) {
    let (mut items, mut due) = (Scan::of(Queue::Pushes), Scan::of(Queue::Notices));
    while !shared.is_stopping() {
        let Some(worker) = shared.mine() else {
            shared.rest(EVERY).await;
            continue;
        };
        // In turns, so that neither source waits for the other's backlog.
        let (engine, reach) = (&shared.parts.engine, &shared.reach);
        let both = async {
            let of_messages = notices::plan(engine, &worker, &mut items, reach, shared.now()).await?;
            let of_notices = notices::instances(engine, &worker, &mut due, reach, shared.now()).await?;
            Ok::<_, LayerError>([of_messages, of_notices])
        };
        match both.await {
            Ok(planned) => {
                planned.iter().for_each(|planned| shared.parts.counts.planned(planned));
                if planned.iter().any(|planned| planned.jobs > 0) {
                    shared.made.notify_waiters();
                }
                if !planned.iter().any(|planned| planned.more) {
                    shared.rest(EVERY).await;
                }
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "items were not planned, trying again");
                shared.rest(TROUBLE).await;
            }
        }
    }
}

/// Looks how much waits, for as long as the workers run.
pub(super) async fn look<E: Engine>(shared: Arc<Shared<E>>) {
    while !shared.is_stopping() {
        if let Some(worker) = shared.mine() {
            let now = shared.now();
            let mut count = Count::default();
            let counted = loop {
                match count.next_page(&shared.parts.engine, Some(&worker), now).await {
                    Ok(true) => break Ok(()),
                    Ok(false) => yield_now().await,
                    Err(error) => break Err(error),
                }
            };
            match counted {
                Ok(()) => shared.parts.counts.waiting(&count.depths, now),
                Err(error) => tracing::debug!(%error, "how much waits is not known"),
            }
        }
        shared.rest(LOOK_EVERY).await;
    }
}
