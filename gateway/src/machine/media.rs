//! Where pictures and other files are kept: a directory of this machine, or a bucket.
//!
//! Owns the way from a configuration to an object store, and the bucket's key on disk. What objects there are is `media`'s.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use ::media::{Library, Limits, Objects, PictureLimits, S3};
use anyhow::{Context as _, ensure};

use crate::config::{Config, StoreEngine};

/// Bytes of a key's file: more than any key needs.
const FILE_BYTES_MAX: u64 = 4_096;
/// An account's part of the uploads at once.
const USERS_PART: usize = 8;

/// Where media are kept; nowhere if the store is shared and no place is named, since another node would not find them.
pub(crate) enum Place {
    /// In a directory.
    Directory(PathBuf),
    /// In a bucket.
    Bucket(S3),
}

/// The place that a configuration names.
///
/// # Errors
/// The operator's: the key's file cannot be used.
pub(crate) fn place(config: &Config) -> anyhow::Result<Option<Place>> {
    if let Some(bucket) = &config.media_s3_bucket {
        let key = config.media_s3_key_file.as_deref().map(key).transpose()?;
        let (access_key_id, secret_access_key) = key.unzip();
        return Ok(Some(Place::Bucket(S3 {
            bucket: bucket.clone(),
            region: config.media_s3_region.clone(),
            endpoint: config.media_s3_endpoint.clone(),
            prefix: config.media_s3_prefix.clone(),
            access_key_id,
            secret_access_key,
        })));
    }
    let beside_store = || (config.engine == StoreEngine::Embedded).then(|| config.data_dir.join("media"));
    Ok(config.media_dir.clone().or_else(beside_store).map(Place::Directory))
}

/// The object store at a place.
///
/// # Errors
/// The operator's: it cannot be used.
pub(crate) fn objects(config: &Config, place: Place) -> anyhow::Result<Objects> {
    match place {
        Place::Directory(path) => {
            let remedy =
                || format!("media.dir {}: it is to be a directory that this user may write to", path.display());
            Objects::directory(path.clone(), config.free_bytes_min).with_context(remedy)
        }
        Place::Bucket(bucket) => {
            let remedy = || format!("media.s3_bucket {}: see media.s3_endpoint and media.s3_region", bucket.bucket);
            Objects::s3(&bucket).with_context(remedy)
        }
    }
}

/// This node's media, if it keeps any.
///
/// # Errors
/// As [`place`] and [`objects`]; a thread that cannot be had.
pub(crate) fn library(config: &Config) -> anyhow::Result<Option<Library>> {
    let Some(place) = place(config)? else { return Ok(None) };
    let uploads_max = config.media_uploads as usize;
    let limits = Limits {
        bytes_max: config.media_bytes_max,
        resumable_bytes_max: config.media_resumable_bytes_max,
        uploads_max,
        uploads_of_user_max: (uploads_max / USERS_PART).max(1),
        picture: PictureLimits { pixels_max: config.media_pixels_max, ..PictureLimits::default() },
    };
    Ok(Some(Library::start(objects(config, place)?, limits)?))
}

/// The id and the secret of a bucket's key.
fn key(path: &Path) -> anyhow::Result<(String, String)> {
    let shown = path.display();
    let remedy = || format!("media.s3_key_file {shown}: the key's id is on its first line, the secret on its second");
    let file = File::open(path).with_context(remedy)?;
    let mode = file.metadata().with_context(remedy)?.mode() & 0o7777;
    ensure!(mode & 0o077 == 0, "the key {shown} has mode {mode:04o}, others may read it: `chmod 600 {shown}`");
    let mut text = String::new();
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).with_context(remedy)?;
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let (id, secret) = lines.next().zip(lines.next()).with_context(remedy)?;
    Ok((id.to_owned(), secret.to_owned()))
}

/// What doctor says of the place: what it is, and what is wrong with it.
pub(crate) fn examine(config: &Config) -> (String, Result<(), String>) {
    let place = match place(config) {
        Ok(place) => place,
        Err(error) => return ("not usable".to_owned(), Err(format!("{error:#}"))),
    };
    let told = |error: &dyn std::error::Error| {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        text
    };
    match place {
        None => {
            ("none: store.engine is foundationdb, and neither media.s3_bucket nor media.dir is set".to_owned(), Ok(()))
        }
        // A start makes it, in a directory that is judged by itself.
        Some(Place::Directory(path)) if !path.exists() && config.media_dir.is_none() => {
            (format!("{}, which a start makes", path.display()), Ok(()))
        }
        Some(place) => {
            let found = match &place {
                Place::Directory(path) => path.display().to_string(),
                Place::Bucket(bucket) => format!("bucket {}", bucket.bucket),
            };
            let tried = objects(config, place).map_err(|error| format!("{error:#}")).and_then(|objects| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                let runtime = runtime.map_err(|error| error.to_string())?;
                runtime.block_on(objects.probe()).map_err(|error| told(&error))
            });
            (found, tried)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_two_lines_that_nobody_else_may_read() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("key");
        let check = |text: &str, mode: u32, expected: Option<(&str, &str)>| {
            fs::write(&path, text).expect("written");
            fs::set_permissions(&path, Permissions::from_mode(mode)).expect("its mode");
            let found = key(&path);
            let pair = found.as_ref().ok().map(|(id, secret)| (id.as_str(), secret.as_str()));
            assert_eq!(pair, expected, "{text:?} {mode:o}: {found:?}");
            if let Err(error) = found {
                assert!(!format!("{error:#}").contains("hidden"), "{error:#}");
            }
        };
        check("id\nhidden\n", 0o600, Some(("id", "hidden")));
        check("\n id \r\n\n hidden ", 0o400, Some(("id", "hidden")));
        check("id\nhidden\n", 0o640, None);
        check("hidden\n", 0o600, None);
        check("", 0o600, None);
    }

    #[test]
    fn a_bucket_is_printed_without_its_key() {
        let bucket = S3 {
            bucket: "b".into(),
            region: "r".into(),
            endpoint: None,
            prefix: String::new(),
            access_key_id: Some("visible".into()),
            secret_access_key: Some("hidden".into()),
        };
        let shown = format!("{bucket:?} {:?}", Objects::s3(&bucket).expect("named well"));
        assert!(!shown.contains("hidden"), "{shown}");
    }
}
