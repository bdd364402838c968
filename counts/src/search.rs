//! Searches of one user's messages, over the engine in memory: what an index takes beside a disk.

use std::hint::black_box;

use chat::{keys, search};
use futures_lite::future::block_on;
use kv::memory::MemoryEngine;
use kv::{Begin, Engine as _, Transaction as _};
use schema::command::Search;
use schema::event::Role;
use schema::message::MessageKind;
use schema::record::{BodyRecord, HeadRecord, MemberRecord, MessageRecord, SeqRange};
use schema::{ChannelId, ClientMsgId, Seq, UnixMs, UserId};

const USER: UserId = UserId(1);
const CHANNELS: u64 = 20;
const MESSAGES: u64 = 100;
const SINCE: UnixMs = UnixMs(1_767_225_600_000);
/// Words of a message, and all that there are: those of small numbers are common.
const MESSAGE_WORDS: u64 = 8;
const WORDS: u64 = 2_000;
const SYLLABLES: [&str; 16] =
    ["이", "다", "는", "에", "을", "의", "가", "고", "ba", "ke", "li", "mo", "nu", "ra", "so", "ti"];

/// A search.
#[derive(Clone, Copy)]
pub(crate) enum Query {
    Word,
    TwoWords,
}

pub(crate) fn run(query: Query, rounds: u32) {
    let engine = MemoryEngine::ephemeral();
    make(&engine);
    let query = match query {
        Query::Word => word(3),
        Query::TwoWords => format!("{} {}", word(3), word(11)),
    };
    for _ in 0..rounds {
        let (channel_id, from, before_ms, cursor) = (None, None, None, None);
        let request = Search { query: query.clone(), channel_id, from, before_ms, limit: 20, cursor };
        let found = block_on(search::query(&engine, USER, &request)).expect("the engine fails in nothing");
        assert!(!found.page.hits.is_empty() && found.behind.is_empty(), "what is looked for is indexed");
        black_box(found);
    }
}

/// Messages of all channels, and their index.
fn make(engine: &MemoryEngine) {
    let mut state = 7;
    let mut tx = engine.begin(Begin::Fresh);
    for channel in (1..=CHANNELS).map(ChannelId) {
        let ranges = vec![SeqRange { after: Seq::ZERO, through: None }];
        let member = MemberRecord { role: Role::Member, muted: false, joined_ms: SINCE, ranges };
        tx.set(&keys::membership(USER, channel), &member.encode());
        tx.set(&keys::member(channel, USER), &member.encode());
        for number in 1..=MESSAGES {
            // Channels take turns, a message each second.
            let sent_ms = SINCE.plus_ms((number * CHANNELS + channel.0) * 1_000);
            let record = MessageRecord {
                revision: 0,
                from: USER,
                sent_ms,
                client_msg_id: ClientMsgId::new(sent_ms, number.into()),
                kind: MessageKind::Text,
                body: BodyRecord::Inline(text(&mut state).into()),
                reply_to: None,
                mentions: Vec::new(),
                edited_ms: None,
                deleted: false,
                audience: None,
                media: Vec::new(),
            };
            tx.set(&keys::message(channel, Seq(number)), &record.encode());
            tx.set(&keys::head(channel), &HeadRecord { seq: Seq(number), sent_ms }.encode());
        }
    }
    block_on(tx.commit()).expect("the engine fails in nothing");
    for channel in (1..=CHANNELS).map(ChannelId) {
        while block_on(search::advance(engine, channel)).expect("the engine fails in nothing").more {}
    }
}

fn text(state: &mut u64) -> String {
    // The product of two even draws favours small numbers, as languages do.
    let mut drawn = || word(below(state, WORDS) * below(state, WORDS) / (WORDS * 20));
    (0..MESSAGE_WORDS).map(|_| drawn()).collect::<Vec<_>>().join(" ")
}

/// The word of this number.
fn word(number: u64) -> String {
    let (mut word, mut rest) = (String::new(), number + 16);
    while rest > 0 {
        word.push_str(SYLLABLES[(rest % 16) as usize]);
        rest /= 16;
    }
    word
}

/// SplitMix64.
fn below(state: &mut u64, bound: u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut bits = *state;
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (bits ^ (bits >> 31)) % bound
}
