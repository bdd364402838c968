//! Fan-out: one step of a feed's posts on their way into the timelines of their readers.
//!
//! Owns how far a feed is. A step is one transaction that reads the fence (I7) and `fanned`, so that of two that begin at one
//! place one commits; what it writes twice is the same row. A feed that has posts on their way is marked as due by the
//! append of a post, blindly; the step that finds none left has read the mark, so that an append meanwhile fails it and not
//! itself.

use std::cmp::Reverse;

use bytes::Bytes;
use schema::limits::PARTITIONS;
use schema::op::ChannelKind;
use schema::record::{ChannelRecord, FriendRecord, FriendState, RecordError};
use schema::{Audience, ChannelId, Seq, UnixMs, UserId};

use super::page::key_of;
use super::{Active, Limits, readers};
use crate::notices::Worker;
use crate::packed::{FannedRow, FeedRow, Phase, Place, Stage, TimelineRow, Walk};
use crate::posts::counters;
use crate::{LayerError, commit, keys, moving, packed, read, unreadable};
use kv::join;
use kv::transaction::{Begin, Engine, Row, Transaction};

/// Marks of one read.
const DUE_AT_ONCE: u32 = 256;

/// What a step came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fanned {
    /// Rows of timelines that it wrote.
    pub rows: u64,
    /// Posts that have come to all of their readers with it.
    pub posts: u64,
    /// Whose timelines they are, each once for each post.
    pub readers: Vec<UserId>,
    /// Whether there is more to do by now.
    pub more: bool,
}

/// Feeds of a worker's partitions that may have posts on their way, at most `wanted`, those behind `after` first.
///
/// # Errors
/// The store's.
pub async fn due<E: Engine>(
    engine: &E,
    worker: &Worker,
    after: Option<ChannelId>,
    wanted: usize,
) -> Result<Vec<ChannelId>, LayerError> {
    let after = after.map(|channel| keys::fan_due_fields(&keys::fan_due(channel))).transpose()?;
    let mut found = Vec::new();
    // Those behind it, and then those up to it.
    for (from, through) in [(after, None), (None, after)] {
        if found.len() < wanted && (from.is_none() || after.is_some()) {
            look(engine, worker, (from, through), wanted, &mut found).await?;
        }
        if after.is_none() {
            break;
        }
    }
    Ok(found)
}

/// A mark of a feed that is due: its partition and the feed.
type Due = (u16, ChannelId);

/// Finds marks of a worker's partitions behind one and up to another, at most `wanted`. Marks of other partitions are read
/// only as far as they lie on a page with its own.
async fn look<E: Engine>(
    engine: &E,
    worker: &Worker,
    (from, through): (Option<Due>, Option<Due>),
    wanted: usize,
    found: &mut Vec<ChannelId>,
) -> Result<(), LayerError> {
    let mut next = Some(keys::fans_due_after(from));
    while let Some(range) = next.take() {
        let range = range.rows(DUE_AT_ONCE);
        let page = read!(engine, Begin::Fresh, |tx| Ok(tx.snapshot_get_range(&range).await?))?;
        let marks = unreadable::readable(&page.rows, |row| keys::fan_due_fields(&row.key));
        for &(partition, channel) in &marks {
            if through.is_some_and(|through| (partition, channel) > through) || found.len() >= wanted {
                return Ok(());
            }
            if worker.has_partition(partition) {
                found.push(channel);
            }
        }
        let last = marks.last().map(|&(partition, _)| partition);
        next = match last {
            // What is left of it is another's.
            Some(last) if page.more && !worker.has_partition(last) => {
                (last + 1..PARTITIONS).find(|&own| worker.has_partition(own)).map(keys::fans_due_from)
            }
            Some(_) | None => range.after(&page),
        };
    }
    Ok(())
}

/// One step of a feed's posts. To be repeated while there is more.
///
/// # Errors
/// The store's, and damage; 113 once the worker's view has ended, or for a feed that is not its own. Doing it again is safe.
pub async fn fan<E: Engine>(
    engine: &E,
    worker: &Worker,
    channel: ChannelId,
    active: &Active,
    (limits, wall): (&Limits, UnixMs),
) -> Result<Fanned, LayerError> {
    let (partition, _) = keys::fan_due_fields(&keys::fan_due(channel))?;
    if !worker.has_partition(partition) {
        return Err(moving().into());
    }
    commit!(engine, Begin::Fresh, |tx, _| {
        let (key, channel_key) = (keys::fanned(channel), keys::channel(channel));
        let rows = async { Ok::<_, LayerError>(join::both(tx.get(&key), tx.snapshot_get(&channel_key)).await?) };
        let ((), (row, record)) = join::both(worker.prove(&tx), rows).await?;
        let stored = row.as_ref().and_then(|row| unreadable::skip(&key, packed::fanned(row)));
        if let (None, Some(row)) = (&stored, &row) {
            // All of its posts come again, to where they are.
            unreadable::keep(&mut tx, &key, row);
        }
        let row = stored.unwrap_or_default();
        let record = unreadable::refuse_some(&channel_key, record.as_ref(), ChannelRecord::decode)?;
        let Some(record) = record.filter(|record| record.kind == ChannelKind::Feed) else {
            // An erased author's, or damage: nobody is to be told anything.
            tx.clear(&keys::fan_due(channel));
            return Ok(Fanned::default());
        };
        let author = record.creator;
        let budget = limits.step_readers.max(1);
        let mut step =
            Step { tx: &mut tx, author, channel, row, active, limits, wall, budget, fanned: Fanned::default() };
        step.run().await?;
        let Step { row: after, fanned, .. } = step;
        if after != row {
            tx.set(&key, &packed::row(after));
        }
        Ok(fanned)
    })
}

/// A step under way.
struct Step<'a, T> {
    tx: &'a mut T,
    author: UserId,
    channel: ChannelId,
    row: FannedRow,
    active: &'a Active,
    limits: &'a Limits,
    wall: UnixMs,
    /// Readers that may still be looked at, and posts.
    budget: u32,
    fanned: Fanned,
}

impl<T: Transaction> Step<'_, T> {
    async fn run(&mut self) -> Result<(), LayerError> {
        if let Some(walk) = self.row.now {
            let key = keys::post(self.channel, Reverse(walk.sent_ms), Reverse(walk.seq));
            if self.tx.snapshot_get(&key).await?.is_none() {
                // It was deleted on its way.
                self.arrived(walk);
            }
        }
        let mut is_heavy = None;
        while self.budget > 0 {
            let Some(walk) = self.row.now else {
                let Some((sent_ms, seq, audience)) = self.next_post().await? else { return self.rest().await };
                if is_heavy.is_none() {
                    is_heavy = Some(self.is_heavy().await?);
                }
                self.row.is_heavy = is_heavy.unwrap_or_default();
                self.budget -= 1;
                let (stage, is_own_step) = self.first_stage().await?;
                self.row.now = Some(Walk { sent_ms, seq, audience, stage, after: None });
                if is_own_step {
                    break;
                }
                continue;
            };
            self.walk(walk).await?;
        }
        self.fanned.more = true;
        Ok(())
    }

    /// The oldest post that has not come to its readers.
    async fn next_post(&mut self) -> Result<Option<(UnixMs, Seq, Audience)>, LayerError> {
        loop {
            let mut range = keys::posts(self.channel);
            if let Some((sent_ms, seq)) = self.row.through {
                range.end = keys::post(self.channel, Reverse(sent_ms), Reverse(seq));
            }
            let page = self.tx.snapshot_get_range(&range.reversed().rows(1)).await?;
            let Some(row) = page.rows.first() else { return Ok(None) };
            let (_, Reverse(sent_ms), Reverse(seq)) = unreadable::refuse(&row.key, keys::post_place(&row.key))?;
            // Times of a feed never decrease, so places ascend as seqs do.
            let in_order = match self.row.through {
                Some((_, last)) if last >= seq => {
                    let why = format!("I15: post {seq} comes behind {last}");
                    Err(RecordError::Damaged { what: "post", bytes: row.key.len(), why })
                }
                Some(_) | None => Ok(()),
            };
            let read = in_order.and_then(|()| packed::post(&row.value));
            match unreadable::skip(&row.key, read) {
                Some(audience) => return Ok(Some((sent_ms, seq, audience))),
                // Those behind it come to their readers.
                None => self.row.through = Some((sent_ms, seq)),
            }
        }
    }

    /// Whether the author has so many readers that they look its posts up.
    async fn is_heavy(&self) -> Result<bool, LayerError> {
        let counts = counters::of_user(self.tx, self.author).await?;
        let readers = counts.friends + counts.followers;
        let from = self.limits.read_fanout_from;
        Ok(readers > if self.row.is_heavy { from.saturating_sub(from.div_ceil(10)) } else { from })
    }

    /// Where a post begins, and whether its walk has to wait for another step.
    async fn first_stage(&mut self) -> Result<(Stage, bool), LayerError> {
        if !self.row.is_heavy {
            return Ok((Stage::Friends, false));
        }
        if self.row.is_marked {
            return Ok((Stage::Rest, false));
        }
        let key = keys::feed_of(self.author);
        let row = self.tx.get(&key).await?;
        let feed = unreadable::refuse_some(&key, row.as_ref(), packed::feed)?;
        let feed = feed.ok_or_else(|| unreadable::missing(&key, "feed of"))?;
        // Whoever becomes a reader before this commits is there when the walk begins, at a later version; whoever does later
        // marks itself.
        self.tx.set(&key, &packed::row(FeedRow { is_marked: true, ..feed }));
        Ok((Stage::MarkFriends, true))
    }

    /// Goes on with the post on its way.
    async fn walk(&mut self, walk: Walk) -> Result<(), LayerError> {
        let Walk { stage, after, .. } = walk;
        let author = self.author;
        let (range, rows) = match stage {
            Stage::Friends => (keys::friends_after(author, after), self.budget),
            Stage::Followers => (keys::followers_after(author, after), self.budget),
            Stage::Rest => (keys::heavy_rest_after(author, after), self.budget),
            // Each of them takes a range.
            Stage::MarkFriends => (keys::friends_after(author, after), self.budget.div_ceil(8)),
            Stage::MarkFollowers => (keys::followers_after(author, after), self.budget.div_ceil(8)),
        };
        let page = self.tx.snapshot_get_range(&range.rows(rows)).await?;
        let read = |row: &Row| reader_of(stage, row);
        let readers: Vec<UserId> = unreadable::readable(&page.rows, read).into_iter().flatten().collect();
        match stage {
            Stage::Friends | Stage::Followers | Stage::Rest => {
                self.budget = self.budget.saturating_sub(page.rows.len().try_into().unwrap_or(u32::MAX));
                self.put_rows(walk, &readers).await?;
            }
            Stage::MarkFriends | Stage::MarkFollowers => {
                for reader in readers {
                    readers::mark(self.tx, reader, (author, self.channel), self.limits.heavy_max).await?;
                }
                self.budget = self.budget.saturating_sub(rows);
            }
        }
        let last = page.rows.last().filter(|_| page.more).map(|row| last_of(stage, row)).transpose()?;
        let next = |stage| Some(Walk { stage, after: None, ..walk });
        self.row.now = match (stage, last) {
            (_, Some(last)) => Some(Walk { after: Some(last), ..walk }),
            (Stage::Friends, None) if walk.audience == Audience::Public => next(Stage::Followers),
            (Stage::MarkFriends, None) => next(Stage::MarkFollowers),
            (Stage::MarkFollowers, None) => {
                self.row.is_marked = true;
                next(Stage::Rest)
            }
            (Stage::Friends | Stage::Followers | Stage::Rest, None) => {
                self.arrived(walk);
                None
            }
        };
        Ok(())
    }

    /// A post has come to all of its readers.
    fn arrived(&mut self, walk: Walk) {
        self.row.through = Some((walk.sent_ms, walk.seq));
        self.row.now = None;
        self.fanned.posts += 1;
    }

    /// Rows of a post for those of these readers who are not dormant.
    async fn put_rows(&mut self, walk: Walk, readers: &[UserId]) -> Result<(), LayerError> {
        let unknown = self.active.unknown(readers, self.wall);
        let keys: Vec<Vec<u8>> = unknown.iter().map(|&user| keys::timeline_state(user)).collect();
        // Without conflicts: one that comes back later than this is read reads the author's log later still.
        let states = self.tx.snapshot_get_all(&keys).await?;
        let today = keys::day(self.wall);
        let (mut dormant, mut known) = (Vec::new(), Vec::new());
        for ((&user, key), row) in unknown.iter().zip(&keys).zip(states) {
            match state_of(key, row.as_ref()) {
                Some(state) if state.phase == Phase::Dormant => dormant.push(user),
                Some(state) if state.phase == Phase::Whole && self.is_long_ago(state.seen_day, today) => {
                    if self.put_to_sleep(key, today).await? {
                        dormant.push(user);
                    }
                }
                Some(_) => known.push(user),
                None => dormant.push(user),
            }
        }
        self.active.add(known);
        let place = Place { sent_ms: walk.sent_ms, author: self.author, seq: walk.seq };
        let value = packed::row((self.channel, walk.audience));
        let mut dormant = dormant.into_iter().peekable();
        // Both ascend.
        for &reader in readers {
            if dormant.next_if_eq(&reader).is_some() {
                continue;
            }
            self.tx.set(&key_of(reader, place), &value);
            self.fanned.readers.push(reader);
            self.fanned.rows += 1;
        }
        Ok(())
    }

    fn is_long_ago(&self, seen_day: u32, today: u32) -> bool {
        today.saturating_sub(seen_day) > self.limits.dormant_days
    }

    /// Notes that a timeline gets no rows from here on, unless its user was seen meanwhile, for conflicts. Whether it is so.
    async fn put_to_sleep(&mut self, key: &[u8], today: u32) -> Result<bool, LayerError> {
        let row = self.tx.get(key).await?;
        let Some(state) = state_of(key, row.as_ref()) else { return Ok(true) };
        if state.phase != Phase::Whole || !self.is_long_ago(state.seen_day, today) {
            return Ok(state.phase == Phase::Dormant);
        }
        self.tx.set(key, &packed::row(TimelineRow { phase: Phase::Dormant, ..state }));
        Ok(true)
    }

    /// Nothing is left to do. For conflicts: what is posted from this version on marks the feed as due.
    async fn rest(&mut self) -> Result<(), LayerError> {
        let key = keys::fan_due(self.channel);
        if self.tx.get(&key).await?.is_some() {
            self.tx.clear(&key);
        }
        Ok(())
    }
}

/// What is stored of a timeline. One that cannot be read is as none: it is rebuilt when it is read.
fn state_of(key: &[u8], row: Option<&Bytes>) -> Option<TimelineRow> {
    row.and_then(|row| unreadable::skip(key, packed::timeline_state(row)))
}

/// The reader of a row that is walked over, if it is one.
fn reader_of(stage: Stage, row: &Row) -> Result<Option<UserId>, RecordError> {
    Ok(match stage {
        Stage::Friends | Stage::MarkFriends => {
            let is_friend = FriendRecord::decode(&row.value)?.state == FriendState::Accepted;
            is_friend.then_some(keys::friend_of(&row.key)?.1)
        }
        Stage::Followers | Stage::MarkFollowers => Some(keys::follower_of(&row.key)?.1),
        Stage::Rest => Some(keys::heavy_rest_of(&row.key)?.1),
    })
}

/// Where a walk goes on behind a row.
fn last_of(stage: Stage, row: &Row) -> Result<UserId, RecordError> {
    let read = match stage {
        Stage::Friends | Stage::MarkFriends => keys::friend_of(&row.key),
        Stage::Followers | Stage::MarkFollowers => keys::follower_of(&row.key),
        Stage::Rest => keys::heavy_rest_of(&row.key),
    };
    unreadable::refuse(&row.key, read).map(|(_, user)| user)
}
