//! A running node: store, shards, HTTP, in the order in which they start and stop.
//!
//! Owns what starts before what, who holds which end of which mailbox, and how it all ends. Decides nothing about chat.
//!
//! ```text
//! start   data directory ─► token key ─► store ─► view claimed ─► shards listen ─► HTTP listens ─► ready line
//! stop    HTTP stops ─► shards drain (3001) ─► store closes ─► exit 0
//! ```

mod clock;
mod commands;
mod handler;
mod mesh;
mod pool;
mod shards;
mod state;
mod tokens;
mod upkeep;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use futures_lite::future;
use schema::Incarnation;
use storage::Engine;
use storage::layers::view;

use crate::config::{Config, Mode};
use crate::disk::{self, DiskChange, DiskWatch};
use crate::listen::{self, Ready};
use crate::metrics::Metrics;
use crate::store::{self, NodeStore, Source, WithStore};
use crate::uring::{self, Mailbox};
use crate::{datadir, files, stop};

use clock::Clock;
pub(crate) use clock::wall;
use commands::NodeShards;
use handler::Mail;
use pool::StorePool;
use shards::{NodeParts, Started};
use state::NodeState;
use upkeep::Upkeep;

/// How long sessions may take to finish what is under way when the node stops. With the time that connections take to close,
/// that HTTP takes and that the store takes, the whole stays below 10 s.
const DRAIN_MS: u64 = 4_000;
/// How often free disk is looked at.
const DISK_CHECK: Duration = Duration::from_secs(1);
/// The users that `rookery dev` makes.
const DEV_USERS: [(&str, &str); 2] = [("ann", "Ann"), ("bora", "보라")];

/// What ends a node that runs.
enum End {
    /// Somebody asked for it.
    Asked(stop::Signal),
    /// A shard's driver failed.
    Shard(u16, Option<uring::DriverError>),
    /// Another life of this node has taken the store over.
    Fenced,
}

/// Starts a node and runs it until it is told to stop.
///
/// # Errors
/// What keeps it from starting or from going on, in one line with the remedy.
pub fn run(config: &Config, mode: Mode) -> anyhow::Result<ExitCode> {
    exit_on_panic();
    store::with(config, Node { config, mode })
}

/// A node over any store.
struct Node<'a> {
    config: &'a Config,
    mode: Mode,
}

impl WithStore for Node<'_> {
    type Output = ExitCode;

    fn run<O: Source>(self, source: O) -> anyhow::Result<ExitCode> {
        run_on(self.config, self.mode, source)
    }
}

fn run_on<O: Source>(config: &Config, mode: Mode, source: O) -> anyhow::Result<ExitCode> {
    let clock = Clock::start();
    let (ends, ended) = mpsc::channel();
    let asked = ends.clone();
    // Once the node has stopped by itself nobody listens any more.
    stop::on_signal(move |signal| drop(asked.send(End::Asked(signal))))?;
    for warning in config.warnings(mode) {
        tracing::warn!("{warning}");
    }

    let shards = config.shards();
    let file_limit = files::raise()?;
    let connections_max = files::connections_max(file_limit, shards)?;
    let connections_max = config.limits.connections.map_or(connections_max, |wanted| {
        if wanted > connections_max {
            tracing::warn!(
                wanted,
                connections_max,
                file_limit,
                "limits.connections is more than the file limit leaves"
            );
        }
        wanted.min(connections_max)
    });
    datadir::prepare(config, mode)?;
    let key = token_key(config)?;
    let ws = listen::check_free("listen.ws", config.listen.ws)?;
    let listeners = api::Listeners {
        public: listen::open("listen.api", config.listen.api)?,
        internal: listen::open("listen.internal", config.listen.internal)?,
    };
    let ready = Ready { api: listeners.public.local_addr()?, ws, internal: listeners.internal.local_addr()? };

    let engine = future::block_on(source.open())?;
    let incarnation = Incarnation(getrandom::u64()?);
    let view = Arc::new(future::block_on(view::claim(&engine, incarnation, shards))?);
    if mode == Mode::Dev {
        for (username, display_name) in DEV_USERS {
            future::block_on(api::seed::user(&engine, username, display_name, clock::wall()))?;
        }
    }
    tracing::info!(
        incarnation = format_args!("{:x}", incarnation.0),
        epoch = view.epoch.0,
        shards,
        connections_max,
        data = %config.data.dir.display(),
        shared = <O::Store as NodeStore>::SHARED,
        "the store is open"
    );

    let pool = StorePool::start(shards)?;
    let state = Arc::new(NodeState::new(connections_max, Metrics::new(shards, connections_max, &config.data.dir)));
    state.counts().show_store(engine.figures());
    let node = NodeParts {
        config,
        clock,
        engine: &engine,
        view: &view,
        incarnation,
        key: &key,
        state: &state,
        pool: &pool,
        ends,
    };
    let Started { mailboxes, threads } = node.start_shards(ws, connections_max)?;
    let api = api::serve(
        api_config(config, mode, ws),
        listeners,
        engine.clone(),
        NodeShards::new(Arc::clone(&view), mailboxes.clone()),
        key.clone(),
        Arc::clone(&state) as Arc<dyn api::Node>,
    )?;
    if let Err(error) = announce(mode, &ready) {
        // Whoever started the node may have closed its end after the ready line.
        tracing::debug!(%error, "standard output is closed");
    }

    let end = wait(config, &ended, &state, &mailboxes, Upkeep::new(engine.clone(), view.epoch));
    state.stop();
    api.stop();
    let code = match end {
        End::Asked(signal) => {
            tracing::info!(signal = signal.name(), "stopping");
            let deadline_ms = clock::wall().plus_ms(DRAIN_MS);
            for mailbox in &mailboxes {
                post(mailbox, || Mail::Drain { deadline_ms });
            }
            for thread in threads {
                thread.join().expect("a shard that panics ends the process");
            }
            ExitCode::SUCCESS
        }
        End::Shard(shard, Some(error)) => {
            return Err(anyhow::Error::new(error).context(format!("shard {shard} failed")));
        }
        End::Shard(shard, None) => anyhow::bail!("shard {shard} ended by itself"),
        End::Fenced => anyhow::bail!("another rookery has taken this store over"),
    };
    api.join();
    drop(pool);
    source.close(Some(engine));
    tracing::info!("stopped");
    Ok(code)
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

/// Watches the disk and keeps the store tidy until something ends the node.
fn wait<S: Engine>(
    config: &Config,
    ended: &mpsc::Receiver<End>,
    state: &NodeState,
    mailboxes: &[Mailbox<Mail>],
    mut upkeep: Upkeep<S>,
) -> End {
    let mut watch = DiskWatch::new(config.data.free_bytes_min);
    loop {
        state.counts().collect();
        upkeep.run_if_due();
        match disk::free_bytes(&config.data.dir).map(|free_bytes| watch.observe(free_bytes)) {
            Ok(Some(change)) => {
                let on = !watch.is_low();
                match change {
                    DiskChange::Low { free_bytes } => tracing::warn!(
                        free_bytes,
                        reserve_bytes = config.data.free_bytes_min,
                        "short of disk: nothing new is accepted until {} bytes are free",
                        watch.return_bytes()
                    ),
                    DiskChange::Enough { free_bytes } => tracing::info!(free_bytes, "enough disk again"),
                }
                state.set_writes(on);
                for mailbox in mailboxes {
                    post(mailbox, || Mail::Writes(on));
                }
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "free disk cannot be read"),
        }
        match ended.recv_timeout(DISK_CHECK) {
            Ok(end) => return end,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => unreachable!("the shards' threads hold senders"),
        }
    }
}

/// Puts what must arrive into a mailbox, waiting for room if it is full.
fn post(mailbox: &Mailbox<Mail>, mail: impl Fn() -> Mail) {
    while let Err(uring::MailboxError::Full(_)) = mailbox.push(mail()) {
        thread::sleep(Duration::from_millis(1));
    }
}
