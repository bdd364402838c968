//! Stored records: the strategies that no declaration of their fields gives.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::string::string_regex;

use super::{Any, any_fields, any_value, any_variants};
use crate::id::Seq;
use crate::limits::{
    CLIENT_BYTES_MAX, FAMILIES_OF_DEVICE_MAX, MEMBER_RANGES_MAX, NODE_NAME_BYTES_MAX, NODE_URL_BYTES_MAX,
    NOTICE_WORDS_BYTES_MAX,
};
use crate::message::MessageKind;
use crate::record::{
    ArrivalEvent, ArrivalRecord, BodyRecord, DeadRecord, DedupRecord, DeliveryRecord, DeviceRecord, EventRecord,
    HookCallRecord, HookedRecord, MediaRecord, MemberRecord, MessageRecord, NodeRecord, NoticeEventRecord, SeqRange,
    TalliesRecord, UploadRecord,
};

any_fields! { DedupRecord { op, seq, sent_ms, revision, count, content_hash } }
any_fields! { EventRecord { channel, body } }
any_fields! { HookedRecord { at_ms, body } }
any_variants! { BodyRecord { Inline { (text) } Parts { parts bytes } } }

/// Its kind is what its media tell.
impl Any for MessageRecord {
    fn any() -> BoxedStrategy<Self> {
        let numbers = (any_value(), any_value(), any_value(), any_value(), any_value(), any_value());
        (numbers, (any_value(), any_value(), any_value(), any_value(), any_value()))
            .prop_map(|(numbers, (body, mentions, deleted, audience, media)): (_, (_, _, _, _, Vec<_>))| {
                let (revision, from, sent_ms, client_msg_id, reply_to, edited_ms) = numbers;
                let kind = MessageKind::Text.with(&media);
                Self {
                    revision,
                    from,
                    sent_ms,
                    client_msg_id,
                    kind,
                    body,
                    reply_to,
                    mentions,
                    edited_ms,
                    deleted,
                    media,
                    audience,
                }
            })
            .boxed()
    }
}

/// Printable ASCII, up to so many bytes.
fn printable(bytes_max: u32) -> impl Strategy<Value = String> {
    string_regex(&format!("[ -~]{{0,{bytes_max}}}")).expect("a legal expression")
}

/// None has a count of 0.
impl Any for TalliesRecord {
    fn any() -> BoxedStrategy<Self> {
        vec((any_value(), 1_u32..), 0..4).prop_map(|counts| Self { counts }).boxed()
    }
}

/// Events ascend and name audiences that are there.
impl Any for ArrivalRecord {
    fn any() -> BoxedStrategy<Self> {
        let audiences = vec(any_value::<Vec<_>>(), 1..4);
        let events = vec((any::<u16>(), any::<Index>(), any_value()), 0..4);
        (audiences, events)
            .prop_map(|(audiences, mut events)| {
                events.sort_by_key(|&(ordinal, _, _)| ordinal);
                let event = |(ordinal, audience, event): (u16, Index, EventRecord)| {
                    let audience = u16::try_from(audience.index(audiences.len())).expect("at most 3 audiences");
                    ArrivalEvent { ordinal, audience, event }
                };
                Self { events: events.into_iter().map(event).collect(), audiences }
            })
            .boxed()
    }
}

/// Ranges ascend, and only the last may be open.
impl Any for MemberRecord {
    fn any() -> BoxedStrategy<Self> {
        let ends = vec(any_value::<u64>(), 0..=2 * MEMBER_RANGES_MAX as usize);
        (any_value(), any_value(), any_value(), ends)
            .prop_map(|(role, muted, joined_ms, mut ends)| {
                ends.sort_unstable();
                let range = |ends: &[u64]| SeqRange { after: Seq(ends[0]), through: ends.get(1).copied().map(Seq) };
                Self { role, muted, joined_ms, ranges: ends.chunks(2).map(range).collect() }
            })
            .boxed()
    }
}

/// Names and addresses as long as they may be.
impl Any for NodeRecord {
    fn any() -> BoxedStrategy<Self> {
        let name = || printable(NODE_NAME_BYTES_MAX);
        let url = || printable(NODE_URL_BYTES_MAX);
        let texts = (name(), name(), url(), url(), url());
        let numbers = (any_value(), any_value(), any_value(), any_value(), any_value(), any_value(), any_value());
        (texts, numbers)
            .prop_map(|((name, region, ws_url, api_url, links), numbers)| {
                let (shards, weight, links_oldest, links_newest, secret, token_key, since_ms) = numbers;
                Self {
                    name,
                    shards,
                    weight,
                    region,
                    ws_url,
                    api_url,
                    links,
                    links_oldest,
                    links_newest,
                    secret,
                    token_key,
                    since_ms,
                }
            })
            .boxed()
    }
}

/// Words as long as they may be.
impl Any for DeliveryRecord {
    fn any() -> BoxedStrategy<Self> {
        let words = || printable(NOTICE_WORDS_BYTES_MAX);
        (any_value(), any_value(), any_value(), any_value(), words(), words(), words(), any_value())
            .prop_map(|(state, planned_ms, at_ms, attempts, provider, provider_id, why, origin)| Self {
                state,
                planned_ms,
                at_ms,
                attempts,
                provider,
                provider_id,
                why,
                origin,
            })
            .boxed()
    }
}

/// Words as long as they may be.
impl Any for DeadRecord {
    fn any() -> BoxedStrategy<Self> {
        (any_value(), any_value(), any_value(), any_value(), any_value(), printable(NOTICE_WORDS_BYTES_MAX))
            .prop_map(|(channel, seq, origin, planned_ms, attempts, why)| Self {
                channel,
                seq,
                origin,
                planned_ms,
                attempts,
                why,
            })
            .boxed()
    }
}

/// Words as long as they may be.
impl Any for NoticeEventRecord {
    fn any() -> BoxedStrategy<Self> {
        let words = || printable(NOTICE_WORDS_BYTES_MAX);
        (any_value(), any_value(), any_value(), any_value(), any_value(), words(), words(), words())
            .prop_map(|(notice, user, medium, state, at_ms, device, provider, why)| Self {
                notice,
                user,
                medium,
                state,
                at_ms,
                device,
                provider,
                why,
            })
            .boxed()
    }
}

/// Words as long as they may be.
impl Any for HookCallRecord {
    fn any() -> BoxedStrategy<Self> {
        let numbers = (any_value(), any_value(), any_value(), any_value(), any_value(), any_value());
        (numbers, printable(NOTICE_WORDS_BYTES_MAX))
            .prop_map(|((at_ms, partition, events, status, took_ms, channel), why)| Self {
                at_ms,
                partition,
                events,
                status,
                took_ms,
                channel,
                why,
            })
            .boxed()
    }
}

/// As many logins as there may be.
impl Any for DeviceRecord {
    fn any() -> BoxedStrategy<Self> {
        let families = vec(any_value(), 0..=FAMILIES_OF_DEVICE_MAX as usize);
        (any_value(), any_value(), printable(CLIENT_BYTES_MAX), families, any_value())
            .prop_map(|(connected_ms, last_active_ms, client, families, stamp)| Self {
                connected_ms,
                last_active_ms,
                client,
                families,
                stamp,
            })
            .boxed()
    }
}

/// Of parts that have bytes.
impl Any for MediaRecord {
    fn any() -> BoxedStrategy<Self> {
        let whole = (any_value(), any_value(), any_value(), any_value(), any_value(), any_value());
        (whole, 1..u64::MAX, any_value(), any_value())
            .prop_map(|(whole, part_bytes, thumbnails, thumbnails_type)| {
                let (owner, attachment, sha256, uploaded_sha256, created_ms, reserved_ms) = whole;
                Self {
                    owner,
                    attachment,
                    sha256,
                    uploaded_sha256,
                    created_ms,
                    reserved_ms,
                    part_bytes,
                    thumbnails,
                    thumbnails_type,
                }
            })
            .boxed()
    }
}

/// Likewise.
impl Any for UploadRecord {
    fn any() -> BoxedStrategy<Self> {
        let texts = (any_value(), any_value(), any_value(), any_value(), any_value());
        (texts, 1..u64::MAX, any_value(), any_value(), any_value())
            .prop_map(|((owner, name, poster, length, offset), part_bytes, created_ms, expires_ms, became)| Self {
                owner,
                name,
                poster,
                length,
                offset,
                part_bytes,
                created_ms,
                expires_ms,
                became,
            })
            .boxed()
    }
}
