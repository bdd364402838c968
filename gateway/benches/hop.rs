//! Cost of a frame's hop between two shards: processor time of both threads, by value and through its FlatBuffers form.
//!
//! Frames are made beforehand, and go through a shard's own mailbox in rounds that fill it; the receiving thread drops
//! them.
//! `cargo bench -p gateway --bench hop`

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use gateway::uring::{mailbox, sleep_and_wake};
use rustix::time::{ClockId, clock_gettime};
use schema::mesh::{MeshBody, MeshFrame, Target};
use schema::{
    ChannelId, ChannelOp, ClientMsgId, Epoch, Event, EventBody, Message, OpReply, Owner, Position, Seq, SessionId,
    Stamp, UnixMs, UserId, op::SendOp,
};

/// Frames of one round: what a shard's mailbox holds.
const FRAMES: usize = 8_192;
const ROUNDS: usize = 31;

fn thread_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().expect("time is not negative")
}

/// Nanoseconds a frame from one thread to another, the median of all rounds.
fn hop<T: Send>(frame: &MeshFrame, pack: fn(MeshFrame) -> T, unpack: fn(T) -> MeshFrame) -> u128 {
    let (_sleeper, waker) = sleep_and_wake().expect("descriptors are left");
    let (sender, mut receiver) = mailbox(&waker, FRAMES);
    let mut rounds: Vec<u128> = (0..ROUNDS)
        .map(|_| {
            let frames = vec![frame.clone(); FRAMES];
            let sending = || {
                let began = thread_time();
                for frame in frames {
                    assert!(sender.push(pack(frame)).is_ok(), "the mailbox has room for a round");
                }
                thread_time() - began
            };
            let sent = thread::scope(|scope| scope.spawn(sending).join().expect("it does not panic"));
            let began = thread_time();
            while let Some(item) = receiver.pop() {
                drop(std::hint::black_box(unpack(item)));
            }
            (sent + (thread_time() - began)).as_nanos() / FRAMES as u128
        })
        .collect();
    rounds.sort_unstable();
    rounds[ROUNDS / 2]
}

fn encoded(frame: MeshFrame) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame.encode(&mut bytes);
    bytes
}

fn decoded(bytes: Vec<u8>) -> MeshFrame {
    MeshFrame::decode(&bytes).expect("as encoded")
}

fn bodies() -> Vec<(&'static str, MeshBody)> {
    let (channel, user) = (ChannelId(7), UserId(8));
    let id = ClientMsgId::new(UnixMs(1), 2);
    let body: Arc<str> = "x".repeat(100).into();
    let send = SendOp {
        from: user,
        client_msg_id: id,
        kind: schema::MessageKind::Text,
        body: Arc::clone(&body),
        reply_to: None,
        mentions: Arc::from([]),
    };
    let message = Message {
        channel_id: channel,
        seq: Seq(1),
        revision: 0,
        from: user,
        sent_ms: UnixMs(1),
        client_msg_id: id,
        kind: schema::MessageKind::Text,
        body,
        reply_to: None,
        mentions: Arc::from([]),
        edited_ms: None,
        deleted: false,
        reactions: Arc::from([]),
    };
    let event = Event { position: Position::START, channel, body: EventBody::Message(Arc::new(message)) };
    let target = |session| Target {
        session: SessionId(session),
        after: Position::START,
        through: Position::START,
        events: vec![0],
    };
    let sent = OpReply::Sent { seq: Seq(1), sent_ms: UnixMs(1), duplicate: false };
    vec![
        ("apply, a send of 100 bytes", MeshBody::Apply { ticket: 1, channel, op: ChannelOp::Send(send) }),
        ("applied", MeshBody::Applied { ticket: 1, reply: Ok(sent) }),
        ("hint of one message", MeshBody::Hint { stamp: Stamp::default(), events: vec![event.clone()] }),
        ("delivery to one session", MeshBody::Deliver { events: vec![event.clone()], targets: vec![target(1)] }),
        (
            "delivery to 100 sessions",
            MeshBody::Deliver { events: vec![event], targets: (0..100).map(target).collect() },
        ),
    ]
}

fn main() {
    eprintln!("{:<28} {:>12} {:>12}", "ns a frame", "encoded", "by value");
    for (name, body) in bodies() {
        let frame = MeshFrame { from: Owner::default(), epoch: Epoch(1), body };
        let (encoded, by_value) = (hop(&frame, encoded, decoded), hop(&frame, |frame| frame, |frame| frame));
        eprintln!("{name:<28} {encoded:>12} {by_value:>12}");
    }
}
