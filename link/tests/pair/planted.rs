//! Bugs planted from outside are seen: records are changed between two ends that ship as they are.

use link::record::Record;
use schema::mesh::MeshFrame;

use super::cuts::history;
use super::judge::judge_frames;
use super::world::{End, World};

/// Among the promises that such histories break is this one.
fn check(plant: impl Fn(&mut World), expected: &str) {
    let broken: Vec<String> = (0..40).filter_map(|seed| judge_frames(&history(seed, &plant)).err()).collect();
    assert!(broken.iter().any(|broken| broken.contains(expected)), "{broken:?} should say {expected:?}");
}

/// `LinkForgetsAFrameThatMustArrive`: a record of one is left out, and nobody is told more than of a gap.
fn forget(end: &mut End) {
    let mut frames = 0;
    end.tamper = Some(Box::new(move |record, out| {
        if let Record::Frame { frame, .. } = record
            && MeshFrame::decode(frame).is_ok_and(|frame| frame.body.must_arrive())
        {
            frames += 1;
            if frames % 10 == 0 {
                return;
            }
        }
        record.put(out);
    }));
}

/// `ResendWithoutSequence`: nothing counts as received, so that all is sent again on each connection, with numbers
/// that are new to the receiver.
fn renumber(end: &mut End) {
    let mut last = 0;
    end.tamper = Some(Box::new(move |record, out| match record {
        Record::Resume { birth, generation, .. } => {
            Record::Resume { birth, generation, received_through: 0 }.put(out);
        }
        Record::Frame { version, frame, .. } => {
            last += 1;
            Record::Frame { seq: last, version, frame }.put(out);
        }
        Record::Beat { skipped, .. } => Record::Beat { sent_through: 0, received_through: 0, skipped }.put(out),
    }));
}

#[test]
fn a_link_that_forgets_a_frame_that_must_arrive_is_seen() {
    check(|world| forget(&mut world.ends[0]), "was not told that");
}

#[test]
fn a_link_that_sends_again_without_numbers_is_seen() {
    check(|world| world.ends.iter_mut().for_each(renumber), "twice or out of order");
}
