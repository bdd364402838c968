//! A node's life: store, shards and HTTP, in the order in which they start and stop.
//!
//! Owns what starts before what, and how it all ends. Decides nothing about chat.
//!
//! ```text
//! start   data directory ─► token key ─► health and metrics ─► store, which may wait ─► the view, joined beside others or
//!         claimed alone ─► shards listen ─► links to other nodes ─► HTTP listens ─► ready line
//! stop    partitions handed over ─► shards drain (3001) ─► HTTP stops ─► view left ─► store closes
//!         ─► health and metrics stop ─► exit
//! ```
//!
//! [`bootstrap`] is what comes before the store, [`identity`] who the node is to others, [`phase`] where a node is on this way, [`housekeeping`] what it does
//! each second, [`heartbeat`] its part among the nodes of a store, [`nodes`] what it sees of them, [`neighbours`] to which
//! it keeps links, [`notifying`] how its users who are away are told, [`feeding`] its news feeds, [`shutdown`] what ends it, [`departure`] how it goes.

mod bootstrap;
mod departure;
mod feeding;
mod heartbeat;
mod housekeeping;
mod identity;
mod issuers;
mod neighbours;
pub(crate) mod nodes;
mod notifying;
mod phase;
mod shutdown;
mod state;
mod upkeep;

use std::convert::Infallible;
use std::future::{Future, pending};
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chat::view;
use link::handshake::{Identity, VERSIONS};
use schema::{Incarnation, UserId};
use tokio::sync::Notify;

use crate::config::{Config, Mode, Role};
use crate::machine::listen::{self, Ready};
use crate::peering::{self, Peering};
use crate::runtime::{self, Commander, NodeParts, NodeShards, ShardEnd, Started, StorePool, Tell};
use crate::store::{self, Health, HealthWatch, NodeStore, SLOW, STILL_WAITING, Source, WithStore};

use bootstrap::Bootstrap;
pub(crate) use bootstrap::{api_tls, links_fingerprint};
use departure::Departure;
use feeding::Feeds;
use heartbeat::Heartbeat;
use host::membership::News;
use housekeeping::Housekeeping;
use identity::{Me, api_origin, ws_origin};
pub(crate) use issuers::issuers as load_issuers;
use nodes::Sight;
use notifying::{NodeMedia, NodeTemplates};
use phase::{Active, Phase};
use shutdown::{End, Shutdown};
use state::NodeState;

/// How long a node that ends speaks to its store once more: to leave it, or to learn who took it over. Without having
/// left, the next waits for the lease.
const LAST_WORD: Duration = Duration::from_secs(2);
/// The users that `rookery dev` makes.
const DEV_USERS: [(&str, &str); 2] = [("ann", "Ann"), ("bora", "보라")];

/// Starts a node and runs it until it is told to stop.
///
/// # Errors
/// What keeps it from starting or from going on, in one line with the remedy.
pub(crate) fn run(config: &Config, mode: Mode) -> anyhow::Result<ExitCode> {
    exit_on_panic();
    let shutdown = Shutdown::listen()?;
    for warning in config.warnings(mode) {
        tracing::warn!("{warning}");
    }
    store::with(config, Node { config, mode, shutdown })
}

/// A node's place in its view.
struct Place<'a> {
    incarnation: Incarnation,
    commander: Commander,
    /// On a store that other nodes may have too: its heartbeat, and the call of shards whose view has ended.
    cluster: Option<(&'a Heartbeat, Arc<Notify>)>,
}

/// A node over any store.
struct Node<'a> {
    config: &'a Config,
    mode: Mode,
    shutdown: Shutdown,
}

impl WithStore for Node<'_> {
    type Output = ExitCode;

    fn run<O: Source>(mut self, source: O) -> anyhow::Result<ExitCode> {
        let (mut bootstrap, internal) = Bootstrap::prepare(self.config, self.mode)?;
        bootstrap.state.tell_ends(self.shutdown.teller());
        let node = Arc::clone(&bootstrap.state) as Arc<dyn api::Node>;
        let probes = api::serve_internal(internal, api::Limits::default(), node)?;
        tracing::info!(internal = %bootstrap.ready.internal, "health and metrics are served");
        let opened = self.wait_for(&bootstrap.state, O::Store::REMEDY, source.open());
        let (store, halt) = match opened.and_then(|opened| Ok(opened?)) {
            Ok(store) => {
                let Err(halt) = self.join(&store, &mut bootstrap);
                (Some(store), halt)
            }
            Err(halt) => (None, halt),
        };
        source.close(store);
        probes.join();
        tracing::info!("stopped");
        match halt {
            Halt::End(end) => end.into_result(),
            Halt::Failed(error) => Err(error),
        }
    }
}

/// Why a node goes no further.
enum Halt {
    End(End),
    Failed(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Halt {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl Node<'_> {
    /// Waits for something, and does housekeeping each second. An end that comes before is noted at once.
    fn wait<T>(
        &mut self,
        state: &NodeState,
        work: impl Future<Output = T>,
        housekeep: impl FnMut(),
    ) -> Result<T, Halt> {
        self.shutdown.wait(work, housekeep).map_err(|end| Halt::End(stopping(end, state)))
    }

    /// Waits for what the store is asked at a start, however long it takes to answer, and says so.
    fn wait_for<T>(&mut self, state: &NodeState, remedy: &str, asked: impl Future<Output = T>) -> Result<T, Halt> {
        let begun = Instant::now();
        let mut say_at = begun + SLOW;
        self.wait(state, asked, || {
            let now = Instant::now();
            if now >= say_at {
                say_at = now + STILL_WAITING;
                let seconds = (now - begun).as_secs();
                tracing::warn!(seconds, "waiting for the store, which does not answer: {remedy}");
            }
        })
    }

    /// Takes part in the store: beside other nodes, if there may be others, and else alone.
    fn join<S: NodeStore>(&mut self, store: &S, bootstrap: &mut Bootstrap) -> Result<Infallible, Halt> {
        let me = Me::begin(self.config, bootstrap)?;
        let bootstrap = &*bootstrap;
        let state = &bootstrap.state;
        state.counts().show_store(store::Figures::of(store));
        let applications = Arc::new(notifying::applications(store, &bootstrap.providers));
        let media = bootstrap.providers.media().collect();
        state.administer(applications, Arc::new(api::StoredQueues { engine: store.clone(), media }));
        self.wait_for(state, S::REMEDY, store::must_be_whole_in_the_end(store))??;
        state.set_store(Health::Answering);
        let health = HealthWatch::new(Instant::now());
        if S::SHARED {
            return self.join_others(store, bootstrap, me, health);
        }
        let view = self.wait(state, view::claim(store, me.incarnation, me.record.shards), || ())??;
        let commander = Commander::default();
        state.counts().nodes().go_by(view.epoch, view.owned_by(me.incarnation));
        state.set_sight(Arc::new(Sight::alone(me.incarnation, me.record, &view)));
        commander.set_view(Arc::new(view), 0);
        self.serve(store, bootstrap, Place { incarnation: me.incarnation, commander, cluster: None }, health)
    }

    /// Joins the nodes that are there, or stands by until none is that it cannot work with, then serves.
    fn join_others<S: NodeStore>(
        &mut self,
        store: &S,
        bootstrap: &Bootstrap,
        me: Me,
        mut health: HealthWatch,
    ) -> Result<Infallible, Halt> {
        let incarnation = me.incarnation;
        let (commander, outdated) = (Commander::default(), Arc::new(Notify::new()));
        let heartbeat = Heartbeat::start(heartbeat::Parts {
            engine: store.clone(),
            me,
            clock: bootstrap.clock,
            state: Arc::clone(&bootstrap.state),
            commander: commander.clone(),
            outdated: Arc::clone(&outdated),
            ends: self.shutdown.teller(),
        })?;
        let joined = self.stand_by(store, &bootstrap.state, &heartbeat, &mut health);
        let place = Place { incarnation, commander, cluster: Some((&heartbeat, outdated)) };
        let Err(halt) = joined.and_then(|()| self.serve(store, bootstrap, place, health));
        drop(heartbeat);
        match halt {
            Halt::End(End::Fenced) => {
                let roll = self.shutdown.finish(view::look(store), LAST_WORD);
                let by = roll.and_then(Result::ok).as_ref().and_then(Active::of);
                Err(Halt::End(by.map_or(End::Fenced, End::TakenOver)))
            }
            halt => {
                match self.shutdown.finish(view::leave(store, incarnation), LAST_WORD) {
                    Some(Ok(true)) => {}
                    Some(Ok(false)) => tracing::warn!("could not hand over all: the others take it after the lease"),
                    Some(Err(error)) => tracing::warn!(%error, "could not leave: the next node waits for the lease"),
                    None => tracing::warn!("could not leave in time: the next node waits for the lease"),
                }
                Err(halt)
            }
        }
    }

    /// Waits until this node is to serve.
    fn stand_by<S: NodeStore>(
        &mut self,
        store: &S,
        state: &NodeState,
        heartbeat: &Heartbeat,
        health: &mut HealthWatch,
    ) -> Result<(), Halt> {
        let mut active = None;
        self.wait(state, heartbeat.joined(), || {
            // Heartbeats are commits, so they tell whether the store answers.
            if let Some(health) = health.observe(Instant::now(), store.commits()) {
                housekeeping::note_health::<S>(state, health);
            }
            let now = heartbeat.active();
            if let Some(now) = now.as_ref().filter(|&now| active.as_ref() != Some(now)) {
                tracing::info!("standing by: {now}, incarnation {:x}", now.incarnation.0);
            }
            active.clone_from(&now);
            state.advance(Phase::StandingBy { active: now });
        })
        .map(|News { .. }| ())
    }

    /// Serves clients under a view until something ends the node.
    fn serve<S: NodeStore>(
        &mut self,
        store: &S,
        bootstrap: &Bootstrap,
        place: Place<'_>,
        health: HealthWatch,
    ) -> Result<Infallible, Halt> {
        let (config, mode) = (self.config, self.mode);
        let Bootstrap { clock, connections_max, tokens, api_tls, ready, state, providers, library, links, lives: _ } =
            bootstrap;
        let Place { incarnation, commander, cluster } = place;
        let shards = config.shards();
        let view = commander.view().expect("a node serves once it has a view");
        tracing::info!(
            node = config.node_name(),
            incarnation = format_args!("{:x}", incarnation.0),
            epoch = view.epoch.0,
            shards,
            connections_max,
            data = %config.data_dir.display(),
            "the store is open"
        );
        // What may fail comes before the threads that would have to be stopped then.
        let listener = ready.api.map(|api| listen::open("listen.api", api, listen::PATIENCE)).transpose()?;
        let background = StorePool::start("background", 1)?;
        let pool = StorePool::start("store", shards)?;
        // Ends when it is dropped, after all who ask it.
        let _refreshing = issuers::start(tokens)?;
        state.counts().show_issuers(tokens.clone());
        // Before the shards: what applications want to be asked about holds from the first message on.
        let hooks = self.wait_for(state, S::REMEDY, store::until_answered(|| chat::hooks::list(store)))??;
        let (before, _asking) = notifying::start_asking(store, hooks, providers, &commander, state)?;
        let media = NodeMedia { providers: Arc::clone(providers), counts: Arc::default() };
        let library = library.clone().map(|library| {
            state.counts().show_media(library.clone());
            api::LibraryConfig {
                library,
                base_url: config.media_base_url.clone().unwrap_or_default(),
                url_ttl_s: config.media_url_ttl_seconds,
            }
        });
        if library.is_none() && config.has(Role::Api) {
            tracing::info!("no media are kept: the store is shared, and neither media.s3_bucket nor media.dir is set");
        }
        let api_config = api_config(config, mode, ready, media.clone());
        let api_config = api::Config { tls: api_tls.clone(), library, ..api_config };
        // A node that is stopping already, or has stopped, wants no reason.
        let tell = self.shutdown.teller();
        let parts = NodeParts {
            config,
            clock: *clock,
            engine: store,
            view: &view,
            incarnation,
            tokens,
            before: &before,
            origins: &api_config.origins,
            metrics: state.counts(),
            pool: &pool,
            reads_wait: S::READS_WAIT,
            commander: &commander,
            tell: Tell {
                end: Arc::new(move |end: ShardEnd| drop(tell.send(end.into()))),
                // Nobody else has a store that is not shared, so its view never ends.
                outdated: cluster.as_ref().map_or_else(Arc::default, |(_, outdated)| Arc::clone(outdated)),
            },
        };
        let Started { mailboxes, streams, threads } = parts.start_shards(ready.ws, *connections_max)?;
        let peering = match (links, &cluster) {
            (Some(links), Some((heartbeat, _))) => Some(Peering::start(peering::Parts {
                me: Identity { incarnation, shards, versions: VERSIONS },
                secret: links.secret.clone(),
                tls: links.tls.clone(),
                listener: links.listener.try_clone()?,
                shards: streams,
                neighbours: heartbeat.neighbours(),
                attempts: Arc::clone(state.attempts()),
                tally: Arc::clone(state.counts().strangers()),
            })?),
            (_, _) => None,
        };
        let node_shards = NodeShards::new(incarnation, commander.clone(), mailboxes, before);
        let feeds = Feeds::new(config, store, state);
        let serve = |listener| {
            let (node, reader) = (Arc::clone(state) as Arc<dyn api::Node>, Arc::clone(&feeds.reader));
            api::serve(api_config, listener, store.clone(), node_shards.clone(), reader, tokens.clone(), node)
        };
        let clients = listener.map(serve).transpose();
        let seeded = self.wait_for(state, S::REMEDY, seed(store, &node_shards, self.mode));
        let served = clients.map_err(Halt::from).and_then(|clients| seeded?.map(|()| clients).map_err(Halt::from));
        let served = served.and_then(|clients| {
            let notices = notifying::start(config, store, incarnation, tokens.key(), &media, &commander, state)?;
            let fan_out = feeds.start(config, store, incarnation, &commander, (&node_shards, state))?;
            Ok((clients, Workers { notices, fan_out }))
        });
        let mut housekeeping =
            Housekeeping::new(config, store.clone(), incarnation, state, &commander, background, health);
        let served = served.map(|(clients, workers)| {
            state.advance(Phase::Active);
            if let Err(error) = announce(mode, ready) {
                // Whoever started the node may have closed its end after the ready line.
                tracing::debug!(%error, "standard output is closed");
            }
            let Err(halt) = self.wait(state, pending::<Infallible>(), || housekeeping.run());
            (clients, workers, halt)
        });
        let housekeep = || housekeeping.run();
        let mut departure = Departure { shutdown: &mut self.shutdown, state, commander: &commander, housekeep };
        let served = served.map(|(clients, workers, halt)| {
            // What they have begun ends while clients are sent away; others take the rest up.
            workers.stop();
            let halt = match (halt, &cluster) {
                (Halt::End(end @ (End::Asked(_) | End::Clock(_))), Some((heartbeat, _))) => {
                    Halt::End(departure.hand_over(heartbeat, incarnation).unwrap_or(end))
                }
                (halt, _) => halt,
            };
            if !state.is_draining() {
                clients.iter().for_each(api::Running::stop);
            }
            (clients, workers, halt)
        });
        let end = match &served {
            Ok((.., Halt::End(end))) => Some(end),
            Ok((.., Halt::Failed(_))) | Err(_) => None,
        };
        departure.drain(departure.farewell(end), threads);
        if state.is_draining() {
            state.advance(Phase::Stopping);
        }
        drop(peering);
        let (clients, workers, halt) = served?;
        workers.join();
        clients.into_iter().for_each(api::Running::join);
        Err(halt)
    }
}

/// What works for this node's partitions beside the shards.
struct Workers {
    notices: Option<notify::worker::Running>,
    fan_out: Option<timeline::Running>,
}

impl Workers {
    /// Takes nothing up any more. Does not wait.
    fn stop(&self) {
        self.notices.iter().for_each(notify::worker::Running::stop);
        self.fan_out.iter().for_each(timeline::Running::stop);
    }

    /// Stops, and waits until what is under way has ended.
    fn join(self) {
        self.stop();
        self.notices.into_iter().for_each(notify::worker::Running::join);
        self.fan_out.into_iter().for_each(timeline::Running::join);
    }
}

/// Makes what a node of this mode needs in its store.
async fn seed<S: NodeStore>(store: &S, shards: &NodeShards, mode: Mode) -> anyhow::Result<()> {
    match mode {
        Mode::Dev => {
            let wall = runtime::wall();
            let mut users = [UserId(0); DEV_USERS.len()];
            for (user, (username, display_name)) in users.iter_mut().zip(DEV_USERS) {
                *user = store::until_answered(|| api::seed::user(store, username, display_name, wall)).await?;
            }
            store::until_answered(|| api::seed::conversations(store, shards, users, wall)).await?;
        }
        Mode::Run => {}
    }
    Ok(())
}

/// From here on the node is not ready any more.
fn stopping(end: End, state: &NodeState) -> End {
    let next = match &end {
        End::Asked(_) | End::Clock(_) if state.serves_beside_others() => Phase::Draining,
        End::Asked(_) | End::Clock(_) | End::Shard(..) | End::Refused(_) | End::Fenced | End::TakenOver(_) => {
            Phase::Stopping
        }
    };
    match &end {
        End::Asked(by) => tracing::info!(by = by.name(), "stopping"),
        End::Clock(off_ms) => tracing::error!(off_ms, "this node's clock is far from the other nodes': stopping"),
        End::Shard(shard, _) => tracing::error!(shard, "a shard has ended: stopping"),
        End::Refused(_) => tracing::error!("this node does not fit those that are there: stopping"),
        End::Fenced | End::TakenOver(_) => tracing::error!("the others have taken this node for dead: stopping"),
    }
    if !state.is_stopping() {
        state.advance(next);
    }
    end
}

/// A shard or a store thread that breaks a promise of our own code must not leave half a node behind: clients connect
/// again to one that starts from what is durable.
fn exit_on_panic() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        print(panic);
        if is_survived(std::thread::current().name()) {
            return;
        }
        tracing::error!(%panic, "a broken promise of the code ends the process");
        // Not by exit handlers: they would destroy what FoundationDB's network thread uses.
        signal_hook::low_level::exit(1);
    }));
}

/// Whether a panic of this thread costs no more than what it was about. A decoder may panic over a picture that somebody made for
/// that; its thread catches it and goes on.
fn is_survived(thread: Option<&str>) -> bool {
    thread == Some(media::PICTURES_THREAD)
}

fn api_config(config: &Config, mode: Mode, ready: &Ready, media: NodeMedia) -> api::Config {
    let users = || DEV_USERS.iter().map(|&(username, _)| username.to_owned()).collect();
    api::Config {
        ws_origin: ws_origin(config, ready.ws),
        api_origin: api_origin(config, ready),
        node: config.node_name(),
        region: config.region.clone(),
        dev_users: (mode == Mode::Dev).then(users),
        group_members_max: config.group_members,
        trusted_proxies: config.trusted_proxies.clone(),
        tls: None,
        origins: api::Origins::new(config.allowed_origins.clone(), mode == Mode::Dev),
        media: Arc::new(media),
        library: None,
        templates: Arc::new(NodeTemplates),
        password_cost: api::Cost::default(),
        limits: api::Limits::default(),
    }
}

/// The ready line, and in dev mode the links.
fn announce(mode: Mode, ready: &Ready) -> io::Result<()> {
    let mut out = io::stdout().lock();
    ready.announce(&mut out)?;
    if let (Mode::Dev, Some(api)) = (mode, ready.api) {
        for (username, display_name) in DEV_USERS {
            writeln!(out, "open {}://{api}/?dev={username} in a tab to chat as {display_name}", ready.api_scheme)?;
        }
        out.flush()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_ends_the_process_unless_it_is_a_decoders() {
        for (thread, survived) in [(Some(media::PICTURES_THREAD), true), (Some("timeline"), false), (None, false)] {
            assert_eq!(is_survived(thread), survived, "{thread:?}");
        }
    }
}
