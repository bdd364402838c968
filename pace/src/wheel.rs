//! Timer wheel: one row of slots in place of a timer each.
//!
//! Owns in which slot an item waits. A slot is as wide as the caller counts it. What is armed beyond the wheel's end
//! waits in its last slot, and whoever takes it out arms it again; what was armed anew meanwhile is found out the same
//! way.

/// Items that wait for their slot, of which there are `SLOTS`.
#[derive(Debug)]
pub struct Wheel<T, const SLOTS: usize> {
    slots: Vec<Vec<T>>,
    /// The first slot, counted from the origin of time, that has not been emptied.
    next: u64,
    len: usize,
}

impl<T, const SLOTS: usize> Wheel<T, SLOTS> {
    /// An empty wheel whose first slot is `first`.
    #[must_use]
    pub fn new(first: u64) -> Self {
        const { assert!(SLOTS > 0, "an item waits somewhere") };
        Self { slots: (0..SLOTS).map(|_| Vec::new()).collect(), next: first, len: 0 }
    }

    /// Puts an item into a slot, or into the nearest that the wheel has. Returns the slot that was chosen.
    pub fn arm(&mut self, item: T, slot: u64) -> u64 {
        let chosen = slot.clamp(self.next, self.end() - 1);
        self.slots[Self::index(chosen)].push(item);
        self.len += 1;
        chosen
    }

    /// Takes out the first slot up to `through` that has anything. To be called until it returns `None`.
    pub fn pop_due(&mut self, through: u64) -> Option<(u64, Vec<T>)> {
        if self.len == 0 {
            self.next = self.next.max(through.saturating_add(1));
            return None;
        }
        while self.next <= through {
            let slot = self.next;
            self.next += 1;
            // Taken rather than drained: a slot that once held a burst does not keep its memory.
            let due = std::mem::take(&mut self.slots[Self::index(slot)]);
            if !due.is_empty() {
                self.len -= due.len();
                return Some((slot, due));
            }
        }
        None
    }

    /// The first slot before `limit` that has anything.
    #[must_use]
    pub fn first_before(&self, limit: u64) -> Option<u64> {
        if self.len == 0 {
            return None;
        }
        (self.next..limit.min(self.end())).find(|&slot| !self.slots[Self::index(slot)].is_empty())
    }

    /// Items that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn end(&self) -> u64 {
        self.next.saturating_add(SLOTS as u64)
    }

    fn index(slot: u64) -> usize {
        usize::try_from(slot % SLOTS as u64).expect("below the number of slots")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Arms items for these slots of a wheel of 64, takes out what is due, and says what is next.
    fn check(armed: &[u64], through: u64, due: &[u64], next: Option<u64>) {
        let mut wheel = Wheel::<(), 64>::new(0);
        for slot in armed {
            wheel.arm((), *slot);
        }
        let mut taken = Vec::new();
        while let Some((slot, items)) = wheel.pop_due(through) {
            taken.extend(items.into_iter().map(|()| slot));
        }
        assert_eq!(taken, due, "{armed:?} through {through}");
        assert_eq!(wheel.first_before(u64::MAX), next, "{armed:?} after {through}");
        assert_eq!(wheel.len(), armed.len() - due.len());
    }

    #[test]
    fn what_is_due_comes_in_order_and_what_is_far_comes_early() {
        check(&[], 10, &[], None);
        check(&[3, 1, 3, 9], 3, &[1, 3, 3], Some(9));
        check(&[5], 4, &[], Some(5));
        check(&[63, 64, 1000], 62, &[], Some(63));
        check(&[63, 64, 1000], 63, &[63, 63, 63], None);
        check(&[1, 2], 1_000_000_000, &[1, 2], None);
    }

    #[test]
    fn a_slot_that_passed_is_due_in_the_next_one() {
        let mut wheel = Wheel::<(), 64>::new(7);
        assert_eq!(wheel.pop_due(100), None);
        assert_eq!(wheel.arm((), 50), 101);
        assert_eq!(wheel.pop_due(100), None);
        assert_eq!(wheel.pop_due(101), Some((101, vec![()])));
    }

    #[test]
    fn only_slots_before_the_limit_are_looked_at() {
        let mut wheel = Wheel::<(), 64>::new(0);
        wheel.arm((), 9);
        assert_eq!((wheel.first_before(9), wheel.first_before(10)), (None, Some(9)));
    }
}
