//! Webhooks as requests and answers name and show them.
//!
//! Owns their ids as texts, and what of a hook and of a call is shown. What is asked of them is `routes::hooks`', what an
//! operator does to them `apps`'.

use chat::hooks::Hook;
use schema::hook::{BeforeKind, HookKind, channel_kind_bit};
use schema::op::ChannelKind;
use schema::record::{HookCallRecord, HookRecord};
use schema::{ChannelId, ErrorCode, UnixMs};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::problem::Problem;

/// The prefix of a webhook's id.
const ID_PREFIX: &str = "hook_";

/// Fate of what a webhook is asked and does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OnFailure {
    /// It is done as if nobody had been asked: the default.
    Allow,
    /// It is refused (125).
    Refuse,
}

/// A webhook.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ShownHook {
    #[schema(example = "hook_00000000000000ff")]
    id: String,
    url: String,
    /// The kinds of events that it is told.
    events: Vec<&'static str>,
    /// The kinds of channels whose events it is told; empty for all.
    #[schema(value_type = Vec<String>)]
    channel_kinds: Vec<ChannelKind>,
    /// The channels whose events it is told; empty for all.
    channels: Vec<ChannelId>,
    /// Operations that it is asked about before they are done.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    before: Vec<&'static str>,
    /// Time limit of its answer then, if it is asked anything, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_ms: Option<u32>,
    /// Fate of what it does not answer, if it is asked anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    on_failure: Option<OnFailure>,
    /// Time at which it was made, in Unix milliseconds.
    created_ms: UnixMs,
    /// Time at which it was paused, if it is: it did not take what it was told for 3 days, a million events waited, or an operator
    /// wanted that.
    #[serde(skip_serializing_if = "Option::is_none")]
    paused_ms: Option<UnixMs>,
    /// Why it is paused.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(required = false)]
    paused_why: String,
    /// The secret that its calls are signed with, if it was just made: it is shown this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

const CHANNEL_KINDS: [ChannelKind; 4] =
    [ChannelKind::Direct, ChannelKind::Group, ChannelKind::Large, ChannelKind::Feed];

impl ShownHook {
    pub(crate) fn new(Hook { id, record }: Hook, secret: Option<String>) -> Self {
        let HookRecord { app: _, url, secret: _, events, kinds, channels, created_ms, .. } = record;
        let HookRecord { paused_ms, waits_ms: _, why, before, before_ms, failure_refuses, .. } = record;
        let is_asked = before != 0;
        let on_failure = if failure_refuses { OnFailure::Refuse } else { OnFailure::Allow };
        let is_told = |kind: &HookKind| HookKind::of_word(kind.word()).is_some() && events & kind.bit() != 0;
        Self {
            id: id_text(id),
            url,
            events: HookKind::ALL.iter().copied().filter(is_told).map(HookKind::word).collect(),
            channel_kinds: CHANNEL_KINDS.into_iter().filter(|&kind| kinds & channel_kind_bit(kind) != 0).collect(),
            channels,
            before: BeforeKind::ALL.into_iter().filter(|kind| before & kind.bit() != 0).map(BeforeKind::word).collect(),
            timeout_ms: is_asked.then_some(before_ms),
            on_failure: is_asked.then_some(on_failure),
            created_ms,
            paused_ms,
            paused_why: why,
            secret,
        }
    }
}

/// One call of a webhook.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ShownCall {
    /// Time at which it began, in Unix milliseconds.
    at_ms: UnixMs,
    /// Number of events that it told.
    events: u16,
    /// The partition of their channels.
    lane: u16,
    /// The channel of the first, if it is of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    channel_id: Option<ChannelId>,
    /// The status of the answer; 0 without one.
    status: u16,
    took_ms: u32,
    /// Why it was not taken, if it was not.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(required = false)]
    error: String,
}

impl ShownCall {
    pub(crate) fn new(call: HookCallRecord) -> Self {
        let HookCallRecord { at_ms, partition, events, status, took_ms, channel, why } = call;
        let channel_id = (channel.0 != 0).then_some(channel);
        Self { at_ms, events, lane: partition, channel_id, status, took_ms, error: why }
    }
}

fn id_text(id: u64) -> String {
    format!("{ID_PREFIX}{id:016x}")
}

/// The hook that an id names.
pub(crate) fn id(text: &str) -> Result<u64, Problem> {
    let digits = text.strip_prefix(ID_PREFIX).filter(|digits| digits.len() == 16);
    let is_plain = |digits: &&str| digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    let id = digits.filter(is_plain).and_then(|digits| u64::from_str_radix(digits, 16).ok());
    id.ok_or_else(|| no_such(text))
}

pub(crate) fn no_such(hook: &str) -> Problem {
    Problem::new(ErrorCode::UnknownChannel, format!("there is no hook {hook:?}, or it is another application's"))
}
