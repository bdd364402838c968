//! Imports that are cut anywhere and begun again: a channel has the members that its source has then, and counts them.

use std::collections::BTreeSet;

use chat::imports::{self, NewChannel};
use chat::{channels, check, keys};
use futures_lite::future::block_on;
use kv::memory::{CommitFault, Faults, MemoryStore};
use kv::{Begin, Engine as _, Generation, Transaction as _};
use schema::op::ChannelKind;
use schema::{UnixMs, UserId};

use crate::world::{open, quiet};

/// The process is killed: after so many commits nothing is stored any more.
struct Killed {
    after_commits: u32,
}

impl Faults for Killed {
    fn commit(&mut self) -> CommitFault {
        match self.after_commits.checked_sub(1) {
            Some(left) => {
                self.after_commits = left;
                CommitFault::None
            }
            None => CommitFault::Conflict,
        }
    }
}

/// A large channel of the users of a range, made by one of them.
fn everybody(members: std::ops::RangeInclusive<u64>, creator: u64) -> NewChannel {
    NewChannel {
        id: "c".to_owned(),
        kind: ChannelKind::Large,
        title: "All".to_owned(),
        creator: UserId(creator),
        members: members.map(UserId).collect(),
        created_ms: UnixMs(5),
    }
}

/// How many commits an import of a channel takes that is not cut.
fn commits_of(new: &NewChannel) -> u32 {
    (1..)
        .find(|&after_commits| {
            let engine = open(&MemoryStore::new(Generation(7)), Killed { after_commits });
            block_on(imports::channel(&engine, "n", new)).is_ok()
        })
        .expect("it ends")
}

/// Imports a channel until it is cut after each number of commits, then as its source has it later.
fn check(first: &NewChannel, later: &NewChannel) {
    for after_commits in 0..=commits_of(first) {
        let store = MemoryStore::new(Generation(7));
        let cut = block_on(imports::channel(&open(&store, Killed { after_commits }), "n", first)).is_err();
        let engine = quiet(&store);
        let place = block_on(imports::channel(&engine, "n", later)).expect("it is taken up again");
        let checked = block_on(check::run(&engine, |_| {})).unwrap_or_else(|error| {
            panic!("cut after {after_commits} commits: {error}");
        });
        assert_eq!(checked.channels, 1);
        // Who is in a channel that is there stays in it.
        let expected: BTreeSet<UserId> =
            if cut { later.members.clone() } else { first.members.union(&later.members).copied().collect() };
        let (record, _) = block_on(channels::record(&engine, place.channel)).expect("it is there");
        assert_eq!(record.member_count as usize, expected.len(), "cut after {after_commits} commits");
        for (user, lists) in [(expected.first(), 1), (first.members.difference(&expected).next(), 0)] {
            let Some(&user) = user else { continue };
            let listed = block_on(channels::large_of(&engine, user)).expect("a list").len();
            let joined = block_on(engine.begin(Begin::Fresh).get(&keys::joined(user))).expect("readable");
            let joined = joined.map_or(0, |row| u64::from_le_bytes(row[..].try_into().expect("eight bytes")));
            assert_eq!((listed, joined), (lists, lists as u64), "user {user}, cut after {after_commits} commits");
        }
    }
}

#[test]
fn an_import_that_was_cut_counts_the_members_that_its_source_has_later() {
    let first = everybody(1..=1_200, 1);
    check(&first, &first);
    // Some have left the channel there, some came.
    check(&first, &everybody(1..=600, 1));
    check(&first, &everybody(300..=1_300, 300));
    // Whoever made it is known only now: of a large channel those with a role are listed.
    check(&first, &everybody(1..=1_200, 700));
}
