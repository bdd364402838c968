//! Records of webhooks: what a hook wants, what is to be told, what came of telling it.

use super::{EventRecord, flat_records, packed_records, record};
use crate::generated::rookery::record as fb;
use crate::id::{ChannelId, UserId};
use crate::limits::NOTICE_WORDS_BYTES_MAX;
use crate::packed::{ByteOrder, Packed, Why};
use crate::presence::PresenceState;
use crate::time::UnixMs;

/// `hook`: where an application is called with what happens in chat, and with what of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HookRecord {
    /// The application.
    pub app: u64,
    /// The URL.
    pub url: String,
    /// The secret that calls are signed with: `whsec_` and its bytes in base64.
    pub secret: String,
    /// The kinds that it wants, a bit each: see `hook::HookKind`.
    pub events: u64,
    /// The kinds of channels that it wants, a bit each: see `hook::channel_kind_bit`; 0 for all.
    pub kinds: u32,
    /// The channels that it wants; empty for all.
    pub channels: Vec<ChannelId>,
    /// When it was made.
    pub created_ms: UnixMs,
    /// Since when it is paused, if it is: nothing is written for it and nothing told.
    pub paused_ms: Option<UnixMs>,
    /// When the oldest came that had not been told when it was paused.
    pub waits_ms: Option<UnixMs>,
    /// Why it is paused; empty if it is not.
    pub why: String,
    /// What it is asked before, a bit each: see `hook::BeforeKind`. A pause is no end to that.
    pub before: u32,
    /// How long it has to answer then, in milliseconds.
    pub before_ms: u32,
    /// Whether what it does not answer is refused rather than allowed.
    pub failure_refuses: bool,
}

/// `hooked`: something that a hook is to be told. Without content, which is read when it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookedRecord {
    /// When the transaction that wrote it began.
    pub at_ms: UnixMs,
    /// What happened.
    pub body: HookedBody,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HookedBody {
    /// Something in a channel.
    Channel(EventRecord),
    /// A user is in another state.
    Presence {
        /// The user.
        user: UserId,
        /// The state, over all of the user's devices.
        state: PresenceState,
        /// When the user last did something.
        last_active_ms: UnixMs,
    },
    /// A device of a user connected.
    Connected {
        /// The user.
        user: UserId,
        /// The device, as it names itself.
        device: String,
    },
    /// Of what happened between two times some may be missing.
    Gap {
        /// The first.
        from_ms: UnixMs,
        /// The second.
        to_ms: UnixMs,
    },
}

record! { HookedRecord "hooked" format 1 encode_packed decode_packed }

macro_rules! hooked_kinds {
    ($($kind:ident = $number:literal { $(($inner:ident))? $($field:ident),* })*) => {
        impl Packed for HookedRecord {
            fn put<O: ByteOrder>(&self, row: &mut Vec<u8>) {
                self.at_ms.put::<O>(row);
                match &self.body {
                    $(HookedBody::$kind { $(0: $inner)? $($field),* } => {
                        row.push($number);
                        $($inner.put::<O>(row);)?
                        $($field.put::<O>(row);)*
                    })*
                }
            }

            fn take<O: ByteOrder>(rest: &mut &[u8]) -> Result<Self, Why> {
                let (at_ms, kind): (UnixMs, u8) = Packed::take::<O>(rest)?;
                let body = match kind {
                    $($number => HookedBody::$kind {
                        $(0: { let $inner = Packed::take::<O>(rest)?; $inner })?
                        $($field: Packed::take::<O>(rest)?),*
                    },)*
                    _ => return Err(format!("nothing that is told is of kind {kind}").into()),
                };
                Ok(Self { at_ms, body })
            }
        }

        #[cfg(test)]
        crate::testing::any_variants! { HookedBody { $($kind { $(($inner))? $($field)* })* } }
    };
}

hooked_kinds! {
    Channel = 1 { (event) }
    Presence = 2 { user, state, last_active_ms }
    Connected = 3 { user, device }
    Gap = 4 { from_ms, to_ms }
}

/// `hook call`: what came of one call of a hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookCallRecord {
    /// When it began.
    pub at_ms: UnixMs,
    /// The partition whose events it told.
    pub partition: u16,
    /// How many.
    pub events: u16,
    /// The status of the answer; 0 without one.
    pub status: u16,
    /// How long it took.
    pub took_ms: u32,
    /// The channel of the first event; 0 where it is of none.
    pub channel: ChannelId,
    /// Why it was not taken; empty if it was. At most 255 bytes.
    pub why: String,
}

flat_records! {
    HookRecord "hook" format 1 {
        app, url, secret, events, kinds, channels, created_ms, paused_ms, waits_ms, why, before, before_ms,
        failure_refuses
    }
}

packed_records! {
    HookCallRecord "hook call" format 1 { at_ms, partition, events, status, took_ms, channel, why }, check short
}

impl HookCallRecord {
    fn short(&self) -> Result<(), String> {
        let bytes = self.why.len();
        if bytes <= NOTICE_WORDS_BYTES_MAX as usize { Ok(()) } else { Err(format!("words of {bytes} bytes")) }
    }
}
