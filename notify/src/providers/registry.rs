//! The providers of a node, by medium.
//!
//! Owns what is asked of all of them together. How they are configured is [`super::config`]'s.

use std::collections::BTreeMap;
use std::sync::Arc;

use schema::Medium;

use super::Provider;
use super::caller::Caller;
use super::guard::Guard;
use super::mail::is_mailbox;
use super::secret::Secret;
use super::signature::is_signed;
use super::sms::is_number;
use super::subscription::Subscription;
use crate::categories::Categories;

/// The providers of a node, as its configuration lists them.
#[derive(Default)]
pub struct Providers {
    /// By medium, the first choice first.
    by_medium: BTreeMap<Medium, Vec<Arc<dyn Provider>>>,
    guard: Guard,
    pub(super) public_url: Option<String>,
    pub(super) caller: Option<Caller>,
    pub(super) categories: Categories,
    pub(super) webpush_key: Option<String>,
    /// What callbacks about text messages are signed with.
    pub(super) sms_tokens: Vec<Secret>,
}

impl Providers {
    /// None yet, and what endpoints that users name are judged by.
    pub(super) fn new(guard: Guard) -> Self {
        Self { guard, ..Self::default() }
    }

    /// These, in their order: for tests of whoever sends.
    #[must_use]
    pub fn of_list(list: impl IntoIterator<Item = Arc<dyn Provider>>) -> Self {
        let mut providers = Self::default();
        list.into_iter().for_each(|provider| providers.push(provider));
        providers
    }

    /// The same with other categories, for the same tests.
    #[must_use]
    pub fn with_categories(self, categories: Categories) -> Self {
        Self { categories, ..self }
    }

    pub(super) fn push(&mut self, provider: Arc<dyn Provider>) {
        self.by_medium.entry(provider.medium()).or_default().push(provider);
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_medium.values().flatten().map(|provider| provider.name())
    }

    /// The providers of a medium in the order in which they are to be tried. Empty if it has none.
    #[must_use]
    pub fn of(&self, medium: Medium) -> &[Arc<dyn Provider>] {
        self.by_medium.get(&medium).map(Vec::as_slice).unwrap_or_default()
    }

    /// The media that something is sent by.
    pub fn media(&self) -> impl Iterator<Item = Medium> {
        self.by_medium.keys().copied()
    }

    /// Whether nothing is sent by any.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_medium.is_empty()
    }

    /// Whether an address is one of a medium, and one that may be sent to, for whoever stores it.
    ///
    /// # Errors
    /// Why not, for whoever registers it.
    pub fn check_address(&self, medium: Medium, address: &str) -> Result<(), String> {
        let is_token = |also: &[u8]| address.bytes().all(|byte| byte.is_ascii_alphanumeric() || also.contains(&byte));
        let fits = match medium {
            Medium::WebPush => {
                return Subscription::parse(address, self.guard).map(drop).map_err(|error| error.to_string());
            }
            Medium::Apns => (1..=200).contains(&address.len()) && address.bytes().all(|byte| byte.is_ascii_hexdigit()),
            Medium::Fcm => is_token(b"_-:"),
            Medium::Webhook => is_token(b"_-:.="),
            Medium::Mail => {
                return if is_mailbox(address) { Ok(()) } else { Err("this is no mail address".to_owned()) };
            }
            Medium::Sms => {
                let why = "this is no phone number: +, the country and the number, as in +4915112345678";
                return if is_number(address) { Ok(()) } else { Err(why.to_owned()) };
            }
        };
        if fits { Ok(()) } else { Err(format!("this is no token of {medium}")) }
    }

    /// The public URL, by which clients, mail programs and services find this server, if it is configured.
    #[must_use]
    pub fn public_url(&self) -> Option<&str> {
        self.public_url.as_deref()
    }

    /// The categories that the operator declared.
    #[must_use]
    pub fn categories(&self) -> &Categories {
        &self.categories
    }

    /// Who calls applications' servers; nobody without a configuration.
    #[must_use]
    pub fn caller(&self) -> Option<&Caller> {
        self.caller.as_ref()
    }

    /// What browsers subscribe for (`applicationServerKey`): the public key of the first provider of web push, an
    /// uncompressed point in base64url. `None` without one.
    #[must_use]
    pub fn webpush_key(&self) -> Option<&str> {
        self.webpush_key.as_deref()
    }

    /// Whether what somebody says became of a text message is signed by a provider of text messages: the URL that it
    /// called, as it was told it, the fields of the form, and `X-Twilio-Signature`.
    #[must_use]
    pub fn is_sms_callback(&self, url: &str, form: &[(String, String)], signature: &str) -> bool {
        self.sms_tokens.iter().any(|token| is_signed(token.expose(), url, form, signature))
    }

    /// What endpoints that users name are judged by.
    #[must_use]
    pub fn guard(&self) -> Guard {
        self.guard
    }
}
