//! Frames of clients and shards: the strategies that no declaration of a table gives.

use proptest::prelude::*;

use super::{Any, any_fields, any_value, any_variants};
use crate::command::{HistoryWindow, Request, ServerFrame};
use crate::mesh::{Feed, FeedStart, Kicked, MeshBody, MeshFrame};
use crate::message::{Message, MessageKind};
use crate::page::SessionStart;

any_fields! { Request { id, command } }
any_fields! { Feed { channel, events } }
any_fields! { FeedStart { head_seq, open } }
any_fields! { SessionStart { cursor, stamp } }
any_variants! { ServerFrame { Reply { id reply } Push { (push) } } }
any_variants! { HistoryWindow { Newest {} Before { (seq) } After { (seq) } Around { (seq) } } }
any_variants! { Kicked { Device { (device) } Family { (family) } } }

/// Its kind is what its media tell.
impl Any for Message {
    fn any() -> BoxedStrategy<Self> {
        let names = (any_value(), any_value());
        let numbers = (any_value(), any_value(), any_value(), any_value(), any_value(), names);
        let texts = (any_value(), any_value(), any_value(), any_value(), any_value(), any_value());
        (numbers, texts)
            .prop_map(
                |(numbers, (body, mentions, edited_ms, deleted, reactions, media)): (_, (_, _, _, _, _, Vec<_>))| {
                    let (channel_id, seq, revision, from, sent_ms, (client_msg_id, reply_to)) = numbers;
                    let kind = MessageKind::Text.with(&media);
                    Self {
                        channel_id,
                        seq,
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
                        reactions,
                        media,
                    }
                },
            )
            .boxed()
    }
}

/// Frames with any body, whose targets name events of their delivery, in its order.
pub(crate) fn mesh_frames() -> impl Strategy<Value = MeshFrame> {
    any_value::<MeshFrame>().prop_map(|mut frame| {
        if let MeshBody::Deliver { events, targets } = &mut frame.body {
            for target in targets {
                target.events.retain(|&event| usize::from(event) < events.len());
                target.events.sort_unstable();
            }
        }
        frame
    })
}
