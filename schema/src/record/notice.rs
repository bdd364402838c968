//! Notifications: where users are told, what is to be sent, and what became of it.
//!
//! A contact is a FlatBuffers table, since it will grow; jobs and deliveries are packed, one or two a notification.

use super::{flat_records, packed_records};
use crate::flat::flat_tables;
use crate::generated::rookery::record as fb;
use crate::id::{ChannelId, Seq, UserId};
use crate::limits::NOTICE_WORDS_BYTES_MAX;
use crate::notice::NoticeId;
use crate::packed::packed_enums;
use crate::time::UnixMs;

const _: () = assert!(NOTICE_WORDS_BYTES_MAX <= 255, "what a delivery says is a short text");

/// `contact`: where a user is told by one medium.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContactRecord {
    /// A device's token, the JSON of a browser's subscription, a mail address, a phone number.
    pub address: String,
    /// The application that it belongs to; empty for the provider's own.
    pub app: String,
    /// Whether it is one of a development build.
    pub development: bool,
    /// Language and region, as in BCP 47; empty if it is not known.
    pub locale: String,
    /// The login that registered it, with which it ends.
    pub family: u64,
    /// When it was registered last.
    pub registered_ms: UnixMs,
    /// When its user proved to read what is sent there; none where nothing proves it but its own sending.
    pub verified_ms: Option<UnixMs>,
}

/// `app`: a backend that may send notifications.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AppRecord {
    /// What its operator calls it.
    pub name: String,
    /// When it was made.
    pub created_ms: UnixMs,
    /// What it may do, a bit each: see `chat::notices::apps`.
    pub scopes: u32,
    /// Recipients that it may notify in a day; 0 if that is not limited.
    pub quota_a_day: u32,
    /// Its secrets that count, the oldest first; none once it was revoked.
    pub secrets: Vec<AppSecret>,
    /// The URL that it is called at with events of its notices, if it is.
    pub events_url: Option<String>,
    /// The secret that these calls are signed with; none without a URL.
    pub events_secret: Option<String>,
}

/// One of an application's secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppSecret {
    /// SHA-256 of the secret, in hexadecimal: nobody reads the secret itself.
    pub hash: String,
    /// When it was drawn.
    pub created_ms: UnixMs,
}

/// `notice`: what an application asked to be told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NoticeRecord {
    /// The application.
    pub app: u64,
    /// What kind of notice it is, in the application's words: users choose by it.
    pub category: String,
    /// One line; empty where a template has it.
    pub title: String,
    /// The text; empty where a template has it.
    pub body: String,
    /// The same for mail, as HTML, if there is any.
    pub html: Option<String>,
    /// The template that the words are made by; empty without one.
    pub template: String,
    /// A JSON object: the template's parameters, and what the application on the device is told.
    pub data: String,
    /// By which media, as their numbers; by those of devices, if none is named.
    pub media: Vec<u16>,
    /// What later notices with the same take the place of; empty for none but itself.
    pub collapse: String,
    /// Whether it is worth waking a device for.
    pub urgent: bool,
    /// When it was accepted.
    pub created_ms: UnixMs,
    /// When it is to be sent first.
    pub send_ms: UnixMs,
    /// How long after that again, and again; 0 for once.
    pub every_ms: u64,
    /// How long after it is due it is of no use.
    pub expires_ms: u64,
    /// How many users it is for.
    pub recipients: u32,
    /// The key that its request bore, under which it is found again for 30 days; empty without one.
    pub key: String,
    /// When it was cancelled: what was not sent by then is not sent.
    pub cancelled_ms: Option<UnixMs>,
    /// The version of its template when it was accepted; 0 without a template.
    pub template_version: u32,
    /// Whether links in it tell that they were followed, and mails that they were opened.
    pub track: bool,
}

/// `settings`: what a user wants to be told, by what, and when not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SettingsRecord {
    /// In which language, as in BCP 47; empty if it is the device's.
    pub language: String,
    /// Begin of quiet hours each day, as `HH:MM`; empty without them, as the two that follow.
    pub quiet_from: String,
    /// Their end, likewise.
    pub quiet_to: String,
    /// The time zone of both, by its IANA name.
    pub zone: String,
    /// By category; each at most once.
    pub choices: Vec<Choice>,
    /// Time of the last change.
    pub changed_ms: UnixMs,
}

/// The media by which a user wants a category, and those by which not. What is in neither is as it is by default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Which; `*` for those that have no choice of their own.
    pub category: String,
    /// Media that it is told by: bit `n` is the medium of number `n`.
    pub on: u32,
    /// Media that it is not told by.
    pub off: u32,
}

/// `code`: what proves that a user reads what is sent to an address, until it ends or was guessed at too often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodeRecord {
    /// SHA-256 of the code and whom it is for.
    pub hash: [u8; 32],
    /// The end of its time.
    pub expires_ms: UnixMs,
    /// Wrong guesses so far.
    pub tries: u32,
}

/// `template version`: what all variants of one version of a template share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateRecord {
    /// The language for who understands none of the others.
    pub default_locale: String,
    /// Its parameters: a JSON array.
    pub parameters: String,
    /// The number of its variants.
    pub variants: u16,
    /// When it was stored.
    pub created_ms: UnixMs,
}

/// `template variant`: what a template says in one language, by one medium or by any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VariantRecord {
    /// The language, as in BCP 47.
    pub locale: String,
    /// The number of the medium; 0 for those without a variant of their own.
    pub medium: u16,
    /// One line.
    pub title: String,
    /// The text.
    pub body: String,
    /// The same for mail, as HTML, if there is any.
    pub html: Option<String>,
}

/// `first notice`: the notice that a key's first request made, for 30 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirstNoticeRecord {
    /// The notice.
    pub notice: NoticeId,
    /// Of the request, so that a key reused for another is refused.
    pub content_hash: u64,
}

/// `job`: what is to be sent to one target, when its key says. Of a message: which, of an application's notice: nothing
/// more than the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobRecord {
    /// The channel of the message; 0 for an application's notice.
    pub channel: ChannelId,
    /// The newest message of the channel that it tells of.
    pub seq: Seq,
    /// The application's notice whose row has the words: of one that recurs another than the key's. All zero for a message.
    pub origin: NoticeId,
    /// When the job was made.
    pub planned_ms: UnixMs,
    /// After which it is of no use.
    pub expires_ms: UnixMs,
    /// Attempts that were begun.
    pub attempts: u32,
    /// Whether a worker has it: then its time is that at which it is anybody's again.
    pub leased: bool,
}

/// What became of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeliveryState {
    /// It is to be sent.
    Planned,
    /// A provider has it.
    Sent,
    /// There was nothing to say any more: it was read, deleted, muted or cancelled.
    Withdrawn,
    /// Its target is no more.
    Gone,
    /// It was given up: see its row in `dead`.
    Dead,
    /// The provider says that it arrived.
    Delivered,
    /// It could not be sent before it was of no use.
    Expired,
    /// Its user has seen it.
    Opened,
    /// Its user has followed it.
    Clicked,
    /// Of a notice as a whole: it is stored, and its jobs are to be made.
    Accepted,
}

impl DeliveryState {
    /// Every state.
    pub const ALL: [Self; 10] = [
        Self::Planned,
        Self::Sent,
        Self::Withdrawn,
        Self::Gone,
        Self::Dead,
        Self::Delivered,
        Self::Expired,
        Self::Opened,
        Self::Clicked,
        Self::Accepted,
    ];

    /// Whether a provider has taken it, whatever followed.
    #[must_use]
    pub fn arrived(self) -> bool {
        match self {
            Self::Sent | Self::Delivered | Self::Opened | Self::Clicked => true,
            Self::Planned | Self::Withdrawn | Self::Gone | Self::Dead | Self::Expired | Self::Accepted => false,
        }
    }

    /// Its word in reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Sent => "sent",
            Self::Withdrawn => "withdrawn",
            Self::Gone => "gone",
            Self::Dead => "dead",
            Self::Delivered => "delivered",
            Self::Expired => "expired",
            Self::Opened => "opened",
            Self::Clicked => "clicked",
            Self::Accepted => "accepted",
        }
    }
}

packed_enums! {
    DeliveryState {
        Planned = 1, Sent = 2, Withdrawn = 3, Gone = 4, Dead = 5, Delivered = 6, Expired = 7, Opened = 8, Clicked = 9,
        Accepted = 10
    }
}

/// `delivery`: what became of a job, for 30 days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRecord {
    /// How far it has come.
    pub state: DeliveryState,
    /// When the job was made.
    pub planned_ms: UnixMs,
    /// When it came into this state.
    pub at_ms: UnixMs,
    /// Attempts that were begun.
    pub attempts: u32,
    /// Who has it, as the operator calls that provider; empty before.
    pub provider: String,
    /// What the provider calls it; empty if it did not say. At most `NOTICE_WORDS_BYTES_MAX` bytes, as the words are.
    pub provider_id: String,
    /// Why it came into this state, in the provider's or our words.
    pub why: String,
    /// The application's notice, as of its job: of one that recurs another than the key's. All zero for a message.
    pub origin: NoticeId,
}

/// `dead`: a job that was given up, and why. It can be made a job again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadRecord {
    /// The channel of the message; 0 for an application's notice.
    pub channel: ChannelId,
    /// The newest message of the channel that it was to tell of.
    pub seq: Seq,
    /// The application's notice, as of its job.
    pub origin: NoticeId,
    /// When the job was made.
    pub planned_ms: UnixMs,
    /// Attempts that were begun.
    pub attempts: u32,
    /// Why it was given up, at most `NOTICE_WORDS_BYTES_MAX` bytes.
    pub why: String,
}

/// `notice event`: one change of what became of an application's notice, for whoever follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeEventRecord {
    /// The notice as its application knows it: of one that recurs the same each time.
    pub notice: NoticeId,
    /// Whom it tells; 0 where it is of the notice as a whole.
    pub user: UserId,
    /// The number of the medium; 0 likewise.
    pub medium: u8,
    /// The state that it has come to.
    pub state: DeliveryState,
    /// When.
    pub at_ms: UnixMs,
    /// On which device; empty where the contact is the user's own. At most 255 bytes, as the words are.
    pub device: String,
    /// Who has it, as the operator calls that provider.
    pub provider: String,
    /// Why, in the provider's or our words.
    pub why: String,
}

/// `told`: up to which message of a channel a user was planned to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ToldRecord {
    /// The newest.
    pub seq: Seq,
}

flat_records! {
    ContactRecord "contact" format 1 { address, app, development, locale, family, registered_ms, verified_ms }
    AppRecord "app" format 1 { name, created_ms, scopes, quota_a_day, secrets, events_url, events_secret }
    NoticeRecord "notice" format 1 {
        app, category, title, body, html, template, data, media, collapse, urgent, created_ms, send_ms, every_ms,
        expires_ms, recipients, key, cancelled_ms, template_version, track
    }
    SettingsRecord "settings" format 1 { language, quiet_from, quiet_to, zone, choices, changed_ms }
    TemplateRecord "template version" format 1 { default_locale, parameters, variants, created_ms }
    VariantRecord "template variant" format 1 { locale, medium, title, body, html }
}

flat_tables! {
    AppSecret as AppSecret { hash, created_ms }
    Choice as Choice { category, on, off }
}

packed_records! {
    FirstNoticeRecord "first notice" format 1 { notice, content_hash }
    JobRecord "job" format 1 { channel, seq, origin, planned_ms, expires_ms, attempts, leased }
    DeliveryRecord "delivery" format 1 {
        state, planned_ms, at_ms, attempts, provider, provider_id, why, origin
    }, check short
    DeadRecord "dead" format 1 { channel, seq, origin, planned_ms, attempts, why }, check short
    ToldRecord "told" format 1 { seq }
    CodeRecord "code" format 1 { hash, expires_ms, tries }
    NoticeEventRecord "notice event" format 1 { notice, user, medium, state, at_ms, device, provider, why }, check short
}

impl DeliveryRecord {
    fn short(&self) -> Result<(), String> {
        [&self.provider, &self.provider_id, &self.why].into_iter().try_for_each(|words| short(words))
    }
}

impl NoticeEventRecord {
    fn short(&self) -> Result<(), String> {
        [&self.device, &self.provider, &self.why].into_iter().try_for_each(|words| short(words))
    }
}

impl DeadRecord {
    fn short(&self) -> Result<(), String> {
        short(&self.why)
    }
}

fn short(words: &str) -> Result<(), String> {
    if words.len() <= NOTICE_WORDS_BYTES_MAX as usize { Ok(()) } else { Err(format!("words of {} bytes", words.len())) }
}
