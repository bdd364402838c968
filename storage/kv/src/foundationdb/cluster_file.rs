//! Check of the cluster file before the client has it, whose own error would come late and without the path.
//!
//! The format is FoundationDB's: comments from `#` to the end of their line and all white space aside,
//! `description:id@address,address…`, an address being `ip:port` or `name:port`, with `:tls` behind it if it is
//! encrypted.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Why a cluster file cannot be used. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ClusterFileError {
    /// Operator's: missing, or not for this user.
    #[error("the cluster file {} cannot be read; copy it from a machine of the cluster, or name another", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// The system's word.
        #[source]
        source: io::Error,
    },
    /// Operator's: not what a cluster file looks like.
    #[error(
        "the cluster file {} is not `description:id@ip:port,ip:port`: {what}; copy it from a machine of the cluster",
        path.display()
    )]
    Malformed {
        /// The path.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// Operator's: the client takes paths as text.
    #[error("the cluster file's path {} is not UTF-8 without zero bytes; name another", path.display())]
    Path {
        /// The path.
        path: PathBuf,
    },
}

/// The path as the client takes it, if what lies there looks like a cluster file.
///
/// # Errors
/// [`ClusterFileError`], which says what to do.
pub fn check(path: &Path) -> Result<&str, ClusterFileError> {
    let text =
        fs::read_to_string(path).map_err(|source| ClusterFileError::Unreadable { path: path.to_owned(), source })?;
    parse(&text).map_err(|what| ClusterFileError::Malformed { path: path.to_owned(), what })?;
    let name = path.to_str().filter(|name| !name.contains('\0'));
    name.ok_or_else(|| ClusterFileError::Path { path: path.to_owned() })
}

fn parse(text: &str) -> Result<(), &'static str> {
    let uncommented = text.lines().filter_map(|line| line.split('#').next());
    let line: String = uncommented.flat_map(str::chars).filter(|letter| !letter.is_ascii_whitespace()).collect();
    if line.is_empty() {
        return Err("it has no line");
    }
    let (name, addresses) = line.split_once('@').ok_or("it has no @")?;
    let (description, id) = name.split_once(':').ok_or("it has no : before the @")?;
    let word = |word: &str, also: &str| {
        !word.is_empty() && word.chars().all(|letter| letter.is_ascii_alphanumeric() || also.contains(letter))
    };
    if !word(description, "_") || !word(id, "") {
        return Err("description and id are letters and digits");
    }
    let address = |address: &str| {
        let plain = address.strip_suffix(":tls").unwrap_or(address);
        plain.rsplit_once(':').is_some_and(|(host, port)| {
            !host.is_empty() && !host.contains('@') && port.parse::<u16>().is_ok_and(|port| port > 0)
        })
    };
    if !addresses.split(',').all(address) {
        return Err("an address is not ip:port");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_file_is_one_line_of_a_name_and_addresses() {
        let check = |text: &str, expected: Result<(), &str>| assert_eq!(parse(text), expected, "{text:?}");
        check("a:b@127.0.0.1:4500", Ok(()));
        check("# a comment\n\nchat_1:aB3@10.0.0.1:4500,10.0.0.2:4500:tls,[::1]:4500\n", Ok(()));
        check("chat:x@fdb.example:4500", Ok(()));
        check("", Err("it has no line"));
        check("# only a comment", Err("it has no line"));
        check("a:b@1.2.3.4:1 # the first\n", Ok(()));
        check("a : b@1.2.3.4:1,\n  # another\n  1.2.3.5:1\n", Ok(()));
        check("a:b@1.2.3.4:1\na:b@1.2.3.4:1", Err("an address is not ip:port"));
        check("127.0.0.1:4500", Err("it has no @"));
        check("a@127.0.0.1:4500", Err("it has no : before the @"));
        check("a-b:c@127.0.0.1:4500", Err("description and id are letters and digits"));
        check(":c@127.0.0.1:4500", Err("description and id are letters and digits"));
        check("a:b@", Err("an address is not ip:port"));
        check("a:b@127.0.0.1", Err("an address is not ip:port"));
        check("a:b@127.0.0.1:0", Err("an address is not ip:port"));
        check("a:b@127.0.0.1:4500,", Err("an address is not ip:port"));
        check("a:b@127.0.0.1:70000", Err("an address is not ip:port"));
    }

    #[test]
    fn what_is_wrong_with_it_names_the_path() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let missing = directory.path().join("none.cluster");
        let said = super::check(&missing).expect_err("it is not there").to_string();
        assert!(said.contains("none.cluster cannot be read"), "{said}");
        let text = directory.path().join("text.cluster");
        fs::write(&text, "hello").expect("a fresh directory");
        let said = super::check(&text).expect_err("no cluster file").to_string();
        assert!(said.contains("text.cluster is not") && said.contains("no @"), "{said}");
    }
}
