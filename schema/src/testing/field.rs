//! Fields: numbers, texts, ids, places, lists, and what may be absent.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::{Any, any_fields, any_value, from_any};
use crate::code::ErrorCode;
use crate::emoji::Emoji;
use crate::id::{ChannelId, ClientMsgId, DeviceId, MediaId, Seq, SessionId, UserId};
use crate::limits::DEVICE_ID_BYTES_MAX;
use crate::notice::NoticeId;
use crate::place::MessagePlace;
use crate::position::{Cursor, Position, Stamp};
use crate::time::UnixMs;
use crate::view::{Epoch, Incarnation, Owner, ShardIndex};

macro_rules! any_of {
    ($($type:ty: $strategy:expr;)*) => {$(
        impl Any for $type {
            fn any() -> BoxedStrategy<Self> {
                $strategy.boxed()
            }
        }
    )*};
}

any_of! {
    (): Just(());
    bool: any::<bool>();
    u8: any::<u8>();
    [u8; 32]: any::<[u8; 32]>();
    u16: any::<u16>();
    u32: any::<u32>();
    // Mostly small, and the ends.
    u64: prop_oneof![4 => 0..1_000_u64, 2 => any::<u64>(), 1 => Just(u64::MAX)];
    String: texts();
    Arc<str>: texts().prop_map(Into::into);
    UserId: from_any(UserId);
    ChannelId: from_any(ChannelId);
    MediaId: from_any(MediaId);
    SessionId: from_any(SessionId);
    Seq: from_any(Seq);
    UnixMs: from_any(UnixMs);
    Epoch: from_any(Epoch);
    Incarnation: from_any(Incarnation);
    ShardIndex: from_any(ShardIndex);
    ClientMsgId: (0..1_u64 << 48, any::<u128>()).prop_map(|(wall_ms, entropy)| ClientMsgId::new(UnixMs(wall_ms), entropy));
    NoticeId: any::<[u8; 16]>().prop_map(NoticeId);
    DeviceId: proptest::string::string_regex(&format!("[A-Za-z0-9_-]{{1,{DEVICE_ID_BYTES_MAX}}}"))
        .expect("a legal expression")
        .prop_map(|name| name.parse().expect("of legal characters, and of a legal length"));
    Emoji: select(EMOJIS).prop_map(|text| text.parse().expect("each of the list is one emoji"));
    ErrorCode: select(ErrorCode::ALL);
}

any_fields! { Stamp { version, batch } }
any_fields! { Position { stamp, ordinal } }
any_fields! { Cursor { generation, position } }
any_fields! { Owner { incarnation, shard } }
any_fields! { MessagePlace { sent_ms, channel_id, seq } }

/// Texts of up to 24 characters from all of Unicode, and those that encodings must escape.
fn texts() -> impl Strategy<Value = String> {
    let awkward = select(vec!['"', '\\', '\n', '\0', '\u{7f}', 'é', '\u{2028}', '🦀', '\u{10ffff}']);
    let chars = prop_oneof![3 => proptest::char::range('a', 'z'), 1 => awkward, 1 => any::<char>()];
    vec(chars, 0..24).prop_map(|chars| chars.into_iter().collect())
}

/// Emojis of every form: of one character, with a variation selector, a skin tone, joiners, a flag, a keycap, and the
/// longest.
const EMOJIS: &[&str] = &[
    "👍",
    "🦀",
    "\u{2764}\u{fe0f}",
    "👍🏽",
    "👨\u{200d}👩\u{200d}👧",
    "🇰🇷",
    "1\u{fe0f}\u{20e3}",
    "🧑🏻\u{200d}\u{2764}\u{fe0f}\u{200d}💋\u{200d}🧑🏼",
];

macro_rules! any_generic {
    ($(<$($of:ident),*> $type:ty: $strategy:expr;)*) => {$(
        impl<$($of: Any),*> Any for $type {
            fn any() -> BoxedStrategy<Self> {
                $strategy.boxed()
            }
        }
    )*};
}

any_generic! {
    <A, B> (A, B): (A::any(), B::any());
    <T> Option<T>: proptest::option::of(T::any());
    <T, E> Result<T, E>: prop_oneof![3 => T::any().prop_map(Ok), 1 => E::any().prop_map(Err)];
    <T> Arc<T>: from_any(Arc::new);
    <T> Vec<T>: vec(T::any(), 0..4);
    <T> Arc<[T]>: any_value::<Vec<T>>().prop_map(Into::into);
}
