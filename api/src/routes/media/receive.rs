//! A file in one request: raw, or a field of a form.
//!
//! Owns how a body is read: never whole, never longer than the limit, and not at all once nothing has come for a while.

use std::pin::Pin;
use std::task::Poll;

use axum::body::BodyDataStream;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::CONTENT_LENGTH;
use bytes::Bytes;
use chat::media::{self as known, Begun, Completed};
use futures_util::stream::{self, Stream, StreamExt as _};
use kv::Engine;
use media::{Library, Place, Turn, Writing, file_name};
use multer::{Constraints, Multipart, SizeLimit};
use schema::{ErrorCode, MediaId, UserId};
use tokio::time::{sleep, timeout};

use super::{Media, PART_BYTES, Said, Unmade, clean_up, complete, content_type, library, new_id, unstored};
use axum::Json;

use crate::config::Limits;
use crate::counts::Bound;
use crate::problem::Problem;
use crate::shards::Shards;
use crate::state::Api;

/// Bytes of a form around its file.
const FORM_BYTES_MAX: u64 = 64 * 1024;

/// A body, and what is said of it.
pub(super) struct Body {
    source: Source,
    said: Said,
    /// Its length, where it is announced.
    declared: Option<u64>,
    bytes_max: u64,
}

enum Source {
    Raw(Paced),
    Form(Multipart<'static>),
    Field(Box<multer::Field<'static>>),
}

impl Body {
    /// The body of a request.
    ///
    /// # Errors
    /// 107 if it is a form without a boundary, 116 if it is announced to be too long.
    pub(super) fn new(
        request: Request,
        name: String,
        poster: Option<MediaId>,
        bytes_max: u64,
    ) -> Result<Self, Problem> {
        let declared = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        let said_type = content_type(&request);
        let boundary =
            said_type.as_deref().filter(|said| said.trim_start().to_ascii_lowercase().starts_with("multipart/"));
        let is_form = boundary.is_some();
        let limit = if is_form { bytes_max + FORM_BYTES_MAX } else { bytes_max };
        if declared.is_some_and(|declared: u64| declared > limit) {
            return Err(too_long(bytes_max));
        }
        let source = match boundary {
            None => None,
            Some(said) => Some(multer::parse_boundary(said).map_err(malformed)?),
        };
        let body = paced(request.into_body().into_data_stream());
        let source = match source {
            None => Source::Raw(body),
            Some(boundary) => {
                let limits = SizeLimit::new().whole_stream(limit).for_field("poster", 64);
                let constraints = Constraints::new().allowed_fields(vec!["file", "poster"]).size_limit(limits);
                Source::Form(Multipart::with_constraints(body, boundary, constraints))
            }
        };
        let content_type = said_type.filter(|_| !is_form);
        Ok(Self { source, said: Said { name: file_name(&name), content_type, poster }, declared, bytes_max })
    }

    /// One of a request that goes on with an upload.
    pub(super) fn raw(request: Request, bytes_max: u64) -> Self {
        let source = Source::Raw(paced(request.into_body().into_data_stream()));
        Self { source, said: Said::default(), declared: None, bytes_max }
    }

    /// The next bytes; none at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        match &mut self.source {
            Source::Raw(body) => {
                body.next().await.transpose().map_err(|_| Problem::bad_request("the body ended early"))
            }
            Source::Field(field) => field.chunk().await.map_err(malformed),
            Source::Form(_) => {
                self.enter_form().await?;
                Box::pin(self.next()).await
            }
        }
    }

    /// Reads a form up to its file.
    async fn enter_form(&mut self) -> Result<(), Problem> {
        let Source::Form(form) = &mut self.source else { return Ok(()) };
        loop {
            let Some(field) = form.next_field().await.map_err(malformed)? else {
                return Err(Problem::bad_request("the form has no field `file`"));
            };
            if field.name() == Some("poster") {
                let poster = field.text().await.map_err(malformed)?;
                let poster = poster.trim().parse().map_err(|_| Problem::bad_request("poster: not a media's id"))?;
                self.said.poster = Some(poster);
                continue;
            }
            if self.said.name.is_empty() {
                self.said.name = file_name(field.file_name().unwrap_or_default());
            }
            self.said.content_type = field.content_type().map(ToString::to_string);
            self.source = Source::Field(Box::new(field));
            return Ok(());
        }
    }

    /// Writes all of it, as it comes and within its time.
    ///
    /// # Errors
    /// 116 if it is too long, 107 with 408 if nothing comes for too long or with 400 if it ends early; the object store's.
    pub(super) async fn write(
        &mut self,
        writing: &mut Writing,
        limits: &Limits,
        turn: Option<&Turn>,
    ) -> Result<(), Problem> {
        let stall = limits.stall;
        let mut over = std::pin::pin!(sleep(limits.upload));
        let wanted = async {
            match turn {
                Some(turn) => turn.is_wanted().await,
                None => std::future::pending().await,
            }
        };
        let mut wanted = std::pin::pin!(wanted);
        loop {
            // Between two pieces alone: what is being stored is stored to its end.
            let next = tokio::select! {
                next = timeout(stall, self.next()) => next,
                () = over.as_mut() => {
                    let text = format!("the file did not come within {:?}", limits.upload);
                    let problem = Problem::bad_request(text).with_status(StatusCode::REQUEST_TIMEOUT);
                    return Err(problem.because(Bound::BodyTime));
                }
                () = wanted.as_mut() => {
                    let text = "another request goes on with this upload";
                    return Err(Problem::new(ErrorCode::StaleRevision, text));
                }
            };
            let next = next.map_err(|_| {
                Problem::bad_request(format!("nothing came for {stall:?}"))
                    .with_status(StatusCode::REQUEST_TIMEOUT)
                    .because(Bound::BodyTime)
            })??;
            let Some(bytes) = next else { return Ok(()) };
            if writing.bytes() + bytes.len() as u64 > self.bytes_max {
                return Err(too_long(self.bytes_max));
            }
            writing.push(bytes).await.map_err(unstored)?;
        }
    }
}

/// A body of which no more than one piece is taken at a time.
type Paced = Pin<Box<dyn Stream<Item = Result<Bytes, axum::Error>> + Send>>;

/// A body that is pending after each piece: whoever takes all that is ready, as the parser of forms does, takes one
/// piece, and leaves the rest with the connection until it has stored that.
fn paced(mut body: BodyDataStream) -> Paced {
    let mut has_given = false;
    Box::pin(stream::poll_fn(move |context| {
        if std::mem::take(&mut has_given) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let next = body.poll_next_unpin(context);
        has_given = matches!(next, Poll::Ready(Some(_)));
        next
    }))
}

fn too_long(bytes_max: u64) -> Problem {
    let text = format!("a file has at most {bytes_max} bytes here; larger ones come by POST /v1/media/uploads");
    Problem::new(ErrorCode::BodyTooLong, text).because(Bound::Body)
}

fn malformed(error: multer::Error) -> Problem {
    match error {
        multer::Error::FieldSizeExceeded { .. } | multer::Error::StreamSizeExceeded { .. } => {
            Problem::new(ErrorCode::BodyTooLong, "the form is too long").because(Bound::Body)
        }
        multer::Error::StreamReadFailed(_)
        | multer::Error::IncompleteStream
        | multer::Error::IncompleteFieldData { .. } => Problem::bad_request("the body ended early"),
        other => Problem::bad_request(format!("the form: {other}")),
    }
}

/// A place for an upload.
///
/// # Errors
/// 114 with too many at once, 115 if there is no room.
pub(super) async fn enter<E: Engine, S: Shards>(api: &Api<E, S>, user: UserId, bytes: u64) -> Result<Place, Problem> {
    let library: &Library = library(api)?;
    api.takes_writes().map_err(|problem| problem.with_status(StatusCode::INSUFFICIENT_STORAGE))?;
    let place = library.enter(user).ok_or_else(|| {
        Problem::new(ErrorCode::Overloaded, "too many uploads at once, try again")
            .after_ms(1_000)
            .because(Bound::Uploads)
    })?;
    library.objects().check_room(bytes).await.map_err(unstored)?;
    Ok(place)
}

/// Takes a file, and makes a media of it.
pub(super) async fn upload<E: Engine, S: Shards>(
    api: &Api<E, S>,
    user: UserId,
    mut body: Body,
) -> Result<(StatusCode, Json<Media>), Problem> {
    let _place = enter(api, user, body.declared.unwrap_or_default()).await?;
    let begun = loop {
        if let Some(begun) = known::begin(&api.engine, new_id(api)?, api.wall()).await? {
            break begun;
        }
    };
    let taken = take(api, user, begun, &mut body).await;
    let (status, record) = match taken {
        Ok(Completed::New(record)) => (StatusCode::CREATED, record),
        Ok(Completed::Same(record)) => {
            clean_up(api, begun).await;
            (StatusCode::OK, record)
        }
        Ok(Completed::Over) => {
            clean_up(api, begun).await;
            return Err(Problem::bad_request("the upload took too long").with_status(StatusCode::REQUEST_TIMEOUT));
        }
        // Of what was not refused it is not known whether it came to be: the sweep sees.
        Err(Unmade { problem, is_refused }) => {
            if is_refused {
                clean_up(api, begun).await;
            }
            return Err(problem);
        }
    };
    Ok((status, Json(Media::new(api, record))))
}

async fn take<E: Engine, S: Shards>(
    api: &Api<E, S>,
    user: UserId,
    begun: Begun,
    body: &mut Body,
) -> Result<Completed, Unmade> {
    let library = library(api)?;
    let mut writing = library.write(begun.media, PART_BYTES, 0).await.map_err(unstored)?;
    body.write(&mut writing, &api.config.limits, None).await?;
    let written = writing.end().await.map_err(unstored)?;
    if written.bytes == 0 {
        return Err(Problem::bad_request("the file is empty").into());
    }
    if let Some(same) = known::same(&api.engine, user, written.sha256, api.wall()).await.map_err(Problem::from)? {
        return Ok(Completed::Same(same));
    }
    complete(api, user, begun, PART_BYTES, &written, &body.said).await
}
