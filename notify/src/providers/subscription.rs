//! A browser's push subscription, as a page gets it from `pushManager.subscribe` and registers it.
//!
//! Owns its form and its check, at registration as at use, and the encryption for it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Uri;
use serde::Deserialize;
use web_push_native::p256::PublicKey;
use web_push_native::{Auth, encrypt};

use super::guard::{EndpointError, Guard};

/// Bytes of a subscription as JSON: an endpoint, and keys of a fixed length.
pub const SUBSCRIPTION_BYTES_MAX: usize = 4_096;

/// Why a subscription is refused: its registrant's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SubscriptionError {
    /// It is not the JSON of a `PushSubscription`.
    #[error("the subscription is not a PushSubscription: {{endpoint, keys: {{p256dh, auth}}}}")]
    Form,
    /// It is too long.
    #[error("the subscription has {bytes} bytes, the limit is {SUBSCRIPTION_BYTES_MAX}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Its endpoint is none that is connected to.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// `keys.p256dh` is no public key.
    #[error("keys.p256dh is not a point of the curve P-256 in base64url")]
    Key,
    /// `keys.auth` is no secret of 16 bytes.
    #[error("keys.auth is not 16 bytes in base64url")]
    Auth,
}

/// A subscription that was checked.
#[derive(Clone)]
pub struct Subscription {
    endpoint: Uri,
    key: PublicKey,
    auth: [u8; 16],
}

#[derive(Deserialize)]
struct Form {
    endpoint: String,
    keys: Keys,
}

#[derive(Deserialize)]
struct Keys {
    p256dh: String,
    auth: String,
}

/// The host that a subscription's text names, without looking at the rest of it.
pub(super) fn host(text: &str) -> Option<String> {
    let form: Form = serde_json::from_str(text).ok()?;
    let uri: Uri = form.endpoint.parse().ok()?;
    uri.host().map(str::to_ascii_lowercase)
}

impl Subscription {
    /// Reads the JSON of a `PushSubscription`. Fields that are not known are left out: browsers add some.
    ///
    /// # Errors
    /// The registrant's fault.
    pub fn parse(text: &str, guard: Guard) -> Result<Self, SubscriptionError> {
        if text.len() > SUBSCRIPTION_BYTES_MAX {
            return Err(SubscriptionError::TooLong { bytes: text.len() });
        }
        let form: Form = serde_json::from_str(text).map_err(|_| SubscriptionError::Form)?;
        let endpoint = guard.check_endpoint(&form.endpoint)?;
        let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok();
        let key = bytes(&form.keys.p256dh).and_then(|key| PublicKey::from_sec1_bytes(&key).ok());
        let auth = bytes(&form.keys.auth).and_then(|auth| auth.try_into().ok());
        Ok(Self { endpoint, key: key.ok_or(SubscriptionError::Key)?, auth: auth.ok_or(SubscriptionError::Auth)? })
    }

    /// Where its messages are sent.
    #[must_use]
    pub fn endpoint(&self) -> &Uri {
        &self.endpoint
    }

    /// A message as only the browser can read it: 103 bytes more.
    pub(super) fn encrypt(&self, plain: Vec<u8>) -> Result<Vec<u8>, &'static str> {
        encrypt(plain, &self.key, &Auth::from(self.auth)).map_err(|_| "it cannot be encrypted")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscription_is_checked_where_it_is_registered() {
        const KEY: &str = "BLn9b-VR0ca83knDNZ32dCHGyjJp-1riX9ZTN40MqV8K_LpQmLqxC_DoHvqvFXO_nGdAB4W9dogZb_sM-uV4JbY";
        const AUTH: &str = "_ordMnz7uTCmrpBTeUV4Bw";
        let check = |endpoint: &str, key: &str, auth: &str, expected: Result<(), SubscriptionError>| {
            let text = format!(
                r#"{{"endpoint":"{endpoint}","expirationTime":null,"keys":{{"p256dh":"{key}","auth":"{auth}"}}}}"#
            );
            assert_eq!(Subscription::parse(&text, Guard::default()).map(|_| ()), expected, "{text}");
        };
        const GOOD: &str = "https://push.example/a";
        check(GOOD, KEY, AUTH, Ok(()));
        check(GOOD, KEY, &format!("{AUTH}=="), Ok(()));
        check(GOOD, &KEY[1..], AUTH, Err(SubscriptionError::Key));
        check(GOOD, "", AUTH, Err(SubscriptionError::Key));
        check(GOOD, &format!("C{}", &KEY[1..]), AUTH, Err(SubscriptionError::Key));
        check(GOOD, KEY, &AUTH[4..], Err(SubscriptionError::Auth));
        check(GOOD, KEY, "!", Err(SubscriptionError::Auth));
        check("https://10.0.0.1/a", KEY, AUTH, Err(EndpointError::PrivateAddress.into()));
        check("http://push.example/a", KEY, AUTH, Err(EndpointError::NotHttps.into()));
        let form = |text: &str| Subscription::parse(text, Guard::default()).map(|_| ());
        assert_eq!(form("{}"), Err(SubscriptionError::Form));
        assert_eq!(form("https://push.example/a"), Err(SubscriptionError::Form));
        assert_eq!(form(&" ".repeat(5_000)), Err(SubscriptionError::TooLong { bytes: 5_000 }));
    }
}
