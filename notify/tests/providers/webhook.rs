//! Webhooks: templates of requests, outcomes, against a plain sink.

use fakes::Profile;
use notify::providers::Providers;
use schema::Medium;

use super::{Message, Outcome, Rig, check_discreet, message, shown};

#[tokio::test]
async fn a_message_arrives_as_its_template_says() {
    let rig = Rig::start();
    let sent = Message { title: "\", \"id\": \"forged".to_owned(), ..message(1, "some/one?x") };
    let outcome = rig.provider(Medium::Webhook).send(&sent).await;
    assert_eq!(outcome, Outcome::Sent { provider_id: None }, "{:?}", rig.fakes.webhook.fault());
    let [received] = &rig.fakes.webhook.received()[..] else { panic!("one") };
    assert_eq!(received.id, sent.id.to_string());
    assert_eq!((&received.target, &received.collapse), (&sent.target.address, &sent.collapse));
    assert_eq!((&received.title, &received.body, received.badge), (&sent.title, &sent.body, sent.badge));
    assert_eq!(received.data, sent.data);
    assert_eq!(received.extra["path"], "/hook/some%2Fone%3Fx");
}

#[test]
fn a_host_that_users_name_is_a_service_of_its_own() {
    let check = |url: &str, address: &str, expected: Option<&str>| {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("notify.toml");
        let text = format!("[[provider]]\nname = \"a\"\nmedium = \"webhook\"\nurl = \"{url}\"\nbody = \"{{}}\"\n");
        std::fs::write(&path, text).expect("written");
        let providers = Providers::load(&path).expect("legal");
        let found = providers.of(Medium::Webhook)[0].service(&message(1, address));
        assert_eq!(found.as_deref(), expected, "{url} {address}");
    };
    check("https://push.example/{{ address }}", "a", None);
    check("https://{{ address }}.example/", "Some", Some("some.example"));
    check("{{ address|safe }}", "https://b.example/x", Some("b.example"));
    check("{{ address|safe }}", "none at all", Some(""));
}

#[tokio::test]
async fn what_the_service_does_has_a_class() {
    let rig = Rig::start_with("attempt_ms_max = 500");
    let provider = rig.provider(Medium::Webhook);
    let check = async |profile, expected: &str| {
        rig.fakes.webhook.set_profile(profile);
        let outcome = provider.send(&message(1, "whoever")).await;
        assert_eq!(shown(&outcome), expected, "{profile}: {outcome:?}");
        check_discreet(&outcome, "whoever");
    };
    check(Profile::Ok, "sent").await;
    check(Profile::Throttle { retry_after_s: 7 }, "quota after 7000").await;
    check(Profile::Gone, "gone").await;
    check(Profile::BadCredentials, "credential").await;
    check(Profile::Unavailable, "transient").await;
    check(Profile::Hang, "network").await;
    check(Profile::Drop, "network").await;
    check(Profile::Ok, "sent").await;
    assert_eq!(rig.fakes.webhook.counts().distinct, 1);
}
