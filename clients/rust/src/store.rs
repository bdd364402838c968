//! Stores: where an outbox and a cursor outlive the process.
//!
//! Owns the trait, a store in memory and one in a directory of files. A client calls its store from one thread, one call
//! at a time, and asks the server for nothing that its store does not have.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::error::StoreError;
use crate::message::OperationId;
use crate::outbox::Entry;

/// Contents of a store when a client was started.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Held {
    /// The cursor after the last event that was acknowledged.
    pub cursor: Option<String>,
    /// The operations, in any order.
    pub entries: Vec<Entry>,
}

impl Held {
    /// Contents that another store held.
    #[must_use]
    pub fn new(cursor: Option<String>, entries: Vec<Entry>) -> Self {
        Self { cursor, entries }
    }
}

/// Store of a client's outbox and cursor.
///
/// Calls come one at a time from one thread that may block. What returns `Ok` has to survive whatever the store means to survive;
/// [`put`](Self::put) above all, because the server is asked for an operation once it has returned.
pub trait Store: Send + Sync + fmt::Debug + 'static {
    /// Everything that is held.
    ///
    /// # Errors
    /// It cannot be read. The client ends then, since to begin anew would lose what it held.
    fn load(&self) -> Result<Held, StoreError>;

    /// Keeps an operation, in the place of an earlier state of it (the same `order` and `id`).
    ///
    /// # Errors
    /// It is not kept. The application's call fails, and nothing is sent.
    fn put(&self, entry: &Entry) -> Result<(), StoreError>;

    /// Forgets an operation. One that is not there is forgotten already.
    ///
    /// # Errors
    /// It may be there still, and is asked for again after a restart, which the server recognises.
    fn remove(&self, order: u64, id: OperationId) -> Result<(), StoreError>;

    /// Keeps a cursor in the place of the one before, or forgets it, as the server did not take it. It may be lost in a
    /// crash, as long as an earlier one is there then.
    ///
    /// # Errors
    /// The one before is still there, and events behind it are told again after a restart.
    fn set_cursor(&self, cursor: Option<&str>) -> Result<(), StoreError>;
}

/// A store that ends with the process: for bots that may miss what happens while they are not running.
#[derive(Debug, Default)]
pub struct MemoryStore {
    held: Mutex<(Option<String>, BTreeMap<u64, Entry>)>,
}

impl MemoryStore {
    fn held(&self) -> std::sync::MutexGuard<'_, (Option<String>, BTreeMap<u64, Entry>)> {
        self.held.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    fn load(&self) -> Result<Held, StoreError> {
        let (cursor, entries) = self.held().clone();
        Ok(Held { cursor, entries: entries.into_values().collect() })
    }

    fn put(&self, entry: &Entry) -> Result<(), StoreError> {
        self.held().1.insert(entry.order, entry.clone());
        Ok(())
    }

    fn remove(&self, order: u64, _: OperationId) -> Result<(), StoreError> {
        self.held().1.remove(&order);
        Ok(())
    }

    fn set_cursor(&self, cursor: Option<&str>) -> Result<(), StoreError> {
        self.held().0 = cursor.map(str::to_owned);
        Ok(())
    }
}

/// A store in a directory, which survives kill -9 and a loss of power.
///
/// A directory is one device of one account: for another account take another. `cursor` is the cursor, `device` a device id of its own, `outbox/ORDER-ID.json` one operation each. A file is written
/// beside its place, synced, and renamed, so that it is whole or not there. `lock` is held while the store is open: of two
/// processes on one directory the second is an error.
#[derive(Debug)]
pub struct DirectoryStore {
    directory: PathBuf,
    device_id: String,
    // Its lock goes with it.
    _lock: File,
}

impl DirectoryStore {
    /// Opens a directory, which is made if it is not there; its parent has to be.
    ///
    /// # Errors
    /// Another process has it open, or it cannot be made or read.
    pub fn open(directory: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let directory = directory.into();
        let of = |path: &Path| {
            let path = path.to_owned();
            move |error: io::Error| StoreError::of(&path, &error)
        };
        for made in [directory.clone(), directory.join("outbox")] {
            match fs::create_dir(&made) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(of(&made)(error)),
                _ => {}
            }
        }
        let path = directory.join("lock");
        let lock = File::create(&path).map_err(of(&path))?;
        lock.try_lock().map_err(|error| match error {
            fs::TryLockError::WouldBlock => StoreError::of(&path, &"another process has this store open"),
            fs::TryLockError::Error(error) => StoreError::of(&path, &error),
        })?;
        let path = directory.join("device");
        let device_id = match fs::read_to_string(&path) {
            Ok(device_id) => device_id.trim_end().to_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let device_id = format!("rs-{:032x}", fastrand::u128(..));
                write_whole(&directory, "device", &device_id)?;
                device_id
            }
            Err(error) => return Err(of(&path)(error)),
        };
        Ok(Self { directory, device_id, _lock: lock })
    }

    /// The device of this store, drawn when it was made: a store and its cursor are one installation's.
    #[must_use]
    pub fn device_id(&self) -> &str {
        &self.device_id
    }

    fn outbox(&self) -> PathBuf {
        self.directory.join("outbox")
    }
}

impl Store for DirectoryStore {
    fn load(&self) -> Result<Held, StoreError> {
        let path = self.directory.join("cursor");
        let cursor = match fs::read_to_string(&path) {
            Ok(cursor) => Some(cursor.trim_end().to_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(StoreError::of(&path, &error)),
        };
        let outbox = self.outbox();
        let mut entries = Vec::new();
        for file in fs::read_dir(&outbox).map_err(|error| StoreError::of(&outbox, &error))? {
            let path = file.map_err(|error| StoreError::of(&outbox, &error))?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                let bytes = fs::read(&path).map_err(|error| StoreError::of(&path, &error))?;
                entries.push(serde_json::from_slice(&bytes).map_err(|error| StoreError::of(&path, &error))?);
            }
        }
        Ok(Held { cursor, entries })
    }

    fn put(&self, entry: &Entry) -> Result<(), StoreError> {
        let json = serde_json::to_string(entry).map_err(|error| StoreError(error.to_string()))?;
        write_whole(&self.outbox(), &file_name(entry.order, entry.id), &json)
    }

    fn remove(&self, order: u64, id: OperationId) -> Result<(), StoreError> {
        remove(&self.outbox().join(file_name(order, id)))
    }

    fn set_cursor(&self, cursor: Option<&str>) -> Result<(), StoreError> {
        match cursor {
            Some(cursor) => write_whole(&self.directory, "cursor", cursor),
            None => remove(&self.directory.join("cursor")),
        }
    }
}

/// Removes a file that may not be there.
fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::of(path, &error)),
        _ => Ok(()),
    }
}

fn file_name(order: u64, id: OperationId) -> String {
    format!("{order:020}-{id}.json")
}

/// Writes a file so that after any crash it is the one before or this one, whole.
fn write_whole(directory: &Path, name: &str, text: &str) -> Result<(), StoreError> {
    let (path, beside) = (directory.join(name), directory.join(format!("{name}.new")));
    let write = || {
        let mut file = File::create(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, &path)?;
        // The name is durable once its directory is.
        File::open(directory)?.sync_all()
    };
    write().map_err(|error| StoreError::of(&path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::ChannelId;
    use crate::outbox::Operation;

    fn entry(order: u64, body: &str) -> Entry {
        let id = OperationId::new(order, [7; 10]);
        Entry { order, id, channel_id: ChannelId(1), operation: Operation::Send(body.into()), refusal: None }
    }

    /// Contents of a store after some calls, and after being opened again.
    fn check(open: impl Fn() -> Box<dyn Store>, keeps: bool) {
        let store = open();
        assert_eq!(store.load().expect("it is readable"), Held::default());
        let (one, two) = (entry(1, "one"), entry(2, "two"));
        for entry in [&one, &two, &Entry { operation: Operation::Send("changed".into()), ..two.clone() }] {
            store.put(entry).expect("it is kept");
        }
        store.remove(one.order, one.id).expect("it is forgotten");
        store.remove(one.order, one.id).expect("it is forgotten twice");
        for cursor in [Some("a"), None, None, Some("b")] {
            store.set_cursor(cursor).expect("it is kept");
            assert_eq!(store.load().expect("it is readable").cursor.as_deref(), cursor);
        }
        let expected = Held::new(Some("b".to_owned()), vec![entry(2, "changed")]);
        assert_eq!(store.load().expect("it is readable"), expected);
        drop(store);
        assert_eq!(open().load().expect("it is readable"), if keeps { expected } else { Held::default() });
    }

    #[test]
    fn a_store_holds_what_it_was_given() {
        check(|| Box::<MemoryStore>::default(), false);
        let directory = tempfile::tempdir().expect("a directory");
        check(|| Box::new(DirectoryStore::open(directory.path().join("held")).expect("it opens")), true);
    }

    #[test]
    fn a_directory_is_one_process_s_and_keeps_its_device() {
        let directory = tempfile::tempdir().expect("a directory");
        let first = DirectoryStore::open(directory.path()).expect("it opens");
        let device = first.device_id().to_owned();
        assert!(device.len() <= 64 && device.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'));
        let second = DirectoryStore::open(directory.path()).expect_err("it is open");
        assert!(second.to_string().ends_with("lock: another process has this store open"), "{second}");
        drop(first);
        assert_eq!(DirectoryStore::open(directory.path()).expect("it opens").device_id(), device);
    }

    #[test]
    fn what_cannot_be_read_is_an_error_and_what_was_not_finished_is_nothing() {
        let directory = tempfile::tempdir().expect("a directory");
        let store = DirectoryStore::open(directory.path()).expect("it opens");
        fs::write(directory.path().join("outbox/1-a.json.new"), "{\"half").expect("it is written");
        assert_eq!(store.load().expect("it is readable"), Held::default());
        fs::write(directory.path().join("outbox/1-a.json"), "{\"half").expect("it is written");
        let error = store.load().expect_err("an operation would be lost");
        assert!(error.to_string().contains("1-a.json"), "{error}");
    }
}
