//! Refusals while the store does not answer.
//!
//! Owns the refusal alone; whether the store answers is [`Node`](crate::Node)'s to say. Reads of an absent store end by
//! themselves after 5 s and commits never do, so nobody may wait for either here.

use std::pin::pin;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use kv::Engine;
use schema::ErrorCode;
use tokio::time::timeout;

use crate::counts::Bound;
use crate::problem::Problem;
use crate::shards::Shards;
use crate::state::Api;

/// How often a request that waits looks whether its store has gone.
const LOOK: Duration = Duration::from_secs(1);
/// When to ask again: once the node may have noticed that the store is back.
const RETRY_MS: u32 = 1_000;

/// Refuses what needs the store while it is known to be away, also what was asked before (115).
pub(crate) async fn refuse<E: Engine, S: Shards>(
    State(api): State<Api<E, S>>,
    request: Request,
    next: Next,
) -> Response {
    let away = |detail| {
        Problem::new(ErrorCode::StorageUnavailable, detail).after_ms(RETRY_MS).because(Bound::Store).into_response()
    };
    if !api.node.store_answers() {
        return away("the store does not answer, try again later");
    }
    let mut answer = pin!(next.run(request));
    loop {
        match timeout(LOOK, answer.as_mut()).await {
            Ok(answer) => return answer,
            Err(_) if api.node.store_answers() => {}
            Err(_) => return away("the store went away; whether this took effect is not known, try again later"),
        }
    }
}
