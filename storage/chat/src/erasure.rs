//! An account that is erased: its messages are left, and nothing that names it.
//!
//! Owns which rows these are, over all rooms that keep something of an account.

use schema::record::UserRecord;
use schema::{Position, UserId};

use crate::accounts::name_hash;
use crate::fields::Read;
use crate::notices::contacts;
use crate::posts::counters;
use crate::{LayerError, commit, keys, media, packed, people, unreadable};
use kv::join;
use kv::transaction::{Begin, Engine, Transaction};

/// Others of whom one transaction parts an account: some 17 rows each.
const TIES_AT_ONCE: u32 = 100;

/// Removes what is stored of an account beside its messages: its names, logins, devices, contacts, settings, friends,
/// blocks, media and inbox. It was deactivated before, and has left its channels. Whether there was such an account.
///
/// # Errors
/// The store's, and damage. Asking again is safe.
pub async fn erase<E: Engine>(engine: &E, user: UserId) -> Result<bool, LayerError> {
    while media::release_some(engine, user).await? {}
    while part_some(engine, user).await? {}
    commit!(engine, Begin::Fresh, |tx, attempt| {
        let key = keys::user(user);
        let Some(record) = unreadable::refuse_some(&key, tx.get(&key).await?.as_ref(), UserRecord::decode)? else {
            return Ok(attempt.maybe_committed);
        };
        for contact in contacts::all(&tx, user).await? {
            contacts::forget(&mut tx, user, &contact);
        }
        let feed_key = keys::feed_of(user);
        if let Some(feed) = unreadable::refuse_some(&feed_key, tx.get(&feed_key).await?.as_ref(), packed::feed)? {
            // Its posts are left, as its messages are, and nobody finds them.
            let posts = keys::posts(feed.channel);
            tx.clear_range(&posts.begin, &posts.end);
            [feed_key, keys::fanned(feed.channel), keys::fan_due(feed.channel)].iter().for_each(|key| tx.clear(key));
        }
        for range in [
            keys::families(user),
            keys::devices(user),
            keys::codes(user),
            keys::blocks_after(user, None),
            keys::inbox_after(user, Position::START),
            keys::followers_after(user, None),
            keys::timeline_of(user),
            keys::owed_to(user),
            keys::heavies_of(user),
            keys::heavy_rest_after(user, None),
        ]
        .into_iter()
        .chain(counters::of_user_ranges(user))
        {
            tx.clear_range(&range.begin, &range.end);
        }
        tx.clear(&keys::settings(user));
        tx.clear(&keys::timeline_state(user));
        tx.clear(&keys::username(&record.username));
        if let (Some(namespace), Some(subject)) = (&record.namespace, &record.external_id) {
            tx.clear(&keys::external(name_hash(namespace, subject)));
        }
        tx.clear(&key);
        Ok(true)
    })
}

/// Ends some of what ties others to an account. Whether there was any.
async fn part_some<E: Engine>(engine: &E, user: UserId) -> Result<bool, LayerError> {
    commit!(engine, Begin::Fresh, |tx, _| {
        let ranges =
            [keys::friends_after(user, None), keys::follows_after(user, None), keys::followers_after(user, None)];
        let ranges = ranges.map(|range| range.rows(TIES_AT_ONCE));
        let pages = join::try_all(ranges.iter().map(|range| tx.snapshot_get_range(range))).await?;
        let of: [Read<(UserId, UserId)>; 3] = [keys::friend_of, keys::follow_of, keys::follower_of];
        let mut others = Vec::new();
        for (page, of) in pages.iter().zip(of) {
            others.extend(unreadable::readable(&page.rows, |row| Ok(of(&row.key)?.1)));
        }
        others.sort_unstable();
        others.dedup();
        let parted = join::try_all(others.iter().map(|&other| {
            let tx = &tx;
            async move {
                match people::ties(tx, user, other).await {
                    Ok(ties) => Ok(Some(ties)),
                    // Then it is not known whether it was counted.
                    Err(LayerError::Record(_)) => Ok(None),
                    Err(error) => Err(error),
                }
            }
        }))
        .await?;
        for (&other, ties) in others.iter().zip(parted) {
            match ties {
                Some(ties) => people::sever(&mut tx, ties.severed(user, other)),
                None => [keys::friend(user, other), keys::friend(other, user)].iter().for_each(|key| tx.clear(key)),
            }
        }
        Ok(!others.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use futures_lite::future::block_on;
    use kv::memory::MemoryEngine;
    use kv::transaction::RangeRequest;
    use schema::UnixMs;

    use super::*;
    use crate::accounts::{Change, NewFamily, NewToken, Put, by_username, create_user, named, open_family, put};

    const WALL: UnixMs = UnixMs(1_800_000_000_000);

    #[test]
    fn of_an_erased_account_no_row_names_it() {
        let engine = MemoryEngine::ephemeral();
        let change = Change { display_name: Some("Ann".to_owned()), picture: None, username: Some("ann".to_owned()) };
        let Put::Done { user, .. } = block_on(put(&engine, "ann", &change, 1, WALL)).expect("stored") else {
            panic!("the name is free")
        };
        let bora = UserRecord { username: "bora".to_owned(), ..UserRecord::default() };
        block_on(create_user(&engine, UserId(1), &bora, None)).expect("stored");
        block_on(people::put_friend(&engine, user, UserId(1), WALL)).expect("asked");
        let login = NewFamily { family: 5, device: None, token: NewToken { hash: [1; 32], expires_ms: WALL } };
        block_on(open_family(&engine, user, &login, WALL)).expect("logged in");
        assert!(block_on(erase(&engine, user)).expect("stored"));
        assert!(!block_on(erase(&engine, user)).expect("read"), "there is none any more");
        assert_eq!(block_on(named(&engine, "ann")).expect("read"), None);
        assert_eq!(block_on(by_username(&engine, "ann")).expect("read"), None);
        let friends = block_on(people::friends(&engine, UserId(1), None, 9)).expect("read");
        assert_eq!(friends.users, []);
        let left = block_on(async {
            let page = engine.begin(Begin::Fresh).get_range(&RangeRequest::new(vec![0], vec![0xFF])).await?;
            let names = |row: &kv::transaction::Row| row.key.windows(8).any(|bytes| bytes == user.0.to_be_bytes());
            Ok::<_, kv::Error>(page.rows.iter().filter(|row| names(row)).count())
        });
        assert_eq!(left.expect("read"), 0);
    }
}
