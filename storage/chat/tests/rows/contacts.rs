//! Contacts: who is told where, whose address it is, and when that ends.

use chat::notices::contacts::{self, Contact};
use chat::{LayerError, accounts, devices};
use futures_lite::future::block_on;
use kv::memory::MemoryEngine;
use schema::limits::CONTACT_BYTES_MAX;
use schema::record::ContactRecord;
use schema::{DeviceId, Medium, UserId};

use crate::world::{WALL, faulty, store, words};

pub(crate) fn device(name: &str) -> DeviceId {
    name.parse().expect("a legal name")
}

fn contact_at(address: &str, at_ms: u64) -> ContactRecord {
    ContactRecord {
        address: address.to_owned(),
        app: String::new(),
        development: false,
        locale: String::new(),
        family: accounts::FAMILY_OPERATOR,
        registered_ms: WALL.plus_ms(at_ms),
        verified_ms: None,
    }
}

fn contact(address: &str) -> ContactRecord {
    contact_at(address, 0)
}

pub(crate) fn register(
    engine: &MemoryEngine,
    user: u64,
    name: &str,
    medium: Medium,
    address: &str,
) -> Result<(), LayerError> {
    block_on(contacts::put_device(engine, UserId(user), &device(name), medium, &contact(address)))
}

/// A user's contacts in words: `apns phone=token`.
pub(crate) fn told_at(engine: &MemoryEngine, user: u64) -> String {
    let all = block_on(contacts::list(engine, UserId(user))).expect("readable");
    let one = |Contact { medium, device, record }: Contact| format!("{medium} {device}={}", record.address);
    all.into_iter().map(one).collect::<Vec<_>>().join(", ")
}

#[test]
fn a_device_has_one_contact_and_an_address_one_device() {
    let check = |steps: &[(u64, &str, Medium, &str)], expected: [&str; 2]| {
        let engine = faulty(&store(), &[]);
        for &(user, name, medium, address) in steps {
            register(&engine, user, name, medium, address).expect("registered");
        }
        assert_eq!([2, 3].map(|user| told_at(&engine, user)), expected, "{steps:?}");
    };
    use Medium::{Apns, Fcm};
    check(&[(2, "a", Apns, "x")], ["apns a=x", ""]);
    check(&[(2, "a", Apns, "x"), (2, "a", Apns, "y")], ["apns a=y", ""]);
    check(&[(2, "a", Apns, "x"), (2, "a", Fcm, "y")], ["fcm a=y", ""]);
    check(&[(2, "a", Apns, "x"), (2, "b", Apns, "y")], ["apns a=x, apns b=y", ""]);
    // Somebody else has signed in there.
    check(&[(2, "a", Apns, "x"), (3, "a", Apns, "x")], ["", "apns a=x"]);
    check(&[(2, "a", Apns, "x"), (2, "b", Apns, "x")], ["apns b=x", ""]);
    // The same text is another address by another medium.
    check(&[(2, "a", Apns, "x"), (3, "a", Fcm, "x")], ["apns a=x", "fcm a=x"]);
    // What was replaced is nobody's address any more.
    check(&[(2, "a", Apns, "x"), (2, "a", Apns, "y"), (3, "b", Apns, "x")], ["apns a=y", "apns b=x"]);
}

#[test]
fn a_contact_goes_with_its_device_or_its_login() {
    let engine = faulty(&store(), &[]);
    register(&engine, 2, "a", Medium::Apns, "x").expect("registered");
    assert_eq!(block_on(contacts::remove_device(&engine, UserId(2), &device("a"))).ok(), Some(true));
    assert_eq!(block_on(contacts::remove_device(&engine, UserId(2), &device("a"))).ok(), Some(false));
    assert_eq!(told_at(&engine, 2), "");
    register(&engine, 2, "a", Medium::Apns, "x").expect("registered");
    assert_eq!(block_on(devices::revoke(&engine, UserId(2), &device("a"))).ok(), Some(true));
    assert_eq!(told_at(&engine, 2), "");
    register(&engine, 3, "a", Medium::Apns, "x").expect("its address is free again");
    let of_a_login = ContactRecord { family: 77, ..contact("y") };
    let put = || block_on(contacts::put_device(&engine, UserId(2), &device("a"), Medium::Apns, &of_a_login));
    assert_eq!(words(put().map(|()| String::new())), "101", "a login that is not there");
}

#[test]
fn contacts_are_bounded() {
    let engine = faulty(&store(), &[]);
    let check = |address: &str, expected: &str| {
        assert_eq!(words(register(&engine, 2, "a", Medium::Apns, address).map(|()| "ok".into())), expected);
    };
    check("", "107");
    check(&"x".repeat(CONTACT_BYTES_MAX as usize), "ok");
    check(&"x".repeat(CONTACT_BYTES_MAX as usize + 1), "107");
    for at in 0..20 {
        let record = contact_at(&format!("token{at}"), at);
        let named = device(&format!("d{at}"));
        block_on(contacts::put_device(&engine, UserId(3), &named, Medium::Fcm, &record)).expect("registered");
    }
    let kept: Vec<_> = block_on(contacts::list(&engine, UserId(3))).expect("readable");
    assert_eq!(kept.len(), 16);
    assert!(kept.iter().all(|contact| contact.record.registered_ms >= WALL.plus_ms(4)), "{kept:?}");
}
