//! Seqs of a channel that a user may read.
//!
//! Owns the arithmetic of visibility ranges (I10). Knows no rows.

use schema::Seq;
use schema::record::{MemberRecord, SeqRange};

/// The seqs that `ranges` show of a channel whose newest is `head`: pairs of first and last, ascending, none empty.
pub(super) fn spans(ranges: &[SeqRange], head: Seq) -> Vec<(Seq, Seq)> {
    ranges
        .iter()
        .map(|range| (range.after.next(), range.through.map_or(head, |through| through.min(head))))
        .filter(|(first, last)| first <= last)
        .collect()
}

/// Whether `ranges` show a seq.
pub(super) fn shows(ranges: &[SeqRange], seq: Seq) -> bool {
    ranges.iter().any(|range| seq > range.after && range.through.is_none_or(|through| seq <= through))
}

/// The newest seq as the holder of `ranges` is told it: the channel's while it is a member, also where none of the
/// newest is for it to read; the last of its own once it has left. It is one number for lists, pages, live delivery and
/// marks.
pub(super) fn head(ranges: &[SeqRange], head: Seq) -> Seq {
    ranges.last().map_or(Seq::ZERO, |range| range.through.map_or(head, |through| through.min(head)))
}

/// The newest seq that `ranges` show, if they show any.
pub(super) fn newest(ranges: &[SeqRange], head: Seq) -> Option<Seq> {
    spans(ranges, head).last().map(|&(_, last)| last)
}

/// The head when a member joined last: what is not unread because it was not there.
pub(super) fn joined_after(record: &MemberRecord) -> Seq {
    record.ranges.last().map_or(Seq::ZERO, |range| range.after)
}

/// Messages after the larger of a mark and the seq before joining.
pub(super) fn unread(head: Seq, read_seq: Seq, joined_after: Seq) -> u64 {
    head.0.saturating_sub(read_seq.max(joined_after).0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_show_what_lies_within_them_up_to_the_head() {
        let check = |ranges: &[(u64, Option<u64>)], head: u64, told: u64, expected: &[(u64, u64)]| {
            let ranges: Vec<SeqRange> = ranges
                .iter()
                .map(|&(after, through)| SeqRange { after: Seq(after), through: through.map(Seq) })
                .collect();
            let expected: Vec<(Seq, Seq)> = expected.iter().map(|&(first, last)| (Seq(first), Seq(last))).collect();
            assert_eq!(spans(&ranges, Seq(head)), expected, "{ranges:?}");
            assert_eq!(super::head(&ranges, Seq(head)), Seq(told), "{ranges:?}");
            assert_eq!(newest(&ranges, Seq(head)), expected.last().map(|&(_, last)| last), "{ranges:?}");
            for seq in (1..=head).map(Seq) {
                let within = expected.iter().any(|&(first, last)| (first..=last).contains(&seq));
                assert_eq!(shows(&ranges, seq), within, "{seq} in {ranges:?}");
            }
        };
        check(&[(0, None)], 5, 5, &[(1, 5)]);
        check(&[(5, None)], 5, 5, &[]);
        check(&[(0, Some(4)), (5, None)], 5, 5, &[(1, 4)]);
        check(&[(0, Some(2)), (4, None)], 5, 5, &[(1, 2), (5, 5)]);
        check(&[(0, Some(0)), (0, Some(3))], 5, 3, &[(1, 3)]);
        check(&[], 5, 0, &[]);
    }
}
