//! Round trips of frames: what is written is read again, and nothing else is.

use super::*;

fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

/// What `put` writes is one frame, and what `take` makes of its content is the same; of a part of it, nothing.
fn check<T: PartialEq + std::fmt::Debug>(
    value: &T,
    put: impl Fn(&mut Vec<u8>),
    take: impl Fn(Bytes) -> Result<T, Malformed>,
) {
    let mut frame = Vec::new();
    put(&mut frame);
    let (length, content) = frame.split_first_chunk::<4>().expect("a length");
    assert_eq!(u32::from_le_bytes(*length) as usize, content.len(), "{value:?}");
    let content = Bytes::copy_from_slice(content);
    assert_eq!(take(content.clone()).as_ref(), Ok(value));
    for len_bytes in 0..content.len() {
        assert_ne!(take(content.slice(..len_bytes)).as_ref(), Ok(value), "{len_bytes} bytes of {value:?}");
    }
    let longer = [&content[..], b"!"].concat();
    assert_ne!(take(longer.into()).as_ref(), Ok(value), "a byte more than {value:?}");
}

#[test]
fn requests_go_there_and_back() {
    let range = |reverse, snapshot| Range {
        begin: bytes("a"),
        end: bytes("bb"),
        limit_rows: 7,
        limit_bytes: u32::MAX,
        reverse,
        snapshot,
    };
    let operations = [
        Operation::ReadVersion,
        Operation::Get { key: bytes("k"), snapshot: true },
        Operation::Get { key: bytes(""), snapshot: false },
        Operation::Range(range(true, false)),
        Operation::Range(range(false, true)),
        Operation::Watch { key: bytes("k") },
        Operation::Commit,
        Operation::End,
        Operation::Unwatch { request: 9 },
    ];
    let begins = [Begin::Continue, Begin::Fresh, Begin::At(u64::MAX)];
    for (operation, begin) in operations.into_iter().zip(begins.into_iter().cycle()) {
        let request = Request { id: 1, transaction: 2, begin, writes: bytes("writes"), operation };
        check(&request, |out| request.put(out), Request::take);
    }
}

#[test]
fn replies_go_there_and_back() {
    let replies = [
        Reply::Failed(Code(1020)),
        Reply::Version(u64::MAX),
        Reply::Value(None),
        Reply::Value(Some(bytes(""))),
        Reply::Value(Some(bytes("value"))),
        Reply::Rows(Vec::new(), false),
        Reply::Rows(vec![(bytes("a"), bytes("")), (bytes("b"), bytes("2"))], true),
        Reply::Done,
        Reply::Committed(3, Stamp([7; STAMP_BYTES])),
    ];
    for reply in replies {
        let (id, reply) = &(5, reply);
        let mut frame = Vec::new();
        reply.put(*id, &mut frame);
        let content = Bytes::copy_from_slice(&frame[4..]);
        assert_eq!(Reply::take(content.clone()).as_ref().map(|(id, reply)| (id, reply)), Ok((id, reply)));
        for len_bytes in 0..content.len() {
            let found = Reply::take(content.slice(..len_bytes));
            // A page may end after any of its rows.
            let is_page = matches!((reply, &found), (Reply::Rows(all, _), Ok((_, Reply::Rows(rows, _)))) if rows.len() < all.len());
            assert!(found.is_err() || is_page, "{len_bytes} bytes of {reply:?}: {found:?}");
        }
    }
}

#[test]
fn writes_keep_their_order() {
    let writes = [
        Write::Set(bytes("k"), bytes("v")),
        Write::Clear(bytes("k")),
        Write::ClearRange(bytes("a"), bytes("b")),
        Write::Add(bytes("k"), bytes("1")),
        Write::Max(bytes("k"), bytes("2")),
        Write::StampedKey(bytes("p"), bytes(""), bytes("v")),
        Write::StampedValue(bytes("k"), bytes("p"), bytes("s")),
        Write::Reads(bytes("a"), bytes("b")),
    ];
    let mut out = Vec::new();
    writes.iter().for_each(|write| write.put(&mut out));
    let mut rest = Bytes::from(out);
    for write in writes {
        assert_eq!(Write::take(&mut rest), Ok(Some(write)));
    }
    assert_eq!(Write::take(&mut rest), Ok(None));
    assert!(Write::take(&mut bytes("\u{63}")).is_err(), "no such write");
    assert!(Write::take(&mut bytes("\u{1}\u{1}")).is_err(), "a length that is cut");
}
