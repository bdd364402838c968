//! Homes: what arrives at each shard for its users, and the sessions that are served from there.
//!
//! Owns a model of what `router` makes of arrivals. A home reads its stream on across views, from its place. A session is
//! a cursor over its account's inbox: while that is at a place that the home has read over, and no older than the view
//! that gave it the user, it is served from memory, up to the home's place; else from the inbox's rows, at the
//! view's version or later. Homes outlive their lives here, as evidence.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use chat::inbox::{self, InboxLimits};
use chat::share::Share;
use chat::view::Current;
use chat::{LayerError, arrivals, keys, push};
use kv::{Begin, Engine as _, Transaction as _};
use schema::page::InboxPage;
use schema::record::{ArrivalRecord, PushItem};
use schema::{Epoch, ErrorCode, Event, EventBody, Incarnation, Owner, Partition, Position, ShardIndex, Stamp, UserId};

use crate::rng::Rng;

use super::life::{Life, read_view};
use super::options::Broken;
use super::world::{Engine, Phase, World};

/// Rows of a page of arrivals that is about to be adopted.
const LEFT_ROWS: u32 = 1_000;

/// One home shard.
#[derive(Debug, Default)]
pub(super) struct Home {
    /// Up to where it has read.
    place: Stamp,
    rows: Vec<(Stamp, ArrivalRecord)>,
    /// Up to where it knows to have cleared its arrivals.
    cleared: Stamp,
    /// What was read of them: for whom, and what.
    events: BTreeMap<Position, (Vec<UserId>, Event)>,
    /// Its users, each with the place from which on all that concerns it arrives here.
    users: BTreeMap<UserId, Position>,
}

impl Home {
    /// What it was told, in its order.
    pub(super) fn told(&self) -> &[(Stamp, ArrivalRecord)] {
        &self.rows
    }

    /// Push items for those of the users of what it has read and not cleared who are absent, and up to where.
    fn items(&self, is_absent: impl Fn(UserId) -> bool) -> (Stamp, Vec<PushItem>) {
        let from = Position::end_of_stamp(self.cleared);
        let mut items = Vec::new();
        for (users, event) in self.events.range(from..).filter(|(at, _)| **at > from).map(|(_, told)| told) {
            let EventBody::Message(message) = &event.body else { continue };
            for &user in users.iter().filter(|&&user| user != message.from && is_absent(user)) {
                items.push(PushItem::new(user, (message.channel_id, message.seq), message.from, message.sent_ms));
            }
        }
        (self.place, items)
    }

    /// A user's events from memory, if they are all there.
    fn recent(&self, user: UserId, after: Position, rows: usize) -> Option<(Vec<Event>, Position)> {
        let (from, place) = (*self.users.get(&user)?, Position::end_of_stamp(self.place));
        if after < from {
            return None;
        }
        let later = self.events.iter().filter(|(position, (users, _))| **position > after && users.contains(&user));
        let mut events: Vec<Event> = later.map(|(_, (_, event))| event.clone()).take(rows + 1).collect();
        let through = if events.len() > rows {
            events.truncate(rows);
            events.last().map_or(after, |event| event.position)
        } else {
            place.max(after)
        };
        Some((events, through))
    }
}

/// What a session is served: events, and through where.
pub(super) type Served = (Vec<Event>, Position);

impl Life {
    /// Users have come with a view, and others have gone.
    pub(super) fn take_users(&self, world: &World, current: &Current) {
        // Who was another's between the view before and this one has come anew.
        let known = match world.is_broken(Broken::ReturnsUnnoticed) {
            true => current.view.epoch,
            false => self.current().map_or_else(Epoch::default, |before| before.view.epoch),
        };
        let is_back = |user| current.view.since(Partition::of_user(user)) > known;
        let mut homes = world.homes.borrow_mut();
        for home in self.shards().map(|shard| self.owner(shard)) {
            let kept = homes.entry(home).or_default();
            if world.is_broken(Broken::ArrivalsOfTheOldEpochUnread) {
                kept.place = Position::end_of(current.version).stamp.max(kept.place);
            }
            let from = match world.is_broken(Broken::ServesBeforeTheView) {
                true => Position::end_of_stamp(kept.place),
                false => Position::end_of(current.version),
            };
            kept.users.retain(|&user, _| current.view.home_of_user(user) == home && !is_back(user));
            for &user in world.users.iter().filter(|&&user| current.view.home_of_user(user) == home) {
                kept.users.entry(user).or_insert(from);
            }
        }
    }

    /// A page of a user's inbox after a place, from the home that this life has for it under its view. None if that is
    /// another's, or the store does not say.
    pub(super) async fn serve(
        &self,
        world: &World,
        user: UserId,
        after: Position,
        limits: InboxLimits,
    ) -> Option<Served> {
        let home = self.current()?.view.home_of_user(user);
        let from = {
            let homes = world.homes.borrow();
            let kept = homes.get(&home).filter(|_| home.incarnation == self.incarnation)?;
            if let Some(served) = kept.recent(user, after, limits.rows as usize) {
                return Some(served);
            }
            *kept.users.get(&user)?
        };
        match inbox::read(&self.engine, user, after, from.stamp.version, limits).await.ok()? {
            InboxPage::Events { events, through, exhausted: _ } => Some((events, through)),
            InboxPage::Behind => {
                let mut facts = world.facts.borrow_mut();
                facts.complain("I6", format!("{user} is behind at {after}, and nothing was trimmed"));
                None
            }
        }
    }
}

/// A home follows what arrives for its users, as long as its life lasts.
pub(super) async fn read_arrivals(world: Rc<World>, life: Rc<Life>, shard: ShardIndex) {
    let home = life.owner(shard);
    let mut rng = world.rng.part(&format!("home {home}"));
    while !life.is_out() && world.phase.get() != Phase::Over {
        world.tasks.sleep(rng.within(1..=world.plan.pause_ms)).await;
        let _more = read_arrivals_once(&world, &life, home, &mut rng).await;
        if rng.chance(200) {
            // If the store does not do it now, the next time will. Where users are notified some do it again as well, as
            // those who have heard nothing of it would.
            if let Some(through) = clear(&world, &life, home).await
                && !(world.notices.is_some() && rng.chance(300))
            {
                has_cleared(&world, home, through);
            }
        }
    }
}

/// Clears what a home has read; those who are absent have push items instead. Up to where, if the store did.
async fn clear(world: &World, life: &Life, home: Owner) -> Option<Stamp> {
    let is_absent = |user| world.notices.as_ref().is_some_and(|notices| notices.is_absent(user));
    let (place, items) = world.homes.borrow().get(&home).map(|home| home.items(is_absent)).unwrap_or_default();
    arrivals::clear(&life.engine, home, place, &items).await.is_ok().then_some(place)
}

fn has_cleared(world: &World, home: Owner, through: Stamp) {
    if let Some(kept) = world.homes.borrow_mut().get_mut(&home) {
        kept.cleared = through.max(kept.cleared);
    }
}

/// The homes of the last view clear what they have read.
pub(super) async fn clear_all(world: &Rc<World>) {
    for life in world.members() {
        for home in life.shards().map(|shard| life.owner(shard)) {
            while clear(world, &life, home).await.is_none() {
                world.tasks.sleep(1).await;
            }
        }
    }
}

/// Reads one page. Whether more had arrived; none if the store did not say, or the life does not know the view.
pub(super) async fn read_arrivals_once(world: &Rc<World>, life: &Rc<Life>, home: Owner, rng: &mut Rng) -> Option<bool> {
    let rows = u32::try_from(rng.within(1..=4)).expect("a few");
    let after = world.homes.borrow().get(&home).map(|home| home.place).unwrap_or_default();
    let at_least = after.version.max(world.last_version.get());
    let page = match arrivals::read(&life.engine, home, after, at_least, &BTreeSet::new(), rows).await {
        Ok(page) => page,
        Err(LayerError::Refused(refusal)) if refusal.code == ErrorCode::Moving => {
            world.tasks.spawn(life.part(), read_view(Rc::clone(world), Rc::clone(life)));
            return None;
        }
        Err(_) => return None,
    };
    if page.epoch > life.current()?.view.epoch && !world.is_broken(Broken::ArrivalsBeyondTheView) {
        // Under that view other homes may have been brought what this one would say is not there.
        world.tasks.spawn(life.part(), read_view(Rc::clone(world), Rc::clone(life)));
        return None;
    }
    world.done.borrow_mut().pages += 1;
    let mut homes = world.homes.borrow_mut();
    let kept = homes.entry(home).or_default();
    if kept.place != after {
        // Another read of the same home was faster.
        return None;
    }
    for row in page.rows {
        for (event, arrival) in row.contents.into_iter().flatten().zip(&row.record.events) {
            let users = row.record.audiences[usize::from(arrival.audience)].to_vec();
            kept.events.insert(event.position, (users, event));
        }
        kept.rows.push((row.stamp, row.record));
    }
    kept.place = page.through;
    Some(page.more)
}

/// What lives that are over have left becomes push items, now and then, by the nodes whose share it is.
pub(super) async fn adopt(world: Rc<World>, life: Rc<Life>) {
    let mut rng = world.rng.part(&format!("adopt {}", life.number));
    while !life.is_out() && world.phase.get() != Phase::Over {
        world.tasks.sleep(rng.within(50..=600)).await;
        if let Ok(share) = Share::current(&life.engine, life.incarnation).await
            && let Ok(arrivals) = adopt_noted(&world, &life.engine, &share).await
        {
            world.note(format_args!("life {}: {arrivals} adopted", life.number));
        }
    }
}

/// Adoption of what the ended lives of a share have left, each when what it has left is noted: a life that ends between
/// the two would leave what nobody noted. How many arrivals.
pub(super) async fn adopt_noted(world: &World, engine: &Engine, share: &Share) -> Result<u64, LayerError> {
    let mut arrivals = 0;
    for life in push::ended(engine, share).await? {
        note_left(world, engine, life).await?;
        arrivals += push::adopt_life(engine, world.wall(), life).await?.arrivals;
    }
    Ok(arrivals)
}

/// Notes what a life has left.
async fn note_left(world: &World, engine: &Engine, life: Incarnation) -> Result<(), LayerError> {
    let tx = engine.begin(Begin::Fresh);
    let mut next = Some(keys::arrivals_of(life).rows(LEFT_ROWS));
    while let Some(range) = next {
        let page = tx.snapshot_get_range(&range).await?;
        for row in &page.rows {
            let place = keys::arrival_place(&row.key).expect("a key of arrivals");
            let record = ArrivalRecord::decode(&row.value).expect("nothing is damaged");
            world.adopted.borrow_mut().insert(place, record);
        }
        next = range.after(&page);
    }
    Ok(())
}

/// The homes of the last view read what they have not.
pub(super) async fn read_all_arrivals(world: &Rc<World>, rng: &mut Rng) {
    for life in world.members() {
        for home in life.shards().map(|shard| life.owner(shard)) {
            while read_arrivals_once(world, &life, home, rng).await != Some(false) {
                world.tasks.sleep(1).await;
            }
        }
    }
}
