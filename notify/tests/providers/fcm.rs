//! FCM: access tokens, payloads, outcomes, against its fake.

use std::sync::Arc;

use fakes::Profile;
use schema::Medium;

use super::{Message, Outcome, Rig, check_discreet, message, shown};

const DEVICE: &str = "fYk2:APA91bHun4MxP5egoKMwt2KZFBaFUH-1RYqx";

#[tokio::test]
async fn a_message_arrives_with_all_that_a_device_needs() {
    let rig = Rig::start();
    let sent = message(1, DEVICE);
    let outcome = rig.provider(Medium::Fcm).send(&sent).await;
    assert!(matches!(&outcome, Outcome::Sent { provider_id: Some(id) } if id.starts_with("0:")), "{outcome:?}");
    let [received] = &rig.fakes.fcm.received()[..] else { panic!("one") };
    assert_eq!(received.id, sent.id.to_string());
    assert_eq!((received.target.as_str(), received.collapse.as_str()), (DEVICE, "c-7"));
    assert_eq!((&received.title, &received.body, received.badge), (&sent.title, &sent.body, sent.badge));
    assert_eq!(received.data["channel"], "7");
    let extra = |name: &str| received.extra[name].as_str();
    assert_eq!((extra("priority"), extra("ttl"), extra("tag")), ("HIGH", "2419200s", "c-7"));
}

#[tokio::test]
async fn what_the_service_does_has_a_class() {
    let rig = Rig::start_with("attempt_ms_max = 500");
    let provider = rig.provider(Medium::Fcm);
    let check = async |profile, expected: &str| {
        rig.fakes.fcm.set_profile(profile);
        let outcome = provider.send(&message(1, DEVICE)).await;
        assert_eq!(shown(&outcome), expected, "{profile}: {outcome:?}");
        check_discreet(&outcome, DEVICE);
    };
    check(Profile::Ok, "sent").await;
    check(Profile::Throttle { retry_after_s: 7 }, "quota after 7000").await;
    check(Profile::Gone, "gone").await;
    check(Profile::BadCredentials, "credential").await;
    check(Profile::Unavailable, "transient").await;
    check(Profile::Slow { ms: 50 }, "sent").await;
    check(Profile::Hang, "network").await;
    check(Profile::Drop, "network").await;
    check(Profile::Ok, "sent").await;
    let counts = rig.fakes.fcm.counts();
    assert_eq!((counts.distinct, counts.faulty), (1, 0), "{counts:?} {:?}", rig.fakes.fcm.fault());
}

#[tokio::test]
async fn what_is_wrong_with_a_message_is_said_once() {
    let rig = Rig::start();
    let provider = rig.provider(Medium::Fcm);
    let check = async |change: &dyn Fn(&mut Message), expected: &str| {
        let mut message = message(1, DEVICE);
        change(&mut message);
        let outcome = provider.send(&message).await;
        assert_eq!(shown(&outcome), expected, "{outcome:?} {:?}", rig.fakes.fcm.fault());
    };
    check(&|message| message.target.address = String::new(), "gone").await;
    check(&|message| message.target.address = "no token".to_owned(), "gone").await;
    check(&|message| message.target.app = "another-project".to_owned(), "gone").await;
    check(&|message| message.data = [("from".to_owned(), "x".to_owned())].into(), "payload").await;
    check(&|message| message.data = [("k".to_owned(), "x".repeat(5_000))].into(), "payload").await;
    check(&|message| message.body = "\"".repeat(9_000), "sent").await;
    let [received] = &rig.fakes.fcm.received()[..] else { panic!("one") };
    assert!(received.body.ends_with("\"…"));
}

#[tokio::test]
async fn one_access_token_is_fetched_for_many_and_another_when_it_ends() {
    let rig = Rig::start();
    let provider = rig.provider(Medium::Fcm);
    let burst = async |first: u8| {
        let sends = (first..first + 40).map(|number| {
            let provider = Arc::clone(&provider);
            tokio::spawn(async move { provider.send(&message(number, DEVICE)).await })
        });
        for send in sends.collect::<Vec<_>>() {
            assert_eq!(shown(&send.await.expect("no panic")), "sent");
        }
    };
    burst(0).await;
    assert_eq!(rig.fakes.access_tokens(), 1);
    rig.fakes.revoke_access_tokens();
    burst(100).await;
    assert_eq!(rig.fakes.access_tokens(), 2);
    assert_eq!(rig.fakes.fcm.counts().distinct, 80);
}
