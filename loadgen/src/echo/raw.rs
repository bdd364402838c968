//! Echoes as bare WebSocket messages: frames made once, masked; a send copies one and exchanges three words.

use std::collections::BTreeMap;

use wire::{Opcode, encode_into};

use super::tally::{Stamp, Tally};
use crate::drive::{Driven, Schedule};
use crate::engine::{FILL_BYTES, Message, Workload};
use crate::report::{Counts, Packed};

/// What stands at the start of each payload: number, due time and connection, 8 bytes each.
const STAMP_BYTES: usize = 24;

/// One message's frame, as it goes out but for its stamp.
struct Template {
    frame: Vec<u8>,
    payload: Vec<u8>,
    stamp_at: usize,
    mask: u64,
}

impl Template {
    fn new(payload_bytes: usize, mask: [u8; 4]) -> Self {
        let filler = (STAMP_BYTES..payload_bytes).map(|at| b'a' + (at % 26) as u8);
        let payload: Vec<u8> = std::iter::repeat_n(0, STAMP_BYTES).chain(filler).collect();
        let mut frame = Vec::new();
        encode_into(&mut frame, Opcode::Binary, &payload, Some(mask));
        let [a, b, c, d] = mask;
        let stamp_at = frame.len() - payload.len();
        Self { frame, payload, stamp_at, mask: u64::from_ne_bytes([a, b, c, d, a, b, c, d]) }
    }

    #[inline]
    fn put(&self, out: &mut Vec<u8>, stamp: Stamp) {
        let at = out.len() + self.stamp_at;
        out.extend_from_slice(&self.frame);
        let fields = [stamp.seq, stamp.intended_ns, stamp.connection];
        for (word, field) in out[at..at + STAMP_BYTES].chunks_exact_mut(8).zip(fields) {
            word.copy_from_slice(&(field ^ self.mask).to_ne_bytes());
        }
    }

    /// The stamp of a message that came back, if the rest of it is what went out.
    #[inline]
    fn read(&self, message: &[u8]) -> Result<Stamp, String> {
        if message.len() != self.payload.len() {
            return Err(format!("an echo has {} bytes, {} were sent", message.len(), self.payload.len()));
        }
        let (stamp, filler) = message.split_at(STAMP_BYTES);
        if filler != &self.payload[STAMP_BYTES..] {
            return Err("an echo differs from what was sent".to_owned());
        }
        let word = |at: usize| u64::from_ne_bytes(stamp[at..at + 8].try_into().expect("8 bytes of 24"));
        Ok(Stamp { seq: word(0), intended_ns: word(8), connection: word(16) })
    }
}

/// The workload.
pub(super) struct RawEcho {
    template: Template,
    pub(super) tally: Tally,
}

impl RawEcho {
    pub(super) fn new(payload_bytes: u32, mask: [u8; 4], tally: Tally) -> Self {
        Self { template: Template::new(payload_bytes as usize, mask), tally }
    }
}

impl Workload for RawEcho {
    #[inline]
    fn message(&mut self, connection: usize, message: Message<'_>, now_ns: u64) -> Result<(), String> {
        let Message::Binary(message) = message else {
            return Err("the echo of a binary message came as text".to_owned());
        };
        let stamp = self.template.read(message)?;
        self.tally.receive(connection, stamp, now_ns)
    }

    #[inline]
    fn fill(&mut self, connection: usize, now_ns: u64, out: &mut Vec<u8>) {
        while out.len() < FILL_BYTES
            && let Some(stamp) = self.tally.send(connection, now_ns)
        {
            self.template.put(out, stamp);
        }
    }
}

impl Driven for RawEcho {
    fn schedule(&mut self) -> &mut Schedule {
        &mut self.tally.schedule
    }

    fn outstanding(&mut self) -> bool {
        self.tally.outstanding()
    }

    fn answers(&self) -> u64 {
        self.tally.acked()
    }

    fn second(&mut self) -> (Counts, BTreeMap<&'static str, Packed>) {
        self.tally.second()
    }

    fn describe(&self) -> String {
        self.tally.describe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_known_again_and_any_change_is_seen() {
        check(24, 6);
        check(64, 6);
        check(200, 8);
        check(70_000, 14);
    }

    fn check(payload_bytes: usize, header_bytes: usize) {
        let template = Template::new(payload_bytes, [0x12, 0x34, 0x56, 0x78]);
        let stamp = Stamp { seq: 7, intended_ns: 8, connection: 9 };
        let mut out = Vec::new();
        template.put(&mut out, stamp);
        assert_eq!(out.len(), header_bytes + payload_bytes);
        let mask = &out[header_bytes - 4..header_bytes];
        let unmasked: Vec<u8> =
            out[header_bytes..].iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        assert_eq!(template.read(&unmasked), Ok(stamp));
        assert!(template.read(&unmasked[1..]).is_err());
        if payload_bytes > STAMP_BYTES {
            let mut changed = unmasked;
            changed[STAMP_BYTES] ^= 1;
            assert!(template.read(&changed).unwrap_err().contains("differs"));
        }
    }
}
