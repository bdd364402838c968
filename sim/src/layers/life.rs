//! One life of a node: an appender for each shard, and the homes that read what arrived.
//!
//! Owns what is lost with the process. It goes on under the view that it took until it reads another: what it does
//! meanwhile is what the fence is for (I7).

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use chat::appender::{Appender, Finished};
use chat::arrivals;
use chat::view::{self, Current};
use schema::{ChannelId, ChannelOp, Epoch, ErrorCode, Incarnation, OpReply, Owner, Refusal, ShardIndex, View};
use tokio::sync::oneshot;

use crate::rng::Rng;

use super::options::Broken;
use super::tasks::Part;
use super::world::{Phase, World};

/// A reply, or the news that nobody is left to give one.
pub(super) type Answer = oneshot::Receiver<Result<OpReply, Refusal>>;

/// Who waits for a reply.
struct Ticket {
    sender: oneshot::Sender<Result<OpReply, Refusal>>,
    /// When it was asked for, in polls of the run.
    asked: u64,
}

/// See the module.
pub(super) struct Life {
    pub(super) number: u64,
    pub(super) incarnation: Incarnation,
    view: RefCell<Arc<View>>,
    /// One appender for each lane of each shard.
    shards: RefCell<Vec<Vec<Appender>>>,
    lanes: u8,
    tickets: RefCell<BTreeMap<u64, Ticket>>,
    next_ticket: Cell<u64>,
    /// Another has taken over, and this one knows, or it has ended.
    out: Cell<bool>,
    /// Batches under way.
    in_flight: Cell<u32>,
}

impl Life {
    /// A process that has begun, and owns nothing.
    pub(super) fn new(world: &World) -> Rc<Self> {
        let number = world.lives.get() + 1;
        world.lives.set(number);
        let incarnation = Incarnation(world.rng.part(&format!("incarnation {number}")).bits());
        Rc::new(Self {
            number,
            incarnation,
            view: RefCell::new(Arc::new(View::alone(Epoch(0), incarnation, 1))),
            shards: RefCell::default(),
            // A second appender of the same shard stands for a second batch in flight.
            lanes: if world.options.broken == Some(Broken::SeveralInFlight) { 2 } else { 1 },
            tickets: RefCell::default(),
            next_ticket: Cell::new(0),
            out: Cell::new(false),
            in_flight: Cell::new(0),
        })
    }

    pub(super) fn part(&self) -> Part {
        Part::Life(self.number)
    }

    pub(super) fn is_out(&self) -> bool {
        self.out.get()
    }

    pub(super) fn epoch(&self) -> Epoch {
        self.view.borrow().epoch
    }

    pub(super) fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.borrow())
    }

    pub(super) fn is_appending(&self) -> bool {
        self.in_flight.get() > 0
    }

    /// Its shards under its view.
    pub(super) fn homes(&self) -> BTreeSet<Owner> {
        let view = self.view();
        let partition_owners = (0..schema::limits::PARTITIONS).map(|at| ChannelId(u64::from(at)));
        partition_owners.map(|channel| view.home_of_channel(channel)).collect()
    }

    /// Goes on under a view in which it owns everything.
    pub(super) fn adopt(self: &Rc<Self>, world: &Rc<World>, view: View) {
        if view.epoch <= self.epoch() {
            return;
        }
        *self.view.borrow_mut() = Arc::new(view);
        let homes = self.homes();
        world.note(format_args!("life {}: epoch {:?}, {} shards", self.number, self.epoch(), homes.len()));
        while self.shards.borrow().len() < homes.len() {
            let shard = ShardIndex(u16::try_from(self.shards.borrow().len()).expect("a few"));
            let owner = Owner { incarnation: self.incarnation, shard };
            self.shards.borrow_mut().push((0..self.lanes).map(|_| appender(world, owner)).collect());
        }
        self.begin_all_batches(world);
        for home in homes {
            world.tasks.spawn(self.part(), read_arrivals(Rc::clone(world), Rc::clone(self), home));
        }
    }

    /// Hands an operation in.
    pub(super) fn push(self: &Rc<Self>, world: &Rc<World>, channel: ChannelId, op: ChannelOp) -> Answer {
        let (sender, answer) = oneshot::channel();
        if self.is_out() {
            let _gone = sender.send(Err(Refusal::new(ErrorCode::Moving, "another life has taken over")));
            return answer;
        }
        let ticket = self.next_ticket.get() + 1;
        self.next_ticket.set(ticket);
        self.tickets.borrow_mut().insert(ticket, Ticket { sender, asked: world.tasks.polls() });
        let home = self.view().home_of_channel(channel);
        let lane = u8::try_from(ticket % u64::from(self.lanes)).expect("a few lanes");
        self.appender(home.shard, lane, |appender| appender.push(ticket, channel, op));
        self.begin_batches(world, home.shard, lane);
        answer
    }

    fn appender<T>(&self, shard: ShardIndex, lane: u8, act: impl FnOnce(&mut Appender) -> T) -> T {
        act(&mut self.shards.borrow_mut()[usize::from(shard.0)][usize::from(lane)])
    }

    /// Begins what waited for a view.
    fn begin_all_batches(self: &Rc<Self>, world: &Rc<World>) {
        let shards = u16::try_from(self.shards.borrow().len()).expect("a few");
        for shard in 0..shards {
            (0..self.lanes).for_each(|lane| self.begin_batches(world, ShardIndex(shard), lane));
        }
    }

    /// Begins the lane's next batch, if there is one.
    fn begin_batches(self: &Rc<Self>, world: &Rc<World>, shard: ShardIndex, lane: u8) {
        let view = self.view();
        let batch = self.appender(shard, lane, |appender| appender.next_batch(&view, world.wall()));
        let Some(batch) = batch else { return };
        self.in_flight.set(self.in_flight.get() + 1);
        world.done.borrow_mut().batches += 1;
        let (world, life) = (Rc::clone(world), Rc::clone(self));
        let engine = world.engine().for_batch(Owner { incarnation: self.incarnation, shard }, view.epoch, lane);
        world.clone().tasks.spawn(self.part(), async move {
            let outcome = batch.run(engine).await;
            life.in_flight.set(life.in_flight.get() - 1);
            let finished = life.appender(shard, lane, |appender| appender.finished(outcome));
            life.finished(&world, shard, view.epoch, finished);
            life.begin_batches(&world, shard, lane);
        });
    }

    /// Replies leave, and the view is read if the fence was another's.
    fn finished(self: &Rc<Self>, world: &Rc<World>, shard: ShardIndex, epoch: Epoch, finished: Finished) {
        let Finished { replies, hints, live: _, feeds: _, fenced } = finished;
        let stamps: BTreeSet<_> = hints.iter().map(|(_, stamp, _)| *stamp).collect();
        let (number, answers) = (self.number, replies.len());
        world.note(format_args!("life {number}/{}: {answers} answers at {stamps:?}, fenced: {fenced:?}", shard.0));
        world.commits.borrow_mut().extend(stamps.into_iter().map(|stamp| (epoch, stamp)));
        for (ticket, reply) in replies {
            let Ticket { sender, asked } =
                self.tickets.borrow_mut().remove(&ticket).expect("each operation is answered once");
            self.check_not_taken_over(world, epoch, asked, &reply);
            // Who waits no longer has given up.
            let _gone = sender.send(reply);
        }
        if fenced.is_some() {
            world.done.borrow_mut().fenced += 1;
            world.tasks.spawn(self.part(), read_view_again(Rc::clone(world), Rc::clone(self)));
        }
    }

    /// I7: once another has taken over, nothing that is asked of this one is decided, not even what needs no commit.
    fn check_not_taken_over(&self, world: &World, epoch: Epoch, asked: u64, reply: &Result<OpReply, Refusal>) {
        let ended =
            world.taken_over.borrow().range(Epoch(epoch.0 + 1)..).find(|(_, at)| **at < asked).map(|(by, _)| *by);
        let decides = reply.as_ref().map_or_else(|refusal| !refusal.code.is_temporary(), |_| true);
        if let Some(by) = ended.filter(|_| decides) {
            let finding = format!(
                "life {} of {epoch:?} answered {reply:?} to what was asked after {by:?} had begun",
                self.number
            );
            world.facts.borrow_mut().complain("I7", finding);
        }
    }

    /// Its process has ended.
    pub(super) fn end(&self, world: &World) {
        world.note(format_args!("life {}: ends", self.number));
        self.out.set(true);
        self.tickets.borrow_mut().clear();
        world.tasks.end(self.part());
    }
}

fn appender(world: &World, owner: Owner) -> Appender {
    let appender = Appender::new(owner);
    if world.options.is_chained() { appender.with_chained_reads() } else { appender }
}

/// A batch was fenced: whose is the view?
async fn read_view_again(world: Rc<World>, life: Rc<Life>) {
    let mut rng = world.rng.part(&format!("look {} {:?}", life.number, life.epoch()));
    loop {
        match view::current(&world.engine()).await {
            Ok(Some(Current { view, .. })) if view.home_of_channel(ChannelId(0)).incarnation == life.incarnation => {
                return life.adopt(&world, view);
            }
            Ok(_) => {
                if !life.out.replace(true) {
                    world.note(format_args!("life {}: taken over, it knows", life.number));
                }
                life.shards.borrow_mut().iter_mut().flatten().for_each(Appender::expel);
                life.begin_all_batches(&world);
                return;
            }
            Err(_) => world.tasks.sleep(rng.within(1..=20)).await,
        }
    }
}

/// A home shard follows what arrives for its users, as long as its life's view stands.
async fn read_arrivals(world: Rc<World>, life: Rc<Life>, home: Owner) {
    let epoch = life.epoch();
    let mut rng = world.rng.part(&format!("home {home} {epoch:?}"));
    while !life.is_out() && life.epoch() == epoch && world.phase.get() != Phase::Over {
        world.tasks.sleep(rng.within(1..=world.plan.pause_ms)).await;
        let _more = read_arrivals_once(&world, home, &mut rng).await;
        if rng.chance(200) {
            clear_arrivals(&world, home).await;
        }
    }
}

/// Reads one page. Whether more had arrived; none if the store did not say.
pub(super) async fn read_arrivals_once(world: &World, home: Owner, rng: &mut Rng) -> Option<bool> {
    let rows = u32::try_from(rng.within(1..=4)).expect("a few");
    let after = world.arrived.borrow().get(&home).map(|arrived| arrived.through).unwrap_or_default();
    let (engine, none) = (world.engine(), BTreeSet::new());
    let at_least = after.version.max(world.last_version.get());
    let page = arrivals::read(&engine, home, after, at_least, &none, rows).await.ok()?;
    world.done.borrow_mut().pages += 1;
    let mut arrived = world.arrived.borrow_mut();
    let arrived = arrived.entry(home).or_default();
    if arrived.through != after {
        // Another read of the same home was faster.
        return None;
    }
    arrived.rows.extend(page.rows.into_iter().map(|row| (row.stamp, row.record)));
    arrived.through = page.through;
    Some(page.more)
}

/// What was read goes.
async fn clear_arrivals(world: &World, home: Owner) {
    let through = world.arrived.borrow().get(&home).map(|arrived| arrived.through);
    if let Some(through) = through {
        // If the store does not do it now, the next time will.
        let _later = arrivals::clear(&world.engine(), home, through, &[]).await;
    }
}
