//! The one function that maps what a shard asks of the store to the storage layers.
//!
//! Owns the mapping of operations, results and faults. Appends are not here: they go through the shard's `Appender`.

use std::sync::Arc;

use chat::devices::{Connecting, Opened};
use chat::inbox::InboxLimits;
use chat::{LayerError, accounts, arrivals, channels, devices, history, inbox, opened, people, presence, search};
use kv::Engine;
use router::{
    Arrival, ArrivalsPage, FoundPage, Identity, InboxPage, InboxStart, Indexed, MembersPage, OpenedChannel,
    SnapshotPage, StoreOp, StoreResult,
};
use schema::limits::{ARRIVAL_ROWS_MAX, INBOX_PAGE_ROWS_MAX};
use schema::op::ChannelKind;
use schema::record::PresenceRecord;
use schema::{ErrorCode, Owner, PresenceEntry, Refusal, UnixMs, UserId, View};

use crate::auth::{Authenticator, Claims, TokenFault};

/// What an operation needs beside itself.
pub(crate) struct Context<E, A> {
    pub(crate) engine: E,
    pub(crate) auth: Arc<A>,
    pub(crate) me: Owner,
    pub(crate) view: Arc<View>,
    pub(crate) wall: UnixMs,
    #[cfg(feature = "testing")]
    pub(crate) planted: Option<chat::Planted>,
}

/// Carries one operation out. Every fault becomes a refusal in the operation's own result.
///
/// # Panics
/// On [`StoreOp::Apply`], which is the appender's.
pub(crate) async fn carry_out<E: Engine, A: Authenticator>(context: Context<E, A>, op: StoreOp) -> StoreResult {
    #[cfg(feature = "testing")]
    let planted = context.planted;
    let Context { engine, auth, me, view, wall, .. } = context;
    let engine = &engine;
    let refused = LayerError::into_refusal;
    match op {
        StoreOp::Authenticate { token } => StoreResult::Identity(authenticate(engine, &*auth, &token, wall).await),
        StoreOp::Apply { .. } => panic!("an apply goes through the appender"),
        StoreOp::History { user, request } => {
            StoreResult::History(history::page(engine, user, &request).await.map_err(refused))
        }
        StoreOp::OpenInbox { user, device, family, client, cursor } => {
            let connecting = Connecting { user, device, family, client: client.unwrap_or_default(), cursor };
            let opened = devices::open(engine, &connecting, wall).await;
            let start = opened.map(|Opened { cursor, stamp }| InboxStart { cursor, stamp });
            StoreResult::Opened(start.map_err(refused))
        }
        StoreOp::ReadInbox { user, after, at_least, bytes, first } => {
            let limits = InboxLimits { rows: INBOX_PAGE_ROWS_MAX, bytes, at_connect: first };
            #[cfg(not(feature = "testing"))]
            let page = inbox::read(engine, user, after, at_least, limits).await;
            #[cfg(feature = "testing")]
            let page = match planted {
                None => inbox::read(engine, user, after, at_least, limits).await,
                Some(bug) => inbox::read_planted(engine, user, after, at_least, limits, bug).await,
            };
            StoreResult::Inbox(page.map(inbox_page).map_err(refused))
        }
        StoreOp::Snapshot { user, place } => {
            let page = inbox::snapshot(engine, user, place).await;
            let page =
                page.map(|page| SnapshotPage { channels: page.channels, more: page.more, through: page.through });
            StoreResult::Snapshot(page.map_err(refused))
        }
        StoreOp::ReadArrivals { after, at_least, have } => {
            let page = arrivals::read(engine, view.epoch, me, after, at_least, &have, ARRIVAL_ROWS_MAX).await;
            StoreResult::Arrivals(page.map(arrivals_page).map_err(refused))
        }
        StoreOp::ClearArrivals { through, pushes } => {
            StoreResult::Done(arrivals::clear(engine, view.epoch, me, through, &pushes).await.map_err(refused))
        }
        StoreOp::PutPresence { entry: PresenceEntry { user_id, state, last_active_ms } } => {
            let record = PresenceRecord { state, last_active_ms, at_ms: wall };
            StoreResult::Done(presence::put(engine, user_id, record).await.map_err(refused))
        }
        StoreOp::Visible { watcher, users, fellows } => {
            let found = people::visible(engine, watcher, &users, fellows).await;
            StoreResult::Visible(found.map(|found| entries(&users, found)).map_err(refused))
        }
        StoreOp::OpenChannel { user, channel } => {
            let found = opened::opened(engine, user, channel).await;
            StoreResult::ChannelOpened(found.map(opened_channel).map_err(refused))
        }
        StoreOp::Members { user, channel, page } => {
            let found = opened::page_of_members(engine, user, channel, page).await;
            let page = found.map(|(kind, users)| MembersPage { users, fellows: kind != ChannelKind::Large });
            StoreResult::Members(page.map_err(refused))
        }
        StoreOp::Subscribe { user, channel } => {
            StoreResult::Subscribed(opened::followed(engine, user, channel).await.map_err(refused))
        }
        StoreOp::LargeOf { user } => StoreResult::LargeOf(channels::large_of(engine, user).await.map_err(refused)),
        StoreOp::Search { user, request } => {
            let found = search::query(engine, user, &request).await;
            StoreResult::Found(found.map(|found| FoundPage { page: found.page, behind: found.behind }).map_err(refused))
        }
        StoreOp::Index { channel } => {
            let indexed = search::advance(engine, channel).await;
            StoreResult::Indexed(indexed.map(|indexed| Indexed { more: indexed.more }).map_err(refused))
        }
        StoreOp::TrimInbox { user } => {
            StoreResult::Done(inbox::trim(engine, user, wall).await.map(drop).map_err(refused))
        }
    }
}

async fn authenticate<E: Engine, A: Authenticator>(
    engine: &E,
    auth: &A,
    token: &str,
    wall: UnixMs,
) -> Result<Identity, Refusal> {
    let claims = auth.verify(token, wall).map_err(|fault| {
        let code = match fault {
            TokenFault::Expired => ErrorCode::TokenExpired,
            TokenFault::Invalid => ErrorCode::Unauthenticated,
        };
        Refusal::new(code, fault.to_string())
    })?;
    let live = accounts::family_is_live(engine, claims.user, claims.family).await.map_err(LayerError::into_refusal)?;
    if !live {
        return Err(Refusal::new(ErrorCode::Unauthenticated, "the token was revoked, sign in again"));
    }
    let Claims { user, family, device, expires_ms } = claims;
    Ok(Identity { user, device, family, expires_ms })
}

fn inbox_page(page: inbox::InboxPage) -> InboxPage {
    match page {
        inbox::InboxPage::Events { events, through, exhausted: _ } => InboxPage::Events { events, through },
        inbox::InboxPage::Behind => InboxPage::Behind,
    }
}

/// What is stored of these users, as far as it may be seen.
fn entries(users: &[UserId], found: Vec<Option<PresenceRecord>>) -> Vec<Option<PresenceEntry>> {
    let entry = |(&user_id, found): (&UserId, Option<PresenceRecord>)| {
        found.map(|PresenceRecord { state, last_active_ms, .. }| PresenceEntry { user_id, state, last_active_ms })
    };
    users.iter().zip(found).map(entry).collect()
}

fn opened_channel(found: opened::OpenedChannel) -> OpenedChannel {
    let opened::OpenedChannel { kind, head_seq, read_seq, ranges, members, reads } = found;
    OpenedChannel { kind, head_seq, read_seq, ranges, members, reads }
}

fn arrivals_page(page: arrivals::ArrivalsPage) -> ArrivalsPage {
    let rows = page.rows.into_iter();
    let rows = rows.map(|row| Arrival { stamp: row.stamp, record: row.record, contents: row.contents }).collect();
    ArrivalsPage { rows, through: page.through, more: page.more }
}
