//! Questions of a shard, carried out by the storage layers.
//!
//! Owns which layer answers which question. An append goes to the shard's appender, any other question becomes a task
//! of its own; every fault becomes a refusal of that question.

use std::future::Future;
use std::sync::Arc;

use chat::accounts::Entered;
use chat::devices::Connecting;
use chat::inbox::InboxLimits;
use chat::{LayerError, accounts, arrivals, channels, devices, history, inbox, opened, people, presence, search, view};
use kv::Engine;
use router::{Ask, Claims, ConnId, Identity, Pending, Question, Request, store};
use schema::limits::{ARRIVAL_ROWS_MAX, INBOX_PAGE_ROWS_MAX};
use schema::{ErrorCode, Instant, Now, Owner, Refusal, UnixMs, View};

use crate::auth::{Authenticator, TokenFault, Verified};
use crate::before::Before;
use crate::host::{Appends, Done, Task};

/// The surroundings of a question.
pub(crate) struct Context<E, A> {
    pub(crate) engine: E,
    pub(crate) auth: Arc<A>,
    pub(crate) before: Arc<dyn Before>,
    pub(crate) me: Owner,
    pub(crate) view: Arc<View>,
    pub(crate) now: Now,
}

/// Begins to carry a question out: as a task, or, of an append, as the last in the appender's queue.
pub(crate) fn begin<E: Engine, A: Authenticator>(
    context: Context<E, A>,
    question: Question,
    appends: &mut Appends,
) -> Option<Task> {
    let Context { engine, auth, before, me, view: in_view, now } = context;
    let (started, wall) = (now.mono, now.wall);
    Some(match question {
        Question::Apply(ask) => {
            appends.push(started, ask);
            return None;
        }
        Question::AskBefore(Ask { request: store::AskBefore { channel, op }, pending }) => {
            let asking = before.ask(channel, op, wall);
            Box::pin(async move { Done::said(pending.answer(asking.await.map_err(LayerError::into_refusal))) })
        }
        Question::Authenticate(Ask { request: store::Authenticate { token, conn }, pending }) => {
            task(started, pending, async move { authenticate(&engine, &*auth, (&token, conn), wall).await })
        }
        Question::History(Ask { request: store::History { user, request }, pending }) => {
            task(started, pending, async move { history::page(&engine, user, &request).await })
        }
        Question::Search(Ask { request: store::Search { user, request }, pending }) => {
            task(started, pending, async move { search::query(&engine, user, &request).await })
        }
        Question::OpenChannel(Ask { request: store::OpenChannel { user, channel }, pending }) => {
            task(started, pending, async move { opened::opened(&engine, user, channel).await })
        }
        Question::Members(Ask { request: store::Members { user, channel, page }, pending }) => {
            task(started, pending, async move { opened::page_of_members(&engine, user, channel, page).await })
        }
        Question::OpenInbox(Ask { request, pending }) => {
            let store::OpenInbox { user, device, family, client, cursor } = request;
            let connecting = Connecting { user, device, family, client: client.unwrap_or_default(), cursor };
            task(started, pending, async move { devices::open(&engine, &connecting, wall).await })
        }
        Question::ReadInbox(Ask { request, pending }) => {
            let store::ReadInbox { user, after, at_least, bytes, first } = request;
            let limits = InboxLimits { rows: INBOX_PAGE_ROWS_MAX, bytes, at_connect: first };
            task(started, pending, async move { inbox::read(&engine, user, after, at_least, limits).await })
        }
        Question::Snapshot(Ask { request: store::Snapshot { user, place }, pending }) => {
            task(started, pending, async move { inbox::snapshot(&engine, user, place).await })
        }
        Question::ReadArrivals(Ask { request: store::ReadArrivals { after, at_least, have }, pending }) => {
            task(started, pending, async move {
                arrivals::read(&engine, me, after, at_least, &have, ARRIVAL_ROWS_MAX).await
            })
        }
        Question::ClearArrivals(Ask { request: store::ClearArrivals { through, pushes }, pending }) => {
            task(started, pending, async move { arrivals::clear(&engine, me, through, &pushes).await })
        }
        Question::TrimInbox(Ask { request: store::TrimInbox { user }, pending }) => {
            task(started, pending, async move { inbox::trim(&engine, user, wall).await.map(drop) })
        }
        Question::PutPresence(Ask { request: store::PutPresence { user, record }, pending }) => {
            task(started, pending, async move { presence::put(&engine, &in_view, me, user, record).await })
        }
        Question::Visible(Ask { request: store::Visible { watcher, users, fellows }, pending }) => {
            task(started, pending, async move { people::visible(&engine, watcher, &users, fellows).await })
        }
        Question::Subscribe(Ask { request: store::Subscribe { user, channel }, pending }) => {
            task(started, pending, async move { opened::followed(&engine, user, channel).await })
        }
        Question::LargeOf(Ask { request: store::LargeOf { user }, pending }) => {
            task(started, pending, async move { channels::large_of(&engine, user).await })
        }
        Question::Index(Ask { request: store::Index { channel }, pending }) => {
            task(started, pending, async move { search::advance(&engine, channel).await })
        }
        Question::FamiliesLive(Ask { request: store::FamiliesLive { families }, pending }) => {
            task(started, pending, async move { accounts::families_live(&engine, &families).await })
        }
        Question::Standing(Ask { request: store::Standing, pending }) => {
            task(started, pending, async move { view::standing(&engine, me.incarnation).await })
        }
    })
}

fn task<R: Request + 'static>(
    started: Instant,
    pending: Pending<R>,
    work: impl Future<Output = Result<R::Reply, LayerError>> + Send + 'static,
) -> Task {
    Box::pin(async move { Done::answered(started, pending.answer(work.await.map_err(LayerError::into_refusal))) })
}

async fn authenticate<E: Engine, A: Authenticator>(
    engine: &E,
    auth: &A,
    (token, conn): (&str, ConnId),
    wall: UnixMs,
) -> Result<Identity, LayerError> {
    let verified = match auth.verify(token, conn, wall).await {
        Ok(verified) => verified,
        Err(fault) => {
            tracing::debug!(%fault, "a token is not accepted");
            let refused = |code| Refusal::new(code, fault.to_string());
            return match fault {
                TokenFault::Expired => Err(refused(ErrorCode::TokenExpired).into()),
                TokenFault::Invalid => Err(refused(ErrorCode::Unauthenticated).into()),
                TokenFault::Later { retry_after_ms } => {
                    Ok(Identity::Later(refused(ErrorCode::StorageUnavailable).after_ms(retry_after_ms)))
                }
            };
        }
    };
    match verified {
        Verified::Own(claims) => {
            let live = accounts::family_is_live(engine, claims.user, claims.family).await?;
            if !live {
                let message = "the token was revoked, sign in again";
                return Err(Refusal::new(ErrorCode::Unauthenticated, message).into());
            }
            Ok(Identity::Known(claims))
        }
        Verified::External(external, device) => {
            let Entered { user, family } = accounts::enter(engine, &external, wall).await?;
            Ok(Identity::Known(Claims { user, family, device, expires_ms: external.expires_ms }))
        }
    }
}
