//! Links in notifications: what each does, for whoever has it, and what is no link.

use api::Links;
use chat::notices::{Link, Target, deliveries, settings};
use schema::limits::COMMANDS_BURST;
use schema::{Medium, NoticeId, UserId};

use crate::client::{Answer, Client};
use crate::world::{START, World, block_on};

const USER: UserId = UserId(7);
const URL: &str = "https://shop.example/orders/4711?a=b&c=d";

fn target(medium: Medium) -> Target {
    Target { notice: NoticeId::new(START, 1), user: USER, medium, device: String::new() }
}

/// A server that has sent a mail and a text message.
struct Sent(World);

impl Sent {
    fn new() -> Self {
        let world = World::new();
        for medium in [Medium::Mail, Medium::Sms] {
            world.sent(&target(medium));
        }
        Self(world)
    }

    fn path(&self, link: &Link) -> String {
        Links::new(&self.0.key).path(link)
    }

    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = format!("{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n");
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
        let mut client = Client::connect(self.0.public);
        client.write(request.as_bytes()).expect("the server reads");
        client.read().expect("an answer")
    }

    /// What is known of what was sent by a medium, and why.
    fn state(&self, medium: Medium) -> String {
        let all = block_on(deliveries(&self.0.engine, target(medium).notice, USER)).expect("readable");
        let (_, delivery) = all.into_iter().find(|(target, _)| target.medium == medium).expect("it was sent");
        format!("{} {}", delivery.state.word(), delivery.why).trim_end().to_owned()
    }

    fn wants_mails(&self) -> bool {
        let chosen = block_on(settings::get(&self.0.engine, USER)).expect("readable");
        settings::wants(&chosen, "shipping", Medium::Mail, true)
    }
}

fn click() -> Link {
    Link::Click { target: target(Medium::Mail), url: URL.to_owned() }
}

fn unsubscribe() -> Link {
    Link::Unsubscribe { user: USER, medium: Medium::Mail, category: "shipping".to_owned() }
}

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

#[test]
fn a_click_is_noted_and_leads_on() {
    let sent = Sent::new();
    let path = sent.path(&click());
    let check = |method: &str, expected: &str| {
        let answer = sent.ask(method, &path, &[], "");
        assert_eq!((answer.status, answer.header("location")), (303, URL), "{method}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert_eq!(sent.state(Medium::Mail), expected, "{method}");
    };
    check("GET", "clicked");
    check("GET", "clicked");
}

#[test]
fn who_looks_where_a_link_leads_has_not_followed_it() {
    let sent = Sent::new();
    let request = format!("HEAD {} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", sent.path(&click()));
    let mut client = Client::connect(sent.0.public);
    client.write(request.as_bytes()).expect("the server reads");
    // An answer to HEAD has no body.
    let _ = client.is_silent_for(std::time::Duration::from_millis(300));
    assert_eq!(sent.state(Medium::Mail), "sent");
}

#[test]
fn a_link_leads_on_while_nothing_can_be_noted() {
    use std::sync::atomic::Ordering::Relaxed;
    let sent = Sent::new();
    let path = sent.path(&click());
    sent.0.node.away.store(true, Relaxed);
    assert_eq!(sent.ask("GET", &path, &[], "").status, 303);
    let refused = sent.ask("POST", &sent.path(&unsubscribe()), &[FORM], "List-Unsubscribe=One-Click");
    assert_eq!(refused.status, 503, "what was not stored is not said to be");
    sent.0.node.away.store(false, Relaxed);
    assert_eq!(sent.state(Medium::Mail), "sent");
    // Of a notification that is forgotten.
    let old = Link::Click { target: Target { user: UserId(8), ..target(Medium::Mail) }, url: URL.to_owned() };
    assert_eq!(sent.ask("GET", &sent.path(&old), &[], "").status, 303);
}

#[test]
fn a_mail_that_is_opened_loads_a_picture() {
    let sent = Sent::new();
    let path = sent.path(&Link::Open(target(Medium::Mail)));
    let answer = sent.ask("GET", &path, &[], "");
    assert_eq!((answer.status, answer.header("content-type")), (200, "image/gif"));
    assert_eq!(answer.header("cross-origin-resource-policy"), "cross-origin");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(sent.state(Medium::Mail), "opened");
}

#[test]
fn an_unsubscription_takes_a_post() {
    let sent = Sent::new();
    let path = sent.path(&unsubscribe());
    let shown = sent.ask("GET", &path, &[], "");
    assert_eq!((shown.status, shown.header("content-type")), (200, "text/html; charset=utf-8"));
    assert!(shown.body.contains("mails of the kind <b>shipping</b>") && shown.body.contains("<form method=\"post\">"));
    assert!(shown.header("content-security-policy").contains("form-action 'self'"));
    assert!(sent.wants_mails(), "a scanner that fetches it changes nothing");
    for body in ["", "List-Unsubscribe=Two", "x"] {
        assert_eq!(sent.ask("POST", &path, &[FORM], body).status, 400, "{body}");
    }
    assert!(sent.wants_mails());
    for _ in 0..2 {
        let answer = sent.ask("POST", &path, &[FORM], "List-Unsubscribe=One-Click");
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert!(!sent.wants_mails());
    }
    let chosen = block_on(settings::get(&sent.0.engine, USER)).expect("readable");
    assert!(settings::wants(&chosen, "shipping", Medium::Apns, true), "other media are as they were");
    assert!(settings::wants(&chosen, "billing", Medium::Mail, true), "other categories too");
}

#[test]
fn a_service_says_what_became_of_a_message_and_signs_it() {
    let sent = Sent::new();
    let path = sent.path(&Link::Callback(target(Medium::Sms)));
    let check = |signature: &str, body: &str, status: u16, expected: &str| {
        let answer = sent.ask("POST", &path, &[FORM, ("x-twilio-signature", signature)], body);
        assert_eq!((answer.status, sent.state(Medium::Sms).as_str()), (status, expected), "{body} {}", answer.body);
    };
    check("forged", "MessageStatus=delivered", 403, "sent");
    check("signed", "", 403, "sent");
    check("signed", "MessageStatus=sent", 204, "sent");
    check("signed", "MessageStatus=delivered", 204, "delivered");
    check("signed", "MessageStatus=failed&ErrorCode=30003", 204, "delivered");
    let sent = Sent::new();
    let answer =
        sent.ask("POST", &path, &[FORM, ("x-twilio-signature", "signed")], "MessageStatus=undelivered&ErrorCode=30003");
    assert_eq!((answer.status, sent.state(Medium::Sms).as_str()), (204, "dead undelivered 30003"));
    let long = format!("MessageStatus=delivered&x={}", "y".repeat(16 * 1024));
    assert_eq!(sent.ask("POST", &path, &[FORM, ("x-twilio-signature", "signed")], &long).status, 413);
}

#[test]
fn what_is_no_link_changes_nothing_and_says_so() {
    let sent = Sent::new();
    let good = sent.path(&click());
    let foreign = Links::new(&api::TokenKey::new(&[9; 32])).path(&click());
    let callback = sent.path(&Link::Callback(target(Medium::Sms)));
    let paths = [
        "/n/x".to_owned(),
        format!("/n/{}", "A".repeat(60)),
        good[..good.len() - 1].to_owned(),
        good.replace("/n/A", "/n/B"),
        format!("/n/{}", "A".repeat(4_000)),
        "/n/%00%FF%2F".to_owned(),
        foreign,
        // A link for a service is none for a reader.
        callback,
    ];
    for path in &paths {
        let answer = sent.ask("GET", path, &[], "");
        assert!(answer.status == 404 || answer.status == 400, "{path}: {}", answer.status);
        assert!(!answer.body.is_empty(), "{path}");
    }
    for path in paths[..7].iter().chain([&good]) {
        let answer = sent.ask("POST", path, &[FORM], "List-Unsubscribe=One-Click");
        assert!(answer.status == 404 || answer.status == 400, "{path}: {}", answer.status);
    }
    assert_eq!(sent.ask("PUT", &good, &[], "").status, 405);
    assert_eq!([sent.state(Medium::Mail), sent.state(Medium::Sms)], ["sent", "sent"]);
    assert!(sent.wants_mails());
}

#[test]
fn links_of_one_user_are_noted_no_faster_than_a_user_asks() {
    let sent = Sent::new();
    let path = sent.path(&unsubscribe());
    let (kind, body) = (FORM.1, "List-Unsubscribe=One-Click");
    let length = body.len();
    let one =
        format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n{body}");
    let mut client = Client::connect(sent.0.public);
    let mut answers = (0..2 * COMMANDS_BURST / 100).flat_map(|_| {
        client.write(one.repeat(100).as_bytes()).expect("the server reads");
        (0..100).map(|_| client.read().expect("an answer").status).collect::<Vec<_>>()
    });
    assert!(answers.any(|status| status == 429), "there is a bound");
    assert_eq!(sent.ask("GET", &sent.path(&click()), &[], "").status, 303, "a click leads on all the same");
}
