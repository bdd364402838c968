//! Decryption of web push messages, as a browser does it: RFC 8188 (aes128gcm) with the keys of RFC 8291.
//!
//! Written from the RFCs over `ring`, so that it shares nothing with the encryption that it checks.

use p256::ecdh::diffie_hellman;
use p256::elliptic_curve::sec1::ToEncodedPoint as _;
use p256::{PublicKey, SecretKey};
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};

/// Salt, record size and the length of the key's id.
const HEADER_BYTES: usize = 16 + 4 + 1;
/// Of an uncompressed point.
const POINT_BYTES: usize = 65;
/// Of AES-GCM's tag.
const TAG_BYTES: usize = 16;

/// A browser's keys.
pub(crate) struct Browser {
    private: SecretKey,
    /// The public half, as an uncompressed point.
    pub(crate) public: Vec<u8>,
    /// The secret that it shares with whoever sends.
    pub(crate) auth: [u8; 16],
}

impl Browser {
    pub(crate) fn new(private: SecretKey, auth: [u8; 16]) -> Self {
        let public = private.public_key().to_encoded_point(false).as_bytes().to_vec();
        Self { private, public, auth }
    }
}

/// Decrypts a body that was encrypted for a browser.
pub(crate) fn decrypt(body: &[u8], browser: &Browser) -> Result<Vec<u8>, &'static str> {
    let Browser { private, public, auth } = browser;
    let (header, rest) = body.split_at_checked(HEADER_BYTES).ok_or("the header is cut short")?;
    let (salt, sizes) = header.split_at(16);
    let record_bytes = u32::from_be_bytes([sizes[0], sizes[1], sizes[2], sizes[3]]) as usize;
    if record_bytes < TAG_BYTES + 2 {
        return Err("the record size is below 18");
    }
    let (key_id, records) = rest.split_at_checked(sizes[4].into()).ok_or("the key id is cut short")?;
    if key_id.len() != POINT_BYTES {
        return Err("the key id is no public key");
    }
    let sender = PublicKey::from_sec1_bytes(key_id).map_err(|_| "the key id is no public key")?;
    let shared = diffie_hellman(private.to_nonzero_scalar(), sender.as_affine());
    let info = [b"WebPush: info\0".as_slice(), public.as_slice(), key_id];
    let input = expand(&Salt::new(HKDF_SHA256, auth).extract(shared.raw_secret_bytes()), &info, 32);
    let keys = Salt::new(HKDF_SHA256, salt).extract(&input);
    let key = expand(&keys, &[b"Content-Encoding: aes128gcm\0"], 16);
    let nonce = expand(&keys, &[b"Content-Encoding: nonce\0"], 12);
    let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key).map_err(|_| "no key")?);
    let mut plain = Vec::new();
    let count = records.len().div_ceil(record_bytes);
    for (number, record) in records.chunks(record_bytes).enumerate() {
        let mut record = record.to_vec();
        let opened = key.open_in_place(nonce_of(&nonce, number), Aad::empty(), &mut record);
        let opened = opened.map_err(|_| "a record is not what was encrypted for this key")?;
        let end = opened.iter().rposition(|&byte| byte != 0).ok_or("a record has no delimiter")?;
        let delimiter = if number + 1 == count { 2 } else { 1 };
        if opened[end] != delimiter {
            return Err("a record ends with another delimiter");
        }
        plain.extend_from_slice(&opened[..end]);
    }
    if count == 0 { Err("there is no record") } else { Ok(plain) }
}

/// The first nonce with a record's number in its last bytes.
fn nonce_of(first: &[u8], number: usize) -> Nonce {
    let mut bytes: [u8; 12] = first.try_into().expect("so many were asked for");
    for (byte, part) in bytes[4..].iter_mut().zip((number as u64).to_be_bytes()) {
        *byte ^= part;
    }
    Nonce::assume_unique_for_key(bytes)
}

/// How many bytes to derive.
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

fn expand(key: &Prk, info: &[&[u8]], bytes: usize) -> Vec<u8> {
    let mut out = vec![0; bytes];
    let derived = key.expand(info, Length(bytes)).expect("the length is far below the limit");
    derived.fill(&mut out).expect("it is as long as was asked for");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::unbase64;

    /// RFC 8291, section 5.
    const BODY: &str = "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6Tlz\
        AC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN";

    #[test]
    fn the_example_of_the_rfc_is_decrypted_and_nothing_else_is() {
        let private = unbase64("q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94").expect("base64url");
        let private = SecretKey::from_slice(&private).expect("a key");
        let auth: [u8; 16] = unbase64("BTBZMqHH6r4Tts7J_aSIgg").expect("base64url").try_into().expect("16 bytes");
        let body = unbase64(BODY).expect("base64url");
        let browser = Browser::new(private.clone(), auth);
        let check = |change: &dyn Fn(&mut Vec<u8>), expected: Result<&str, &str>| {
            let mut body = body.clone();
            change(&mut body);
            let found = decrypt(&body, &browser);
            assert_eq!(found.as_deref().map_err(|&why| why), expected.map(str::as_bytes));
        };
        check(&|_| {}, Ok("When I grow up, I want to be a watermelon"));
        check(&|body| *body.last_mut().expect("bytes") ^= 1, Err("a record is not what was encrypted for this key"));
        check(&|body| body[0] ^= 1, Err("a record is not what was encrypted for this key"));
        check(&|body| body.truncate(20), Err("the header is cut short"));
        check(&|body| body.truncate(50), Err("the key id is cut short"));
        check(&|body| body.truncate(86), Err("there is no record"));
        check(&|body| body[20] = 64, Err("the key id is no public key"));
        check(&|body| body[30] ^= 1, Err("the key id is no public key"));
        check(&|body| body[16..20].fill(0), Err("the record size is below 18"));
        assert!(decrypt(&body, &Browser::new(private, [0; 16])).is_err());
    }
}
