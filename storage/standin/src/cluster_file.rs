//! The file by which a client finds the server: one line, `standin:seed@address:port`, which has FoundationDB's form.
//!
//! A file of a real cluster is refused by its description, so that nobody takes the one for the other.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

/// What the file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClusterFile {
    /// The server's seed.
    pub seed: u64,
    /// Where the server listens.
    pub address: SocketAddr,
}

impl ClusterFile {
    /// Reads it from `path`. `None` if it is no stand-in's: use FoundationDB's own library then.
    ///
    /// # Errors
    /// The system's.
    pub fn read(path: &Path) -> io::Result<Option<Self>> {
        Ok(Self::parse(&std::fs::read_to_string(path)?))
    }

    /// Writes it to `path`, whole or not at all: whoever waits for it never reads a part.
    ///
    /// # Errors
    /// The system's.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let part = path.with_extension("part");
        std::fs::write(&part, format!("standin:{}@{}\n", self.seed, self.address))?;
        std::fs::rename(part, path)
    }

    fn parse(text: &str) -> Option<Self> {
        let (seed, address) = text.trim_end().strip_prefix("standin:")?.split_once('@')?;
        Some(Self { seed: seed.parse().ok()?, address: address.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_standins_file_is_taken() {
        let check = |text: &str, expected: Option<&str>| {
            let found = ClusterFile::parse(text).map(|file| format!("{} {}", file.seed, file.address));
            assert_eq!(found.as_deref(), expected, "{text:?}");
        };
        check("standin:7@127.0.0.1:4500\n", Some("7 127.0.0.1:4500"));
        check("standin:7@[::1]:4500", Some("7 [::1]:4500"));
        check("prod:Ab12@10.0.0.1:4500,10.0.0.2:4500", None);
        check("", None);
        check("standin:7", None);
        check("standin:x@127.0.0.1:4500", None);
        check("standin:7@127.0.0.1", None);
        check("standin:7@127.0.0.1:4500,127.0.0.1:4501", None);
        check("standin:7@127.0.0.1:4500\nstandin:8@127.0.0.1:4500", None);
    }
}
