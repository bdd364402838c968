//! Text messages: requests, outcomes, signatures of callbacks, against the fake gateway.

use std::time::Duration;

use fakes::Profile;
use schema::Medium;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::{Message, Outcome, Rig, check_discreet, message, shown};

const PHONE: &str = "+493012345678";

#[tokio::test]
async fn a_message_arrives_and_what_becomes_of_it_is_told() {
    let rig = Rig::start();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let callback = format!("http://{}/callback?job=1", listener.local_addr().expect("bound"));
    let sent = Message { callback: Some(callback.clone()), ..message(1, PHONE) };
    let outcome = rig.provider(Medium::Sms).send(&sent).await;
    assert!(matches!(&outcome, Outcome::Sent { provider_id: Some(sid) } if sid.starts_with("SM")), "{outcome:?}");
    let [received] = &rig.fakes.sms.received()[..] else { panic!("one") };
    assert_eq!((received.target.as_str(), &received.body), (PHONE, &sent.body));
    for status in ["sent", "delivered"] {
        let (form, signature) = timeout(Duration::from_secs(5), called(&listener)).await.expect("in time");
        assert!(form.contains(&("MessageStatus".to_owned(), status.to_owned())), "{form:?}");
        assert!(rig.providers.is_sms_callback(&callback, &form, &signature));
        assert!(!rig.providers.is_sms_callback(&callback, &form[1..], &signature));
    }
}

/// Takes one callback: its form, and its signature.
async fn called(listener: &TcpListener) -> (Vec<(String, String)>, String) {
    let (mut stream, _) = listener.accept().await.expect("a callback");
    let mut text = String::new();
    let is_whole = |text: &str| text.split_once("\r\n\r\n").is_some_and(|(_, body)| body.contains("&To="));
    while !is_whole(&text) {
        let mut piece = [0; 4_096];
        let read = stream.read(&mut piece).await.expect("bytes");
        text += std::str::from_utf8(&piece[..read]).expect("text");
    }
    stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.expect("written");
    let (head, body) = text.split_once("\r\n\r\n").expect("it is whole");
    let signature = head.lines().find_map(|line| line.strip_prefix("x-twilio-signature: ")).expect("it is signed");
    (form_urlencoded::parse(body.as_bytes()).into_owned().collect(), signature.to_owned())
}

#[tokio::test]
async fn what_the_service_does_has_a_class() {
    let rig = Rig::start_with("attempt_ms_max = 500");
    let provider = rig.provider(Medium::Sms);
    let check = async |profile, expected: &str| {
        rig.fakes.sms.set_profile(profile);
        let outcome = provider.send(&message(1, PHONE)).await;
        assert_eq!(shown(&outcome), expected, "{profile}: {outcome:?}");
        check_discreet(&outcome, PHONE);
    };
    check(Profile::Ok, "sent").await;
    check(Profile::Throttle { retry_after_s: 7 }, "quota after 7000").await;
    check(Profile::Gone, "gone").await;
    check(Profile::BadCredentials, "credential").await;
    check(Profile::Unavailable, "transient").await;
    check(Profile::Hang, "network").await;
    check(Profile::Drop, "network").await;
}

#[tokio::test]
async fn what_is_wrong_with_a_message_is_said_once() {
    let rig = Rig::start();
    let provider = rig.provider(Medium::Sms);
    let check = async |change: &dyn Fn(&mut Message), expected: &str| {
        let mut message = message(1, PHONE);
        change(&mut message);
        let outcome = provider.send(&message).await;
        assert_eq!(shown(&outcome), expected, "{outcome:?} {:?}", rig.fakes.sms.fault());
    };
    check(&|message| message.target.address = "call me".to_owned(), "gone").await;
    // Of the right form, and no number there.
    check(&|message| message.target.address = "+4930".to_owned(), "gone").await;
    check(&|message| message.body = "ä".repeat(2_000), "sent").await;
    check(&|message| message.body = String::new(), "sent").await;
    let [long, titled] = &rig.fakes.sms.received()[..] else { panic!("two") };
    assert_eq!((long.body.chars().count(), long.body.ends_with("ä…")), (1_600, true));
    assert_eq!(titled.body, "Team");
}
