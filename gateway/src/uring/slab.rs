//! Slab of connections: entries of fixed size, in chunks that never move.
//!
//! Owns ids and their reuse. An id is an index and a generation, so that one that outlives its connection, in a
//! handler or in the kernel, is recognised instead of meeting the next connection in that place.

use std::fmt;

use super::conn::Conn;

/// Entries of one chunk. Chunks keep growth from copying, and from holding twice what is used.
const CHUNK_ENTRIES: usize = 1024;

/// One connection of one shard, never used again for another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId {
    index: u32,
    generation: u32,
}

impl ConnId {
    /// The id as one number, unique within the shard's life.
    pub fn as_u64(self) -> u64 {
        (u64::from(self.generation) << 32) | u64::from(self.index)
    }

    /// The inverse of [`as_u64`](Self::as_u64).
    pub fn from_u64(number: u64) -> Self {
        ConnId { index: number as u32, generation: (number >> 32) as u32 }
    }
}

impl fmt::Debug for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.index, self.generation)
    }
}

impl fmt::Display for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

#[derive(Default)]
struct Entry {
    generation: u32,
    conn: Option<Conn>,
}

#[derive(Default)]
pub(super) struct Slab {
    chunks: Vec<Box<[Entry]>>,
    /// Entries that held a connection before; used before new ones, the last freed first.
    free: Vec<u32>,
    /// Entries that held a connection at some time.
    touched: u32,
    len: usize,
}

impl Slab {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn insert(&mut self, conn: Conn) -> ConnId {
        let index = self.free.pop().unwrap_or_else(|| {
            if self.touched as usize == self.chunks.len() * CHUNK_ENTRIES {
                self.chunks.push((0..CHUNK_ENTRIES).map(|_| Entry::default()).collect());
            }
            self.touched += 1;
            self.touched - 1
        });
        let entry = &mut self.chunks[index as usize / CHUNK_ENTRIES][index as usize % CHUNK_ENTRIES];
        assert!(entry.conn.is_none(), "entry {index} was free");
        entry.conn = Some(conn);
        self.len += 1;
        ConnId { index, generation: entry.generation }
    }

    pub(super) fn get(&self, id: ConnId) -> Option<&Conn> {
        let entry = self.chunks.get(id.index as usize / CHUNK_ENTRIES)?.get(id.index as usize % CHUNK_ENTRIES)?;
        if entry.generation == id.generation { entry.conn.as_ref() } else { None }
    }

    pub(super) fn get_mut(&mut self, id: ConnId) -> Option<&mut Conn> {
        let entry =
            self.chunks.get_mut(id.index as usize / CHUNK_ENTRIES)?.get_mut(id.index as usize % CHUNK_ENTRIES)?;
        if entry.generation == id.generation { entry.conn.as_mut() } else { None }
    }

    /// Takes a connection out; its id means nothing from now on.
    pub(super) fn remove(&mut self, id: ConnId) -> Option<Conn> {
        self.get(id)?;
        let entry = &mut self.chunks[id.index as usize / CHUNK_ENTRIES][id.index as usize % CHUNK_ENTRIES];
        entry.generation = entry.generation.wrapping_add(1);
        self.free.push(id.index);
        self.len -= 1;
        entry.conn.take()
    }

    /// The ids of all connections.
    pub(super) fn ids(&self) -> impl Iterator<Item = ConnId> {
        self.chunks
            .iter()
            .flat_map(|chunk| chunk.iter())
            .zip(0..)
            .filter_map(|(entry, index)| entry.conn.as_ref().map(|_| ConnId { index, generation: entry.generation }))
    }
}

/// What a request to the kernel was for; travels in its user data with the connection it was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    /// On the listener; the id is of no connection.
    Accept,
    /// On the eventfd; the id is of no connection.
    Calls,
    /// The moment at which the next turn is wanted; the id is of no connection.
    Alarm,
    Recv,
    Poll,
    Send,
    Cancel,
}

impl Op {
    const ALL: [Op; 7] = [Op::Accept, Op::Calls, Op::Alarm, Op::Recv, Op::Poll, Op::Send, Op::Cancel];

    /// For a request of no connection.
    pub(super) fn alone(self) -> u64 {
        self.user_data(ConnId { index: 0, generation: 0 })
    }

    /// Operation, the generation's lower 24 bits, index. An entry is freed only when none of its requests is left in
    /// the kernel, so 24 bits, 16 million reuses of one entry, are far more than can be confused.
    pub(super) fn user_data(self, id: ConnId) -> u64 {
        ((self as u64) << 56) | (u64::from(id.generation & GENERATION_MASK) << 32) | u64::from(id.index)
    }
}

const GENERATION_MASK: u32 = 0x00FF_FFFF;

impl Slab {
    /// What a completion belongs to: `None` for a connection that is gone, a stale completion.
    pub(super) fn resolve(&self, user_data: u64) -> (Op, Option<ConnId>) {
        let op = *Op::ALL.get((user_data >> 56) as usize).expect("user data is only ever made by Op");
        let index = user_data as u32;
        let generation = (user_data >> 32) as u32 & GENERATION_MASK;
        let entry = self
            .chunks
            .get(index as usize / CHUNK_ENTRIES)
            .and_then(|chunk| chunk.get(index as usize % CHUNK_ENTRIES))
            .filter(|entry| entry.conn.is_some() && entry.generation & GENERATION_MASK == generation);
        (op, entry.map(|entry| ConnId { index, generation: entry.generation }))
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    fn conn() -> Conn {
        Conn::new(File::open("/dev/null").expect("descriptors are left").into(), 0, 0)
    }

    #[test]
    fn an_id_outlives_its_connection_without_meeting_the_next() {
        let mut slab = Slab::default();
        let first = slab.insert(conn());
        assert_eq!(slab.resolve(Op::Recv.user_data(first)), (Op::Recv, Some(first)));
        assert!(slab.remove(first).is_some());
        let second = slab.insert(conn());
        assert_eq!(first.index, second.index, "the place is used again");
        assert!(slab.get(first).is_none() && slab.get_mut(first).is_none() && slab.remove(first).is_none());
        assert_eq!(slab.resolve(Op::Send.user_data(first)), (Op::Send, None));
        assert_eq!(slab.resolve(Op::Send.user_data(second)), (Op::Send, Some(second)));
        assert_eq!(ConnId::from_u64(second.as_u64()), second);
    }

    #[test]
    fn chunks_are_added_and_what_is_free_is_used_first() {
        let mut slab = Slab::default();
        let ids: Vec<ConnId> = (0..CHUNK_ENTRIES + 1).map(|_| slab.insert(conn())).collect();
        assert_eq!((slab.chunks.len(), slab.len()), (2, CHUNK_ENTRIES + 1));
        assert!(slab.remove(ids[7]).is_some());
        assert_eq!(slab.insert(conn()).index, 7);
        assert_eq!(slab.ids().count(), CHUNK_ENTRIES + 1);
        assert_eq!(slab.resolve(Op::Poll.alone()), (Op::Poll, Some(ids[0])));
    }

    #[test]
    fn generations_wrap_without_confusing_the_operation() {
        let id = ConnId { index: 5, generation: u32::MAX };
        assert_eq!(Op::Cancel.user_data(id) >> 56, Op::Cancel as u64);
    }
}
