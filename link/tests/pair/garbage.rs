//! Bytes that are no records: an error, never a panic, never memory without bound.

use fastrand::Rng;
use link::record::{RECORD_BYTES_MAX, Record};
use link::{Bounds, Link, LinkError, LinkEvent, LinkName};
use schema::{Incarnation, Instant};

use super::world::frame;

const NOW: Instant = Instant(1_000);

fn end() -> Link {
    let name = LinkName { me: Incarnation(1), peer: Incarnation(2), link: 0 };
    let mut link = Link::new(NOW, name, Bounds { unsent_bytes_max: 4_096, resend_bytes_max: 4_096 });
    link.connected(NOW);
    link
}

fn bytes(records: &[Record<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    records.iter().for_each(|record| record.put(&mut bytes));
    bytes
}

const RESUME: Record<'_> = Record::Resume { birth: 5, generation: 1, received_through: 0 };
const BEAT: Record<'_> = Record::Beat { sent_through: 0, received_through: 0, skipped: 0 };

/// What a link says to bytes, at once and byte by byte.
fn check(bytes: &[u8], expected: &str) {
    for piece_bytes in [bytes.len(), 1] {
        let mut link = end();
        let result = bytes.chunks(piece_bytes).try_for_each(|piece| link.received(NOW, piece));
        let result_is_ok = result.is_ok();
        let is_lost =
            std::iter::from_fn(|| link.poll_event()).any(|event| event == LinkEvent::PeerLost { generation: 2 });
        let is_connected = link.poll_timeout().is_some();
        let said = match result {
            Ok(()) if is_lost => "afresh".to_owned(),
            Ok(()) => "fine".to_owned(),
            Err(fault) => fault.to_string(),
        };
        assert_eq!(said, expected, "by {piece_bytes}");
        assert_eq!(is_connected, result_is_ok, "only an error ends the connection: {said}");
        assert!(is_lost || is_connected, "an error is a new beginning: {said}");
    }
}

#[test]
fn what_is_no_record_says_why() {
    check(&bytes(&[RESUME, BEAT]), "fine");
    check(&bytes(&[BEAT]), "a record came before the one that says where to resume");
    check(&bytes(&[RESUME, RESUME]), "generation 1 is resumed after generation 1, or cannot be");
    let endless = Record::Resume { birth: 5, generation: u64::MAX, received_through: 0 };
    check(&bytes(&[endless]), "generation 18446744073709551615 is resumed after generation 0, or cannot be");
    check(
        &bytes(&[RESUME, Record::Beat { sent_through: 0, received_through: 1, skipped: 0 }]),
        "frames up to 1 are acknowledged, 0 have been sent",
    );
    check(&bytes(&[RESUME, Record::Frame { seq: 1, version: 0, frame: b"none" }]), "frame 1 cannot be read");
    check(&[0; 4], &format!("a record of 0 bytes is announced, from 1 to {} are possible", RECORD_BYTES_MAX - 4));
    let most = u32::try_from(RECORD_BYTES_MAX - 4).expect("fits");
    check(
        &(most + 1).to_le_bytes(),
        &format!("a record of {} bytes is announced, from 1 to {most} are possible", most + 1),
    );
    check(&most.to_le_bytes(), "fine");
    check(&[1, 0, 0, 0, 9], "a record of kind 9 is not known to this version");
    check(&[2, 0, 0, 0, 1, 0], "a record of kind 1 has 1 bytes");
    check(&[2, 0, 0, 0, 2, 0], "a record of kind 2 has 1 bytes");
    let mut long = bytes(&[BEAT]);
    long[0] += 1;
    long.push(0);
    check(&long, "a record of kind 3 has 25 bytes");
}

#[test]
fn numbers_that_end_the_count_are_survived() {
    let mut last = Vec::new();
    frame(1, true, 0).encode(&mut last);
    let ends = [
        Record::Frame { seq: u64::MAX, version: u64::MAX, frame: &last },
        Record::Frame { seq: u64::MAX, version: 0, frame: &last },
        Record::Beat { sent_through: u64::MAX, received_through: 0, skipped: u64::MAX },
    ];
    check(&bytes(&[&[RESUME][..], &ends].concat()), "fine");
    check(&bytes(&[Record::Resume { birth: 1, generation: 1, received_through: u64::MAX }]), "afresh");
}

/// Feeds bytes in random pieces, and goes on with the link as its driver would. Whatever it says, it holds its bounds.
fn survive(rng: &mut Rng, mut input: &[u8]) -> Option<LinkError> {
    let mut link = end();
    link.send(&frame(1, true, 0), 0);
    let mut fault = None;
    while !input.is_empty() && fault.is_none() {
        let (piece, rest) = input.split_at(rng.usize(1..=input.len()));
        input = rest;
        fault = link.received(NOW, piece).err();
        while link.poll_event().is_some() {}
        let mut out = Vec::new();
        link.transmit(&mut out);
        link.written(out.len());
    }
    link.connected(NOW);
    let figures = link.figures();
    assert!(figures.resend_bytes <= 4_096 && figures.unsent_bytes <= 4_096, "{figures:?}");
    // A peer that follows. The second time it is in this end's generation, should its birth have come as another.
    for _ in 0..2 {
        let generation = link.figures().generation + u64::from(!link.figures().is_open);
        let resume = bytes(&[Record::Resume { birth: 5, generation, received_through: 0 }]);
        if !link.figures().is_open {
            link.received(NOW, &resume).expect("the next connection is a new one");
        }
    }
    assert!(link.figures().is_open, "{:?}", link.figures());
    fault
}

#[test]
fn random_bytes_and_changed_streams_are_survived() {
    let mut rng = Rng::with_seed(7);
    let mut peer = end();
    for number in 1..6 {
        peer.send(&frame(number, number % 2 == 0, 3), number);
    }
    peer.received(NOW, &bytes(&[RESUME])).expect("a resume");
    for number in 6..12 {
        peer.send(&frame(number, number % 2 == 0, 3), number);
    }
    let mut stream = Vec::new();
    peer.transmit(&mut stream);
    assert_eq!(survive(&mut rng, &stream), None, "as it was sent");

    let mut faults = 0;
    for cut in 0..stream.len() {
        assert_eq!(survive(&mut rng, &stream[..cut]), None, "cut at {cut}");
        for bit in 0..8 {
            let mut flipped = stream.clone();
            flipped[cut] ^= 1 << bit;
            faults += u32::from(survive(&mut rng, &flipped).is_some());
        }
        let noise: Vec<u8> = (0..rng.usize(1..200)).map(|_| rng.u8(..)).collect();
        survive(&mut rng, &[&stream[..cut], &noise].concat());
        let other = rng.usize(0..stream.len());
        survive(&mut rng, &[&stream[..cut], &stream[other..]].concat());
    }
    assert!(faults > 100, "{faults} flipped bits were noticed");
    for _ in 0..2_000 {
        let noise: Vec<u8> = (0..rng.usize(1..100)).map(|_| if rng.bool() { 0 } else { rng.u8(..) }).collect();
        survive(&mut rng, &noise);
    }
}
