//! Bytes of media, for whoever has a URL that was signed for them.
//!
//! Owns ranges, what caches are told, and the headers under which nothing of a file runs in a browser: what it is was
//! sniffed, what a browser would not show safely is saved, and all of it is in a sandbox without an origin.

use std::ops::Range;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_SECURITY_POLICY,
    CONTENT_TYPE, ETAG, IF_NONE_MATCH, IF_RANGE, RANGE,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use chat::media as known;
use kv::Engine;
use media::{StoreError, Variant, is_inline};
use schema::record::MediaRecord;
use schema::{ErrorCode, MediaId};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{library, no_such_media, unstored};
use crate::extract::{UrlPath, UrlQuery};
use crate::library::BadUrl;
use crate::problem::Problem;
use crate::shards::Shards;
use crate::state::Api;

const CORP: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Expiry and signature of a URL.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Signed {
    /// Its expiry, in Unix seconds.
    #[serde(default)]
    expires: u64,
    /// The server's signature over all of it.
    #[serde(default)]
    signature: String,
}

#[utoipa::path(
    get, path = "/v1/media/{media_id}/{variant}", tag = "media",
    params(
        ("media_id" = schema::MediaId, Path),
        ("variant" = String, Path, description = "`original`, `small`, `medium`, `large` or `poster`"),
        Signed,
        ("Range" = Option<String>, Header, description = "`bytes=…`: one range"),
    ),
    responses(
        (status = 200, description = "Its bytes", body = String, content_type = "application/octet-stream"),
        (status = 206, description = "Those that were asked for", body = String, content_type = "application/octet-stream"),
        (status = 304, description = "The caller has them"),
        (status = 403, description = "The URL was not made here, or altered"),
        (status = 410, description = "The URL has expired: ask for another by `POST /v1/media/urls`"),
        (status = 416, description = "The range begins beyond the end"),
    ),
)]
pub(crate) async fn fetch<E: Engine, S: Shards>(
    State(api): State<Api<E, S>>,
    UrlPath((media, variant)): UrlPath<(MediaId, String)>,
    UrlQuery(Signed { expires, signature }): UrlQuery<Signed>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let altered = || Problem::new(ErrorCode::PermissionDenied, "this URL was not made here, or was altered");
    let variant = Variant::of_word(&variant).ok_or_else(altered)?;
    let now = api.wall();
    api.signer.check(media, variant, expires, &signature, now).map_err(|bad| match bad {
        BadUrl::Altered => altered(),
        BadUrl::Expired => Problem::new(ErrorCode::PermissionDenied, "this URL has expired, ask for another")
            .with_status(StatusCode::GONE),
    })?;
    let library = library(&api)?;
    let mut record = known::get(&api.engine, media).await?.ok_or_else(no_such_media)?;
    let mut variant = variant;
    if variant == Variant::Poster {
        let poster = record.attachment.poster.ok_or_else(no_such_media)?;
        record = known::get(&api.engine, poster).await?.ok_or_else(no_such_media)?;
        let has_large = record.thumbnails & Variant::Large.thumbnail_bit() != 0;
        variant = if has_large { Variant::Large } else { Variant::Original };
    }
    let shown = Shown::new(&record, variant);
    let left_s = (expires * 1000).saturating_sub(now.0) / 1000;
    let mut response = if shown.is_known(&headers) {
        StatusCode::NOT_MODIFIED.into_response()
    } else if variant == Variant::Original {
        let length = record.attachment.bytes;
        let range = match shown.range(&headers, length) {
            Wanted::All => None,
            Wanted::Part(range) => Some(range),
            Wanted::Beyond => return Ok(beyond(length)),
        };
        let bytes = range.clone().unwrap_or(0..length);
        let mut objects =
            Box::pin(library.objects().read(record.attachment.media_id, record.part_bytes, bytes.clone()));
        // What is not there is an error before anything was answered.
        let first = futures_util::StreamExt::next(&mut objects).await.transpose().map_err(missing)?;
        let first = futures_util::stream::iter(first.map(Ok));
        let body = Body::from_stream(futures_util::StreamExt::chain(first, objects));
        answer(body, range, bytes.end - bytes.start, length)
    } else {
        let bytes =
            library.objects().thumbnail(record.attachment.media_id, variant.thumbnail_bit()).await.map_err(missing)?;
        let length = bytes.len() as u64;
        match shown.range(&headers, length) {
            Wanted::All => answer(Body::from(bytes), None, length, length),
            Wanted::Part(range) => {
                let part = bytes.slice(range.start as usize..range.end as usize);
                let taken = range.end - range.start;
                answer(Body::from(part), Some(range), taken, length)
            }
            Wanted::Beyond => return Ok(beyond(length)),
        }
    };
    shown.put_headers(response.headers_mut(), left_s);
    Ok(response)
}

fn missing(error: StoreError) -> Problem {
    match error {
        StoreError::Missing => no_such_media(),
        other @ (StoreError::Full | StoreError::Other(_) | StoreError::Io(_)) => unstored(other),
    }
}

fn answer(body: Body, range: Option<Range<u64>>, bytes: u64, length: u64) -> Response {
    let status = if range.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    let mut response = (status, [(CONTENT_LENGTH, HeaderValue::from(bytes))], body).into_response();
    if let Some(Range { start, end }) = range {
        let text = format!("bytes {start}-{}/{length}", end - 1);
        response.headers_mut().insert(CONTENT_RANGE, HeaderValue::try_from(text).expect("digits are ASCII"));
    }
    response
}

fn beyond(length: u64) -> Response {
    let text = format!("the file has {length} bytes, and the range begins behind them");
    let problem = Problem::new(ErrorCode::LimitExceeded, text).with_status(StatusCode::RANGE_NOT_SATISFIABLE);
    let range = HeaderValue::try_from(format!("bytes */{length}")).expect("digits are ASCII");
    ([(CONTENT_RANGE, range), (CORP, HeaderValue::from_static("cross-origin"))], problem).into_response()
}

/// One variant of a media, as it is shown.
struct Shown {
    /// Of its bytes, which never change.
    tag: String,
    content_type: String,
    is_inline: bool,
    name: String,
}

/// The bytes that a request asks for.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    All,
    Part(Range<u64>),
    Beyond,
}

impl Shown {
    fn new(record: &MediaRecord, variant: Variant) -> Self {
        let attachment = &record.attachment;
        let hash: String = record.sha256.iter().map(|byte| format!("{byte:02x}")).collect();
        let (tag, content_type) = match variant.thumbnail_bit() {
            0 => (format!("\"{hash}\""), attachment.content_type.to_string()),
            bit => (format!("\"{hash}-{bit}\""), record.thumbnails_type.clone()),
        };
        let is_inline = is_inline(&content_type);
        // A browser is told nothing that it might act on.
        let content_type = if is_inline { content_type } else { "application/octet-stream".to_owned() };
        Self { tag, content_type, is_inline, name: attachment.name.to_string() }
    }

    /// Whether the caller has these bytes.
    fn is_known(&self, headers: &HeaderMap) -> bool {
        let tags = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        tags.flat_map(|value| value.split(','))
            .map(str::trim)
            .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == self.tag)
    }

    /// One range of bytes, if one is asked for. More of them, and what is none, counts as nothing (RFC 9110, section 14.2).
    fn range(&self, headers: &HeaderMap, length: u64) -> Wanted {
        let Some(range) = headers.get(RANGE).and_then(|value| value.to_str().ok()) else { return Wanted::All };
        if headers.get(IF_RANGE).is_some_and(|tag| tag.as_bytes() != self.tag.as_bytes()) {
            return Wanted::All;
        }
        wanted(range, length)
    }

    fn put_headers(&self, headers: &mut HeaderMap, left_s: u64) {
        let text = |text: String| HeaderValue::try_from(text).expect("it is made of ASCII");
        headers.insert(CONTENT_TYPE, text(self.content_type.clone()));
        headers.insert(ETAG, text(self.tag.clone()));
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        let left_s = left_s.min(31_536_000);
        headers.insert(CACHE_CONTROL, text(format!("private, max-age={left_s}, immutable")));
        headers.insert(CONTENT_DISPOSITION, text(disposition(self.is_inline, &self.name)));
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
        headers.insert(CORP, HeaderValue::from_static("cross-origin"));
    }
}

/// The bytes of one range.
fn wanted(range: &str, length: u64) -> Wanted {
    let parsed = || {
        let (first, last) = range.trim().strip_prefix("bytes=")?.trim().split_once('-')?;
        let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u64>().ok())?;
        match (first, last) {
            ("", "") => None,
            ("", last) => Some((length.saturating_sub(number(last)?), length)),
            (first, "") => Some((number(first)?, length)),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then(|| (first, last.saturating_add(1).min(length)))
            }
        }
    };
    match parsed() {
        None => Wanted::All,
        Some((start, _)) if start >= length => Wanted::Beyond,
        Some((start, end)) => Wanted::Part(start..end),
    }
}

/// Whether a file is shown or saved, and under which name: in ASCII, and as it is (RFC 6266).
fn disposition(is_inline: bool, name: &str) -> String {
    let kind = if is_inline { "inline" } else { "attachment" };
    if name.is_empty() {
        return kind.to_owned();
    }
    let plain: String =
        name.chars().map(|c| if c.is_ascii_graphic() && !"\"\\%;".contains(c) || c == ' ' { c } else { '_' }).collect();
    let encoded: String = name
        .bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect();
    format!("{kind}; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_one_of_bytes_that_are_there() {
        let check = |range: &str, expected: Wanted| assert_eq!(wanted(range, 100), expected, "{range}");
        check("bytes=0-9", Wanted::Part(0..10));
        check("bytes=0-", Wanted::Part(0..100));
        check("bytes=99-", Wanted::Part(99..100));
        check("bytes=90-1000", Wanted::Part(90..100));
        check("bytes=-10", Wanted::Part(90..100));
        check("bytes=-1000", Wanted::Part(0..100));
        check("bytes=100-", Wanted::Beyond);
        check("bytes=100-200", Wanted::Beyond);
        check("bytes=-0", Wanted::Beyond);
        check("bytes=9-0", Wanted::All);
        check("bytes=0-1,5-6", Wanted::All);
        check("bytes=-", Wanted::All);
        check("bytes=a-b", Wanted::All);
        check("bytes=+1-2", Wanted::All);
        check("lines=1-2", Wanted::All);
        check("bytes=0-18446744073709551615", Wanted::Part(0..100));
        check("bytes=0-18446744073709551616", Wanted::All);
    }

    #[test]
    fn a_name_cannot_leave_its_header() {
        let check = |name: &str, expected: &str| assert_eq!(disposition(false, name), expected, "{name}");
        check("", "attachment");
        check("a b.png", "attachment; filename=\"a b.png\"; filename*=UTF-8''a%20b.png");
        check("a\"; x=\"\\.png", "attachment; filename=\"a__ x=__.png\"; filename*=UTF-8''a%22%3B%20x%3D%22%5C.png");
        check("고.png", "attachment; filename=\"_.png\"; filename*=UTF-8''%EA%B3%A0.png");
        assert!(disposition(true, "x").starts_with("inline; "));
    }
}
