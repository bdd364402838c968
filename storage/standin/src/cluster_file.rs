//! The file by which a client finds the server: one line, in FoundationDB's form.
//!
//! `description:id@address:port[,address:port…]`. A stand-in's is described as `standin` and has one address. A file of
//! a real cluster is refused, so that nobody takes the one for the other.

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

/// Why a file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum ClusterFileError {
    /// It is missing, or cannot be read.
    #[error("the cluster file cannot be read")]
    Io(#[from] io::Error),
    /// It is not in the form of one.
    #[error("the cluster file is not like `description:id@address:port`")]
    Malformed,
    /// It is of a real cluster: use FoundationDB's own library.
    #[error("the cluster file describes {description:?}, which is no stand-in")]
    NotOurs {
        /// What it says it is.
        description: String,
    },
}

const DESCRIPTION: &str = "standin";

impl ClusterFile {
    /// Reads and parses it. Lines that begin with `#` are comments.
    ///
    /// # Errors
    /// [`ClusterFileError`].
    pub fn read(path: &Path) -> Result<Self, ClusterFileError> {
        Self::parse(&std::fs::read_to_string(path)?)
    }

    /// Writes it to `path`, whole or not at all: whoever waits for it never reads a part.
    ///
    /// # Errors
    /// The system's.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let part = path.with_extension("part");
        std::fs::write(&part, format!("{DESCRIPTION}:{}@{}\n", self.seed, self.address))?;
        std::fs::rename(part, path)
    }

    fn parse(text: &str) -> Result<Self, ClusterFileError> {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let (Some(line), None) = (lines.next(), lines.next()) else {
            return Err(ClusterFileError::Malformed);
        };
        let (name, addresses) = line.split_once('@').ok_or(ClusterFileError::Malformed)?;
        let (description, id) = name.split_once(':').ok_or(ClusterFileError::Malformed)?;
        let is_word =
            |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !is_word(description) || !is_word(id) {
            return Err(ClusterFileError::Malformed);
        }
        if description != DESCRIPTION {
            return Err(ClusterFileError::NotOurs { description: description.to_owned() });
        }
        let seed = id.parse().map_err(|_| ClusterFileError::Malformed)?;
        let address = addresses.parse().map_err(|_| ClusterFileError::Malformed)?;
        Ok(Self { seed, address })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_standins_file_is_taken() {
        let check = |text: &str, expected: &str| {
            let found = match ClusterFile::parse(text) {
                Ok(file) => format!("{} {}", file.seed, file.address),
                Err(ClusterFileError::Malformed) => "malformed".to_owned(),
                Err(ClusterFileError::NotOurs { description }) => format!("not ours: {description}"),
                Err(ClusterFileError::Io(error)) => panic!("{text:?}: {error}"),
            };
            assert_eq!(found, expected, "{text:?}");
        };
        check("standin:7@127.0.0.1:4500", "7 127.0.0.1:4500");
        check("# a comment\n\nstandin:7@127.0.0.1:4500\n", "7 127.0.0.1:4500");
        check("standin:7@[::1]:4500", "7 [::1]:4500");
        check("prod:Ab12@10.0.0.1:4500,10.0.0.2:4500", "not ours: prod");
        check("", "malformed");
        check("standin", "malformed");
        check("standin:7", "malformed");
        check("standin:x@127.0.0.1:4500", "malformed");
        check("standin:7@127.0.0.1", "malformed");
        check("standin:7@127.0.0.1:4500,127.0.0.1:4501", "malformed");
        check("stand in:7@127.0.0.1:4500", "malformed");
        check("standin:7@127.0.0.1:4500\nstandin:8@127.0.0.1:4500", "malformed");
    }
}
