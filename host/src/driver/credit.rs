//! Bytes that the router gave, by the bytes that were sent for them.
//!
//! Owns the count between the two: the router is told of its own bytes as they leave (I11), and what leaves is longer.

use std::collections::VecDeque;

/// What was sent and has not left, in its order: its bytes, and those of the router's that have left once it has.
#[derive(Debug, Default)]
pub(super) struct Credit {
    /// None while nothing is, as of most connections most of the time.
    #[expect(clippy::box_collection, reason = "an idle session has a pointer for it, and not four words")]
    queued: Option<Box<VecDeque<(u32, u32)>>>,
    unsent_bytes: usize,
}

impl Credit {
    /// So many bytes were sent for so many of the router's, or for none of them.
    pub(super) fn sent(&mut self, sent_bytes: usize, of_bytes: usize) {
        let narrow = |bytes| u32::try_from(bytes).expect("a frame is below 4 GB: messages are below 2 MB");
        self.queued.get_or_insert_default().push_back((narrow(sent_bytes), narrow(of_bytes)));
        self.unsent_bytes += sent_bytes;
    }

    /// Bytes that were sent and have not left.
    pub(super) fn unsent_bytes(&self) -> usize {
        self.unsent_bytes
    }

    /// So many more of the router's leave with what was sent last. They have left already if nothing is queued: returns
    /// whether something is.
    pub(super) fn join(&mut self, of_bytes: u32) -> bool {
        self.queued.as_mut().and_then(|queued| queued.back_mut()).is_some_and(|(_, of)| {
            *of += of_bytes;
            true
        })
    }

    /// So many bytes have left. Returns the router's among them.
    pub(super) fn left(&mut self, mut bytes: u32) -> u32 {
        let mut of_bytes = 0;
        let Some(queued) = &mut self.queued else { return 0 };
        while let Some((sent, of)) = queued.front_mut() {
            if bytes < *sent {
                self.unsent_bytes -= bytes as usize;
                // Its share, so that a long frame which leaves slowly is seen to leave.
                let share = u64::from(*of) * u64::from(bytes) / u64::from(*sent);
                let share = u32::try_from(share).expect("a share is at most the whole");
                (*sent, *of) = (*sent - bytes, *of - share);
                return of_bytes + share;
            }
            bytes -= *sent;
            self.unsent_bytes -= *sent as usize;
            of_bytes += *of;
            queued.pop_front();
        }
        // An idle connection holds no memory for what a long page once had queued.
        self.queued = None;
        of_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_routers_bytes_leave_by_their_share_of_what_was_sent_for_them() {
        let check = |sent: &[(usize, usize)], left: &[(u32, u32)]| {
            let mut credit = Credit::default();
            sent.iter().for_each(|&(sent_bytes, of_bytes)| credit.sent(sent_bytes, of_bytes));
            let mut unsent_bytes: usize = sent.iter().map(|&(sent_bytes, _)| sent_bytes).sum();
            for &(bytes, of_bytes) in left {
                assert_eq!(credit.left(bytes), of_bytes, "{bytes} of {sent:?}");
                unsent_bytes -= bytes as usize;
                assert_eq!(credit.unsent_bytes(), unsent_bytes, "{bytes} of {sent:?}");
            }
            assert!(credit.queued.is_none(), "{:?} of {sent:?}", credit.queued);
        };
        check(&[(30, 10)], &[(15, 5), (14, 4), (1, 1)]);
        check(&[(30, 10), (3, 0), (50, 30)], &[(40, 14), (43, 26)]);
        check(&[(3, 0), (30, 10)], &[(3, 0), (30, 10)]);
        check(&[], &[(0, 0)]);
    }

    #[test]
    fn what_is_not_sent_leaves_with_what_was() {
        let mut credit = Credit::default();
        assert!(!credit.join(7), "nothing is queued: it has left");
        credit.sent(10, 0);
        assert!(credit.join(5) && credit.join(5));
        assert_eq!((credit.left(5), credit.join(1), credit.left(5)), (5, true, 6));
        assert!(!credit.join(1));
    }
}
