//! Whom and where: devices are registered, removed and change hands, and applications ask for notices.

use std::rc::Rc;

use chat::notices::accept::{Wanted, accept, cancel};
use chat::notices::contacts;
use chat::notices::settings::{self, MESSAGES};
use schema::record::{ContactRecord, NoticeRecord};
use schema::{DeviceId, NoticeId, UserId};

use crate::rng::Rng;

use super::super::world::World;
use super::now;
use super::start::{APP, contact};
use super::state::{MEDIA, NEWS, Notices, Registered, Request};

/// After which a notice of these worlds is of no use, in ms of notifications' time: long after the end, or so soon that
/// some are.
pub(super) const EXPIRES_MS: u64 = 12 * 3_600_000;
const EXPIRES_SOON_MS: u64 = 5_000;
/// How long an answer of the store is waited for.
const PATIENCE_MS: u64 = 400;

/// What happens while the world is busy.
pub(in super::super) async fn live(world: Rc<World>) {
    let Some(notices) = &world.notices else { return };
    let mut rng = world.rng.part("people");
    let pause_ms = rng.within(40..=400);
    while world.is_busy() {
        world.tasks.sleep(rng.within(1..=pause_ms)).await;
        match rng.below(100) {
            0..20 => {
                let record = contact(&mut rng);
                register(&world, notices, record, &mut rng).await;
            }
            20..30 => remove(&world, notices, &mut rng).await,
            30..40 => take_over(&world, notices, &mut rng).await,
            40..75 => ask(&world, notices, &mut rng).await,
            75..90 => repeat(&world, notices, &mut rng).await,
            90..96 => call_off(&world, notices, &mut rng).await,
            _ => turn_off(&world, notices, &mut rng).await,
        }
    }
    notices.are_people_done.set(true);
}

/// What the store answers, if it does so in time: where its process ends it does not.
async fn patiently<T>(world: &World, work: impl Future<Output = T>) -> Option<T> {
    world.tasks.within(PATIENCE_MS, work).await
}

/// One of somebody's devices, which may not be registered.
fn one(world: &World, rng: &mut Rng) -> (UserId, &'static str) {
    (*rng.pick(&world.users), if rng.chance(600) { "phone" } else { "tablet" })
}

async fn register(world: &Rc<World>, notices: &Notices, record: ContactRecord, rng: &mut Rng) {
    let ((user, device), medium) = (one(world, rng), *rng.pick(MEDIA));
    let name: DeviceId = device.parse().expect("legal");
    // Until it is answered the device may be told at either address, or at none.
    let unknown = Registered { since_ms: u64::MAX, address: record.address.clone(), has_ended: true };
    notices.evidence.borrow_mut().devices.insert((user, device.to_owned()), unknown);
    // Through a client of its own each time: the database may have ended meanwhile, and an old one is answered nothing.
    loop {
        let client = world.client();
        let put = contacts::put_device(&client, user, &name, medium, &record);
        if let Some(Ok(())) = patiently(world, put).await {
            break;
        }
        world.tasks.sleep(rng.within(1..=20)).await;
    }
    world.note(format_args!("{user} is told at {device} by {medium}: {}", record.address));
    let registered = Registered { since_ms: world.tasks.now_ms(), address: record.address, has_ended: false };
    notices.evidence.borrow_mut().devices.insert((user, device.to_owned()), registered);
}

async fn remove(world: &Rc<World>, notices: &Notices, rng: &mut Rng) {
    let (user, device) = one(world, rng);
    let Some(()) = notices.evidence.borrow_mut().registered(user, device).map(|known| known.has_ended = true) else {
        return;
    };
    world.note(format_args!("{user} is told no more at {device}"));
    let (client, name) = (world.client(), device.parse().expect("legal"));
    // Whether it was is of no interest: nothing is owed to it any more.
    let _removed = patiently(world, contacts::remove_device(&client, user, &name)).await;
}

/// Somebody else signs in on a phone.
async fn take_over(world: &Rc<World>, notices: &Notices, rng: &mut Rng) {
    let (user, device) = one(world, rng);
    let address = {
        let mut evidence = notices.evidence.borrow_mut();
        let Some(known) = evidence.registered(user, device) else { return };
        let address = known.address.clone();
        // It may be another's by now.
        let holders = evidence.devices.values_mut().filter(|known| known.address == address);
        holders.for_each(|holder| holder.has_ended = true);
        address
    };
    register(world, notices, ContactRecord { address, ..contact(rng) }, rng).await;
}

/// An application asks for a notice.
async fn ask(world: &Rc<World>, notices: &Notices, rng: &mut Rng) {
    let to: Vec<UserId> = world.users.iter().copied().filter(|_| rng.chance(600)).collect();
    let now = now(world);
    let content_hash = rng.bits();
    let record = NoticeRecord {
        app: APP,
        category: NEWS.into(),
        title: "title".into(),
        body: "body".into(),
        data: "{}".into(),
        created_ms: now,
        send_ms: now.plus_ms(rng.maybe(600, 0..=40_000)),
        every_ms: if rng.chance(250) { rng.within(20_000..=60_000) } else { 0 },
        expires_ms: if rng.chance(150) { EXPIRES_SOON_MS } else { EXPIRES_MS },
        recipients: u32::try_from(to.len()).expect("a few"),
        key: if rng.chance(600) { format!("key {content_hash:x}") } else { String::new() },
        ..NoticeRecord::default()
    };
    let request = Request { ids: Vec::new(), accepted: None, record, to, content_hash, cancelled: false };
    let number = {
        let mut evidence = notices.evidence.borrow_mut();
        evidence.requests.push(request);
        evidence.requests.len() - 1
    };
    while !send(world, notices, number, rng).await && rng.chance(700) {
        world.tasks.sleep(rng.within(1..=20)).await;
    }
}

/// A request is sent, for the first time or again. Whether it is answered; without a key nobody sends it again.
async fn send(world: &Rc<World>, notices: &Notices, number: usize, rng: &mut Rng) -> bool {
    let now = now(world);
    let (wanted, accepted) = {
        let mut evidence = notices.evidence.borrow_mut();
        let request = &mut evidence.requests[number];
        if request.record.key.is_empty() && !request.ids.is_empty() {
            return true;
        }
        let id = NoticeId::new(now, (u128::from(rng.bits()) << 64) | u128::from(rng.bits()));
        request.ids.push(id);
        let (record, to, content_hash) = (request.record.clone(), request.to.clone(), request.content_hash);
        (Wanted { id, record, to, content_hash }, request.accepted)
    };
    let client = world.client();
    let answer = patiently(world, Box::pin(accept(&client, &notices.app, &wanted, now))).await;
    world.note(format_args!("{:?} of {:?} to {:?}: {answer:?}", wanted.id, wanted.record.key, wanted.to));
    let Some(Ok((id, is_new))) = answer else { return false };
    if let Some((before, _)) = accepted
        && (before != id || is_new)
    {
        let finding = format!("{:?} was accepted as {before:?}, and again as {id:?}, new: {is_new}", wanted.record.key);
        world.facts.borrow_mut().complain("I9", finding);
    }
    let at_ms = accepted.map_or(world.tasks.now_ms(), |(_, at_ms)| at_ms);
    notices.evidence.borrow_mut().requests[number].accepted = Some((id, at_ms));
    true
}

/// A request with a key is sent again, whatever became of it.
async fn repeat(world: &Rc<World>, notices: &Notices, rng: &mut Rng) {
    let requests = notices.evidence.borrow().requests.len();
    if requests > 0 {
        let number = rng.index(requests);
        send(world, notices, number, rng).await;
    }
}

async fn call_off(world: &Rc<World>, notices: &Notices, rng: &mut Rng) {
    let id = {
        let mut evidence = notices.evidence.borrow_mut();
        let requests = evidence.requests.len();
        if requests == 0 {
            return;
        }
        let request = &mut evidence.requests[rng.index(requests)];
        let Some((id, _)) = request.accepted else { return };
        request.cancelled = true;
        id
    };
    world.note(format_args!("{id:?} is called off"));
    let client = world.client();
    // Nothing is owed of it any more, whether it is noted or not.
    let _cancelled = patiently(world, cancel(&client, APP, id, now(world))).await;
}

/// Somebody wants no more of a category, by any medium, for good.
async fn turn_off(world: &Rc<World>, notices: &Notices, rng: &mut Rng) {
    let (user, category) = (*rng.pick(&world.users), if rng.chance(500) { NEWS } else { MESSAGES });
    if notices.evidence.borrow().off.contains_key(&(user, category)) {
        return;
    }
    // Until it is answered the user may be told or not.
    notices.evidence.borrow_mut().off.insert((user, category), None);
    for &medium in MEDIA {
        loop {
            let client = world.client();
            let off = settings::turn_off(&client, user, category, medium, now(world));
            if let Some(Ok(_)) = patiently(world, off).await {
                break;
            }
            world.tasks.sleep(rng.within(1..=20)).await;
        }
    }
    world.note(format_args!("{user} wants no more {category}"));
    notices.evidence.borrow_mut().off.insert((user, category), Some(now(world)));
}

/// Whether a notice may be of no use any more before it can be sent.
pub(super) fn expires_soon(record: &NoticeRecord) -> bool {
    record.expires_ms == EXPIRES_SOON_MS
}
