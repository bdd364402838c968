//! Batches in flight, and the channels that they have.
//!
//! Owns which operations may leave beside them: those of channels of which none is in flight, so that two batches never
//! decide on one channel, whatever order they commit in (I2, I4). Each has a lane, and with it a batch row of its own, which
//! says of an attempt of unknown outcome whether it committed.

use std::collections::BTreeSet;

use schema::ChannelId;
use schema::limits::BATCHES_IN_FLIGHT_MAX;

#[derive(Debug)]
struct Flight {
    number: u64,
    channels: BTreeSet<ChannelId>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Flights([Option<Flight>; BATCHES_IN_FLIGHT_MAX as usize]);

impl Flights {
    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }

    /// A lane in which nothing is in flight.
    pub(super) fn free_lane(&self) -> Option<u8> {
        (0..).zip(&self.0).find_map(|(lane, flight)| flight.is_none().then_some(lane))
    }

    pub(super) fn has(&self, channel: ChannelId) -> bool {
        self.0.iter().flatten().any(|flight| flight.channels.contains(&channel))
    }

    pub(super) fn begin(&mut self, lane: u8, number: u64, channels: BTreeSet<ChannelId>) {
        let place = &mut self.0[usize::from(lane)];
        assert!(place.is_none(), "batch {number} has a lane of its own, and there is {place:?}");
        *place = Some(Flight { number, channels });
    }

    /// # Panics
    /// If no batch of this number is in flight there.
    pub(super) fn end(&mut self, lane: u8, number: u64) {
        let ended = self.0[usize::from(lane)].take();
        assert!(
            ended.as_ref().is_some_and(|flight| flight.number == number),
            "batch {number} of lane {lane} ended, {ended:?} is in flight"
        );
    }
}
