//! Rooms in which devices write and read all the time, wherever a node serves, and the comparison of what each was told
//! with the log (I2, I3, I5, I6).

pub(crate) mod client;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use client::{Account, End, Ledger, Places, Writer};

use crate::support::{PATIENCE, Place, text};

/// What a history may miss of what another node committed, and twice as much.
const FRESH: Duration = Duration::from_millis(500);

/// Who writes in a room, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Company {
    /// Of the room, and in the names of its accounts.
    pub(crate) name: &'static str,
    pub(crate) members: usize,
    /// Of each member; every one of them writes.
    pub(crate) devices: usize,
    /// Between two messages of a device.
    pub(crate) pause: Duration,
    /// How long a device waits for a reply before it tries elsewhere.
    pub(crate) reply: Duration,
}

/// A group whose members write all the time, and what they were told.
pub(crate) struct Room {
    pub(crate) channel: String,
    /// A member who does not write.
    pub(crate) reader: Account,
    pub(crate) places: Places,
    pub(crate) ledger: Ledger,
    end: Arc<End>,
    writers: Vec<JoinHandle<Vec<(u64, String)>>>,
}

impl Room {
    /// Opens it at the first of some places, and has its devices start at each of them in turn.
    pub(crate) fn open(company: &Company, places: &[&Place]) -> Self {
        let &Company { name, members, devices, pause, reply } = company;
        let account = |at: usize| {
            let (id, token) = places[0].sign_up(&format!("{name}{at}"));
            Account { id, token }
        };
        let accounts: Vec<_> = (0..=members).map(account).collect();
        let (reader, writers) = accounts.split_first().expect("one more than members");
        let ids: Vec<&str> = writers.iter().map(|account| account.id.as_str()).collect();
        let channel = places[0].group(&reader.token, name, &ids);
        let (all, ledger, end) = (Places::default(), Ledger::default(), Arc::<End>::default());
        places.iter().for_each(|place| all.add(place));
        let start = |number: usize| {
            let writer = Writer {
                account: writers[number % members].clone(),
                device: format!("phone-{number}"),
                channel: channel.clone(),
                places: all.clone(),
                first: number,
                pause,
                reply,
                ledger: Arc::clone(&ledger),
                end: Arc::clone(&end),
            };
            thread::spawn(|| writer.run())
        };
        let writers = (0..members * devices).map(start).collect();
        Self { channel, reader: reader.clone(), places: all, ledger, end, writers }
    }

    /// Waits until any of `by` has acknowledged something since `since`; when the first was.
    pub(crate) fn acknowledged(&self, by: &[&Place], since: Instant) -> Instant {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            let ledger = self.ledger.lock().expect("no client panics here");
            let new = ledger.iter().rev().take_while(|message| message.at > since);
            if let Some(first) = new.filter(|message| by.contains(&&message.by)).last() {
                return first.at;
            }
            drop(ledger);
            thread::sleep(Duration::from_millis(2));
        }
        panic!("nothing is acknowledged by {by:?}");
    }

    /// Stops the writers and compares what they were told with the whole log. How many messages it has.
    pub(crate) fn close(self, place: &Place) -> usize {
        self.end.stop.store(true, Ordering::Relaxed);
        let until = Instant::now() + PATIENCE;
        while self.end.written.load(Ordering::Relaxed) < self.writers.len() {
            assert!(Instant::now() < until, "every writer is acknowledged its last message");
            thread::sleep(Duration::from_millis(10));
        }
        // A page may miss what another node committed a moment ago.
        thread::sleep(FRESH);
        let mut log: BTreeMap<u64, String> = BTreeMap::new();
        let mut texts: BTreeMap<String, u64> = BTreeMap::new();
        loop {
            let after = log.last_key_value().map_or(0, |(seq, _)| *seq);
            let path = format!("/v1/channels/{}/messages?after={after}&limit=200", self.channel);
            let (_, page) = place.http("GET", &path, Some(&self.reader.token), None);
            for message in page["messages"].as_array().expect("a page") {
                let (seq, text) = (message["seq"].as_u64().expect("a seq"), text(&message["body"]));
                assert_eq!(seq, log.len() as u64 + 1, "I2: the seqs are dense");
                assert_eq!(texts.insert(text.clone(), seq), None, "I5: {text} is there once");
                log.insert(seq, text);
            }
            if page["more"] != true {
                break;
            }
        }
        for message in &*self.ledger.lock().expect("no client panics here") {
            assert_eq!(texts.get(&message.text), Some(&message.seq), "I3: {message:?} was acknowledged");
        }
        self.end.last.store(log.len() as u64, Ordering::Relaxed);
        for writer in self.writers {
            let pushed = writer.join().expect("a writer ends");
            // Each is one message behind the one before, and it was pushed the last one.
            assert_eq!(pushed.last().map(|(seq, _)| *seq), Some(log.len() as u64), "I6: pushed to the end");
            for (seq, text) in pushed {
                assert_eq!(log.get(&seq), Some(&text), "I2: what was pushed is what is stored");
            }
        }
        log.len()
    }
}
