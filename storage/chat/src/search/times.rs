//! Times of a segment's messages, in few bits.
//!
//! Owns when which message was sent, as far as a search wants to know before it reads the message: of each, or of
//! [`TIMES_MAX`] evenly spread, rounded down to a power of two of milliseconds that is a small part of the time between
//! two. So the newest hits before a time are read, and few others; without it each channel had a message read only to
//! learn that it is older than those. Rounding goes down to multiples from the epoch on, so that what was rounded to a
//! lower power before, in a segment that is taken in, comes out the same. Read where it is needed alone: a search sees
//! many segments, and asks few of them.

use bytes::Bytes;
use schema::record::RecordError;
use schema::{Seq, UnixMs};

use super::bits::{BitReader, BitWriter, order_of};
use crate::fields::{Reader, Writer};

/// Times that are kept of a segment: at some 8 bits each of 512 messages 500 bytes, of more messages up to 700. A segment
/// of 512 messages takes 17 KB.
const TIMES_MAX: usize = 512;
/// Part of the mean time between two messages to which times are rounded, as a power of two: a sixteenth takes 6 bits.
const FINENESS: u32 = 4;
/// Messages up to which times are rounded to a quarter of that, since what a segment takes in stays as coarse as it was
/// where it came from.
const FINE_MESSAGES: usize = 64;
const FINE_FINENESS: u32 = 6;

/// When the messages of a segment were sent. In a channel no message was sent before an older one, so each time bounds
/// those of all on either side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Times {
    first: (Seq, UnixMs),
    last: (Seq, UnixMs),
    count: u32,
    /// Times are rounded down to multiples of `2^shift` milliseconds.
    shift: u32,
    bits: Bytes,
}

/// Times in the making.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Sent {
    /// In any order, and perhaps twice.
    times: Vec<(Seq, UnixMs)>,
    /// To what some of them have been rounded.
    shift: u32,
    ends: Option<[(Seq, UnixMs); 2]>,
}

impl Sent {
    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_none()
    }

    pub(super) fn add(&mut self, seq: Seq, sent_ms: UnixMs) {
        self.times.push((seq, sent_ms));
        self.widen((seq, sent_ms));
    }

    pub(super) fn add_all(&mut self, of: &Times) {
        self.times.extend(of.iter().map(|(seq, slot)| (seq, of.floor(slot))));
        self.shift = self.shift.max(of.shift);
        self.widen(of.first);
        self.widen(of.last);
    }

    fn widen(&mut self, place: (Seq, UnixMs)) {
        let [first, last] = self.ends.get_or_insert([place, place]);
        if place.0 < first.0 {
            *first = place;
        }
        if place.0 > last.0 {
            *last = place;
        }
    }

    /// `None` without a message.
    pub(super) fn encode(mut self) -> Option<Times> {
        let [first, last] = self.ends?;
        self.times.sort_unstable();
        self.times.dedup_by_key(|(seq, _)| *seq);
        let (len, count) = (self.times.len(), self.times.len().min(TIMES_MAX));
        let fineness = if count <= FINE_MESSAGES { FINE_FINENESS } else { FINENESS };
        let mean_ms = last.1.0.saturating_sub(first.1.0) / count as u64;
        let shift = self.shift.max(order_of(mean_ms).saturating_sub(fineness));
        let count_u32 = u32::try_from(count).expect("512 at most");
        let mut times = Times { first, last, count: count_u32, shift, bits: Bytes::new() };
        let (seq_order, slot_order) = times.orders();
        let mut bits = BitWriter::default();
        let (mut seq, mut slot) = times.begin();
        // The last of every so many, so that the last of all is among them.
        for at in (1..=count).map(|number| number * len / count - 1) {
            let (next_seq, sent_ms) = self.times[at];
            let next_slot = slot.max(sent_ms.0 >> shift);
            bits.golomb(next_seq.0 - seq, seq_order);
            bits.golomb(next_slot - slot, slot_order);
            (seq, slot) = (next_seq.0 + 1, next_slot);
        }
        times.bits = bits.finish().into();
        Some(times)
    }
}

impl Times {
    /// The oldest message, and when it was sent.
    pub(super) fn first(&self) -> (Seq, UnixMs) {
        self.first
    }

    /// The newest message, and when it was sent.
    pub(super) fn last(&self) -> (Seq, UnixMs) {
        self.last
    }

    /// When one of the messages was sent at the latest.
    pub(super) fn bound_of(&self, seq: Seq) -> UnixMs {
        let (_, last_ms) = self.last;
        let found = self.iter().find(|&(other, _)| other >= seq);
        found.map_or(last_ms, |(_, slot)| self.ceiling(slot).min(last_ms))
    }

    /// Of the messages that were sent up to a time: one that, as all after it, was sent later, if such is known, and when the
    /// last of them was sent at the latest.
    pub(super) fn up_to(&self, latest: UnixMs) -> (Option<Seq>, UnixMs) {
        let (last, last_ms) = self.last;
        if last_ms <= latest {
            return (None, last_ms);
        }
        let mut before = None;
        for (seq, slot) in self.iter() {
            if self.floor(slot) > latest {
                // Between two of which the times are kept another may have been sent up to then.
                let is_next = before.filter(|&(before, _): &(Seq, u64)| before.next() == seq);
                return (Some(seq), is_next.map_or(latest, |(_, slot)| self.ceiling(slot).min(latest)));
            }
            before = Some((seq, slot));
        }
        (Some(last), latest)
    }

    /// The seq that the first is at least, and the slot of its time.
    fn begin(&self) -> (u64, u64) {
        (self.first.0.0, self.first.1.0 >> self.shift)
    }

    /// How distances of seqs and of slots are written: what lies between the ends tells how long they are.
    fn orders(&self) -> (u32, u32) {
        let ((first, first_slot), count) = (self.begin(), u64::from(self.count.max(1)));
        let (seqs, slots) =
            (self.last.0.0.saturating_sub(first), (self.last.1.0 >> self.shift).saturating_sub(first_slot));
        (order_of(seqs / count), order_of(slots / count))
    }

    fn floor(&self, slot: u64) -> UnixMs {
        UnixMs(slot << self.shift)
    }

    fn ceiling(&self, slot: u64) -> UnixMs {
        UnixMs(self.floor(slot).0 | ((1 << self.shift) - 1))
    }

    /// Messages, ascending, each with the slot of its time. Ends early in what is damaged, which makes bounds wider.
    fn iter(&self) -> impl Iterator<Item = (Seq, u64)> {
        let (seq_order, slot_order) = self.orders();
        let (mut next, mut slot) = self.begin();
        let mut bits = BitReader::new(&self.bits);
        std::iter::from_fn(move || {
            let seq = next.checked_add(bits.golomb(seq_order)?)?;
            slot = slot.checked_add(bits.golomb(slot_order)?)?;
            next = seq.checked_add(1)?;
            Some((Seq(seq), slot))
        })
    }

    /// As they stand in a directory.
    pub(super) fn put(&self, into: Writer) -> Writer {
        let ((first, first_ms), (last, last_ms)) = (self.first, self.last);
        let into = into.number(first.0).number(first_ms.0).number(last.0 - first.0);
        let into = into.number(last_ms.0.saturating_sub(first_ms.0));
        into.number(self.count).number(self.shift).bytes(&self.bits)
    }

    /// The reverse of [`Self::put`]. What is read is part of `row`.
    pub(super) fn take(from: &mut Reader<'_>, row: &Bytes) -> Result<Self, RecordError> {
        let first = (Seq(from.number()?), UnixMs(from.number()?));
        let last = (Seq(from.above(first.0.0)?), UnixMs(from.above(first.1.0)?));
        let (count, shift) = (from.number()?, from.number::<u32>()?);
        if shift >= u64::BITS - 1 {
            return Err(from.damaged("times are rounded to more than there is"));
        }
        Ok(Self { first, last, count, shift, bits: row.slice_ref(from.bytes()?) })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn times(of: &[(u64, u64)]) -> Times {
        let mut sent = Sent::default();
        of.iter().for_each(|&(seq, ms)| sent.add(Seq(seq), UnixMs(ms)));
        sent.encode().expect("not empty")
    }

    /// Seqs that ascend by at least one, sent at times that do not descend.
    fn messages() -> impl Strategy<Value = Vec<(u64, u64)>> {
        let step = (1..4_u64, prop_oneof![3 => 0..100_u64, 1 => 0..100_000_000_u64]);
        (prop::collection::vec(step, 1..700), 0..2_000_000_000_000_u64).prop_map(|(steps, since_ms)| {
            let mut at = (0, since_ms);
            steps
                .into_iter()
                .map(|(seqs, ms)| {
                    at = (at.0 + seqs, at.1 + ms);
                    at
                })
                .collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn bounds_hold_for_every_message_however_often_segments_were_merged(
            messages in messages(), cut in 0..700_usize, after_ms in 0..10_000_u64,
        ) {
            let (one, other) = messages.split_at(cut.min(messages.len()));
            let mut sent = Sent::default();
            for part in [one, other].into_iter().filter(|part| !part.is_empty()) {
                sent.add_all(&times(part));
            }
            let merged = sent.encode().expect("not empty");
            for &(seq, ms) in &messages {
                prop_assert!(merged.bound_of(Seq(seq)) >= UnixMs(ms), "{} of {merged:?}", seq);
                let (later, bound) = merged.up_to(UnixMs(ms));
                prop_assert!(later.is_none_or(|later| later > Seq(seq)), "{} of {merged:?}", seq);
                prop_assert!(bound >= UnixMs(ms), "{} of {merged:?}", seq);
                // As far as is known; a little later the same messages are the last.
                let (later, bound) = merged.up_to(UnixMs(ms + after_ms));
                let last = messages.iter().rfind(|&&(_, other)| other <= ms + after_ms).expect("this one");
                prop_assert!(later.is_none_or(|later| later > Seq(last.0)) && bound >= UnixMs(last.1), "{last:?}");
            }
            let bytes = Bytes::from(merged.put(Writer::behind(2)).0);
            let mut reader = Reader::of_row("directory", 2, &bytes).expect("a format");
            prop_assert_eq!(Times::take(&mut reader, &bytes), Ok(merged));
        }

        #[test]
        fn any_bytes_are_times_or_wider_bounds(bits in prop::collection::vec(any::<u8>(), 0..40), shift in 0..50_u32) {
            let ends = [(Seq(3), UnixMs(50)), (Seq(90), UnixMs(5_000))];
            let times = Times { first: ends[0], last: ends[1], count: 9, shift, bits: bits.into() };
            prop_assert!(times.bound_of(Seq(50)) <= UnixMs(5_000));
            let _wherever = times.up_to(UnixMs(70));
        }
    }

    #[test]
    fn a_time_is_known_to_a_small_part_of_what_lies_between_two() {
        // So many messages, one each so many milliseconds: what a bound is beyond the time at most, and the bytes.
        let check = |messages: u64, each_ms: u64, beyond_ms: u64, len_bytes: usize| {
            let of: Vec<_> = (1..=messages).map(|seq| (seq, 1_790_000_000_000 + seq * each_ms)).collect();
            let times = times(&of);
            let beyond = of.iter().map(|&(seq, ms)| times.bound_of(Seq(seq)).0 - ms).max();
            assert_eq!((beyond, times.bits.len()), (Some(beyond_ms), len_bytes), "{messages} each {each_ms} ms");
        };
        check(1, 1_000, 0, 1);
        check(64, 1_000, 7, 80);
        check(500, 2_000_000, 65_535, 500);
        check(2_048, 1_000, 3_127, 704);
    }
}
