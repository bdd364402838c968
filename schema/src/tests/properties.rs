//! Property tests of the encodings: values survive them, and damaged bytes neither panic nor pass for other values.

use std::fmt::Debug;

use proptest::prelude::*;
use proptest::sample::Index;

use crate::codec::Encoding;
use crate::command::{Request, ServerFrame};
use crate::mesh::MeshFrame;
use crate::testing::{any_value, mesh_frames};

/// A change of valid bytes: set one byte, cut the end off, double a stretch, or zero four.
#[derive(Debug, Clone)]
enum Damage {
    Set(Index, u8),
    Flip(Index, u8),
    Cut(Index),
    Double(Index),
    Zero(Index),
}

fn damages() -> impl Strategy<Value = Vec<Damage>> {
    let damage = prop_oneof![
        4 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        4 => (any::<Index>(), 0..8_u8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        1 => any::<Index>().prop_map(Damage::Cut),
        1 => any::<Index>().prop_map(Damage::Double),
        1 => any::<Index>().prop_map(Damage::Zero),
    ];
    proptest::collection::vec(damage, 1..5)
}

fn damaged(mut bytes: Vec<u8>, damages: &[Damage]) -> Vec<u8> {
    for damage in damages {
        if bytes.is_empty() {
            break;
        }
        let length = bytes.len();
        match damage {
            Damage::Set(at, byte) => bytes[at.index(length)] = *byte,
            Damage::Flip(at, bit) => bytes[at.index(length)] ^= 1 << bit,
            Damage::Cut(at) => bytes.truncate(at.index(length)),
            Damage::Double(at) => bytes.extend_from_within(at.index(length)..),
            Damage::Zero(at) => {
                let from = at.index(length);
                bytes[from..length.min(from + 4)].fill(0);
            }
        }
    }
    bytes
}

/// What decodes from damaged bytes is a legal value: it encodes, and to what decodes to the same.
fn check_damaged<T: PartialEq + Debug>(
    bytes: &[u8],
    decode: impl Fn(&[u8]) -> Option<T>,
    encode: impl Fn(&T) -> Vec<u8>,
) -> Result<(), TestCaseError> {
    if let Some(value) = decode(bytes) {
        let again = decode(&encode(&value));
        prop_assert_eq!(again, Some(value));
    }
    Ok(())
}

fn encoded_requests(encoding: Encoding, requests: &[Request]) -> Vec<u8> {
    let mut frame = Vec::new();
    for request in requests {
        if encoding.is_text() && !frame.is_empty() {
            frame.push(b'\n');
        }
        encoding.put_request(request, &mut frame);
    }
    frame
}

fn encoded_server_frames(encoding: Encoding, frames: &[ServerFrame]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for frame in frames {
        if encoding.is_text() && !bytes.is_empty() {
            bytes.push(b'\n');
        }
        encoding.put_server_frame(frame, &mut bytes);
    }
    bytes
}

fn mesh_bytes(frame: &MeshFrame) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame.encode(&mut bytes);
    bytes
}

proptest! {
    #[test]
    fn requests_survive_both_encodings(requests in proptest::collection::vec(any_value::<Request>(), 0..4)) {
        for encoding in Encoding::ALL {
            let frame = encoded_requests(encoding, &requests);
            let decoded: Result<Vec<Request>, _> = encoding.requests(&frame).collect();
            prop_assert_eq!(decoded.as_ref(), Ok(&requests), "{:?}", encoding);
        }
    }

    #[test]
    fn server_frames_survive_both_encodings(frames in proptest::collection::vec(any_value::<ServerFrame>(), 0..4)) {
        for encoding in Encoding::ALL {
            let bytes = encoded_server_frames(encoding, &frames);
            let decoded = encoding.server_frames(&bytes);
            prop_assert_eq!(decoded.as_ref(), Ok(&frames), "{:?}", encoding);
        }
    }

    #[test]
    fn mesh_frames_survive(frame in mesh_frames()) {
        prop_assert_eq!(MeshFrame::decode(&mesh_bytes(&frame)), Ok(frame));
    }

    #[test]
    fn what_a_waiting_mesh_frame_holds_is_near_its_encoded_size(frame in mesh_frames()) {
        let (held, encoded) = (frame.held_bytes(), mesh_bytes(&frame).len());
        prop_assert!(held + 256 >= encoded / 3 && held <= 4 * encoded + 256, "{} held, {} encoded: {:?}", held, encoded, frame);
    }

    #[test]
    fn damaged_requests_are_refused_or_legal(
        requests in proptest::collection::vec(any_value::<Request>(), 1..3),
        damages in damages(),
    ) {
        for encoding in Encoding::ALL {
            let frame = damaged(encoded_requests(encoding, &requests), &damages);
            let decode = |frame: &[u8]| -> Option<Vec<Request>> {
                // Every envelope is read, also behind one that is refused, as a session does.
                let all: Vec<_> = encoding.requests(frame).collect();
                all.into_iter().collect::<Result<_, _>>().ok()
            };
            check_damaged(&frame, decode, |requests| encoded_requests(encoding, requests))?;
        }
    }

    #[test]
    fn damaged_server_frames_are_refused_or_legal(frame in any_value::<ServerFrame>(), damages in damages()) {
        for encoding in Encoding::ALL {
            let bytes = damaged(encoded_server_frames(encoding, std::slice::from_ref(&frame)), &damages);
            let decode = |bytes: &[u8]| encoding.server_frames(bytes).ok();
            check_damaged(&bytes, decode, |frames| encoded_server_frames(encoding, frames))?;
        }
    }

    #[test]
    fn damaged_mesh_frames_are_refused_or_legal(frame in mesh_frames(), damages in damages()) {
        let bytes = damaged(mesh_bytes(&frame), &damages);
        check_damaged(&bytes, |bytes| MeshFrame::decode(bytes).ok(), mesh_bytes)?;
    }

    #[test]
    fn noise_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for encoding in Encoding::ALL {
            let _ = encoding.requests(&bytes).count();
            let _ = encoding.server_frames(&bytes);
        }
        let _ = MeshFrame::decode(&bytes);
    }
}

macro_rules! records {
    ($($record:ident)*) => {pastey::paste! {
        proptest! {$(
            #[test]
            fn [<any_ $record:snake _survives>](record in any_value::<crate::record::$record>()) {
                prop_assert_eq!(crate::record::$record::decode(&record.encode()), Ok(record));
            }

            #[test]
            fn [<a_damaged_ $record:snake _is_refused_or_legal>](
                record in any_value::<crate::record::$record>(),
                damages in damages(),
            ) {
                let bytes = damaged(record.encode(), &damages);
                check_damaged(&bytes, |bytes| crate::record::$record::decode(bytes).ok(), crate::record::$record::encode)?;
            }
        )*}
    }};
}

super::with_all_records!(records);
