//! Links in notifications, as URLs below `/n/`: what each does is in it, signed.
//!
//! Owns their form: a version, a kind, the fields of the kind, and HMAC-SHA-256 over all of it, in base64url. The key
//! follows from that of access tokens, so every node of a cluster takes what another has made, and no link is a token. A
//! link lasts as long as the key. Whoever holds one may do what it does and nothing else: none has a target that its
//! application did not name, so that nobody is led elsewhere under this server's name.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chat::notices::{Link, Target, is_web_url};
use schema::{Medium, NoticeId, UserId};

use crate::token::TokenKey;

/// The path below which links are.
pub(crate) const PATH: &str = "/n/";
/// Characters of a link's token: the longest leads to a URL of [`URL_BYTES_MAX`](chat::notices::URL_BYTES_MAX).
const TOKEN_CHARS_MAX: usize = 3_000;
/// Characters of its signature, at its end.
const SIGNATURE_CHARS: usize = 43;
/// The first byte.
const VERSION: u8 = 1;

const CLICK: u8 = 1;
const OPEN: u8 = 2;
const UNSUBSCRIBE: u8 = 3;
const CALLBACK: u8 = 4;

/// What links are made and known by.
#[derive(Debug, Clone)]
pub struct Links(TokenKey);

impl Links {
    /// Those of the server that has this key.
    #[must_use]
    pub fn new(key: &TokenKey) -> Self {
        Self(key.derive("links in notifications"))
    }

    /// The path of a link, below the server's public URL: `/n/AQEB…`.
    #[must_use]
    pub fn path(&self, link: &Link) -> String {
        let payload = URL_SAFE_NO_PAD.encode(bytes(link));
        let signature = self.0.sign(&payload);
        format!("{PATH}{payload}{signature}")
    }

    /// What the link of a token does; nothing if this server has made no such link.
    #[must_use]
    pub fn read(&self, token: &str) -> Option<Link> {
        if token.len() > TOKEN_CHARS_MAX || !token.is_ascii() {
            return None;
        }
        let (payload, signature) = token.split_at(token.len().checked_sub(SIGNATURE_CHARS)?);
        if !self.0.has_signed(payload, signature) {
            return None;
        }
        link(&URL_SAFE_NO_PAD.decode(payload).ok()?)
    }
}

fn bytes(link: &Link) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    match link {
        Link::Click { target, url } => {
            bytes.push(CLICK);
            put_target(&mut bytes, target);
            bytes.extend_from_slice(url.as_bytes());
        }
        Link::Open(target) => {
            bytes.push(OPEN);
            put_target(&mut bytes, target);
        }
        Link::Unsubscribe { user, medium, category } => {
            bytes.push(UNSUBSCRIBE);
            bytes.extend_from_slice(&user.0.to_be_bytes());
            bytes.push(*medium as u8);
            bytes.extend_from_slice(category.as_bytes());
        }
        Link::Callback(target) => {
            bytes.push(CALLBACK);
            put_target(&mut bytes, target);
        }
    }
    bytes
}

/// A device's name stands behind its length, which is below 65.
fn put_target(bytes: &mut Vec<u8>, Target { notice, user, medium, device }: &Target) {
    bytes.extend_from_slice(&notice.0);
    bytes.extend_from_slice(&user.0.to_be_bytes());
    bytes.push(*medium as u8);
    bytes.push(u8::try_from(device.len()).expect("a device's name has at most 64 bytes"));
    bytes.extend_from_slice(device.as_bytes());
}

/// What was signed here was made here, but perhaps by another version: what is not understood is no link.
fn link(bytes: &[u8]) -> Option<Link> {
    let (&[version, kind], mut rest) = bytes.split_first_chunk()?;
    if version != VERSION {
        return None;
    }
    let link = match kind {
        CLICK => {
            let target = take_target(&mut rest)?;
            let url = take_text(&mut rest)?;
            is_web_url(&url).then_some(Link::Click { target, url })?
        }
        OPEN => Link::Open(take_target(&mut rest)?),
        UNSUBSCRIBE => {
            let (user, medium) = (take_user(&mut rest)?, take_medium(&mut rest)?);
            Link::Unsubscribe { user, medium, category: take_text(&mut rest)? }
        }
        CALLBACK => Link::Callback(take_target(&mut rest)?),
        _ => return None,
    };
    rest.is_empty().then_some(link)
}

fn take_target(rest: &mut &[u8]) -> Option<Target> {
    let notice = NoticeId(take(rest)?);
    let (user, medium) = (take_user(rest)?, take_medium(rest)?);
    let [length] = take(rest)?;
    let (mut device, behind) = rest.split_at_checked(length.into())?;
    *rest = behind;
    Some(Target { notice, user, medium, device: take_text(&mut device)? })
}

fn take_user(rest: &mut &[u8]) -> Option<UserId> {
    take(rest).map(u64::from_be_bytes).map(UserId)
}

fn take_medium(rest: &mut &[u8]) -> Option<Medium> {
    let [number] = take(rest)?;
    Medium::of_number(number)
}

/// All that is left.
fn take_text(rest: &mut &[u8]) -> Option<String> {
    String::from_utf8(std::mem::take(rest).to_vec()).ok()
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use chat::notices::URL_BYTES_MAX;
    use schema::UnixMs;

    use super::*;
    use crate::token::KEY_BYTES;

    fn links(key: u8) -> Links {
        Links::new(&TokenKey::new(&[key; KEY_BYTES]))
    }

    fn target(device: &str) -> Target {
        Target {
            notice: NoticeId::new(UnixMs(1_800_000_000_000), 7),
            user: UserId(u64::MAX),
            medium: Medium::Mail,
            device: device.to_owned(),
        }
    }

    fn click(url: &str) -> Link {
        Link::Click { target: target("phone"), url: url.to_owned() }
    }

    /// The token of a link.
    fn token(link: &Link) -> String {
        links(1).path(link).strip_prefix(PATH).expect("it is below the path").to_owned()
    }

    #[test]
    fn a_link_says_what_it_was_made_for() {
        let unsubscribe = Link::Unsubscribe { user: UserId(7), medium: Medium::Mail, category: "shipping".to_owned() };
        for link in [
            click("https://shop.example/orders?id=1&x=%20"),
            Link::Open(target("")),
            Link::Open(target(&"d".repeat(64))),
            unsubscribe,
            Link::Callback(target("")),
        ] {
            let token = token(&link);
            assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{token}");
            assert_eq!(links(1).read(&token), Some(link));
        }
        let long = click(&format!("https://shop.example/{}", "x".repeat(URL_BYTES_MAX - 21)));
        assert_eq!(links(1).read(&token(&long)), Some(long));
    }

    #[test]
    fn what_was_not_made_here_is_no_link() {
        let good = token(&Link::Open(target("phone")));
        let check = |token: &str| assert_eq!(links(1).read(token), None, "{token}");
        assert_eq!(links(2).read(&good), None, "another server's");
        for at in 0..good.len() {
            let other = if good.as_bytes()[at] == b'B' { "C" } else { "B" };
            let (before, behind) = (&good[..at], &good[at + 1..]);
            // The last character of a signature bears two bits that say nothing.
            if at + 1 < good.len() {
                check(&format!("{before}{other}{behind}"));
            }
            check(before);
            check(&format!("{before}{behind}"));
        }
        check(&format!("{good}A"));
        check(&format!("A{good}"));
        check("");
        check(&"A".repeat(43));
        check(&"A".repeat(TOKEN_CHARS_MAX + 1));
        check(&"é".repeat(60));
        // A token of access, and what is signed for another use of the key.
        let key = TokenKey::new(&[1; KEY_BYTES]);
        let payload = URL_SAFE_NO_PAD.encode(bytes(&Link::Open(target("phone"))));
        check(&format!("{payload}{}", key.sign(&payload)));
        check(&format!("{payload}{}", key.derive("something else").sign(&payload)));
    }

    #[test]
    fn what_is_signed_and_not_understood_is_no_link() {
        let signed = |bytes: &[u8]| {
            let payload = URL_SAFE_NO_PAD.encode(bytes);
            let signature = links(1).0.sign(&payload);
            links(1).read(&format!("{payload}{signature}"))
        };
        let open = bytes(&Link::Open(target("phone")));
        assert!(signed(&open).is_some());
        assert_eq!(signed(&[&[VERSION + 1][..], &open[1..]].concat()), None, "a later version's");
        assert_eq!(signed(&[&[VERSION, 9][..], &open[2..]].concat()), None, "a later kind");
        assert_eq!(signed(&open[..open.len() - 1]), None);
        assert_eq!(signed(&[&open[..], b"x"].concat()), None);
        assert_eq!(signed(&bytes(&click("javascript:alert(1)"))), None);
    }
}
