//! What must hold of feeds at the end (I15): each reader's pages hold exactly the posts of its friends, and the public ones of
//! whom it follows, the newest first; and what is counted is what is there.

use std::collections::BTreeSet;

use chat::posts::{self, Relation};
use chat::{keys, people, timelines};
use futures_lite::future::block_on;
use kv::memory::MemoryEngine;
use schema::record::MessageRecord;
use schema::{Audience, ChannelId, Seq, UnixMs, UserId};

use crate::checks::{self, Check, unreadable};
use crate::outcome::{Violation, violated};

use super::super::world::World;
use super::state::Posts;

/// Posts of a page, few so that places are crossed often.
const PAGE_POSTS: u32 = 2;
/// Pages of a feed, beyond which it has no end.
const PAGES_MAX: usize = 10_000;

/// One author's log, read plainly.
struct Log {
    author: UserId,
    /// Posts that are there: when, where, for whom.
    posts: Vec<(UnixMs, Seq, Audience)>,
}

/// All of it; the first that does not hold.
pub(in super::super) fn check(world: &World, engine: &MemoryEngine) -> Check {
    let Some(all) = &world.posts else { return Ok(()) };
    let mut logs = Vec::new();
    for &author in &all.people {
        if let Some(channel) = block_on(posts::feed_of(engine, author)).map_err(unreadable)? {
            logs.push(log(engine, author, channel)?);
        }
    }
    for &reader in &all.people {
        feed(world, all, engine, &logs, reader)?;
        counts(engine, &logs, reader)?;
    }
    Ok(())
}

fn log(engine: &MemoryEngine, author: UserId, channel: ChannelId) -> Result<Log, Violation> {
    let mut posts = Vec::new();
    for row in checks::all_rows(engine, keys::messages(channel, Seq(1), Seq(u64::MAX)))? {
        let (_, seq) = keys::message_place(&row.key).map_err(unreadable)?;
        let record = MessageRecord::decode(&row.value).map_err(unreadable)?;
        if let Some(audience) = record.audience.filter(|_| !record.deleted) {
            posts.push((record.sent_ms, seq, audience));
        }
    }
    Ok(Log { author, posts })
}

/// A reader's feed from its first page to its end, against the logs.
fn feed(world: &World, all: &Posts, engine: &MemoryEngine, logs: &[Log], reader: UserId) -> Check {
    let authors: Vec<UserId> = logs.iter().map(|log| log.author).collect();
    let relations: Vec<Relation> = block_on(posts::relations(engine, reader, &authors)).map_err(unreadable)?;
    let mut expected: Vec<(UnixMs, UserId, Seq)> = Vec::new();
    for (log, relation) in logs.iter().zip(&relations) {
        let is_there = |(_, _, audience): &&(UnixMs, Seq, Audience)| relation.is_in_feed(*audience);
        expected.extend(log.posts.iter().filter(is_there).map(|&(sent_ms, seq, _)| (sent_ms, log.author, seq)));
    }
    let mut read = Vec::new();
    let (mut before, mut pages) = (None, 0);
    loop {
        let bounds = (&all.limits, all.wall(world.tasks.now_ms()));
        let page = block_on(timelines::posts(engine, reader, before, PAGE_POSTS, bounds)).map_err(unreadable)?;
        read.extend(page.posts.iter().map(|post| (post.message.sent_ms, post.owner, post.message.seq)));
        before = page.next;
        pages += 1;
        if before.is_none() {
            break;
        }
        if pages > PAGES_MAX {
            violated!("I15", "{reader}'s feed of {} posts has no end", expected.len());
        }
    }
    if let Some(at) = read.windows(2).position(|two| two[0].0 < two[1].0) {
        violated!("I15", "{reader}'s feed has {:?} before {:?}", read[at], read[at + 1]);
    }
    let (there, wanted): (BTreeSet<_>, BTreeSet<_>) = (read.iter().collect(), expected.iter().collect());
    if there.len() < read.len() {
        let twice = read.iter().find(|post| read.iter().filter(|other| other == post).count() > 1);
        violated!("I15", "{reader}'s feed has {twice:?} twice");
    }
    if let Some(missing) = wanted.difference(&there).next() {
        violated!("I15", "{reader}'s feed lacks {missing:?}");
    }
    if let Some(other) = there.difference(&wanted).next() {
        violated!("I15", "{reader}'s feed has {other:?}, which is not for it");
    }
    Ok(())
}

/// Counters of a user, against what they count.
fn counts(engine: &MemoryEngine, logs: &[Log], user: UserId) -> Check {
    let counted = block_on(posts::counts(engine, &[user])).map_err(unreadable)?.remove(0);
    let own = logs.iter().find(|log| log.author == user).map_or(0, |log| log.posts.len());
    let following = block_on(people::followed(engine, user, None, 500)).map_err(unreadable)?.users.len();
    let followers = checks::all_rows(engine, keys::followers_after(user, None))?.len();
    for (what, counted, there) in [
        ("posts", counted.posts, own),
        ("followed", counted.following, following),
        ("followers", counted.followers, followers),
    ] {
        if counted != there as u64 {
            violated!("I15", "{counted} {what} of {user} are counted, and {there} are there");
        }
    }
    Ok(())
}
