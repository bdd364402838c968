//! Frames: bytes in any pieces to frames, and back.

use proptest::prelude::*;
use stomp::{Decoder, Frame, Verb, Version};

/// Frames that bytes are taken for, `;` between them: `VERB name=value … |body`, and at the end `…` if a frame is not whole, or
/// `!` and why nothing more can be read. `^` is NUL. However the bytes are cut, the same comes of them.
fn check(version: Version, bytes: &str, expected: &str) {
    let bytes = bytes.replace('^', "\0").into_bytes();
    for piece in [bytes.len().max(1), 1, 3] {
        let mut decoder = Decoder::default();
        let mut seen = Vec::new();
        'bytes: for piece in bytes.chunks(piece) {
            decoder.take(piece);
            loop {
                match decoder.next(version) {
                    Ok(Some(frame)) => seen.push(shown(&frame)),
                    Ok(None) => break,
                    Err(fault) => {
                        seen.push(format!("!{fault}"));
                        break 'bytes;
                    }
                }
            }
        }
        if seen.last().is_none_or(|last| !last.starts_with('!')) && decoder.is_amid_frame() {
            seen.push("…".to_owned());
        }
        assert_eq!(seen.join("; "), expected, "{version:?} {bytes:?} in pieces of {piece}");
    }
}

fn shown(frame: &Frame) -> String {
    let headers = frame.headers.iter().map(|(name, value)| format!(" {name}={value}"));
    format!("{}{} |{}", frame.verb.text(), headers.collect::<String>(), String::from_utf8_lossy(&frame.body))
}

fn check_all(bytes: &str, expected: &str) {
    for version in Version::ALL {
        check(version, bytes, expected);
    }
}

#[test]
fn several_frames_come_in_one_message_and_one_in_several() {
    check_all("", "");
    check_all("\n\r\n\n", "");
    check_all("BEGIN\ntransaction:a\n\n^", "BEGIN transaction=a |");
    check_all("BEGIN\ntransaction:a\n\n^\nABORT\ntransaction:a\n\n^\n", "BEGIN transaction=a |; ABORT transaction=a |");
    check_all("SEND\ndestination:/a\n\nbo\n\ndy^", "SEND destination=/a |bo\n\ndy");
    check_all("SEND\ndestination:/a\n\nbo", "…");
    check_all("SEND\ndesti", "…");
    check_all("\nSEND\na:b\n\nx^SEND\na:c\n", "SEND a=b |x; …");
}

#[test]
fn lines_end_in_lf_or_crlf() {
    check_all("SEND\r\ndestination:/a\r\n\r\nx\r\n^\r\n", "SEND destination=/a |x\r\n");
    check_all("\r\nBEGIN\r\n\r\n^", "BEGIN |");
}

#[test]
fn a_body_has_the_length_that_its_frame_says() {
    check_all("SEND\ncontent-length:3\n\na^b^", "SEND |a\0b");
    check_all("SEND\ncontent-length:1\n\na^", "SEND |a");
    check_all("SEND\ncontent-length:1\ncontent-length:9\n\na^", "SEND |a");
    check_all("SEND\ncontent-length:2\n\na^", "…");
    check_all("SEND\ncontent-length:2\n\na^SEND\n", "!no NUL behind the 2 bytes of the body");
    check_all("SEND\ncontent-length:1\n\nab", "!no NUL behind the 1 bytes of the body");
    check_all("SEND\ncontent-length:x\n\nab", "!content-length is no number of bytes");
    check_all("SEND\ncontent-length:-1\n\nab", "!content-length is no number of bytes");
    check_all("SEND\ncontent-length:99999999\n\nab", "!the frame is longer than 2097152 bytes");
    check_all("SUBSCRIBE\nid:1\n\nab^", "!a SUBSCRIBE frame has no body");
}

#[test]
fn each_version_has_its_escapes() {
    check(Version::V10, "SEND\na: b\\n:c \n\n^", "SEND a=b\\n:c |");
    check(Version::V11, "SEND\na: b\\n\\c\\\\ \n\n^", "SEND a= b\n:\\  |");
    check(Version::V11, "SEND\na:\\r\n\n^", "!the header \"a:\\\\r\" has an escape that its version does not know");
    check(Version::V12, "SEND\na\\cb:\\r\\n\n\n^", "SEND a:b=\r\n |");
    check(Version::V12, "SEND\na:\\t\n\n^", "!the header \"a:\\\\t\" has an escape that its version does not know");
    check(Version::V12, "SEND\na:b\\\n\n^", "!the header \"a:b\\\\\" has an escape that its version does not know");
    check(Version::V12, "CONNECT\npasscode:a\\tb\n\n^", "CONNECT passcode=a\\tb |");
    check(Version::V10, "STOMP\npasscode:a\\cb\n\n^", "STOMP passcode=a:b |");
}

#[test]
fn what_is_no_frame_is_said() {
    check_all("send\n\n^", "!unknown command \"send\"");
    check_all("SEND\nnocolon\n\n^", "!the header \"nocolon\" has no name, or no colon");
    check_all("SEND\n:value\n\n^", "!the header \":value\" has no name, or no colon");
    check_all("SEND\ndestination:/a^", "!NUL before the blank line that ends the headers");
    check_all(&format!("{}\n\n^", "x".repeat(99)), &format!("!unknown command \"{}\"", "x".repeat(32)));
    check_all(&format!("SEND\n{}\n^", "a:b\n".repeat(65)), "!more than 64 headers");
    check_all(&format!("SEND\na:{}", "b".repeat(1_000_000)), "!the headers are longer than 16384 bytes");
}

#[test]
fn headers_are_utf_8_and_the_first_of_a_name_counts() {
    let mut decoder = Decoder::default();
    decoder.take(b"SEND\na:\xff\n\n\0");
    assert!(decoder.next(Version::V12).is_err());
    decoder = Decoder::default();
    decoder.take(b"SEND\na:1\na:2\n\n\0");
    let frame = decoder.next(Version::V12).expect("a frame").expect("it is whole");
    assert_eq!((frame.header("a"), frame.header("b")), (Some("1"), None));
}

#[test]
fn a_frame_has_an_end() {
    let mut decoder = Decoder::default();
    decoder.take(b"SEND\n\n");
    for _ in 0..32 {
        assert_eq!(decoder.next(Version::V12), Ok(None));
        decoder.take(&[b'x'; 64 * 1024]);
    }
    assert_eq!(decoder.next(Version::V12), Ok(None));
    decoder.take(b"x");
    assert!(decoder.next(Version::V12).is_err());
}

#[test]
fn nothing_is_kept_between_frames() {
    let mut decoder = Decoder::default();
    decoder.take(b"BEGIN\ntransaction:a\n\n\0\n");
    while decoder.next(Version::V12).expect("frames").is_some() {}
    assert_eq!((decoder.held_bytes(), decoder.is_amid_frame()), (0, false));
}

/// A frame that the version can write. Without escapes a name has no colon, no text a line's end, and blanks around it go.
fn any_frame(version: Version) -> impl Strategy<Value = Frame> {
    let verbs = prop::sample::select(Verb::ALL.to_vec());
    (verbs, prop::collection::vec((".{1,8}", ".{0,20}"), 0..8), any::<Vec<u8>>()).prop_map(
        move |(verb, headers, body)| {
            let is_plain = matches!(verb, Verb::Connect | Verb::Connected) || version == Version::V10;
            let is_plain = is_plain && verb != Verb::Stomp;
            let has_cr = !is_plain && (version == Version::V12 || verb == Verb::Stomp);
            let text = |text: String, is_name: bool| -> String {
                let kept = text.chars().filter(|&c| match c {
                    '\0' => false,
                    '\r' => has_cr,
                    '\n' => !is_plain,
                    ':' => !is_plain || !is_name,
                    _ => true,
                });
                let kept: String = kept.collect();
                if is_plain { kept.trim().to_owned() } else { kept }
            };
            let headers = headers
                .into_iter()
                .map(|(name, value)| (format!("n{}", text(name, true)), text(value, false)))
                .collect();
            let has_body = matches!(verb, Verb::Send | Verb::Message | Verb::Error);
            Frame { verb, headers, body: if has_body { body } else { Vec::new() } }
        },
    )
}

fn any_frames() -> impl Strategy<Value = (Version, Vec<Frame>)> {
    let versions = prop::sample::select(Version::ALL.to_vec());
    versions.prop_flat_map(|version| (Just(version), prop::collection::vec(any_frame(version), 1..4)))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read((version, frames) in any_frames(), piece in 1..50_usize) {
        let bytes: Vec<u8> = frames.iter().flat_map(|frame| frame.to_bytes(version)).collect();
        let mut decoder = Decoder::default();
        let mut read = Vec::new();
        for piece in bytes.chunks(piece) {
            decoder.take(piece);
            while let Some(frame) = decoder.next(version).expect("a frame") {
                read.push(frame);
            }
        }
        prop_assert_eq!(read, frames);
    }

    #[test]
    fn no_bytes_panic(
        version in prop::sample::select(Version::ALL.to_vec()),
        bytes in any::<Vec<u8>>(),
        piece in 1..50_usize,
    ) {
        let mut decoder = Decoder::default();
        for piece in bytes.chunks(piece) {
            decoder.take(piece);
            loop {
                match decoder.next(version) {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(_) => decoder = Decoder::default(),
                }
            }
        }
    }
}
