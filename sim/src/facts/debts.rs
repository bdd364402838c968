//! What devices have left to do once nothing goes wrong any more, and for how long one comes on with none of it: evidence
//! for I13.
//!
//! Owns the moments at which each device came on, kind by kind, and the longest standstill of any. What is left is the
//! checker's to say.

use std::collections::BTreeMap;
use std::fmt;

use schema::DeviceId;

/// What a device may have left to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Debt {
    /// To be connected, and to know that the other end is there.
    Connection,
    /// To have its messages and operations acknowledged.
    Sends,
    /// To have its questions answered.
    Answers,
    /// To read its account's inbox to the end.
    Inbox,
}

impl Debt {
    pub(crate) const ALL: [Self; 4] = [Self::Connection, Self::Sends, Self::Answers, Self::Inbox];

    fn says(self) -> &'static str {
        match self {
            Self::Connection => "was not connected",
            Self::Sends => "had nothing that it sends acknowledged",
            Self::Answers => "had no question answered",
            Self::Inbox => "was behind its inbox and was pushed nothing of it",
        }
    }
}

/// A time in which a device came on with none of what it had left of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standstill {
    pub(crate) device: DeviceId,
    pub(crate) debt: Debt,
    pub(crate) from_ms: u64,
    pub(crate) long_ms: u64,
}

impl fmt::Display for Standstill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { device, debt, from_ms, long_ms } = self;
        write!(f, "from {from_ms} ms on {device} {} for {long_ms} ms", debt.says())
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Debts {
    came_on_ms: BTreeMap<(DeviceId, Debt), u64>,
    longest: Option<Standstill>,
}

impl Debts {
    /// Nothing goes wrong any more: what was before does not count.
    pub(crate) fn begin(&mut self) {
        *self = Self::default();
    }

    /// The device has come on with it, or may begin to.
    pub(crate) fn came_on(&mut self, device: &DeviceId, debt: Debt, now_ms: u64) {
        self.came_on_ms.insert((device.clone(), debt), now_ms);
    }

    /// The device has something of it left.
    pub(crate) fn is_left(&mut self, device: &DeviceId, debt: Debt, now_ms: u64) {
        let from_ms = *self.came_on_ms.entry((device.clone(), debt)).or_insert(now_ms);
        let long_ms = now_ms - from_ms;
        if self.longest.as_ref().is_none_or(|longest| long_ms > longest.long_ms) {
            self.longest = Some(Standstill { device: device.clone(), debt, from_ms, long_ms });
        }
    }

    /// The longest standstill of any device.
    pub(crate) fn longest(&self) -> Option<&Standstill> {
        self.longest.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `a+5`: device a comes on at 5 ms; `a-9`: it has something left at 9 ms. The longest standstill, and whose.
    fn check(script: &str, longest: &str) {
        let mut debts = Debts::default();
        for step in script.split_whitespace() {
            let device: DeviceId = step[..1].parse().expect("a legal name");
            let at_ms = step[2..].parse().expect("a number");
            match &step[1..2] {
                "+" => debts.came_on(&device, Debt::Inbox, at_ms),
                _ => debts.is_left(&device, Debt::Inbox, at_ms),
            }
        }
        let found = debts.longest().map(|found| format!("{} {}..{}", found.device, found.from_ms, found.long_ms));
        assert_eq!(found.unwrap_or_default(), longest, "{script}");
    }

    #[test]
    fn a_device_stands_still_whatever_the_others_do() {
        check("", "");
        check("a-5 a-9", "a 5..4");
        check("a-5 a+7 a-9", "a 7..2");
        check("a-5 a+7 a-9 a-12", "a 7..5");
        check("a-5 b-5 b+6 b+7 b+8 b-9 a-9", "a 5..4");
        check("a-5 a-15 a+16 a-20", "a 5..10");
    }
}
