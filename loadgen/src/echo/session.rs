//! Echoes as `echo` commands of sessions: the whole way through a session, without a channel or the store.

use std::collections::BTreeMap;

use schema::{Command, Reply, Request};

use super::tally::{Stamp, Tally};
use crate::drive::{Driven, Schedule};
use crate::report::{Counts, Packed};
use crate::session::{Sessions, Talk, not_asked_for};

/// Characters before the filler: number, due time and connection in hexadecimal.
pub(super) const STAMP_CHARS: usize = 48;

/// What is said in the sessions.
pub(super) struct Echoes {
    filler: String,
    pub(super) tally: Tally,
}

impl Echoes {
    /// Each message has `size` characters, at least [`STAMP_CHARS`].
    pub(super) fn new(size: u32, tally: Tally) -> Self {
        let filler = (STAMP_CHARS..size as usize).map(|at| char::from(b'a' + (at % 26) as u8)).collect();
        Self { filler, tally }
    }

    fn read(&self, data: &str) -> Result<Stamp, String> {
        let stamp = data.strip_suffix(&self.filler).filter(|stamp| stamp.len() == STAMP_CHARS);
        let word = |at: usize| u64::from_str_radix(stamp?.get(at..at + 16)?, 16).ok();
        match (word(0), word(16), word(32)) {
            (Some(seq), Some(intended_ns), Some(connection)) => Ok(Stamp { seq, intended_ns, connection }),
            _ => Err("an echo differs from what was sent".to_owned()),
        }
    }
}

impl Talk for Echoes {
    fn answered(&mut self, connection: usize, id: u32, reply: Reply, now_ns: u64) -> Result<(), String> {
        let Reply::Echo { data } = reply else { return not_asked_for(id, &reply) };
        let stamp = self.read(&data)?;
        if id != request_id(stamp.seq) {
            return Err(format!("the echo of request {} came as the reply to {id}", request_id(stamp.seq)));
        }
        self.tally.receive(connection, stamp, now_ns)
    }

    fn next(&mut self, connection: usize, now_ns: u64) -> Option<Request> {
        let Stamp { seq, intended_ns, connection } = self.tally.send(connection, now_ns)?;
        let data = format!("{seq:016x}{intended_ns:016x}{connection:016x}{}", self.filler);
        Some(Request { id: request_id(seq), command: Command::Echo { data } })
    }
}

/// 1 is `connect`'s; ids come again after four billion messages of one connection.
fn request_id(seq: u64) -> u32 {
    (seq % (u64::from(u32::MAX) - 1)) as u32 + 2
}

impl Driven for Sessions<Echoes> {
    fn schedule(&mut self) -> &mut Schedule {
        &mut self.talk.tally.schedule
    }

    fn outstanding(&mut self) -> bool {
        self.talk.tally.outstanding()
    }

    fn answers(&self) -> u64 {
        self.talk.tally.acked()
    }

    fn second(&mut self) -> (Counts, BTreeMap<&'static str, Packed>) {
        self.talk.tally.second()
    }

    fn describe(&self) -> String {
        self.talk.tally.describe()
    }
}
