//! Numbers in as few bits as they need.
//!
//! Owns the bit streams of segments: exponential Golomb codes, in which a number about `2^order` takes `order + 2` bits
//! and one far beyond takes twice its own bits, so that no single number makes a row long. Part of the index's format.

/// Writes numbers one after the other.
#[derive(Debug, Default)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    /// Bits that fill no byte yet, the first of them highest among the lower `held`.
    pending: u64,
    held: u32,
}

impl BitWriter {
    /// At most 32 bits.
    fn put(&mut self, value: u64, bits: u32) {
        debug_assert!(bits <= 32 && (bits == 64 || value >> bits == 0), "{value} in {bits} bits");
        self.pending = (self.pending << bits) | value;
        self.held += bits;
        while self.held >= 8 {
            self.held -= 8;
            let byte = (self.pending >> self.held) & 0xFF;
            self.bytes.push(u8::try_from(byte).expect("eight bits"));
        }
        self.pending &= (1 << self.held) - 1;
    }

    fn put_wide(&mut self, value: u64, bits: u32) {
        let low = bits.min(32);
        if bits > low {
            self.put(value >> low, bits - low);
        }
        self.put(value & ((1 << low) - 1), low);
    }

    /// A number: how many bits it has beyond the order, in as many zeros, then its bits.
    ///
    /// # Panics
    /// If it is beyond `2^63`, or the order beyond 62.
    pub(super) fn golomb(&mut self, value: u64, order: u32) {
        let value = value.checked_add(1 << order).expect("seqs and terms are below 2^63");
        let bits = u64::BITS - value.leading_zeros();
        self.put_wide(0, bits - 1 - order);
        self.put_wide(value, bits);
    }

    /// Bytes so far, the one begun included.
    pub(super) fn len_bytes(&self) -> usize {
        self.bytes.len() + usize::from(self.held > 0)
    }

    /// The bytes; the last is filled with zeros.
    pub(super) fn finish(mut self) -> Vec<u8> {
        if self.held > 0 {
            self.put(0, 8 - self.held);
        }
        self.bytes
    }
}

/// Reads numbers one after the other. `None` once there are no more bits.
#[derive(Debug, Clone)]
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    /// The next bits, the first of them highest; zeros behind the last `held`.
    pending: u64,
    held: u32,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, pending: 0, held: 0 }
    }

    /// Holds 57 bits at least, if so many are left.
    fn fill(&mut self) {
        if let Some((eight, _)) = self.bytes.split_first_chunk::<8>() {
            // Whole bytes that fit above the rest; those beyond are read again.
            let taken = (64 - self.held) / 8;
            self.pending |= u64::from_be_bytes(*eight) >> self.held;
            self.bytes = &self.bytes[taken as usize..];
            self.held += taken * 8;
            let kept = u64::MAX.checked_shl(64 - self.held).unwrap_or(0);
            self.pending &= kept;
            return;
        }
        while self.held <= 56
            && let Some((&byte, rest)) = self.bytes.split_first()
        {
            self.pending |= u64::from(byte) << (56 - self.held);
            self.bytes = rest;
            self.held += 8;
        }
    }

    fn skip(&mut self, bits: u32) -> Option<()> {
        self.held = self.held.checked_sub(bits)?;
        self.pending = self.pending.checked_shl(bits).unwrap_or(0);
        Some(())
    }

    /// At most 57 bits, at least one.
    fn take(&mut self, bits: u32) -> Option<u64> {
        if self.held < bits {
            self.fill();
        }
        let value = self.pending >> (64 - bits);
        self.skip(bits)?;
        Some(value)
    }

    fn take_wide(&mut self, bits: u32) -> Option<u64> {
        if bits <= 57 {
            return self.take(bits);
        }
        let high = self.take(bits - 32)?;
        Some((high << 32) | self.take(32)?)
    }

    /// The reverse of [`BitWriter::golomb`].
    #[inline]
    pub(super) fn golomb(&mut self, order: u32) -> Option<u64> {
        if self.held < 57 {
            self.fill();
        }
        let bits = 2 * self.pending.leading_zeros() + 1 + order;
        // Most numbers lie whole among the bits at hand. Their own zeros do not change what they are.
        if bits <= self.held {
            let value = self.pending >> (u64::BITS - bits);
            self.skip(bits)?;
            return value.checked_sub(1 << order);
        }
        self.golomb_beyond(order)
    }

    /// A number that is longer than the bits at hand, or none.
    #[cold]
    fn golomb_beyond(&mut self, order: u32) -> Option<u64> {
        let mut zeros = 0;
        loop {
            if self.held < 57 {
                self.fill();
            }
            let run = self.pending.leading_zeros();
            if run < self.held {
                zeros += run;
                self.skip(run)?;
                break;
            }
            if self.held == 0 {
                return None;
            }
            zeros += self.held;
            self.skip(self.held)?;
        }
        let bits = zeros + 1 + order;
        if bits > u64::BITS {
            return None;
        }
        self.take_wide(bits)?.checked_sub(1 << order)
    }
}

/// The order that is best for numbers of this mean.
pub(super) fn order_of(mean: u64) -> u32 {
    mean.max(1).ilog2()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_are_read_back_in_their_orders(
            numbers in prop::collection::vec((any::<u64>(), 1..63_u32, 0..40_u32), 0..60),
        ) {
            let numbers: Vec<(u64, u32)> =
                numbers.into_iter().map(|(value, shift, order)| (value >> shift, order)).collect();
            let mut writer = BitWriter::default();
            numbers.iter().for_each(|&(value, order)| writer.golomb(value, order));
            let length = writer.len_bytes();
            let bytes = writer.finish();
            prop_assert_eq!(bytes.len(), length);
            let mut reader = BitReader::new(&bytes);
            for &(value, order) in &numbers {
                prop_assert_eq!(reader.golomb(order), Some(value));
            }
            prop_assert!(reader.golomb(0).is_none(), "the last byte is filled with zeros");
        }

        #[test]
        fn any_bytes_can_be_read(bytes in prop::collection::vec(any::<u8>(), 0..40), order in 0..64_u32) {
            let mut reader = BitReader::new(&bytes);
            let numbers = std::iter::from_fn(|| reader.golomb(order)).count();
            prop_assert!(numbers <= bytes.len() * 8);
        }
    }

    #[test]
    fn a_number_about_its_order_takes_two_bits_more() {
        let check = |value: u64, order: u32, bits: usize| {
            let mut writer = BitWriter::default();
            (0..8).for_each(|_| writer.golomb(value, order));
            assert_eq!(writer.finish().len(), bits, "{value} in order {order}");
        };
        check(0, 0, 1);
        check(1, 0, 3);
        check(0, 8, 9);
        check(255, 8, 9);
        check(256, 8, 11);
        check(1 << 20, 4, 37);
    }
}
