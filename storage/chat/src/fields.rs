//! Fields of keys and of the smallest rows: what each type is in bytes, so that keys order as their fields do.
//!
//! Owns their widths: big-endian numbers, texts as they are. A text is the last of its key, or stands behind its length.

use schema::{
    ChannelId, ClientMsgId, DeviceId, Emoji, Epoch, Incarnation, Position, Seq, ShardIndex, Stamp, UnixMs, UserId,
};

/// A type that may be a field of a key, or of a row of `packed`.
pub trait KeyField: Sized {
    /// What it is read back as.
    type Owned;
    /// Bytes that it always has.
    const BYTES: u8;
    /// Whether it may have more.
    const VARIES: bool = false;

    /// Appends it.
    fn put(self, key: &mut Vec<u8>);
    /// Reads it from what is left of a key. `None` if that is no such field.
    fn take(rest: &mut &[u8]) -> Option<Self::Owned>;
}

fn split<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (field, left) = rest.split_first_chunk::<N>()?;
    *rest = left;
    Some(*field)
}

macro_rules! numbers {
    ($($number:ty = $bytes:literal)*) => {$(
        impl KeyField for $number {
            type Owned = Self;
            const BYTES: u8 = $bytes;

            fn put(self, key: &mut Vec<u8>) {
                key.extend_from_slice(&self.to_be_bytes());
            }

            fn take(rest: &mut &[u8]) -> Option<Self> {
                split(rest).map(Self::from_be_bytes)
            }
        }
    )*};
}

macro_rules! numbered {
    ($($name:ident($number:ty))*) => {$(
        impl KeyField for $name {
            type Owned = Self;
            const BYTES: u8 = <$number as KeyField>::BYTES;

            fn put(self, key: &mut Vec<u8>) {
                self.0.put(key);
            }

            fn take(rest: &mut &[u8]) -> Option<Self> {
                <$number>::take(rest).map(Self)
            }
        }
    )*};
}

macro_rules! arrays {
    ($($name:ty = $bytes:literal, $value:ident => $put:expr, $take:expr;)*) => {$(
        impl KeyField for $name {
            type Owned = Self;
            const BYTES: u8 = $bytes;

            fn put(self, key: &mut Vec<u8>) {
                let $value = self;
                key.extend_from_slice(&$put);
            }

            fn take(rest: &mut &[u8]) -> Option<Self> {
                split(rest).map($take)
            }
        }
    )*};
}

numbers! { u8 = 1 u16 = 2 u32 = 4 u64 = 8 }
numbered! { ChannelId(u64) UserId(u64) Seq(u64) UnixMs(u64) Epoch(u64) Incarnation(u64) ShardIndex(u16) }
arrays! {
    Stamp = 10, stamp => stamp.to_bytes(), Self::from_bytes;
    Position = 12, position => position.to_bytes(), Self::from_bytes;
    ClientMsgId = 16, id => id.0, Self;
}

impl KeyField for &[u8; 32] {
    type Owned = [u8; 32];
    const BYTES: u8 = 32;

    fn put(self, key: &mut Vec<u8>) {
        key.extend_from_slice(self);
    }

    fn take(rest: &mut &[u8]) -> Option<[u8; 32]> {
        split(rest)
    }
}

/// All that is left.
impl KeyField for &[u8] {
    type Owned = Vec<u8>;
    const BYTES: u8 = 0;
    const VARIES: bool = true;

    fn put(self, key: &mut Vec<u8>) {
        key.extend_from_slice(self);
    }

    fn take(rest: &mut &[u8]) -> Option<Vec<u8>> {
        Some(std::mem::take(rest).to_vec())
    }
}

/// All that is left.
impl KeyField for &str {
    type Owned = String;
    const BYTES: u8 = 0;
    const VARIES: bool = true;

    fn put(self, key: &mut Vec<u8>) {
        self.as_bytes().put(key);
    }

    fn take(rest: &mut &[u8]) -> Option<String> {
        <&[u8]>::take(rest).and_then(|text| String::from_utf8(text).ok())
    }
}

/// All that is left.
impl KeyField for &DeviceId {
    type Owned = DeviceId;
    const BYTES: u8 = 0;
    const VARIES: bool = true;

    fn put(self, key: &mut Vec<u8>) {
        self.as_str().put(key);
    }

    fn take(rest: &mut &[u8]) -> Option<DeviceId> {
        <&str>::take(rest)?.parse().ok()
    }
}

/// Behind its length, so that an emoji which begins another has a range of its own.
impl KeyField for &Emoji {
    type Owned = Emoji;
    const BYTES: u8 = 1;
    const VARIES: bool = true;

    fn put(self, key: &mut Vec<u8>) {
        let text = self.as_str();
        u8::try_from(text.len()).expect("an emoji has at most 64 bytes").put(key);
        text.put(key);
    }

    fn take(rest: &mut &[u8]) -> Option<Emoji> {
        let length = u8::take(rest)?;
        let (text, left) = rest.split_at_checked(usize::from(length))?;
        *rest = left;
        Emoji::accepted(std::str::from_utf8(text).ok()?).ok()
    }
}
