//! Notifications on this node: who sends them, as the HTTP API is told, and the workers.
//!
//! Owns the way from a node's configuration to the workers of `notify`, and what of a contact's address and of a template
//! is checked before it is stored.

use std::io;
use std::sync::Arc;

use chat::hooks::Hook;
use chat::notices::Link;
use host::Before;
use kv::Engine;
use notify::before;
use notify::providers::Caller;
use notify::quiet::QuietHours;
use notify::template::{self, Rendered};
use notify::worker::{self, Parts, Running};
use notify::{Counts, Links, Providers};
use schema::template::{Parameter, Template};
use schema::{ChannelId, Incarnation, Medium};
use serde_json::{Map, Value};

use crate::config::{Config, Role};
use crate::runtime::{self, Applications, Commander};

use super::state::NodeState;

/// The providers of this node, and what waits for them, as the HTTP API asks for both.
#[derive(Clone)]
pub(super) struct NodeMedia {
    pub(super) providers: Arc<Providers>,
    pub(super) counts: Arc<Counts>,
}

impl api::Media for NodeMedia {
    fn sends(&self, medium: Medium) -> bool {
        !self.providers.of(medium).is_empty()
    }

    fn check(&self, medium: Medium, address: &str) -> Result<(), String> {
        self.providers.check_address(medium, address)
    }

    fn categories(&self) -> Vec<api::Category> {
        let category = |(name, category): (&str, &notify::Category)| api::Category {
            name: name.to_owned(),
            title: category.title.clone(),
            critical: category.is_critical,
        };
        self.providers.categories().declared().map(category).collect()
    }

    fn check_quiet(&self, from: &str, to: &str, zone: &str) -> Result<(), String> {
        QuietHours::new(from, to, zone).map(drop).map_err(|error| error.to_string())
    }

    fn backlog(&self) -> u64 {
        self.counts.queues().iter().map(|waiting| waiting.due).sum()
    }

    fn is_sms_callback(&self, path: &str, form: &[(String, String)], signature: &str) -> bool {
        // The service signs the URL that it was told.
        let url = self.providers.public_url().map(|public| format!("{public}{path}"));
        url.is_some_and(|url| self.providers.is_sms_callback(&url, form, signature))
    }

    fn webpush_key(&self) -> Option<String> {
        self.providers.webpush_key().map(str::to_owned)
    }
}

/// The applications of a store, which are called where this node's guard allows. Only nodes that send notifications tell of
/// events; each asks.
pub(super) fn applications<S: Engine>(engine: &S, providers: &Arc<Providers>) -> api::StoredApplications<S> {
    let providers = Arc::clone(providers);
    api::StoredApplications::new(engine.clone(), move |url, purpose| {
        if purpose == api::CallPurpose::Events && providers.is_empty() {
            return Err("nobody calls it: this node has no services in notify.providers_file".to_owned());
        }
        providers.guard().check_endpoint(url).map(drop).map_err(|error| error.to_string())
    })
}

/// The links of this node, below its public URL.
struct NodeLinks {
    public_url: String,
    links: api::Links,
}

impl Links for NodeLinks {
    fn url(&self, link: &Link) -> String {
        format!("{}{}", self.public_url, self.links.path(link))
    }

    fn channel(&self, channel: ChannelId) -> String {
        format!("{}/#channel={channel}", self.public_url)
    }
}

/// The engine of templates, as the HTTP API asks for it: the workers' own. A node that sends nothing has it too.
pub(super) struct NodeTemplates;

impl api::Templates for NodeTemplates {
    fn check(&self, template: &Template) -> Result<(), String> {
        template::check(template).map_err(|error| error.to_string())
    }

    fn check_params(&self, parameters: &[Parameter], params: &Map<String, Value>) -> Result<(), String> {
        template::check_params(parameters, params).map_err(|error| error.to_string())
    }

    fn preview(
        &self,
        template: &Template,
        params: &Map<String, Value>,
        locale: &str,
        medium: Option<Medium>,
    ) -> Result<api::Preview, String> {
        let (variant, rendered) =
            template::preview(template, params, locale, medium).map_err(|error| error.to_string())?;
        let (locale, medium) = (variant.locale.clone(), variant.medium);
        let Rendered { title, body, html } = rendered;
        Ok(api::Preview { locale, medium, title, body, html })
    }
}

/// Starts the workers of a node that has any to start.
///
/// # Errors
/// If their thread cannot be had.
pub(super) fn start<S: Engine>(
    config: &Config,
    engine: &S,
    life: Incarnation,
    key: &api::TokenKey,
    NodeMedia { providers, counts }: &NodeMedia,
    commander: &Commander,
    state: &NodeState,
) -> io::Result<Option<Running>> {
    if providers.is_empty() || !config.has(Role::Notify) || !config.has(Role::Gateway) {
        return Ok(None);
    }
    state.counts().show_notifications(Arc::clone(counts));
    let commander = commander.clone();
    let parts = Parts {
        engine: engine.clone(),
        life,
        view: Arc::new(move || commander.view()),
        wall: runtime::wall,
        providers: Arc::clone(providers),
        counts: Arc::clone(counts),
        links: links(providers, key),
    };
    let media: Vec<_> = providers.media().map(Medium::word).collect();
    tracing::info!(media = media.join(","), "notifications are sent");
    worker::start(parts).map(Some)
}

/// Starts to ask applications before messages are stored, by the hooks of now. Each node does that serves, whether it sends
/// notifications or not: without a configuration it calls public addresses alone.
///
/// # Errors
/// If its thread cannot be had.
pub(super) fn start_asking<S: Engine>(
    engine: &S,
    hooks: Vec<Hook>,
    providers: &Providers,
    commander: &Commander,
    state: &NodeState,
) -> io::Result<(Arc<dyn Before>, before::Running)> {
    let (counts, commander) = (Arc::default(), commander.clone());
    state.counts().show_before(Arc::clone(&counts));
    let (asker, running) = before::start(before::Parts {
        engine: engine.clone(),
        hooks,
        wall: runtime::wall,
        caller: providers.caller().map_or_else(Caller::plain, Caller::again),
        counts,
        tell: Box::new(move |concerns| commander.set_before(concerns)),
    })?;
    Ok((Arc::new(Applications(asker)), running))
}

/// What makes links, where the operator says how this node is found from outside.
fn links(providers: &Providers, key: &api::TokenKey) -> Option<Arc<dyn Links>> {
    let public_url = providers.public_url()?.to_owned();
    Some(Arc::new(NodeLinks { public_url, links: api::Links::new(key) }))
}
