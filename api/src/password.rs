//! Passwords: hashed with argon2id on threads of their own.
//!
//! Owns the cost, the threads and the queue before them. Neither a shard's thread nor the one that serves HTTP ever
//! hashes: one hash is some 20 ms of a core. One thread a core, at a low priority, so that a storm of logins
//! delays logins and nothing else. What does not fit into the queue is refused (114) at once.

use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use argon2::password_hash::{self, Output, ParamsString, PasswordHash, SaltString};
use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Block, Params, Version};
use schema::{ErrorCode, Refusal};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use tokio::sync::oneshot;
use unicode_normalization::UnicodeNormalization;

/// Hashes that wait for a thread, for each thread.
///
/// 32 at some 20 ms are 0.6 s: what waits longer is better asked again than answered late.
pub(crate) const QUEUE_PER_THREAD: usize = 32;

/// What one hash costs, in argon2id's terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes; this implementation computes them in turn.
    pub lanes: u32,
}

/// OWASP's minimum for argon2id, Password Storage Cheat Sheet: 19 MiB, 2 passes, 1 lane.
impl Default for Cost {
    fn default() -> Self {
        Self { memory_kib: 19 * 1024, passes: 2, lanes: 1 }
    }
}

/// A text that is never shown: not by `Debug`, not in the error about a field of another type.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl Secret {
    /// A password as it is counted, hashed and compared: RFC 8265's OpaqueString, so composed (NFC) and with U+0020 for
    /// every other space. What that profile disallows beside is taken, since a password that was legal has to stay so.
    pub(crate) fn normalised(&self) -> Self {
        /// Space_Separator, without U+0020 itself.
        fn is_space(c: char) -> bool {
            matches!(c, '\u{A0}' | '\u{1680}' | '\u{2000}'..='\u{200A}' | '\u{202F}' | '\u{205F}' | '\u{3000}')
        }
        Self(self.0.chars().map(|c| if is_space(c) { ' ' } else { c }).nfc().collect())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // By way of a value, because serde's own message would quote what it found.
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(text) => Ok(Self(text)),
            _ => Err(D::Error::custom("expected a string")),
        }
    }
}

/// Hashes and verifies. Clones share the threads, which end with the last clone.
#[derive(Clone)]
pub(crate) struct Passwords {
    jobs: SyncSender<Job>,
    cost: Cost,
    /// The hash of nothing that anyone could type, so that a login of an unknown user takes as long as any.
    decoy: Arc<str>,
}

/// What a thread does, with memory that it may grow.
type Job = Box<dyn FnOnce(&mut Vec<Block>) + Send>;

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passwords").field("cost", &self.cost).finish_non_exhaustive()
    }
}

impl Passwords {
    /// Starts the threads: one for each core.
    ///
    /// # Errors
    /// If the cost is not one of argon2id's, or a thread cannot be started.
    pub(crate) fn start(cost: Cost) -> io::Result<Self> {
        let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self::start_with(cost, threads, threads * QUEUE_PER_THREAD)
    }

    /// Starts `threads` threads behind a queue of `queue_jobs`.
    pub(crate) fn start_with(cost: Cost, threads: usize, queue_jobs: usize) -> io::Result<Self> {
        let decoy = hash(cost, &Secret::new(""), SALT_OF_DECOY, &mut Vec::new())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error.to_string()))?;
        let (jobs, queue) = sync_channel(queue_jobs);
        let queue = Arc::new(Mutex::new(queue));
        for number in 0..threads {
            let queue = Arc::clone(&queue);
            thread::Builder::new().name(format!("argon2-{number}")).spawn(move || work(&queue))?;
        }
        Ok(Self { jobs, cost, decoy: decoy.into() })
    }

    /// The hash of a password, normalised, under a new salt, in PHC form.
    ///
    /// # Errors
    /// 114 when the queue is full, 100 when the system has no randomness.
    pub(crate) async fn hash(&self, password: Secret) -> Result<String, Refusal> {
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map_err(|_| internal())?;
        let cost = self.cost;
        let hashed = self.run(move |memory| hash(cost, &password.normalised(), salt, memory));
        hashed.await?.map_err(|_| internal())
    }

    /// Whether `password` is the one behind `stored`; if none is stored, no, after the same work. One whose normalised
    /// form differs is tried as it was typed too: hashes made before passwords were normalised are of that form.
    ///
    /// # Errors
    /// 114 when the queue is full.
    pub(crate) async fn verify(&self, password: Secret, stored: Option<String>) -> Result<bool, Refusal> {
        let stored = stored.unwrap_or_default();
        let decoy = Arc::clone(&self.decoy);
        let matches = self.run(move |memory| {
            // The cost is the stored hash's own. An account without a password has no hash, and nothing matches it.
            let (hash, known) = match PasswordHash::new(&stored) {
                Ok(hash) => (hash, true),
                Err(_) => (PasswordHash::new(&decoy).expect("made by this same code"), false),
            };
            // `known` last: the work is done either way.
            let normalised = password.normalised();
            let is_it = |password: &Secret, memory: &mut Vec<Block>| matches(&hash, password, memory).unwrap_or(false);
            let is_raw = normalised != password && is_it(&password, memory);
            (is_it(&normalised, memory) || is_raw) && known
        });
        matches.await
    }

    /// Queues a job and awaits its result. A job that nobody awaits any more is skipped.
    async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Vec<Block>) -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let (reply, result) = oneshot::channel();
        let job: Job = Box::new(move |memory| {
            if !reply.is_closed() {
                // Refused only if the caller went away meanwhile.
                let _: Result<(), T> = reply.send(job(memory));
            }
        });
        self.jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => {
                Refusal::new(ErrorCode::Overloaded, "too many logins at once, try again").after_ms(1_000)
            }
            TrySendError::Disconnected(_) => internal(),
        })?;
        result.await.map_err(|_| internal())
    }
}

/// Salt of the decoy: fixed, since nothing is stored under it.
const SALT_OF_DECOY: [u8; 16] = *b"no such account!";

fn internal() -> Refusal {
    Refusal::new(ErrorCode::Internal, "the password could not be processed, try again")
}

fn hash(
    cost: Cost,
    password: &Secret,
    salt: [u8; 16],
    memory: &mut Vec<Block>,
) -> Result<String, password_hash::Error> {
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, None)?;
    let text = SaltString::encode_b64(&salt)?;
    let output = derive(&params, password, &salt, memory)?;
    let hash = PasswordHash {
        algorithm: ARGON2ID_IDENT,
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(&params)?,
        salt: Some(text.as_salt()),
        hash: Some(output),
    };
    Ok(hash.to_string())
}

/// Whether `password` gives this hash under its own salt and cost.
fn matches(hash: &PasswordHash<'_>, password: &Secret, memory: &mut Vec<Block>) -> Result<bool, password_hash::Error> {
    let (Some(salt), Some(expected)) = (hash.salt, hash.hash) else { return Ok(false) };
    if (hash.algorithm, hash.version) != (ARGON2ID_IDENT, Some(Version::V0x13.into())) {
        return Ok(false);
    }
    let mut bytes = [0; 64];
    let salt = salt.decode_b64(&mut bytes)?;
    // Compares in constant time.
    Ok(derive(&Params::try_from(hash)?, password, salt, memory)? == expected)
}

fn derive(
    params: &Params,
    password: &Secret,
    salt: &[u8],
    memory: &mut Vec<Block>,
) -> Result<Output, password_hash::Error> {
    let mut output = [0; Params::DEFAULT_OUTPUT_LEN];
    // What an earlier hash left there is overwritten before it is read.
    memory.resize(params.block_count(), Block::default());
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone()).hash_password_into_with_memory(
        password.reveal().as_bytes(),
        salt,
        &mut output,
        memory,
    )?;
    Output::new(&output)
}

/// Takes jobs until the last [`Passwords`] is gone.
///
/// Keeps its memory from job to job, which spares a third of the time (16 instead of 25 ms, the rest being page
/// faults), and gives it back when there is nothing to do.
fn work(queue: &Mutex<Receiver<Job>>) {
    // Of this thread alone, as Linux has it. 10 leaves it a tenth of a core that a shard keeps busy: a login then takes
    // 0.2 s instead of 20 ms, and the shard loses a tenth.
    if let Err(error) = rustix::process::setpriority_process(None, 10) {
        tracing::warn!(%error, "password threads run at normal priority");
    }
    let mut memory = Vec::new();
    loop {
        let job = match next_at_once(queue) {
            Some(job) => job,
            None => {
                memory = Vec::new();
                // A job cannot poison the lock: it runs after the guard is dropped.
                match queue.lock().unwrap_or_else(PoisonError::into_inner).recv() {
                    Ok(job) => job,
                    Err(_) => return,
                }
            }
        };
        job(&mut memory);
    }
}

/// The next job, if there is one. Who holds the lock waits for one, so then there is none.
fn next_at_once(queue: &Mutex<Receiver<Job>>) -> Option<Job> {
    queue.try_lock().ok()?.try_recv().ok()
}

#[cfg(test)]
mod tests {
    use argon2::PasswordVerifier;

    use super::*;

    const CHEAP: Cost = Cost { memory_kib: 8, passes: 1, lanes: 1 };

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
    }

    #[test]
    fn the_default_cost_is_written_into_the_hash() {
        let passwords = Passwords::start(Cost::default()).expect("started");
        let hash = block_on(passwords.hash(Secret::new("correct horse"))).expect("hashed");
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
    }

    #[test]
    fn only_the_password_behind_the_hash_matches() {
        let passwords = Passwords::start_with(CHEAP, 1, 4).expect("started");
        let stored = block_on(passwords.hash(Secret::new("correct horse"))).expect("hashed");
        let again = block_on(passwords.hash(Secret::new("correct horse"))).expect("hashed");
        assert_ne!(stored, again, "each hash has a salt of its own");
        let hash = PasswordHash::new(&stored).expect("PHC form");
        assert_eq!(Argon2::default().verify_password(b"correct horse", &hash), Ok(()), "the library agrees");
        let check = |password: &str, stored: Option<&str>, expected| {
            let seen = block_on(passwords.verify(Secret::new(password), stored.map(str::to_owned)));
            assert_eq!(seen, Ok(expected), "{password:?} against {stored:?}");
        };
        check("correct horse", Some(&stored), true);
        check("correct horse ", Some(&stored), false);
        check("", Some(&stored), false);
        check("", None, false);
        check("correct horse", Some("!"), false);
        check("correct horse", Some(&stored.replace("argon2id", "argon2i")), false);
        check("correct horse", Some(&stored.replace("v=19", "v=16")), false);
        check("correct horse", Some(&stored.replace("t=1", "t=2")), false);
    }

    #[test]
    fn a_password_is_the_same_however_it_is_composed_and_spaced() {
        let passwords = Passwords::start_with(CHEAP, 1, 4).expect("started");
        let check = |signed_up: &str, typed: &str, expected| {
            let stored = block_on(passwords.hash(Secret::new(signed_up))).expect("hashed");
            let seen = block_on(passwords.verify(Secret::new(typed), Some(stored)));
            assert_eq!(seen, Ok(expected), "{typed:?} for {signed_up:?}");
        };
        check("caf\u{e9} horse", "cafe\u{301} horse", true);
        check("cafe\u{301} horse", "caf\u{e9} horse", true);
        check(
            "비밀번호 말",
            "\u{1107}\u{1175}\u{1106}\u{1175}\u{11AF}\u{1107}\u{1165}\u{11AB}\u{1112}\u{1169} 말",
            true,
        );
        check("correct horse", "correct\u{A0}horse", true);
        check("correct\u{3000}horse", "correct\u{2003}horse", true);
        check("\u{212B}ngstrom", "\u{c5}ngstrom", true);
        check("correct horse", "Correct horse", false);
        check("correct horse", "correct\thorse", false);
        check("correct horse", "ｃorrect horse", false);
        // A hash of before stays the hash of what was typed then.
        let raw = Secret::new("cafe\u{301} horse");
        let stored = hash(CHEAP, &raw, [7; 16], &mut Vec::new()).expect("hashed");
        assert_eq!(block_on(passwords.verify(raw, Some(stored))), Ok(true));
    }

    #[test]
    fn a_full_queue_refuses_at_once_and_recovers() {
        let passwords = Passwords::start_with(CHEAP, 1, 1).expect("started");
        let (release, held) = sync_channel::<()>(0);
        let (started, starts) = sync_channel::<()>(0);
        block_on(async {
            let mut running = Box::pin(passwords.run(move |_| {
                started.send(()).expect("the test waits");
                held.recv().expect("the test releases");
            }));
            let mut queued = Box::pin(passwords.run(|_| ()));
            assert!(poll_once(&mut running).await.is_none());
            starts.recv().expect("the thread took the job");
            assert!(poll_once(&mut queued).await.is_none());
            let refused = passwords.run(|_| ()).await.expect_err("the queue is full");
            assert_eq!((refused.code, refused.retry_after_ms), (ErrorCode::Overloaded, 1_000));
            release.send(()).expect("the job waits");
            assert_eq!((running.await, queued.await), (Ok(()), Ok(())));
            assert_eq!(passwords.run(|_| 7).await, Ok(7));
        });
    }

    #[test]
    fn a_secret_is_shown_by_nothing() {
        assert_eq!(format!("{:?}", Secret::new("hunter22")), "Secret(…)");
        let error = serde_json::from_str::<Secret>("12345678").expect_err("a number").to_string();
        assert!(!error.contains("12345678"), "{error}");
    }

    async fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        std::future::poll_fn(|cx| {
            std::task::Poll::Ready(match std::pin::Pin::new(&mut *future).poll(cx) {
                std::task::Poll::Ready(value) => Some(value),
                std::task::Poll::Pending => None,
            })
        })
        .await
    }
}
