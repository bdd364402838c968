//! The thread that works on pictures, one after the other.
//!
//! Owns the thread and the bound of what waits for it (I11). A decoder that panics over a picture costs that picture.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::pictures::{self, Picture, PictureError, PictureLimits};

/// Pictures that wait here, each in memory: no more than the library lets in.
const WAITING_MAX: usize = 4;

struct Job {
    bytes: Bytes,
    content_type: &'static str,
    limits: PictureLimits,
    done: oneshot::Sender<Result<Picture, PictureError>>,
}

/// The thread on which pictures are decoded. A panic of it is caught there: a program that ends with any panic spares it.
pub const PICTURES_THREAD: &str = "pictures";

/// The way to the thread. It ends with the last of these.
#[derive(Debug, Clone)]
pub(crate) struct Worker(SyncSender<Job>);

impl Worker {
    pub(crate) fn start() -> io::Result<Self> {
        let (sender, jobs) = sync_channel::<Job>(WAITING_MAX);
        thread::Builder::new().name(PICTURES_THREAD.into()).spawn(move || {
            for Job { bytes, content_type, limits, done } in jobs {
                if done.is_closed() {
                    continue;
                }
                let made = catch_unwind(AssertUnwindSafe(|| pictures::picture(&bytes, content_type, &limits)));
                let made = made.unwrap_or_else(|_| {
                    tracing::error!(content_type, bytes = bytes.len(), "a decoder panicked over a picture");
                    Err(PictureError::Damaged("its decoder gave up".into()))
                });
                // Nobody may wait for it any more.
                let _gone = done.send(made);
            }
        })?;
        Ok(Self(sender))
    }

    /// Works on a picture, or refuses at once while too many wait.
    pub(crate) async fn picture(
        &self,
        bytes: Bytes,
        content_type: &'static str,
        limits: PictureLimits,
    ) -> Result<Picture, PictureError> {
        let (done, made) = oneshot::channel();
        self.0.try_send(Job { bytes, content_type, limits, done }).map_err(|_| PictureError::Busy)?;
        made.await.unwrap_or(Err(PictureError::Busy))
    }
}
