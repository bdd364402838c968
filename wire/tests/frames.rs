//! Frames, their order and their limits: every row runs through the whole input, byte by byte, and every split in two.

use wire::{Decoder, Event, Opcode, Role, Rules, encode_into};

const SERVER: Rules = Rules { role: Role::Server, message_bytes_max: 1000 };
const CLIENT: Rules = Rules { role: Role::Client, message_bytes_max: 1000 };
const KEY: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;
const FIN: u8 = 0x80;

/// A client's frame with its first byte as given, lengths in the fewest bytes.
fn frame(first: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let mut bytes = vec![first];
    match payload.len() {
        len @ 0..=125 => bytes.push(0x80 | len as u8),
        len @ 126..=0xFFFF => {
            bytes.push(0x80 | 126);
            bytes.extend((len as u16).to_be_bytes());
        }
        len => {
            bytes.push(0x80 | 127);
            bytes.extend((len as u64).to_be_bytes());
        }
    }
    bytes.extend(KEY);
    bytes.extend(payload.iter().enumerate().map(|(i, byte)| byte ^ KEY[i % 4]));
    bytes
}

fn check(input: &[Vec<u8>], expected: &str) {
    check_by(&SERVER, input, expected);
}

fn check_by(rules: &Rules, input: &[Vec<u8>], expected: &str) {
    let bytes = input.concat();
    assert_eq!(decode(rules, &[&bytes]), expected, "whole");
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(decode(rules, &single), expected, "byte by byte");
    for cut in 0..bytes.len() {
        assert_eq!(decode(rules, &[&bytes[..cut], &bytes[cut..]]), expected, "cut at {cut} of {}", bytes.len());
    }
}

/// What the pieces decode to, one word an event, ending with a fault or with "…" if something is outstanding.
fn decode(rules: &Rules, pieces: &[&[u8]]) -> String {
    let mut decoder = Decoder::new();
    let mut said = Vec::new();
    for piece in pieces {
        let mut owned = piece.to_vec();
        let mut input = &mut owned[..];
        loop {
            match decoder.next(rules, &mut input) {
                Ok(Some(event)) => said.push(say(&event)),
                Ok(None) => break,
                Err(fault) => {
                    said.push(format!("{} {fault}", fault.close_code()));
                    return said.join(" | ");
                }
            }
        }
        assert!(input.is_empty(), "all input is consumed");
    }
    if !decoder.is_idle() {
        said.push("…".to_owned());
    }
    said.join(" | ")
}

fn say(event: &Event<'_>) -> String {
    fn bytes(bytes: &[u8]) -> String {
        if bytes.len() > 20 { format!("{} bytes", bytes.len()) } else { bytes.escape_ascii().to_string() }
    }
    match event {
        Event::Text(text) if text.len() > 20 => format!("text {} bytes", text.len()),
        Event::Text(text) => format!("text {text}"),
        Event::Binary(payload) => format!("binary {}", bytes(payload)),
        Event::Ping(payload) => format!("ping {}", bytes(payload)),
        Event::Pong(payload) => format!("pong {}", bytes(payload)),
        Event::Close { code: None, reason } => format!("close{reason}"),
        Event::Close { code: Some(code), reason } => format!("close {code} {reason}"),
    }
}

#[test]
fn whole_messages_come_out_as_they_went_in() {
    check(&[], "");
    check(&[frame(FIN | TEXT, "hello")], "text hello");
    check(&[frame(FIN | TEXT, "")], "text ");
    check(&[frame(FIN | BINARY, [0, 255])], r"binary \x00\xff");
    check(&[frame(FIN | TEXT, "안녕"), frame(FIN | TEXT, "b")], "text 안녕 | text b");
    for len in [124, 125, 126, 127, 999, 1000] {
        check(&[frame(FIN | BINARY, vec![7; len]), frame(FIN | TEXT, "b")], &format!("binary {len} bytes | text b"));
        check(&[frame(FIN | TEXT, "a".repeat(len))], &format!("text {len} bytes"));
    }
}

#[test]
fn a_message_larger_than_64_kib_has_a_length_of_eight_bytes() {
    let rules = Rules { message_bytes_max: 70_000, ..SERVER };
    let bytes = frame(FIN | BINARY, vec![7; 70_000]);
    assert_eq!(decode(&rules, &[&bytes]), "binary 70000 bytes");
    assert_eq!(decode(&rules, &bytes.chunks(2048).collect::<Vec<_>>()), "binary 70000 bytes");
}

#[test]
fn fragments_are_put_together_and_control_frames_may_come_between() {
    check(&[frame(TEXT, "a"), frame(FIN | CONTINUATION, "b")], "text ab");
    check(&[frame(TEXT, ""), frame(CONTINUATION, ""), frame(FIN | CONTINUATION, "")], "text ");
    check(
        &[frame(BINARY, "a"), frame(FIN | PING, "p"), frame(CONTINUATION, "b"), frame(FIN | CONTINUATION, "c")],
        "ping p | binary abc",
    );
    check(&[frame(TEXT, "a"), frame(FIN | PONG, ""), frame(FIN | CLOSE, "")], "pong  | close | …");
    check(&[frame(TEXT, "a")], "…");
    let four = [frame(TEXT, "a"), frame(CONTINUATION, "b"), frame(CONTINUATION, "c"), frame(FIN | CONTINUATION, "d")];
    check(&four, "text abcd");
}

#[test]
fn fragments_are_bounded_in_bytes_and_not_in_number() {
    let pieces = |number: usize, bytes: &[u8]| {
        let mut frames = vec![frame(BINARY, bytes)];
        frames.resize_with(number - 1, || frame(CONTINUATION, bytes));
        frames.push(frame(FIN | CONTINUATION, bytes));
        decode(&Rules { message_bytes_max: 2 << 20, ..SERVER }, &[&frames.concat()])
    };
    assert_eq!(pieces(65, &[7; 16]), "binary 1040 bytes");
    assert_eq!(pieces(100_000, &[]), "binary ");
    assert_eq!(pieces(512, &[7; 4096]), "binary 2097152 bytes");
    assert_eq!(pieces(513, &[7; 4096]), "1009 a message of at least 2101248 bytes, the limit is 2097152");
}

#[test]
fn a_message_of_too_many_bytes_is_1009() {
    check(&[frame(FIN | TEXT, "a".repeat(1001))], "1009 a message of at least 1001 bytes, the limit is 1000");
    check(
        &[frame(BINARY, [7; 600]), frame(CONTINUATION, [7; 401])],
        "1009 a message of at least 1001 bytes, the limit is 1000",
    );
    let header_alone = [&[FIN | BINARY, 0x80 | 127][..], &(1u64 << 40).to_be_bytes(), &KEY].concat();
    check(&[header_alone], "1009 a message of at least 1099511627776 bytes, the limit is 1000");
    let tiny = Rules { message_bytes_max: 3, ..SERVER };
    check_by(&tiny, &[frame(FIN | TEXT, "abcd")], "1009 a message of at least 4 bytes, the limit is 3");
}

#[test]
fn text_is_utf8_across_fragments_and_fails_at_the_first_wrong_byte() {
    let word = "κόσμε𐍈".as_bytes();
    for cut in 0..=word.len() {
        check(&[frame(TEXT, &word[..cut]), frame(FIN | CONTINUATION, &word[cut..])], "text κόσμε𐍈");
    }
    check(&[frame(FIN | TEXT, b"a\xFFb")], "1007 text is not UTF-8");
    check(&[frame(FIN | TEXT, b"\xED\xA0\x80")], "1007 text is not UTF-8");
    check(&[frame(FIN | TEXT, b"\xC0\xAF")], "1007 text is not UTF-8");
    check(&[frame(FIN | TEXT, b"cut\xE2\x82")], "1007 text is not UTF-8");
    check(&[frame(TEXT, b"cut\xE2\x82"), frame(FIN | CONTINUATION, b"")], "1007 text is not UTF-8");
    check(
        &[frame(TEXT, b"\xF4"), frame(FIN | PING, b""), frame(CONTINUATION, b"\x90")],
        "ping  | 1007 text is not UTF-8",
    );
    // Early: the frame announces 100 bytes, and the third that arrives is wrong.
    let mut cut = frame(FIN | TEXT, [b"ab\xFF", &[b'c'; 97][..]].concat());
    cut.truncate(2 + 4 + 3);
    check(&[cut], "1007 text is not UTF-8");
    check(&[frame(FIN | BINARY, b"\xFF\xC0")], r"binary \xff\xc0");
}

#[test]
fn what_rfc_6455_forbids_is_1002() {
    for bit in [0x40, 0x20, 0x10] {
        check(&[frame(FIN | TEXT | bit, "a")], "1002 a reserved bit is set and no extension was negotiated");
    }
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        check(&[frame(FIN | opcode, "a")], &format!("1002 opcode {opcode} is not defined"));
    }
    check(&[vec![FIN | TEXT, 1, b'a']], "1002 a client's frame is not masked");
    check(&[frame(PING, "a")], "1002 a control frame is fragmented");
    check(&[frame(CLOSE, "")], "1002 a control frame is fragmented");
    check(&[frame(FIN | PING, [b'a'; 125])], "ping 125 bytes");
    check(&[frame(FIN | PING, [b'a'; 126])], "1002 a control frame has 126 bytes of payload, the limit is 125");
    check(&[frame(FIN | CONTINUATION, "a")], "1002 a continuation frame outside of a fragmented message");
    check(&[frame(CONTINUATION, "a")], "1002 a continuation frame outside of a fragmented message");
    check(&[frame(TEXT, "a"), frame(FIN | TEXT, "b")], "1002 a new message begins inside a fragmented one");
    check(
        &[frame(TEXT, "a"), frame(FIN | CONTINUATION, "b"), frame(FIN | CONTINUATION, "c")],
        "text ab | 1002 a continuation frame outside of a fragmented message",
    );
}

#[test]
fn lengths_are_written_in_the_fewest_bytes() {
    let two = [&[FIN | TEXT, 0x80 | 126, 0, 1][..], &KEY, &[b'a' ^ KEY[0]]].concat();
    check(&[two], "1002 the frame length 1 is not encoded as RFC 6455 demands");
    let eight = [&[FIN | TEXT, 0x80 | 127][..], &300u64.to_be_bytes(), &KEY].concat();
    check(&[eight], "1002 the frame length 300 is not encoded as RFC 6455 demands");
    let top_bit = [&[FIN | TEXT, 0x80 | 127][..], &(1u64 << 63).to_be_bytes(), &KEY].concat();
    check(&[top_bit], "1002 the frame length 9223372036854775808 is not encoded as RFC 6455 demands");
}

#[test]
fn close_frames_carry_a_code_that_may_be_sent_and_a_reason_in_utf8() {
    let close = |code: u16, reason: &str| frame(FIN | CLOSE, [&code.to_be_bytes()[..], reason.as_bytes()].concat());
    check(&[frame(FIN | CLOSE, "")], "close");
    check(&[close(1000, "")], "close 1000 ");
    check(&[close(3001, "bye")], "close 3001 bye");
    check(&[close(4999, &"a".repeat(123))], &format!("close 4999 {}", "a".repeat(123)));
    check(&[frame(FIN | CLOSE, [3])], "1002 a close frame with one byte of payload");
    check(&[frame(FIN | CLOSE, b"\x03\xE8\xFF")], "1007 text is not UTF-8");
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535] {
        check(&[close(code, "")], &format!("1002 close code {code} must not be sent"));
    }
}

#[test]
fn a_client_takes_unmasked_frames_only() {
    let unmasked = |payload: &[u8]| {
        let mut bytes = Vec::new();
        encode_into(&mut bytes, Opcode::Text, payload, None);
        bytes
    };
    check_by(&CLIENT, &[unmasked(b"a"), unmasked(b"b")], "text a | text b");
    check_by(&CLIENT, &[unmasked(&[b'a'; 300])], "text 300 bytes");
    check_by(&CLIENT, &[frame(FIN | TEXT, "a")], "1002 a server's frame is masked");
}

#[test]
fn an_idle_decoder_holds_nothing() {
    let mut decoder = Decoder::new();
    assert_eq!(size_of::<Decoder>(), size_of::<usize>());
    let message = frame(FIN | BINARY, [7; 900]);
    for (piece, idle_after, held_bytes) in [(&message[..500], false, 500..2000), (&message[500..], true, 0..1)] {
        let mut owned = piece.to_vec();
        let mut input = &mut owned[..];
        while decoder.next(&SERVER, &mut input).is_ok_and(|event| event.is_some()) {}
        assert_eq!(decoder.is_idle(), idle_after);
        assert!(held_bytes.contains(&decoder.held_bytes()), "{} bytes held", decoder.held_bytes());
    }
}
