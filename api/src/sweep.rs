//! Removal of media that nothing holds any more.
//!
//! Owns when it is looked for, beside serving, on the thread that serves: there is the object store. Which media go is
//! `chat::media`'s. Several nodes of a store may find the same; what one has removed the other finds gone.

use std::sync::atomic::Ordering;

use chat::LayerError;
use chat::media::{self as known, Looked};
use kv::Engine;
use tokio::time::sleep;

use crate::shards::Shards;
use crate::state::Api;

/// Media of one look.
const LOOKED_AT_ONCE: u32 = 100;

/// Looks again and again, as long as the server runs.
pub(crate) async fn run<E: Engine, S: Shards>(api: Api<E, S>) {
    loop {
        sleep(api.config.limits.sweep).await;
        if api.node.store_answers()
            && let Err(error) = look(&api).await
        {
            tracing::warn!(error = &*error, "media that nothing holds stay for now");
        }
    }
}

async fn look<E: Engine, S: Shards>(api: &Api<E, S>) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let Some(config) = &api.config.library else { return Ok(()) };
    let library = &config.library;
    let mut removed = 0;
    loop {
        let due = known::due(&api.engine, api.wall(), LOOKED_AT_ONCE).await?;
        let is_all = due.len() < LOOKED_AT_ONCE as usize;
        for due in due {
            // Nobody writes to it meanwhile: a request that does is told to end.
            let _turn = library.take_turn(due.media).await;
            let again = match known::look(&api.engine, due, api.wall()).await {
                Ok(Looked::Stays) => continue,
                Ok(Looked::Goes(again)) => again,
                Err(error @ LayerError::Record(_)) => {
                    tracing::error!(%error, media = %due.media, "a media's rows cannot be read, it stays for an hour");
                    known::put_off(&api.engine, due, api.wall()).await?;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            if let Err(error) = library.objects().remove(due.media).await {
                // It is due again in ten minutes, behind all others.
                library.counts().store_errors.fetch_add(1, Ordering::Relaxed);
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, media = %due.media, "a media's objects stay for now");
                continue;
            }
            known::forget(&api.engine, again).await?;
            library.counts().removed.fetch_add(1, Ordering::Relaxed);
            removed += 1;
        }
        if is_all {
            break;
        }
    }
    if removed > 0 {
        tracing::info!(removed, "removed media that nothing holds");
    }
    Ok(())
}
