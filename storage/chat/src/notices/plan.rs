//! Items that are due become jobs, one for each target of their users, or nothing.
//!
//! Owns the one transaction of that: what is decided, the items cleared, the jobs set, and up to where the user is told,
//! so that an item which is written again by a home's heir makes no second notification (I9).

use std::collections::BTreeMap;

use schema::limits::{JOB_KEPT_MS, PUSH_DOUBT_MS};
use schema::record::{JobRecord, PushItem, ToldRecord};
use schema::{ChannelId, NoticeId, UnixMs, UserId};

use super::reach::{Reach, Reached};
use super::{Scan, Worker, jobs};
use crate::push::{self, Decision};
use crate::{LayerError, commit, keys, unreadable};
use kv::join;
use kv::transaction::{Begin, Engine, Row, Transaction};

/// Items of one transaction: with five targets each some 3,000 rows of 100 bytes.
const ITEMS_AT_ONCE: usize = 200;

/// What a round of planning did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Planned {
    /// Items that were decided.
    pub items: u64,
    /// Jobs that were made.
    pub jobs: u64,
    /// Decisions, with how many items each.
    pub decisions: BTreeMap<Decision, u64>,
    /// Whether more may be due.
    pub more: bool,
}

/// Decides the items that are due at `now`, at most some hundred: one round.
///
/// Messages of one channel become one notification. A user who is told by no medium that somebody sends loses nothing:
/// items are of the moment, and the inbox has them all.
///
/// # Errors
/// The store's, and damage; 113 once the worker's view has ended. Then nothing was done, or it was and nobody was told:
/// planning again is safe.
pub async fn plan<E: Engine>(
    engine: &E,
    worker: &Worker,
    scan: &mut Scan,
    reach: &Reach,
    now: UnixMs,
) -> Result<Planned, LayerError> {
    let rows = scan.due(engine, worker, now, ITEMS_AT_ONCE).await?;
    let items: &Vec<PushItem> = &unreadable::readable(&rows, |row: &Row| keys::push_item(&row.key, &row.value));
    if rows.is_empty() {
        return Ok(Planned::default());
    }
    let (rows, more) = (&rows, rows.len() >= ITEMS_AT_ONCE);
    commit!(engine, Begin::Fresh, |tx, _| {
        worker.prove(&tx).await?;
        let decided = push::decide_some(&tx, items, now).await?;
        assert_eq!(decided.len(), items.len(), "I9: what is cleared is decided");
        let mut decisions = BTreeMap::new();
        let mut told: BTreeMap<(UserId, ChannelId), &PushItem> = BTreeMap::new();
        for (item, decision) in items.iter().zip(decided) {
            *decisions.entry(decision).or_default() += 1;
            if decision == Decision::Online && item.is_first() {
                // What is stored may be of before the user went, or of a home that is gone: the second time tells.
                tx.set(&keys::push(&item.put_off(now.plus_ms(PUSH_DOUBT_MS))), &item.record().encode());
            }
            if decision == Decision::Push {
                told.entry((item.user, item.channel)).and_modify(|newest| *newest = item.max(*newest)).or_insert(item);
            }
        }
        let mut made = 0;
        let reached = reached(&tx, reach, &told, now).await?;
        for item in told.values() {
            let Reached { contacts, settings } = &reached[&item.user];
            for contact in contacts.0.iter().filter(|contact| reach.takes_messages(settings, contact)) {
                let notice = NoticeId::of_message(item.user, item.channel, item.seq, item.sent_ms);
                jobs::put(&mut tx, contact, item.user, notice, &job(item, now));
                made += 1;
            }
            tx.set(&keys::told(item.user, item.channel), &ToldRecord { seq: item.seq }.encode());
        }
        for row in rows {
            if keys::push_item(&row.key, &row.value).is_err() {
                unreadable::keep(&mut tx, &row.key, &row.value);
            }
            tx.clear(&row.key);
        }
        Ok(Planned { items: items.len() as u64, jobs: made, decisions, more })
    })
}

/// How everybody who is to be told something can be reached.
async fn reached<T: Transaction>(
    tx: &T,
    reach: &Reach,
    told: &BTreeMap<(UserId, ChannelId), &PushItem>,
    now: UnixMs,
) -> Result<BTreeMap<UserId, Reached>, LayerError> {
    let mut users: Vec<UserId> = told.keys().map(|&(user, _)| user).collect();
    users.dedup();
    let reached = join::try_all(users.iter().map(|&user| reach.read(tx, user, now))).await?;
    Ok(users.into_iter().zip(reached).collect())
}

fn job(item: &PushItem, now: UnixMs) -> JobRecord {
    let (channel, seq, expires_ms) = (item.channel, item.seq, now.plus_ms(JOB_KEPT_MS));
    JobRecord { channel, seq, origin: NoticeId::default(), planned_ms: now, expires_ms, attempts: 0, leased: false }
}
