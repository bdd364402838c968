//! Media: uploads in one request or several, what became of them, and their bytes.
//!
//! Owns the forms of all of these. What a file is and becomes is the crate `media`'s, what is known of it `chat::media`'s.
//! A body is written to the object store as it comes: of each upload one part of 2 MiB is in memory, and no more uploads
//! are under way than the library has places for (I11). The work of an upload is a task of its own, which ends in order
//! when its client is gone: so nothing stays of what is refused or breaks off.
//!
//! ```text
//! receive    bodies: raw and multipart, stalled and too long ones
//! resumable  uploads of several requests, as in tus 1.0
//! serving    bytes: ranges, caches, headers that let nothing run
//! urls       URLs of what messages carry
//! ```

mod receive;
mod resumable;
mod serving;
mod urls;

use axum::Json;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use chat::LayerError;
use chat::media::{self as known, Begun, Completed};
use kv::Engine;
use media::{FinishError, Library, PART_BYTES, PictureError, StoreError, Written};
use schema::record::{MediaRecord, UploadRecord};
use schema::{Attachment, ErrorCode, MediaId, UnixMs, UserId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::counts::Bound;
use crate::extract::{Caller, UrlPath, UrlQuery};
use crate::library::Urls;
use crate::problem::{Answer, Problem};
use crate::shards::Shards;
use crate::state::{Api, DISK_RETRY_MS, entropy};

use receive::Body;

pub(crate) use resumable::{
    __path_begin_upload, __path_delete_upload, __path_upload_offset, __path_upload_part, begin_upload, delete_upload,
    tus_options, upload_offset, upload_part,
};
pub(crate) use serving::{__path_fetch, fetch};
pub(crate) use urls::{__path_urls, urls};

/// Requests that an upload counts as.
const UPLOAD_COSTS: u32 = 5;

/// A media of the caller, and where its bytes are.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Media {
    #[serde(flatten)]
    attachment: Attachment,
    /// Addresses that need no token until they expire.
    urls: Urls,
    /// Their expiry, in Unix milliseconds.
    expires_ms: UnixMs,
}

impl Media {
    fn new<E: Engine, S: Shards>(api: &Api<E, S>, record: MediaRecord) -> Self {
        let (now, attachment) = (api.wall(), record.attachment);
        let urls = api.signer.urls(&attachment, now);
        Self { attachment, urls, expires_ms: api.signer.expires(now) }
    }
}

/// Query of an upload as a raw body.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct UploadQuery {
    /// The file's name.
    name: Option<String>,
    /// For a video: the picture that stands for it, which was uploaded before.
    #[param(value_type = Option<MediaId>)]
    poster: Option<MediaId>,
}

#[utoipa::path(
    post, path = "/v1/media", tag = "media", security(("bearer" = [])), params(UploadQuery),
    request_body(description = "The file as it is, or `multipart/form-data` with a field `file` and perhaps, before it, `poster`. \
        What it is, its first bytes say. At most 25 MiB unless the server's operator has set another limit; larger files come \
        by `POST /v1/media/uploads`", content((String = "application/octet-stream"), (String = "multipart/form-data"))),
    responses(
        (status = 200, description = "The media that an earlier upload of the same bytes made, for a day more", body = Media),
        (status = 201, description = "The media: for a day, or for as long as a message or post carries it", body = Media),
    ),
)]
pub(crate) async fn upload<E: Engine, S: Shards>(
    Caller { api, user, .. }: Caller<E, S>,
    UrlQuery(UploadQuery { name, poster }): UrlQuery<UploadQuery>,
    request: Request,
) -> Result<(StatusCode, Json<Media>), Problem> {
    let body = Body::new(request, name.unwrap_or_default(), poster, library(&api)?.limits().bytes_max)?;
    api.charge(user, UPLOAD_COSTS)?;
    detached(async move { receive::upload(&api, user, body).await }).await
}

#[utoipa::path(
    get, path = "/v1/media/{media_id}", tag = "media", security(("bearer" = [])),
    params(("media_id" = schema::MediaId, Path)),
    responses((status = 200, description = "A media of the caller", body = Media)),
)]
pub(crate) async fn one<E: Engine, S: Shards>(
    Caller { api, user, .. }: Caller<E, S>,
    UrlPath(media): UrlPath<MediaId>,
) -> Answer<Media> {
    let library = library(&api)?;
    match known::get_either(&api.engine, user, media).await? {
        (Some(record), _) => Ok(Json(Media::new(&api, record))),
        (None, Some(UploadRecord { became: Some(became), .. })) => {
            let record = known::get(&api.engine, became).await?.ok_or_else(no_such_media)?;
            Ok(Json(Media::new(&api, record)))
        }
        (None, Some(upload)) if upload.offset < upload.length => {
            let text = format!("{} of its {} bytes are there", upload.offset, upload.length);
            Err(Problem::new(ErrorCode::UnknownChannel, text).with_status(StatusCode::CONFLICT))
        }
        // Whoever sent the last of it did not hear what became of it.
        (None, Some(upload)) => {
            let place = receive::enter(&api, user, 0).await?;
            let turn = library.take_turn(media).await;
            let record = detached({
                let api = api.clone();
                async move {
                    let made = resumable::complete(&api, media, upload.owner).await?;
                    drop((place, turn));
                    Ok(Media::new(&api, made))
                }
            });
            record.await.map(Json)
        }
        (None, None) => Err(no_such_media()),
    }
}

fn no_such_media() -> Problem {
    Problem::new(ErrorCode::UnknownChannel, "there is no such media")
}

/// This server's media; a server without says so.
fn library<E, S>(api: &Api<E, S>) -> Result<&Library, Problem> {
    api.config.library.as_ref().map(|config| &config.library).ok_or_else(|| {
        let text = "this server keeps no media: its operator has named no place for them";
        Problem::new(ErrorCode::UnknownCommand, text).with_status(StatusCode::NOT_IMPLEMENTED)
    })
}

/// Does work to its end, whoever goes away meanwhile.
async fn detached<T: Send + 'static>(
    work: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Result<T, Problem> {
    tokio::spawn(work).await.unwrap_or_else(|error| {
        tracing::error!(%error, "an upload broke off");
        Err(Problem::new(ErrorCode::Internal, "the upload broke off, try again"))
    })
}

/// The sender's words for a file.
#[derive(Debug, Clone, Default)]
struct Said {
    name: String,
    content_type: Option<String>,
    poster: Option<MediaId>,
}

/// Failure of a file to become a media.
struct Unmade {
    problem: Problem,
    /// Whether it certainly did not: else its row may be there all the same.
    is_refused: bool,
}

impl From<Problem> for Unmade {
    fn from(problem: Problem) -> Self {
        Self { problem, is_refused: true }
    }
}

/// Makes a media of a file that is whole in the object store.
async fn complete<E: Engine, S: Shards>(
    api: &Api<E, S>,
    user: UserId,
    begun: Begun,
    part_bytes: u64,
    written: &Written,
    said: &Said,
) -> Result<Completed, Unmade> {
    let (library, media) = (library(api)?, begun.media);
    let finished = library.finish(media, part_bytes, written, said.content_type.as_deref(), &said.name);
    let finished = finished.await.map_err(refused)?;
    let attachment = Attachment {
        media_id: media,
        kind: finished.kind,
        content_type: finished.content_type.into(),
        name: said.name.as_str().into(),
        bytes: finished.bytes,
        width: finished.width,
        height: finished.height,
        blurhash: finished.blurhash.into(),
        poster: said.poster.filter(|_| finished.kind == schema::MediaKind::Video),
    };
    let record = MediaRecord {
        owner: user,
        attachment,
        sha256: finished.sha256,
        uploaded_sha256: written.sha256,
        created_ms: api.wall(),
        reserved_ms: UnixMs(0),
        part_bytes,
        thumbnails: finished.thumbnails,
        thumbnails_type: finished.thumbnails_type.to_owned(),
    };
    known::complete(&api.engine, begun, &record, api.wall()).await.map_err(|error| {
        let is_refused = matches!(error, LayerError::Refused(_));
        Unmade { problem: error.into(), is_refused }
    })
}

/// Removes what there is of a media that came to nothing, and forgets that it had begun. What cannot be removed now is
/// the sweep's.
async fn clean_up<E: Engine, S: Shards>(api: &Api<E, S>, begun: Begun) {
    let Ok(library) = library(api) else { return };
    library.counts().broken_off.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    if !remove_objects(api, begun.media).await {
        return;
    }
    if let Err(error) = known::forget(&api.engine, known::Due { at: begun.due, media: begun.media }).await {
        tracing::warn!(%error, media = %begun.media, "an upload's row stays for now");
    }
}

/// Removes the objects of a media that came to nothing. Whether none are left.
async fn remove_objects<E: Engine, S: Shards>(api: &Api<E, S>, media: MediaId) -> bool {
    let Ok(library) = library(api) else { return false };
    let removed = library.objects().remove(media).await;
    if let Err(error) = &removed {
        tracing::warn!(error = error as &dyn std::error::Error, %media, "an upload's objects stay for now");
    }
    removed.is_ok()
}

/// A new id for a media.
fn new_id<E: Engine, S: Shards>(api: &Api<E, S>) -> Result<MediaId, Problem> {
    Ok(MediaId::new(api.wall(), entropy()?))
}

/// What the object store did not do, as a client is told.
fn unstored(error: StoreError) -> Problem {
    match error {
        StoreError::Full => {
            let text = "there is no room for media left, try again later";
            let problem = Problem::new(ErrorCode::StorageUnavailable, text).after_ms(DISK_RETRY_MS);
            problem.with_status(StatusCode::INSUFFICIENT_STORAGE).because(Bound::Disk)
        }
        error @ (StoreError::Missing | StoreError::Other(_) | StoreError::Io(_)) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "object store");
            Problem::new(ErrorCode::StorageUnavailable, "the store of media does not answer as it should, try again")
                .after_ms(1_000)
        }
    }
}

/// Why a file is not taken, as a client is told.
fn refused(error: FinishError) -> Problem {
    let text = error.to_string();
    let unprocessable = |code| Problem::new(code, text.clone()).with_status(StatusCode::UNPROCESSABLE_ENTITY);
    match error {
        FinishError::Store(error) => unstored(error),
        FinishError::Contradiction(_) | FinishError::Picture(PictureError::Damaged(_)) => {
            unprocessable(ErrorCode::BadRequest)
        }
        FinishError::PictureBytes(_) => Problem::new(ErrorCode::BodyTooLong, text).because(Bound::Body),
        FinishError::Picture(PictureError::TooLarge { .. } | PictureError::Memory(_) | PictureError::Time(_)) => {
            unprocessable(ErrorCode::LimitExceeded)
        }
        FinishError::Picture(error @ PictureError::Encode(_)) => {
            tracing::error!(error = &error as &dyn std::error::Error, "a picture");
            Problem::new(ErrorCode::Internal, "the picture could not be worked on")
        }
        FinishError::Picture(PictureError::Busy) => Problem::new(ErrorCode::Overloaded, text).after_ms(1_000),
    }
}

/// The type that a request says its body has.
fn content_type(request: &Request) -> Option<String> {
    Some(request.headers().get(CONTENT_TYPE)?.to_str().ok()?.to_owned())
}
