//! One life of a node: an appender for each shard, the view that it goes by, and whoever waits for an answer.
//!
//! Owns what is lost with the process. It is a client of the database like others, and goes on under its view until it
//! learns another: what it does meanwhile is what the fence is for (I7). What it is asked on a channel of another life
//! it hands on; each life judges by its own view whether a channel is its own.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::{Rc, Weak};
use std::sync::Arc;

use chat::LayerError;
use chat::appender::{Appender, Batch, Finished};
use chat::notices::Worker;
use chat::view::{self, Current};
use kv::Engine as _;
use schema::{ChannelId, ChannelOp, Epoch, ErrorCode, Incarnation, OpReply, Owner, Refusal, ShardIndex, View};
use tokio::sync::oneshot;

use super::homes;
use super::options::Broken;
use super::tasks::Part;
use super::world::{Engine, Phase, World};

/// A reply, or the news that nobody is left to give one.
pub(super) type Answer = oneshot::Receiver<Result<OpReply, Refusal>>;

/// Who waits for a reply.
struct Ticket {
    sender: oneshot::Sender<Result<OpReply, Refusal>>,
    /// The life of the session that asked.
    asker: Weak<Life>,
    /// When it was asked for, in polls of the run.
    asked: u64,
}

/// See the module.
pub(super) struct Life {
    pub(super) number: u64,
    pub(super) incarnation: Incarnation,
    pub(super) shard_count: u16,
    /// The database, as this process has it.
    pub(super) engine: Engine,
    current: RefCell<Option<Rc<Current>>>,
    /// One appender for each lane of each shard.
    appenders: RefCell<Vec<Vec<Appender>>>,
    lanes: u8,
    tickets: RefCell<BTreeMap<u64, Ticket>>,
    next_ticket: Cell<u64>,
    /// It is in no view any more, and knows, or it has ended.
    out: Cell<bool>,
    /// Batches under way.
    in_flight: Cell<u32>,
}

impl Life {
    /// A process that has begun, and owns nothing.
    pub(super) fn begin(world: &Rc<World>, shard_count: u16) -> Rc<Self> {
        let number = world.born.get() + 1;
        world.born.set(number);
        let incarnation = Incarnation(world.rng.part(&format!("incarnation {number}")).bits());
        // A second appender of the same shard stands for a second batch in flight on the same channels.
        let lanes = if world.is_broken(Broken::SeveralInFlight) { 2 } else { 1 };
        let owner = |shard| Owner { incarnation, shard: ShardIndex(shard) };
        let appenders = (0..shard_count).map(|shard| (0..lanes).map(|_| appender(world, owner(shard))).collect());
        let life = Rc::new(Self {
            number,
            incarnation,
            shard_count,
            engine: world.client(),
            current: RefCell::new(None),
            appenders: RefCell::new(appenders.collect()),
            lanes,
            tickets: RefCell::default(),
            next_ticket: Cell::new(0),
            out: Cell::new(false),
            in_flight: Cell::new(0),
        });
        world.note(format_args!("life {number}: {:x} of {shard_count} shards", incarnation.0));
        world.is_born(&life);
        for shard in life.shards() {
            world.tasks.spawn(life.part(), homes::read_arrivals(Rc::clone(world), Rc::clone(&life), shard));
        }
        world.tasks.spawn(life.part(), homes::adopt(Rc::clone(world), Rc::clone(&life)));
        world.tasks.spawn(life.part(), beat(Rc::clone(world), Rc::clone(&life)));
        life
    }

    pub(super) fn part(&self) -> Part {
        Part::Life(self.number)
    }

    pub(super) fn is_out(&self) -> bool {
        self.out.get()
    }

    pub(super) fn current(&self) -> Option<Rc<Current>> {
        self.current.borrow().clone()
    }

    /// What is this life's workers' to do by the view that it goes by, if anything, and the store as they have it then.
    pub(super) fn worker(&self) -> Option<(Worker, Engine)> {
        let current = self.current()?;
        let worker = Worker::of(&current.view, self.incarnation)?;
        Some((worker, self.engine.for_worker(self.incarnation, current.view.epoch)))
    }

    /// A worker met an error: a view that has ended is read anew.
    pub(super) fn failed(self: &Rc<Self>, world: &Rc<World>, error: &LayerError) {
        if matches!(error, LayerError::Refused(refusal) if refusal.code == ErrorCode::Moving) {
            world.tasks.spawn(self.part(), read_view(Rc::clone(world), Rc::clone(self)));
        }
    }

    pub(super) fn is_appending(&self) -> bool {
        self.in_flight.get() > 0
    }

    pub(super) fn shards(&self) -> impl Iterator<Item = ShardIndex> + use<> {
        (0..self.shard_count).map(ShardIndex)
    }

    pub(super) fn owner(&self, shard: ShardIndex) -> Owner {
        Owner { incarnation: self.incarnation, shard }
    }

    /// Goes on under a newer view, or learns that it is in none.
    pub(super) fn learn(self: &Rc<Self>, world: &Rc<World>, current: Current) {
        if self.is_out() || self.current().is_some_and(|before| before.view.epoch >= current.view.epoch) {
            return;
        }
        if current.view.member(self.incarnation).is_none() {
            // One that has never been in a view waits for it.
            if self.current().is_some() {
                self.expel(world);
            }
            return;
        }
        world.note(format_args!("life {}: goes on under {:?}", self.number, current.view.epoch));
        self.take_users(world, &current);
        *self.current.borrow_mut() = Some(Rc::new(current));
        self.begin_all_batches(world);
    }

    /// It is in no view any more.
    pub(super) fn expel(self: &Rc<Self>, world: &Rc<World>) {
        if !self.out.replace(true) {
            world.note(format_args!("life {}: is in no view any more, and knows", self.number));
        }
        self.appenders.borrow_mut().iter_mut().flatten().for_each(Appender::expel);
        self.begin_all_batches(world);
    }

    /// A session of this life asks for an operation.
    pub(super) fn ask(self: &Rc<Self>, world: &Rc<World>, channel: ChannelId, op: ChannelOp) -> Answer {
        let home = self.current().map(|current| current.view.home_of_channel(channel).incarnation);
        match home.and_then(|home| world.life(home)) {
            Some(home) => {
                home.engine.floor(self.engine.newest());
                home.take(world, channel, op, self)
            }
            None => refused("its home cannot be reached"),
        }
    }

    /// Takes an operation, if the channel is its own.
    fn take(self: &Rc<Self>, world: &Rc<World>, channel: ChannelId, op: ChannelOp, asker: &Rc<Self>) -> Answer {
        let home = self.current().map(|current| (current.view.epoch, current.view.home_of_channel(channel)));
        let Some((epoch, home)) = home.filter(|(_, home)| home.incarnation == self.incarnation && !self.is_out())
        else {
            return refused("another life is its home");
        };
        let (sender, answer) = oneshot::channel();
        let ticket = self.next_ticket.get() + 1;
        self.next_ticket.set(ticket);
        let asked = world.tasks.polls();
        self.tickets.borrow_mut().insert(ticket, Ticket { sender, asker: Rc::downgrade(asker), asked });
        let lane = u8::try_from(ticket % u64::from(self.lanes)).expect("a few lanes");
        self.appender(home.shard, lane, |appender| appender.push(ticket, epoch, channel, op));
        self.begin_batches(world, home.shard, lane);
        answer
    }

    fn appender<T>(&self, shard: ShardIndex, lane: u8, act: impl FnOnce(&mut Appender) -> T) -> T {
        act(&mut self.appenders.borrow_mut()[usize::from(shard.0)][usize::from(lane)])
    }

    /// Begins what waited for a view.
    fn begin_all_batches(self: &Rc<Self>, world: &Rc<World>) {
        for shard in self.shards() {
            (0..self.lanes).for_each(|lane| self.begin_batches(world, shard, lane));
        }
    }

    /// Begins the lane's next batches, if there are any.
    fn begin_batches(self: &Rc<Self>, world: &Rc<World>, shard: ShardIndex, lane: u8) {
        let Some(current) = self.current() else { return };
        let view: Arc<View> = Arc::new(current.view.clone());
        let next = || self.appender(shard, lane, |appender| appender.next_batch(&view, world.wall()));
        std::iter::from_fn(next).for_each(|batch| self.begin_batch(world, &view, (shard, lane), batch));
    }

    fn begin_batch(
        self: &Rc<Self>,
        world: &Rc<World>,
        view: &Arc<View>,
        (shard, lane): (ShardIndex, u8),
        batch: Batch,
    ) {
        self.in_flight.set(self.in_flight.get() + 1);
        world.done.borrow_mut().batches += 1;
        let (world, life, epoch) = (Rc::clone(world), Rc::clone(self), view.epoch);
        let engine = self.engine.for_batch(self.owner(shard), epoch, lane);
        world.clone().tasks.spawn(self.part(), async move {
            let outcome = batch.run(engine).await;
            life.in_flight.set(life.in_flight.get() - 1);
            let finished = life.appender(shard, lane, |appender| appender.finished(outcome));
            life.finished(&world, shard, epoch, finished);
            life.begin_batches(&world, shard, lane);
        });
    }

    /// Replies leave, and the view is read if the batch's has ended.
    fn finished(self: &Rc<Self>, world: &Rc<World>, shard: ShardIndex, epoch: Epoch, finished: Finished) {
        let Finished { replies, hints, live: _, feeds: _, fenced } = finished;
        let stamps: BTreeSet<_> = hints.iter().map(|(_, stamp, _)| *stamp).collect();
        let (number, answers) = (self.number, replies.len());
        world.note(format_args!("life {number}/{}: {answers} answers at {stamps:?}, fenced: {fenced:?}", shard.0));
        world.commits.borrow_mut().extend(stamps.into_iter().map(|stamp| (epoch, stamp)));
        for (ticket, reply) in replies {
            let Ticket { sender, asker, asked } =
                self.tickets.borrow_mut().remove(&ticket).expect("each operation is answered once");
            self.check_not_ended(world, epoch, asked, &reply);
            if let Some(asker) = asker.upgrade() {
                asker.engine.floor(self.engine.newest());
            }
            // Who waits no longer has given up.
            let _gone = sender.send(reply);
        }
        if fenced.is_some() {
            world.done.borrow_mut().fenced += 1;
            world.tasks.spawn(self.part(), read_view(Rc::clone(world), Rc::clone(self)));
        }
    }

    /// I7: once a view has begun, nothing that is asked after that is decided under one before it, not even what needs
    /// no commit.
    fn check_not_ended(&self, world: &World, epoch: Epoch, asked: u64, reply: &Result<OpReply, Refusal>) {
        let decides = reply.as_ref().map_or_else(|refusal| !refusal.code.is_temporary(), |_| true);
        if let Some(by) = world.views.borrow().begun_before(epoch, asked).filter(|_| decides) {
            let finding = format!(
                "life {} of {epoch:?} answered {reply:?} to what was asked after {by:?} had begun",
                self.number
            );
            world.facts.borrow_mut().complain("I7", finding);
        }
    }

    /// The process ends where it is: nobody is answered any more.
    pub(super) fn end(&self, world: &World) {
        world.note(format_args!("life {} ends", self.number));
        self.out.set(true);
        self.tickets.borrow_mut().clear();
        world.has_ended(self);
        world.tasks.end(self.part());
    }
}

/// An answer that is there already: to be asked again.
fn refused(why: &str) -> Answer {
    let (sender, answer) = oneshot::channel();
    sender.send(Err(Refusal::new(ErrorCode::Moving, why))).expect("its receiver is here");
    answer
}

fn appender(world: &World, owner: Owner) -> Appender {
    let appender = Appender::new(owner);
    // In half of the sound worlds batches leave beside each other whenever they can, in others never, since so few are queued.
    let is_eager = world.options.broken.is_none() && world.rng.part("batches").bits().is_multiple_of(2);
    let appender = if is_eager { appender.with_eager_batches() } else { appender };
    if world.options.is_chained() { appender.with_chained_reads() } else { appender }
}

/// Something was fenced: which view stands?
pub(super) async fn read_view(world: Rc<World>, life: Rc<Life>) {
    let mut rng = world.rng.part(&format!("look {} {}", life.number, world.tasks.polls()));
    while !look(&world, &life).await {
        world.tasks.sleep(rng.within(1..=20)).await;
    }
}

/// Looks at the view now and then, as with heartbeats.
async fn beat(world: Rc<World>, life: Rc<Life>) {
    let mut rng = world.rng.part(&format!("beat {}", life.number));
    while !life.is_out() && world.phase.get() != Phase::Over {
        world.tasks.sleep(rng.within(1..=world.plan.beat_ms)).await;
        let _again_with_the_next = look(&world, &life).await;
    }
}

/// Reads the view. Whether the store said.
async fn look(world: &Rc<World>, life: &Rc<Life>) -> bool {
    // What is read may be from before the first view, of which it learns meanwhile.
    let was_in_one = life.current().is_some();
    match view::current(&life.engine).await {
        Ok(Some(current)) => {
            world.note_view(&current.view, current.version);
            life.learn(world, current);
            true
        }
        Ok(None) => {
            if was_in_one {
                life.expel(world);
            }
            true
        }
        Err(_) => false,
    }
}
