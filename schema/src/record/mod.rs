//! Records of the store: the value under each key.
//!
//! Owns the records' meaning and their bytes: a format version of one byte, then FlatBuffers (verified on read), or
//! packed little-endian fields for what is small, fixed or written hundreds of times a transaction. Keys are
//! `chat::keys`.
//!
//! | record | bytes |
//! |---|---|
//! | [`ChannelRecord`], [`MessageRecord`], [`MemberRecord`], [`UserRecord`], [`RefreshRecord`] | FlatBuffers: they will grow |
//! | [`HeadRecord`], [`DedupRecord`], [`FenceRecord`], [`IdempotencyRecord`], [`ReadMarkRecord`] | packed |
//! | [`EventRecord`], [`ArrivalRecord`] | packed: one a member, and hundreds of events a row |
//! | [`TalliesRecord`] | packed: read with every page of history |
//! | [`FriendRecord`], [`BlockRecord`], [`PresenceRecord`], [`PushRecord`] | packed |
//! | [`DeviceRecord`] | packed: the store itself writes its last field |
//! | [`NodeRecord`] | packed |
//! | [`ContactRecord`], [`AppRecord`], [`NoticeRecord`], [`SettingsRecord`] | FlatBuffers |
//! | [`TemplateRecord`], [`VariantRecord`] | FlatBuffers |
//! | [`JobRecord`], [`DeliveryRecord`], [`DeadRecord`], [`ToldRecord`], [`FirstNoticeRecord`] | packed |
//! | [`CodeRecord`], [`NoticeEventRecord`] | packed |
//! | [`HookRecord`], [`MediaRecord`], [`UploadRecord`] | FlatBuffers |
//! | [`HookedRecord`], [`HookCallRecord`] | packed: one an event and hook |
//!
//! `encode` panics where a value breaks the rules of its own type, which is a fault of the caller. `decode` never
//! panics.

mod account;
mod channel;
mod device;
mod fields;
mod fixed;
mod hook;
mod inbox;
mod media;
mod message;
mod node;
mod notice;
mod people;
mod push;
mod tallies;

use fields::{flat_records, packed_records, record};

pub use account::{RefreshRecord, UserRecord};
pub use channel::{ChannelRecord, MemberRecord, SeqRange};
pub use device::{DeviceRecord, PresenceRecord};
pub use fixed::{AnsweredOp, DedupRecord, FenceRecord, HeadRecord, IdempotencyRecord, ReadMarkRecord};
pub use hook::{HookCallRecord, HookRecord, HookedBody, HookedRecord};
pub use inbox::{ArrivalEvent, ArrivalRecord, EventRecord, EventRecordBody};
pub use media::{MediaRecord, UploadRecord};
pub use message::{BodyRecord, MessageRecord};
pub use node::NodeRecord;
pub use notice::{
    AppRecord, AppSecret, Choice, CodeRecord, ContactRecord, DeadRecord, DeliveryRecord, DeliveryState,
    FirstNoticeRecord, JobRecord, NoticeEventRecord, NoticeRecord, SettingsRecord, TemplateRecord, ToldRecord,
    VariantRecord,
};
pub use people::{BlockRecord, FriendRecord, FriendState};
pub use push::{PushItem, PushRecord};
pub use tallies::TalliesRecord;

pub use crate::packed::RecordError;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{MemberChange, Role};
    use crate::id::{ChannelId, Seq, UserId};

    /// What a record's bytes are taken for: `ok`, or the first word of what is wrong and the rest of it.
    fn check(bytes: &[u8], expected: &str) {
        let found = match EventRecord::decode(bytes) {
            Ok(_) => "ok".to_owned(),
            Err(RecordError::Newer { found, known, .. }) => format!("newer: {found} over {known}"),
            Err(RecordError::Damaged { why, .. }) => format!("damaged: {why}"),
        };
        assert_eq!(found, expected, "{bytes:?}");
    }

    #[test]
    fn bytes_that_are_not_the_record_say_why() {
        let body = EventRecordBody::Membership { user: UserId(2), change: MemberChange::Left, role: Role::Owner };
        let bytes = EventRecord { channel: ChannelId(1), body }.encode();
        let with = |at: usize, byte: u8| {
            let mut bytes = bytes.clone();
            bytes[at] = byte;
            bytes
        };
        check(&bytes, "ok");
        check(&[], "damaged: it is empty");
        check(&with(0, 0), "damaged: its format is 0, which none has");
        check(&with(0, 3), "newer: 3 over 2");
        check(&with(1, 9), "damaged: no event is of kind 9");
        check(&with(18, 6), "damaged: no MemberChange has number 6");
        check(&with(19, 3), "damaged: no Role has number 3");
        check(&bytes[..19], "damaged: it ends within a field");
        check(&[bytes.as_slice(), &[0]].concat(), "damaged: 1 bytes are left over");
    }

    /// Format 2 added kinds of event and changes of members; what it shares with format 1 has the same bytes.
    #[test]
    fn what_format_1_wrote_is_read() {
        let body = EventRecordBody::Message { seq: Seq(3), revision: 0 };
        let event = EventRecord { channel: ChannelId(1), body };
        let content = [1, 1, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(EventRecord::decode(&[&[1], content.as_slice()].concat()), Ok(event.clone()));

        let arrival =
            ArrivalRecord { audiences: vec![vec![]], events: vec![ArrivalEvent { ordinal: 7, audience: 0, event }] };
        let around = [1, 1, 0, 0, 0, 1, 0, 7, 0, 0, 0];
        assert_eq!(ArrivalRecord::decode(&[around.as_slice(), &content].concat()), Ok(arrival));
    }

    #[test]
    fn a_reaction_that_is_none_says_why() {
        let emoji = "👍".parse().expect("an emoji");
        let body = EventRecordBody::Reaction { seq: Seq(2), emoji, count: 3, user: UserId(4), on: true };
        let bytes = EventRecord { channel: ChannelId(1), body }.encode();
        let with = |at: usize, byte: u8| {
            let mut bytes = bytes.clone();
            bytes[at] = byte;
            bytes
        };
        // format, kind, channel, seq, count, user, on, then the emoji behind its length of 4
        check(&bytes, "ok");
        check(&with(31, 5), "damaged: it ends within a text");
        check(&with(31, 3), "damaged: incomplete utf-8 byte sequence from index 0");
        check(&with(31, 0), "damaged: not an emoji");
        check(&with(32, b'a'), "damaged: invalid utf-8 sequence of 1 bytes from index 1");
        // Which texts are emoji is Unicode's to change: what was one when it was stored is not doubted.
        check(&[&bytes[..31], &[1, b'a']].concat(), "ok");
        check(&[&bytes[..31], &[65], &[b'a'; 65]].concat(), "damaged: not an emoji");
    }

    #[test]
    fn tallies_that_are_none_say_why() {
        let check = |counts: u16, one: &[u8], expected: &str| {
            let bytes = [[1].as_slice(), &counts.to_le_bytes(), &one.repeat(counts.into())].concat();
            let found = match TalliesRecord::decode(&bytes) {
                Ok(record) => format!("{} emojis", record.counts.len()),
                Err(error) => error.to_string().split(": ").last().expect("one part at least").to_owned(),
            };
            assert_eq!(found, expected, "{bytes:?}");
        };
        let one = [[1, 0, 0, 0, 4].as_slice(), "👍".as_bytes()].concat();
        check(0, &one, "0 emojis");
        check(32, &one, "32 emojis");
        check(33, &one, "33 emojis of one message");
        check(1, &one[..8], "it ends within a text");
        check(2, &one[..4], "it ends within a field");
        check(1, &[0, 0, 0, 0, 4, 0xf0, 0x9f, 0x91, 0x8d], "an emoji that nobody put there");
        check(1, &[1, 0, 0, 0, 0], "not an emoji");
    }

    #[test]
    fn an_arrival_that_contradicts_itself_is_damaged() {
        let body = EventRecordBody::Message { seq: Seq(3), revision: 0 };
        let event = EventRecord { channel: ChannelId(1), body };
        let event = |ordinal| ArrivalEvent { ordinal, audience: 0, event: event.clone() };
        let bytes = ArrivalRecord { audiences: vec![vec![UserId(2)]], events: vec![event(0), event(1)] }.encode();
        let check = |at: usize, byte: u8, expected: &str| {
            let mut bytes = bytes.clone();
            assert_ne!(bytes[at], byte, "the row changes something");
            bytes[at] = byte;
            match ArrivalRecord::decode(&bytes) {
                Err(RecordError::Damaged { why, .. }) => assert_eq!(why, expected),
                other => panic!("{other:?}, expected {expected}"),
            }
        };
        // format, audiences, users of the first, the user, events, then 25 bytes each: ordinal, audience, event
        check(1, 99, "it counts 99 items where 62 bytes are left");
        check(3, 99, "it counts 99 items where 60 bytes are left");
        check(13, 99, "it counts 99 items where 50 bytes are left");
        check(13, 3, "it ends within a field");
        check(13, 1, "25 bytes are left over");
        check(15, 2, "I6: event 1 stands behind 2");
        check(17, 1, "audience 1 of 1");
        check(42, 9, "audience 9 of 1");
    }

    #[test]
    fn a_number_without_a_meaning_is_damage() {
        use crate::generated::rookery::{ChannelKind, Role, record as fb};
        let channel = |kind| {
            raw(|builder| {
                let fields = fb::ChannelRecordArgs { kind: ChannelKind(kind), ..Default::default() };
                fb::ChannelRecord::create(builder, &fields)
            })
        };
        let member = |role| {
            raw(|builder| {
                let fields = fb::MemberRecordArgs { role: Role(role), ..Default::default() };
                fb::MemberRecord::create(builder, &fields)
            })
        };
        let why = |error: RecordError| error.to_string().split("damaged: ").last().map(str::to_owned);
        assert!(ChannelRecord::decode(&channel(3)).is_ok() && MemberRecord::decode(&member(2)).is_ok());
        assert_eq!(ChannelRecord::decode(&channel(4)).map_err(why), Err(Some("kind: 4 has no meaning".to_owned())));
        assert_eq!(MemberRecord::decode(&member(3)).map_err(why), Err(Some("role: 3 has no meaning".to_owned())));
    }

    /// A table of format 1.
    fn raw<T>(build: impl FnOnce(&mut crate::flat::Builder) -> flatbuffers::WIPOffset<T>) -> Vec<u8> {
        crate::flat::with_builder(|builder| {
            let root = build(builder);
            builder.finish_minimal(root);
            [&[1], builder.finished_data()].concat()
        })
    }

    #[test]
    fn a_message_in_an_inbox_takes_22_bytes() {
        let body = EventRecordBody::Message { seq: Seq(3), revision: 0 };
        assert_eq!(EventRecord { channel: ChannelId(1), body }.encode().len(), 22);
    }

    #[test]
    fn a_first_reply_of_the_first_format_is_a_sends() {
        let (seq, sent_ms) = (Seq(3), crate::UnixMs(4));
        let first = DedupRecord { op: AnsweredOp::Send, seq, sent_ms, revision: 0, count: 0, content_hash: 5 };
        let bytes = first.encode();
        let check = |bytes: &[u8], expected: Result<DedupRecord, &str>| {
            let found = DedupRecord::decode(bytes).map_err(|error| error.to_string());
            let expected = expected.map_err(|why| format!("a dedup record of {} bytes is damaged: {why}", bytes.len()));
            assert_eq!(found, expected, "{bytes:?}");
        };
        check(&bytes, Ok(first));
        check(&[&[1], &bytes[2..]].concat(), Ok(first));
        check(&[&[2, 3], &bytes[2..]].concat(), Ok(DedupRecord { op: AnsweredOp::React, ..first }));
        check(&[&[2, 4], &bytes[2..]].concat(), Err("no AnsweredOp has number 4"));
        check(&[2], Err("it ends within a field"));
    }

    #[test]
    fn the_atomic_maximum_of_two_read_marks_is_the_later() {
        let number = |seq| {
            let mut wide = [0; 16];
            wide[..9].copy_from_slice(&ReadMarkRecord { seq: Seq(seq) }.encode());
            u128::from_le_bytes(wide)
        };
        for (less, more) in [(0, 1), (1, 2), (255, 256), (65_535, 1 << 40), (1, u64::MAX)] {
            assert!(number(less) < number(more), "{less} {more}");
        }
    }

    #[test]
    fn ranges_of_a_member_ascend_and_only_the_last_is_open() {
        let check = |ranges: &[(u64, Option<u64>)], legal: bool| {
            let ranges: Vec<SeqRange> = ranges
                .iter()
                .map(|&(after, through)| SeqRange { after: Seq(after), through: through.map(Seq) })
                .collect();
            let record = MemberRecord { role: Role::Member, muted: false, joined_ms: crate::UnixMs(1), ranges };
            let decoded = std::panic::catch_unwind(|| MemberRecord::decode(&record.encode()));
            assert_eq!(decoded.ok(), legal.then_some(Ok(record.clone())), "{record:?}");
        };
        check(&[], true);
        check(&[(0, None)], true);
        check(&[(0, Some(4)), (4, Some(4)), (9, None)], true);
        check(&[(0, None), (4, None)], false);
        check(&[(0, Some(4)), (3, None)], false);
        check(&[(5, Some(4))], false);
        check(&[(0, Some(0)); 8], true);
        check(&[(0, Some(0)); 9], false);
    }
}
