//! Access tokens that are signed here, with the key of the nodes: as `rookery gentoken` makes them, by the thousand.
//!
//! Owns the key, which is read from a file that only its owner may read, and the form of a token (a JWT signed with HS256),
//! which is `api::token`'s. Such a token ends with its time alone, so it is made for the length of the run.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use schema::UserId;
use sha2::Sha256;

/// Bytes of a key.
const KEY_BYTES: usize = 32;

/// The family of tokens that descend from no login: the holder of the key made them.
const FAMILY_OPERATOR: &str = "0";

/// The key, and until when its tokens count.
#[derive(Clone)]
pub(crate) struct Signer {
    key: Hmac<Sha256>,
    /// The first part of every token.
    head: String,
    expires_s: u64,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer(…)")
    }
}

impl Signer {
    /// Reads the key at `path`; its tokens are good for `span`.
    pub(crate) fn load(path: &Path, span: Duration) -> anyhow::Result<Self> {
        let shown = path.display();
        let reading =
            || format!("cannot read --token-key {shown}; it is auth.key_file, or token.key in a node's data directory");
        let file = File::open(path).with_context(reading)?;
        let mode = file.metadata().with_context(reading)?.mode() & 0o7777;
        ensure!(mode & 0o077 == 0, {
            format!("--token-key {shown} has mode {mode:04o}, others may read it: `chmod 600 {shown}`")
        });
        let mut key = Vec::new();
        file.take(KEY_BYTES as u64 + 1).read_to_end(&mut key).with_context(reading)?;
        let key: [u8; KEY_BYTES] = key.try_into().map_err(|key: Vec<u8>| {
            anyhow::anyhow!("--token-key {shown} has {} bytes, a key has {KEY_BYTES}", key.len())
        })?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Self::new(&key, (now + span).as_secs()))
    }

    fn new(key: &[u8; KEY_BYTES], expires_s: u64) -> Self {
        let key = Hmac::new_from_slice(key).expect("HMAC takes keys of any length");
        Self { key, head: URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"HS256"}"#), expires_s }
    }

    /// A token that speaks for `user`, from any device.
    pub(crate) fn token(&self, user: UserId) -> String {
        let claims = format!(r#"{{"sub":"{user}","fam":"{FAMILY_OPERATOR}","exp":{}}}"#, self.expires_s);
        let signed = format!("{}.{}", self.head, URL_SAFE_NO_PAD.encode(claims));
        let mut mac = self.key.clone();
        mac.update(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_token_is_what_a_node_would_have_made() {
        // `api::token` has a test that takes the same one for valid.
        let token = Signer::new(&[0x0b; KEY_BYTES], 1_900_000_000).token(UserId(7));
        assert_eq!(
            token,
            "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI3IiwiZmFtIjoiMCIsImV4cCI6MTkwMDAwMDAwMH0.fjEBLxnPO7H7tx_JKdvMfU-4SksCWE7u2cKIY7px4r0"
        );
    }

    #[test]
    fn a_key_that_others_may_read_or_that_is_none_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token.key");
        let check = |bytes: &[u8], mode, expected: &str| {
            fs::write(&path, bytes).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let said = match Signer::load(&path, Duration::from_secs(60)) {
                Ok(signer) => format!("{signer:?}"),
                Err(error) => format!("{error:#}"),
            };
            assert!(said.contains(expected), "{said}");
            assert!(!said.contains("11"), "nothing of the key is shown: {said}");
        };
        check(&[0x0b; 32], 0o640, "mode 0640");
        check(&[0x0b; 31], 0o600, "has 31 bytes");
        check(&[0x0b; 40], 0o600, "has 33 bytes");
        check(&[0x0b; 32], 0o600, "Signer(…)");
        let missing = format!("{:#}", Signer::load(&directory.path().join("none"), Duration::ZERO).unwrap_err());
        assert!(missing.contains("it is auth.key_file, or token.key"), "{missing}");
    }
}
