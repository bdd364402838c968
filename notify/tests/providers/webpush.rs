//! Web Push: encryption, VAPID, outcomes, against a push service that decrypts.

use fakes::Profile;
use notify::providers::{Guard, Providers, Subscription};
use schema::Medium;

use super::{Fault, Message, Outcome, Rig, check_discreet, message, shown};

#[tokio::test]
async fn a_message_arrives_and_only_the_browser_reads_it() {
    let rig = Rig::start();
    let mut sent = message(1, &rig.fakes.subscription("browser"));
    sent.data.insert("url".to_owned(), "/c/7".to_owned());
    let outcome = rig.provider(Medium::WebPush).send(&sent).await;
    assert_eq!(outcome, Outcome::Sent { provider_id: Some(sent.id.to_string()) }, "{:?}", rig.fakes.webpush.fault());
    let [received] = &rig.fakes.webpush.received()[..] else { panic!("one") };
    assert_eq!(received.id, sent.id.to_string());
    assert_eq!((received.target.as_str(), received.collapse.as_str()), ("browser", "c-7"));
    assert_eq!((&received.title, &received.body, received.badge), (&sent.title, &sent.body, sent.badge));
    assert_eq!(received.data, sent.data);
    let extra = |name: &str| received.extra[name].as_str();
    assert_eq!((extra("urgency"), extra("ttl"), extra("topic").len()), ("high", "2419200", 32));
}

#[tokio::test]
async fn what_the_service_does_has_a_class() {
    let rig = Rig::start_with("attempt_ms_max = 500");
    let provider = rig.provider(Medium::WebPush);
    let address = rig.fakes.subscription("browser");
    let check = async |profile, expected: &str| {
        rig.fakes.webpush.set_profile(profile);
        let outcome = provider.send(&message(1, &address)).await;
        assert_eq!(shown(&outcome), expected, "{profile}: {outcome:?}");
        check_discreet(&outcome, "/push/browser");
    };
    check(Profile::BadCredentials, "credential").await;
    check(Profile::Ok, "sent").await;
    // The service knows our key by now, so it is the subscription's, or a clock: no reason to stop, or to forget.
    check(Profile::BadCredentials, "transient").await;
    check(Profile::Throttle { retry_after_s: 7 }, "quota after 7000").await;
    check(Profile::Gone, "gone").await;
    check(Profile::Unavailable, "transient").await;
    check(Profile::Slow { ms: 50 }, "sent").await;
    check(Profile::Hang, "network").await;
    check(Profile::Drop, "network").await;
    check(Profile::Ok, "sent").await;
    let counts = rig.fakes.webpush.counts();
    assert_eq!((counts.distinct, counts.faulty), (1, 0), "{counts:?} {:?}", rig.fakes.webpush.fault());
}

#[tokio::test]
async fn a_message_is_cut_so_that_every_service_takes_it() {
    let rig = Rig::start();
    let provider = rig.provider(Medium::WebPush);
    let address = rig.fakes.subscription("browser");
    let check = async |change: &dyn Fn(&mut Message), expected: &str| {
        let mut message = message(1, &address);
        change(&mut message);
        let outcome = provider.send(&message).await;
        assert_eq!(shown(&outcome), expected, "{outcome:?} {:?}", rig.fakes.webpush.fault());
    };
    check(&|message| message.body = "x".repeat(9_000), "sent").await;
    check(&|message| message.data = [("k".to_owned(), "x".repeat(5_000))].into(), "payload").await;
    check(&|message| message.target.address = "{}".to_owned(), "gone").await;
    let [received] = &rig.fakes.webpush.received()[..] else { panic!("one") };
    assert_eq!(received.extra["bytes"], "4096");
    assert!(received.body.ends_with("x…"));
}

#[tokio::test]
async fn an_endpoint_on_a_private_address_is_not_connected_to() {
    let rig = Rig::start();
    let address = rig.fakes.subscription("browser");
    // As in production, where loopback is a private address too.
    assert!(Subscription::parse(&address, rig.providers.guard()).is_ok());
    assert!(Subscription::parse(&address, Guard::default()).is_err());
    let text = std::fs::read_to_string(rig.fakes.config_path()).expect("it was written");
    let webpush = text.split("[[provider]]").find(|part| part.contains("\"webpush\"")).expect("it is there").to_owned();
    let path = rig.fakes.config_path().with_file_name("strict.toml");
    std::fs::write(&path, format!("[[provider]]{webpush}")).expect("written");
    let strict = Providers::load(&path).expect("legal");
    let outcome = strict.of(Medium::WebPush)[0].send(&message(1, &address)).await;
    assert!(matches!(outcome, Outcome::Failed { fault: Fault::Gone, .. }), "{outcome:?}");
    assert_eq!(rig.fakes.webpush.counts().requests, 0);
}

#[tokio::test]
async fn browsers_subscribe_for_the_key_that_signs() {
    let rig = Rig::start();
    let key = rig.providers.webpush_key().expect("there is one");
    assert_eq!((key.len(), &key[..1]), (87, "B"), "65 bytes of an uncompressed point");
}
