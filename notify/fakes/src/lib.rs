//! Stand-ins for the services that notifications go to, each on a port of loopback: they check what they are sent as
//! the real ones do, keep it for whoever asks, and misbehave as they are told.
//!
//! Owns nothing of the providers: each fake is written from its service's public documents, with other libraries, so
//! that a mistake of one is not a mistake of both.
//!
//! ```no_run
//! let fakes = fakes::Fakes::start(std::path::Path::new("/tmp/fakes")).expect("started");
//! fakes.apns.set_profile(fakes::Profile::Unavailable);
//! println!("point a node at {}", fakes.config_path().display());
//! ```

mod aes128gcm;
pub mod apns;
mod config;
mod control;
mod events;
pub mod fcm;
pub mod issuer;
mod ledger;
mod mail;
mod profile;
mod server;
pub mod sms;
mod token;
pub mod webhook;
pub mod webpush;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::{oneshot, watch};

pub use ledger::{Counts, Received};
pub use profile::{Profile, ProfileError};
pub use server::Observer;
use server::{Service, Shared};

/// One fake.
pub struct Fake {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Fake {
    /// What it stands for: `apns`, and so on.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.shared.name
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Behaves so from the next request on.
    pub fn set_profile(&self, profile: Profile) {
        self.shared.set_profile(profile);
    }

    /// The messages that it has taken, in the order in which they came first: the newest 10,000.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.shared.ledger.received()
    }

    /// How much came, of all.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.ledger.counts()
    }

    /// How often the message of an id was taken: more than once is a repetition, which the sink knows as one.
    #[must_use]
    pub fn times(&self, id: &str) -> u32 {
        self.shared.ledger.times(id)
    }

    /// Why it refused the last request that was not in order.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        self.shared.ledger.fault()
    }

    /// Waits, blocking, until it has taken so many different messages. False if it has not within `patience`.
    #[must_use]
    pub fn wait(&self, distinct: u64, patience: Duration) -> bool {
        self.shared.ledger.wait(distinct, patience)
    }

    /// Forgets what it has taken.
    pub fn clear(&self) {
        self.shared.ledger.clear();
    }

    /// Ends its connections once what is under way is answered: GOAWAY, of HTTP/2.
    pub fn goaway(&self) {
        self.shared.goaway.send_modify(|times| *times += 1);
    }
}

/// All fakes, on a thread of their own until this is dropped.
pub struct Fakes {
    /// Apple's push notification service.
    pub apns: Fake,
    /// A browser's push service, and the browser behind it.
    pub webpush: Fake,
    /// Firebase Cloud Messaging.
    pub fcm: Fake,
    /// A mail server.
    pub mail: Fake,
    /// An SMS gateway.
    pub sms: Fake,
    /// A sink for webhooks.
    pub webhook: Fake,
    /// An application's own server, which is told of events.
    pub events: Fake,
    browser: Arc<webpush::PushService>,
    google: Arc<fcm::Fcm>,
    shop: Arc<events::Shop>,
    config_path: PathBuf,
    stop: Option<oneshot::Sender<()>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Fakes {
    /// Starts them, and writes into `directory`, which is made if need be, the key files and a `notify.toml` with which a
    /// node sends to them.
    ///
    /// # Errors
    /// If the directory cannot be written, or no port or thread is to be had.
    pub fn start(directory: &Path) -> io::Result<Self> {
        Self::start_observed(directory, None)
    }

    /// The same, with somebody who is told of each message.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_observed(directory: &Path, observer: Option<Observer>) -> io::Result<Self> {
        let shared = |name| {
            Arc::new(Shared {
                name,
                ledger: ledger::Ledger::default(),
                profile: Mutex::default(),
                goaway: watch::Sender::new(0),
                observer: observer.clone(),
            })
        };
        let mut listening: Vec<(TcpListener, Arc<Shared>, Arc<dyn Service>)> = Vec::new();
        let mut fake = |name, (listener, address): (TcpListener, SocketAddr), service: Arc<dyn Service>| {
            let shared = shared(name);
            listening.push((listener, Arc::clone(&shared), service));
            Fake { address, shared }
        };
        let apns = fake("apns", server::bind()?, Arc::new(apns::Apns::new()));
        let bound = server::bind()?;
        let browser = Arc::new(webpush::PushService::new(bound.1));
        let webpush = fake("webpush", bound, Arc::clone(&browser) as Arc<dyn Service>);
        let bound = server::bind()?;
        let google = Arc::new(fcm::Fcm::new(bound.1));
        let fcm = fake("fcm", bound, Arc::clone(&google) as Arc<dyn Service>);
        let sms = fake("sms", server::bind()?, Arc::new(sms::Sms));
        let webhook = fake("webhook", server::bind()?, Arc::new(webhook::Webhook));
        let shop = Arc::new(events::Shop::default());
        let events = fake("events", server::bind()?, Arc::clone(&shop) as Arc<dyn Service>);
        let (mails, address) = server::bind()?;
        let mail = Fake { address, shared: shared("mail") };
        let addresses = config::Addresses {
            apns: apns.address,
            fcm: fcm.address,
            mail: mail.address,
            sms: sms.address,
            webhook: webhook.address,
        };
        let config_path = config::write(directory, &addresses, &google.key_file())?;
        let postman = Arc::clone(&mail.shared);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::Builder::new().name("fakes".to_owned()).spawn(move || {
            runtime.block_on(async {
                for (listener, shared, service) in listening {
                    tokio::spawn(server::serve(listener, shared, service));
                }
                tokio::spawn(mail::serve(mails, postman));
                // Dropped without a word is as good.
                let _ = stopped.await;
            });
        })?;
        Ok(Self {
            apns,
            webpush,
            fcm,
            mail,
            sms,
            webhook,
            events,
            browser,
            google,
            shop,
            config_path,
            stop: Some(stop),
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Every fake.
    #[must_use]
    pub fn all(&self) -> Vec<&Fake> {
        vec![&self.apns, &self.webpush, &self.fcm, &self.mail, &self.sms, &self.webhook, &self.events]
    }

    /// What a browser gives its application when it subscribes: the JSON of a `PushSubscription`. The name is of
    /// `[A-Za-z0-9_-]`, and the target of what arrives.
    #[must_use]
    pub fn subscription(&self, name: &str) -> String {
        self.browser.subscription(name).to_string()
    }

    /// How many access tokens Google's stand-in has granted.
    #[must_use]
    pub fn access_tokens(&self) -> u64 {
        self.google.granted()
    }

    /// Takes none of them any more, as Google may at any time.
    pub fn revoke_access_tokens(&self) {
        self.google.revoke();
    }

    /// From now on what the application's server is told has to be signed with this; with one that begins with `whsec_`,
    /// what webhooks tell it.
    pub fn expect_events_signed(&self, secret: &str) {
        self.shop.expect(secret);
    }

    /// From now on the application's server answers so what webhooks ask it before a message is stored: a status and a body, by the
    /// question.
    pub fn answer_before(&self, answers: impl Fn(&serde_json::Value) -> (u16, String) + Send + 'static) {
        self.shop.answer_with(Box::new(answers));
    }

    /// The `notify.toml` that lists them.
    #[must_use]
    pub fn config_path(&self) -> &Path {
        &self.config_path
    }
}

impl Drop for Fakes {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.get_mut().ok().and_then(Option::take) {
            // It has nothing to say; a panic in it has been shown.
            let _ = thread.join();
        }
    }
}
