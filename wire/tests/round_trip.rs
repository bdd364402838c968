//! Round trips: what one end encodes the other decodes, however the bytes are cut.

use proptest::collection::vec;
use proptest::prelude::*;
use wire::{
    CloseCode, Decoder, Event, FrameBuf, HEADROOM_BYTES, Opcode, Role, Rules, SharedFrame, encode_close_into,
    encode_into,
};

const RULES: Rules = Rules { role: Role::Server, message_bytes_max: 2 << 20 };

/// Decodes the pieces into events that own their payload, and the fault at the end if there is one.
fn decode(rules: &Rules, pieces: impl IntoIterator<Item = Vec<u8>>) -> Vec<String> {
    let mut decoder = Decoder::new();
    let mut said = Vec::new();
    for mut piece in pieces {
        let mut input = &mut piece[..];
        loop {
            match decoder.next(rules, &mut input) {
                Ok(Some(event)) => said.push(format!("{event:?}")),
                Ok(None) => break,
                Err(fault) => {
                    said.push(format!("{fault:?}"));
                    return said;
                }
            }
        }
    }
    said
}

/// Frames that are nearly right: legal ones with, now and then, a byte changed.
fn nearly_frames() -> impl Strategy<Value = Vec<u8>> {
    let payload = prop_oneof![
        vec(any::<u8>(), 0..20),
        "[a-zé한𐍈]{0,60}".prop_map(String::into_bytes),
        vec(Just(b'x'), 120..300),
    ];
    let frame = (any::<bool>(), prop_oneof![Just(0u8), Just(1), Just(2), Just(8), Just(9), Just(10)], payload)
        .prop_map(|(fin, opcode, payload)| {
            let mut bytes = Vec::new();
            let kind = if opcode < 8 { Opcode::Binary } else { Opcode::Ping };
            let payload = if opcode < 8 { &payload[..] } else { &payload[..payload.len().min(125)] };
            encode_into(&mut bytes, kind, payload, Some([1, 2, 3, 4]));
            bytes[0] = opcode | if fin || opcode >= 8 { 0x80 } else { 0 };
            bytes
        });
    (vec(frame, 1..12), proptest::option::weighted(0.3, (any::<prop::sample::Index>(), any::<u8>()))).prop_map(
        |(frames, damage)| {
            let mut bytes = frames.concat();
            if let Some((at, byte)) = damage {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes
        },
    )
}

proptest! {
    #[test]
    fn any_split_of_the_bytes_gives_the_same_events(bytes in nearly_frames(), cuts in vec(1usize..40, 1..40)) {
        let whole = decode(&RULES, [bytes.clone()]);
        let mut rest = &bytes[..];
        let mut pieces = Vec::new();
        for cut in cuts.iter().cycle() {
            if rest.is_empty() { break }
            let (piece, after) = rest.split_at(rest.len().min(*cut));
            pieces.push(piece.to_vec());
            rest = after;
        }
        prop_assert_eq!(decode(&RULES, pieces), whole);
    }

    #[test]
    fn any_bytes_at_all_are_events_or_a_fault(bytes in vec(any::<u8>(), 0..200)) {
        let whole = decode(&RULES, [bytes.clone()]);
        prop_assert_eq!(decode(&RULES, bytes.chunks(1).map(<[u8]>::to_vec)), whole);
    }

    #[test]
    fn a_message_goes_to_the_server_and_back(payload in vec(any::<u8>(), 0..70_000), mask in any::<[u8; 4]>()) {
        let mut there = Vec::new();
        encode_into(&mut there, Opcode::Binary, &payload, Some(mask));
        let mut input = &mut there[..];
        let Ok(Some(Event::Binary(received))) = Decoder::new().next(&RULES, &mut input) else {
            panic!("the server did not receive a binary message")
        };
        prop_assert_eq!(&received[..], &payload[..]);
        let mut back = SharedFrame::copied(Opcode::Binary, &received).as_bytes().to_vec();
        let mut input = &mut back[..];
        let rules = Rules { role: Role::Client, ..RULES };
        let event = Decoder::new().next(&rules, &mut input);
        prop_assert_eq!(event, Ok(Some(Event::Binary(payload.into()))));
    }
}

#[test]
fn an_encoder_that_left_headroom_pays_no_copy() {
    let mut bytes = vec![0xEE; HEADROOM_BYTES];
    bytes.extend_from_slice(b"hello");
    let frame = FrameBuf::from_headroom(bytes).finish(Opcode::Text);
    assert_eq!(frame.as_bytes(), b"\x81\x05hello");
    let clone = frame.clone();
    assert_eq!(clone.as_bytes().as_ptr(), frame.as_bytes().as_ptr(), "a clone shares the bytes");
}

#[test]
fn close_frames_are_cut_to_fit_at_a_character() {
    let cut = |reason: &str| {
        let mut bytes = Vec::new();
        encode_close_into(&mut bytes, Some(CloseCode::NORMAL), reason, None);
        let rules = Rules { role: Role::Client, ..RULES };
        match Decoder::new().next(&rules, &mut &mut bytes[..]) {
            Ok(Some(Event::Close { code: Some(CloseCode::NORMAL), reason })) => reason.into_owned(),
            other => panic!("no close frame but {other:?}"),
        }
    };
    assert_eq!(cut("bye"), "bye");
    assert_eq!(cut(&"a".repeat(200)), "a".repeat(123));
    assert_eq!(cut(&"한".repeat(60)), "한".repeat(41), "123 bytes are 41 characters of three");
    assert_eq!(cut(&format!("a{}", "한".repeat(60))), format!("a{}", "한".repeat(40)));
    let mut empty = Vec::new();
    encode_close_into(&mut empty, None, "no code, so no reason", None);
    assert_eq!(empty, [0x88, 0]);
}

#[test]
#[should_panic(expected = "a Ping frame of 126 bytes")]
fn a_control_frame_of_ours_is_never_too_long() {
    SharedFrame::copied(Opcode::Ping, &[0; 126]);
}
