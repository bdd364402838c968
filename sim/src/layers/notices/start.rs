//! What a store holds of notifications before a run: devices, mutes, the application.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use chat::accounts::FAMILY_OPERATOR;
use chat::keys;
use chat::notices::apps::{self, App};
use chat::notices::contacts;
use futures_lite::future::block_on;
use kv::memory::{MemoryEngine, MemoryOptions, MemoryStore};
use kv::{Begin, Engine as _, Transaction as _};
use schema::UserId;
use schema::op::ChannelKind;
use schema::record::{AppRecord, AppSecret, ContactRecord, MemberRecord};

use crate::rng::Rng;
use crate::world::{Room, WALL};

use super::state::{Evidence, MEDIA, Notices, Rates, Registered};

/// The one application.
pub(super) const APP: u64 = 7;

/// What the store holds of notifications at the start, before anything goes wrong.
pub(in super::super) fn begin(store: &MemoryStore, users: &[UserId], rooms: &[Room], rng: &mut Rng) -> Notices {
    let absent = users.iter().copied().filter(|_| rng.chance(750)).collect();
    let rates = Rates::draw(rng);
    let (app, devices) = register(store, users, rooms, rng);
    let evidence = RefCell::new(Evidence { devices, ..Evidence::default() });
    Notices { absent, rates, app, evidence, are_people_done: Cell::new(false), over: Cell::new(false) }
}

/// The application, and the devices that are registered at the start; some users want nothing of some channels.
fn register(
    store: &MemoryStore,
    users: &[UserId],
    rooms: &[Room],
    rng: &mut Rng,
) -> (App, BTreeMap<(UserId, String), Registered>) {
    let engine = MemoryEngine::open(store, MemoryOptions::default());
    let record = AppRecord {
        name: "app".into(),
        created_ms: WALL,
        scopes: 3,
        secrets: vec![AppSecret { hash: "h".into(), created_ms: WALL }],
        ..AppRecord::default()
    };
    let app = block_on(apps::create(&engine, APP, &record)).expect("nothing goes wrong yet").expect("it is the first");
    let mut devices = BTreeMap::new();
    for &user in users {
        for (device, permille) in [("phone", 800), ("tablet", 350)] {
            if rng.chance(permille) {
                let (record, medium) = (contact(rng), *rng.pick(MEDIA));
                let name = device.parse().expect("legal");
                block_on(contacts::put_device(&engine, user, &name, medium, &record)).expect("nothing goes wrong yet");
                let registered = Registered { since_ms: 0, address: record.address, has_ended: false };
                devices.insert((user, device.to_owned()), registered);
            }
        }
        // What a large channel's member wants is kept twice, and this writes it once.
        let is_small = |room: &&Room| room.kind != ChannelKind::Large && room.members.contains(&user);
        for room in rooms.iter().filter(is_small) {
            if rng.chance(80) {
                mute(&engine, room, user);
            }
        }
    }
    (app, devices)
}

fn mute(engine: &MemoryEngine, room: &Room, user: UserId) {
    let (mut tx, key) = (engine.begin(Begin::Fresh), keys::member(room.id, user));
    let Some(row) = block_on(tx.get(&key)).expect("nothing goes wrong yet") else { return };
    let member = MemberRecord::decode(&row).expect("a member");
    tx.set(&key, &MemberRecord { muted: true, ..member }.encode());
    block_on(tx.commit()).expect("nothing goes wrong yet");
}

/// An address that nobody has had.
pub(super) fn contact(rng: &mut Rng) -> ContactRecord {
    ContactRecord {
        address: format!("token {:016x}", rng.bits()),
        app: String::new(),
        development: false,
        locale: String::new(),
        family: FAMILY_OPERATOR,
        registered_ms: WALL,
        verified_ms: None,
    }
}
