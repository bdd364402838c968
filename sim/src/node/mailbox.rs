//! Bounded mailboxes between the shards of a simulated node, and the lines that frames travel to them.
//!
//! Owns their places, and delay and loss on the way. A frame on its way has its place already. Real mailboxes lose no
//! frame; here those that may be lost are, at any time, while the world is hostile.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use host::driver::Mail;
use schema::mesh::{MeshBody, MeshFrame};
use tokio::sync::Notify;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::time::Instant;

use crate::faults::FaultState;
use crate::options::Planted;
use crate::rng::Rng;
use crate::trace::{digest, note};
use crate::world::World;

use super::{Tasks, tap};

/// Places of a mailbox in a healed world, as many as the gateway's has: a dropped operation is answered only after 20
/// s.
const PLACES: usize = 8_192;

/// One shard's mailbox. Clones are the same.
#[derive(Clone)]
pub(super) struct Mailbox {
    queue: Rc<RefCell<Queue>>,
    bell: Rc<Notify>,
}

struct Queue {
    mail: VecDeque<Mail>,
    on_the_way: usize,
    /// While the world is hostile.
    places: usize,
    faults: Arc<FaultState>,
    ended: bool,
}

impl Mailbox {
    pub(super) fn new(places: usize, faults: Arc<FaultState>) -> Self {
        let queue = Queue { mail: VecDeque::new(), on_the_way: 0, places, faults, ended: false };
        Self { queue: Rc::new(RefCell::new(queue)), bell: Rc::default() }
    }

    /// Whether no place is free. A shard that has ended takes everything, and hears nothing of it.
    pub(super) fn is_full(&self) -> bool {
        let queue = self.queue.borrow();
        let places = if queue.faults.is_healed() { PLACES } else { queue.places };
        !queue.ended && queue.mail.len() + queue.on_the_way >= places
    }

    /// Delivers at once, or returns the mail if there is no room.
    pub(super) fn push(&self, mail: Mail) -> Option<Mail> {
        if self.is_full() {
            return Some(mail);
        }
        self.deliver(mail);
        None
    }

    fn deliver(&self, mail: Mail) {
        let mut queue = self.queue.borrow_mut();
        if !queue.ended {
            queue.mail.push_back(mail);
            self.bell.notify_one();
        }
    }

    pub(super) fn pop(&self) -> Option<Mail> {
        self.queue.borrow_mut().mail.pop_front()
    }

    /// Calls the shard.
    pub(super) fn ring(&self) {
        self.bell.notify_one();
    }

    /// Waits until somebody calls.
    pub(super) async fn called(&self) {
        self.bell.notified().await;
    }

    /// The shard has ended: what waits is dropped.
    pub(super) fn end(&self) {
        let mut queue = self.queue.borrow_mut();
        queue.ended = true;
        queue.mail.clear();
    }
}

type Due = (Instant, Mail);

/// The way from one shard to another's mailbox, in order.
pub(super) struct Line {
    from: u16,
    to: u16,
    mailbox: Mailbox,
    mail: UnboundedSender<Due>,
    /// Planted bugs of the driver: the mailbox is never tried again; a frame waits for the next one to overtake it.
    is_given_up: Cell<bool>,
    overtaken: RefCell<Option<Mail>>,
}

impl Line {
    pub(super) fn new(from: u16, to: u16, mailbox: Mailbox, tasks: &Tasks) -> Self {
        let (sender, mail) = mpsc::unbounded_channel();
        tasks.spawn(carry(mail, mailbox.clone()));
        Self { from, to, mailbox, mail: sender, is_given_up: Cell::default(), overtaken: RefCell::default() }
    }

    /// Sends an item on its way, or returns it if it would find no place.
    pub(super) fn push(&self, world: &World, rng: &mut Rng, mail: Mail) -> Option<Mail> {
        if self.mailbox.is_full() || self.is_given_up.get() {
            world.met.borrow_mut().held_back += 1;
            self.is_given_up.set(world.options.planted == Some(Planted::FullMailboxForever));
            let mut overtaken = self.overtaken.borrow_mut();
            if world.options.planted == Some(Planted::FullMailboxOvertaken) && overtaken.is_none() {
                *overtaken = Some(mail);
                return None;
            }
            return Some(mail);
        }
        if self.is_lost(world, rng, &mail) || is_unheard(world, &mail) {
            return None;
        }
        let delay = Duration::from_millis(rng.within(0..=world.plan.mesh_ms));
        let mail = if world.options.planted == Some(Planted::FullMailboxOvertaken) { alone(mail) } else { mail };
        for mail in [Some(mail), self.overtaken.take()].into_iter().flatten() {
            self.mailbox.queue.borrow_mut().on_the_way += 1;
            // The line lives as long as the shard: both die with the node.
            let _ = self.mail.send((Instant::now() + delay, mail));
        }
        None
    }

    fn is_lost(&self, world: &World, rng: &mut Rng, mail: &Mail) -> bool {
        let (from, to) = (self.from, self.to);
        let Mail::Mesh(frame) = mail else {
            note!(world.trace, "mesh: {from} to {to} {mail:?}");
            return false;
        };
        world.trace.aside(|| format!("{} to {}, epoch {}: {:?}", frame.from, frame.to, frame.epoch.0, frame.body));
        let loss_permille = match frame.body {
            MeshBody::Hint { .. } => world.plan.hint_loss_permille,
            _ => world.plan.mesh_loss_permille,
        };
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        let is_lost = !frame.body.must_arrive() && world.is_hostile() && rng.chance(loss_permille);
        world.met.borrow_mut().lost += u64::from(is_lost);
        // What a hint says is looked for each second.
        let is_asked_late = is_lost && !matches!(frame.body, MeshBody::Hint { .. });
        world.has_lost.set(world.has_lost.get() || is_asked_late);
        let what = if is_lost { " is lost" } else { "" };
        note!(world.trace, "mesh: {from} to {to} {} bytes {:x}{what}", bytes.len(), digest(&bytes));
        is_lost
    }
}

/// A planted bug: what a home never hears.
fn is_unheard(world: &World, mail: &Mail) -> bool {
    matches!(mail, Mail::Mesh(frame) if tap::is_forgotten(world, &frame.body))
}

/// A send that does not say which one it comes behind: a home that is told takes none whose predecessor it has not seen,
/// which would make good what the bug does.
fn alone(mut mail: Mail) -> Mail {
    if let Mail::Mesh(MeshFrame { body: MeshBody::Apply { behind, .. }, .. }) = &mut mail {
        *behind = None;
    }
    mail
}

/// One item after the other, so that none overtakes another.
async fn carry(mut mail: UnboundedReceiver<Due>, mailbox: Mailbox) {
    while let Some((due, item)) = mail.recv().await {
        tokio::time::sleep_until(due).await;
        mailbox.queue.borrow_mut().on_the_way -= 1;
        mailbox.deliver(item);
    }
}
