//! Clients as the protocol wants them: they connect again by cursor, wherever a node serves, and send again under the
//! same id what was not acknowledged.
//!
//! Owns what each was told: acknowledgements, and pushes, of which none may be missing or come twice (I6).

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Client, PATIENCE, Place, client_msg_id, message, text};

/// Where nodes may serve: clients try one after the other.
#[derive(Clone, Default)]
pub(crate) struct Places(Arc<Mutex<Vec<Place>>>);

impl Places {
    pub(crate) fn add(&self, place: &Place) {
        self.0.lock().expect("no client panics here").push(place.clone());
    }

    pub(crate) fn remove(&self, place: &Place) {
        self.0.lock().expect("no client panics here").retain(|other| other != place);
    }

    fn nth(&self, number: usize) -> Option<Place> {
        let places = self.0.lock().expect("no client panics here");
        places.get(number % places.len().max(1)).cloned()
    }
}

/// An account.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub(crate) id: String,
    pub(crate) token: String,
}

/// A device, connected, which waits so long for each reply. `None` if nobody serves there.
pub(crate) fn connect(
    place: &Place,
    reply: Duration,
    account: &Account,
    device: &str,
    cursor: Option<&str>,
) -> Option<(Client, Value)> {
    let mut client = Client::try_open(&place.ws, reply)?;
    let said = client.try_connect(&account.token, device, cursor).ok()?;
    assert!(said["error"].is_null() || said["error"]["temporary"] == true, "{said}");
    said["error"].is_null().then_some((client, said))
}

/// A message that was acknowledged.
#[derive(Debug, Clone)]
pub(crate) struct Acknowledged {
    pub(crate) text: String,
    pub(crate) seq: u64,
    pub(crate) by: Place,
    pub(crate) at: Instant,
}

/// What the sends of a client came to, as they come.
pub(crate) type Ledger = Arc<Mutex<Vec<Acknowledged>>>;

/// The fields of a send. One text is one message, whoever sends it again.
pub(crate) fn send(channel: &str, text: &str) -> Value {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    message(channel, &client_msg_id(hasher.finish()), text)
}

/// One who writes all the time.
pub(crate) struct Writer {
    pub(crate) account: Account,
    pub(crate) device: String,
    pub(crate) channel: String,
    pub(crate) places: Places,
    /// The place that it tries first.
    pub(crate) first: usize,
    /// Between two messages.
    pub(crate) pause: Duration,
    /// How long it waits for a reply before it tries elsewhere.
    pub(crate) reply: Duration,
    pub(crate) ledger: Ledger,
    pub(crate) end: Arc<End>,
}

/// How writers end: each acknowledges its last message, then all are pushed what the log ends with.
#[derive(Default)]
pub(crate) struct End {
    /// No writer begins another message.
    pub(crate) stop: AtomicBool,
    /// Writers whose last message is acknowledged.
    pub(crate) written: AtomicUsize,
    /// The last seq of the log once nobody writes any more, 0 before.
    pub(crate) last: AtomicU64,
}

/// Where a writer's device is, and what it was pushed: seqs and texts in their order.
#[derive(Default)]
struct Device {
    connection: Option<(Client, Place)>,
    tries: usize,
    cursor: Option<String>,
    pushed: Vec<(u64, String)>,
}

impl Writer {
    /// Writes until it is stopped, and reads until it was pushed the last message of all. The seqs and texts that it
    /// was pushed, in their order.
    pub(crate) fn run(self) -> Vec<(u64, String)> {
        let mut device = Device { tries: self.first, ..Device::default() };
        for number in 0.. {
            if self.end.stop.load(Ordering::Relaxed) {
                break;
            }
            let text = format!("{}-{}-{number}", self.account.id, self.device);
            while !self.sent(&text, &mut device) {
                self.connect(&mut device);
            }
            thread::sleep(self.pause);
        }
        self.end.written.fetch_add(1, Ordering::Relaxed);
        let until = Instant::now() + PATIENCE;
        loop {
            let last = self.end.last.load(Ordering::Relaxed);
            let seen = device.pushed.last().map_or(0, |(seq, _)| *seq);
            if last > 0 && seen >= last {
                return device.pushed;
            }
            assert!(Instant::now() < until, "I6: {} was pushed up to {seen} of {last}", self.account.id);
            if last == 0 {
                thread::sleep(Duration::from_millis(10));
                continue;
            }
            match device.connection.as_mut().map(|(client, _)| client.next()) {
                Some(Ok(said)) => self.take(&said["push"], &mut device),
                Some(Err(_)) | None => self.connect(&mut device),
            }
        }
    }

    /// Connects to the next place, if a node serves there.
    fn connect(&self, device: &mut Device) {
        let place = self.places.nth(device.tries);
        device.tries += 1;
        let open = place.and_then(|place| {
            let cursor = device.cursor.as_deref();
            Some((connect(&place, self.reply, &self.account, &self.device, cursor)?, place))
        });
        device.connection = open.map(|((client, said), place)| {
            device.cursor.get_or_insert_with(|| text(&said["connect"]["cursor"]));
            (client, place)
        });
        if device.connection.is_none() {
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Whether the message was acknowledged on the device's connection.
    fn sent(&self, text: &str, device: &mut Device) -> bool {
        loop {
            let Some((client, place)) = &mut device.connection else { return false };
            let asked = client.try_tell("send", send(&self.channel, text)).and_then(|id| client.try_reply(id));
            let (place, pushes) = (place.clone(), std::mem::take(&mut client.pushes));
            pushes.iter().for_each(|push| self.take(push, device));
            let Ok(reply) = asked else { return false };
            if reply["error"].is_null() {
                let seq = reply["send"]["seq"].as_u64().expect("a seq");
                let acknowledged = Acknowledged { text: text.to_owned(), seq, by: place, at: Instant::now() };
                self.ledger.lock().expect("nobody panics here").push(acknowledged);
                return true;
            }
            assert_eq!(reply["error"]["temporary"], true, "{reply}");
            thread::sleep(Duration::from_millis(reply["error"]["retry_after_ms"].as_u64().unwrap_or(50)));
        }
    }

    fn take(&self, push: &Value, device: &mut Device) {
        assert!(push["snapshot"].is_null(), "I6: the cursor is not too old: {push}");
        let message = &push["message"]["message"];
        if message["channel_id"] == self.channel.as_str() {
            let seq = message["seq"].as_u64().expect("a seq");
            if let Some((last, _)) = device.pushed.last() {
                assert_eq!(seq, last + 1, "I6: {} is pushed the next message, across nodes", self.account.id);
            }
            device.pushed.push((seq, text(&message["body"])));
        }
        for (_, fields) in push.as_object().into_iter().flatten() {
            if let Some(after) = fields["cursor"].as_str() {
                device.cursor = Some(after.to_owned());
            }
        }
    }
}
