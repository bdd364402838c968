//! Access tokens: who may speak for whom, until when.
//!
//! Owns the signing key (a file that only its owner may read) and the claims. A token is a JWT signed with HS256: any
//! holder of the key verifies it without the store. Whether the token's family was revoked is the store's to say
//! (`chat::accounts::family_is_live`), and whoever accepts a token asks it too.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use schema::limits::TOKEN_BYTES_MAX;
use schema::{DeviceId, UnixMs, UserId};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Bytes of a key: as many as the hash under the signature has, which is what RFC 7518 asks for.
pub const KEY_BYTES: usize = 32;

/// The claims of a valid token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// For whom it speaks.
    pub user: UserId,
    /// The login it descends from, [`FAMILY_OPERATOR`] if the holder of the key made it.
    pub family: u64,
    /// The one device that it may connect; any if none.
    pub device: Option<DeviceId>,
    /// Until when it counts, in whole seconds.
    pub expires_ms: UnixMs,
}

pub use chat::accounts::FAMILY_OPERATOR;

/// The fault of a token that is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not signed with this key, or not a token. Code 101.
    #[error("the token is not valid here")]
    Invalid,
    /// Nobody's fault: whose it is cannot be found out now. Code 115.
    #[error("whose token this is cannot be found out now, try again in {retry_after_ms} ms")]
    Later {
        /// When to try again.
        retry_after_ms: u32,
    },
    /// It was valid. Code 109: refresh it.
    #[error("the token expired at {expired_ms} ms")]
    Expired {
        /// When.
        expired_ms: u64,
    },
}

/// The fault of a key file, or of making one.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file system's fault.
    #[error("token key {}: {source}", path.display())]
    Io {
        /// The key file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Others than the owner may read it, so it may be known to them.
    #[error(
        "token key {} has mode {mode:04o}, others may read it: remove it if they could have, else `chmod 600 {}`",
        path.display(), path.display()
    )]
    Exposed {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// No key of ours.
    #[error("token key {} has {found_bytes} bytes, a key has {KEY_BYTES}", path.display())]
    Length {
        /// The key file.
        path: PathBuf,
        /// Bytes in it; one more than a key has, if there are more.
        found_bytes: usize,
    },
    /// The system has no randomness.
    #[error("no randomness for a token key: {0}")]
    Entropy(getrandom::Error),
}

/// The key that signs and verifies. Clones share nothing but the bytes; printing it shows none of them.
#[derive(Clone)]
pub struct TokenKey {
    encoding: EncodingKey,
    decoding: DecodingKey,
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKey(…)")
    }
}

impl TokenKey {
    /// A key of these bytes.
    #[must_use]
    pub fn new(bytes: &[u8; KEY_BYTES]) -> Self {
        Self { encoding: EncodingKey::from_secret(bytes), decoding: DecodingKey::from_secret(bytes) }
    }

    /// A number by which two keys are told apart, and which says nothing else of them: for nodes that are to have the
    /// same.
    ///
    /// # Panics
    /// Never: the key is of the algorithm's kind.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        // What is signed for an access token has no blank.
        let signed = jsonwebtoken::crypto::sign(b"fingerprint of a key", &self.encoding, Algorithm::HS256);
        let hash = Sha256::digest(signed.expect("the key is for HMAC"));
        u64::from_be_bytes(hash[..8].try_into().expect("eight bytes"))
    }

    /// Another key that follows from this one, for what `label` says: who has it knows nothing of this one.
    ///
    /// # Panics
    /// Never: the key is of the algorithm's kind.
    #[must_use]
    pub(crate) fn derive(&self, label: &str) -> Self {
        // What is signed for an access token has no blank.
        let message = format!("key for {label}");
        let signed = jsonwebtoken::crypto::sign(message.as_bytes(), &self.encoding, Algorithm::HS256);
        Self::new(&Sha256::digest(signed.expect("the key is for HMAC")).into())
    }

    /// A signature of a text, 43 characters of base64url.
    ///
    /// # Panics
    /// Never: the key is of the algorithm's kind.
    pub(crate) fn sign(&self, text: &str) -> String {
        jsonwebtoken::crypto::sign(text.as_bytes(), &self.encoding, Algorithm::HS256).expect("the key is for HMAC")
    }

    /// Whether a signature is this key's of a text. In time that does not depend on the signature.
    pub(crate) fn has_signed(&self, text: &str, signature: &str) -> bool {
        jsonwebtoken::crypto::verify(signature, text.as_bytes(), &self.decoding, Algorithm::HS256).unwrap_or(false)
    }

    /// Reads the key at `path`.
    ///
    /// # Errors
    /// If there is none, if others than its owner may read it, if it is no key.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let io = |source| KeyError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(io)?;
        let mode = file.metadata().map_err(io)?.mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(KeyError::Exposed { path: path.to_owned(), mode });
        }
        let mut bytes = Vec::with_capacity(KEY_BYTES + 1);
        file.take(KEY_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(io)?;
        let length = KeyError::Length { path: path.to_owned(), found_bytes: bytes.len() };
        Ok(Self::new(&<[u8; KEY_BYTES]>::try_from(bytes).map_err(|_| length)?))
    }

    /// Reads the key at `path`, after making it if there is none. Of several that start at once one makes it.
    ///
    /// # Errors
    /// As [`Self::load`]; if the file cannot be written.
    pub fn load_or_create(path: &Path) -> Result<Self, KeyError> {
        match Self::load(path) {
            Err(KeyError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                create(path)?;
                Self::load(path)
            }
            found => found,
        }
    }

    /// A signed token. Its time is cut to whole seconds.
    ///
    /// # Panics
    /// Never: the claims are JSON and the key is of the algorithm's kind.
    #[must_use]
    pub fn issue(&self, claims: &Claims) -> String {
        let body = Body {
            sub: claims.user,
            fam: format!("{:x}", claims.family),
            dev: claims.device.clone(),
            exp: claims.expires_ms.0 / 1000,
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &body, &self.encoding)
            .expect("the claims are JSON and the key is for HMAC")
    }

    /// The refresh token that follows `used`: always the same, and known to nobody without the key.
    ///
    /// # Panics
    /// Never: the key is of the algorithm's kind.
    pub(crate) fn successor(&self, used: &str) -> String {
        // What is signed for an access token has no blank.
        let message = format!("refresh token after {used}");
        jsonwebtoken::crypto::sign(message.as_bytes(), &self.encoding, Algorithm::HS256).expect("the key is for HMAC")
    }

    /// The claims of a token, if it was signed with this key and its time is not over at `wall`.
    ///
    /// # Errors
    /// If it is not valid here, or no longer.
    pub fn verify(&self, token: &str, wall: UnixMs) -> Result<Claims, TokenError> {
        if token.len() > TOKEN_BYTES_MAX as usize {
            return Err(TokenError::Invalid);
        }
        let mut validation = Validation::new(Algorithm::HS256);
        // Ours is compared below with the caller's clock: the library would read the system's, and add a minute.
        validation.validate_exp = false;
        let body: Body =
            jsonwebtoken::decode(token, &self.decoding, &validation).map_err(|_| TokenError::Invalid)?.claims;
        let family = u64::from_str_radix(&body.fam, 16).map_err(|_| TokenError::Invalid)?;
        let expires_ms = UnixMs(body.exp.saturating_mul(1000));
        if expires_ms <= wall {
            return Err(TokenError::Expired { expired_ms: expires_ms.0 });
        }
        Ok(Claims { user: body.sub, family, device: body.dev, expires_ms })
    }
}

/// The claims as they are signed. The family is text: JSON's numbers hold 53 bits.
#[derive(Serialize, Deserialize)]
struct Body {
    sub: UserId,
    fam: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dev: Option<DeviceId>,
    exp: u64,
}

/// Writes a key beside `path` and links it there, so that nobody ever sees half of one, and none is replaced.
fn create(path: &Path) -> Result<(), KeyError> {
    let mut bytes = [0; KEY_BYTES];
    getrandom::fill(&mut bytes).map_err(KeyError::Entropy)?;
    let suffix = getrandom::u64().map_err(KeyError::Entropy)?;
    let draft = path.with_extension(format!("{suffix:016x}.draft"));
    let io = |source| KeyError::Io { path: path.to_owned(), source };

    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft).map_err(io)?;
    let linked = file.write_all(&bytes).and_then(|()| file.sync_all()).and_then(|()| fs::hard_link(&draft, path));
    fs::remove_file(&draft).map_err(io)?;
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        other => other.map_err(io)?,
    }
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(io)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const NOW: UnixMs = UnixMs(1_800_000_000_000);

    fn claims() -> Claims {
        Claims {
            user: UserId(7),
            family: u64::MAX,
            device: Some("tab-1".parse().expect("a device id")),
            expires_ms: NOW.plus_ms(1_000),
        }
    }

    /// What the key of zeros thinks of a token at a time.
    fn check(token: &str, wall: UnixMs, expected: Result<Claims, TokenError>) {
        assert_eq!(TokenKey::new(&[0; KEY_BYTES]).verify(token, wall), expected, "{token} at {wall:?}");
    }

    #[test]
    fn a_token_counts_until_its_time_and_only_under_its_key() {
        let token = TokenKey::new(&[0; KEY_BYTES]).issue(&claims());
        check(&token, NOW, Ok(claims()));
        check(&token, NOW.plus_ms(999), Ok(claims()));
        check(&token, NOW.plus_ms(1_000), Err(TokenError::Expired { expired_ms: NOW.0 + 1_000 }));
        check(&TokenKey::new(&[1; KEY_BYTES]).issue(&claims()), NOW, Err(TokenError::Invalid));
        let free = Claims { device: None, family: FAMILY_OPERATOR, ..claims() };
        check(&TokenKey::new(&[0; KEY_BYTES]).issue(&free), NOW, Ok(free));
    }

    #[test]
    fn a_token_has_this_form_which_holders_of_the_key_make_elsewhere() {
        let key = TokenKey::new(&[0x0b; KEY_BYTES]);
        let claims =
            Claims { user: UserId(7), family: FAMILY_OPERATOR, device: None, expires_ms: UnixMs(1_900_000_000_000) };
        let token = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI3IiwiZmFtIjoiMCIsImV4cCI6MTkwMDAwMDAwMH0.fjEBLxnPO7H7tx_JKdvMfU-4SksCWE7u2cKIY7px4r0";
        assert_eq!(key.verify(token, NOW), Ok(claims.clone()));
        assert_eq!(key.issue(&claims), token);
    }

    #[test]
    fn what_is_not_signed_with_hs256_is_no_token() {
        use base64::Engine as _;
        let encode = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
        let claims = encode(r#"{"sub":"7","fam":"1","exp":9999999999}"#);
        check("", NOW, Err(TokenError::Invalid));
        check("a.b.c", NOW, Err(TokenError::Invalid));
        check(&format!("{}.{claims}.", encode(r#"{"alg":"none"}"#)), NOW, Err(TokenError::Invalid));
        check(&format!("{}.{claims}.AAAA", encode(r#"{"alg":"HS256"}"#)), NOW, Err(TokenError::Invalid));
        check(&"a".repeat(TOKEN_BYTES_MAX as usize + 1), NOW, Err(TokenError::Invalid));
        let longer = jsonwebtoken::encode(
            &Header::new(Algorithm::HS512),
            &Body { sub: UserId(7), fam: "1".into(), dev: None, exp: 9_999_999_999 },
            &EncodingKey::from_secret(&[0; KEY_BYTES]),
        )
        .expect("the key serves every HMAC");
        check(&longer, NOW, Err(TokenError::Invalid));
    }

    #[test]
    fn a_key_is_made_once_and_only_its_owner_may_read_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("token.key");
        let made = TokenKey::load_or_create(&path).expect("made");
        assert_eq!(fs::metadata(&path).expect("a file").mode() & 0o7777, 0o600);
        let names = fs::read_dir(&directory).expect("a directory").count();
        assert_eq!(names, 1, "no draft is left");

        let read = TokenKey::load_or_create(&path).expect("read");
        assert_eq!(read.verify(&made.issue(&claims()), NOW), Ok(claims()));
    }

    #[test]
    fn a_key_that_others_may_read_or_that_is_none_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("token.key");
        let check = |bytes: &[u8], mode, expected: &str| {
            fs::write(&path, bytes).expect("written");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
            let error = TokenKey::load_or_create(&path).expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(&[0; 32], 0o640, "mode 0640");
        check(&[0; 32], 0o604, "chmod 600");
        check(&[0; 31], 0o600, "31 bytes");
        check(&[0; 99], 0o600, "33 bytes");
        check(&[], 0o600, "0 bytes");
        let missing = directory.path().join("none").join("token.key");
        assert!(matches!(TokenKey::load_or_create(&missing), Err(KeyError::Io { .. })));
    }
}
