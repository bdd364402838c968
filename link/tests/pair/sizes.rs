//! The largest frames, and the bounds that are made for them.

use std::sync::Arc;

use link::Bounds;
use schema::limits::{BATCH_ROWS_MAX, EMOJIS_OF_MESSAGE_MAX, MESH_FRAME_BYTES_MAX, NODE_LINK_UNSENT_BYTES_MAX};
use schema::mesh::{MeshBody, MeshFrame};
use schema::message::{Message, MessageKind, Tally, no_mentions};
use schema::{ChannelId, ClientMsgId, Event, EventBody, Position, Seq, Stamp, UnixMs, UserId};

use super::world::{World, frame};

/// Of a transaction whose every row is an event with every emoji.
fn hint() -> MeshFrame {
    let tally =
        Tally { emoji: "👩🏿‍❤️‍💋‍👩🏿".parse().expect("an emoji"), count: 1, mine: false };
    let message = Message {
        channel_id: ChannelId(1),
        seq: Seq(1),
        revision: 1,
        from: UserId(1),
        sent_ms: UnixMs(1),
        client_msg_id: ClientMsgId::new(UnixMs(1), 0),
        kind: MessageKind::Text,
        body: "b".into(),
        reply_to: None,
        mentions: no_mentions(),
        edited_ms: Some(UnixMs(1)),
        deleted: false,
        reactions: vec![tally; EMOJIS_OF_MESSAGE_MAX as usize].into(),
        media: Vec::new(),
    };
    let body = EventBody::Edited(Arc::new(message));
    let event = Event { position: Position::START, channel: ChannelId(1), body };
    let events = vec![event; BATCH_ROWS_MAX as usize];
    MeshFrame { body: MeshBody::Hint { stamp: Stamp::default(), events }, ..frame(0, false, 0) }
}

#[test]
fn the_largest_frames_are_below_the_limit_and_find_room_while_half_of_the_queue_is_free() {
    let hint = hint();
    let mut bytes = Vec::new();
    hint.encode(&mut bytes);
    assert!(bytes.len() > NODE_LINK_UNSENT_BYTES_MAX as usize, "{} bytes", bytes.len());
    assert!(bytes.len() <= MESH_FRAME_BYTES_MAX as usize, "{} bytes", bytes.len());

    let mut world = World::new(Bounds::default(), bytes.len() / 8);
    world.connect();
    world.flow();
    let link = &mut world.ends[0].link;
    let half = NODE_LINK_UNSENT_BYTES_MAX as usize / 2;
    let small = frame(1, false, half / 8 / 8);
    for _ in 0..7 {
        link.send(&small, 0);
    }
    assert!(link.figures().unsent_bytes <= half, "{:?}", link.figures());
    link.send(&hint, 0);
    link.send(&frame(1, false, 0), 0);
    let figures = link.figures();
    assert_eq!((figures.sent, figures.dropped), (9, 1), "all but the last: {figures:?}");
    assert!(figures.unsent_bytes <= half + MESH_FRAME_BYTES_MAX as usize, "I11: {figures:?}");
    world.flow();
    assert_eq!(world.ends[1].link.figures().received, 8);
}

#[test]
fn a_large_frame_finds_no_room_behind_more_than_half_of_the_queue() {
    let mut world = World::new(Bounds::default(), 0);
    world.connect();
    world.flow();
    let half = NODE_LINK_UNSENT_BYTES_MAX as usize / 2;
    let link = &mut world.ends[0].link;
    for words in [half / 8, half / 8 + 8, 0] {
        link.send(&frame(1, false, words), 0);
    }
    let figures = link.figures();
    assert_eq!((figures.sent, figures.dropped), (3, 1), "the second does not fit: {figures:?}");
}

#[test]
fn a_frame_beyond_the_limit_is_left_out() {
    let words = MESH_FRAME_BYTES_MAX as usize / 8;
    let mut world = World::new(Bounds::default(), words);
    world.connect();
    world.flow();
    world.send(0, 1, false, words);
    let figures = world.ends[0].link.figures();
    assert_eq!((figures.dropped, figures.unsent_bytes), (1, 0), "{figures:?}");
}
