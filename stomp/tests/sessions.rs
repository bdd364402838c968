//! A session: what a client's frames ask for, and what replies and pushes become.

use std::collections::{BTreeSet, VecDeque};

use proptest::prelude::*;
use schema::{CloseCode, Encoding, Instant, Now, UnixMs};
use stomp::{Decoder, Frame, Output, Session, Verb, Version};

/// A session, and the time that its test has reached.
struct Table {
    session: Session,
    version: Version,
    now_ms: u64,
}

const CONNECTED: &str = r#"< {"id":1,"connect":{"user_id":"7","session_id":"2a","server_time_ms":5,"ping_ms":25000,"limits":{"body_chars_max":1,"frame_bytes_max":2},"cursor":"c0","retry":{"base_ms":1,"cap_ms":2}}}"#;

impl Table {
    fn new(version: Version) -> Self {
        Self { session: Session::new(), version, now_ms: 1_000 }
    }

    /// After CONNECT.
    fn connected(version: Version, headers: &str) -> Self {
        let mut table = Self::new(version);
        table.step(&format!("> CONNECT accept-version:{} passcode:a.b.c{headers}", version.number()));
        table.step(CONNECTED);
        table
    }

    fn now(&self) -> Now {
        Now { mono: Instant(self.now_ms * 1_000_000), wall: UnixMs(1_800_000_000_000 + self.now_ms) }
    }

    /// One step: `> FRAME` of the client, with its headers between blanks and its body behind ` | `; `bytes …` of it, as
    /// they are; `< JSON` of the server; `+MS` of time; `close CODE` of the server. What comes of it: `? JSON` asked of
    /// the server, `FRAME` to the client, `~` a beat, `x CODE` the end.
    fn step(&mut self, step: &str) -> Vec<String> {
        let mut out = VecDeque::new();
        let now = self.now();
        match step.split_once(' ').unwrap_or((step, "")) {
            (">", frame) => self.session.receive(now, &self.frame(frame), &mut out),
            ("bytes", bytes) => self.session.receive(now, bytes.as_bytes(), &mut out),
            ("<", json) => {
                for frame in Encoding::Json.server_frames(json.as_bytes()).expect("the server's") {
                    self.session.told(now, frame, &mut out);
                }
            }
            ("close", code) => {
                let code = CloseCode::try_from(code.parse::<u16>().expect("a number")).expect("a code");
                self.session.closing(now, code, &mut out);
            }
            (time, _) => {
                let until = self.now_ms + time.strip_prefix('+').expect("a step").parse::<u64>().expect("a time");
                while let Some(at) = self.session.poll_timeout().filter(|at| at.0 <= until * 1_000_000) {
                    self.now_ms = self.now_ms.max(at.0.div_ceil(1_000_000));
                    self.session.tick(self.now(), &mut out);
                    assert!(self.session.poll_timeout().is_none_or(|next| next > at), "{step}: due again at once");
                }
                self.now_ms = until;
            }
        }
        out.into_iter().map(|output| self.shown(output)).collect()
    }

    fn frame(&self, text: &str) -> Vec<u8> {
        let (head, body) = text.split_once(" | ").unwrap_or((text, ""));
        let mut words = head.split(' ');
        let verb = words.next().expect("a verb");
        let verb = Verb::ALL.iter().copied().find(|known| known.text() == verb).expect("a verb");
        let headers = words.map(|word| word.split_once(':').expect("a header"));
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Frame { verb, headers, body: body.as_bytes().to_vec() }.to_bytes(self.version)
    }

    fn shown(&self, output: Output) -> String {
        match output {
            Output::Request(request) => {
                let mut line = b"? ".to_vec();
                Encoding::Json.put_request(&request, &mut line);
                String::from_utf8(line).expect("JSON is text")
            }
            Output::Close(code) => format!("x {}", u16::from(code)),
            Output::Send(bytes) if bytes == b"\n" => "~".to_owned(),
            Output::Send(bytes) => {
                let mut decoder = Decoder::default();
                decoder.take(&bytes);
                let frame = decoder.next(self.version).expect("a frame").expect("it is whole");
                assert_eq!((decoder.next(self.version), decoder.is_amid_frame()), (Ok(None), false), "one frame");
                let headers = frame.headers.iter().map(|(name, value)| format!(" {name}:{value}"));
                let body = String::from_utf8_lossy(&frame.body);
                let body = if body.is_empty() { String::new() } else { format!(" | {body}") };
                format!("{}{}{body}", frame.verb.text(), headers.collect::<String>())
            }
        }
    }

    /// Takes steps; of each comes what is written beside it. A `*` at the end of that stands for anything.
    fn check(&mut self, steps: &[(&str, &[&str])]) {
        for (at, (step, expected)) in steps.iter().enumerate() {
            let seen = self.step(step);
            let alike = |seen: &String, expected: &&str| match expected.strip_suffix('*') {
                Some(start) => seen.starts_with(start),
                None => seen == expected,
            };
            let all = seen.len() == expected.len() && seen.iter().zip(*expected).all(|(seen, want)| alike(seen, want));
            assert!(all, "step {at}, {step}:\n{}\nin place of\n{}", seen.join("\n"), expected.join("\n"));
        }
    }
}

/// After CONNECT, in 1.2.
fn check(steps: &[(&str, &[&str])]) {
    Table::connected(Version::V12, "").check(steps);
}

/// From the first byte on, in 1.2.
fn check_login(steps: &[(&str, &[&str])]) {
    Table::new(Version::V12).check(steps);
}

fn message(seq: u64) -> String {
    let id = "019b76da-a800-7000-8000-000000000000";
    format!(
        r#"{{"channel_id":"5","seq":{seq},"revision":0,"from":"9","sent_ms":{seq}000,"client_msg_id":"{id}","kind":"text","body":"m{seq}"}}"#
    )
}

fn pushed(seq: u64) -> String {
    format!(r#"< {{"push":{{"message":{{"message":{},"cursor":"c{seq}"}}}}}}"#, message(seq))
}

fn page(id: u32, seqs: std::ops::RangeInclusive<u64>, head: u64, more: bool) -> String {
    let messages: Vec<String> = seqs.map(message).collect();
    let messages = messages.join(",");
    format!(r#"< {{"id":{id},"history":{{"messages":[{messages}],"head_seq":{head},"first_seq":1,"more":{more}}}}}"#)
}

fn history(id: u32, after: u64) -> String {
    format!(r#"? {{"id":{id},"history":{{"channel_id":"5","after":{after},"limit":200}}}}"#)
}

fn opened(id: u32, head: u64) -> String {
    format!(r#"< {{"id":{id},"open":{{"head_seq":{head},"read_seq":0,"online":1}}}}"#)
}

fn sent(id: u32) -> String {
    format!(r#"< {{"id":{id},"send":{{"seq":8,"sent_ms":99,"duplicate":false}}}}"#)
}

fn error(id: u32, code: u16, temporary: bool, retry_after_ms: u32) -> String {
    let fields = format!(r#""code":{code},"message":"why","temporary":{temporary},"retry_after_ms":{retry_after_ms}"#);
    format!(r#"< {{"id":{id},"error":{{{fields}}}}}"#)
}

/// The beginning of a message's frame for subscription `s`.
fn given(seq: u64) -> String {
    format!("MESSAGE destination:/channel/5 subscription:s message-id:5-{seq} *")
}

#[test]
fn connect_bears_a_token_and_agrees_on_a_version() {
    check_login(&[
        (
            "> CONNECT accept-version:1.0,1.2 host:x passcode:a.b.c login:phone client:me",
            &[r#"? {"id":1,"connect":{"token":"a.b.c","device_id":"phone","client":"me"}}"#],
        ),
        (CONNECTED, &["CONNECTED version:1.2 session:2a server:rookery/0.1.0 heart-beat:0,0 user-name:7 x-cursor:c0"]),
    ]);
    for (bearer, device) in [
        ("token:a.b.c passcode:x", "stomp"),
        ("token:a.b.c login:no/device", "stomp"),
        ("passcode:a.b.c device-id:d login:phone", "d"),
    ] {
        let fields = format!(r#"{{"token":"a.b.c","device_id":"{device}","client":"v12.stomp"}}"#);
        let request = format!(r#"? {{"id":1,"connect":{fields}}}"#);
        check_login(&[(&format!("> CONNECT accept-version:1.2 {bearer}"), &[&request])]);
    }
    check_login(&[(
        "bytes STOMP\naccept-version:1.2\nAuthorization:Bearer a.b.c\nx-cursor:c9\n\n\0",
        &[r#"? {"id":1,"connect":{"token":"a.b.c","device_id":"stomp","cursor":"c9","client":"v12.stomp"}}"#],
    )]);
}

#[test]
fn what_cannot_log_in_is_told_why() {
    check_login(&[(
        "> CONNECT accept-version:2.0 passcode:a.b.c",
        &["ERROR message:none of these versions is spoken here version:1.0,1.1,1.2 x-code:107", "x 1000"],
    )]);
    let no_token = "ERROR message:no access token*";
    check_login(&[("> CONNECT accept-version:1.2 login:ann passcode:secret", &[no_token, "x 3500"])]);
    check_login(&[("> CONNECT accept-version:1.2", &[no_token, "x 3500"])]);
    check_login(&[("> SEND destination:/channel/5 | x", &["ERROR message:send CONNECT first*", "x 3500"])]);
    check_login(&[(
        "> CONNECT accept-version:1.2 passcode:a.b.c device-id:a/b",
        &["ERROR message:device-id: expected a device_id*", "x 1000"],
    )]);
    check_login(&[
        ("> CONNECT accept-version:1.2 passcode:a.b.c", &["? *"]),
        (&error(1, 101, false, 0), &["ERROR message:why x-code:101 x-temporary:false", "x 3500"]),
        ("> CONNECT accept-version:1.2 passcode:a.b.c", &[]),
    ]);
    check_login(&[
        ("> CONNECT accept-version:1.2 passcode:a.b.c", &["? *"]),
        ("> SEND destination:/channel/5 | x", &["ERROR message:send CONNECT first*", "x 3500"]),
    ]);
    let again = "ERROR message:the session is connected already*";
    check(&[("> CONNECT accept-version:1.2 passcode:a.b.c", &[again, "x 1000"])]);
}

/// Logins beyond what the store takes are put off, each to a moment of its own.
#[test]
fn a_login_that_is_put_off_is_made_again_on_the_same_connection() {
    let connect = r#"{"token":"a.b.c","device_id":"stomp","client":"v12.stomp"}}"#;
    check_login(&[
        ("> CONNECT accept-version:1.2 passcode:a.b.c", &[&format!(r#"? {{"id":1,"connect":{connect}"#)]),
        (&error(1, 114, true, 700), &[]),
        ("+699", &[]),
        ("+1", &[&format!(r#"? {{"id":2,"connect":{connect}"#)]),
        ("close 3015", &["ERROR message:the connection is closed with 3015 x-close-code:3015 x-temporary:true"]),
    ]);
}

const ID: &str = "x-client-msg-id:019b76da-a800-7000-8000-000000000000";

#[test]
fn a_send_is_receipted_once_it_is_durable() {
    let id = r#""client_msg_id":"019b76da-a800-7000-8000-000000000000""#;
    let request =
        |more: &str| format!(r#"? {{"id":2,"send":{{"channel_id":"5",{id},"body":"hi",{more}"kind":"text"}}}}"#);
    for to in ["/channel/5", "/app/send/5"] {
        check(&[
            (&format!("> SEND destination:{to} receipt:r {ID} | hi"), &[&request("")]),
            (&sent(2), &["RECEIPT receipt-id:r x-seq:8 x-sent-ms:99 x-duplicate:false"]),
        ]);
    }
    check(&[(&format!("> SEND destination:/channel/5 {ID} | hi"), &[&request("")]), (&sent(2), &[])]);
    check(&[(
        &format!("> SEND destination:/channel/5 x-reply-to:3 x-mentions:1,2 {ID} | hi"),
        &[&request(r#""reply_to":3,"mentions":["1","2"],"#)],
    )]);
}

#[test]
fn messages_without_an_id_have_one_each() {
    let mut table = Table::connected(Version::V12, "");
    let requests = (0..3).flat_map(|_| table.step("> SEND destination:/channel/5 | x"));
    let ids = requests.map(|line| line.split(r#""client_msg_id":""#).nth(1).expect("an id")[..36].to_owned());
    let ids: BTreeSet<String> = ids.collect();
    assert_eq!(ids.len(), 3, "{ids:?}");
}

#[test]
fn what_is_refused_is_told_with_its_receipt_and_ends_the_connection() {
    check(&[
        ("> SEND destination:/channel/5 receipt:r | hi", &["? *"]),
        (&error(2, 103, false, 0), &["ERROR message:why receipt-id:r x-code:103 x-temporary:false", "x 1000"]),
        ("> SEND destination:/channel/5 | hi", &[]),
        (&pushed(1), &[]),
        ("close 3001", &[]),
    ]);
    for (frame, why) in [
        ("SEND", "SEND needs the header destination"),
        ("SEND destination:/queue/a", "no destination: there are *"),
        ("SEND destination:/user/queue/inbox", "nothing can be sent to /user/queue/inbox"),
        ("SEND destination:/channel/5 x-client-msg-id:7", "x-client-msg-id: expected a UUID*"),
        ("SEND destination:/channel/5 x-mentions:7,x", "x-mentions: expected a user id*"),
        ("SEND destination:/channel/5 x-reply-to:-1", "x-reply-to: invalid digit*"),
        ("SEND destination:/channel/5 transaction:t", "no transaction of this name has begun"),
        ("SUBSCRIBE destination:/channel/5", "SUBSCRIBE needs the header id"),
        ("SUBSCRIBE id:1", "SUBSCRIBE needs the header destination"),
        ("SUBSCRIBE id:1 destination:/channel/05", "no destination: there are *"),
        ("SUBSCRIBE id:1 destination:/app/send/5", "nobody can subscribe to /app/send/5"),
        ("SUBSCRIBE id:1 destination:/channel/5 ack:never", "ack is auto, client or client-individual"),
        ("SUBSCRIBE id:1 destination:/channel/5 x-events:some", "x-events is messages or all"),
        ("SUBSCRIBE id:1 destination:/channel/5 x-prefetch:1001", "x-prefetch is 1 to 1000"),
        ("SUBSCRIBE id:1 destination:/user/queue/inbox ack:client", "/user/queue/inbox has no ack but auto*"),
        ("UNSUBSCRIBE id:1", "there is no subscription of this id"),
        ("UNSUBSCRIBE destination:/channel/5", "UNSUBSCRIBE needs the header id"),
        ("ACK id:1-4", "no subscription that acknowledges*"),
        ("ACK id:x", "no subscription that acknowledges*"),
        ("NACK id:1-4", "no subscription that acknowledges*"),
        ("ACK", "ACK needs the header id"),
        ("BEGIN", "BEGIN needs the header transaction"),
        ("COMMIT transaction:t", "no transaction of this name has begun"),
        ("ABORT transaction:t", "no transaction of this name has begun"),
        ("RECEIPT receipt-id:1", "RECEIPT is a server's frame"),
    ] {
        let error = match why.strip_suffix('*') {
            Some(start) => format!("ERROR message:{start}*"),
            None => format!("ERROR message:{why} receipt-id:r x-code:107 x-temporary:false"),
        };
        check(&[(&format!("> {frame} receipt:r"), &[&error, "x 1000"])]);
    }
}

#[test]
fn a_body_is_text() {
    let mut table = Table::connected(Version::V12, "");
    let mut out = VecDeque::new();
    table.session.receive(table.now(), b"SEND\ndestination:/channel/5\n\n\xff\0", &mut out);
    let seen: Vec<String> = out.into_iter().map(|output| table.shown(output)).collect();
    assert!(seen[0].starts_with("ERROR message:the body is not UTF-8"), "{seen:?}");
}

#[test]
fn what_is_no_frame_ends_the_connection() {
    let code = "x-code:107 x-temporary:false";
    check(&[("bytes DANCE\n\n\0", &[&format!("ERROR message:unknown command \"DANCE\" {code}"), "x 3501"])]);
    check(&[("bytes SEND\na:\\t\n\n\0", &["ERROR message:the header \"a:\\\\t\" has an escape*", "x 3501"])]);
    check(&[
        ("bytes SEND\ndestination:/channel/5\n\nhalf a fra", &[]),
        ("+29999", &[]),
        ("+1", &[&format!("ERROR message:the rest of a frame did not come in time {code}"), "x 1000"]),
    ]);
    check(&[
        ("bytes SEND\ndestination:/chan", &[]),
        ("+29000", &[]),
        ("bytes nel/5\n\nx\0", &["? *"]),
        ("+60000", &[]),
    ]);
}

#[test]
fn a_subscription_is_given_messages_of_its_channel() {
    let whole = "MESSAGE destination:/channel/5 subscription:s message-id:5-3 x-seq:3 x-from:9 x-sent-ms:3000 \
                 x-client-msg-id:019b76da-a800-7000-8000-000000000000 x-kind:text x-revision:0 x-cursor:c3 \
                 content-type:text/plain;charset=utf-8 | m3";
    check(&[
        ("> SUBSCRIBE id:s destination:/channel/5 receipt:r", &[r#"? {"id":2,"open":{"channel_id":"5"}}"#]),
        (&opened(2, 2), &["RECEIPT receipt-id:r"]),
        (&pushed(3), &[whole]),
        (&pushed(3), &[]),
        (&pushed(2), &[]),
        (&pushed(5), &[&given(5)]),
        (r#"< {"push":{"typing":{"channel_id":"5","user_id":"9","on":true}}}"#, &[]),
        ("> UNSUBSCRIBE id:s receipt:u", &[r#"? {"id":3,"close":{"channel_id":"5"}}"#]),
        (r#"< {"id":3,"close":{}}"#, &["RECEIPT receipt-id:u"]),
        (&pushed(6), &[]),
    ]);
    check(&[("> SUBSCRIBE id:s destination:/channel/6", &["? *"]), (&opened(2, 2), &[]), (&pushed(3), &[])]);
    check(&[
        ("> SUBSCRIBE id:s destination:/channel/5 receipt:r", &["? *"]),
        (&error(2, 102, false, 0), &["ERROR message:why receipt-id:r x-code:102 x-temporary:false", "x 1000"]),
    ]);
}

#[test]
fn two_subscriptions_of_a_channel_are_both_given_and_the_last_closes_it() {
    check(&[
        ("> SUBSCRIBE id:s destination:/channel/5", &["? *"]),
        ("> SUBSCRIBE id:t destination:/channel/5 receipt:t", &[]),
        (&opened(2, 0), &["RECEIPT receipt-id:t"]),
        (&pushed(1), &[&given(1), "MESSAGE destination:/channel/5 subscription:t *"]),
        ("> UNSUBSCRIBE id:s receipt:u", &["RECEIPT receipt-id:u"]),
        (&pushed(2), &["MESSAGE destination:/channel/5 subscription:t *"]),
        ("> SUBSCRIBE id:t destination:/channel/6", &["ERROR message:there is a subscription of this id*", "x 1000"]),
    ]);
    let subscribe = |id: u32| format!("> SUBSCRIBE id:{id} destination:/channel/5");
    let mut table = Table::connected(Version::V12, "");
    table.check(&[(&subscribe(0), &["? *"])]);
    for id in 1..4 {
        table.check(&[(&subscribe(id), &[])]);
    }
    table.check(&[(&subscribe(4), &["ERROR message:4 subscriptions to /channel/5, the limit*", "x 1000"])]);
    let mut table = Table::connected(Version::V12, "");
    for id in 0..100 {
        table.check(&[(&format!("> SUBSCRIBE id:{id} destination:/channel/{id}"), &["? *"])]);
    }
    let one_more = "> SUBSCRIBE id:x destination:/channel/100";
    table.check(&[(one_more, &["ERROR message:100 subscriptions of its kind, the limit*", "x 1000"])]);
}

/// Of a large channel the server tells a session from its last `open` on, and refuses one that another came behind.
#[test]
fn two_subscriptions_of_a_channel_have_one_open_under_way_and_miss_nothing_by_the_second() {
    let open = |id: u32| format!(r#"? {{"id":{id},"open":{{"channel_id":"5"}}}}"#);
    let closed = |id: u32| format!(r#"< {{"id":{id},"close":{{}}}}"#);
    let given_t = "MESSAGE destination:/channel/5 subscription:t *";
    // What came between the two is read.
    for first in ["", " x-after-seq:100"] {
        check(&[
            (&format!("> SUBSCRIBE id:s destination:/channel/5{first}"), &[&open(2)]),
            (&opened(2, 100), &[]),
            ("> SUBSCRIBE id:t destination:/channel/5", &[&open(3)]),
            (&opened(3, 101), &[&history(4, 100)]),
            (&pushed(102), &[given_t]),
            (&page(4, 101..=102, 102, false), &[&given(101), &given(102)]),
            (&pushed(103), &[&given(103), given_t]),
        ]);
    }
    // The second is over before its answer, or while it is refused for now.
    let subscribed = |steps: &[(&str, &[&str])]| {
        let mut table = Table::connected(Version::V12, "");
        table.check(&[
            ("> SUBSCRIBE id:s destination:/channel/5", &[&open(2)]),
            (&opened(2, 100), &[]),
            ("> SUBSCRIBE id:t destination:/channel/5", &[&open(3)]),
        ]);
        table.check(steps);
    };
    subscribed(&[("> UNSUBSCRIBE id:t", &[]), (&opened(3, 101), &[&history(4, 100)])]);
    subscribed(&[
        ("> UNSUBSCRIBE id:t", &[]),
        (&error(3, 115, true, 0), &[]),
        ("+1000", &[&open(4)]),
        (&opened(4, 101), &[&history(5, 100)]),
    ]);
    subscribed(&[
        (&error(3, 115, true, 500), &[]),
        ("> UNSUBSCRIBE id:t", &[]),
        ("+1000", &[&open(4)]),
        (&opened(4, 101), &[&history(5, 100)]),
    ]);
    // The first is over before the answer, which is the second's too; or another comes behind its end.
    check(&[
        ("> SUBSCRIBE id:s destination:/channel/5 receipt:s", &[&open(2)]),
        ("> SUBSCRIBE id:t destination:/channel/5 receipt:t", &[]),
        ("> UNSUBSCRIBE id:s", &[]),
        (&opened(2, 100), &["RECEIPT receipt-id:t"]),
        (&pushed(101), &[given_t]),
    ]);
    check(&[
        ("> SUBSCRIBE id:s destination:/channel/5", &[&open(2)]),
        ("> UNSUBSCRIBE id:s", &["? *"]),
        ("> SUBSCRIBE id:t destination:/channel/5 receipt:t", &[&open(4)]),
        (&error(2, 107, false, 0), &[]),
        (&closed(3), &[]),
        (&opened(4, 100), &["RECEIPT receipt-id:t"]),
    ]);
    // Both are refused for now, and ask once.
    check(&[
        ("> SUBSCRIBE id:s destination:/channel/5 receipt:s", &[&open(2)]),
        ("> SUBSCRIBE id:t destination:/channel/5 receipt:t", &[]),
        (&error(2, 111, true, 20), &[]),
        ("+20", &[&open(3)]),
        (&opened(3, 0), &["RECEIPT receipt-id:s", "RECEIPT receipt-id:t"]),
    ]);
}

/// An edit that comes while an older page is under way is in no page, unless that part is read again.
#[test]
fn a_change_during_a_replay_is_not_missed() {
    let edited = |seq: u64| format!(r#"< {{"push":{{"edited":{{"message":{},"cursor":"c4"}}}}}}"#, message(seq));
    let event = "MESSAGE destination:/channel/5 subscription:s message-id:e1 x-event:edited*";
    check(&[
        ("> SUBSCRIBE id:s destination:/channel/5 x-after-seq:1 x-events:all", &["? *"]),
        (&opened(2, 5), &[&history(3, 1)]),
        (&edited(4), &[]),
        (&edited(5), &[]),
        (&edited(1), &[event]),
        (&page(3, 2..=5, 5, false), &[&given(2), &given(3), &history(4, 3)]),
        (&page(4, 4..=5, 5, false), &[&given(4), &given(5)]),
    ]);
    check(&[
        ("> SUBSCRIBE id:s destination:/channel/5 x-after-seq:1", &["? *"]),
        (&opened(2, 3), &[&history(3, 1)]),
        (&edited(2), &[]),
        (&page(3, 2..=3, 3, false), &[&given(2), &given(3)]),
    ]);
}

#[test]
fn events_come_to_who_wants_all() {
    let edited = format!(r#"{{"edited":{{"message":{},"cursor":"c4"}}}}"#, message(3));
    let event = "MESSAGE destination:/channel/5 subscription:s message-id:e1 x-event:edited x-cursor:c4 \
                 content-type:application/json;charset=utf-8 | ";
    check(&[
        ("> SUBSCRIBE id:s destination:/channel/5 x-events:all", &["? *"]),
        (&opened(2, 3), &[]),
        (&format!(r#"< {{"push":{edited}}}"#), &[&format!("{event}{edited}")]),
        (
            r#"< {"push":{"typing":{"channel_id":"5","user_id":"9","on":true}}}"#,
            &["MESSAGE destination:/channel/5 subscription:s message-id:e2 x-event:typing*"],
        ),
        (r#"< {"push":{"typing":{"channel_id":"6","user_id":"9","on":true}}}"#, &[]),
    ]);
}

#[test]
fn the_inbox_tells_every_event_with_its_cursor() {
    let inbox = "MESSAGE destination:/user/queue/inbox subscription:s";
    let head = r#"{"head":{"channel_id":"5","head_seq":9}}"#;
    check(&[
        ("> SUBSCRIBE id:s destination:/user/queue/inbox receipt:r", &["RECEIPT receipt-id:r"]),
        (&pushed(3), &[&format!("{inbox} message-id:e1 x-event:message x-cursor:c3*")]),
        (&pushed(3).replace(r#","cursor":"c3""#, ""), &[]),
        (
            &format!(r#"< {{"push":{head}}}"#),
            &[&format!("{inbox} message-id:e2 x-event:head content-type:application/json;charset=utf-8 | {head}")],
        ),
        ("> UNSUBSCRIBE id:s receipt:u", &["RECEIPT receipt-id:u"]),
    ]);
}

#[test]
fn a_connect_that_resumes_keeps_events_until_the_inbox_is_subscribed_to() {
    let inbox = "MESSAGE destination:/user/queue/inbox*";
    let mut table = Table::connected(Version::V12, " x-cursor:c2");
    assert!(table.session.is_holding());
    table.check(&[
        (&pushed(3), &[]),
        ("> SUBSCRIBE id:c destination:/channel/5 x-after-seq:3", &["? *"]),
        (&pushed(4), &[]),
        ("> SUBSCRIBE id:s destination:/user/queue/inbox receipt:r", &["RECEIPT receipt-id:r", inbox, inbox]),
    ]);
    assert!(!table.session.is_holding());
    let mut table = Table::connected(Version::V12, " x-cursor:c2");
    table.check(&[(&pushed(3), &[]), ("+9999", &[]), ("+1", &["ERROR message:x-cursor resumes the inbox*", "x 1000"])]);
    assert!(!Table::connected(Version::V12, "").session.is_holding());
}

#[test]
fn a_replay_gives_each_seq_once_and_goes_on_live() {
    check(&[
        ("> SUBSCRIBE id:s destination:/channel/5 x-after-seq:1", &[r#"? {"id":2,"open":{"channel_id":"5"}}"#]),
        (&pushed(4), &[]),
        (&opened(2, 4), &[&history(3, 1)]),
        (&pushed(5), &[]),
        (&page(3, 2..=3, 4, true), &[&given(2), &given(3), &history(4, 3)]),
        (&page(4, 4..=4, 4, false), &[&given(4), &history(5, 4)]),
        (&pushed(6), &[]),
        (&page(5, 5..=6, 6, false), &[&given(5), &given(6)]),
        (&pushed(6), &[]),
        (&pushed(7), &[&given(7)]),
    ]);
    check(&[
        ("> SUBSCRIBE id:s destination:/channel/5 x-after-seq:4", &["? *"]),
        (&opened(2, 4), &[]),
        (&pushed(4), &[]),
        (&pushed(5), &[&given(5)]),
    ]);
    // Of what may not be read any more there is an empty page.
    #[expect(clippy::reversed_empty_ranges, reason = "a page without messages")]
    let empty = page(3, 2..=1, 4, false);
    check(&[
        ("> SUBSCRIBE id:s destination:/channel/5 x-after-seq:1", &["? *"]),
        (&opened(2, 4), &[&history(3, 1)]),
        (&empty, &[]),
        (&pushed(5), &[&given(5)]),
    ]);
    // What was pushed since that page was read is not in it.
    #[expect(clippy::reversed_empty_ranges, reason = "a page without messages")]
    let empty = |id: u32, head: u64| page(id, 2..=1, head, false);
    check(&[
        ("> SUBSCRIBE id:s destination:/channel/5 x-after-seq:0", &["? *"]),
        (&opened(2, 50), &[&history(3, 0)]),
        (&pushed(51), &[]),
        (&empty(3, 50), &[&history(4, 50)]),
        (&page(4, 51..=51, 51, false), &[&given(51)]),
    ]);
    check(&[
        ("> SUBSCRIBE id:s destination:/channel/5 x-after-seq:3", &["? *"]),
        (&opened(2, 4), &[&history(3, 3)]),
        (&empty(3, 3), &[]),
        ("+999", &[]),
        ("+1", &[&history(4, 3)]),
    ]);
    check(&[
        ("> SUBSCRIBE id:s destination:/channel/5 x-after-seq:1", &["? *"]),
        (&opened(2, 4), &[&history(3, 1)]),
        (&error(3, 115, true, 0), &[]),
        ("+999", &[]),
        ("+1", &[&history(4, 1)]),
        (&error(4, 111, true, 50), &[]),
        ("+50", &[&history(5, 1)]),
        (&error(5, 102, false, 0), &["ERROR message:why x-code:102 x-temporary:false", "x 1000"]),
    ]);
}

/// The inbox was trimmed below the session: what is missing is read from history.
#[test]
fn a_snapshot_has_a_subscription_read_what_it_lacks() {
    let channel = r#"{"channel_id":"5","kind":"group","head_seq":9,"read_seq":0,"unread":9}"#;
    let snapshot = format!(r#"< {{"push":{{"snapshot":{{"channels":[{channel}],"more":false,"cursor":"c"}}}}}}"#);
    check(&[
        ("> SUBSCRIBE id:s destination:/channel/5", &["? *"]),
        (&opened(2, 3), &[]),
        (&pushed(4), &[&given(4)]),
        (&snapshot, &[&history(3, 4)]),
        (&page(3, 5..=9, 9, false), &[&given(5), &given(6), &given(7), &given(8), &given(9)]),
    ]);
}

fn mark(id: u32, seq: u64) -> String {
    format!(r#"? {{"id":{id},"mark":{{"channel_id":"5","read_seq":{seq}}}}}"#)
}

fn marked(id: u32) -> String {
    format!(r#"< {{"id":{id},"mark":{{"read_seq":1,"unread":0}}}}"#)
}

/// Subscribed with this `ack`, and given four messages.
fn given_four(ack: &str) -> Table {
    let mut table = Table::connected(Version::V12, "");
    table.check(&[(&format!("> SUBSCRIBE id:s destination:/channel/5 ack:{ack}"), &["? *"]), (&opened(2, 0), &[])]);
    for seq in 1..=4 {
        let with_ack = format!("MESSAGE destination:/channel/5 subscription:s message-id:5-{seq} ack:1-{seq} x-seq*");
        table.check(&[(&pushed(seq), &[&with_ack])]);
    }
    table
}

#[test]
fn an_ack_moves_the_read_mark() {
    given_four("client").check(&[
        ("> ACK id:1-3 receipt:a", &[&mark(3, 3)]),
        ("> ACK id:1-4 receipt:b", &[]),
        (&marked(3), &["RECEIPT receipt-id:a", &mark(4, 4)]),
        (&marked(4), &["RECEIPT receipt-id:b"]),
        ("> ACK id:1-2 receipt:c", &["RECEIPT receipt-id:c"]),
        ("> NACK id:1-2 receipt:n", &["RECEIPT receipt-id:n"]),
    ]);
    given_four("client-individual").check(&[
        ("> ACK id:1-3", &[]),
        ("> ACK id:1-1", &[&mark(3, 1)]),
        ("> ACK id:1-2", &[]),
        (&error(3, 115, true, 200), &[]),
        ("> ACK id:1-4", &[]),
        ("+200", &[&mark(4, 4)]),
        (&marked(4), &[]),
    ]);
    given_four("client").check(&[
        ("> ACK id:1-3", &[&mark(3, 3)]),
        ("> DISCONNECT receipt:d", &[]),
        (&marked(3), &["RECEIPT receipt-id:d", "x 1000"]),
    ]);
    check(&[
        ("> SUBSCRIBE id:s destination:/channel/5", &["? *"]),
        (&opened(2, 0), &[]),
        (&pushed(1), &[&given(1)]),
        ("> ACK id:1-1", &["ERROR message:no subscription that acknowledges*", "x 1000"]),
    ]);
}

#[test]
fn an_ack_counts_though_its_subscription_is_over() {
    let close = r#"? {"id":4,"close":{"channel_id":"5"}}"#;
    let closed = r#"< {"id":4,"close":{}}"#;
    given_four("client").check(&[
        ("> ACK id:1-1", &[&mark(3, 1)]),
        ("> ACK id:1-2 receipt:a", &[]),
        ("> UNSUBSCRIBE id:s receipt:u", &[close]),
        ("> DISCONNECT receipt:d", &[]),
        (closed, &["RECEIPT receipt-id:u"]),
        (&marked(3), &[&mark(5, 2)]),
        (&error(5, 115, true, 200), &[]),
        ("+200", &[&mark(6, 2)]),
        (&marked(6), &["RECEIPT receipt-id:a", "RECEIPT receipt-id:d", "x 1000"]),
    ]);
}

#[test]
fn receipts_that_wait_are_bounded() {
    let mut table = given_four("client");
    table.check(&[("> ACK id:1-1", &[&mark(3, 1)])]);
    let ack = format!("> ACK id:1-2 receipt:{}", "a".repeat(15 * 1024));
    for _ in 0..68 {
        table.check(&[(&ack, &[])]);
    }
    table.check(&[(&ack, &["ERROR message:receipts that wait have 1048576 bytes, the limit*", "x 1000"])]);
}

#[test]
fn earlier_versions_acknowledge_by_message_id() {
    Table::connected(Version::V11, "").check(&[
        ("> SUBSCRIBE id:s destination:/channel/5 ack:client", &["? *"]),
        (&opened(2, 0), &[]),
        (&pushed(1), &["MESSAGE destination:/channel/5 subscription:s message-id:5-1 x-seq:1*"]),
        ("> ACK subscription:s message-id:5-1", &[&mark(3, 1)]),
        ("> ACK message-id:5-1", &["ERROR message:ACK needs the header subscription*", "x 1000"]),
    ]);
    Table::connected(Version::V10, "").check(&[
        ("> SUBSCRIBE destination:/channel/5 ack:client", &["? *"]),
        (&opened(2, 0), &[]),
        (&pushed(1), &["MESSAGE destination:/channel/5 message-id:5-1 x-seq:1*"]),
        ("> ACK message-id:5-1", &[&mark(3, 1)]),
        ("> UNSUBSCRIBE destination:/channel/5", &["? *"]),
    ]);
}

#[test]
fn a_subscription_is_given_no_more_than_it_acknowledges() {
    check(&[
        ("> SUBSCRIBE id:s destination:/channel/5 ack:client x-prefetch:2 x-after-seq:0", &["? *"]),
        (&opened(2, 4), &[&history(3, 0)]),
        (&page(3, 1..=4, 4, false), &[&given(1), &given(2)]),
        (&pushed(5), &[]),
        ("> ACK id:1-1", &[&mark(4, 1), &history(5, 2)]),
        (&page(5, 3..=5, 5, false), &[&given(3)]),
        ("> ACK id:1-3", &[&history(6, 3)]),
        (&marked(4), &[&mark(7, 3)]),
        (&page(6, 4..=5, 5, false), &[&given(4), &given(5)]),
        ("> ACK id:1-5", &[]),
        (&pushed(6), &[&given(6)]),
    ]);
}

#[test]
fn a_transaction_goes_at_its_commit() {
    let unknown = "ERROR message:no transaction of this name has begun*";
    check(&[
        ("> BEGIN transaction:t receipt:b", &["RECEIPT receipt-id:b"]),
        ("> SEND destination:/channel/5 transaction:t receipt:s | one", &[]),
        ("> SEND destination:/channel/6 transaction:t | two", &[]),
        (
            "> COMMIT transaction:t receipt:c",
            &[r#"? {"id":2,"send":{"channel_id":"5"*"#, r#"? {"id":3,"send":{"channel_id":"6"*"#],
        ),
        (&sent(2), &["RECEIPT receipt-id:s x-seq:8*"]),
        (&sent(3), &["RECEIPT receipt-id:c"]),
        ("> COMMIT transaction:t", &[unknown, "x 1000"]),
    ]);
    check(&[
        ("> BEGIN transaction:t", &[]),
        ("> SEND destination:/channel/5 transaction:t | one", &[]),
        ("> ABORT transaction:t receipt:a", &["RECEIPT receipt-id:a"]),
        ("> BEGIN transaction:t", &[]),
        ("> COMMIT transaction:t receipt:c", &["RECEIPT receipt-id:c"]),
        ("> BEGIN transaction:t", &[]),
        ("> BEGIN transaction:t", &["ERROR message:the transaction has begun already*", "x 1000"]),
    ]);
    let mut table = Table::connected(Version::V12, "");
    table.check(&[("> BEGIN transaction:t", &[])]);
    let send = "> SEND destination:/channel/5 transaction:t | one";
    for _ in 0..100 {
        table.check(&[(send, &[])]);
    }
    table.check(&[(send, &["ERROR message:transactions hold 100 frames and 1048576 bytes at the most*", "x 1000"])]);
    let mut table = Table::connected(Version::V12, "");
    for number in 0..16 {
        table.check(&[(&format!("> BEGIN transaction:{number}"), &[])]);
    }
    table.check(&[("> BEGIN transaction:t", &["ERROR message:16 transactions have begun, the limit*", "x 1000"])]);
}

#[test]
fn a_disconnect_is_answered_once_what_came_before_it_is() {
    check(&[
        ("> SEND destination:/channel/5 receipt:s | one", &["? *"]),
        ("> DISCONNECT receipt:d", &[]),
        (&sent(2), &["RECEIPT receipt-id:s*", "RECEIPT receipt-id:d", "x 1000"]),
    ]);
    check(&[("> DISCONNECT receipt:d", &["RECEIPT receipt-id:d", "x 1000"])]);
    check(&[("> DISCONNECT", &["x 1000"]), ("> SEND destination:/channel/5 | x", &[])]);
}

#[test]
fn presence_of_all_that_are_subscribed_to_is_watched() {
    let entry = |user: u32, state: &str| format!(r#"{{"user_id":"{user}","state":"{state}","last_active_ms":1}}"#);
    let (nine, eight) = (entry(9, "online"), entry(8, "away"));
    let given = |event: u32, id: &str, user: u32, entry: &str| {
        format!(
            "MESSAGE destination:/topic/presence.{user} subscription:{id} message-id:e{event} x-event:presence \
             content-type:application/json;charset=utf-8 | {entry}"
        )
    };
    let watch = |id: u32, users: &str| format!(r#"? {{"id":{id},"presence_watch":{{"user_ids":[{users}]}}}}"#);
    let watched = |id: u32, entries: &[&str]| {
        format!(r#"< {{"id":{id},"presence_watch":{{"entries":[{}]}}}}"#, entries.join(","))
    };
    check(&[
        ("> SUBSCRIBE id:s destination:/topic/presence.9 receipt:r", &[&watch(2, r#""9""#)]),
        (&watched(2, &[&nine]), &["RECEIPT receipt-id:r", &given(1, "s", 9, &nine)]),
        ("> SUBSCRIBE id:t destination:/topic/presence.8", &[&watch(3, r#""8","9""#)]),
        (&watched(3, &[&eight, &nine]), &[&given(2, "t", 8, &eight)]),
        (&format!(r#"< {{"push":{{"presence":{{"entries":[{nine}]}}}}}}"#), &[&given(3, "s", 9, &nine)]),
        ("> UNSUBSCRIBE id:s receipt:u", &[&watch(4, r#""8""#)]),
        (&watched(4, &[&eight]), &["RECEIPT receipt-id:u"]),
    ]);
    // One is under way at a time, and the next has all.
    let seven = entry(7, "offline");
    check(&[
        ("> SUBSCRIBE id:s destination:/topic/presence.9 receipt:s", &[&watch(2, r#""9""#)]),
        ("> SUBSCRIBE id:t destination:/topic/presence.8 receipt:t", &[]),
        ("> SUBSCRIBE id:u destination:/topic/presence.7", &[]),
        ("> UNSUBSCRIBE id:s receipt:x", &[]),
        ("> DISCONNECT receipt:d", &[]),
        (&watched(2, &[&nine]), &["RECEIPT receipt-id:s", &watch(3, r#""7","8""#)]),
        (&error(3, 115, true, 300), &[]),
        ("+299", &[]),
        ("+1", &[&watch(4, r#""7","8""#)]),
        (
            &watched(4, &[&seven, &eight]),
            &[
                "RECEIPT receipt-id:t",
                "RECEIPT receipt-id:x",
                &given(1, "u", 7, &seven),
                &given(2, "t", 8, &eight),
                "RECEIPT receipt-id:d",
                "x 1000",
            ],
        ),
    ]);
    // What comes while it is refused goes with it.
    check(&[
        ("> SUBSCRIBE id:s destination:/topic/presence.9 receipt:s", &[&watch(2, r#""9""#)]),
        (&error(2, 114, true, 300), &[]),
        ("> SUBSCRIBE id:t destination:/topic/presence.8 receipt:t", &[]),
        ("+300", &[&watch(3, r#""8","9""#)]),
        (&error(3, 114, true, 29_700), &[]),
        ("+29700", &[&watch(4, r#""8","9""#)]),
        (&error(4, 114, true, 10), &["ERROR message:why receipt-id:s x-code:114*", "x 3015"]),
    ]);
}

/// Presence of one user costs as much as of one, whatever the number of subscriptions.
#[test]
fn presence_of_as_many_as_may_be_is_given_once_to_each() {
    let mut table = Table::connected(Version::V12, "");
    for user in 1..=500 {
        table.step(&format!("> SUBSCRIBE id:{user} destination:/topic/presence.{user} receipt:{user}"));
    }
    let entry = |user: u32| format!(r#"{{"user_id":"{user}","state":"online","last_active_ms":1}}"#);
    let watched = |id: u32, through: u32| {
        let entries: Vec<String> = (1..=through).map(entry).collect();
        format!(r#"< {{"id":{id},"presence_watch":{{"entries":[{}]}}}}"#, entries.join(","))
    };
    assert_eq!(table.step(&watched(2, 1)).len(), 3, "a receipt, the user's presence, and the next watch");
    let said = table.step(&watched(3, 500));
    assert_eq!(said.iter().filter(|said| said.starts_with("RECEIPT")).count(), 499);
    assert_eq!(said.iter().filter(|said| said.starts_with("MESSAGE")).count(), 499);
}

#[test]
fn ends_of_subscriptions_and_tokens_that_are_refused_for_now_are_asked_for_again() {
    let close = |id: u32| format!(r#"? {{"id":{id},"close":{{"channel_id":"5"}}}}"#);
    let closed = |id: u32| format!(r#"< {{"id":{id},"close":{{}}}}"#);
    check(&[
        ("> SUBSCRIBE id:s destination:/channel/5", &["? *"]),
        (&opened(2, 0), &[]),
        ("> UNSUBSCRIBE id:s receipt:u", &[&close(3)]),
        ("> DISCONNECT receipt:d", &[]),
        (&error(3, 114, true, 20), &[]),
        ("+20", &[&close(4)]),
        (&closed(4), &["RECEIPT receipt-id:u", "RECEIPT receipt-id:d", "x 1000"]),
    ]);
    // It is subscribed to again meanwhile.
    check(&[
        ("> SUBSCRIBE id:s destination:/channel/5", &["? *"]),
        (&opened(2, 0), &[]),
        ("> UNSUBSCRIBE id:s receipt:u", &[&close(3)]),
        (&error(3, 114, true, 20), &[]),
        ("> SUBSCRIBE id:s destination:/channel/5", &["? *"]),
        ("+20", &["RECEIPT receipt-id:u"]),
    ]);
    check(&[
        ("> SEND destination:/app/refresh receipt:r | d.e.f", &["? *"]),
        (&error(2, 111, true, 0), &[]),
        ("+1000", &[r#"? {"id":3,"refresh":{"token":"d.e.f"}}"#]),
        (&error(3, 101, false, 0), &["ERROR message:why receipt-id:r x-code:101*", "x 3500"]),
    ]);
}

#[test]
fn a_token_is_refreshed_by_a_send() {
    check(&[
        ("> SEND destination:/app/refresh receipt:r | d.e.f", &[r#"? {"id":2,"refresh":{"token":"d.e.f"}}"#]),
        (r#"< {"id":2,"refresh":{"expires_ms":9}}"#, &["RECEIPT receipt-id:r"]),
    ]);
}

#[test]
fn heart_beats_hold_and_lapse() {
    let agreed = |header: &str| Table::connected(Version::V12, &format!(" heart-beat:{header}"));
    agreed("0,0").check(&[("+600000", &[])]);
    // The client wants to hear each second, and is told by the server's `heart-beat` that it will each five.
    agreed("0,1000").check(&[("+4374", &[]), ("+1", &["~"]), ("+4375", &["~"]), ("+10000", &["~", "~"])]);
    agreed("0,8000").check(&[("+6999", &[]), ("+1", &["~"])]);
    // What is said to it is a beat too.
    agreed("0,8000").check(&[
        ("+6000", &[]),
        ("> BEGIN transaction:t receipt:r", &["RECEIPT receipt-id:r"]),
        ("+6999", &[]),
        ("+1", &["~"]),
    ]);
    let over = ["ERROR message:no heart-beat came in time x-temporary:true", "x 3012"];
    agreed("1000,0").check(&[("+10999", &[]), ("+1", &over)]);
    agreed("20000,0").check(&[("+40000", &[]), ("bytes \n", &[]), ("+40999", &[]), ("+1", &over)]);
    for wrong in ["x", "1", "1,x", "-1,0"] {
        let connect = format!("> CONNECT accept-version:1.2 passcode:a.b.c heart-beat:{wrong}");
        check_login(&[(&connect, &["ERROR message:heart-beat is two numbers*", "x 1000"])]);
    }
    // A socket that is not read is not silent.
    let mut table = agreed("1000,0");
    table.session.reads(table.now(), false);
    table.check(&[("+100000", &[])]);
    table.session.reads(table.now(), true);
    table.check(&[("+10999", &[]), ("+1", &over)]);
}

/// STOMP cannot say "later".
#[test]
fn what_is_refused_for_now_is_sent_again_in_its_order() {
    let send = |n: u32| format!("> SEND destination:/channel/5 receipt:r{n} {ID} | {n}");
    let asked = |id: u32, n: u32| {
        let uuid = "019b76da-a800-7000-8000-000000000000";
        format!(r#"? {{"id":{id},"send":{{"channel_id":"5","client_msg_id":"{uuid}","body":"{n}","kind":"text"}}}}"#)
    };
    let receipt = |n: u32| format!("RECEIPT receipt-id:r{n} *");
    check(&[
        (&send(1), &[&asked(2, 1)]),
        (&send(2), &[&asked(3, 2)]),
        (&error(2, 114, true, 500), &[]),
        (&send(3), &[]),
        (&error(3, 114, true, 0), &[]),
        ("> DISCONNECT receipt:d", &[]),
        ("+999", &[]),
        ("+1", &[&asked(4, 1), &asked(5, 2), &asked(6, 3)]),
        (&sent(4), &[&receipt(1)]),
        (&error(5, 113, true, 10), &[]),
        (&error(6, 113, true, 10), &[]),
        ("+10", &[&asked(7, 2), &asked(8, 3)]),
        (&sent(7), &[&receipt(2)]),
        (&sent(8), &[&receipt(3), "RECEIPT receipt-id:d", "x 1000"]),
    ]);
    check(&[
        (&send(1), &[&asked(2, 1)]),
        (&error(2, 115, true, 30_000), &[]),
        ("+30000", &[&asked(3, 1)]),
        (
            &error(3, 115, true, 7),
            &["ERROR message:why receipt-id:r1 x-code:115 x-temporary:true x-retry-after-ms:7", "x 3015"],
        ),
    ]);
}

#[test]
fn a_client_is_not_read_while_much_of_it_is_not_durable() {
    let mut table = Table::connected(Version::V12, "");
    table.step(&format!("> SEND destination:/channel/5 | {}", "x".repeat(1024 * 1024)));
    assert!(!table.session.has_room(true));
    table.step(&sent(2));
    assert!(table.session.has_room(false));
    let mut table = Table::connected(Version::V12, "");
    table.step("> SEND destination:/channel/5 | x");
    table.step(&error(2, 111, true, 10));
    for _ in 0..255 {
        assert!(table.session.has_room(true));
        table.step("> SEND destination:/channel/5 | x");
    }
    assert!(!table.session.has_room(true));
    let asked = table.step("+10");
    assert_eq!(asked.len(), 50, "a burst would be refused again");
}

/// The server takes so many without an answer; more in one message it would refuse so often that it closes.
#[test]
fn many_sends_in_one_message_are_asked_for_as_they_are_answered() {
    let mut table = Table::connected(Version::V12, "");
    let frames = "SEND\ndestination:/channel/5\n\nx\0".repeat(3_000);
    let asked = table.step(&format!("bytes {frames}"));
    assert_eq!(asked.len(), 256);
    assert!(!table.session.has_room(true));
    for id in 2..=3_001 {
        let more = table.step(&sent(id));
        assert_eq!(more.len(), usize::from(id + 256 <= 3_001), "{id}: {more:?}");
    }
    assert!(table.session.has_room(false));
}

#[test]
fn a_channel_that_cannot_be_opened_now_is_opened_again() {
    let open = |id: u32| format!(r#"? {{"id":{id},"open":{{"channel_id":"5"}}}}"#);
    check(&[
        ("> SUBSCRIBE id:s destination:/channel/5 receipt:r", &[&open(2)]),
        (&error(2, 111, true, 20), &[]),
        ("+20", &[&open(3)]),
        (&error(3, 115, true, 0), &[]),
        ("+1000", &[&open(4)]),
        (&opened(4, 0), &["RECEIPT receipt-id:r"]),
    ]);
    check(&[
        ("> SUBSCRIBE id:s destination:/channel/5 receipt:r", &[&open(2)]),
        (&error(2, 115, true, 30_000), &[]),
        ("+30000", &[&open(3)]),
        (&error(3, 115, true, 0), &["ERROR message:why receipt-id:r x-code:115 x-temporary:true", "x 3015"]),
    ]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Pushes, pages and ACKs in any order: each seq that the user may read is given once and in order, to
    /// each of two subscriptions, none is left out, and no more than the window waits for an ACK. The server is that of a
    /// large channel: it pushes what is sent from an `open` on, and refuses an `open` behind which another comes.
    #[test]
    fn a_subscription_misses_nothing(
        steps in prop::collection::vec(0..7_u32, 0..80),
        (after, head, window) in (0..10_u64, 10..14_u64, 1..5_usize),
        (unreadable, second_at) in (0..14_u64, 0..80_usize),
        acks in prop::sample::select(vec!["auto", "client", "client-individual"]),
    ) {
        let may_read = |seq: &u64| *seq > unreadable;
        let mut table = Table::connected(Version::V12, "");
        let mut asked: VecDeque<String> = VecDeque::new();
        let (mut head, mut acked) = (head, [0, 0]);
        // What was pushed last, since the `open` that was answered last; whether one is not answered.
        let (mut pushed_to, mut is_opening) = (None, false);
        let mut given: [Vec<u64>; 2] = Default::default();
        let subscribe = |id: &str| {
            format!("> SUBSCRIBE id:{id} destination:/channel/5 ack:{acks} x-prefetch:{window} x-after-seq:{after}")
        };
        let mut seen = table.step(&subscribe("s"));
        // In the end all that is under way comes to its end.
        let last: Vec<u32> = (0..1_600).map(|at| [1, 2, 3, 4, 5][at % 5]).collect();
        let steps: Vec<u32> = steps.into_iter().chain(last).collect();
        for (at, step) in steps.into_iter().enumerate() {
            if at == second_at {
                seen.extend(table.step(&subscribe("t")));
            }
            for seen in std::mem::take(&mut seen) {
                match seen.split_once("message-id:5-") {
                    Some((start, rest)) => given[usize::from(start.contains("subscription:t"))]
                        .push(rest.split(' ').next().expect("a seq").parse().expect("a number")),
                    None => {
                        prop_assert!(seen.starts_with('?'), "{seen}");
                        if seen.contains(r#""open""#) {
                            prop_assert!(!is_opening, "the server would refuse the first");
                            (is_opening, pushed_to) = (true, None);
                        }
                        asked.push_back(seen);
                    }
                }
            }
            for (given, acked) in given.iter().zip(acked) {
                prop_assert!(acks == "auto" || given.len() <= acked + window, "{given:?}, {acked} are acknowledged");
            }
            seen = match step {
                0 => {
                    head += 1;
                    continue;
                }
                // What was sent is pushed, in its order.
                1 if pushed_to.is_some_and(|pushed_to| pushed_to < head) => {
                    let seq = pushed_to.map_or(0, |pushed_to| pushed_to + 1);
                    pushed_to = Some(seq);
                    if !may_read(&seq) {
                        continue;
                    }
                    table.step(&pushed(seq))
                }
                // A request is answered by what is now.
                2 => {
                    let Some(request) = asked.pop_front() else { continue };
                    let request = request.strip_prefix("? {\"id\":").expect("a request");
                    let (id, command) = request.split_once(',').expect("a number and a command");
                    let id = id.parse().expect("a number");
                    let reply = match command.split('"').nth(1).expect("a command") {
                        "open" => {
                            (is_opening, pushed_to) = (false, Some(head));
                            opened(id, head)
                        }
                        "mark" => marked(id),
                        "history" => {
                            let after = command.split("after\":").nth(1).expect("after").split(',').next();
                            let after: u64 = after.expect("a seq").parse().expect("a number");
                            let first = (after + 1).max(unreadable + 1);
                            let through = (first + 2).min(head);
                            page(id, first..=through, head, through < head)
                        }
                        other => panic!("nobody asked for {other}"),
                    };
                    table.step(&reply)
                }
                3 | 4 if acks != "auto" && acked[step as usize - 3] < given[step as usize - 3].len() => {
                    let of = step as usize - 3;
                    acked[of] += 1;
                    table.step(&format!("> ACK id:{}-{}", of + 1, given[of][acked[of] - 1]))
                }
                5 => table.step("+1000"),
                _ => continue,
            };
        }
        let all: Vec<u64> = (after + 1..=head).filter(may_read).collect();
        prop_assert_eq!(&given, &[all.clone(), all]);
    }

    /// Frames of any kind in any order: nothing panics, and a session that is over says nothing more.
    #[test]
    fn no_frames_panic(
        frames in prop::collection::vec((
            prop::sample::select(Verb::ALL.to_vec()),
            prop::collection::btree_set(prop::sample::select(vec![
                "id:1", "id:1-1", "ack:client", "ack:client-individual", "destination:/channel/5", "transaction:t",
                "destination:/user/queue/inbox", "destination:/topic/presence.5", "receipt:r", "x-after-seq:0",
                "subscription:1", "message-id:5-1", "message-id:5-18446744073709551615", "id:1-18446744073709551615",
                "x-prefetch:1", "x-events:all", "x-client-msg-id:x", "heart-beat:1,1", "passcode:a.b.c",
                "x-after-seq:18446744073709551615", "id:4294967296-0", "message-id:-", "destination:/app/refresh",
            ]), 0..5),
            1..200_u64,
        ), 0..30),
        version in prop::sample::select(Version::ALL.to_vec()),
    ) {
        let mut table = Table::connected(version, "");
        let mut is_over = false;
        for (verb, headers, seq) in frames {
            let headers: String = headers.iter().map(|header| format!(" {header}")).collect();
            for step in [
                format!("> {}{headers}", verb.text()), pushed(seq), format!("+{}", seq * 100),
            ] {
                let seen = table.step(&step);
                prop_assert!(!is_over || seen.is_empty(), "{step} came to {seen:?} after the end");
                is_over |= seen.iter().any(|seen| seen.starts_with('x'));
                let mut asked: VecDeque<String> = seen.into();
                while let Some(asked) = asked.pop_front() {
                    let Some(request) = asked.strip_prefix("? {\"id\":") else { continue };
                    let (id, command) = request.split_once(',').expect("a number and a command");
                    let id = id.parse().expect("a number");
                    let reply = match command.split('"').nth(1).expect("a command") {
                        "open" => opened(id, seq),
                        "send" => sent(id),
                        "mark" => marked(id),
                        "close" => format!(r#"< {{"id":{id},"close":{{}}}}"#),
                        "history" => page(id, 1..=seq.min(3), seq, false),
                        _ => error(id, 115, true, 10),
                    };
                    let more = table.step(&reply);
                    is_over |= more.iter().any(|more| more.starts_with('x'));
                }
            }
        }
    }
}
