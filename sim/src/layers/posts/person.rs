//! One user who posts: what it wants next, asked until it is answered for good, and the pages of its feed that it reads.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

use chat::{people, timelines};
use kv::{Begin, Engine as _, Transaction as _};
use schema::op::{ChannelKind, CreateOp, PastAccess, ReactOp, SendOp};
use schema::{
    Audience, ChannelId, ChannelOp, ClientMsgId, Emoji, ErrorCode, MessageKind, OpReply, Refusal, Seq, UserId, message,
};

use crate::rng::Rng;

use super::super::life::Life;
use super::super::tasks::Part;
use super::super::world::{Phase, World};
use super::state::{PostPlace, Posts};

/// Pages of one walk down a feed.
const PAGES_MAX: usize = 8;
/// What a like is.
const LIKE: &str = "❤️";

/// All people begin.
pub(in super::super) fn begin(world: &Rc<World>) {
    let Some(posts) = &world.posts else { return };
    posts.busy.set(posts.people.len());
    for (number, &user) in posts.people.iter().enumerate() {
        let rng = world.rng.part(&format!("person {number}"));
        let person =
            Person { world: Rc::clone(world), user, rng, feed: None, asked: None, own: Vec::new(), seen: Vec::new() };
        world.tasks.spawn(Part::World, person.run());
    }
}

struct Person {
    world: Rc<World>,
    user: UserId,
    rng: Rng,
    /// Where it posts, once that is made.
    feed: Option<ChannelId>,
    /// What was not answered for good yet.
    asked: Option<(ChannelId, ChannelOp)>,
    /// Its own posts and replies, as far as it knows.
    own: Vec<PostPlace>,
    /// Posts of others that it has seen.
    seen: Vec<PostPlace>,
}

impl Person {
    async fn run(mut self) {
        let world = Rc::clone(&self.world);
        let posts = world.posts.as_ref().expect("it is one of them");
        let mut has_finished = false;
        while world.phase.get() != Phase::Over {
            let pause_ms = self.rng.within(1..=(world.plan.pause_ms / 2).max(4));
            world.tasks.sleep(pause_ms).await;
            let mut lives = world.members();
            lives.retain(|life| !world.tasks.is_stopped(life.part()));
            if !lives.is_empty() {
                let life = Rc::clone(self.rng.pick(&lives));
                if self.asked.is_none() && world.is_busy() {
                    self.want(&life, posts).await;
                }
                self.ask(&life, posts).await;
            }
            if !world.is_busy() && self.asked.is_none() && !has_finished {
                has_finished = true;
                posts.busy.set(posts.busy.get() - 1);
            }
        }
    }

    /// Something to do. What concerns people is done at once, and not again if the store failed.
    async fn want(&mut self, life: &Rc<Life>, posts: &Posts) {
        let other = *self.rng.pick(&posts.people);
        let (engine, wall) = (&life.engine, self.world.wall());
        match self.rng.below(100) {
            0..35 => self.asked = Some(self.post()),
            35..43 => self.asked = self.delete(),
            43..51 => self.asked = self.like(),
            51..58 => self.asked = self.reply(),
            58..68 => _ = people::put_friend(engine, self.user, other, wall).await,
            68..72 => _ = people::remove_friend(engine, self.user, other).await,
            72..80 => _ = people::follow(engine, self.user, other, wall).await,
            80..84 => _ = people::unfollow(engine, self.user, other).await,
            84..86 => _ = people::block(engine, self.user, other, self.rng.chance(500), wall).await,
            _ => self.read(life, posts).await,
        }
    }

    fn id(&mut self) -> ClientMsgId {
        let entropy = (u128::from(self.rng.bits()) << 64) | u128::from(self.rng.bits());
        ClientMsgId::new(self.world.wall(), entropy)
    }

    /// A post, or first of all where it goes.
    fn post(&mut self) -> (ChannelId, ChannelOp) {
        let Some(feed) = self.feed else {
            let create = CreateOp {
                kind: ChannelKind::Feed,
                title: "".into(),
                creator: self.user,
                members: Vec::new(),
                idempotency_key: None,
                past: PastAccess::Joined,
            };
            return (ChannelId::new(self.world.wall(), self.rng.bits()), ChannelOp::Create(create));
        };
        let audience = if self.rng.chance(500) { Audience::Public } else { Audience::Friends };
        (feed, self.send(None, Some(audience)))
    }

    fn send(&mut self, reply_to: Option<Seq>, audience: Option<Audience>) -> ChannelOp {
        ChannelOp::Send(SendOp {
            from: self.user,
            client_msg_id: self.id(),
            kind: MessageKind::Text,
            body: Arc::from("what happened"),
            reply_to,
            mentions: message::no_mentions(),
            ruling: None,
            audience,
            media: Vec::new(),
        })
    }

    fn delete(&mut self) -> Option<(ChannelId, ChannelOp)> {
        if self.own.is_empty() {
            return None;
        }
        let at = self.rng.index(self.own.len());
        let (channel, seq) = self.own.swap_remove(at);
        Some((channel, ChannelOp::Delete { by: self.user, seq, op_id: self.id() }))
    }

    fn like(&mut self) -> Option<(ChannelId, ChannelOp)> {
        let &(channel, seq) = (!self.seen.is_empty()).then(|| self.rng.pick(&self.seen))?;
        let (emoji, on) = (LIKE.parse::<Emoji>().expect("it is one"), self.rng.chance(700));
        Some((channel, ChannelOp::React(ReactOp { by: self.user, seq, op_id: self.id(), emoji, on })))
    }

    fn reply(&mut self) -> Option<(ChannelId, ChannelOp)> {
        let &(channel, seq) = (!self.seen.is_empty()).then(|| self.rng.pick(&self.seen))?;
        Some((channel, self.send(Some(seq), Some(Audience::Friends))))
    }

    /// Asks for what is pending, and waits for a while.
    async fn ask(&mut self, life: &Rc<Life>, posts: &Posts) {
        let Some((channel, op)) = self.asked.clone() else { return };
        let answer = life.ask(&self.world, channel, op.clone());
        let patience_ms = self.rng.within(20..=400);
        let Some(Ok(reply)) = self.world.tasks.within(patience_ms, answer).await else { return };
        if self.world.is_busy() && self.rng.chance(self.world.plan.lost_permille) {
            self.world.faults.injected().replies_lost += 1;
            return;
        }
        self.answered(channel, &op, reply, posts);
    }

    fn answered(&mut self, channel: ChannelId, op: &ChannelOp, reply: Result<OpReply, Refusal>, posts: &Posts) {
        match reply {
            Err(refusal) if refusal.code.is_temporary() && refusal.code != ErrorCode::Internal => return,
            Ok(OpReply::Created { channel, .. }) => self.feed = Some(channel),
            Ok(OpReply::Sent { seq, .. }) => self.own.push((channel, seq)),
            Ok(OpReply::Revised { .. }) => {
                if let ChannelOp::Delete { seq, .. } = op {
                    posts.deleted.borrow_mut().insert((channel, *seq));
                }
            }
            // What one may not see, or has gone meanwhile.
            Ok(_) | Err(_) => {}
        }
        self.world.note(format_args!("{}: {op:?} of {channel} is answered", self.user));
        self.asked = None;
    }

    /// Walks down its feed. What was deleted and answered before is not in it, and nothing twice.
    async fn read(&mut self, life: &Rc<Life>, posts: &Posts) {
        // It looks at the store as it is now.
        if life.engine.begin(Begin::Fresh).read_version().await.is_err() {
            return;
        }
        let deleted = posts.deleted.borrow().clone();
        let (mut before, mut found) = (None, BTreeSet::new());
        let limit = self.rng.within(1..=4) as u32;
        for _ in 0..PAGES_MAX {
            let bounds = (&posts.limits, posts.wall(self.world.tasks.now_ms()));
            let Ok(page) = timelines::posts(&life.engine, self.user, before, limit, bounds).await else { return };
            self.world.done.borrow_mut().pages += 1;
            for post in &page.posts {
                let place = (post.message.channel_id, post.message.seq);
                let wrong = match () {
                    () if deleted.contains(&place) => "was deleted before",
                    () if !found.insert(place) => "was there already",
                    () => continue,
                };
                let finding = format!("{}'s feed has {place:?} behind {before:?}, which {wrong}", self.user);
                self.world.facts.borrow_mut().complain("I15", finding);
            }
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        self.seen = found.into_iter().collect();
    }
}
