//! Lines between `loadgen` and its workers: what a worker is, what it is told to do, what it says.
//!
//! Owns their form: one JSON object a line, orders on the worker's standard input, answers on its standard output. A worker
//! ends when its input does, so none outlives whoever started it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schema::{ChannelId, UserId};
use serde::{Deserialize, Serialize};

use crate::status::Status;

/// What is timed: until a session is there and until it is back, acknowledgements and deliveries, those to slow readers, answers
/// to questions.
pub(crate) const LATENCIES: [&str; 8] = ["in", "back", "ack", "delivery", SLOW_ACK, SLOW_DELIVERY, PRESENCE, SEARCH];
pub(crate) const SLOW_ACK: &str = "slow-ack";
pub(crate) const SLOW_DELIVERY: &str = "slow-delivery";
pub(crate) const PRESENCE: &str = "presence";
pub(crate) const SEARCH: &str = "search";

/// What a worker is: the first line that it reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Setup {
    pub(crate) urls: Vec<String>,
    pub(crate) json: bool,
    pub(crate) token_key: PathBuf,
    /// How long its tokens have to be good for.
    pub(crate) span_s: u64,
    /// The accounts of its sessions, the first `devices` sessions being of the first.
    pub(crate) users: Vec<UserId>,
    pub(crate) devices: u32,
    /// The number of its first session among those of all workers.
    pub(crate) first: u32,
    pub(crate) sessions: u32,
    /// Whose local addresses its connections start from, by the number of a worker; none if the kernel chooses.
    pub(crate) source: Option<u32>,
    /// Characters of a message.
    pub(crate) size: u32,
    pub(crate) rooms: Vec<Room>,
}

/// A channel that a worker writes in: the accounts of its members follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Room {
    pub(crate) channel: ChannelId,
    /// The first of its accounts, and how many.
    pub(crate) account: u32,
    pub(crate) accounts: u32,
    /// It is a large channel, which each session opens to be told its messages.
    #[serde(default)]
    pub(crate) large: bool,
}

/// What a worker is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Have so many sessions, at most so many of them on their way at a time.
    Open { sessions: u32, opening: u32 },
    /// From now on write so many messages a second, over all rooms in turn.
    Talk { per_second: f64 },
    /// From now on for so long do things in the shares of a mix (`Act::ALL`), their rate a second going evenly from one to
    /// another, at equal distances or as independent people would.
    Act { mix: [f64; 5], from: f64, to: f64, seconds: f64, poisson: bool },
    /// Write one message to each of these sessions, in its account's room.
    Probe { sessions: Vec<u32> },
    /// From now on so many sessions a second go without a word, and come back.
    Churn { per_second: f64 },
    /// So many of each hundred sessions read at most so many bytes a second from now on.
    Slow { percent: u32, bytes_per_second: u64 },
    /// Each session watches the other accounts of its group, accounts being in groups of so many in their order.
    Watch { group: u32 },
    /// Say all latencies so far, and begin anew with them.
    Tell,
    /// Close all connections and end.
    End,
}

/// What a worker says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Said {
    /// Each second, and after each order.
    Status(Box<Status>),
    /// Latencies since it was asked last, as HdrHistogram's second format in base64, of what there are some.
    Latencies(BTreeMap<String, String>),
    /// Why it ends.
    Failed(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_was_written() {
        for order in [
            Order::Open { sessions: 3, opening: 1 },
            Order::Talk { per_second: 0.5 },
            Order::Probe { sessions: vec![1] },
            Order::End,
        ] {
            let line = serde_json::to_string(&order).unwrap();
            assert_eq!(serde_json::from_str::<Order>(&line).unwrap(), order, "{line}");
        }
        let said = Said::Status(Box::new(Status { refusals: [(114, 5)].into(), ..Status::default() }));
        assert_eq!(serde_json::from_str::<Said>(&serde_json::to_string(&said).unwrap()).unwrap(), said);
    }
}
