//! Heart-beats: intervals that were agreed, and when each side is late.
//!
//! Owns the deadlines. Bytes of any kind count as a beat, both ways.

use schema::Instant;

/// Interval at which the server is ready to send, and wants to hear, at the most. By the negotiation of STOMP a client that asks
/// for less often has its own interval.
pub(crate) const OFFERED_MS: u64 = 5_000;
/// Intervals of silence after which a client is taken for gone.
const MISSED_MAX: u64 = 2;
/// Time beyond these for what is on its way.
const SLACK_MS: u64 = 1_000;
/// The longest interval that is kept: beyond it the WebSocket's own pings have told already.
const INTERVAL_MS_MAX: u64 = 600_000;

/// The two intervals of a session, and the last beats.
#[derive(Debug, Default)]
pub(crate) struct Heartbeats {
    /// Interval at which the server beats; 0 if it need not.
    send_ms: u32,
    /// Interval at which the client does.
    hear_ms: u32,
    sent_at: Instant,
    heard_at: Instant,
    /// The socket is not read: the client's silence says nothing.
    deaf: bool,
}

impl Heartbeats {
    /// By a client's `heart-beat`: how often it can beat, and how often it wants to hear. None without the header.
    ///
    /// # Errors
    /// It is not two numbers.
    pub(crate) fn agree(&mut self, now: Instant, header: Option<&str>) -> Result<(), BadHeartbeat> {
        let (can, wants) = header.unwrap_or("0,0").split_once(',').ok_or(BadHeartbeat)?;
        let number = |text: &str| text.trim().parse::<u64>().map_err(|_| BadHeartbeat);
        let agreed = |asked_ms: u64| match asked_ms {
            0 => 0,
            ms => u32::try_from(ms.clamp(OFFERED_MS, INTERVAL_MS_MAX)).expect("ten minutes fit"),
        };
        (self.hear_ms, self.send_ms) = (agreed(number(can)?), agreed(number(wants)?));
        (self.sent_at, self.heard_at) = (now, now);
        Ok(())
    }

    pub(crate) fn sent(&mut self, now: Instant) {
        self.sent_at = now;
    }

    pub(crate) fn heard(&mut self, now: Instant) {
        self.heard_at = now;
    }

    /// The socket is read, or not.
    pub(crate) fn reads(&mut self, now: Instant, on: bool) {
        self.deaf = !on;
        self.heard_at = now;
    }

    /// Time of the server's next beat: an eighth early, since it may be late by a turn.
    pub(crate) fn send_at(&self) -> Option<Instant> {
        let ms = u64::from(self.send_ms);
        (ms > 0).then(|| self.sent_at.plus_ms(ms - ms / 8))
    }

    /// Time at which the client is given up.
    pub(crate) fn lapse_at(&self) -> Option<Instant> {
        let ms = u64::from(self.hear_ms);
        (ms > 0 && !self.deaf).then(|| self.heard_at.plus_ms(ms * MISSED_MAX + SLACK_MS))
    }
}

/// A `heart-beat` header that is not two numbers of milliseconds.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("heart-beat is two numbers of milliseconds, like 10000,10000")]
pub(crate) struct BadHeartbeat;
