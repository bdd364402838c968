//! The XOR by which clients mask their payloads.

/// A masking key with the place in it that the next byte meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mask([u8; 4]);

impl Mask {
    pub(crate) fn new(key: [u8; 4]) -> Self {
        Mask(key)
    }

    /// Masks or unmasks `bytes` and moves on, so that a payload may come in pieces of any length.
    #[inline]
    pub(crate) fn apply(&mut self, bytes: &mut [u8]) {
        let [a, b, c, d] = self.0;
        let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
        let (words, rest) = bytes.as_chunks_mut::<8>();
        for word in words {
            *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
        }
        for (byte, key) in rest.iter_mut().zip([a, b, c, d, a, b, c, d]) {
            *byte ^= key;
        }
        self.0.rotate_left(rest.len() % 4);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_masked_as_the_whole_is() {
        let key = [0xA1, 0x02, 0x5C, 0xFF];
        let plain: Vec<u8> = (0..67).collect();
        let naive: Vec<u8> = plain.iter().enumerate().map(|(i, byte)| byte ^ key[i % 4]).collect();
        for cut in 0..=plain.len() {
            let mut bytes = plain.clone();
            let mut mask = Mask::new(key);
            let (head, tail) = bytes.split_at_mut(cut);
            mask.apply(head);
            mask.apply(tail);
            assert_eq!(bytes, naive, "cut at {cut}");
        }
    }
}
