//! What a crowd says, step by step, without a connection.

use std::sync::Arc;

use schema::command::{ClientLimits, Connected, Opened, Retry};
use schema::message::{no_mentions, no_reactions};
use schema::{ErrorReply, Message, MessageKind, Reply, Request, SessionId};

use super::*;
use crate::session::Talk as _;

/// Two accounts of two devices each, and a third that nobody writes to; the first two share channel 7.
fn crowd() -> Crowd {
    let mut crowd = Crowd::new(
        [1, 2, 3].map(UserId).to_vec(),
        6,
        2,
        64,
        vec![Room { channel: ChannelId(7), account: 0, accounts: 2, large: false }],
    );
    crowd.dialled(0..6, 0);
    (0..4).for_each(|session| connect(&mut crowd, session, 5));
    crowd
}

fn connect(crowd: &mut Crowd, session: usize, now_ns: u64) {
    let connected = Connected {
        user_id: UserId(1),
        session_id: SessionId(1),
        server_time_ms: UnixMs(1_800_000_000_000),
        ping_ms: 25_000,
        limits: ClientLimits::default(),
        cursor: String::new(),
        retry: Retry { base_ms: 50, cap_ms: 500 },
    };
    crowd.connected(session, &connected, now_ns);
}

/// The message that a session sends now, if it does: the request, and the message as the channel's members are told it.
fn sent(crowd: &mut Crowd, session: usize, seq: u64, now_ns: u64) -> Option<(u32, Message)> {
    let Request { id, command } = crowd.next(session, now_ns)?;
    let Command::Send(send) = command else { panic!("{command:?}") };
    Some((
        id,
        Message {
            channel_id: send.channel_id,
            seq: Seq(seq),
            revision: 0,
            from: UserId(1),
            sent_ms: UnixMs(0),
            client_msg_id: send.client_msg_id,
            kind: MessageKind::Text,
            body: Arc::clone(&send.body),
            reply_to: None,
            mentions: no_mentions(),
            edited_ms: None,
            deleted: false,
            reactions: no_reactions(),
            media: Vec::new(),
        },
    ))
}

fn ack(seq: u64) -> Reply {
    Reply::Send { seq: Seq(seq), sent_ms: UnixMs(0), duplicate: false }
}

#[test]
fn a_message_comes_to_every_device_of_both_accounts_or_it_is_missing() {
    let mut crowd = crowd();
    let by = crowd.write(0, 10, 10).expect("somebody is connected");
    let (id, message) = sent(&mut crowd, by, 1, 10).expect("it goes out");
    assert_eq!(crowd.missing(), 4);
    crowd.answered(by, id, ack(1), 20).unwrap();
    for session in 0..4 {
        crowd.delivered(session, &message, 30).unwrap();
    }
    assert_eq!((crowd.missing(), crowd.counts.acked, crowd.counts.delivered), (0, 1, 4));
    crowd.delivered(2, &message, 40).unwrap();
    assert_eq!(crowd.counts.duplicated, 1);
    assert!(crowd.delivered(4, &message, 40).unwrap_err().contains("nobody writes to"));
    let told = crowd.told();
    assert_eq!(["in", "ack", "delivery"].map(|what| told[what].open().count()), [4, 1, 4]);
    assert!(!told.contains_key("back") && crowd.told().is_empty(), "told once");
}

#[test]
fn a_large_channel_is_opened_before_its_messages_come_and_again_from_the_last_one() {
    let large = Room { channel: ChannelId(7), account: 0, accounts: 2, large: true };
    let mut crowd = Crowd::new([1, 2].map(UserId).to_vec(), 2, 1, 64, vec![large]);
    crowd.dialled(0..2, 0);
    connect(&mut crowd, 0, 5);
    connect(&mut crowd, 1, 5);
    let opens = |crowd: &mut Crowd, session, after: Option<u64>| {
        let Some(Request { id, command: Command::Open(open) }) = crowd.next(session, 6) else {
            panic!("it opens first")
        };
        assert_eq!((id, open.channel_id, open.after_seq), (OPEN_ID, ChannelId(7), after.map(Seq)));
        let (online, reads) = (0, Vec::new());
        crowd.answered(session, id, Reply::Open(Opened { head_seq: Seq(20), read_seq: Seq(0), online, reads }), 7)
    };
    opens(&mut crowd, 0, None).unwrap();
    // The other has not opened it yet: this need not come to it, and may.
    crowd.write_from(0, 0, 10, 10).expect("it is connected");
    assert_eq!((crowd.missing(), crowd.counts.opened), (1, 1));
    let (_, first) = sent(&mut crowd, 0, 21, 10).expect("it goes out");
    opens(&mut crowd, 1, None).unwrap();
    crowd.delivered(0, &first, 11).unwrap();
    crowd.delivered(1, &first, 11).unwrap();
    assert_eq!((crowd.missing(), crowd.counts.opened), (0, 2));
    crowd.write_from(0, 0, 12, 12).expect("it is connected");
    let (_, second) = sent(&mut crowd, 0, 22, 12).expect("it goes out");
    crowd.delivered(0, &second, 13).unwrap();
    // One that goes has to get what it missed, and says from where.
    crowd.sent_away(1, 14);
    crowd.disconnected(1, 14);
    assert_eq!((crowd.missing(), crowd.counts.opened), (1, 1));
    connect(&mut crowd, 1, 15);
    opens(&mut crowd, 1, Some(21)).unwrap();
    crowd.delivered(1, &second, 16).unwrap();
    crowd.delivered(1, &second, 17).unwrap();
    assert_eq!((crowd.missing(), crowd.counts.delivered, crowd.counts.duplicated), (0, 3, 1));
    let busy = ErrorReply { code: 113, message: String::new(), temporary: true, retry_after_ms: 0 };
    crowd.disconnected(0, 18);
    connect(&mut crowd, 0, 19);
    crowd.next(0, 20).expect("it opens");
    crowd.refused(0, OPEN_ID, &busy, 21).unwrap();
    assert!(crowd.next(0, 22).is_none(), "it pauses");
    assert_eq!(crowd.woken(21 + AGAIN_NS), Some(0));
    assert_eq!(crowd.next(0, 21 + AGAIN_NS).map(|request| request.id), Some(OPEN_ID));
}

#[test]
fn a_probe_is_from_the_account_beside_and_has_come_when_its_session_has_it() {
    let mut crowd = crowd();
    let by = crowd.probe(3, 10).expect("somebody is connected");
    assert!(by < 2, "{by} is of the other account");
    assert_eq!(crowd.probe(5, 10), None, "nobody writes there");
    let (_, message) = sent(&mut crowd, by, 1, 10).expect("it goes out");
    crowd.delivered(2, &message, 30).unwrap();
    assert_eq!(crowd.probed(), (1, 0));
    crowd.delivered(3, &message, 30).unwrap();
    assert_eq!(crowd.probed(), (1, 1));
}

#[test]
fn what_was_not_acknowledged_goes_out_again_in_its_order() {
    let mut crowd = crowd();
    crowd.members[0].connected = false;
    crowd.members[2].connected = false;
    crowd.members[3].connected = false;
    let by = std::iter::repeat_with(|| crowd.write(0, 10, 10)).find_map(|by| by).expect("in the end it is session 1");
    assert_eq!(by, 1);
    crowd.write_from(0, 0, 11, 11).expect("session 1 is connected");
    let (first, message) = sent(&mut crowd, 1, 1, 12).expect("it goes out");
    sent(&mut crowd, 1, 2, 12).expect("it goes out");
    let busy = ErrorReply { code: 113, message: String::new(), temporary: true, retry_after_ms: 0 };
    crowd.refused(1, first, &busy, 20).unwrap();
    assert!(sent(&mut crowd, 1, 1, 21).is_none(), "it pauses");
    assert_eq!(crowd.woken(21), None);
    assert_eq!(crowd.woken(20 + AGAIN_NS), Some(1));
    let (_, again) = sent(&mut crowd, 1, 1, 20 + AGAIN_NS).expect("it goes out");
    assert_eq!((&again.body, again.client_msg_id), (&message.body, message.client_msg_id));
    crowd.sent_away(1, 30 + AGAIN_NS);
    crowd.disconnected(1, 30 + AGAIN_NS);
    connect(&mut crowd, 1, 40 + AGAIN_NS);
    let bodies: Vec<_> = (0..2).map(|_| sent(&mut crowd, 1, 3, 50 + AGAIN_NS).expect("it goes out").1.body).collect();
    assert_eq!(bodies.iter().filter(|body| **body == message.body).count(), 1);
    assert!(sent(&mut crowd, 1, 3, 50 + AGAIN_NS).is_none() && crowd.waits(1));
    assert_eq!(crowd.told()["back"].open().count(), 1);
}

#[test]
fn a_session_watches_the_accounts_around_its_own_once() {
    let mut crowd = crowd();
    crowd.watch(2);
    let asked = |crowd: &mut Crowd, session| match crowd.next(session, 1)?.command {
        Command::PresenceWatch { user_ids } => Some(user_ids),
        other => panic!("{other:?}"),
    };
    assert_eq!(asked(&mut crowd, 0), Some(vec![UserId(2)]));
    assert_eq!(asked(&mut crowd, 0), None);
    assert_eq!(asked(&mut crowd, 2), Some(vec![UserId(1)]));
    crowd.answered(0, WATCH_ID, Reply::PresenceWatch { entries: Vec::new() }, 2).unwrap();
    assert_eq!(crowd.counts.watching, 1);
    crowd.disconnected(0, 3);
    connect(&mut crowd, 0, 4);
    assert_eq!((crowd.counts.watching, asked(&mut crowd, 0)), (0, Some(vec![UserId(2)])));
}
