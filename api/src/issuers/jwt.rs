//! A token of an issuer (JSON Web Token, RFC 7519): which key it is signed with, and whom it speaks for.
//!
//! Owns the rules: the algorithm is one that the issuer is listed with and the key's own, the signature is the key's, the
//! issuer and the audience are the listed ones, the time is now. What is claimed beyond that is taken where it is legal
//! here, and left out where it is not.

use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chat::accounts::External;
use jsonwebtoken::{Algorithm, Validation};
use schema::{DeviceId, UnixMs};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::draw;
use super::keys::{ALGORITHMS, Key, KeySet};
use super::ring::{Missing, Ring};
use crate::names;
use crate::token::TokenError;

/// Bytes of what an issuer calls a user or a login: some have mail addresses or URLs.
pub(super) const SUBJECT_BYTES_MAX: usize = 255;
/// Bytes of a picture's URL.
pub(crate) const PICTURE_BYTES_MAX: usize = 2_048;
/// Bytes of a key's name.
const KEY_ID_BYTES_MAX: usize = 256;
/// Keys that are tried for a token that does not name its own.
const KEYS_TRIED_MAX: usize = 8;

/// An issuer whose tokens count.
#[derive(Debug)]
pub(super) struct Issuer {
    /// The name that its tokens give it (`iss`).
    pub(super) name: String,
    /// The namespace of its users' names.
    pub(super) namespace: String,
    /// Its tokens are for one of these (`aud`); for anybody if there is none.
    pub(super) audience: Vec<String>,
    pub(super) algorithms: Vec<Algorithm>,
    /// By how much its clock and ours may differ.
    pub(super) leeway_s: u64,
    pub(super) claims: ClaimNames,
    pub(super) source: Source,
}

/// Source of an issuer's keys.
#[derive(Debug)]
pub(super) enum Source {
    /// A file: they do not change while the node runs.
    File(KeySet),
    /// A key set that is fetched.
    Url(String, Ring),
}

/// Names of the claims that say something of the user.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ClaimNames {
    pub(super) user: String,
    pub(super) name: String,
    pub(super) picture: String,
    pub(super) session: String,
    pub(super) device: String,
}

impl Default for ClaimNames {
    fn default() -> Self {
        let [user, name, picture, session, device] = ["sub", "name", "picture", "sid", "device_id"].map(str::to_owned);
        Self { user, name, picture, session, device }
    }
}

/// The parts of a token's header that mean something here.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    /// Names of fields without which the token is not understood: there is none that we know.
    crit: Option<Value>,
}

/// The issuer that a token says it is of, which nobody has verified.
pub(super) fn issuer_of(token: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Said {
        iss: Option<String>,
    }
    let mut parts = token.split('.');
    let (Some(_), Some(payload), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return None;
    };
    serde_json::from_slice::<Said>(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?.iss
}

impl Issuer {
    /// User whom a token speaks for, and the one device that may use it.
    pub(super) fn verify(&self, token: &str, wall: UnixMs) -> Result<(External, Option<DeviceId>), TokenError> {
        let header = header(token).ok_or(TokenError::Invalid)?;
        let named = ALGORITHMS.iter().find(|(name, _)| *name == header.alg).map(|&(_, algorithm)| algorithm);
        let algorithm = named.filter(|named| self.algorithms.contains(named)).ok_or(TokenError::Invalid)?;
        let id = header.kid.as_deref();
        if header.crit.is_some() || id.is_some_and(|id| id.len() > KEY_ID_BYTES_MAX) {
            return Err(TokenError::Invalid);
        }
        let claims = match &self.source {
            Source::File(keys) => signed(token, keys, id, algorithm).ok_or(TokenError::Invalid)?,
            // That a key of the token's name is known says nothing: there are issuers that give a new key the name of the
            // one before, or no name.
            Source::Url(_, ring) => signed(token, &ring.keys(), id, algorithm).ok_or_else(|| missing(ring, token))?,
        };
        self.read(&claims, wall)
    }

    /// User and device that verified claims name.
    fn read(&self, claims: &Map<String, Value>, wall: UnixMs) -> Result<(External, Option<DeviceId>), TokenError> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        let seconds = |name: &str| match claims.get(name) {
            None => Ok(None),
            Some(value) => seconds(value).map(Some).ok_or(TokenError::Invalid),
        };
        if text("iss") != Some(&self.name) || !self.is_for_us(claims.get("aud")) {
            return Err(TokenError::Invalid);
        }
        let leeway_ms = self.leeway_s * 1_000;
        let (now_s, ends_s) = (wall.0 / 1_000, seconds("exp")?.ok_or(TokenError::Invalid)?);
        let expires_ms = UnixMs(ends_s.saturating_mul(1_000)).plus_ms(leeway_ms);
        if expires_ms <= wall {
            return Err(TokenError::Expired { expired_ms: expires_ms.0 });
        }
        let issued_s = seconds("iat")?;
        let is_early = |at_s: Option<u64>| at_s.is_some_and(|at_s| at_s > now_s + self.leeway_s);
        if is_early(issued_s) || is_early(seconds("nbf")?) {
            return Err(TokenError::Invalid);
        }
        let subject = named(claims.get(&self.claims.user)).ok_or(TokenError::Invalid)?;
        let session = match claims.get(&self.claims.session) {
            None => String::new(),
            session => named(session).ok_or(TokenError::Invalid)?,
        };
        // One that is not understood is not none: then any device could use the token.
        let device = match claims.get(&self.claims.device) {
            None => None,
            Some(device) => Some(device.as_str().and_then(|device| device.parse().ok()).ok_or(TokenError::Invalid)?),
        };
        let external = External {
            namespace: self.namespace.clone(),
            subject,
            session,
            issued_s: issued_s.unwrap_or(ends_s),
            expires_ms,
            display_name: text(&self.claims.name).and_then(display_name),
            picture: text(&self.claims.picture).and_then(picture),
            draw: draw()?,
        };
        Ok((external, device))
    }

    /// `true` if `aud`, a text or a list of them, is us.
    fn is_for_us(&self, audience: Option<&Value>) -> bool {
        let is_ours = |one: &Value| one.as_str().is_some_and(|one| self.audience.iter().any(|ours| ours == one));
        match audience {
            _ if self.audience.is_empty() => true,
            Some(Value::Array(several)) => several.iter().any(is_ours),
            Some(one) => is_ours(one),
            None => false,
        }
    }
}

fn header(token: &str) -> Option<Header> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').next()?).ok()?).ok()
}

/// The claims of a token, if one of the keys that it may be signed with has signed it.
fn signed(token: &str, keys: &KeySet, id: Option<&str>, algorithm: Algorithm) -> Option<Map<String, Value>> {
    let mut validation = Validation::new(algorithm);
    // All of it is compared in this file, by the caller's clock.
    (validation.validate_exp, validation.validate_aud) = (false, false);
    validation.required_spec_claims.clear();
    let by = |key: &Key| jsonwebtoken::decode(token, &key.key, &validation).ok().map(|decoded| decoded.claims);
    keys.of(id, algorithm).take(KEYS_TRIED_MAX).find_map(by)
}

/// A token whose key is not there.
fn missing(ring: &Ring, token: &str) -> TokenError {
    match ring.missing(token, Instant::now()) {
        Missing::Unknown => TokenError::Invalid,
        Missing::Later { retry_after_ms } => TokenError::Later { retry_after_ms },
    }
}

/// A time in Unix seconds, whole or not.
fn seconds(value: &Value) -> Option<u64> {
    // Beyond 2^53 no clock of ours comes, and a float is not exact.
    let whole = |float: f64| (0.0..9e15).contains(&float).then_some(float as u64);
    value.as_u64().filter(|&whole| whole < 1 << 53).or_else(|| value.as_f64().and_then(whole))
}

/// Name by which an issuer calls somebody: a text, or a number as its digits.
fn named(value: Option<&Value>) -> Option<String> {
    let name = match value? {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_u64() => number.to_string(),
        _ => return None,
    };
    is_subject(&name).then_some(name)
}

/// `true` if a text may be what others call a user.
pub(crate) fn is_subject(name: &str) -> bool {
    (1..=SUBJECT_BYTES_MAX).contains(&name.len()) && !name.chars().any(char::is_control)
}

/// A name that is legal as a display name.
fn display_name(text: &str) -> Option<String> {
    names::title("name", text).ok().map(str::to_owned)
}

/// The URL of a picture that a page may show.
pub(crate) fn picture(url: &str) -> Option<String> {
    let fits =
        url.len() <= PICTURE_BYTES_MAX && url.starts_with("https://") && url.bytes().all(|b| b.is_ascii_graphic());
    fits.then(|| url.to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use fakes::issuer::SigningKey;
    use serde_json::json;

    use super::super::config::Issuers;
    use super::*;

    const NOW: UnixMs = UnixMs(1_800_000_000_000);
    const NOW_S: u64 = NOW.0 / 1_000;

    /// An issuer called `iss` of these keys.
    fn issuer(keys: KeySet, algorithms: &[Algorithm]) -> Issuer {
        Issuer {
            name: "iss".to_owned(),
            namespace: "iss".to_owned(),
            audience: vec!["chat".to_owned()],
            algorithms: algorithms.to_vec(),
            leeway_s: 30,
            claims: ClaimNames::default(),
            source: Source::File(keys),
        }
    }

    fn set(keys: &[&SigningKey]) -> KeySet {
        let document = json!({"keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>()});
        KeySet::parse(document.to_string().as_bytes()).expect("keys")
    }

    fn claims() -> Value {
        json!({"iss": "iss", "aud": "chat", "sub": "ann", "iat": NOW_S - 60, "exp": NOW_S + 600})
    }

    /// User whom it speaks for, or what is wrong.
    fn told(issuer: &Issuer, token: &str) -> String {
        match issuer.verify(token, NOW) {
            Ok((external, _)) => external.subject,
            Err(TokenError::Invalid) => "invalid".to_owned(),
            Err(TokenError::Expired { .. }) => "expired".to_owned(),
            Err(TokenError::Later { .. }) => "later".to_owned(),
        }
    }

    #[test]
    fn a_token_is_signed_by_a_key_of_its_issuer_with_that_keys_algorithm() {
        const ALL: [Algorithm; 3] = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];
        let (rsa, ec, ed) = (SigningKey::rsa("r"), SigningKey::ec("e"), SigningKey::ed("d"));
        let issuer = issuer(set(&[&rsa, &ec, &ed]), &ALL);
        let check = |token: &str, expected: &str| assert_eq!(told(&issuer, token), expected, "{token}");
        for key in [&rsa, &ec, &ed] {
            check(&key.sign(&claims()), "ann");
            check(&key.sign_with(&json!({"alg": key.algorithm()}), &claims()), "ann");
            // Of what was signed nothing is changed without notice.
            let token = key.sign(&claims());
            let (head, signature) = token.rsplit_once('.').expect("three parts");
            let forged = URL_SAFE_NO_PAD.encode(claims().to_string().replace("ann", "bob"));
            let header = head.split('.').next().expect("a header");
            check(&format!("{header}.{forged}.{signature}"), "invalid");
            check(&format!("{head}."), "invalid");
            check(head, "invalid");
            check(&format!("{token}.x"), "invalid");
            // Of another key of the same kind, and name.
            let other = if key.algorithm() == "ES256" { SigningKey::ec("e") } else { SigningKey::ed("d") };
            if other.algorithm() == key.algorithm() {
                check(&other.sign(&claims()), "invalid");
            }
            // Nobody has signed it.
            for alg in ["none", "None", "NONE", ""] {
                let none = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
                check(&format!("{}.{}.", none(json!({"alg": alg, "kid": key.id})), none(claims())), "invalid");
                check(&key.sign_with(&json!({"alg": alg, "kid": key.id}), &claims()), "invalid");
            }
            // The public key, which everybody knows, as a secret: of the file that the operator has, and of the set.
            for public in
                [key.public_pem().into_bytes(), key.public_pem().trim_end().into(), key.jwk().to_string().into()]
            {
                for id in ["", key.id.as_str()] {
                    check(&SigningKey::secret(id, &public).sign(&claims()), "invalid");
                }
            }
            // Its name with another algorithm.
            for alg in ["RS256", "ES256", "EdDSA", "HS256", "PS256", "RS512"] {
                if alg != key.algorithm() {
                    check(&key.sign_with(&json!({"alg": alg, "kid": key.id}), &claims()), "invalid");
                }
            }
            check(&key.sign_with(&json!({"alg": key.algorithm(), "kid": "nobody"}), &claims()), "invalid");
            check(
                &key.sign_with(&json!({"alg": key.algorithm(), "crit": ["b64"], "b64": false}), &claims()),
                "invalid",
            );
            check(&key.sign_with(&json!({"alg": key.algorithm(), "kid": "k".repeat(300)}), &claims()), "invalid");
        }
    }

    #[test]
    fn an_algorithm_that_the_issuer_is_not_listed_with_does_not_count() {
        let (rsa, ec) = (SigningKey::rsa("r"), SigningKey::ec("e"));
        let issuer = issuer(set(&[&rsa, &ec]), &[Algorithm::ES256]);
        assert_eq!(told(&issuer, &ec.sign(&claims())), "ann");
        assert_eq!(told(&issuer, &rsa.sign(&claims())), "invalid");
    }

    #[test]
    fn a_secret_signs_with_hs256_and_a_public_key_is_none() {
        let secret = [7; 32];
        let issuer = issuer(KeySet::of_secret(&secret).expect("long enough"), &[Algorithm::HS256]);
        assert_eq!(told(&issuer, &SigningKey::secret("", &secret).sign(&claims())), "ann");
        assert_eq!(told(&issuer, &SigningKey::secret("any", &secret).sign(&claims())), "ann");
        assert_eq!(told(&issuer, &SigningKey::secret("", &[8; 32]).sign(&claims())), "invalid");
        assert_eq!(told(&issuer, &SigningKey::secret("", b"").sign(&claims())), "invalid");
        let header = json!({"alg": "HS512"});
        assert_eq!(told(&issuer, &SigningKey::secret("", &secret).sign_with(&header, &claims())), "invalid");
    }

    #[test]
    fn what_is_claimed_has_to_be_of_this_issuer_for_us_and_now() {
        let key = SigningKey::ed("");
        let issuer = issuer(set(&[&key]), &[Algorithm::EdDSA]);
        let check = |change: Value, expected: &str| {
            let mut claims = claims();
            for (name, value) in change.as_object().expect("an object") {
                match value {
                    Value::Null => drop(claims.as_object_mut().expect("an object").remove(name)),
                    value => claims[name] = value.clone(),
                }
            }
            assert_eq!(told(&issuer, &key.sign(&claims)), expected, "{change}");
        };
        check(json!({}), "ann");
        check(json!({"iss": "other"}), "invalid");
        check(json!({"iss": null}), "invalid");
        check(json!({"iss": ["iss"]}), "invalid");
        check(json!({"aud": ["mail", "chat"]}), "ann");
        check(json!({"aud": ["mail"]}), "invalid");
        check(json!({"aud": "chatter"}), "invalid");
        check(json!({"aud": null}), "invalid");
        check(json!({"aud": []}), "invalid");
        check(json!({"aud": 7}), "invalid");
        check(json!({"exp": NOW_S - 29}), "ann");
        check(json!({"exp": NOW_S - 30}), "expired");
        check(json!({"exp": 0}), "expired");
        check(json!({"exp": null}), "invalid");
        check(json!({"exp": "2099"}), "invalid");
        check(json!({"exp": -1}), "invalid");
        check(json!({"exp": NOW_S as f64 + 0.5}), "ann");
        check(json!({"exp": 1e300}), "invalid");
        check(json!({"exp": u64::MAX}), "invalid");
        check(json!({"nbf": NOW_S + 30}), "ann");
        check(json!({"nbf": NOW_S + 31}), "invalid");
        check(json!({"nbf": "x"}), "invalid");
        check(json!({"iat": NOW_S + 30}), "ann");
        check(json!({"iat": NOW_S + 31}), "invalid");
        check(json!({"iat": null}), "ann");
        check(json!({"sub": null}), "invalid");
        check(json!({"sub": ""}), "invalid");
        check(json!({"sub": "a\u{0}b"}), "invalid");
        check(json!({"sub": "x".repeat(256)}), "invalid");
        check(json!({"sub": "x".repeat(255)}), &"x".repeat(255));
        check(json!({"sub": 42}), "42");
        check(json!({"sub": 4.5}), "invalid");
        check(json!({"sub": ["ann"]}), "invalid");
        check(json!({"sub": "안나|β"}), "안나|β");
        check(json!({"sid": ""}), "invalid");
        check(json!({"sid": "s1"}), "ann");
        check(json!({"device_id": "not legal"}), "invalid");
        // A binding that is not understood is not none.
        check(json!({"device_id": 7}), "invalid");
        check(json!({"device_id": ["d1"]}), "invalid");
        check(json!({"device_id": "d1"}), "ann");
    }

    #[test]
    fn what_is_said_of_the_user_is_taken_where_it_is_legal() {
        let key = SigningKey::ed("");
        let mut issuer = issuer(set(&[&key]), &[Algorithm::EdDSA]);
        issuer.claims.user = "mail".to_owned();
        let check = |name: &str, url: &str, expected: (Option<&str>, Option<&str>)| {
            let mut claims = claims();
            (claims["mail"], claims["name"], claims["picture"]) = (json!("a@b"), json!(name), json!(url));
            let (external, device) = issuer.verify(&key.sign(&claims), NOW).expect("valid");
            assert_eq!((external.display_name.as_deref(), external.picture.as_deref()), expected, "{name} {url}");
            assert_eq!((external.subject.as_str(), external.issued_s, device), ("a@b", NOW_S - 60, None));
            assert_eq!(external.expires_ms, NOW.plus_ms(630_000));
        };
        check(" Ann 안나 ", "https://example.org/a.png", (Some("Ann 안나"), Some("https://example.org/a.png")));
        check("", "http://example.org/a.png", (None, None));
        check("a\nb", "javascript:alert(1)", (None, None));
        check("\u{202E}nna", "https://example.org/a b", (None, None));
        check(&"x".repeat(200), &format!("https://example.org/{}", "x".repeat(2_100)), (None, None));
    }

    #[test]
    fn keys_of_other_kinds_are_left_out_of_a_set_and_none_of_them_harms() {
        let (rsa, ec, ed) = (SigningKey::rsa("r"), SigningKey::ec("e"), SigningKey::ed("d"));
        let check = |keys: Vec<Value>, expected: Result<usize, &str>| {
            let document = json!({"keys": keys}).to_string();
            match (KeySet::parse(document.as_bytes()), expected) {
                (Ok(set), Ok(expected)) => assert_eq!(set.len(), expected, "{document}"),
                (Err(error), Err(expected)) => assert!(error.contains(expected), "{error}"),
                (found, _) => panic!("{found:?} of {document}"),
            }
        };
        let with = |key: &SigningKey, name: &str, value: Value| {
            let mut jwk = key.jwk();
            jwk[name] = value;
            jwk
        };
        const NONE: Result<usize, &str> = Err("no key that can be used");
        check(vec![rsa.jwk(), ec.jwk(), ed.jwk()], Ok(3));
        check(vec![], NONE);
        check(vec![json!({"kty": "oct", "k": "AAAA", "alg": "HS256"})], NONE);
        check(vec![json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA"}), ed.jwk()], Ok(1));
        check(vec![json!(7), json!("x"), json!(null), json!({}), ed.jwk()], Ok(1));
        check(vec![with(&ed, "use", json!("enc"))], NONE);
        check(vec![with(&rsa, "alg", json!("RS512"))], NONE);
        check(vec![with(&rsa, "alg", json!("HS256"))], NONE);
        check(vec![with(&ed, "alg", json!("Ed25519x"))], NONE);
        // Numbers that are no key's.
        check(vec![with(&ed, "x", json!("AAAA"))], NONE);
        check(vec![with(&ed, "x", json!(""))], NONE);
        check(vec![with(&ed, "x", json!("A".repeat(64)))], NONE);
        check(vec![with(&ed, "x", json!("?"))], NONE);
        check(vec![with(&ec, "x", json!("AAAA"))], NONE);
        check(vec![with(&ec, "y", ec.jwk()["x"].clone())], NONE);
        check(vec![with(&ec, "crv", json!("P-384"))], NONE);
        check(vec![with(&rsa, "n", json!("AQAB"))], NONE);
        check(vec![with(&rsa, "n", json!("_".repeat(1_400)))], NONE);
        check(vec![ed.jwk(); 64], Ok(64));
        check(vec![ed.jwk(); 65], Err("65 keys"));
        assert!(KeySet::parse(b"").is_err() && KeySet::parse(b"[]").is_err() && KeySet::parse(b"{}").is_err());
        assert!(KeySet::parse("[".repeat(100_000).as_bytes()).is_err());
    }

    #[test]
    fn a_token_of_a_key_that_is_not_known_is_to_come_again_until_keys_were_fetched() {
        let (old, new) = (SigningKey::ed("old"), SigningKey::ed("new"));
        let mut issuer = issuer(KeySet::default(), &[Algorithm::EdDSA]);
        let ring = Ring::new(std::time::Duration::from_secs(300));
        issuer.source = Source::Url(String::new(), ring);
        let ring = |issuer: &Issuer, keys: Option<KeySet>| {
            let Source::Url(_, ring) = &issuer.source else { panic!("it is one") };
            let now = Instant::now();
            ring.begins(now);
            ring.ends(now, keys);
        };
        let check = |token: &str, expected: &str| assert_eq!(told(&issuer, token), expected, "{token}");
        let nameless = |key: &SigningKey| key.sign_with(&json!({"alg": "EdDSA"}), &claims());
        check(&old.sign(&claims()), "later");
        ring(&issuer, Some(set(&[&old])));
        check(&old.sign(&claims()), "ann");
        check(&nameless(&old), "ann");
        // One that is signed by another key than the one it names may be of a newer key of that name.
        let same_name = SigningKey::ed("old");
        check(&same_name.sign(&claims()), "later");
        ring(&issuer, Some(set(&[&old])));
        check(&same_name.sign(&claims()), "invalid");
        ring(&issuer, Some(set(&[&same_name])));
        check(&same_name.sign(&claims()), "ann");
        // A key without a name is one for any name, and no reason to fetch none after it.
        let first = SigningKey::ed("");
        let mut unnamed = first.jwk();
        unnamed.as_object_mut().expect("an object").remove("kid");
        let unnamed = KeySet::parse(json!({"keys": [unnamed]}).to_string().as_bytes()).expect("keys");
        ring(&issuer, Some(unnamed));
        let rotated = SigningKey::ed("rotated");
        check(&first.sign(&claims()), "ann");
        check(&rotated.sign(&claims()), "later");
        ring(&issuer, Some(set(&[&rotated])));
        check(&rotated.sign(&claims()), "ann");
        ring(&issuer, Some(set(&[&old])));
        check(&new.sign(&claims()), "later");
        check(&nameless(&new), "later");
        ring(&issuer, None);
        check(&new.sign(&claims()), "later");
        check(&old.sign(&claims()), "ann");
        ring(&issuer, Some(set(&[&new])));
        check(&new.sign(&claims()), "ann");
        check(&nameless(&new), "ann");
        // It came before the keys were fetched that lack its own; another has not, and may be of a key newer than these.
        check(&old.sign(&claims()), "invalid");
        let another = old.sign(&json!({"iss": "iss"}));
        check(&another, "later");
        ring(&issuer, Some(set(&[&new])));
        check(&another, "invalid");
    }

    #[test]
    fn the_documented_configuration_and_what_is_wrong_with_others() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("auth.toml");
        let file = |name: &str, bytes: &[u8], mode| {
            use std::os::unix::fs::PermissionsExt as _;
            let path = directory.path().join(name);
            std::fs::write(&path, bytes).expect("written");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("set");
        };
        file("backend.pem", SigningKey::ec("").public_pem().as_bytes(), 0o644);
        for name in ["shop.secret", "proxy.secret"] {
            file(name, &[b'x'; 40], 0o600);
        }
        file("short", &[b'x'; 31], 0o600);
        file("open", &[b'x'; 40], 0o644);
        let document = include_str!("../../../auth.toml");
        let keys: String = document
            .lines()
            .filter_map(|line| line.strip_prefix('#').filter(|line| !line.starts_with(' ')))
            .collect::<Vec<_>>()
            .join("\n");
        let documented = Issuers::parse(&path, &keys).unwrap_or_else(|error| panic!("{error:?} in {keys}"));
        assert!(
            documented.needs_network() && documented.find(&SigningKey::ec("").sign(&json!({"iss": "shop"}))).is_some()
        );
        assert!(Issuers::parse(&path, document).expect("comments alone").is_empty());

        let check = |text: &str, expected: &str| {
            let error = Issuers::parse(&path, text).expect_err(text);
            let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            let error = format!("{error} {source}").replace(&directory.path().display().to_string(), "DIR");
            assert!(error.contains(expected), "{error} of {text}");
        };
        let one = |keys: &str| format!("[[issuer]]\nissuer = \"i\"\n{keys}");
        const URL: &str = "algorithms = [\"ES256\"]\naudience = \"chat\"\n";
        assert!(Issuers::parse(&path, &one(&format!("{URL}jwks_url = \"https://i/k\""))).is_ok());
        for here in ["http://127.0.0.1:1/k", "http://[::1]:1/k", "http://localhost/k"] {
            assert!(Issuers::parse(&path, &one(&format!("{URL}jwks_url = \"{here}\""))).is_ok(), "{here}");
        }
        for elsewhere in ["http://i/k", "http://10.0.0.1/k", "ftp://i/k", "http://127.0.0.1.example.org/k"] {
            check(&one(&format!("{URL}jwks_url = \"{elsewhere}\"")), "DIR/auth.toml: i: jwks_url is not https");
        }
        for none in ["", "/k", "i", "https://"] {
            check(&one(&format!("{URL}jwks_url = \"{none}\"")), "jwks_url is no");
        }
        check(&one("algorithms = [\"ES256\"]\njwks_url = \"https://i/k\""), "audience is missing");
        check(
            &one(&URL.replace("ES256", "HS256")).replace("audience", "jwks_url = \"https://i\"\naudience"),
            "has HS256",
        );
        check(&one("algorithms = [\"none\"]"), "has \"none\", there are RS256");
        check(&one("algorithms = []\nsecret_file = \"shop.secret\""), "algorithms is empty");
        check(
            &one("algorithms = [\"HS256\", \"ES256\"]\nsecret_file = \"shop.secret\""),
            "algorithms is not [\"HS256\"]",
        );
        check(&one("algorithms = [\"ES256\"]\nsecret_file = \"shop.secret\""), "algorithms is not");
        check(&one("algorithms = [\"HS256\"]\nsecret_file = \"short\""), "31 bytes");
        check(&one("algorithms = [\"HS256\"]\nsecret_file = \"open\""), "mode 0644");
        check(&one("algorithms = [\"HS256\"]\nsecret_file = \"missing\""), "cannot be read: DIR/missing");
        check(&one("algorithms = [\"HS256\"]\npublic_key_file = \"backend.pem\""), "is of no use for HS256");
        check(&one("algorithms = [\"RS256\"]\npublic_key_file = \"backend.pem\""), "is no public key for RS256");
        check(&one("algorithms = [\"ES256\", \"RS256\"]\npublic_key_file = \"backend.pem\""), "several");
        check(&one("algorithms = [\"ES256\"]\npublic_key_file = \"shop.secret\""), "is no public key for ES256");
        check(&one("algorithms = [\"ES256\"]"), "one of the three");
        check(&one(&format!("{URL}jwks_url = \"https://i\"\nsecret_file = \"x\"")), "one of the three");
        check(&one(&format!("{URL}jwks_url = \"https://i\"\nleeway_seconds = 301")), "leeway_seconds is more than 300");
        check(&one(&format!("{URL}jwks_url = \"https://i\"\nrefresh_seconds = 1")), "refresh_seconds is none of 10");
        check(&one(&format!("{URL}jwks_url = \"https://i\"\ncolour = 1")), "colour");
        check(&one(&format!("{URL}jwks_url = \"https://i\"\nclaims = {{ mail = \"x\" }}")), "mail");
        check("[[issuer]]\nissuer = \"\"\nalgorithms = [\"ES256\"]", "issuer is what its tokens have as iss");
        let twice = one("algorithms = [\"HS256\"]\nsecret_file = \"shop.secret\"\n");
        check(&format!("{twice}{twice}"), "listed twice");
        check("[proxy]\nurl = \"http://i\"\nsecret_file = \"proxy.secret\"", "proxy: url is not https");
        check("[proxy]\nurl = \"https://i\"\nsecret_file = \"open\"", "proxy: secret_file has mode 0644");
        check("[proxy]\nurl = \"https://i\"\nsecret_file = \"proxy.secret\"\ntimeout_ms = 0", "timeout_ms is none of");
        // Nobody speaks for the applications' own accounts.
        const SECRET: &str = "algorithms = [\"HS256\"]\nsecret_file = \"shop.secret\"\n";
        check(
            &one(&format!("{SECRET}namespace = \"system\"")),
            "i: namespace is that of the applications' own accounts",
        );
        check(&one(SECRET).replace("\"i\"", "\"system\""), "system: namespace is that of");
        check(&one(&format!("{SECRET}namespace = \"\"")), "namespace has 1 to 255 bytes");
        const ASKED: &str = "[proxy]\nurl = \"https://i\"\nsecret_file = \"proxy.secret\"\n";
        check(&format!("{ASKED}namespace = \"system\""), "proxy: namespace is that of");
        // An issuer and the proxy speak of the same users where the operator says so, and not by the proxy's default.
        let with = |issuer: &str, proxy: &str| format!("{}{ASKED}{proxy}", one(SECRET).replace("\"i\"", issuer));
        check(&with("\"proxy\"", ""), "proxy: namespace is missing");
        check(&with("\"i\"\nnamespace = \"proxy\"", ""), "proxy: namespace is missing");
        for said in [with("\"proxy\"", "namespace = \"proxy\""), with("\"i\"", "namespace = \"i\""), with("\"i\"", "")]
        {
            assert!(Issuers::parse(&path, &said).is_ok(), "{said}");
        }
        check("x", "is not understood");
        assert!(Issuers::load(Path::new("/nowhere/auth.toml")).is_err());
    }
}
