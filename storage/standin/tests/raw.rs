//! The C library through its own interface: opened as a program would open it, over a server in this process.
//!
//! A process has one network and one API version, so everything that needs them is one test, in steps.

use std::ffi::{CStr, CString, c_int, c_void};
use std::path::Path;
use std::ptr;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use fdb_c::{Fault, Server, ServerOptions};
use foundationdb_sys as fdb;

/// Keys with their values.
type Rows = Vec<(Vec<u8>, Vec<u8>)>;

/// A future, awaited and destroyed.
struct Waiting(*mut fdb::FDBFuture);

impl Waiting {
    /// Its error, 0 for none, once the callback was called. Panics after 10 s.
    fn error(&self) -> c_int {
        extern "C" fn called(_future: *mut fdb::FDBFuture, parameter: *mut c_void) {
            // SAFETY: it was made of a box below, and a callback is called once.
            let tell = unsafe { Box::from_raw(parameter.cast::<mpsc::Sender<()>>()) };
            tell.send(()).expect("the test waits");
        }
        let (tell, listen) = mpsc::channel::<()>();
        // SAFETY: the future is alive; the parameter is the callback's.
        let set = unsafe { fdb::fdb_future_set_callback(self.0, Some(called), Box::into_raw(Box::new(tell)).cast()) };
        assert_eq!(set, 0);
        listen.recv_timeout(Duration::from_secs(10)).expect("ready within 10 s");
        // SAFETY: the future is alive.
        unsafe { fdb::fdb_future_get_error(self.0) }
    }

    fn number(&self) -> Result<i64, c_int> {
        let mut number = 0;
        match self.error() {
            // SAFETY: the future is alive and what it writes to is a number.
            0 => match unsafe { fdb::fdb_future_get_int64(self.0, &raw mut number) } {
                0 => Ok(number),
                error => Err(error),
            },
            error => Err(error),
        }
    }

    fn key(&self) -> Result<Vec<u8>, c_int> {
        let (mut start, mut length) = (ptr::null(), 0);
        match self.error() {
            0 => {
                // SAFETY: the future is alive and what it writes to is what it writes.
                let error = unsafe { fdb::fdb_future_get_key(self.0, &raw mut start, &raw mut length) };
                assert_eq!(error, 0);
                Ok(copied(start, length))
            }
            error => Err(error),
        }
    }

    fn value(&self) -> Result<Option<Vec<u8>>, c_int> {
        let (mut present, mut start, mut length) = (0, ptr::null(), 0);
        match self.error() {
            0 => {
                // SAFETY: the future is alive and what it writes to is what it writes.
                let error =
                    unsafe { fdb::fdb_future_get_value(self.0, &raw mut present, &raw mut start, &raw mut length) };
                assert_eq!(error, 0);
                Ok((present != 0).then(|| copied(start, length)))
            }
            error => Err(error),
        }
    }

    fn rows(&self) -> Result<(Rows, bool), c_int> {
        let (mut rows, mut count, mut more) = (ptr::null(), 0, 0);
        match self.error() {
            0 => {
                // SAFETY: the future is alive and what it writes to is what it writes.
                let error =
                    unsafe { fdb::fdb_future_get_keyvalue_array(self.0, &raw mut rows, &raw mut count, &raw mut more) };
                assert_eq!(error, 0);
                let row = |at: usize| {
                    // SAFETY: there are so many rows, until the future is destroyed; they need not be aligned.
                    let row = unsafe { ptr::read_unaligned(rows.add(at)) };
                    (copied(row.key, row.key_length), copied(row.value, row.value_length))
                };
                Ok(((0..count.cast_unsigned() as usize).map(row).collect(), more != 0))
            }
            error => Err(error),
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // SAFETY: it is alive until here.
        unsafe { fdb::fdb_future_destroy(self.0) }
    }
}

fn copied(start: *const u8, length: c_int) -> Vec<u8> {
    // SAFETY: a future that is alive said so; of nothing it gives no pointer that is null but for an absent value.
    unsafe { std::slice::from_raw_parts(start, length.cast_unsigned() as usize) }.to_vec()
}

fn length(bytes: &[u8]) -> c_int {
    c_int::try_from(bytes.len()).expect("short")
}

struct Database(*mut fdb::FDBDatabase);

fn open(cluster_file: &Path) -> Result<Database, c_int> {
    let path = CString::new(cluster_file.to_str().expect("a plain path")).expect("a plain path");
    let mut database = ptr::null_mut();
    // SAFETY: the path is a string, and the result goes to a pointer.
    match unsafe { fdb::fdb_create_database(path.as_ptr(), &raw mut database) } {
        0 => Ok(Database(database)),
        error => Err(error),
    }
}

impl Database {
    fn begin(&self) -> Transaction {
        let mut transaction = ptr::null_mut();
        // SAFETY: the database is alive, and the result goes to a pointer.
        assert_eq!(unsafe { fdb::fdb_database_create_transaction(self.0, &raw mut transaction) }, 0);
        Transaction(transaction)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // SAFETY: it is alive until here.
        unsafe { fdb::fdb_database_destroy(self.0) }
    }
}

struct Transaction(*mut fdb::FDBTransaction);

impl Transaction {
    fn get(&self, key: &[u8]) -> Waiting {
        // SAFETY: the transaction is alive, the key as long as it says.
        Waiting(unsafe { fdb::fdb_transaction_get(self.0, key.as_ptr(), length(key), 0) })
    }

    /// From `begin` (inclusive) to after `end`.
    fn range(&self, begin: &[u8], end: &[u8], limit: c_int, reverse: bool) -> Waiting {
        // SAFETY: the transaction is alive, the keys as long as they say.
        Waiting(unsafe {
            let (begin_length, end_length, reverse) = (length(begin), length(end), c_int::from(reverse));
            let (begin, end) = (begin.as_ptr(), end.as_ptr());
            fdb::fdb_transaction_get_range(
                self.0,
                begin,
                begin_length,
                0,
                1,
                end,
                end_length,
                1,
                1,
                limit,
                0,
                -2,
                1,
                0,
                reverse,
            )
        })
    }

    fn set(&self, key: &[u8], value: &[u8]) {
        // SAFETY: the transaction is alive, key and value as long as they say.
        unsafe { fdb::fdb_transaction_set(self.0, key.as_ptr(), length(key), value.as_ptr(), length(value)) }
    }

    fn atomic(&self, key: &[u8], operand: &[u8], kind: u32) {
        // SAFETY: the transaction is alive, key and operand as long as they say.
        unsafe {
            fdb::fdb_transaction_atomic_op(self.0, key.as_ptr(), length(key), operand.as_ptr(), length(operand), kind);
        }
    }

    fn watch(&self, key: &[u8]) -> Waiting {
        // SAFETY: the transaction is alive, the key as long as it says.
        Waiting(unsafe { fdb::fdb_transaction_watch(self.0, key.as_ptr(), length(key)) })
    }

    fn commit(&self) -> Waiting {
        // SAFETY: the transaction is alive.
        Waiting(unsafe { fdb::fdb_transaction_commit(self.0) })
    }

    fn stamp(&self) -> Waiting {
        // SAFETY: the transaction is alive.
        Waiting(unsafe { fdb::fdb_transaction_get_versionstamp(self.0) })
    }

    fn read_version(&self) -> Waiting {
        // SAFETY: the transaction is alive.
        Waiting(unsafe { fdb::fdb_transaction_get_read_version(self.0) })
    }

    fn on_error(&self, error: c_int) -> Waiting {
        // SAFETY: the transaction is alive.
        Waiting(unsafe { fdb::fdb_transaction_on_error(self.0, error) })
    }

    fn reset(&self) {
        // SAFETY: the transaction is alive.
        unsafe { fdb::fdb_transaction_reset(self.0) }
    }

    fn set_timeout(&self, ms: i64) {
        let value = ms.to_le_bytes();
        // SAFETY: the transaction is alive, the value as long as it says.
        assert_eq!(unsafe { fdb::fdb_transaction_set_option(self.0, 500, value.as_ptr(), length(&value)) }, 0);
    }

    fn committed_version(&self) -> i64 {
        let mut version = 0;
        // SAFETY: the transaction is alive, and the result goes to a number.
        assert_eq!(unsafe { fdb::fdb_transaction_get_committed_version(self.0, &raw mut version) }, 0);
        version
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        // SAFETY: it is alive until here.
        unsafe { fdb::fdb_transaction_destroy(self.0) }
    }
}

/// Selects the API version, sets the network up and runs it. Both can be done once.
fn boot() -> thread::JoinHandle<c_int> {
    fdb::load(Some(&fdb_c::library())).expect("it has every symbol");
    // SAFETY: these take no pointer, and the text that one gives lives as long as the library.
    unsafe {
        assert_eq!(fdb::fdb_get_max_api_version(), 730);
        assert_eq!(fdb::fdb_setup_network(), 2200);
        assert_eq!(fdb::fdb_select_api_version_impl(740, 740), 2203);
        assert_eq!(fdb::fdb_select_api_version_impl(730, 720), 2202);
        assert_eq!(fdb::fdb_select_api_version_impl(730, 730), 0);
        assert_eq!(fdb::fdb_select_api_version_impl(730, 730), 2201);
        assert_eq!(fdb::fdb_run_network(), 2008);
        assert_eq!(fdb::fdb_setup_network(), 0);
        assert_eq!(fdb::fdb_setup_network(), 2009);
        let text = CStr::from_ptr(fdb::fdb_get_error(1020));
        assert!(text.to_bytes().starts_with(b"not committed"), "{text:?}");
    }
    // SAFETY: it takes no pointer.
    thread::spawn(|| unsafe { fdb::fdb_run_network() })
}

#[test]
fn the_c_library_does_what_its_header_says() {
    let network = boot();
    let directory = tempfile::tempdir().expect("a directory");
    cluster_files_are_checked(directory.path());
    let server = Server::start(ServerOptions::default()).expect("a free port");
    let database = open(&server.cluster_file(directory.path())).expect("it is ours");

    let old = database.begin();
    assert_eq!(old.get(b"a").value(), Ok(None));
    let began = Instant::now();
    rows_go_there_and_back(&database);
    stamps_are_in_keys_and_values(&database);
    errors_come_at_the_commit(&database);
    a_watch_is_told(&database);
    a_transaction_lives_five_seconds(&old, began);
    a_commit_meets_the_fault_that_was_asked_for(&server, &database);
    a_cut_connection_is_made_anew(&server, &database);
    a_read_ends_at_its_timeout(&server, &database);

    drop(database);
    // SAFETY: it takes no pointer.
    assert_eq!(unsafe { fdb::fdb_stop_network() }, 0);
    assert_eq!(network.join().expect("it does not panic"), 0);
    // SAFETY: it takes no pointer.
    assert_eq!(unsafe { fdb::fdb_run_network() }, 2025);
}

fn cluster_files_are_checked(directory: &Path) {
    let check = |text: Option<&str>, expected: c_int| {
        let path = directory.join("other.cluster");
        match text {
            Some(text) => std::fs::write(&path, text).expect("writable"),
            None => assert!(!path.exists()),
        }
        assert_eq!(open(&path).map(|_| ()), Err(expected), "{text:?}");
    };
    check(None, 1515);
    check(Some(""), 2104);
    check(Some("nonsense"), 2104);
    check(Some("prod:Ab12@127.0.0.1:4500"), 2104);
}

fn rows_go_there_and_back(database: &Database) {
    let tx = database.begin();
    tx.set(b"a", b"1");
    tx.set(b"b", b"");
    tx.set(b"c", b"3");
    assert_eq!(tx.get(b"a").value(), Ok(Some(b"1".to_vec())), "its own write");
    assert_eq!(tx.commit().error(), 0);
    assert!(tx.committed_version() > 0);
    assert_eq!(tx.commit().error(), 2017);

    let tx = database.begin();
    let [a, b, d] = [b"a", b"b", b"d"].map(|key| tx.get(key));
    assert_eq!((a.value(), b.value(), d.value()), (Ok(Some(b"1".to_vec())), Ok(Some(Vec::new())), Ok(None)));
    let row = |key: &[u8], value: &[u8]| (key.to_vec(), value.to_vec());
    assert_eq!(tx.range(b"a", b"b", 0, false).rows(), Ok((vec![row(b"a", b"1"), row(b"b", b"")], false)));
    assert_eq!(tx.range(b"a", b"z", 2, true).rows(), Ok((vec![row(b"c", b"3"), row(b"b", b"")], true)));
    assert_eq!(tx.range(b"c", b"a", 0, false).rows(), Err(2005));
    assert!(tx.read_version().number().is_ok_and(|version| version > 0));
    assert_eq!(tx.commit().error(), 0);
    assert_eq!(tx.committed_version(), -1, "it wrote nothing");
    assert_eq!(tx.stamp().key(), Err(2021));
}

fn stamps_are_in_keys_and_values(database: &Database) {
    let tx = database.begin();
    tx.atomic(&[b"s/..........!".as_slice(), &2_u32.to_le_bytes()].concat(), b"v", 14);
    tx.atomic(b"stamped", &[b"<..........>".as_slice(), &1_u32.to_le_bytes()].concat(), 15);
    tx.atomic(b"count", &7_u64.to_le_bytes(), 2);
    assert_eq!(tx.range(b"s/", b"s0", 0, false).rows(), Err(1036));
    let stamp = tx.stamp();
    assert_eq!(tx.commit().error(), 0);
    let stamp = stamp.key().expect("it wrote");
    assert_eq!(stamp[..8], tx.committed_version().to_be_bytes());
    let tx = database.begin();
    let key = [b"s/".as_slice(), &stamp, b"!"].concat();
    assert_eq!(tx.get(&key).value(), Ok(Some(b"v".to_vec())));
    assert_eq!(tx.get(b"stamped").value(), Ok(Some([b"<".as_slice(), &stamp, b">"].concat())));
    assert_eq!(tx.get(b"count").value(), Ok(Some(7_u64.to_le_bytes().to_vec())));
}

fn errors_come_at_the_commit(database: &Database) {
    let check = |write: &dyn Fn(&Transaction), expected: c_int| {
        let tx = database.begin();
        write(&tx);
        assert_eq!(tx.commit().error(), expected);
    };
    check(&|tx| tx.set(&[b'k'; 10_000], &[0; 100_000]), 0);
    check(&|tx| tx.set(&[b'k'; 10_001], b""), 2102);
    check(&|tx| tx.set(b"k", &[0; 100_001]), 2103);
    check(&|tx| (0..100_u8).for_each(|row| tx.set(&[row], &[0; 100_000])), 2101);
    check(&|tx| tx.set(b"\xFF", b""), 2004);
    check(&|tx| tx.atomic(b"k", b"v", 6), 2018);

    let (first, second) = (database.begin(), database.begin());
    for tx in [&first, &second] {
        assert_eq!(tx.get(b"conflict").value(), Ok(None));
        tx.set(b"conflict", b"1");
    }
    assert_eq!((first.commit().error(), second.commit().error()), (0, 1020));
    assert_eq!(second.on_error(1020).error(), 0);
    assert_eq!(second.get(b"conflict").value(), Ok(Some(b"1".to_vec())), "as if new");
    assert_eq!(second.on_error(2000).error(), 2000);
}

fn a_watch_is_told(database: &Database) {
    let tx = database.begin();
    let watch = tx.watch(b"watched");
    assert_eq!(tx.commit().error(), 0);
    let other = database.begin();
    other.set(b"watched", b"1");
    assert_eq!(other.commit().error(), 0);
    assert_eq!(watch.error(), 0);
    let tx = database.begin();
    let watch = tx.watch(b"watched");
    drop(tx);
    // Something must follow: what nobody waits for is sent with what comes next.
    assert_eq!(database.begin().get(b"k").error(), 0);
    assert_eq!(watch.error(), 1101);
}

fn a_commit_meets_the_fault_that_was_asked_for(server: &Server, database: &Database) {
    let check = |fault: Fault, expected: c_int, stored: bool| {
        let key = format!("fault {fault:?}");
        server.script(&[fault]);
        let tx = database.begin();
        tx.set(key.as_bytes(), b"1");
        assert_eq!(tx.commit().error(), expected, "{fault:?}");
        let there = database.begin().get(key.as_bytes()).value().expect("readable").is_some();
        assert_eq!(there, stored, "{fault:?}");
    };
    check(Fault::None, 0, true);
    check(Fault::Conflict, 1020, false);
    check(Fault::UnknownCommitted, 1021, true);
    check(Fault::UnknownLost, 1021, false);
    check(Fault::TooOld, 1007, false);
    check(Fault::FutureVersion, 1009, false);
    check(Fault::Behind, 1037, false);
    check(Fault::CutCommitted, 1021, true);
    check(Fault::CutLost, 1021, false);
}

/// `old` has read at `began`.
fn a_transaction_lives_five_seconds(old: &Transaction, began: Instant) {
    assert_eq!(old.get(b"a").value(), Ok(None), "as it was when it began");
    thread::sleep(Duration::from_millis(5_100).saturating_sub(began.elapsed()));
    assert_eq!(old.get(b"a").error(), 1007);
    old.set(b"late", b"1");
    assert_eq!(old.commit().error(), 1007);
}

fn a_cut_connection_is_made_anew(server: &Server, database: &Database) {
    let tx = database.begin();
    assert_eq!(tx.get(b"a").value(), Ok(Some(b"1".to_vec())));
    server.cut();
    let began = Instant::now();
    while tx.get(b"a").error() != 1007 {
        assert!(began.elapsed() < Duration::from_secs(10), "the transaction goes on over another connection");
        thread::sleep(Duration::from_millis(5));
    }
    tx.set(b"never", b"1");
    assert_eq!(tx.commit().error(), 1007);
    assert_eq!(database.begin().get(b"never").value(), Ok(None));
}

fn a_read_ends_at_its_timeout(server: &Server, database: &Database) {
    server.pause();
    let began = Instant::now();
    let tx = database.begin();
    tx.set_timeout(200);
    let read = tx.get(b"a");
    // No timeout from here on, and the commit waits for the server.
    let patient = database.begin();
    patient.set_timeout(200);
    patient.set(b"patient", b"1");
    patient.set_timeout(0);
    let commit = patient.commit();
    assert_eq!(read.error(), 1031);
    assert!(began.elapsed() >= Duration::from_millis(200), "after {:?}", began.elapsed());
    assert_eq!(tx.get(b"a").error(), 1031, "and so does the next");
    // A reset takes options back to the database's, which has no timeout here.
    tx.reset();
    let reset = tx.get(b"a");
    thread::sleep(Duration::from_millis(300));
    server.resume();
    assert_eq!(reset.error(), 0);
    assert_eq!(commit.error(), 0);
    assert_eq!(database.begin().get(b"patient").value(), Ok(Some(b"1".to_vec())));
}
