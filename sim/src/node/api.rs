//! Requests of the HTTP API to the shards: channels made, members added and removed.
//!
//! Lives in the node and dies with it, as the API does. Asks any shard, by its mailbox, and is refused if this is full.
//! An order that was under way then may have been carried out or not.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use chat::accounts::{self, NewFamily, NewToken};
use chat::devices;
use host::driver::{Mail, Orders};
use schema::event::Role;
use schema::mesh::Kicked;
use schema::op::{ChannelKind, CreateOp, PastAccess};
use schema::{ChannelId, ChannelOp, DeviceId, ErrorCode, OpReply, Refusal, UserId, View};
use tokio::sync::oneshot;
use tokio::time::sleep;

use crate::options::Planted;
use crate::rng::Rng;
use crate::trace::note;
use crate::world::{Request, Room, World};

use super::mailbox::Mailbox;
use super::way::Way;

/// Groups that a run makes on its way, beside those of the start.
const MADE_MAX: usize = 3;
/// How long a login lasts: beyond any leap of the wall.
const LOGIN_MS: u64 = 90 * 24 * 3600 * 1000;
/// How often a session that is to end is asked for.
const KICKS: u32 = 5;

pub(super) async fn run(world: Rc<World>, life: u64, shards: Vec<Mailbox>, mut rng: Rng) {
    if world.plan.membership_ms == 0 {
        return;
    }
    // All nodes together ask as often as one that is alone.
    let most_ms = (20 + world.plan.membership_ms) * world.nodes.len() as u64;
    loop {
        sleep(Duration::from_millis(rng.within(20..=most_ms))).await;
        if !world.is_hostile() {
            continue;
        }
        let (channel, op) = change(&world, &mut rng);
        note!(world.trace, "api: {op:?} on {channel}");
        let asked = member_change(&op)
            .map(|(user, adds)| (world.facts.borrow_mut().change_asked_of(life, channel, user, adds), adds));
        let acknowledges_early = world.options.planted == Some(Planted::RemovalAcknowledgedEarly);
        if let Some((asked, false)) = asked.filter(|_| acknowledges_early) {
            world.facts.borrow_mut().change_answered(asked, Some(true), world.trace.now_ms());
        }
        let (reply, answer) = oneshot::channel();
        ask(rng.pick(&shards), channel, op.clone(), reply);
        let Ok(answer) = answer.await else { return };
        note!(world.trace, "api: {answer:?}");
        if let Some((asked, _)) = asked.filter(|(_, adds)| *adds || !acknowledges_early) {
            let changed = if let Ok(OpReply::Changed { changed }) = answer { Some(changed) } else { None };
            world.facts.borrow_mut().change_answered(asked, changed, world.trace.now_ms());
        }
        if let (Ok(OpReply::Created { channel, .. }), ChannelOp::Create(create)) = (&answer, op) {
            let members = std::iter::once(create.creator).chain(create.members).collect();
            world.rooms.borrow_mut().push(Room {
                id: *channel,
                kind: ChannelKind::Group,
                past: PastAccess::Joined,
                members,
            });
        }
    }
}

/// Revokes devices of anybody, now and then: first in the store, then their sessions.
pub(super) async fn revoke(world: Rc<World>, engine: Way, orders: Arc<Orders>, shards: Vec<Mailbox>, mut rng: Rng) {
    let first = orders.view();
    if world.plan.revoke_ms == 0 {
        return;
    }
    // All nodes together as often as one that is alone.
    let most_ms = world.plan.revoke_ms * world.nodes.len() as u64;
    loop {
        sleep(Duration::from_millis(rng.within(100..=100 + most_ms))).await;
        if !world.is_hostile() {
            continue;
        }
        let number = rng.index(world.plan.devices);
        let (user, device) = (world.user_of_device(number), World::device(number));
        let revocation = world.facts.borrow_mut().revocation_asked(&device);
        if !matches!(devices::revoke(&engine, user, &device).await, Ok(true)) {
            continue;
        }
        let home = |view: &View| view.home_of_user(user);
        let is_old = first.as_deref().map(home) != orders.view().as_deref().map(home);
        if world.options.planted == Some(Planted::KickToTheOldHome) && is_old {
            world.facts.borrow_mut().revocation_done(revocation, world.trace.now_ms());
            continue;
        }
        for _ in 0..KICKS {
            let kicked = kick(rng.pick(&shards), user, &device).await;
            note!(world.trace, "api: {device} is revoked: {kicked:?}");
            if kicked.is_ok() {
                world.facts.borrow_mut().revocation_done(revocation, world.trace.now_ms());
                break;
            }
        }
    }
}

async fn kick(shard: &Mailbox, user: UserId, device: &DeviceId) -> Result<(), Refusal> {
    let (reply, answer) = oneshot::channel();
    // Whoever asked may have gone.
    let answered = Box::new(move |answer| drop(reply.send(answer)));
    let kick = Mail::Kick { user, whose: Kicked::Device(device.clone()), answer: answered };
    if let Some(Mail::Kick { answer, .. }) = shard.push(kick) {
        answer(Err(Refusal::new(ErrorCode::Overloaded, "the shard has more to do than it may hold, try again")));
    }
    let gone = || Err(Refusal::new(ErrorCode::StorageUnavailable, "the node ends"));
    answer.await.unwrap_or_else(|_| gone()).map(drop)
}

/// Stores a login of an account, as the API of some node does, however long that takes.
pub(crate) async fn sign_in(world: &World, user: UserId, family: u64) {
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&family.to_be_bytes());
    let token = NewToken { hash, expires_ms: world.wall().plus_ms(LOGIN_MS) };
    let login = NewFamily { family, device: None, token };
    while let Err(error) = accounts::open_family(&Way::new(world, 0), user, &login, world.wall()).await {
        note!(world.trace, "api: user {user} could not sign in: {error}");
        sleep(Duration::from_millis(100)).await;
    }
}

/// Carries out what scenarios ask of the API.
pub(super) async fn serve(world: Rc<World>, engine: Way, shards: Vec<Mailbox>, mut rng: Rng) {
    loop {
        let request = world.requests.borrow_mut().pop_front();
        match request {
            Some(Request::Operate(channel, op, reply)) => ask(rng.pick(&shards), channel, op, reply),
            Some(Request::Revoke(user, device, reply)) => {
                let revoked = devices::revoke(&engine, user, &device).await.expect("scenarios are of a calm world");
                let unknown = || Refusal::new(ErrorCode::UnknownChannel, "no such device");
                let answer = Box::new(move |kicked: Result<OpReply, Refusal>| {
                    let _ = reply.send(kicked.and_then(|_| if revoked { Ok(()) } else { Err(unknown()) }));
                });
                let rejected = rng.pick(&shards).push(Mail::Kick { user, whose: Kicked::Device(device), answer });
                assert!(rejected.is_none(), "mailboxes of a calm world have room");
            }
            None => {}
        }
        sleep(Duration::from_millis(1)).await;
    }
}

/// The shard that is asked finds the channel's home.
fn ask(shard: &Mailbox, channel: ChannelId, op: ChannelOp, reply: oneshot::Sender<Result<OpReply, Refusal>>) {
    // Whoever asked may have gone.
    let answer = Box::new(move |answer| drop(reply.send(answer)));
    let command = Mail::Command { channel, op: Box::new(op), answer };
    if let Some(Mail::Command { answer, .. }) = shard.push(command) {
        answer(Err(Refusal::new(ErrorCode::Overloaded, "the shard has more to do than it may hold, try again")));
    }
}

/// Who is added to a channel, or removed from it.
fn member_change(op: &ChannelOp) -> Option<(UserId, bool)> {
    match op {
        ChannelOp::AddMember { user, .. } => Some((*user, true)),
        ChannelOp::RemoveMember { user, .. } => Some((*user, false)),
        _ => None,
    }
}

fn change(world: &World, rng: &mut Rng) -> (ChannelId, ChannelOp) {
    let rooms = world.rooms.borrow();
    let groups: Vec<&Room> = rooms.iter().filter(|room| room.kind == ChannelKind::Group).collect();
    let users = &world.users;
    if groups.is_empty() || (rng.chance(100) && groups.len() < world.plan.groups + MADE_MAX) {
        let creator = *rng.pick(users);
        let members = users.iter().copied().filter(|&user| user != creator && rng.chance(500)).collect();
        let channel = ChannelId::new(world.wall(), rng.bits());
        let key = Some(format!("{channel}").into());
        let create = CreateOp {
            kind: ChannelKind::Group,
            title: "made".into(),
            creator,
            members,
            idempotency_key: key,
            past: PastAccess::Joined,
        };
        return (channel, ChannelOp::Create(create));
    }
    let rooms: Vec<&Room> = rooms.iter().filter(|room| room.kind != ChannelKind::Direct).collect();
    let group = *rng.pick(&rooms);
    // Its maker never goes, so that somebody may always change it.
    let by = group.members[0];
    let user = *rng.pick(users);
    let op = match rng.below(3) {
        0 if user != by => ChannelOp::RemoveMember { by, user },
        1 if user != by => ChannelOp::RemoveMember { by: user, user },
        _ => ChannelOp::AddMember { by, user, role: if user == by { Role::Owner } else { Role::Member } },
    };
    (group.id, op)
}
