//! A client's frame, from the bytes of the socket to a command.

use std::hint::black_box;

use schema::command;
use schema::message::no_mentions;
use schema::{ChannelId, ClientMsgId, Command, Encoding, MessageKind, Request, UnixMs};
use wire::{Decoder, Event, Opcode, Role, Rules, encode_into};

const RULES: Rules = Rules { role: Role::Server, message_bytes_max: 1 << 20 };
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

pub(crate) fn run(encoding: Encoding, rounds: u32) {
    let send = command::Send {
        channel_id: ChannelId(7_211_998_877_665_544),
        client_msg_id: ClientMsgId::new(UnixMs(1_767_225_600_000), 0x1234_5678_9abc_def0),
        body: "a text of some hundred bytes, as people write them: 한 문장, and then \"another\" one behind it".into(),
        reply_to: None,
        mentions: no_mentions(),
        kind: MessageKind::Text,
        media: Vec::new(),
    };
    let mut payload = Vec::new();
    encoding.put_request(&Request { id: 41, command: Command::Send(send) }, &mut payload);
    let opcode = if encoding.is_text() { Opcode::Text } else { Opcode::Binary };
    let mut sent = Vec::new();
    encode_into(&mut sent, opcode, &payload, Some(MASK));
    let mut decoder = Decoder::new();
    let mut received = sent.clone();
    for _ in 0..rounds {
        // It is unmasked in place.
        received.copy_from_slice(&sent);
        let mut input = &mut received[..];
        let event = decoder.next(&RULES, &mut input).expect("a frame of ours").expect("a whole one");
        let payload = match &event {
            Event::Text(text) => text.as_bytes(),
            Event::Binary(bytes) => bytes,
            Event::Ping(_) | Event::Pong(_) | Event::Close { .. } => unreachable!("a message was sent"),
        };
        let mut commands = 0;
        for request in encoding.requests(payload) {
            black_box(request.expect("a send"));
            commands += 1;
        }
        assert_eq!(commands, 1, "of one frame");
    }
}
