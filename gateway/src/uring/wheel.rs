//! When connections are looked at again: one coarse wheel instead of a timer each.

use super::slab::ConnId;

/// Seconds around the wheel; what is further away is looked at early and put back.
const SLOTS: u32 = 64;

#[derive(Default)]
pub(super) struct Wheel {
    slots: Vec<Vec<(ConnId, u32)>>,
    /// All slots before this second have been emptied.
    next_s: u32,
    len: usize,
}

impl Wheel {
    pub(super) fn new() -> Self {
        Wheel { slots: (0..SLOTS).map(|_| Vec::new()).collect(), next_s: 0, len: 0 }
    }

    /// Asks for a look at `at_s`, or at the wheel's end before that. Returns the second that was chosen.
    pub(super) fn insert(&mut self, id: ConnId, at_s: u32) -> u32 {
        let at_s = at_s.clamp(self.next_s, self.next_s + SLOTS - 1);
        self.slots[(at_s % SLOTS) as usize].push((id, at_s));
        self.len += 1;
        at_s
    }

    /// Whatever is due, a second's worth at a time; to be called until it returns `None`.
    pub(super) fn pop_due(&mut self, now_s: u32) -> Option<Vec<(ConnId, u32)>> {
        while self.next_s <= now_s {
            // Taken rather than drained: a slot that once held a burst does not keep its memory.
            let due = std::mem::take(&mut self.slots[(self.next_s % SLOTS) as usize]);
            self.next_s += 1;
            if !due.is_empty() {
                self.len -= due.len();
                return Some(due);
            }
        }
        None
    }

    /// The second in which something is due next.
    pub(super) fn next_due_s(&self) -> Option<u32> {
        if self.len == 0 {
            return None;
        }
        (self.next_s..self.next_s + SLOTS).find(|at_s| !self.slots[(at_s % SLOTS) as usize].is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(inserts: &[u32], now_s: u32, due: &[u32], next: Option<u32>) {
        let mut wheel = Wheel::new();
        for at_s in inserts {
            wheel.insert(ConnId::from_u64(u64::from(*at_s)), *at_s);
        }
        let mut popped = Vec::new();
        while let Some(slot) = wheel.pop_due(now_s) {
            popped.extend(slot.into_iter().map(|(_, at_s)| at_s));
        }
        assert_eq!(popped, due, "{inserts:?} at {now_s}");
        assert_eq!(wheel.next_due_s(), next, "{inserts:?} after {now_s}");
    }

    #[test]
    fn what_is_due_comes_in_order_and_what_is_far_comes_early() {
        check(&[], 10, &[], None);
        check(&[3, 1, 3, 9], 3, &[1, 3, 3], Some(9));
        check(&[5], 4, &[], Some(5));
        check(&[63, 64, 1000], 62, &[], Some(63));
        check(&[63, 64, 1000], 63, &[63, 63, 63], None);
    }

    #[test]
    fn a_second_that_passed_is_due_in_the_next_look() {
        let mut wheel = Wheel::new();
        assert_eq!(wheel.pop_due(100), None);
        assert_eq!(wheel.insert(ConnId::from_u64(0), 50), 101);
        assert!(wheel.pop_due(100).is_none());
        assert!(wheel.pop_due(101).is_some());
    }
}
