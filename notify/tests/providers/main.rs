//! Each provider against the stand-in of its service, over loopback: what arrives is what was meant, and whatever the
//! service does comes to the class that decides what is done next.

mod apns;
mod config;
mod fcm;
mod mail;
mod sms;
mod tls;
mod webhook;
mod webpush;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use fakes::Fakes;
use notify::message::Target;
use notify::providers::{Provider, Providers};
use notify::{Fault, Message, Outcome};
use schema::{Medium, NoticeId, UnixMs};

/// The fakes, and the providers of the configuration that they wrote.
struct Rig {
    fakes: Fakes,
    providers: Providers,
    _directory: tempfile::TempDir,
}

impl Rig {
    fn start() -> Self {
        Self::start_with("")
    }

    /// With more keys for all providers.
    fn start_with(keys: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let fakes = Fakes::start(directory.path()).expect("started");
        prepend(fakes.config_path(), keys);
        let providers = Providers::load(fakes.config_path()).expect("the fakes write what providers read");
        Self { fakes, providers, _directory: directory }
    }

    fn provider(&self, medium: Medium) -> Arc<dyn Provider> {
        Arc::clone(&self.providers.of(medium)[0])
    }
}

fn prepend(path: &Path, keys: &str) {
    let text = fs::read_to_string(path).expect("it was written");
    fs::write(path, format!("{keys}\n{text}")).expect("written");
}

/// A message to a target that its service takes.
fn message(number: u8, address: &str) -> Message {
    Message {
        notice: NoticeId([number; 16]),
        id: uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, &[number]),
        target: Target {
            address: address.to_owned(),
            app: String::new(),
            is_development: false,
            locale: String::new(),
        },
        title: "Team".to_owned(),
        body: "Ada: hello \"you\" 🦀".to_owned(),
        html: None,
        collapse: "c-7".to_owned(),
        badge: Some(3),
        data: BTreeMap::from([("channel".to_owned(), "7".to_owned())]),
        media: None,
        is_urgent: true,
        expires_ms: UnixMs(4_102_444_800_000),
        unsubscribe: None,
        callback: None,
    }
}

/// An outcome as a row: `sent`, or the class with what the service wants to be waited for.
fn shown(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Sent { .. } => "sent".to_owned(),
        Outcome::Failed { fault, retry_after_ms: None, .. } => fault.to_string(),
        Outcome::Failed { fault, retry_after_ms: Some(ms), .. } => format!("{fault} after {ms}"),
    }
}

/// That no outcome says whom it was about.
fn check_discreet(outcome: &Outcome, address: &str) {
    if let Outcome::Failed { detail, .. } = outcome {
        assert!(!detail.contains(address) && detail.len() <= 200 && !detail.contains('\n'), "{detail}");
    }
}

#[test]
fn a_dry_run_sends_nothing() {
    let rig = Rig::start_with("dry_run = true");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    for medium in [Medium::Apns, Medium::Fcm, Medium::WebPush, Medium::Sms, Medium::Webhook] {
        let outcome = runtime.block_on(rig.provider(medium).send(&message(1, "whoever")));
        assert_eq!(outcome, Outcome::Sent { provider_id: Some("dry-run".to_owned()) }, "{medium}");
    }
    assert!(rig.fakes.all().iter().all(|fake| fake.counts().requests == 0));
}
