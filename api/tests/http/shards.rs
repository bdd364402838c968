//! A stand-in for the shards: the storage layer's appender behind a lock, which refuses on demand.

use std::sync::Arc;

use api::{Node, Shards};
use chat::appender::Appender;
use chat::view;
use kv::Engine;
use schema::mesh::Kicked;
use schema::{ChannelId, ChannelOp, ErrorCode, Incarnation, OpReply, Owner, Refusal, Ruling, ShardIndex, UserId, View};
use tokio::sync::Mutex;

/// One shard that owns everything, without a router before it.
#[derive(Clone)]
pub(crate) struct OneShard<E> {
    engine: E,
    view: Arc<View>,
    node: Arc<dyn Node>,
    appender: Arc<Mutex<Appender>>,
    /// What every operation is refused with, for tests of that.
    pub(crate) refusal: Arc<Mutex<Option<ErrorCode>>>,
    /// What applications say of every message and edit.
    pub(crate) ruling: Arc<Mutex<Option<Ruling>>>,
    /// What it was asked to close.
    pub(crate) kicked: Arc<std::sync::Mutex<Vec<(UserId, Kicked)>>>,
    /// Which channels it was told to index.
    pub(crate) behind: Arc<std::sync::Mutex<Vec<ChannelId>>>,
    /// Pairs of users whose sight of each other it was told to judge anew, and whether it is hidden meanwhile.
    pub(crate) judged: Arc<std::sync::Mutex<Vec<(UserId, UserId, bool)>>>,
    /// Whether operations are never answered.
    pub(crate) stuck: Arc<std::sync::atomic::AtomicBool>,
}

impl<E: Engine> OneShard<E> {
    pub(crate) async fn claim(engine: E, node: Arc<dyn Node>, group_members_max: u32) -> Self {
        let owner = Owner { incarnation: Incarnation(1), shard: ShardIndex(0) };
        let view = view::claim(&engine, owner.incarnation, 1).await.expect("a store without faults");
        let appender = Appender::new(owner).with_group_members(group_members_max);
        Self {
            engine,
            view: Arc::new(view),
            node,
            appender: Arc::new(Mutex::new(appender)),
            refusal: Arc::default(),
            ruling: Arc::default(),
            kicked: Arc::default(),
            behind: Arc::default(),
            judged: Arc::default(),
            stuck: Arc::default(),
        }
    }
}

impl<E> OneShard<E> {
    /// The view that it goes by.
    pub(crate) fn view(&self) -> &View {
        &self.view
    }
}

impl<E: Engine> Shards for OneShard<E> {
    async fn apply(&self, channel: ChannelId, op: ChannelOp) -> Result<OpReply, Refusal> {
        if self.stuck.load(std::sync::atomic::Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        if let Some(code) = *self.refusal.lock().await {
            return Err(Refusal::new(code, "as the test wants it").after_ms(1_500));
        }
        let mut appender = self.appender.lock().await;
        appender.push(0, self.view.epoch, channel, op);
        let batch = appender.next_batch(&self.view, self.node.wall()).expect("one operation is queued");
        let finished = appender.finished(batch.run(self.engine.clone()).await);
        let (_, reply) = finished.replies.into_iter().next().expect("one operation, one reply");
        reply
    }

    async fn ask_before(&self, _: ChannelId, mut op: ChannelOp) -> Result<ChannelOp, Refusal> {
        op.set_ruling(self.ruling.lock().await.clone());
        Ok(op)
    }

    fn index(&self, channel: ChannelId) {
        self.behind.lock().expect("no test panics with it").push(channel);
    }

    fn visibility(&self, one: UserId, other: UserId, hides: bool) {
        self.judged.lock().expect("no test panics with it").push((one, other, hides));
    }

    async fn kick(&self, user: UserId, whose: Kicked) -> Result<(), Refusal> {
        self.kicked.lock().expect("no test panics with it").push((user, whose));
        Ok(())
    }
}
