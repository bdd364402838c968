//! Bytes, order and round trip of every key, and what ranges hold.

use proptest::prelude::*;

use schema::record::PushItem;
use schema::{
    ChannelId, ClientMsgId, DeviceId, Incarnation, Owner, Partition, Position, Seq, ShardIndex, Stamp, UnixMs, UserId,
};

use super::range::hash_byte;
use super::*;
use kv::transaction::RangeRequest;

fn contains(range: &RangeRequest, key: &[u8]) -> bool {
    range.begin.as_slice() <= key && key < range.end.as_slice()
}

fn stamps() -> impl Strategy<Value = Stamp> {
    (any::<u64>(), any::<u16>()).prop_map(|(version, batch)| Stamp { version, batch })
}

fn positions() -> impl Strategy<Value = Position> {
    (stamps(), any::<u16>()).prop_map(|(stamp, ordinal)| stamp.at(ordinal))
}

/// Few numbers, and those at the borders of bytes: so that equal fields and carries are met.
fn numbers() -> impl Strategy<Value = u64> {
    prop_oneof![0..4_u64, 254..258_u64, Just(u64::MAX), Just(u64::MAX - 1), any::<u64>()]
}

/// Bytes of fields, of which few differ.
fn fields() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop_oneof![6 => Just(0), 1 => Just(1), 1 => Just(0xFF), 1 => any::<u8>()], 64)
}

/// A key of each table in hex, and its fields.
fn golden() -> impl Iterator<Item = (Table, Vec<u8>, &'static str)> {
    let lines = include_str!("golden.txt").lines().zip(Table::ALL);
    lines.map(|(line, &table)| {
        let (hex, fields) = line.split_once(' ').expect("a key and its fields");
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex");
        (table, (0..hex.len()).step_by(2).map(byte).collect(), fields)
    })
}

/// Part of the stored format: no key changes a byte.
#[test]
fn every_key_has_the_bytes_that_it_always_had() {
    assert_eq!(golden().count(), Table::ALL.len());
    for ((table, key, fields), layout) in golden().zip(layouts()) {
        assert_eq!(table.again(&key), Ok((fields.to_owned(), key.clone())), "{table:?}");
        // A text has 3 bytes there, and an emoji a byte for its length.
        let wide = |(name, bytes): &(&str, usize)| match bytes {
            0 if name.starts_with("length") => 4,
            0 => 3,
            &bytes => bytes,
        };
        assert_eq!(
            (key[0], key.len()),
            (layout.number, 1 + layout.fields.iter().map(wide).sum::<usize>()),
            "{table:?}"
        );
    }
    let (channel, user, seq, node) = (ChannelId(7), UserId(8), Seq(9), Incarnation(10));
    let shard = Owner { incarnation: node, shard: ShardIndex(1) };
    for made in [
        [arrival_prefix(shard), Stamp::default().to_bytes().to_vec()].concat(),
        [inbox_prefix(user), Position::default().to_bytes().to_vec()].concat(),
        DedupKey { channel, user, id: ClientMsgId::new(UnixMs(1), 1) }.to_key(),
        MentionKey { user, sent_ms: UnixMs(1), channel, seq }.to_key(),
        push(&PushItem::new(user, (channel, seq), user, UnixMs(1))),
        direct(user, user),
        batch(shard, 1),
        fence(node),
    ] {
        assert!(golden().any(|(_, key, _)| key == made), "{made:02x?}");
    }
}

proptest! {
    #[test]
    fn keys_order_as_their_fields_and_are_read_back(one in fields(), other in fields()) {
        for (&table, layout) in Table::ALL.iter().zip(layouts()) {
            // Not every byte is a medium.
            if layout.fields.iter().any(|(name, bytes)| *bytes == 0 || *name == "medium") {
                continue;
            }
            let width = layout.fields.iter().map(|(_, bytes)| bytes).sum();
            let [one, other] = [&one, &other].map(|fields: &Vec<u8>| [&[table as u8], &fields[..width]].concat());
            prop_assert_eq!(table.compare(&one, &other), Ok(one.cmp(&other)), "{:?}", table);
            prop_assert_eq!(table.again(&one).map(|(_, key)| key), Ok(one.clone()));
            for bad in [&one[1..], &one[..width], &[&one[..], &[0]].concat(), &[&[0][..], &one[1..]].concat()] {
                prop_assert!(table.again(bad).is_err(), "{:?}: {:02x?}", table, bad);
            }
        }
    }

    #[test]
    fn keys_that_are_structs_are_read_back(user in numbers(), channel in numbers(), seq in numbers(), id in any::<[u8; 16]>()) {
        let (user, channel, seq) = (UserId(user), ChannelId(channel), Seq(seq));
        let mention = MentionKey { user, sent_ms: UnixMs(seq.0), channel, seq };
        prop_assert_eq!(MentionKey::of_key(&mention.to_key()), Ok(mention));
        let dedup = DedupKey { channel, user, id: ClientMsgId(id) };
        prop_assert_eq!(DedupKey::of_key(&dedup.to_key()), Ok(dedup));
    }

    #[test]
    fn ranges_hold_what_they_name(user in numbers(), channel in numbers(), a in numbers(), b in numbers(), p in positions(), q in positions()) {
        let (user, channel) = (UserId(user), ChannelId(channel));
        prop_assert_eq!(contains(&inbox_after(user, p), &inbox(user, q)), q > p);
        prop_assert_eq!(contains(&inbox_through(user, p), &inbox(user, q)), q <= p);
        prop_assert_eq!(contains(&messages(channel, Seq(a.min(b)), Seq(b)), &message(channel, Seq(a))), a <= b);
        prop_assert_eq!(contains(&left_newest(user), &left(UserId(a), channel)), user == UserId(a));
        let row = posting(channel, 7, 3);
        prop_assert_eq!(contains(&postings(ChannelId(a), 7), &row), channel == ChannelId(a));
        prop_assert!(!contains(&postings(channel, 6), &row) && !contains(&postings(channel, 8), &row));
        prop_assert_eq!(contains(&members_after(channel, Some(UserId(a))), &member(channel, UserId(b))), b > a);
        prop_assert_eq!(contains(&inboxes_after(Some(UserId(a))), &inbox(UserId(b), p)), b > a);
        let thumb = "👍".parse().expect("an emoji");
        let reacted = |seq| reaction(channel, Seq(seq), &thumb, user);
        prop_assert_eq!(contains(&reactions(channel, Seq(a)), &reacted(b)), a == b);
        prop_assert_eq!(contains(&tallies_within(channel, Seq(a.min(b)), Seq(b)), &tallies(channel, Seq(a))), a <= b);
        prop_assert_eq!(contains(&officers(ChannelId(a)), &officer(ChannelId(b), user)), a == b);
        prop_assert_eq!(contains(&larges(UserId(a)), &large(UserId(b), channel)), a == b);
        prop_assert_eq!(contains(&edits(ChannelId(a)), &edited(ChannelId(b), Seq(a))), a == b);
        let mention = |seq| MentionKey { user, sent_ms: UnixMs(1), channel, seq: Seq(seq) };
        prop_assert_eq!(contains(&mentions_before(user, Some(mention(a))), &mention(b).to_key()), b < a);
        prop_assert_eq!(contains(&mentions_before(UserId(a), None), &MentionKey { user: UserId(b), ..mention(1) }.to_key()), a == b);
        prop_assert_eq!(contains(&friends_after(user, Some(UserId(a))), &friend(user, UserId(b))), b > a);
        prop_assert_eq!(contains(&blocks_after(user, Some(UserId(a))), &block(user, UserId(b))), b > a);
        let home = |life| arrival_prefix(Owner { incarnation: Incarnation(life), shard: ShardIndex(1) });
        prop_assert_eq!(contains(&arrivals_of(Incarnation(a)), &home(b)), b == a);
        prop_assert!(contains(&arrivals(), &home(b)));
        prop_assert!(!contains(&inbox_after(user, p), &inbox_floor(user)));
        prop_assert!(!contains(&inboxes_after(None), &inbox_floor(user)));
    }
}

#[test]
fn refresh_tokens_are_due_by_their_time() {
    let check = |expires, before, due| {
        let key = refresh_due(UnixMs(expires), [0xFF; 32]);
        assert_eq!(contains(&refreshes_due(UnixMs(before)), &key), due, "{expires} {before}");
    };
    check(255, 256, true);
    check(256, 256, false);
    check(257, 256, false);
}

#[test]
fn push_items_are_due_by_their_time_within_the_partition_of_their_user() {
    let check = |user: u64, due: u64, before: u64, is_due: bool| {
        let (user, due_ms, before) = (UserId(user), UnixMs(due), UnixMs(before));
        let (channel, seq, from, sent_ms) = (ChannelId(3), Seq(4), UserId(5), UnixMs(6));
        let item = PushItem { due_ms, user, channel, seq, from, sent_ms };
        let (key, value) = (push(&item), item.record().encode());
        assert_eq!(push_item(&key, &value), Ok(item));
        let home = Partition::of_user(user).index();
        for partition in [home, (home + 1) % 4_096] {
            assert_eq!(contains(&pushes_of(partition), &key), partition == home, "{item:?}");
            assert_eq!(contains(&pushes_due(partition, before), &key), partition == home && is_due, "{item:?}");
        }
        assert!(push_item(&key[1..], &value).is_err() && push_item(&key[..key.len() - 1], &value).is_err());
        let mut elsewhere = key.clone();
        elsewhere[2] ^= 1;
        assert!(push_item(&elsewhere, &value).is_err(), "it is not where its user's are");
    };
    check(1, 255, 256, true);
    check(2, 256, 256, false);
    check(u64::MAX, 1 << 40, u64::MAX, true);
}

#[test]
fn a_devices_key_is_read_back_and_nothing_else_is_one() {
    let check = |name: &str| {
        let device: DeviceId = name.parse().expect("a legal name");
        let key = super::device(UserId(7), &device);
        assert!(contains(&devices(UserId(7)), &key) && !contains(&devices(UserId(8)), &key));
        assert_eq!(device_of(&key), Ok((UserId(7), device)));
        let long = "x".repeat(64);
        for bad in [&key[..9], &key[1..], &[&key[..], b"!"].concat(), &[&key[..], long.as_bytes()].concat()] {
            assert!(device_of(bad).is_err(), "{bad:?}");
        }
    };
    check("a");
    check("phone-1_A");
    check(&"Z".repeat(64));
}

#[test]
fn a_direct_channel_has_one_key_for_both_orders() {
    assert_eq!(direct(UserId(1), UserId(2)), direct(UserId(2), UserId(1)));
    assert_ne!(direct(UserId(1), UserId(2)), direct(UserId(1), UserId(3)));
}

#[test]
fn dedup_rows_clear_by_the_day_of_their_id() {
    let made = UnixMs(1_800_000_000_000);
    let dedup = DedupKey { channel: ChannelId(1), user: UserId(2), id: ClientMsgId::new(made, 3) };
    let hash = hash_byte(1);
    let check = |hash, day, cleared| assert_eq!(contains(&dedups_before(hash, day), &dedup.to_key()), cleared);
    check(hash, day(made), false);
    check(hash, day(made) + 1, true);
    check(hash.wrapping_add(1), day(made) + 1, false);
}

#[test]
fn an_emoji_that_begins_another_has_a_range_of_its_own() {
    let (channel, seq) = (ChannelId(1), Seq(2));
    let key = |emoji: &str| reaction(channel, seq, &emoji.parse().expect("an emoji"), UserId(3));
    let all = [key("👍"), key("👍🏽")];
    assert!(all.iter().all(|key| contains(&reactions(channel, seq), key)));
    assert!(!all[1].starts_with(&all[0][..all[0].len() - 8]));
    let cut = &all[0][..all[0].len() - 1];
    assert!(reaction_of(cut).is_err() && reaction_of(&key("👍")[1..]).is_err());
}

#[test]
fn tables_are_listed_by_number_and_those_that_go_along_are_found_in_their_order() {
    let numbers: Vec<u8> = layouts().map(|layout| layout.number).collect();
    assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
    let check = |last: Option<&[u8]>, expected: Option<(&[u8], &[u8])>| {
        let found = transferred_after(last).map(|range| (range.begin, range.end));
        assert_eq!(found.as_ref().map(|(begin, end)| (&**begin, &**end)), expected, "after {last:?}");
    };
    check(None, Some((&[Table::Body as u8], &[Table::Body as u8 + 1])));
    check(Some(&[Table::Body as u8, 7]), Some((&[Table::Body as u8, 7, 0], &[Table::Body as u8 + 1])));
    // Fences stay behind.
    check(Some(&[Table::Fence as u8]), Some((&[Table::Former as u8], &[Table::Former as u8 + 1])));
    check(Some(&[Table::EventCursor as u8]), Some((&[Table::External as u8], &[Table::External as u8 + 1])));
    check(Some(&[Table::External as u8 + 1]), Some((&[Table::Hook as u8, 0], &[Table::Hook as u8 + 1])));
    check(Some(&[Table::HookCall as u8]), Some((&[Table::Media as u8], &[Table::Media as u8 + 1])));
    check(Some(&[u8::MAX]), None);
    let check = |key: &[u8], expected: Option<Transfer>| assert_eq!(transfer(key), expected, "{key:?}");
    check(&[], None);
    check(&[0], None);
    check(&[250, 1], None);
    check(&[Table::Inbox as u8, 1], Some(Transfer::Left));
    check(&[Table::Device as u8], Some(Transfer::Unstamped));
    check(&[Table::Message as u8, 9], Some(Transfer::AsItIs));
}
