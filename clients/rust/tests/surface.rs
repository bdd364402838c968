//! Every call and event once, against a real node: that what its answers are is what the types of this crate say.

#[expect(dead_code, reason = "each test binary uses its part of this")]
mod node;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use node::{Node, Ports, sign_up};
use rookery_client::{
    Api, Channel, ChannelKind, Client, Code, Config, Connection, Draft, Error, Event, Events, Login, MemberChange,
    Method, NewChannel, PresenceState, Refusal, Role, Search, Seq, TokenError, TokenNeed, Tokens, Window,
};
use serde_json::json;

/// Time that anything may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(40);

fn start(api: &str, login: &Login, device: &str) -> (Client, Events) {
    let token = login.token.clone();
    let config = Config::new(api, device, move |_| std::future::ready(Ok(token.clone()))).client_name("a test");
    Client::start(config).expect("the configuration works")
}

/// The first of the next events of which something is wanted.
async fn until<T>(events: &mut Events, what: &str, wanted: impl Fn(&Event) -> Option<T>) -> T {
    let found = async {
        loop {
            match events.next().await {
                Some(event @ (Event::Unknown { .. } | Event::Malformed(_))) => panic!("before {what}: {event:?}"),
                Some(event) => {
                    if let Some(found) = wanted(&event) {
                        return found;
                    }
                }
                None => panic!("it ended before {what}"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("no {what}"))
}

async fn live(events: &mut Events) {
    let live = |event: &Event| matches!(event, Event::Connection(Connection::Live { .. })).then_some(());
    until(events, "a connection", live).await;
}

fn code<T: std::fmt::Debug>(result: Result<T, Error>) -> Code {
    match result {
        Err(Error::Refused(Refusal { code, .. })) => code,
        other => panic!("it is not refused: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_call_has_its_answer_and_each_event_its_fields() {
    let place = tempfile::tempdir().expect("a directory");
    let ports = Ports::free();
    let _node = Node::start(place.path(), &ports, &[]);
    let api = Api::new(ports.api_url()).expect("it has authorities");
    let ann_login = sign_up(&api, "ann").await.expect("a name is free");
    let bob_login = sign_up(&api, "bob").await.expect("a name is free");
    let (token, bob_id) = (&ann_login.token, bob_login.user_id);
    let (ann, mut ann_events) = start(&ports.api_url(), &ann_login, "ann-1");
    let (bob, mut bob_events) = start(&ports.api_url(), &bob_login, "bob-1");
    live(&mut ann_events).await;
    live(&mut bob_events).await;

    let group = NewChannel::Group { title: "Garden".to_owned(), members: vec![bob_id] };
    let group: Channel = api.create_channel(token, &group).await.expect("it is made");
    assert_eq!((group.kind, group.role, group.member_count), (ChannelKind::Group, Role::Owner, 2));
    let channel = group.channel_id;
    let added = until(&mut bob_events, "a membership", |event| match event {
        Event::Membership { channel_id, user_id, change, role } => Some((*channel_id, *user_id, *change, *role)),
        _ => None,
    });
    assert_eq!(added.await, (channel, ann_login.user_id, MemberChange::Created, Role::Owner));

    // A message, its changes and their events.
    let draft = Draft::from("the beans are up").mentioning([bob_id]);
    assert_eq!(ann.send(channel, draft).await.expect("it is sent").seq, Seq(1));
    let answer = Draft::from("which beans?").in_reply_to(Seq(1));
    assert_eq!(bob.send(channel, answer).await.expect("it is sent").seq, Seq(2));
    let heard = until(&mut bob_events, "a message", |event| match event {
        Event::Message(message) if message.seq == Seq(1) => Some(message.clone()),
        _ => None,
    });
    let heard = heard.await;
    assert_eq!((heard.from, &heard.mentions[..], &*heard.kind), (ann_login.user_id, &[bob_id][..], "text"));
    assert_eq!(ann.edit(channel, Seq(1), 0, "the broad beans are up").await.expect("it is changed").revision, 1);
    let edited = until(&mut bob_events, "an edit", |event| match event {
        Event::Edited(message) => Some((message.body.clone(), message.revision, message.edited_ms.is_some())),
        _ => None,
    });
    assert_eq!(edited.await, ("the broad beans are up".to_owned(), 1, true));
    assert_eq!(code(ann.edit(channel, Seq(1), 0, "late").await), Code::StaleRevision);
    assert_eq!(bob.react(channel, Seq(1), "👍", true).await.expect("it is there").count, 1);
    let reacted = until(&mut ann_events, "a reaction", |event| match event {
        Event::Reaction { emoji, count, user_id, on, .. } => Some((emoji.clone(), *count, *user_id, *on)),
        _ => None,
    });
    assert_eq!(reacted.await, ("👍".to_owned(), 1, bob_id, true));
    assert_eq!(code(bob.react(channel, Seq(1), "no emoji", true).await), Code::BadRequest);
    bob.delete(channel, Seq(2)).await.expect("it is gone");
    let gone = until(&mut ann_events, "a deletion", |event| match event {
        Event::Deleted { seq, .. } => Some(*seq),
        _ => None,
    });
    assert_eq!(gone.await, Seq(2));
    assert!(ann.outgoing().await.expect("it lives").is_empty(), "who waited for a refusal has it");

    // What was said, and who is there.
    let page = bob.history(channel, Window::Around(Seq(1)), 10).await.expect("a page");
    assert_eq!((page.messages.len(), page.head_seq, page.first_seq, page.more), (2, Seq(2), Seq(1), false));
    assert!(page.messages[0].reactions[0].mine && page.messages[1].deleted);
    let found = bob.search(&Search::new("broad beans")).await.expect("a page");
    assert_eq!((found.hits.len(), found.hits[0].seq, found.more), (1, Seq(1), false));
    let opened = ann.open(channel, None).await.expect("it is open");
    assert_eq!((opened.head_seq, opened.online, opened.reads.len()), (Seq(2), 2, 2));
    // What bob sent has moved his mark already.
    ann.send(channel, "and the peas").await.expect("it is sent");
    let marked = bob.mark(channel, Seq(3)).await.expect("it is marked");
    assert_eq!((marked.read_seq, marked.unread), (Seq(3), 0));
    let read = until(&mut ann_events, "a receipt", |event| match event {
        Event::Read { user_id, read_seq: Seq(3), .. } => Some(*user_id),
        _ => None,
    });
    assert_eq!(read.await, bob_id);
    bob.typing(channel, true);
    let typing = until(&mut ann_events, "a sign of typing", |event| match event {
        Event::Typing { user_id, on, .. } => Some((*user_id, *on)),
        _ => None,
    });
    assert_eq!(typing.await, (bob_id, true));
    assert_eq!(ann.presence(&[bob_id]).await.expect("it is told")[0].state, PresenceState::Online);
    assert_eq!(ann.watch(&[bob_id]).await.expect("it is told")[0].user_id, bob_id);
    assert_eq!(ann.presence_of_members(channel, 0).await.expect("it is told").len(), 2);
    ann.close_channel(channel).await.expect("it is closed");

    // A large channel tells its messages while it is open.
    let large = NewChannel::Large { title: "Allotments".to_owned(), all_history: true };
    let large = api.create_channel(token, &large).await.expect("it is made").channel_id;
    api.put_member(token, large, bob_id, Role::Member).await.expect("a member");
    ann.send(large, "before").await.expect("it is sent");
    bob.open(large, Some(Seq(0))).await.expect("it is open");
    ann.send(large, "after").await.expect("it is sent");
    for (seq, body) in [(Seq(1), "before"), (Seq(2), "after")] {
        let told = until(&mut bob_events, "a message of a large channel", |event| match event {
            Event::Message(message) if message.channel_id == large => Some((message.seq, message.body.clone())),
            _ => None,
        });
        assert_eq!(told.await, (seq, body.to_owned()));
    }

    // By HTTP.
    assert_eq!(api.me(token).await.expect("a profile").username, "ann");
    assert_eq!(
        api.user(token, bob_id).await.expect("a profile"),
        api.user_named(token, "BOB").await.expect("a profile")
    );
    let listed: Vec<_> = api.channels(token).await.expect("a list").into_iter().map(|row| row.channel_id).collect();
    assert_eq!(listed, [large, channel]);
    assert_eq!(api.channel(token, channel).await.expect("a channel").title, "Garden");
    let roles: Vec<_> = api.members(token, large).await.expect("a list").into_iter().map(|it| it.role).collect();
    assert_eq!((roles.len(), roles.contains(&Role::Owner)), (2, true));
    api.remove_member(token, channel, bob_id).await.expect("it is removed");
    let removed = until(&mut bob_events, "a removal", |event| match event {
        Event::Membership { change: MemberChange::Removed, channel_id, .. } => Some(*channel_id),
        _ => None,
    });
    assert_eq!(removed.await, channel);
    assert_eq!(code(bob.send(channel, "still here?").await), Code::PermissionDenied);
    let devices = api.request(Method::GET, "/v1/me/devices", Some(token), None).await.expect("a list");
    assert_eq!(devices["devices"][0]["client"], json!("a test"), "{devices}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_gives_tokens_until_it_ends() {
    let place = tempfile::tempdir().expect("a directory");
    let ports = Ports::free();
    let _node = Node::start(place.path(), &ports, &[]);
    let api = Api::new(ports.api_url()).expect("it has authorities");
    assert_eq!(code(api.log_in("ann", "correct horse battery", None).await), Code::Unauthenticated);
    let login = sign_up(&api, "ann").await.expect("a name is free");
    assert_eq!(code(sign_up(&api, "ann").await), Code::BadRequest);
    let kept = Arc::new(Mutex::new(Vec::new()));
    let keeps = Arc::clone(&kept);
    let keep = move |login: &Login| keeps.lock().expect("nobody panics there").push(login.refresh_token.clone());
    let tokens = api.tokens(login.clone(), keep);
    assert_eq!(tokens.token(TokenNeed::Connect).await, Ok(login.token.clone()));
    let next = tokens.token(TokenNeed::Expiring).await.expect("it is refreshed");
    assert_eq!(api.me(&next).await.expect("the new one counts").username, "ann");
    let last = kept.lock().expect("nobody panics there").clone();
    assert!(last.len() == 1 && last[0] != login.refresh_token, "the new login is kept");
    let mut newest = login;
    (newest.token, newest.refresh_token) = (next, last[0].clone());
    api.log_out(&newest).await.expect("it ends");
    assert_eq!(tokens.token(TokenNeed::Refused).await, Err(TokenError::SignedOut));
}
