//! The part of a cluster's keys that is one store's.

use crate::limits;

/// Longest prefix in bytes. With [`END`] and the 4 bytes of offset that follow a versionstamped key on its way to
/// FoundationDB it makes up what [`limits::KEY_BYTES_MAX`] leaves of FoundationDB's 10,000.
pub const PREFIX_BYTES_MAX: usize = 59;

/// What follows the prefix in every key. No prefix has it in it, so none begins another with it: "chat" and "chat2" are
/// two stores, though "2" may be what a key begins with.
const END: u8 = 0;

const _: () =
    assert!(PREFIX_BYTES_MAX + 1 + limits::STAMP_OFFSET_BYTES + limits::KEY_BYTES_MAX == 10_000, "all keys fit");

/// Where the store's own rows begin, after the prefix. No layer can name a key there.
const OWN: u8 = 0xFF;

/// Operator's: the configured prefix cannot be one.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the prefix is {len_bytes} bytes; it has at least 1 and at most {PREFIX_BYTES_MAX}, none of them zero")]
pub struct PrefixError {
    /// Its length.
    pub len_bytes: usize,
}

/// What every key of a store begins with, [`END`] included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Prefix(Vec<u8>);

impl Prefix {
    /// Text has no byte 0xFF, so that no store's rows lie among the cluster's own.
    pub(super) fn new(prefix: &str) -> Result<Self, PrefixError> {
        let bytes = prefix.as_bytes();
        match bytes.len() {
            1..=PREFIX_BYTES_MAX if !bytes.contains(&END) => Ok(Self([bytes, &[END]].concat())),
            len_bytes => Err(PrefixError { len_bytes }),
        }
    }

    pub(super) fn len_bytes(&self) -> usize {
        self.0.len()
    }

    /// A layer's key as FoundationDB knows it, with room for `more_bytes` behind it.
    pub(super) fn key_with_room(&self, key: &[u8], more_bytes: usize) -> Vec<u8> {
        let mut whole = Vec::with_capacity(self.0.len() + key.len() + more_bytes);
        whole.extend_from_slice(&self.0);
        whole.extend_from_slice(key);
        whole
    }

    pub(super) fn key(&self, key: &[u8]) -> Vec<u8> {
        self.key_with_room(key, 0)
    }

    /// The key of one of the store's own rows.
    pub(super) fn own(&self, name: &str) -> Vec<u8> {
        self.key(&[&[OWN], name.as_bytes()].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_1_to_59_bytes() {
        let check = |prefix: &str, valid: bool| {
            let expected = if valid { Ok(prefix.len() + 1) } else { Err(PrefixError { len_bytes: prefix.len() }) };
            assert_eq!(Prefix::new(prefix).map(|prefix| prefix.len_bytes()), expected, "{prefix:?}");
        };
        check("", false);
        check("r", true);
        check(&"r".repeat(59), true);
        check(&"r".repeat(60), false);
        check(&"ü".repeat(30), false);
        check("r\0", false);
    }

    #[test]
    fn own_rows_are_after_every_key_that_a_layer_can_name() {
        let prefix = Prefix::new("p").expect("valid");
        assert_eq!(prefix.key(b"k"), b"p\0k");
        assert!(prefix.own("format") >= prefix.key(crate::transaction::RESERVED));
    }
}
