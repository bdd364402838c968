//! Uploads of several requests: tus 1.0, its core and the extensions creation, termination and expiration.
//!
//! Owns the headers. What is durable of an upload is its row's `offset`; a request that breaks off leaves what had come of
//! it, so that its client goes on from there. Two requests that write at once do not both count.

use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chat::media::{self as known, Begun, Completed};
use kv::Engine;
use media::{PART_BYTES, Turn, file_name};
use schema::limits::MEDIA_RESUMABLE_MS;
use schema::record::{MediaRecord, UploadRecord};
use schema::{ErrorCode, MediaId, UserId};

use super::receive::{Body, enter};
use super::{Said, UPLOAD_COSTS, Unmade, clean_up, detached, library, new_id, no_such_media, remove_objects, unstored};
use crate::counts::Bound;
use crate::extract::{Caller, UrlPath};
use crate::problem::Problem;
use crate::shards::Shards;
use crate::state::Api;

const VERSION: &str = "1.0.0";
const TUS_RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
const TUS_VERSION: HeaderName = HeaderName::from_static("tus-version");
const TUS_EXTENSION: HeaderName = HeaderName::from_static("tus-extension");
const TUS_MAX_SIZE: HeaderName = HeaderName::from_static("tus-max-size");
const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("upload-length");
const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
const UPLOAD_EXPIRES: HeaderName = HeaderName::from_static("upload-expires");
const UPLOAD_METADATA: HeaderName = HeaderName::from_static("upload-metadata");

/// What this server speaks of tus.
pub(crate) async fn tus_options<E: Engine, S: Shards>(
    axum::extract::State(api): axum::extract::State<Api<E, S>>,
) -> Result<Response, Problem> {
    let most = HeaderValue::from(library(&api)?.limits().resumable_bytes_max);
    let text = HeaderValue::from_static;
    let headers = [
        (TUS_RESUMABLE, text(VERSION)),
        (TUS_VERSION, text(VERSION)),
        (TUS_EXTENSION, text("creation,termination,expiration")),
        (TUS_MAX_SIZE, most),
    ];
    Ok((StatusCode::NO_CONTENT, headers).into_response())
}

#[utoipa::path(
    post, path = "/v1/media/uploads", tag = "media", security(("bearer" = [])),
    params(
        ("Upload-Length" = u64, Header, description = "Bytes of the file: 1 GiB at most unless the operator has set another limit"),
        ("Upload-Metadata" = Option<String>, Header, description = "Of tus: `filename`, `filetype` and `poster`, each with its value in base64"),
    ),
    responses((status = 201, description = "`Location` is where it is sent to with PATCH, within a day; the last part of its \
        path is the media's id")),
)]
pub(crate) async fn begin_upload<E: Engine, S: Shards>(
    Caller { api, user, .. }: Caller<E, S>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let limit = library(&api)?.limits().resumable_bytes_max;
    check_version(&headers)?;
    let length = number(&headers, &UPLOAD_LENGTH)?;
    if length == 0 {
        return Err(Problem::bad_request("upload-length: a file has one byte at least"));
    }
    if length > limit {
        let text = format!("a file has {limit} bytes here at most");
        return Err(Problem::new(ErrorCode::BodyTooLong, text).because(Bound::Body));
    }
    let Said { name, poster, .. } = said(&headers)?;
    api.charge(user, UPLOAD_COSTS)?;
    let _place = enter(&api, user, length).await?;
    let now = api.wall();
    let record = UploadRecord {
        owner: user,
        name,
        poster,
        length,
        offset: 0,
        part_bytes: PART_BYTES,
        created_ms: now,
        expires_ms: now.plus_ms(MEDIA_RESUMABLE_MS),
        became: None,
    };
    let begun = loop {
        if let Some(begun) = known::begin_resumable(&api.engine, new_id(&api)?, &record).await? {
            break begun;
        }
    };
    let place = format!("/v1/media/uploads/{}", begun.media);
    let location = HeaderValue::try_from(place).expect("a path of digits is ASCII");
    let headers = [(LOCATION, location), (TUS_RESUMABLE, HeaderValue::from_static(VERSION)), expires(&record)];
    Ok((StatusCode::CREATED, headers).into_response())
}

#[utoipa::path(
    head, path = "/v1/media/uploads/{media_id}", tag = "media", security(("bearer" = [])),
    params(("media_id" = schema::MediaId, Path)),
    responses((status = 200, description = "`Upload-Offset` is the number of bytes that are there")),
)]
pub(crate) async fn upload_offset<E: Engine, S: Shards>(
    Caller { api, user, .. }: Caller<E, S>,
    UrlPath(media): UrlPath<MediaId>,
) -> Result<Response, Problem> {
    // What another request is writing is stored first.
    let _turn = library(&api)?.take_turn(media).await;
    let (offset, length) = match known::get_either(&api.engine, user, media).await? {
        (_, Some(upload)) => (upload.offset, upload.length),
        // A picture has fewer bytes than were sent, but all of those are there.
        (Some(whole), None) => (whole.attachment.bytes, whole.attachment.bytes),
        (None, None) => return Err(no_such_media()),
    };
    let headers = [
        (UPLOAD_OFFSET, HeaderValue::from(offset)),
        (UPLOAD_LENGTH, HeaderValue::from(length)),
        (TUS_RESUMABLE, HeaderValue::from_static(VERSION)),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok(headers.into_response())
}

#[utoipa::path(
    patch, path = "/v1/media/uploads/{media_id}", tag = "media", security(("bearer" = [])),
    params(
        ("media_id" = schema::MediaId, Path),
        ("Upload-Offset" = u64, Header, description = "Where these bytes begin: the number that are there"),
    ),
    request_body(description = "Some bytes of the file", content = String, content_type = "application/offset+octet-stream"),
    responses((status = 204, description = "`Upload-Offset` is the number of bytes that are there now. With the last the file \
        is a media: `GET /v1/media/{media_id}`")),
)]
pub(crate) async fn upload_part<E: Engine, S: Shards>(
    Caller { api, user, .. }: Caller<E, S>,
    UrlPath(media): UrlPath<MediaId>,
    request: Request,
) -> Result<Response, Problem> {
    library(&api)?;
    let headers = request.headers();
    check_version(headers)?;
    if headers.get(CONTENT_TYPE).is_none_or(|value| value != "application/offset+octet-stream") {
        return Err(Problem::bad_request("send the bytes as `Content-Type: application/offset+octet-stream`")
            .with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    }
    let from = number(headers, &UPLOAD_OFFSET)?;
    // One that was sent before this and hangs is not waited for: it stores what had come, and this goes on from there.
    let turn = library(&api)?.take_turn(media).await;
    let (_, upload) = known::get_either(&api.engine, user, media).await?;
    let upload = upload.filter(|upload| upload.became.is_none()).ok_or_else(no_such_media)?;
    if upload.expires_ms <= api.wall() {
        return Err(Problem::new(ErrorCode::UnknownChannel, "the upload has expired").with_status(StatusCode::GONE));
    }
    if upload.offset != from {
        return Err(conflict(upload.offset));
    }
    let body = Body::raw(request, upload.length);
    let offset = detached(async move {
        let place = enter(&api, user, upload.length - from).await?;
        let offset = write(&api, media, &upload, body, &turn).await?;
        if offset == upload.length {
            complete(&api, media, upload.owner).await?;
        }
        drop((place, turn));
        Ok(offset)
    });
    let headers =
        [(UPLOAD_OFFSET, HeaderValue::from(offset.await?)), (TUS_RESUMABLE, HeaderValue::from_static(VERSION))];
    Ok((StatusCode::NO_CONTENT, headers).into_response())
}

#[utoipa::path(
    delete, path = "/v1/media/uploads/{media_id}", tag = "media", security(("bearer" = [])),
    params(("media_id" = schema::MediaId, Path)),
    responses((status = 204, description = "Nothing of it stays")),
)]
pub(crate) async fn delete_upload<E: Engine, S: Shards>(
    Caller { api, user, .. }: Caller<E, S>,
    UrlPath(media): UrlPath<MediaId>,
) -> Result<Response, Problem> {
    // What another request is writing is stored first, and nothing of it afterwards.
    let _turn = library(&api)?.take_turn(media).await;
    let now = api.wall();
    if !known::abandon(&api.engine, user, media, now).await? {
        return Err(no_such_media());
    }
    clean_up(&api, Begun { media, due: now }).await;
    let headers = [(TUS_RESUMABLE, HeaderValue::from_static(VERSION))];
    Ok((StatusCode::NO_CONTENT, headers).into_response())
}

/// Writes bytes to the end of an upload, and notes how many are durable, also where the rest does not come.
async fn write<E: Engine, S: Shards>(
    api: &Api<E, S>,
    media: MediaId,
    upload: &UploadRecord,
    mut body: Body,
    turn: &Turn,
) -> Result<u64, Problem> {
    let library = library(api)?;
    let mut writing = library.write(media, upload.part_bytes, upload.offset).await.map_err(unstored)?;
    let came = body.write(&mut writing, &api.config.limits, Some(turn)).await;
    let offset = writing.bytes();
    // What goes on elsewhere, at another node, is not written over.
    let now = known::upload(&api.engine, media).await?.ok_or_else(no_such_media)?;
    if now.offset != upload.offset {
        return Err(conflict(now.offset));
    }
    writing.flush().await.map_err(unstored)?;
    if offset > upload.offset && !known::advance(&api.engine, media, upload.offset, offset).await? {
        let (_, now) = known::get_either(&api.engine, upload.owner, media).await?;
        return Err(now.map_or_else(no_such_media, |now| conflict(now.offset)));
    }
    came?;
    Ok(offset)
}

/// Makes a media of an upload that is whole, or finds the one that another request has made of it. What is not taken is
/// removed, and the upload with it. Whoever calls it has the upload's turn.
pub(super) async fn complete<E: Engine, S: Shards>(
    api: &Api<E, S>,
    media: MediaId,
    owner: UserId,
) -> Result<MediaRecord, Problem> {
    let upload = match known::get_either(&api.engine, owner, media).await? {
        (Some(whole), _) => return Ok(whole),
        (None, Some(UploadRecord { became: Some(became), .. })) => {
            return known::get(&api.engine, became).await?.ok_or_else(no_such_media);
        }
        (None, Some(upload)) => upload,
        (None, None) => return Err(no_such_media()),
    };
    let begun = Begun { media, due: upload.expires_ms };
    let written = library(api)?.hash(media, upload.part_bytes, upload.length).await.map_err(unstored)?;
    let said = Said { name: upload.name.clone(), content_type: None, poster: upload.poster };
    match super::complete(api, upload.owner, begun, upload.part_bytes, &written, &said).await {
        Ok(Completed::New(record)) => Ok(record),
        Ok(Completed::Same(record)) => {
            // Its row goes in time: until then it leads to the media that it became.
            remove_objects(api, media).await;
            Ok(record)
        }
        Ok(Completed::Over) => Err(no_such_media()),
        // What may pass by itself is tried again by whoever asks for the media; of what was not refused it is not known
        // whether it came to be.
        Err(Unmade { problem, is_refused }) => {
            let now = api.wall();
            let is_over = is_refused && !problem.is_temporary();
            if is_over && known::abandon(&api.engine, upload.owner, media, now).await? {
                clean_up(api, Begun { media, due: now }).await;
            }
            Err(problem)
        }
    }
}

fn conflict(offset: u64) -> Problem {
    Problem::new(ErrorCode::StaleRevision, format!("{offset} bytes are there: go on from them"))
}

fn check_version(headers: &HeaderMap) -> Result<(), Problem> {
    match headers.get(TUS_RESUMABLE) {
        Some(version) if version != VERSION => {
            Err(Problem::bad_request("this server speaks tus 1.0.0").with_status(StatusCode::PRECONDITION_FAILED))
        }
        Some(_) | None => Ok(()),
    }
}

fn number(headers: &HeaderMap, name: &HeaderName) -> Result<u64, Problem> {
    let value = headers.get(name).and_then(|value| value.to_str().ok()?.parse().ok());
    value.ok_or_else(|| Problem::bad_request(format!("{name} is there, and a number of bytes")))
}

/// What `Upload-Metadata` says: pairs of a key and a value in base64, with commas between.
fn said(headers: &HeaderMap) -> Result<Said, Problem> {
    let Some(value) = headers.get(UPLOAD_METADATA) else { return Ok(Said::default()) };
    let malformed = || Problem::bad_request("Upload-Metadata is a list of keys, each with its value in base64");
    let mut said = Said::default();
    for pair in value.to_str().map_err(|_| malformed())?.split(',') {
        let (key, value) = pair.trim().split_once(' ').unwrap_or((pair.trim(), ""));
        let value =
            String::from_utf8(STANDARD.decode(value.trim()).map_err(|_| malformed())?).map_err(|_| malformed())?;
        match key {
            "filename" | "name" => said.name = file_name(&value),
            "poster" => said.poster = Some(value.parse().map_err(|_| malformed())?),
            _ => {}
        }
    }
    Ok(said)
}

fn expires(record: &UploadRecord) -> (HeaderName, HeaderValue) {
    let text = httpdate::fmt_http_date(std::time::UNIX_EPOCH + std::time::Duration::from_millis(record.expires_ms.0));
    (UPLOAD_EXPIRES, HeaderValue::try_from(text).expect("a date is ASCII"))
}
