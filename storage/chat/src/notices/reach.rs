//! How a user can be reached: where, and what of it the user wants.
//!
//! Owns which contacts a notification goes to, and what is gone by of what was read lately. Jobs are planned by what the
//! store has, so that no contact is missed; just before they are sent what was read in the last
//! [`STALE_MS`](super::cache::STALE_MS) is good enough, and what is not found there is looked up.

use std::collections::BTreeSet;
use std::sync::Arc;

use schema::record::{NoticeRecord, SettingsRecord};
use schema::{Medium, UnixMs, UserId};

use super::cache::{Cache, Weigh};
use super::codes;
use super::contacts::{self, Contact};
use super::settings::{self, MESSAGES};
use super::templates::{self, Stored};
use crate::LayerError;
use kv::join;
use kv::transaction::Transaction;

/// What a worker goes by: the media that somebody sends, the categories that nobody can turn off, and what was read
/// lately.
#[derive(Debug, Default)]
pub struct Reach {
    media: Vec<Medium>,
    critical: BTreeSet<String>,
    contacts: Cache<UserId, Contacts>,
    settings: Cache<UserId, SettingsRecord>,
    templates: Cache<TemplateKey, Found>,
}

/// An application, the name of a template of it, and the version that a notice was accepted with.
pub(super) type TemplateKey = (u64, String, u32);

/// What such a notice is told by, if by anything.
#[derive(Debug)]
struct Found(Option<Arc<Stored>>);

impl Weigh for Found {
    fn bytes(&self) -> u64 {
        self.0.as_ref().map_or(0, |stored| stored.bytes())
    }
}

/// A user's contacts, as they are kept.
#[derive(Debug, Default)]
pub(super) struct Contacts(pub(super) Vec<Contact>);

impl Weigh for Contacts {
    fn bytes(&self) -> u64 {
        let one = |Contact { device, record, .. }: &Contact| {
            size_of::<Contact>() + device.len() + record.address.len() + record.app.len() + record.locale.len()
        };
        (size_of::<Self>() + self.0.iter().map(one).sum::<usize>()) as u64
    }
}

/// How one user can be reached.
#[derive(Debug, Clone)]
pub(super) struct Reached {
    pub(super) contacts: Arc<Contacts>,
    pub(super) settings: Arc<SettingsRecord>,
}

impl Reach {
    /// By these media, with no category that is critical.
    #[must_use]
    pub fn by(media: &[Medium]) -> Self {
        Self { media: media.to_vec(), ..Self::default() }
    }

    /// The same, with categories that are told whatever a user has chosen.
    #[must_use]
    pub fn with_critical(self, critical: BTreeSet<String>) -> Self {
        Self { critical, ..self }
    }

    /// Whether a category of an application is told whatever a user has chosen, and at any hour.
    #[must_use]
    pub fn is_critical(&self, category: &str) -> bool {
        self.critical.contains(category)
    }

    /// Hits and misses of what is kept, by name.
    pub fn caches(&self) -> [(&'static str, super::cache::Asked); 3] {
        let Self { contacts, settings, templates, .. } = self;
        [("contacts", contacts.asked()), ("settings", settings.asked()), ("templates", templates.asked())]
    }

    /// How a user can be reached, as the store has it.
    pub(super) async fn read<T: Transaction>(&self, tx: &T, user: UserId, now: UnixMs) -> Result<Reached, LayerError> {
        let (contacts, settings) = join::both(contacts::live(tx, user), settings::of(tx, user)).await?;
        let contacts = self.contacts.keep(user, Contacts(contacts), now);
        Ok(Reached { contacts, settings: self.settings.keep(user, settings, now) })
    }

    /// The same as it was lately, if all of these targets are among the contacts. A code goes to the address that it is
    /// for, which may have changed a moment ago.
    pub(super) async fn lately<T: Transaction>(
        &self,
        tx: &T,
        user: UserId,
        targets: &[(Medium, &str)],
        now: UnixMs,
    ) -> Result<Reached, LayerError> {
        if let (Some(contacts), Some(settings)) = (self.contacts.lately(&user, now), self.settings.lately(&user, now)) {
            let reached = Reached { contacts, settings };
            let is_there = |&(medium, device): &(Medium, &str)| {
                reached.contact(medium, device).is_some_and(|contact| !contact.is_pending())
            };
            if targets.iter().all(is_there) {
                return Ok(reached);
            }
        }
        self.read(tx, user, now).await
    }

    /// The template that a notice is told by, as it was lately: none if it is not there any more.
    pub(super) async fn template<T: Transaction>(
        &self,
        tx: &T,
        named: &TemplateKey,
        now: UnixMs,
    ) -> Result<Option<Arc<Stored>>, LayerError> {
        if let Some(found) = self.templates.lately(named, now) {
            return Ok(found.0.clone());
        }
        let (app, name, version) = named;
        let found = templates::of_notice(tx, *app, name, *version).await?.map(Arc::new);
        Ok(self.templates.keep(named.clone(), Found(found), now).0.clone())
    }

    /// Whether messages of channels are told at a contact: on devices, and where its user says so.
    pub(super) fn takes_messages(&self, settings: &SettingsRecord, contact: &Contact) -> bool {
        let by_default = contact.medium.is_of_device();
        self.can(contact) && settings::wants(settings, MESSAGES, contact.medium, by_default)
    }

    /// Whether an application's notice is told at a contact: by the media that it names, or else as messages are.
    pub(super) fn takes_notice(&self, settings: &SettingsRecord, contact: &Contact, notice: &NoticeRecord) -> bool {
        if codes::is_code(notice) {
            // The address that it was drawn for: another may have been asked for since.
            return contact.is_pending() && contact.record.registered_ms == notice.created_ms;
        }
        let medium = contact.medium;
        let named = notice.media.contains(&(medium as u16));
        if !self.can(contact) || !(named || notice.media.is_empty()) {
            return false;
        }
        let by_default = named || medium.is_of_device();
        if self.is_critical(&notice.category) {
            return by_default;
        }
        settings::wants(settings, &notice.category, medium, by_default)
    }

    /// Whether anything but a code may go there.
    fn can(&self, contact: &Contact) -> bool {
        self.media.contains(&contact.medium) && !contact.is_pending()
    }
}

impl Reached {
    /// The contact of a medium and device.
    pub(super) fn contact(&self, medium: Medium, device: &str) -> Option<&Contact> {
        self.contacts.0.iter().find(|contact| contact.medium == medium && contact.device == device)
    }
}
