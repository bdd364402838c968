//! APNs: tokens, payloads, outcomes, GOAWAY, against its fake.

use fakes::Profile;
use schema::Medium;

use super::{Fault, Message, Outcome, Rig, check_discreet, message, shown};

const DEVICE: &str = "00fc13adff785122b4ad28809a3420982341241421348097878e577c991de8f0";

#[tokio::test]
async fn a_message_arrives_with_all_that_a_device_needs() {
    let rig = Rig::start();
    let sent = message(1, DEVICE);
    let outcome = rig.provider(Medium::Apns).send(&sent).await;
    assert_eq!(outcome, Outcome::Sent { provider_id: Some(sent.id.to_string()) }, "{:?}", rig.fakes.apns.fault());
    let [received] = &rig.fakes.apns.received()[..] else { panic!("one") };
    assert_eq!(received.id, sent.id.to_string());
    assert_eq!((received.target.as_str(), received.collapse.as_str()), (DEVICE, "c-7"));
    assert_eq!((&received.title, &received.body, received.badge), (&sent.title, &sent.body, sent.badge));
    assert_eq!(received.data, sent.data);
    let extra = |name: &str| received.extra[name].as_str();
    assert_eq!((extra("apns-priority"), extra("apns-expiration")), ("10", "4102444800"));
}

#[tokio::test]
async fn what_the_service_does_has_a_class() {
    let rig = Rig::start_with("attempt_ms_max = 500");
    let provider = rig.provider(Medium::Apns);
    let check = async |profile, expected: &str| {
        rig.fakes.apns.set_profile(profile);
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
    check(Profile::Slow { ms: 5_000 }, "network").await;
    check(Profile::Hang, "network").await;
    check(Profile::Flaky { one_of: 1 }, "transient").await;
    // The answer is lost and the effect is not: sent again, it is the same message there.
    check(Profile::Drop, "network").await;
    check(Profile::Ok, "sent").await;
    let counts = rig.fakes.apns.counts();
    assert_eq!((counts.distinct, counts.faulty), (1, 0), "{counts:?} {:?}", rig.fakes.apns.fault());
    assert!(counts.taken >= 4, "{counts:?}");
}

#[tokio::test]
async fn what_is_wrong_with_a_message_is_said_once() {
    let rig = Rig::start();
    let provider = rig.provider(Medium::Apns);
    let check = async |change: &dyn Fn(&mut Message), expected: &str| {
        let mut message = message(1, DEVICE);
        change(&mut message);
        let outcome = provider.send(&message).await;
        assert_eq!(shown(&outcome), expected, "{outcome:?}");
    };
    check(&|message| message.target.address = "zz".to_owned(), "gone").await;
    check(&|message| message.target.address = String::new(), "gone").await;
    check(&|message| message.target.address = "../../etc".to_owned(), "gone").await;
    check(&|message| message.target.address = "ab".to_owned(), "gone").await;
    check(&|message| message.target.app = "another.app".to_owned(), "gone").await;
    check(&|message| message.target.app = "a\nb: c".to_owned(), "gone").await;
    check(&|message| message.body = "ä".repeat(9_000), "sent").await;
    check(&|message| message.data = [("k".to_owned(), "x".repeat(5_000))].into(), "payload").await;
    check(&|message| message.target.is_development = true, "sent").await;
    let [received] = &rig.fakes.apns.received()[..] else { panic!("one id") };
    assert!(received.body.starts_with("ää") && received.body.ends_with("ä…"), "cut at a character");
}

#[tokio::test]
async fn a_connection_that_ends_is_made_anew() {
    let rig = Rig::start();
    let provider = rig.provider(Medium::Apns);
    for number in 1..=20 {
        if number % 4 == 0 {
            rig.fakes.apns.goaway();
        }
        // A request that crosses the GOAWAY may be lost; then it is sent again.
        let mut outcome = provider.send(&message(number, DEVICE)).await;
        if matches!(outcome, Outcome::Failed { fault: Fault::Network, .. }) {
            outcome = provider.send(&message(number, DEVICE)).await;
        }
        assert_eq!(shown(&outcome), "sent", "{number}: {outcome:?}");
    }
    assert_eq!(rig.fakes.apns.counts().distinct, 20);
}

#[tokio::test]
async fn many_attempts_go_at_once() {
    let rig = Rig::start();
    let provider = rig.provider(Medium::Apns);
    let sends = (0..200).map(|number| {
        let provider = std::sync::Arc::clone(&provider);
        tokio::spawn(async move { provider.send(&message(number, DEVICE)).await })
    });
    for send in sends.collect::<Vec<_>>() {
        assert_eq!(shown(&send.await.expect("no panic")), "sent");
    }
    assert_eq!(rig.fakes.apns.counts().distinct, 200);
}
