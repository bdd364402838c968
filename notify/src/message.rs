//! One message for one target: what every provider is given, and puts in its own form.

use std::collections::BTreeMap;

use schema::{NoticeId, UnixMs};

/// Where a message goes, as its user registered it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// What the provider calls it: a device's token, a browser's subscription as the JSON of `PushSubscription`, a mail
    /// address, a phone number (E.164).
    pub address: String,
    /// The application that it belongs to: APNs' topic, FCM's project, what a webhook's template makes of it. Empty for
    /// the provider's own.
    pub app: String,
    /// Whether it is one of a development build (APNs' sandbox).
    pub is_development: bool,
    /// Language and region, as in BCP 47; empty if it is not known.
    pub locale: String,
}

/// What one target is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The notice that it is of.
    pub notice: NoticeId,
    /// Its name, which follows from the notice and the target and is the same at every attempt: a UUID of version 5. It
    /// is what the sink knows a repetition by: `apns-id`, `Message-ID`.
    pub id: uuid::Uuid,
    /// Where it goes.
    pub target: Target,
    /// One line.
    pub title: String,
    /// The text.
    pub body: String,
    /// The same for mail, as HTML, if there is any.
    pub html: Option<String>,
    /// What a later message with the same takes the place of: a channel, or the notice itself. At most 64 bytes of
    /// `[A-Za-z0-9_-]`.
    pub collapse: String,
    /// The number at the application's icon.
    pub badge: Option<u64>,
    /// For the application: where a click leads, of what it tells.
    pub data: BTreeMap<String, String>,
    /// A picture.
    pub media: Option<String>,
    /// Whether it is worth waking a device for.
    pub is_urgent: bool,
    /// After which it is of no use.
    pub expires_ms: UnixMs,
    /// Where one click ends such mails (RFC 8058).
    pub unsubscribe: Option<String>,
    /// Where the provider says what becomes of it, where it does.
    pub callback: Option<String>,
}
