//! The memory that the kernel receives into: a ring of equal buffers, lent to us one completion at a time.
//!
//! Owns which side a buffer belongs to. Unsafe because the kernel writes to this memory by its own schedule; a buffer
//! is ours from the completion that names it until it is given back.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::Submitter;
use io_uring::types::BufRingEntry;

use super::error::DriverError;

/// Bytes of one buffer: an Ethernet frame's payload and then some, so that a chat command comes in one.
pub(super) const BUFFER_BYTES: usize = 2 * 1024;
/// Buffers of a shard. All of them in one turn are 2 MiB; connections beyond that are received in the next.
const BUFFERS: u16 = 1024;
/// The one group of buffers.
pub(super) const BUFFER_GROUP: u16 = 0;

const _: () = assert!(BUFFERS.is_power_of_two(), "the kernel masks the tail");

pub(super) struct Buffers {
    ring: NonNull<BufRingEntry>,
    memory: NonNull<u8>,
    tail: u16,
}

/// A buffer that belongs to us now. To be handed back by [`Buffers::give_back`]; one that is dropped instead is lost
/// to the kernel until the ring closes.
#[must_use]
pub(super) struct Lent {
    id: u16,
    bytes: NonNull<[u8]>,
}

impl Buffers {
    /// Allocates the buffers and gives them all to the kernel.
    pub(super) fn register(submitter: &Submitter<'_>) -> Result<Self, DriverError> {
        let buffers =
            Buffers { ring: allocate(Self::ring_layout()).cast(), memory: allocate(Self::memory_layout()), tail: 0 };
        // SAFETY: the ring's memory has this many entries, is page-aligned, and is freed after the ring is closed.
        unsafe {
            submitter.register_buf_ring_with_flags(buffers.ring.as_ptr().addr() as u64, BUFFERS, BUFFER_GROUP, 0)
        }
        .map_err(DriverError::of_ring)?;
        let mut buffers = buffers;
        for id in 0..BUFFERS {
            buffers.offer(id);
        }
        Ok(buffers)
    }

    /// The first `len` bytes of the buffer that a completion named.
    ///
    /// # Safety
    /// The completion has not been used for this before, and what is returned does not outlive `self`.
    pub(super) unsafe fn lend(&mut self, id: u16, len: usize) -> Lent {
        assert!(id < BUFFERS && len <= BUFFER_BYTES, "buffer {id} with {len} bytes is none of ours");
        // SAFETY: within the one allocation of BUFFERS × BUFFER_BYTES.
        let start = unsafe { self.memory.add(usize::from(id) * BUFFER_BYTES) };
        Lent { id, bytes: NonNull::slice_from_raw_parts(start, len) }
    }

    /// Returns a buffer to the kernel.
    pub(super) fn give_back(&mut self, lent: Lent) {
        self.offer(lent.id);
    }

    fn offer(&mut self, id: u16) {
        let slot = usize::from(self.tail % BUFFERS);
        // SAFETY: the slot is within the ring, and the kernel does not read it before the tail below passes it. The
        // setters leave alone the last two bytes of an entry, which in the first one are the tail itself.
        unsafe {
            let entry = self.ring.add(slot).as_mut();
            entry.set_addr(self.memory.add(usize::from(id) * BUFFER_BYTES).as_ptr().addr() as u64);
            entry.set_len(BUFFER_BYTES as u32);
            entry.set_bid(id);
        }
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: the tail lies in the ring's first entry, is aligned, and is only ever accessed atomically: the
        // kernel loads it with acquire.
        unsafe {
            let tail = BufRingEntry::tail(self.ring.as_ptr()).cast_mut();
            AtomicU16::from_ptr(tail).store(self.tail, Ordering::Release);
        }
    }

    fn ring_layout() -> Layout {
        let bytes = usize::from(BUFFERS) * size_of::<BufRingEntry>();
        Layout::from_size_align(bytes, 4096).expect("a small power of two")
    }

    fn memory_layout() -> Layout {
        Layout::from_size_align(usize::from(BUFFERS) * BUFFER_BYTES, 4096).expect("a small power of two")
    }
}

impl Lent {
    /// What was received.
    pub(super) fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the buffer is ours until it is given back, which takes `self`, and nobody else refers to it.
        unsafe { self.bytes.as_mut() }
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        // SAFETY: allocated with these layouts. The ring, dropped before, takes nothing in any more: data is copied
        // only while our own thread is in the kernel.
        unsafe {
            dealloc(self.ring.as_ptr().cast(), Self::ring_layout());
            dealloc(self.memory.as_ptr(), Self::memory_layout());
        }
    }
}

fn allocate(layout: Layout) -> NonNull<u8> {
    // SAFETY: the layout's size is not zero.
    let memory = unsafe { alloc_zeroed(layout) };
    NonNull::new(memory).unwrap_or_else(|| handle_alloc_error(layout))
}
