//! A running node: store, shards, HTTP, in the order in which they start and stop.
//!
//! Owns what starts before what, and how it all ends. Decides nothing about chat.
//!
//! ```text
//! start   data directory ─► token key ─► health and metrics ─► store, which may wait ─► view claimed ─► shards listen
//!         ─► HTTP listens ─► ready line
//! stop    HTTP stops ─► shards drain (3001) ─► store closes ─► health and metrics stop ─► exit
//! ```
//!
//! `phase` is where a node is on this way, `ends` what ends it, `look` what it looks after while it runs.

mod clock;
mod commands;
mod ends;
mod handler;
mod look;
mod mesh;
mod phase;
mod pool;
mod shards;
mod state;
mod tokens;
mod upkeep;

use std::convert::Infallible;
use std::future::pending;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use schema::{Incarnation, View};
use storage::layers::view;

use crate::config::{Config, Mode};
use crate::listen::{self, Ready};
use crate::metrics::Metrics;
use crate::store::{self, Health, NodeStore, Source, WithStore};
use crate::{datadir, files};

use clock::Clock;
pub(crate) use clock::wall;
use commands::NodeShards;
use ends::{End, Ends};
use handler::Mail;
use look::Look;
use phase::Phase;
use pool::StorePool;
use shards::{NodeParts, Started};
use state::NodeState;

/// How long sessions may take to finish what is under way when the node stops. With the time that connections take to close,
/// that HTTP takes and that the store takes, the whole stays below 10 s.
const DRAIN_MS: u64 = 4_000;
/// A store that takes longer to open is waited for, which is said.
const SLOW: Duration = Duration::from_secs(1);
/// How often it is said again.
const STILL_WAITING: Duration = Duration::from_secs(60);
/// The users that `rookery dev` makes.
const DEV_USERS: [(&str, &str); 2] = [("ann", "Ann"), ("bora", "보라")];

/// Starts a node and runs it until it is told to stop.
///
/// # Errors
/// What keeps it from starting or from going on, in one line with the remedy.
pub fn run(config: &Config, mode: Mode) -> anyhow::Result<ExitCode> {
    exit_on_panic();
    let ends = Ends::listen()?;
    for warning in config.warnings(mode) {
        tracing::warn!("{warning}");
    }
    store::with(config, Node { config, mode, ends })
}

/// A node over any store.
struct Node<'a> {
    config: &'a Config,
    mode: Mode,
    ends: Ends,
}

impl WithStore for Node<'_> {
    type Output = ExitCode;

    fn run<O: Source>(mut self, source: O) -> anyhow::Result<ExitCode> {
        let (ground, internal) = Ground::prepare(self.config, self.mode)?;
        let node = Arc::clone(&ground.state) as Arc<dyn api::Node>;
        let probes = api::serve_internal(internal, api::Limits::default(), node)?;
        tracing::info!(internal = %ground.ready.internal, "health and metrics are served");
        let (store, end) = match self.wait_for_store(&source, &ground.state) {
            Ok(store) => {
                let store = store?;
                // Here a node of a store that others have too will stand by until it may claim the view.
                let end = self.serve(&store, &ground)?;
                (Some(store), end)
            }
            Err(end) => (None, end),
        };
        source.close(store);
        probes.join();
        tracing::info!("stopped");
        end.into_result()
    }
}

impl Node<'_> {
    /// Opens the store, however long it takes to answer.
    ///
    /// # Errors
    /// The end that came before.
    fn wait_for_store<O: Source>(&mut self, source: &O, state: &NodeState) -> Result<anyhow::Result<O::Store>, End> {
        let begun = Instant::now();
        let mut say_at = begun + SLOW;
        let opened = self.ends.wait(source.open(), || {
            let now = Instant::now();
            if now >= say_at {
                say_at = now + STILL_WAITING;
                let seconds = (now - begun).as_secs();
                tracing::warn!(seconds, "waiting for the store, which does not answer: {}", O::Store::REMEDY);
            }
        });
        opened.map_err(|end| stopping(end, state))
    }

    /// Claims the view and serves clients until something ends the node.
    fn serve<S: NodeStore>(&mut self, store: &S, ground: &Ground) -> anyhow::Result<End> {
        let (config, mode) = (self.config, self.mode);
        let Ground { clock, connections_max, key, ready, state } = ground;
        let shards = config.shards();
        state.counts().show_store(store.figures());
        state.set_store(Health::Answering);
        let incarnation = Incarnation(getrandom::u64()?);
        let view = match self.ends.wait(claim(store, incarnation, shards, mode), || ()) {
            Ok(view) => Arc::new(view?),
            Err(end) => return Ok(stopping(end, state)),
        };
        tracing::info!(
            incarnation = format_args!("{:x}", incarnation.0),
            epoch = view.epoch.0,
            shards,
            connections_max,
            data = %config.data.dir.display(),
            "the store is open"
        );

        let pool = StorePool::start("store", shards)?;
        let parts = NodeParts {
            config,
            clock: *clock,
            engine: store,
            view: &view,
            incarnation,
            key,
            state,
            pool: &pool,
            ends: self.ends.teller(),
        };
        let Started { mailboxes, threads } = parts.start_shards(ready.ws, *connections_max)?;
        let clients = api::serve(
            api_config(config, mode, ready.ws),
            listen::open("listen.api", ready.api)?,
            store.clone(),
            NodeShards::new(Arc::clone(&view), mailboxes.clone()),
            key.clone(),
            Arc::clone(state) as Arc<dyn api::Node>,
        )?;
        state.advance(Phase::Active);
        if let Err(error) = announce(mode, ready) {
            // Whoever started the node may have closed its end after the ready line.
            tracing::debug!(%error, "standard output is closed");
        }

        let mut look = Look::start(config, store.clone(), state, &mailboxes, view.epoch)?;
        let Err(end) = self.ends.wait(pending::<Infallible>(), || look.around());
        let end = stopping(end, state);
        clients.stop();
        let deadline_ms = clock::wall().plus_ms(DRAIN_MS);
        for mailbox in &mailboxes {
            look::post(mailbox, || Mail::Drain { deadline_ms });
        }
        for thread in threads {
            thread.join().expect("a shard that panics ends the process");
        }
        clients.join();
        Ok(end)
    }
}

/// Takes every partition, and makes what a node of this mode needs in its store.
async fn claim<S: NodeStore>(store: &S, incarnation: Incarnation, shards: u16, mode: Mode) -> anyhow::Result<View> {
    store::must_be_whole(store).await?;
    let view = view::claim(store, incarnation, shards).await?;
    match mode {
        Mode::Dev => {
            for (username, display_name) in DEV_USERS {
                api::seed::user(store, username, display_name, clock::wall()).await?;
            }
        }
        Mode::Run => {}
    }
    Ok(view)
}

/// From here on the node is not ready any more.
fn stopping(end: End, state: &NodeState) -> End {
    match &end {
        End::Asked(signal) => tracing::info!(signal = signal.name(), "stopping"),
        End::Shard(shard, _) => tracing::error!(shard, "a shard has ended: stopping"),
        End::Fenced => tracing::error!("another rookery has taken this store over: stopping"),
    }
    state.advance(Phase::Stopping);
    end
}

/// What a node stands on before it has a store.
struct Ground {
    clock: Clock,
    connections_max: u32,
    key: api::TokenKey,
    /// Where it will listen, once it serves clients.
    ready: Ready,
    state: Arc<NodeState>,
}

impl Ground {
    /// Takes what a node needs of the machine, and nothing of the store. What listens is the internal listener.
    fn prepare(config: &Config, mode: Mode) -> anyhow::Result<(Self, TcpListener)> {
        let connections_max = connections_max(config)?;
        datadir::prepare(config, mode)?;
        let key = token_key(config)?;
        let internal = listen::open("listen.internal", config.listen.internal)?;
        let ready = Ready {
            api: listen::check_free("listen.api", config.listen.api)?,
            ws: listen::check_free("listen.ws", config.listen.ws)?,
            internal: internal.local_addr()?,
        };
        let metrics = Metrics::new(config.shards(), connections_max, &config.data.dir);
        let state = Arc::new(NodeState::new(connections_max, metrics));
        Ok((Self { clock: Clock::start(), connections_max, key, ready, state }, internal))
    }
}

/// Raises the file limit, and says how many connections it leaves.
fn connections_max(config: &Config) -> anyhow::Result<u32> {
    let file_limit = files::raise()?;
    let connections_max = files::connections_max(file_limit, config.shards())?;
    let Some(wanted) = config.limits.connections else { return Ok(connections_max) };
    if wanted > connections_max {
        tracing::warn!(wanted, connections_max, file_limit, "limits.connections is more than the file limit leaves");
    }
    Ok(wanted.min(connections_max))
}

/// A shard or a store thread that breaks a promise of our own code must not leave half a node behind: clients connect again to
/// one that starts from what is durable.
fn exit_on_panic() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        print(panic);
        tracing::error!(%panic, "a broken promise of the code ends the process");
        std::process::exit(1);
    }));
}

fn token_key(config: &Config) -> anyhow::Result<api::TokenKey> {
    match &config.auth.key {
        Some(secret) => Ok(api::TokenKey::new(secret.bytes())),
        None => Ok(api::TokenKey::load_or_create(&config.key_file())?),
    }
}

fn api_config(config: &Config, mode: Mode, ws: SocketAddr) -> api::Config {
    let ws_origin = config.node.ws_url.as_ref().map_or_else(|| format!("ws://{ws}"), |url| url.as_str().to_owned());
    let users = || DEV_USERS.iter().map(|&(username, _)| username.to_owned()).collect();
    api::Config {
        ws_origin,
        node: "node-1".to_owned(),
        region: config.node.region.clone(),
        dev_users: (mode == Mode::Dev).then(users),
        group_members_max: config.limits.group_members,
        password_cost: api::Cost::default(),
        limits: api::Limits::default(),
    }
}

/// The ready line, and in dev mode the links.
fn announce(mode: Mode, ready: &Ready) -> io::Result<()> {
    let mut out = io::stdout().lock();
    ready.announce(&mut out)?;
    if mode == Mode::Dev {
        for (username, display_name) in DEV_USERS {
            writeln!(out, "open http://{}/?dev={username} in a tab to chat as {display_name}", ready.api)?;
        }
        out.flush()?;
    }
    Ok(())
}
