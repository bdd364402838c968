//! Media as this server serves them: where they are kept, and the URLs at which they are fetched.
//!
//! Owns the form of those URLs: the media, the variant, when it expires, and HMAC-SHA-256 over all three. The key follows from
//! that of access tokens, so every node of a cluster serves what another has signed. Whoever has such a URL may fetch what
//! it names and nothing else, until it expires: it is given to those who may see the message or post. One stays the same
//! for a quarter of its life, so that what was fetched is found in caches.

use media::{Library, Variant, thumbnail_bits};
use schema::{Attachment, MediaId, MediaKind, UnixMs};
use serde::Serialize;
use utoipa::ToSchema;

use crate::token::TokenKey;

/// Serving of media.
#[derive(Debug, Clone)]
pub struct LibraryConfig {
    /// The library that stores and works on their bytes.
    pub library: Library,
    /// Prefix of their URLs' paths: the origin of a cache in front of this server. Empty for paths alone.
    pub base_url: String,
    /// Shortest life of a URL, in seconds.
    pub url_ttl_s: u64,
}

/// Fault of a media's URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadUrl {
    /// It was not made here, or altered.
    Altered,
    /// Its time is over.
    Expired,
}

/// The URLs of one media.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Urls {
    /// As it was uploaded, less its metadata.
    #[schema(example = "/v1/media/120878821372975406/original?expires=1767398400&signature=q0")]
    original: String,
    /// A picture of at most 160 pixels; absent where the original is no larger, as those that follow.
    #[serde(skip_serializing_if = "Option::is_none")]
    small: Option<String>,
    /// One of at most 480.
    #[serde(skip_serializing_if = "Option::is_none")]
    medium: Option<String>,
    /// One of at most 1,280.
    #[serde(skip_serializing_if = "Option::is_none")]
    large: Option<String>,
    /// The picture that stands for a video.
    #[serde(skip_serializing_if = "Option::is_none")]
    poster: Option<String>,
}

/// Signer of URLs.
#[derive(Debug)]
pub(crate) struct Signer {
    key: TokenKey,
    base_url: String,
    ttl_s: u64,
}

impl Signer {
    pub(crate) fn new(key: &TokenKey, base_url: &str, ttl_s: u64) -> Self {
        Self { key: key.derive("URLs of media"), base_url: base_url.trim_end_matches('/').to_owned(), ttl_s }
    }

    /// Prefix of URLs' paths.
    pub(crate) fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Expiry of a URL that is made now.
    pub(crate) fn expires(&self, now: UnixMs) -> UnixMs {
        let step_s = (self.ttl_s / 4).max(1);
        UnixMs((now.0 / 1000 / step_s + 1) * step_s * 1000 + self.ttl_s * 1000)
    }

    /// The URLs of what a message or post carries.
    pub(crate) fn urls(&self, attachment: &Attachment, now: UnixMs) -> Urls {
        let expires_s = self.expires(now).0 / 1000;
        let bits = if attachment.kind == MediaKind::Image { thumbnail_bits(attachment) } else { 0 };
        let url = |variant| self.url(attachment.media_id, variant, expires_s);
        let smaller = |variant: Variant| (bits & variant.thumbnail_bit() != 0).then(|| url(variant));
        Urls {
            original: url(Variant::Original),
            small: smaller(Variant::Small),
            medium: smaller(Variant::Medium),
            large: smaller(Variant::Large),
            poster: attachment.poster.map(|_| url(Variant::Poster)),
        }
    }

    fn url(&self, media: MediaId, variant: Variant, expires_s: u64) -> String {
        let signature = self.key.sign(&payload(media, variant, expires_s));
        let (base, variant) = (&self.base_url, variant.word());
        format!("{base}/v1/media/{media}/{variant}?expires={expires_s}&signature={signature}")
    }

    /// Whether a URL is good now.
    ///
    /// # Errors
    /// What is wrong with it. Of one that was altered it is not said whether it would have expired.
    pub(crate) fn check(
        &self,
        media: MediaId,
        variant: Variant,
        expires_s: u64,
        signature: &str,
        now: UnixMs,
    ) -> Result<(), BadUrl> {
        if !self.key.has_signed(&payload(media, variant, expires_s), signature) {
            return Err(BadUrl::Altered);
        }
        if expires_s.saturating_mul(1000) <= now.0 { Err(BadUrl::Expired) } else { Ok(()) }
    }
}

fn payload(media: MediaId, variant: Variant, expires_s: u64) -> String {
    format!("{media}.{}.{expires_s}", variant.word())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::KEY_BYTES;

    const NOW: UnixMs = UnixMs(1_800_000_000_000);

    fn signer(key: u8) -> Signer {
        Signer::new(&TokenKey::new(&[key; KEY_BYTES]), "https://cdn.example/", 86_400)
    }

    fn picture(width: u32, height: u32) -> Attachment {
        Attachment {
            media_id: MediaId(7),
            kind: MediaKind::Image,
            content_type: "image/png".into(),
            name: "".into(),
            bytes: 1,
            width,
            height,
            blurhash: "".into(),
            poster: None,
        }
    }

    /// The query of a URL: when it expires, and its signature.
    fn parts(url: &str) -> (u64, &str) {
        let (_, query) = url.split_once("?expires=").expect("it says when it expires");
        let (expires, signature) = query.split_once("&signature=").expect("it is signed");
        (expires.parse().expect("a number"), signature)
    }

    #[test]
    fn a_url_is_good_for_what_it_names_until_it_expires() {
        let urls = signer(1).urls(&picture(500, 20), NOW);
        assert!(urls.original.starts_with("https://cdn.example/v1/media/7/original?expires="), "{urls:?}");
        let (expires_s, signature) = parts(&urls.original);
        let check = |key, media, variant, expires_s, signature: &str, now: UnixMs| {
            signer(key).check(MediaId(media), variant, expires_s, signature, now)
        };
        let original = Variant::Original;
        assert_eq!(check(1, 7, original, expires_s, signature, NOW), Ok(()));
        assert_eq!(check(1, 7, original, expires_s, signature, UnixMs(expires_s * 1000 - 1)), Ok(()));
        assert_eq!(check(1, 7, original, expires_s, signature, UnixMs(expires_s * 1000)), Err(BadUrl::Expired));
        assert_eq!(check(2, 7, original, expires_s, signature, NOW), Err(BadUrl::Altered), "another server's");
        assert_eq!(check(1, 8, original, expires_s, signature, NOW), Err(BadUrl::Altered));
        assert_eq!(check(1, 7, Variant::Small, expires_s, signature, NOW), Err(BadUrl::Altered));
        assert_eq!(check(1, 7, original, expires_s + 1, signature, NOW), Err(BadUrl::Altered));
        assert_eq!(check(1, 7, original, expires_s, "", NOW), Err(BadUrl::Altered));
        assert_eq!(check(1, 7, original, expires_s, &signature[1..], NOW), Err(BadUrl::Altered));
        assert_eq!(check(1, 7, original, 1, signature, NOW), Err(BadUrl::Altered), "altered comes before expired");
    }

    #[test]
    fn a_url_lasts_a_day_at_least_and_stays_the_same_for_hours() {
        let signer = signer(1);
        for minutes in 0..24 * 60 {
            let now = NOW.plus_ms(minutes * 60_000);
            let lasts_ms = signer.expires(now).0 - now.0;
            assert!((86_400_000..=108_000_000).contains(&lasts_ms), "{minutes}: {lasts_ms}");
        }
        let all: std::collections::BTreeSet<_> =
            (0..24 * 60).map(|m| signer.expires(NOW.plus_ms(m * 60_000)).0).collect();
        assert!((4..=5).contains(&all.len()), "{all:?}");
    }

    #[test]
    fn a_picture_has_the_sizes_that_are_smaller() {
        let check = |width, height, expected: &str| {
            let urls = signer(1).urls(&picture(width, height), NOW);
            let all = [("s", &urls.small), ("m", &urls.medium), ("l", &urls.large), ("p", &urls.poster)];
            let found: String = all.iter().filter(|(_, url)| url.is_some()).map(|(name, _)| *name).collect();
            assert_eq!(found, expected, "{width} x {height}");
        };
        check(160, 160, "");
        check(161, 1, "s");
        check(1, 481, "sm");
        check(4000, 3000, "sml");
        let video = Attachment { kind: MediaKind::Video, poster: Some(MediaId(8)), ..picture(0, 0) };
        assert!(signer(1).urls(&video, NOW).poster.is_some());
    }
}
