//! Order and round trip of every key, and what ranges hold.

use proptest::prelude::*;

use schema::record::PushItem;
use schema::{
    ChannelId, ClientMsgId, DeviceId, Emoji, Epoch, Incarnation, Owner, Partition, Position, Seq, ShardIndex, Stamp,
    UnixMs, UserId,
};

use super::range::hash_byte;
use super::*;
use kv::transaction::RangeRequest;

const CHANNEL: ChannelId = ChannelId(7);
const USER: UserId = UserId(8);
const SEQ: Seq = Seq(9);
const NODE: Incarnation = Incarnation(10);

/// Pairs of keys compare as the fields that they were made of.
fn check<F: Ord + std::fmt::Debug>(make: impl Fn(&F) -> Vec<u8>, one: &F, other: &F) {
    assert_eq!(make(one).cmp(&make(other)), one.cmp(other), "{one:?} {other:?}");
}

fn contains(range: &RangeRequest, key: &[u8]) -> bool {
    range.begin.as_slice() <= key && key < range.end.as_slice()
}

fn sorted((one, other): (u64, u64)) -> (u64, u64) {
    (one.min(other), one.max(other))
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

proptest! {
    #[test]
    fn keys_order_as_their_fields(
        a in (numbers(), numbers()),
        b in (numbers(), numbers()),
        p in positions(),
        q in positions(),
    ) {
        check(|k| message(ChannelId(k.0), Seq(k.1)), &a, &b);
        check(|k| member(ChannelId(k.0), UserId(k.1)), &a, &b);
        check(|k| former(ChannelId(k.0), UserId(k.1)), &a, &b);
        check(|k| left(UserId(k.0), ChannelId(k.1)), &a, &b);
        check(|k| membership(UserId(k.0), ChannelId(k.1)), &a, &b);
        check(|k| read(UserId(k.0), ChannelId(k.1)), &a, &b);
        check(|k| direct(UserId(k.0.min(k.1)), UserId(k.0.max(k.1))), &sorted(a), &sorted(b));
        check(|k| channel(ChannelId(*k)), &a.0, &b.0);
        check(|k| inbox(UserId(k.0), k.1), &(a.0, p), &(b.0, q));
        check(|k| tallies(ChannelId(k.0), Seq(k.1)), &a, &b);
        check(|k| edited(ChannelId(k.0), Seq(k.1)), &a, &b);
        let mention = |k: &(u64, u64)| MentionKey { user: UserId(7), sent_ms: UnixMs(k.0), channel: ChannelId(k.1), seq: Seq(k.0) };
        check(|k| mention(k).to_key(), &a, &b);
        check(|k| friend(UserId(k.0), UserId(k.1)), &a, &b);
        check(|k| block(UserId(k.0), UserId(k.1)), &a, &b);
        check(|k| presence(UserId(*k)), &a.0, &b.0);
    }

    #[test]
    fn keys_are_read_back(user in numbers(), channel in numbers(), seq in numbers(), place in positions(), id in any::<[u8; 16]>()) {
        let (user, channel, seq) = (UserId(user), ChannelId(channel), Seq(seq));
        prop_assert_eq!(message_place(&message(channel, seq)), Ok((channel, seq)));
        prop_assert_eq!(left_of(&left(user, channel)), Ok((user, channel)));
        prop_assert_eq!(member_of(&member(channel, user)), Ok((channel, user)));
        prop_assert_eq!(membership_of(&membership(user, channel)), Ok((user, channel)));
        prop_assert_eq!(inbox_place(&inbox(user, place)), Ok((user, place)));
        prop_assert_eq!(channel_id(&super::channel(channel)), Ok(channel));
        prop_assert_eq!(officer_of(&officer(channel, user)), Ok((channel, user)));
        prop_assert_eq!(large_of(&large(user, channel)), Ok((user, channel)));
        prop_assert_eq!(tallies_place(&tallies(channel, seq)), Ok((channel, seq)));
        prop_assert_eq!(edited_place(&edited(channel, seq)), Ok((channel, seq)));
        for emoji in ["👍", "👍🏽", "👨‍👩‍👧"].map(|text| text.parse::<Emoji>().expect("an emoji")) {
            prop_assert_eq!(reaction_of(&reaction(channel, seq, &emoji, user)), Ok((channel, seq, emoji, user)));
        }
        let mention = MentionKey { user, sent_ms: UnixMs(seq.0), channel, seq };
        prop_assert_eq!(MentionKey::of_key(&mention.to_key()), Ok(mention));
        let other = UserId(seq.0);
        prop_assert_eq!(friend_of(&friend(user, other)), Ok((user, other)));
        prop_assert_eq!(block_of(&block(user, other)), Ok((user, other)));
        let dedup = DedupKey { channel, user, id: ClientMsgId(id) };
        prop_assert_eq!(DedupKey::of_key(&dedup.to_key()), Ok(dedup));
        let home = Owner { incarnation: Incarnation(user.0), shard: ShardIndex(7) };
        let mut arrival = arrival_prefix(Epoch(seq.0), home);
        arrival.extend_from_slice(&place.stamp.to_bytes());
        prop_assert_eq!(arrival_stamp(&arrival), Ok(place.stamp));
        let (life, node) = (Incarnation(user.0), super::node(Incarnation(user.0)));
        prop_assert_eq!(node_of(&node), Ok(life));
        prop_assert!(contains(&nodes(), &node) && !contains(&nodes(), &heartbeat(life)));
        prop_assert!(node_of(&heartbeat(life)).is_err() && node_of(&node[..8]).is_err());
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
        prop_assert_eq!(contains(&channels_after(Some(ChannelId(a))), &super::channel(ChannelId(b))), b > a);
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
        let home = |epoch| arrival_prefix(Epoch(epoch), Owner::default());
        prop_assert_eq!(contains(&arrivals_before(Epoch(a)), &home(b)), b < a);
        prop_assert!(!contains(&inbox_after(user, p), &inbox_floor(user)));
        prop_assert!(!contains(&inboxes_after(None), &inbox_floor(user)));
    }
}

#[test]
fn refresh_tokens_are_due_by_their_time() {
    let check = |expires, before, due| {
        let key = refresh_due(UnixMs(expires), &[0xFF; 32]);
        assert_eq!(contains(&refreshes_due(UnixMs(before)), &key), due, "{expires} {before}");
        assert_eq!(refresh_hash(&key), Ok([0xFF; 32]));
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
        for partition in [home, (home + 1) % 1_024] {
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
fn a_key_of_another_table_or_length_is_damage() {
    let key = message(ChannelId(1), Seq(2));
    for bad in [&key[..key.len() - 1], &[], &[key.as_slice(), &[0]].concat(), &member(ChannelId(1), UserId(2))] {
        assert!(message_place(bad).is_err(), "{bad:?}");
    }
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

/// A key of each table, as the program makes it, with a text of 3 bytes where a width varies.
fn keys() -> Vec<Vec<u8>> {
    let shard = Owner { incarnation: NODE, shard: ShardIndex(1) };
    let id = ClientMsgId::new(UnixMs(1), 1);
    let arrival = [arrival_prefix(Epoch(1), shard), Stamp::default().to_bytes().to_vec()].concat();
    let phone: DeviceId = "abc".parse().expect("a device");
    let emoji: Emoji = "⌚".parse().expect("an emoji of 3 bytes");
    vec![
        arrival,
        batch(shard),
        body_part(CHANNEL, SEQ, 1, 1),
        channel(CHANNEL),
        DedupKey { channel: CHANNEL, user: USER, id }.to_key(),
        dedup_floor(),
        direct(USER, USER),
        family(USER, 1),
        fence(NODE),
        former(CHANNEL, USER),
        head(CHANNEL),
        idempotency(1, USER, "abc"),
        inbox(USER, Position::default()),
        inbox_floor(USER),
        joined(USER),
        member(CHANNEL, USER),
        membership(USER, CHANNEL),
        message(CHANNEL, SEQ),
        partition(0),
        read(USER, CHANNEL),
        refresh(&[1; 32]),
        user(USER),
        username("abc"),
        view(),
        refresh_due(UnixMs(1), &[1; 32]),
        reaction(CHANNEL, SEQ, &emoji, USER),
        tallies(CHANNEL, SEQ),
        MentionKey { user: USER, sent_ms: UnixMs(1), channel: CHANNEL, seq: SEQ }.to_key(),
        edited(CHANNEL, SEQ),
        large(USER, CHANNEL),
        officer(CHANNEL, USER),
        block(USER, USER),
        friend(USER, USER),
        device(USER, &phone),
        presence(USER),
        push(&PushItem::new(USER, (CHANNEL, SEQ), USER, UnixMs(1))),
        node(NODE),
        heartbeat(NODE),
        indexed(CHANNEL),
        posting(CHANNEL, 1, 1),
        segments(CHANNEL, 1),
        left(USER, CHANNEL),
        import(),
        set_aside(&[1, 2, 3]),
        clock(),
    ]
}

/// Part of the stored format: no key changes a byte.
#[test]
fn every_key_has_the_bytes_that_it_always_had() {
    let made: Vec<String> = keys().iter().map(|key| crate::unreadable::hex(key)).collect();
    assert_eq!(made.join("\n"), include_str!("golden.txt").trim_end());
}

#[test]
fn every_table_has_a_key_as_wide_as_it_is_described() {
    let wide = |(name, bytes): &(&str, u8)| match bytes {
        0 if name.starts_with("length") => 4,
        0 => 3,
        &bytes => usize::from(bytes),
    };
    let described = layouts().map(|layout| (layout.number, 1 + layout.fields.iter().map(wide).sum::<usize>()));
    let made: Vec<_> = keys().iter().map(|key| (key[0], key.len())).collect();
    assert_eq!(described.collect::<Vec<_>>(), made);
}

#[test]
fn tables_are_listed_by_number_and_those_that_go_along_are_found_in_their_order() {
    let numbers: Vec<u8> = layouts().map(|layout| layout.number).collect();
    assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
    let check = |last: Option<&[u8]>, expected: Option<(&[u8], &[u8])>| {
        let found = moved_after(last).map(|range| (range.begin, range.end));
        assert_eq!(found.as_ref().map(|(begin, end)| (&**begin, &**end)), expected, "after {last:?}");
    };
    check(None, Some((&[Table::Body as u8], &[Table::Body as u8 + 1])));
    check(Some(&[Table::Body as u8, 7]), Some((&[Table::Body as u8, 7, 0], &[Table::Body as u8 + 1])));
    // Fences stay behind.
    check(Some(&[Table::Fence as u8]), Some((&[Table::Former as u8], &[Table::Former as u8 + 1])));
    check(Some(&[Table::Clock as u8 + 1]), None);
    let check = |key: &[u8], expected: Option<Moved>| assert_eq!(moved(key), expected, "{key:?}");
    check(&[], None);
    check(&[0], None);
    check(&[250, 1], None);
    check(&[Table::Inbox as u8, 1], Some(Moved::Left));
    check(&[Table::Device as u8], Some(Moved::Unstamped));
    check(&[Table::Message as u8, 9], Some(Moved::AsItIs));
}
