//! Frames that are none say why, and the largest legal ones are read.

use std::sync::Arc;

use super::*;
use crate::generated::rookery::mesh as fb;
use crate::id::ClientMsgId;
use crate::limits::EMOJIS_OF_MESSAGE_MAX;
use crate::message::{Message, MessageKind, Tally, no_mentions};
use crate::time::UnixMs;

/// Why a frame's bytes are none.
fn check(bytes: &[u8], expected: &str) {
    let error = MeshFrame::decode(bytes).expect_err(expected);
    let text = error.to_string();
    assert!(text.contains(expected), "{text:?} should say {expected:?}");
}

fn raw(body_type: fb::MeshBody, build: impl FnOnce(&mut crate::flat::Builder) -> u32) -> Vec<u8> {
    crate::flat::with_builder(|builder| {
        let body = Some(flatbuffers::WIPOffset::new(build(builder)));
        let from = fb::Owner::new(1, 2);
        let root = fb::MeshFrame::create(
            builder,
            &fb::MeshFrameArgs { from: Some(&from), to: Some(&from), epoch: 3, body_type, body },
        );
        builder.finish_minimal(root);
        builder.finished_data().to_vec()
    })
}

#[test]
fn a_frame_that_is_none_says_why() {
    check(&[], "damaged");
    check(&[0; 64], "damaged");
    let replaced =
        |builder: &mut crate::flat::Builder| fb::Replaced::create(builder, &fb::ReplacedArgs { session: 1 }).value();
    check(&raw(fb::MeshBody(99), replaced), "MeshBody number 99");
    check(&raw(fb::MeshBody::NONE, replaced), "Exactly one of union discriminant");
    check(
        &raw(fb::MeshBody::registered, |builder| {
            fb::Registered::create(builder, &fb::RegisteredArgs { session: 1, ..fb::RegisteredArgs::default() }).value()
        }),
        "neither a cursor with its stamp nor refused",
    );
    check(
        &raw(fb::MeshBody::deliver, |builder| {
            let (start, events) = (fb::Position::new(0, 0, 0), builder.create_vector(&[0_u16]));
            let (after, through) = (Some(&start), Some(&start));
            let target =
                fb::Target::create(builder, &fb::TargetArgs { session: 1, after, through, events: Some(events) });
            let targets = Some(builder.create_vector(&[target]));
            fb::Deliver::create(builder, &fb::DeliverArgs { events: None, targets }).value()
        }),
        "the indices [0] do not ascend within 0 events",
    );
    check(
        &raw(fb::MeshBody::applied, |builder| {
            let message = Some(builder.create_string(""));
            let refused = fb::Refusal::create(builder, &fb::RefusalArgs { code: 105, message, retry_after_ms: 0 });
            let result = Some(refused.as_union_value());
            let (ticket, attempt, result_type) = (1, 0, fb::OpResult::refused);
            let fields = fb::AppliedArgs { ticket, attempt, result_type, result };
            fb::Applied::create(builder, &fields).value()
        }),
        "error code number 105",
    );
}

#[test]
fn a_full_batch_fits_in_a_hint() {
    let check = |body: EventBody| {
        let event = Event { position: Position::START, channel: ChannelId(1), body };
        let events = vec![event; crate::limits::BATCH_ROWS_MAX as usize];
        let frame = MeshFrame {
            from: Owner::default(),
            to: Owner::default(),
            epoch: Epoch(1),
            body: MeshBody::Hint { stamp: Stamp::default(), events },
        };
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        // Not assert_eq, which would print both.
        assert!(MeshFrame::decode(&bytes).is_ok_and(|decoded| decoded == frame), "{} bytes", bytes.len());
    };
    check(EventBody::Read { user: UserId(1), read_seq: Seq(1) });
    let tally = Tally { emoji: "👍".parse().expect("an emoji"), count: 1, mine: false };
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
    check(EventBody::Edited(Arc::new(message)));
}
